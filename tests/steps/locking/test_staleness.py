"""What of repro.toml makes the pinned jars stale."""

from __future__ import annotations

import pytest

from reprolock.model.lock import JarPin, JarsPin
from reprolock.model.spec import Spec
from reprolock.steps.locking.staleness import jars_problem

LISTENER = "io.openlineage:openlineage-spark_2.13:1.0"
AVRO = "org.apache.spark:spark-avro_2.13:4.1.0"
PROBLEM = "the jars lack spark-avro, which reads a dataset's Avro files"


@pytest.mark.parametrize(
    ("form", "spark", "jars", "problem"),
    [
        ("avro", "4.1.0", (LISTENER,), PROBLEM),
        ("avro", "3.5.8", (LISTENER,), PROBLEM),
        ("csv", "4.1.0", (LISTENER,), None),
        ("avro", "4.1.0", (LISTENER, AVRO), None),
        ("avro", "4.2.0", (LISTENER,), None),
        ("avro", "10.0.0.dev1", (LISTENER,), None),
    ],
)
def test_a_format_that_the_jars_do_not_read(form: str, spark: str, jars: tuple[str, ...], problem: str | None) -> None:
    spec = Spec.model_validate(
        {
            "project": {"name": "p"},
            "lake": {"endpoint": "file:lake"},
            "datasets": {"d": {"uri": "lakefs://lake/main/d", "format": form}},
            "spark": {},
            "run": {"command": ["python", "train.py"]},
        }
    )
    pinned = tuple(JarPin(coordinate=name, sha256="0" * 64, bytes=1) for name in jars)
    assert jars_problem(spec, None, JarsPin.sealed(packages=(), spark=spark, jar=pinned)) == problem
