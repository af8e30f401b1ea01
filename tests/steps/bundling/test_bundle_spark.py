"""A Spark run over a Delta table in one file, from an embedded lake and from a real lakeFS on MinIO, replayed where there is
nothing else."""

from __future__ import annotations

import secrets
import shutil
from pathlib import Path

import deltalake
import pyarrow
import pytest
from bundling import members, on_bare_machine
from command_line import Cli
from project import Project
from spark_session import DELTA

from reprolock.lake.git.lake import GitLake
from reprolock.lake.open import open_lake
from reprolock.lake.protocol import Lake

SPEC = """\
[project]
name = "flights"

[lake]
endpoint = "{endpoint}"

[datasets.events]
uri = "lakefs://{repository}/main/events/"
format = "delta"

[datasets.rates]
uri = "lakefs://{repository}/main/rates/"
format = "csv"
options = {{ header = true }}

[spark]
master = "local[2]"
packages = ["{delta}"]
conf = {{ "spark.ui.enabled" = "false", "spark.driver.memory" = "512m", "spark.sql.shuffle.partitions" = "2", "spark.databricks.delta.snapshotPartitions" = "2" }}

[run]
command = ["python", "train.py"]

[outputs.sums]
path = "out/sums"
compare = "table"
format = "parquet"
"""

TRAIN = """\
import reprolock

run = reprolock.current()
events, rates = run.dataset("events").spark(), run.dataset("rates").spark()
events.join(rates, "name").selectExpr("name", "n * rate AS sum").write.parquet(run.output("sums").path.as_uri())
"""


def fill(lake: Lake, repository: str, source: Path) -> None:
    for number, name in ((1, "a"), (2, "b")):
        deltalake.write_deltalake(str(source / "events"), pyarrow.table({"n": [number], "name": [name]}), mode="append")
    (source / "rates").mkdir()
    (source / "rates" / "rates.csv").write_text("name,rate\na,10\nb,20\n")
    files = [file for file in sorted(source.rglob("*")) if file.is_file()]
    list(lake.put_many(repository, "main", [(file.relative_to(source).as_posix(), file) for file in files]))
    lake.commit(repository, "main", "The data")


@pytest.mark.spark
@pytest.mark.long
@pytest.mark.parametrize("kind", ["embedded", pytest.param("lakefs", marks=pytest.mark.live)])
def test_a_spark_run(
    kind: str,
    tmp_path: Path,
    empty_mlflow: Path,
    cli: Cli,
    bare: None,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    made, repository = tmp_path / "made", f"bundles-{secrets.token_hex(4)}"
    made.mkdir()
    lake: Lake
    if kind == "lakefs":
        server = request.getfixturevalue("lakefs")
        for name, value in server.lakectl.items():
            monkeypatch.setenv(name, value)
        endpoint = server.endpoint
        lake = open_lake(endpoint, made, server.lakectl, tmp_path)
        lake.create_repository(repository, storage=f"{server.storage}{repository}")
    else:
        endpoint = "file:lake"
        lake = GitLake(made / "lake", endpoint)
        lake.create_repository(repository)
    fill(lake, repository, tmp_path / "source")
    project = Project.__new__(Project)
    project.root = made
    project.spec(SPEC.format(endpoint=endpoint, repository=repository, delta=DELTA))
    project.script(TRAIN)
    shutil.copy(empty_mlflow, made / "mlflow.db")
    for command in (["lock"], ["run", "-q"], ["bundle", "", "-o", str(tmp_path / "run.zip")]):
        said = cli(*[part or project.record.run_id for part in command], root=made)
        assert said.code == 0, said.err
    lake.close()
    for name in ("made", "source"):
        shutil.rmtree(tmp_path / name)

    files = members(tmp_path / "run.zip")
    size = (tmp_path / "run.zip").stat().st_size
    assert size < 1.02 * sum(map(len, files.values()))
    assert sum(name.startswith("data/jars/") for name in files) > 3
    work = tmp_path / "work"
    work.mkdir()
    shutil.copy(empty_mlflow, work / "mlflow.db")
    said = on_bare_machine(work, "replay", str(tmp_path / "run.zip"))
    assert said.code == 0, said.err
    assert "REPRODUCED   1 of 1 compared" in said.out
