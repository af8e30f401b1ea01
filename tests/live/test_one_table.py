"""One table has one digest: without a JVM, by Spark on one machine, on a standalone cluster, and on a Connect server."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest
import services
from lake_project import Repository
from random_tables import random_table
from spark_session import DELTA, SparkParts

from reprolock.engine.cluster.connect import Connect
from reprolock.engine.cluster.settings import Cluster
from reprolock.engine.spark import S3Access, plan_spark
from reprolock.engine.tables.run import Spark, Table, digest_tables
from reprolock.lake.open import open_lake
from reprolock.model.spec_spark import SparkSpec
from reprolock.model.table import TableDigest

pytestmark = [pytest.mark.live, pytest.mark.spark, pytest.mark.long]

SEEDS = range(11)
"""Between them they have every type of `random_tables`, nested in one another."""


@pytest.fixture(scope="module")
def tables(lakefs: services.LakeFS, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Table]:
    """Parquet files on this machine, and their addresses at a commit of the lake."""
    root = tmp_path_factory.mktemp("tables")
    (tree := root / "tree").mkdir()
    for seed in SEEDS:
        (tree / f"t{seed}").mkdir()
        for part in range(2):
            pyarrow.parquet.write_table(random_table(seed), tree / f"t{seed}" / f"{part}.parquet", row_group_size=11)
    repository = f"types-{secrets.token_hex(4)}"
    with closing(open_lake(None, root, lakefs.lakectl, root)) as lake:
        made = Repository(lake, repository, root, f"{lakefs.storage}{repository}/")
        commit = made.commit_folder(tree)
    return {
        path.name: Table(path, "parquet", url=f"s3a://{repository}/{commit}/{path.name}") for path in tree.iterdir()
    }


def environments(
    lakefs: services.LakeFS,
    spark_parts: SparkParts,
    repository: str,
    engines: list[tuple[SparkSpec, Cluster | Connect | None]],
    folder: Path,
) -> Iterator[tuple[str, dict[str, str]]]:
    """A run's environment on each engine, with the lake's credentials as a run has them."""
    s3 = S3Access(lakefs.endpoint, (repository,), lakefs.access_key_id, lakefs.secret_access_key)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    for number, (spec, cluster) in enumerate(engines):
        plan, environ = plan_spark(
            spec,
            version=spark_parts.home.version,
            jars=() if spec.remote else spark_parts.files,
            cores=2,
            folder=folder / str(number) / "conf",
            s3=s3,
            cluster=cluster,
        )
        hook = {"PYTHONPATH": str(plan.hook)} if plan.hook else {}
        yield spec.address, {"PATH": path, "HOME": os.environ["HOME"], "LANG": "C.UTF-8", **environ, **hook}


def test_one_digest_on_every_engine(
    tables: dict[str, Table],
    lakefs: services.LakeFS,
    spark_parts: SparkParts,
    spark_cluster: services.SparkCluster,
    connect_server: services.Server,
    tmp_path: Path,
) -> None:
    kinds = {str(kind) for seed in SEEDS for kind in scalars(random_table(seed).schema.types)}
    assert len(kinds) == 17, kinds  # all that a random table can have
    here = Spark(Path(sys.executable), {}, tmp_path, declared=False)
    wanted = digest_tables({name: table._replace(url=None) for name, table in tables.items()}, here)
    assert all(isinstance(digest, TableDigest) for digest in wanted.values()), wanted
    assert len({digest.digest for digest in wanted.values() if isinstance(digest, TableDigest)}) == len(SEEDS)

    conf = {"spark.driver.host": "127.0.0.1", "spark.executor.memory": "512m"}
    remote = f"sc://127.0.0.1:{connect_server.environ['PORT']}"
    engines: list[tuple[SparkSpec, Cluster | Connect | None]] = [
        (SparkSpec(master="local[2]", packages=(DELTA,)), None),
        (SparkSpec(master=spark_cluster.address, packages=(DELTA,), conf=conf), Cluster(None, {})),
        (SparkSpec(remote=remote, packages=(DELTA,)), Connect(None, {})),
    ]
    repository = str(tables["t0"].url).split("/")[2]
    for name, environ in environments(lakefs, spark_parts, repository, engines, tmp_path):
        found = digest_tables(tables, Spark(Path(sys.executable), environ, tmp_path / "work"))
        assert found == wanted, name


def scalars(types: list[pa.DataType]) -> Iterator[pa.DataType]:
    """The types that hold values, out of those nested around them."""
    for kind in types:
        inner = [kind.field(index).type for index in range(kind.num_fields)]
        if inner:
            yield from scalars(inner)
        else:
            yield kind
