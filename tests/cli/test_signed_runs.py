"""Signed runs when something goes wrong around them: MLflow away, a command that writes where it should not, a failure."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import Cli
from evidence import SPEC, TRAIN
from project import Project

from reprolock.signing.keys import new_key
from reprolock.steps.evidence.attestations import lines_of, read_lines
from reprolock.tracker import open_tracker
from reprolock.tracker.tracking_uri import Place


@pytest.fixture
def signed(
    project: Project, cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Project:
    """A locked project whose runs are signed, and a trust.toml that believes them."""
    keys = tmp_path_factory.mktemp("keys")
    new_key(keys / "ci.pem")
    monkeypatch.setenv("REPROLOCK_SIGNING_KEY", str(keys / "ci.pem"))
    project.spec(SPEC)
    project.script(TRAIN)
    (project.root / "trust.toml").write_text(f'[keys.ci]\npublic = "{keys}/ci.pem.pub"\nroles = ["run"]\n')
    assert cli("lock").code == 0
    return project


def test_recorded_offline_and_sent_later(signed: Project, cli: Cli, tmp_path: Path) -> None:
    """What MLflow has in the end is what was signed, byte for byte."""
    done = cli("run", "--offline")
    assert done.code == 0, done.err
    record = signed.record
    assert (signed.root / ".reprolock" / "outbox" / record.run_id / "attestations.jsonl").is_file()
    assert cli("sync").code == 0
    tracker = open_tracker(Place(signed.database, "the test"), {}, tmp_path)
    stored = tracker.find(record.run_id)
    assert lines_of(tracker.artifact(stored, "attestations.jsonl") or b"") == read_lines(
        signed.run_folder(record.run_id)
    )
    tracker.download(stored, tmp_path / "downloaded")
    tracker.close()
    audited = cli("audit", str(tmp_path / "downloaded"), "--trust", "trust.toml")
    assert audited.code == 0, audited.err


def test_a_command_that_writes_to_its_statements(signed: Project, cli: Cli) -> None:
    """The intent was signed before it started, and is not taken from the disk again."""
    signed.script(TRAIN + '\nPath("../attestations.jsonl").write_text("mine")\n')
    done = cli("run")
    assert done.code == 0, done.err
    assert len(read_lines(signed.run_folder(signed.record.run_id))) == 2
    assert cli("audit", signed.record.run_id, "--trust", "trust.toml").code == 0


def test_a_run_that_failed_is_signed_and_not_trusted(signed: Project, cli: Cli) -> None:
    signed.script("raise SystemExit(3)")
    assert cli("run").code == 1
    record = signed.record
    said = cli("audit", record.run_id, "--trust", "trust.toml")
    assert (said.code, said.err.splitlines()[0]) == (
        7,
        f"error: run {record.run_id[:8]} is FAILED: exit code 3",
    )


def test_a_key_that_cannot_sign_stops_the_run_before_anything(
    signed: Project, cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    signed.script("open('executed', 'w')")
    monkeypatch.setenv("REPROLOCK_SIGNING_KEY", str(tmp_path / "nowhere.pem"))
    said = cli("run")
    assert (said.code, said.err) == (
        2,
        f"error: {tmp_path}/nowhere.pem (REPROLOCK_SIGNING_KEY) is not there\n"
        "hint: `reprolock key new FILE` makes a pair\n",
    )
    assert not (signed.root / ".reprolock" / "runs").exists()


def test_the_key_in_the_code_is_refused(signed: Project, cli: Cli) -> None:
    signed.edit('code = ["train.py"]', 'code = ["train.py", "ci.pem"]')
    assert cli("key", "new", "ci.pem").code == 0
    said = cli("run")
    assert said.code == 2
    assert said.err.startswith("error: ci.pem:1 contains a secret")
