"""Make the buckets of a stack in an object store whose buckets are not folders."""

from __future__ import annotations

from reprolock.errors import ServiceError
from reprolock.stack.servers import BUCKETS, REGION, Site

_RETRIES = 10
"""boto3 doubles the pause between them: half a minute for a store whose gateway answers before its other parts do."""
_PROBE = "written-when-this-bucket-was-made"


def make_buckets(site: Site) -> None:
    """Make what is not there, and wait until an object can be written. ServiceError where that fails."""
    import boto3  # heavy, and here only where a stack is started
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    client = boto3.client(
        "s3",
        endpoint_url=site.endpoint("store"),
        region_name=REGION,
        aws_access_key_id=site.keys.store_user,
        aws_secret_access_key=site.keys.store_password,
        config=Config(
            s3={"addressing_style": "path"}, retries={"mode": "standard", "max_attempts": _RETRIES}, proxies={}
        ),
    )
    try:
        for bucket in BUCKETS.difference(each["Name"] for each in client.list_buckets()["Buckets"]):
            client.create_bucket(Bucket=bucket)
            client.put_object(Bucket=bucket, Key=_PROBE, Body=b"-")
            client.delete_object(Bucket=bucket, Key=_PROBE)
    except (BotoCoreError, ClientError) as error:
        raise ServiceError(
            f"the object store at {site.endpoint('store')} cannot make a bucket: {error}",
            hint="`reprolock stack logs store` shows its log",
        ) from error
