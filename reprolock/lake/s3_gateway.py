"""Open a dataset's objects through the S3 side of a lakeFS server, for pyarrow and for delta-rs. Credentials stay in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from reprolock.readers.files import DataFile


@dataclass(frozen=True)
class Gateway:
    """The S3 side of a lakeFS server and the credentials that may go to it. Its text form shows no secret."""

    endpoint: str
    access_key_id: str = field(repr=False)
    secret_access_key: str = field(repr=False)


def opener(gateway: Gateway | None) -> Callable[[DataFile], Any]:
    """Opens a file for reading; of a lakeFS server through one file system, which threads may share."""
    if gateway is None:
        return lambda file: file.path.open("rb")
    import pyarrow.fs  # heavy

    parts = urlsplit(gateway.endpoint)
    s3 = pyarrow.fs.S3FileSystem(
        access_key=gateway.access_key_id,
        secret_key=gateway.secret_access_key,
        endpoint_override=parts.netloc,
        scheme=parts.scheme,
        region="us-east-1",
        connect_timeout=5,
        request_timeout=30,
    )
    return lambda file: s3.open_input_file(str(file.path))


def storage_options(gateway: Gateway | None) -> dict[str, str] | None:
    """For delta-rs, which otherwise would take credentials and a region from wherever this machine has some."""
    if gateway is None:
        return None
    return {
        "AWS_ENDPOINT_URL": gateway.endpoint,
        "AWS_ACCESS_KEY_ID": gateway.access_key_id,
        "AWS_SECRET_ACCESS_KEY": gateway.secret_access_key,
        "AWS_REGION": "us-east-1",
        "AWS_ALLOW_HTTP": "true",
        "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "false",
        "timeout": "30s",
        "connect_timeout": "5s",
    }
