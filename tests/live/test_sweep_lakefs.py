"""`sweep` on a real lakeFS with Spark: params and refs, two runs at a time, each published to the branch that its data comes from."""

from __future__ import annotations

import io
import re
import secrets
from contextlib import closing
from pathlib import Path

import pytest
import services
from command_line import Cli
from project import Project

from reprolock.lake.open import open_lake
from reprolock.steps.project.run_folders import local_records

pytestmark = [pytest.mark.live, pytest.mark.spark, pytest.mark.long]

SPEC = """\
[project]
name = "flights"

[datasets.train]
uri = "lakefs://{repository}/main/train/"
format = "csv"
options = {{ header = true, inferSchema = true }}

[environment]
isolated = false

[spark]
conf = {{ "spark.sql.shuffle.partitions" = "2" }}

[params]
factor = 1

[run]
command = ["python", "train.py"]
code = ["train.py"]

[outputs.scores]
path = "out/scores"
compare = "table"
format = "parquet"
publish = "lakefs://{repository}/{{datasets.train.branch}}/scores/{{params.factor}}/{{run_id}}/"

[metrics]
total = "exact"
"""
TRAIN = """
    import sys

    import mlflow
    import reprolock

    run = reprolock.current()
    factor = run.params["factor"]
    scores = run.dataset("train").spark().selectExpr(f"a * {factor} AS score")
    if factor == 9:
        sys.exit("too much")
    scores.write.parquet(run.output("scores").url)
    mlflow.log_metric("total", scores.agg({"score": "sum"}).first()[0])
"""


def test_a_grid_on_two_branches(
    project: Project, lakefs: services.LakeFS, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in lakefs.lakectl.items():
        monkeypatch.setenv(name, value)
    repository = f"sweeps-{secrets.token_hex(4)}"
    (project.root / "repro.toml").write_text(SPEC.format(repository=repository))
    project.script(TRAIN)
    with closing(open_lake(None, project.root, lakefs.lakectl, Path("/nonexistent"))) as lake:
        lake.create_repository(repository, storage=f"{lakefs.storage}{repository}")
        lake.put(repository, "main", "train/a.csv", io.BytesIO(b"a\n1\n2\n"))
        lake.create_branch(repository, "exp", lake.commit(repository, "main", "Two rows").id)
        lake.put(repository, "exp", "train/b.csv", io.BytesIO(b"a\n4\n"))
        lake.commit(repository, "exp", "One row more")
    assert cli("lock").code == 0

    grid = ["--set", "factor=3,9", "--data", "train=main,exp", "--jobs", "2"]
    said = cli("sweep", *grid, "--merge", "--max", "total")
    assert (said.code, said.err.splitlines()[-2]) == (1, "error: 2 of 4 runs failed"), said.err
    rows = [re.split("  +", line) for line in said.out.splitlines()]
    assert [[*row[:3], *row[4:]] for row in rows] == [
        ["factor", "train", "total", "STATUS"],
        ["3", "main", "9", "finished"],
        ["3", "exp", "21", "finished", "best"],
        ["9", "main", "–", "failed"],
        ["9", "exp", "–", "failed"],
    ]
    records = {record.run_name: record for record in local_records(project.root)}
    for branch, count in (("main", 2), ("exp", 3)):
        record = records[f"factor=3, train={branch}"]
        address = f"lakefs://{repository}/{branch}/scores/3/{record.run_id}/"
        [published] = record.published
        assert (published.uri, published.problem, published.merged is None) == (address, None, False)
        [output] = record.outputs
        assert output.table is not None and output.table.rows == count
        assert "_SUCCESS" in cli("data", "ls", address).out
        assert records[f"factor=9, train={branch}"].published == ()
        assert cli("data", "ls", f"lakefs://{repository}/{branch}/scores/9/").code == 2
    done = cli("replay", "factor=3, train=exp")
    assert (done.code, "REPRODUCED   2 of 2 compared" in done.out) == (0, True), done.out + done.err
