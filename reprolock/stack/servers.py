"""The arguments and variables with which the three servers of a local stack are started. No IO.

An object store keeps the objects of the other two, lakeFS's in the bucket `lakefs` and MLflow's artifacts in `mlflow`; which
store that is, is the user's choice. All three listen on loopback alone, send no telemetry, and get their credentials by
variables: every user can read arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from reprolock.stack.files import Keys

HOST = "127.0.0.1"
BUCKETS = frozenset({"lakefs", "mlflow"})
REGION = "us-east-1"
_ATTRIBUTES = "attributes"
"""Where VersityGW keeps what S3 knows of an object, beside its data: a file system need not keep extended attributes."""


class Site(NamedTuple):
    """What the servers' arguments are made of. `ports` and `programs` by server name; `folder` is the stack's, `store` one
    of `STORES`. `inner` are the ports by which the parts of the store speak to each other."""

    folder: Path
    store: str
    ports: Mapping[str, int]
    keys: Keys
    programs: Mapping[str, Path]
    inner: Sequence[int] = ()

    @property
    def data(self) -> Path:
        """Where the object store keeps what it is given."""
        return self.folder / "store" / self.store

    def endpoint(self, name: str) -> str:
        """`http://127.0.0.1:PORT`."""
        return endpoint(self.ports[name])


class Server(NamedTuple):
    """`name` is that of options and folders, `title` the one for people, `program` the one on PATH. `health` answers 200 when it
    is ready. `folders`, below the stack's, have to be there before it starts. `inner` counts the ports that it needs beside its own;
    `makes_buckets`: of a store, that they are made by S3, and are no folders."""

    name: str
    title: str
    program: str
    health: str
    arguments: Callable[[Site], list[str]]
    variables: Callable[[Site], dict[str, str]]
    folders: tuple[str, ...] = ()
    inner: int = 0
    makes_buckets: bool = False


def endpoint(port: int) -> str:
    """The address of a server of the stack."""
    return f"http://{HOST}:{port}"


def _minio_arguments(site: Site) -> list[str]:
    address = f"{HOST}:{site.ports['store']}"
    # --anonymous keeps what is sensitive out of its log; the console, a second port, is switched off below.
    options = ["--quiet", "--anonymous", "--address", address, "--console-address", f"{HOST}:0"]
    return [str(site.programs["store"]), "server", *options, str(site.data)]


def _minio_variables(site: Site) -> dict[str, str]:
    return {
        "HOME": str(site.folder / "store"),  # certificates in ~/.minio would make it speak HTTPS
        "MINIO_ROOT_USER": site.keys.store_user,
        "MINIO_ROOT_PASSWORD": site.keys.store_password,
        "MINIO_BROWSER": "off",
        "MINIO_UPDATE": "off",
    }


def _versitygw_arguments(site: Site) -> list[str]:
    options = ["--port", f"{HOST}:{site.ports['store']}", "--region", REGION, "--health", "/health", "--quiet"]
    beside = site.folder / "store" / _ATTRIBUTES
    return [str(site.programs["store"]), *options, "posix", "--sidecar", str(beside), str(site.data)]


def _versitygw_variables(site: Site) -> dict[str, str]:
    keys = {"ROOT_ACCESS_KEY": site.keys.store_user, "ROOT_SECRET_KEY": site.keys.store_password}
    return {"HOME": str(site.folder / "store"), **keys}


_SEAWEEDFS_PARTS = ("master", "volume", "filer")


def _seaweedfs_arguments(site: Site) -> list[str]:
    """Master, volume server and filer beside the S3 gateway, in one process. Iceberg and Lance are switched off."""
    http, grpc = site.inner[:3], site.inner[3:]
    options = [f"-dir={site.data}", f"-ip={HOST}", f"-ip.bind={HOST}", "-filer", "-s3", "-s3.iam=false"]
    options += [f"-{part}.port={port}" for part, port in zip(_SEAWEEDFS_PARTS, http, strict=True)]
    options += [f"-{part}.port.grpc={port}" for part, port in zip((*_SEAWEEDFS_PARTS, "s3"), grpc, strict=True)]
    options += [
        f"-s3.port={site.ports['store']}",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
    ]
    options += [
        f"-volume.publicUrl={HOST}:{http[1]}",
        "-volume.max=0",  # as many as fit; and each bucket wants seven, which of 30 GB would not
        "-master.volumeSizeLimitMB=256",
        "-volume.preStopSeconds=0",
        "-master.telemetry=false",
    ]
    return [str(site.programs["store"]), "-logtostderr=true", "server", *options]


def _seaweedfs_variables(site: Site) -> dict[str, str]:
    """Its parts answer each other alone: without such a token the volume server and the filer refuse what is asked over HTTP."""
    tokens = ("SIGNING", "SIGNING_READ", "FILER_SIGNING", "FILER_SIGNING_READ")
    return {
        "HOME": str(site.folder / "store"),
        "AWS_ACCESS_KEY_ID": site.keys.store_user,
        "AWS_SECRET_ACCESS_KEY": site.keys.store_password,
        **{f"WEED_JWT_{token}_KEY": site.keys.store_password for token in tokens},
    }


def _lakefs_arguments(site: Site) -> list[str]:
    return [str(site.programs["lakefs"]), "run"]


def _lakefs_variables(site: Site) -> dict[str, str]:
    folder = site.folder / "lakefs"
    return {
        "HOME": str(folder),  # a ~/.lakefs.yaml of the user's own is for another lakeFS
        "LAKEFS_LISTEN_ADDRESS": f"{HOST}:{site.ports['lakefs']}",
        "LAKEFS_DATABASE_TYPE": "local",
        "LAKEFS_DATABASE_LOCAL_PATH": str(folder / "metadata"),
        "LAKEFS_COMMITTED_LOCAL_CACHE_DIR": str(folder / "cache"),
        "LAKEFS_AUTH_ENCRYPT_SECRET_KEY": site.keys.lakefs_encryption,
        "LAKEFS_BLOCKSTORE_TYPE": "s3",
        "LAKEFS_BLOCKSTORE_SIGNING_SECRET_KEY": site.keys.lakefs_signing,
        "LAKEFS_BLOCKSTORE_S3_ENDPOINT": site.endpoint("store"),
        "LAKEFS_BLOCKSTORE_S3_FORCE_PATH_STYLE": "true",
        "LAKEFS_BLOCKSTORE_S3_DISCOVER_BUCKET_REGION": "false",
        "LAKEFS_BLOCKSTORE_S3_REGION": REGION,
        "LAKEFS_BLOCKSTORE_S3_CREDENTIALS_ACCESS_KEY_ID": site.keys.store_user,
        "LAKEFS_BLOCKSTORE_S3_CREDENTIALS_SECRET_ACCESS_KEY": site.keys.store_password,
        "LAKEFS_INSTALLATION_USER_NAME": "reprolock",
        "LAKEFS_INSTALLATION_ACCESS_KEY_ID": site.keys.lakefs_key_id,
        "LAKEFS_INSTALLATION_SECRET_ACCESS_KEY": site.keys.lakefs_secret,
        "LAKEFS_STATS_ENABLED": "false",
        "LAKEFS_USAGE_REPORT_ENABLED": "false",
        "LAKEFS_SECURITY_CHECK_LATEST_VERSION": "false",
        "LAKEFS_LOGGING_LEVEL": "WARN",
    }


def _mlflow_arguments(site: Site) -> list[str]:
    # One worker answers one person's runs, and each further one takes some 400 MB.
    options = ["--host", HOST, "--port", str(site.ports["mlflow"]), "--workers", "1"]
    options += ["--backend-store-uri", "sqlite:///mlflow.db"]  # in its own folder, whose name may hold a "?"
    options += ["--uvicorn-opts", "--app-dir /"]  # it would import what stands in that folder
    return [str(site.programs["python"]), "-m", "mlflow", "server", *options, "--artifacts-destination", "s3://mlflow/"]


def _mlflow_variables(site: Site) -> dict[str, str]:
    nowhere = str(site.folder / "mlflow" / "none")
    return {
        "MLFLOW_S3_ENDPOINT_URL": site.endpoint("store"),
        "AWS_ACCESS_KEY_ID": site.keys.store_user,
        "AWS_SECRET_ACCESS_KEY": site.keys.store_password,
        "AWS_DEFAULT_REGION": REGION,
        # The user's own profile is for another S3.
        "AWS_CONFIG_FILE": nowhere,
        "AWS_SHARED_CREDENTIALS_FILE": nowhere,
        "PYTHONSAFEPATH": "1",  # as above: a repository may have put files there
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }


def _buckets(store: str) -> tuple[str, ...]:
    """Of MinIO and VersityGW, a folder below their data is a bucket."""
    return tuple(f"store/{store}/{bucket}" for bucket in sorted(BUCKETS))


STORES = {
    "minio": Server(
        "store", "MinIO", "minio", "/minio/health/ready", _minio_arguments, _minio_variables, _buckets("minio")
    ),
    "versitygw": Server(
        "store",
        "VersityGW",
        "versitygw",
        "/health",
        _versitygw_arguments,
        _versitygw_variables,
        (*_buckets("versitygw"), f"store/{_ATTRIBUTES}"),
    ),
    "seaweedfs": Server(
        "store",
        "SeaweedFS",
        "weed",
        "/healthz",
        _seaweedfs_arguments,
        _seaweedfs_variables,
        ("store/seaweedfs",),
        inner=2 * len(_SEAWEEDFS_PARTS) + 1,
        makes_buckets=True,
    ),
}
"""The object stores, by the names of `--store`."""
NAMES = ("store", "lakefs", "mlflow")


def servers_on(store: str) -> tuple[Server, ...]:
    """The servers of a stack on that store, in the order in which they are started; they are ended the other way round."""
    return (
        STORES[store],
        Server("lakefs", "lakeFS", "lakefs", "/api/v1/healthcheck", _lakefs_arguments, _lakefs_variables),
        Server("mlflow", "MLflow", "python", "/health", _mlflow_arguments, _mlflow_variables),
    )
