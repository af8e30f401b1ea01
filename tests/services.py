"""Real servers for the tests: an S3 store, lakeFS on it, MLflow. Each a local process on a free loopback port.

In: a folder for data and logs. Out: a started server with its address and random keys, and a note in
`used` or `absent`, which the summary at the end of a test run prints. A server whose program is not
here is skipped by its fixture with the reason; one that is here and does not come up fails.
"""

from __future__ import annotations

import http.client
import importlib.metadata
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

used: dict[str, str] = {}
"""Real services that this test run spoke to: name → version."""
absent: dict[str, str] = {}
"""Real services that are not on this machine: name → reason."""

START_SECONDS = 90
LAKEFS_ABSENT = "no `lakefs` on PATH: install it from https://docs.lakefs.io or run `python -m lakefs.download`"
MINIO_ABSENT = "no `minio` on PATH: `go install github.com/minio/minio@latest` gets it"
STORE = os.environ.get("REPROLOCK_STORE", "minio")
"""The S3 store below lakeFS."""
STORES = {
    "minio": ("MinIO", "minio", MINIO_ABSENT),
    "versitygw": (
        "VersityGW",
        "versitygw",
        "no `versitygw` on PATH: `go install github.com/versity/versitygw/cmd/versitygw@latest` gets it",
    ),
    "seaweedfs": (
        "SeaweedFS",
        "weed",
        "no `weed` on PATH: a release from https://github.com/seaweedfs/seaweedfs/releases has it",
    ),
}


def missing(name: str, program: str, reason: str) -> str | None:
    """The reason for a skip where a program is not on PATH, noted for the summary; None where it is."""
    if shutil.which(program):
        return None
    absent[name] = reason
    return reason


def summary() -> str:
    """One line: what the tests ran against, and what is not here."""
    here = ", ".join(f"{name} {version}".strip() for name, version in sorted(used.items())) or "none"
    away = "".join(f" | not here: {name} ({reason})" for name, reason in sorted(absent.items()))
    return f"Real services: {here}{away}"


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass
class Server:
    """One server process and all its children. `environ` holds its keys; argv never does."""

    name: str
    argv: list[str]
    environ: dict[str, str]
    port: int
    health: str
    folder: Path
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def endpoint(self) -> str:
        """`http://127.0.0.1:PORT`."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start, and wait until the health check answers; AssertionError with the log's end where it does not."""
        self.folder.mkdir(parents=True, exist_ok=True)
        inherited = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "LANG") if name in os.environ}
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.argv,
                env=inherited | self.environ,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._healthy():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise AssertionError(f"{self.name} did not come up:\n{self.log()[-3000:]}")
            time.sleep(0.05)

    def stop(self, signal_number: int = signal.SIGTERM) -> None:
        """End the process group and wait for it; a second call does nothing."""
        if self.process is None:
            return
        for number in (signal_number, signal.SIGKILL):
            try:
                os.killpg(self.process.pid, number)
                self.process.wait(10)
            except ProcessLookupError:
                break
            except subprocess.TimeoutExpired:
                continue
        self.process.wait()
        self.process = None

    def log(self) -> str:
        """All that the server has printed."""
        return (self.folder / "log").read_text(errors="replace")

    def _healthy(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)
        try:
            connection.request("GET", self.health)
            return connection.getresponse().status in (200, 204)
        except OSError:
            return False
        finally:
            connection.close()


@dataclass(frozen=True)
class ObjectStore:
    """A running S3 store and its root keys."""

    server: Server
    access_key: str
    secret_key: str

    @property
    def endpoint(self) -> str:
        return self.server.endpoint


@dataclass(frozen=True)
class LakeFS:
    """A running lakeFS whose blockstore is a bucket of the store, and its first user's keys."""

    server: Server
    access_key_id: str
    secret_access_key: str
    storage: str
    """Where repositories may keep their objects: `s3://BUCKET/`."""

    @property
    def endpoint(self) -> str:
        return self.server.endpoint

    @property
    def lakectl(self) -> Mapping[str, str]:
        """The variables by which lakectl, and so reprolock, finds this server."""
        return {
            "LAKECTL_SERVER_ENDPOINT_URL": self.endpoint,
            "LAKECTL_CREDENTIALS_ACCESS_KEY_ID": self.access_key_id,
            "LAKECTL_CREDENTIALS_SECRET_ACCESS_KEY": self.secret_access_key,
        }


def s3(endpoint: str, key: str, secret: str) -> Any:
    """A client for the store, behind lakeFS's back, or for lakeFS's own gateway."""
    import boto3  # for the few tests that need it; it loads slowly
    from botocore.config import Config

    config = Config(s3={"addressing_style": "path"}, signature_version="s3v4")
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        region_name="us-east-1",
        config=config,
    )


def missing_store() -> str | None:
    """The reason for a skip where the store's program is not on PATH."""
    return missing(*STORES[STORE])


def start_store(folder: Path) -> ObjectStore:
    """The store with random keys and a bucket named `lake`."""
    return {"minio": _start_minio, "versitygw": _start_versitygw, "seaweedfs": _start_seaweedfs}[STORE](folder)


def _start_minio(folder: Path) -> ObjectStore:
    access_key, secret_key = "test" + secrets.token_hex(6), secrets.token_hex(20)
    port, data = free_port(), folder / "data"
    (data / "lake").mkdir(parents=True)  # a folder of MinIO's own is a bucket
    argv = [
        "minio",
        "server",
        "--quiet",
        "--address",
        f"127.0.0.1:{port}",
        "--console-address",
        "127.0.0.1:0",
        str(data),
    ]
    environ = {
        "MINIO_ROOT_USER": access_key,
        "MINIO_ROOT_PASSWORD": secret_key,
        "MINIO_BROWSER": "off",
        "MINIO_UPDATE": "off",
    }
    server = Server("MinIO", argv, environ, port, "/minio/health/ready", folder)
    server.start()
    used["MinIO"] = _program_version("minio")
    return ObjectStore(server, access_key, secret_key)


def _start_versitygw(folder: Path) -> ObjectStore:
    """Its objects are plain files; what S3 knows of them stands beside, for a file system need not keep attributes."""
    access_key, secret_key = "test" + secrets.token_hex(6), secrets.token_hex(20)
    port, data, beside = free_port(), folder / "data", folder / "beside"
    (data / "lake").mkdir(parents=True)  # a folder of its own is a bucket
    beside.mkdir()
    argv = ["versitygw", "--port", f"127.0.0.1:{port}", "--health", "/health", "--region", "us-east-1"]
    argv += ["posix", "--sidecar", str(beside), str(data)]
    environ = {"ROOT_ACCESS_KEY": access_key, "ROOT_SECRET_KEY": secret_key}
    server = Server("VersityGW", argv, environ, port, "/health", folder)
    server.start()
    used["VersityGW"] = ""
    return ObjectStore(server, access_key, secret_key)


def _start_seaweedfs(folder: Path) -> ObjectStore:
    """Master, volume server, filer and S3 gateway in one process, on ports of their own."""
    access_key, secret_key = "test" + secrets.token_hex(6), secrets.token_hex(20)
    data = folder / "data"
    data.mkdir(parents=True)
    port, volume = free_port(), free_port()
    argv = [
        "weed",
        "-logtostderr=true",
        "server",
        f"-dir={data}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        "-filer",
        "-s3",
    ]
    argv += [f"-s3.port={port}", "-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.iam=false"]
    argv += [f"-volume.port={volume}", f"-volume.publicUrl=127.0.0.1:{volume}", "-volume.max=0"]
    argv += ["-volume.preStopSeconds=0", "-master.volumeSizeLimitMB=256", "-master.telemetry=false"]
    argv += [f"-{part}.port={free_port()}" for part in ("master", "filer")]
    argv += [f"-{part}.port.grpc={free_port()}" for part in ("master", "volume", "filer", "s3")]
    environ = {"AWS_ACCESS_KEY_ID": access_key, "AWS_SECRET_ACCESS_KEY": secret_key}
    server = Server("SeaweedFS", argv, environ, port, "/healthz", folder)
    server.start()
    used["SeaweedFS"] = ""
    _make_bucket(f"http://127.0.0.1:{port}", access_key, secret_key)
    return ObjectStore(server, access_key, secret_key)


def _make_bucket(endpoint: str, access_key: str, secret_key: str) -> None:
    """Whose first object waits for the volume server, which joins a little later than the gateway answers."""
    import boto3
    from botocore.config import Config

    keys = {"aws_access_key_id": access_key, "aws_secret_access_key": secret_key}
    retries = Config(s3={"addressing_style": "path"}, retries={"mode": "standard", "max_attempts": 10})
    client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", config=retries, **keys)
    client.create_bucket(Bucket="lake")
    client.put_object(Bucket="lake", Key="first", Body=b"-")


def start_lakefs(folder: Path, store: ObjectStore) -> LakeFS:
    """A lakeFS over that store, set up by variables alone; its telemetry and update checks are off."""
    access_key_id, secret_access_key = "AKIAJ" + secrets.token_hex(7).upper() + "Q", secrets.token_hex(20)
    port = free_port()
    environ = {
        "LAKEFS_LISTEN_ADDRESS": f"127.0.0.1:{port}",
        "LAKEFS_DATABASE_TYPE": "local",
        "LAKEFS_DATABASE_LOCAL_PATH": str(folder / "metadata"),
        "LAKEFS_COMMITTED_LOCAL_CACHE_DIR": str(folder / "cache"),
        "LAKEFS_AUTH_ENCRYPT_SECRET_KEY": secrets.token_hex(20),
        "LAKEFS_BLOCKSTORE_TYPE": "s3",
        "LAKEFS_BLOCKSTORE_SIGNING_SECRET_KEY": secrets.token_hex(20),
        "LAKEFS_BLOCKSTORE_S3_ENDPOINT": store.endpoint,
        "LAKEFS_BLOCKSTORE_S3_FORCE_PATH_STYLE": "true",
        "LAKEFS_BLOCKSTORE_S3_DISCOVER_BUCKET_REGION": "false",
        "LAKEFS_BLOCKSTORE_S3_REGION": "us-east-1",
        "LAKEFS_BLOCKSTORE_S3_CREDENTIALS_ACCESS_KEY_ID": store.access_key,
        "LAKEFS_BLOCKSTORE_S3_CREDENTIALS_SECRET_ACCESS_KEY": store.secret_key,
        "LAKEFS_INSTALLATION_USER_NAME": "tests",
        "LAKEFS_INSTALLATION_ACCESS_KEY_ID": access_key_id,
        "LAKEFS_INSTALLATION_SECRET_ACCESS_KEY": secret_access_key,
        "LAKEFS_STATS_ENABLED": "false",
        "LAKEFS_USAGE_REPORT_ENABLED": "false",
        "LAKEFS_SECURITY_CHECK_LATEST_VERSION": "false",
        "LAKEFS_LOGGING_LEVEL": "WARN",
    }
    server = Server("lakeFS", ["lakefs", "run"], environ, port, "/api/v1/healthcheck", folder)
    server.start()
    used["lakeFS"] = _program_version("lakefs")
    return LakeFS(server, access_key_id, secret_access_key, "s3://lake/")


def start_mlflow(folder: Path, python: str | Path = sys.executable, *options: str, **environ: str) -> Server:
    """An MLflow tracking server: SQLite behind it, artifacts in a local folder that it serves. `python` has the MLflow to
    start, reprolock's own by default."""
    port = free_port()
    argv = [str(python), "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    argv += [
        "--backend-store-uri",
        f"sqlite:///{folder / 'mlflow.db'}",
        "--artifacts-destination",
        str(folder / "artifacts"),
        *options,
    ]
    environ = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"} | environ
    server = Server("MLflow server", argv, environ, port, "/health", folder)
    server.start()
    if python == sys.executable:
        used["MLflow server"] = importlib.metadata.version("mlflow")
    return server


def _program_version(program: str) -> str:
    """`minio version X (commit-id=…)`, `lakefs version X`: X."""
    text = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=30, check=True).stdout
    words = text.split()
    return words[words.index("version") + 1] if "version" in words else text.strip()


@dataclass
class SparkCluster:
    """A standalone master and its workers, from pyspark's own wheel; each worker has its own folder, and none of our variables."""

    master: Server
    workers: list[Server]

    @property
    def address(self) -> str:
        """`spark://127.0.0.1:PORT`."""
        return f"spark://127.0.0.1:{self.master.environ['PORT']}"

    def stop(self) -> None:
        """End the workers, then the master."""
        for server in (*self.workers, self.master):
            server.stop()


def start_spark_cluster(folder: Path, *variables: str, workers: int = 2, cores: int = 1) -> SparkCluster:
    """A master and `workers` workers of `cores` cores each, on loopback; they have the `variables`, NAME=VALUE, alone."""
    import pyspark  # where a test asks for a cluster

    program = str(Path(pyspark.__file__).parent / "bin" / "spark-class")
    port = free_port()

    def server(name: str, kind: str, arguments: list[str]) -> Server:
        page, scratch = free_port(), folder / "scratch"
        scratch.mkdir(parents=True, exist_ok=True)  # what a killed executor leaves there is large
        argv = [
            "env",
            "-i",
            "SPARK_LOCAL_IP=127.0.0.1",
            "SPARK_NO_DAEMONIZE=1",
            f"SPARK_LOCAL_DIRS={scratch}",
            f"JAVA_TOOL_OPTIONS=-Djava.io.tmpdir={scratch}",
            *variables,
            program,
            f"org.apache.spark.deploy.{kind}",
        ]
        argv += ["--host", "127.0.0.1", "--webui-port", str(page), *arguments]
        made = Server(name, argv, {"PORT": str(port)}, page, "/json/", folder / name.replace(" ", "-"))
        made.start()
        return made

    master = server("Spark master", "master.Master", ["--port", str(port)])
    address = f"spark://127.0.0.1:{port}"
    limits = ["--cores", str(cores), "--memory", "1g"]
    made = [
        server(
            f"Spark worker {number}", "worker.Worker", [*limits, "--work-dir", str(folder / f"work{number}"), address]
        )
        for number in range(workers)
    ]
    used["Spark cluster"] = pyspark.__version__
    return SparkCluster(master, made)


def start_spark_connect(folder: Path, jars: Sequence[Path], **conf: str) -> Server:
    """A Spark Connect server on loopback from pyspark's own wheel: empty environment, `local[2]`, jars and settings of its own.

    Its `environ["PORT"]` is where it listens.
    """
    import pyspark  # where a test asks for a server

    port, page = free_port(), free_port()
    program = str(Path(pyspark.__file__).parent / "bin" / "spark-submit")
    given = {
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": str(port),
        "spark.ui.port": str(page),
        "spark.eventLog.enabled": "true",
        "spark.eventLog.dir": (folder / "events").as_uri(),
        "spark.local.dir": str(folder / "scratch"),
        "spark.driver.defaultJavaOptions": f"-Djava.io.tmpdir={folder / 'scratch'}",
        **conf,
    }
    for name in ("events", "scratch"):
        (folder / name).mkdir(parents=True)
    argv = ["env", "-i", "SPARK_LOCAL_IP=127.0.0.1", "SPARK_NO_DAEMONIZE=1", program, "--master", "local[2]"]
    argv += ["--class", "org.apache.spark.sql.connect.service.SparkConnectServer"]
    argv += [part for name, value in given.items() for part in ("--conf", f"{name}={value}")]
    argv += ["--jars", ",".join(map(str, jars)), "spark-internal"]
    server = Server("Spark Connect", argv, {"PORT": str(port)}, page, "/api/v1/applications", folder)
    server.start()
    used["Spark Connect"] = pyspark.__version__
    return server


@contextmanager
def killed(server: Server, *, back_after: float) -> Iterator[None]:
    """Kill a server; it comes back on the same port after some seconds, or at the end of the block."""
    server.stop(signal.SIGKILL)
    back = threading.Timer(back_after, server.start)
    back.start()
    try:
        yield
    finally:
        back.join()
