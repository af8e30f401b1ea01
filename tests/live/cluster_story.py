"""What the stories on a cluster and on a Connect server share: one project, one repository, and who looks for secrets."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import deltalake
import pandas
import psutil
import services
from lake_project import Repository

from reprolock.lake.open import open_lake

SPEC = """\
[project]
name = "flights"

[datasets.train]
uri = "lakefs://{repository}/main/csv/"
format = "csv"
options = {{ header = true }}

[datasets.columns]
uri = "lakefs://{repository}/main/parquet/"
format = "parquet"

[datasets.table]
uri = "lakefs://{repository}/main/delta/"
format = "delta"

[environment]
python = "3.11"
packages = ["pyspark[connect]==4.2.0", "pandas<3", "pyarrow", "iniconfig==2.0.0"]

[spark]
{engine}
packages = ["{delta}"]
conf = {{ "spark.sql.shuffle.partitions" = "2", "spark.databricks.delta.snapshotPartitions" = "2"{more} }}

[run]
command = ["python", "train.py"]
code = ["train.py"]
env = {{ TRAINING_MODE = "wide" }}

[outputs.sums]
path = "out/sums"
compare = "table"
format = "parquet"
publish = "lakefs://{repository}/main/sums/"

[outputs.lines]
path = "out/lines"
compare = "table"
format = "json"
publish = "lakefs://{repository}/main/lines/"

[outputs.seen]
path = "seen.json"
compare = "json"
"""
TRAIN = """\
import json
import os

import pandas
import reprolock
from pyspark.sql import SparkSession
from pyspark.sql.functions import col, pandas_udf, udf

run = reprolock.current()
spark = SparkSession.builder.getOrCreate()


@udf("string")
def version(_):
    from importlib.metadata import version

    return f"{version('iniconfig')} {os.environ['TRAINING_MODE']} {os.environ['TZ']}"


@pandas_udf("long")
def doubled(values: pandas.Series) -> pandas.Series:
    return values * 2


frames = [run.dataset(name).spark().selectExpr("bigint(a) AS a") for name in ("train", "columns", "table")]
found = frames[0].union(frames[1]).union(frames[2])
found = found.withColumn("b", doubled(col("a"))).repartition(2)
seen = sorted(row[0] for row in found.select(version(col("a"))).distinct().collect())
found.write.parquet(run.output("sums").url)
found.select("a").write.json(run.output("lines").url)
run.output("seen").path.write_text(json.dumps({"version": seen, "rows": found.count()}))
spark.stop()
"""


def make_repository(lakefs: services.LakeFS, tree: Path) -> str:
    """A repository with one small table in three formats on main, made in the folder `tree`; its name."""
    name = f"cluster-{secrets.token_hex(4)}"
    frame = pandas.DataFrame({"a": [1, 2, 3]})
    for folder in ("csv", "parquet"):
        (tree / folder).mkdir()
    frame.to_csv(tree / "csv" / "part.csv", index=False)
    frame.to_parquet(tree / "parquet" / "part.parquet")
    deltalake.write_deltalake(tree / "delta", frame)
    with closing(open_lake(None, tree, lakefs.lakectl, tree)) as lake:
        Repository(lake, name, tree.parent, f"{lakefs.storage}{name}/").commit_folder(tree)
    return name


@contextmanager
def watched_processes(secret: str) -> Iterator[set[str]]:
    """The names of processes whose command line held the secret at any time."""
    found: set[str] = set()
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.2):
            for process in psutil.process_iter(["cmdline", "name"]):
                if any(secret in part for part in process.info["cmdline"] or ()):
                    found.add(process.info["name"])

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()


def holds(folder: Path, secret: str) -> list[str]:
    """Files below a folder that hold the secret."""
    files = (file for file in folder.rglob("*") if file.is_file() and not file.is_symlink())
    return [str(file) for file in files if secret.encode() in file.read_bytes()]
