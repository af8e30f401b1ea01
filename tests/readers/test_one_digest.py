"""A table's digest without a JVM against Spark's, over every dataset that the readers are tested on: the same, or none."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from textwrap import dedent

import pytest
from differential import lay_out, question
from hunted import hunted
from spark_session import SparkParts, run_script
from table_environment import spark_environ  # noqa: F401 - a fixture
from test_differential import SCRIPT, environment
from written import written

from reprolock.engine.tables.run import Spark, Table, digest_tables
from reprolock.model.table import TableDigest, TableProblem

pytestmark = [pytest.mark.spark, pytest.mark.long]

TABLES = [
    case for case in (*written(), *hunted()) if case.format not in ("json", "binary", "image") and case.glob is None
]
NO_SPARK = Spark(Path("/nowhere/bin/python"), {}, Path("/nowhere"), declared=False)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, spark_parts: SparkParts) -> Path:
    """A folder with every dataset; a session makes those that Spark alone can."""
    root = tmp_path_factory.mktemp("tables")
    for number, case in enumerate(TABLES):
        lay_out(case, root / str(number) / "data")
    made = [(n, case) for n, case in enumerate(TABLES) if case.make]
    asked = [question(case, root / str(n) / "data", root / f"{n}.arrow") for n, case in made]
    (root / "questions.json").write_text(json.dumps(asked))
    script = SCRIPT.format(folder=str(Path(__file__).parent), questions=str(root / "questions.json"))
    assert run_script(dedent(script), environment(spark_parts), root, timeout=1500) == "done"
    return root


def tables(root: Path) -> dict[str, Table]:
    return {str(n): Table(root / str(n) / "data", case.format, dict(case.options)) for n, case in enumerate(TABLES)}


@pytest.fixture(scope="module")
def theirs(root: Path, spark_environ: dict[str, str]) -> dict[str, TableDigest | TableProblem]:  # noqa: F811
    """What Spark says of each, all from one session."""
    return digest_tables(tables(root), Spark(Path(sys.executable), spark_environ, root))


@pytest.fixture(scope="module")
def ours(root: Path) -> dict[str, TableDigest | TableProblem]:
    """What is said of each without a JVM, all from one process."""
    return digest_tables(tables(root), NO_SPARK)


@pytest.mark.parametrize("number", range(len(TABLES)), ids=[f"{case.format}: {case.name}" for case in TABLES])
def test_the_same_digest_or_none(
    ours: dict[str, TableDigest | TableProblem], theirs: dict[str, TableDigest | TableProblem], number: int
) -> None:
    digest = ours[str(number)]
    if isinstance(digest, TableDigest):
        assert digest == theirs[str(number)]


def test_most_tables_need_no_spark(
    ours: dict[str, TableDigest | TableProblem], theirs: dict[str, TableDigest | TableProblem]
) -> None:
    """Else the comparison above could pass for want of anything to compare. Many of the tables were hunted: they are what Spark alone reads."""
    by_spark = [number for number, digest in theirs.items() if isinstance(digest, TableDigest)]
    alone = [number for number in by_spark if isinstance(ours[number], TableDigest)]
    assert len(alone) > 0.6 * len(by_spark)
