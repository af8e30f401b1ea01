"""How many rows an input has, wherever a person sees its size; where only reading all would tell, nothing is said."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from project import Project


def table(*values: int) -> bytes:
    content = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table({"x": list(values)}), content)
    return content.getvalue()


@pytest.fixture
def of_parquet(project: Project, cli) -> Project:
    """A project whose dataset is of two Parquet files, and another one of CSV."""
    project.commit("rows/a.parquet", table(1, 2))
    project.commit("rows/b.parquet", table(3))
    project.add('\n[datasets.many]\nuri = "lakefs://example-repo/main/rows/"\nformat = "parquet"\n')
    assert cli("lock").code == 0
    assert cli("run").code == 0
    return project


def test_rows_are_shown(of_parquet: Project, cli, tmp_path: Path) -> None:
    first = of_parquet.record
    assert {item.name: item.rows for item in first.datasets} == {"train": None, "many": 3}
    inputs = {
        entry.dataset.name.partition(" ")[0]: entry.dataset.profile
        for entry in of_parquet.stored().inputs.dataset_inputs
    }
    assert (inputs["train"], json.loads(inputs["many"])) == (None, {"num_rows": 3})
    [shown] = [line for line in cli("show").out.splitlines() if " many " in line and "objects" in line]
    assert shown.endswith(", 3 rows")
    assert cli("show", "--html", str(tmp_path / "page.html")).code == 0
    page = (tmp_path / "page.html").read_text()
    assert (page.count(", 3 rows</td>"), page.count(" rows</td>")) == (1, 1)

    of_parquet.commit("rows/b.parquet", table(3, 4))
    assert cli("run", "--data", "many=main").code == 0
    second = of_parquet.record
    change = cli("diff", first.run_id[:8], second.run_id[:8]).out.splitlines()[0]
    commits = [next(item.commit[:12] for item in record.datasets if item.name == "many") for record in (first, second)]
    assert change == f"data      changed  many {commits[0]} → {commits[1]}   3 → 4 rows   1 object changed"
