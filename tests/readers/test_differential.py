"""`.pandas()` and `.arrow()` against Spark itself: each dataset is read by both, equal cell for cell, or refused by name."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent

import pytest
from differential import Case, difference, lay_out, question, wrong_shape
from generated import generated
from hunted import hunted
from spark_session import SparkParts, run_script
from written import written

pytestmark = pytest.mark.spark

CASES = [*written(), *hunted(), *generated()]
SCRIPT = """
    import sys
    sys.path.insert(0, {folder!r})
    sys.argv = ["spark_answers", {questions!r}]
    import runpy
    runpy.run_path({folder!r} + "/spark_answers.py", run_name="__main__")
"""
SETTINGS = {
    "spark.ui.enabled": "false",
    "spark.driver.memory": "1g",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.shuffle.partitions": "1",
    # Without generated code a small query takes half of the time, and gives the same.
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.databricks.delta.snapshotPartitions": "1",
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
}


def environment(parts: SparkParts) -> Mapping[str, str]:
    """A local session with Delta."""
    settings = [word for name, value in SETTINGS.items() for word in ("--conf", f"{name}={value}")]
    jars = ",".join(str(file) for file in parts.files if "delta" in file.name or "antlr" in file.name)
    submit = ["--master", "local[2]", "--jars", jars, *settings, "pyspark-shell"]
    return {"JAVA_HOME": os.fspath(parts.java.home), "PYSPARK_SUBMIT_ARGS": " ".join(submit)}


@pytest.fixture(scope="module")
def answers(spark_parts: SparkParts, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every dataset and Spark's answer to it, all from one session."""
    root = tmp_path_factory.mktemp("answers")
    for number, case in enumerate(CASES):
        lay_out(case, root / str(number) / "data")
    asked = [question(case, root / str(n) / "data", root / f"{n}.arrow") for n, case in enumerate(CASES)]
    (root / "questions.json").write_text(json.dumps(asked))
    script = SCRIPT.format(folder=str(Path(__file__).parent), questions=str(root / "questions.json"))
    assert run_script(dedent(script), environment(spark_parts), root, timeout=1500) == "done"
    return root


@pytest.mark.parametrize("number", range(len(CASES)), ids=[f"{case.format}: {case.name}" for case in CASES])
def test_what_spark_reads_or_a_refusal(answers: Path, number: int) -> None:
    case: Case = CASES[number]
    assert difference(case, answers / str(number) / "data", answers / f"{number}.arrow") is None


@pytest.mark.parametrize("number", range(len(CASES)), ids=[f"{case.format}: {case.name}" for case in CASES])
def test_the_columns_and_rows_of_a_record_are_sparks(answers: Path, number: int) -> None:
    assert wrong_shape(CASES[number], answers / str(number) / "data", answers / f"{number}.arrow") is None


def test_there_are_enough_of_them() -> None:
    assert len(CASES) >= 300
    assert len({case.format for case in CASES}) == 9
