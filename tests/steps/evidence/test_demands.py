"""What of a regulation's demands a run answers: by fields that are there, and by nothing else."""

from __future__ import annotations

import re
import typing
from pathlib import Path
from typing import Any

import pytest
from command_line import Cli
from evidence import Case
from pydantic import BaseModel

import reprolock
from reprolock.model.demands import FRAMEWORKS
from reprolock.model.record import Record
from reprolock.model.statement import Hold, Intent, Link, ReplayVerdict, Review

KINDS = {"record": Record, "intent": Intent, "run": Link, "verdict": ReplayVerdict, "review": Review, "hold": Hold}


def model_in(annotation: Any) -> type[BaseModel] | None:
    """The model that a field holds: itself, one of several, or none."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in typing.get_args(annotation) if (found := model_in(part))), None)


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_every_demand_rests_on_fields_that_there_are(name: str) -> None:
    framework = FRAMEWORKS[name]
    numbers = [demand.number for demand in framework.demands]
    assert len(numbers) == len(set(numbers)) and framework.source
    for demand in framework.demands:
        assert demand.asks.endswith(".")
        for field in demand.fields:
            kind, *path = field.split(".")
            model: type[BaseModel] | None = KINDS[kind]
            for part in path:
                assert model is not None and part in model.model_fields, field
                model = model_in(model.model_fields[part].annotation)


def test_part_11(case: Case) -> None:
    found = reprolock.evidence(case.project, str(case.artifacts), "part11", machine=case.machine())
    answers = {answer.number: {item.field: item.value for item in answer.found} for answer in found.answers}
    assert answers["11.50(a)(1)"] == {"review.name": "Ada Lovelace"}
    assert answers["11.50(a)(3)"] == {"review.meaning": "approved"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ", answers["11.50(a)(2)"]["review.created"])
    assert list(answers["11.30"]) == ["intent.signer", "run.signer", "verdict.signer", "review.signer"]
    assert not answers["11.10(i)"] and not answers["11.10(c)"]  # nobody holds it
    assert sum(bool(answer.found) for answer in found.answers) == 11


def test_what_people_read(case: Case, cli: Cli, tmp_path: Path) -> None:
    said = cli("evidence", str(case.artifacts), "--for", "eu-ai-act")
    assert said.code == 0, said.err
    commit = case.record.datasets[0].commit[:12]
    assert f"<br>`record.datasets.commit`: {commit} |" in said.out
    assert "| Annex IV 2(e) | Measures for human oversight. | not covered |" in said.out
    assert said.out.endswith("of 21 demands have an answer in this run.\n")
    said = cli("evidence", str(case.artifacts), "--for", "sr26-2", "--html", str(tmp_path / "page.html"))
    assert (said.code, said.out) == (0, ""), said.err
    page = (tmp_path / "page.html").read_text()
    assert "<code>verdict.verdict.kind</code> REPRODUCED" in page
    assert "numbers no demands" in page and "href" not in page
    assert f"· run {case.record.run_id[:8]} ({case.record.run_name})</h1>" in page


def test_a_run_that_nobody_signed(case: Case, cli: Cli, tmp_path: Path) -> None:
    folder = case.copy(tmp_path / "unsigned")
    (folder / "attestations.jsonl").unlink()
    said = cli("evidence", str(folder), "--for", "part11")
    assert "| 11.50(a)(1) | A signature shows the signer's printed name. | not covered |" in said.out.replace("\\", "")
    assert not re.search(r"`(intent|run|verdict|review|hold)\.", said.out)


def test_foreign_words_start_nothing(case: Case, cli: Cli, tmp_path: Path) -> None:
    folder = case.copy(tmp_path / "run")
    name = "Eve <img src=x> | [a](b)"
    machine = case.machine("reviewer")
    reprolock.sign(tmp_path, str(folder), name=name, machine=machine)
    said = cli("evidence", str(folder), "--for", "part11")
    assert said.code == 0, said.err
    assert "Eve \\<img src=x\\> \\| \\[a\\](b)" in said.out
    cli("evidence", str(folder), "--for", "part11", "--html", str(tmp_path / "page.html"))
    assert "<img" not in (tmp_path / "page.html").read_text()
