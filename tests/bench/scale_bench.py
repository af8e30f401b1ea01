"""A million objects and twenty gigabytes, by lakeFS's own import, against a real lakeFS on a real MinIO that this file starts and ends."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import services
from bench import REPROLOCK, Case, Command, fresh
from cases import jars
from lakefs_bench import running

ON_THE_STORE = 10_000
"""Objects that are made; an import may name them many times, each time below another folder."""
OBJECTS = (100_000, 1_000_000)
FILES, ROWS = 100, 6_400_000
"""Parquet files and the rows of each: four columns of random numbers, 20 GB in all."""
MEMORY = "4g"
"""Of each executor. With Spark's own 1 GB it runs out of it on these files, by `spark-submit` too."""

SPEC = """\
[project]
name = "scale"
[lake]
endpoint = "{endpoint}"
[datasets.train]
uri = "lakefs://{repository}/main/data/"
format = "parquet"
{more}
[run]
command = ["python", "train.py", "{{datasets.train.url}}"]
code = ["train.py"]
"""
SCRIPT = """\
import sys
from pyspark.sql import SparkSession
spark = SparkSession.builder.getOrCreate()
table = spark.read.parquet(sys.argv[1])
print(table.agg({name: "sum" for name in table.columns}).collect())
"""
MAKE = """\
import sys
import numpy, pyarrow, pyarrow.parquet
random = numpy.random.default_rng(7)
rows = int(sys.argv[2])
table = pyarrow.table({"id": random.integers(0, 2**31, rows), **{name: random.random(rows) for name in "xyz"}})
pyarrow.parquet.write_table(table, sys.argv[1], use_dictionary=False, compression="none")
"""


def cases() -> Iterator[Case | list[str]]:
    """Locks of many objects, then a large dataset on a cluster."""
    with running(fresh("scale")) as (lakefs, store):
        yield from locks(lakefs, store)
        yield from reads(lakefs, store)


def imported(lakefs: services.LakeFS, repository: str, folders: dict[str, str]) -> None:
    """A repository whose branch main has, at each address of it, what the store has below a prefix."""
    import lakefs as sdk

    client = sdk.client.Client(host=lakefs.endpoint, username=lakefs.access_key_id, password=lakefs.secret_access_key)
    made = sdk.Repository(repository, client).create(f"{lakefs.storage}{repository}")
    order = made.branch("main").import_data("Import")
    for address, prefix in folders.items():
        order.prefix(f"s3://lake/{prefix}", address)
    order.run()


def locks(lakefs: services.LakeFS, store: services.ObjectStore) -> Iterator[list[str]]:
    """How the time and the memory of `lock` grow from a hundred thousand objects to a million."""
    client = services.s3(store.endpoint, store.access_key, store.secret_key)
    for number in range(ON_THE_STORE):
        client.put_object(Bucket="lake", Key=f"source/{number:05}.parquet", Body=b"%d" % number)
    took, peak = [], []
    for count in OBJECTS:
        name = f"scale-{count}"
        folders = {f"data/{part:04}/": "source/" for part in range(count // ON_THE_STORE)}
        imported(lakefs, name, folders)
        folder = fresh(name)
        (folder / "repro.toml").write_text(SPEC.format(endpoint=lakefs.endpoint, repository=name, more=""))
        (folder / "train.py").write_text("pass\n")
        started = time.perf_counter()
        locking = subprocess.Popen([*REPROLOCK, "lock", "-q"], cwd=folder)
        _, status, usage = os.wait4(locking.pid, 0)
        took.append(time.perf_counter() - started)
        peak.append(usage.ru_maxrss / 1024)
        assert status == 0
        assert f"objects = {count}\n" in (folder / "repro.lock").read_text()
    few, many = OBJECTS
    for what, pair, unit, goal in (("lock", took, "s", 1.2 * many / few), ("its memory", peak, "MB", 1.2)):
        ratio = pair[1] / pair[0]
        yield [
            f"{what}, {many:,} objects",
            f"{pair[1]:.0f} {unit}",
            f"{few:,} objects {pair[0]:.0f} {unit}",
            f"{ratio:.2f}",
            f"goal {goal:g}",
            "met" if ratio <= goal else "MISSED",
        ]


def reads(lakefs: services.LakeFS, store: services.ObjectStore) -> Iterator[Case]:
    """A run on a cluster that reads a dataset at its commit, against `spark-submit` of the same script on the same bytes in the store."""
    folder = fresh("scale-reads")
    subprocess.run([sys.executable, "-c", MAKE, str(folder / "part.parquet"), str(ROWS)], check=True)
    client = services.s3(store.endpoint, store.access_key, store.secret_key)
    client.upload_file(str(folder / "part.parquet"), "lake", "large/000.parquet")
    for number in range(1, FILES):
        client.copy(
            CopySource={"Bucket": "lake", "Key": "large/000.parquet"}, Bucket="lake", Key=f"large/{number:03}.parquet"
        )
    size = (folder / "part.parquet").stat().st_size * FILES / 1e9
    imported(lakefs, "scale-reads", {"data/": "large/"})
    cluster = services.start_spark_cluster(fresh("scale-cluster"), f"PATH={os.environ['PATH']}")
    try:
        more = f'[spark]\nmaster = "{cluster.address}"\nconf = {{ "spark.executor.memory" = "{MEMORY}" }}\n'
        (folder / "repro.toml").write_text(SPEC.format(endpoint=lakefs.endpoint, repository="scale-reads", more=more))
        (folder / "train.py").write_text(SCRIPT)
        subprocess.run([*REPROLOCK, "lock", "-q"], cwd=folder, check=True, capture_output=True)
        plain = {
            "spark.executor.memory": MEMORY,
            "spark.hadoop.fs.s3a.endpoint": store.endpoint,
            "spark.hadoop.fs.s3a.access.key": store.access_key,
            "spark.hadoop.fs.s3a.secret.key": store.secret_key,
            "spark.hadoop.fs.s3a.path.style.access": "true",
            "spark.hadoop.fs.s3a.endpoint.region": "us-east-1",
        }
        submit = [
            str(Path(sys.executable).with_name("spark-submit")),
            "--master",
            cluster.address,
            "--jars",
            jars(folder),
        ]
        submit += [word for name, value in plain.items() for word in ("--conf", f"{name}={value}")]
        yield Case(
            f"run that reads {size:.0f} GB through lakeFS on two executors",
            Command([*REPROLOCK, "run"], folder),
            Command([*submit, "train.py", "s3a://lake/large/"], folder),
            "spark-submit on the store",
            1.15,
            rounds=2,
        )
    finally:
        cluster.stop()


if __name__ == "__main__":
    sys.exit("run tests/bench/bench.py scale")
