"""Time stamps of a real RFC 3161 authority: rules that are older than the result, and rules that only say so."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from command_line import Cli
from evidence import Case, make_case, sign_again
from project import Project
from replaying import edit, edit_record, forge, reseal
from time_authority import Authority, authority, certify

import reprolock
from reprolock.errors import MachineError, NotReplayable, ServiceError
from reprolock.files.lock_file import parse_lock
from reprolock.model.claims import Audit
from reprolock.model.record import Record
from reprolock.signing.keys import new_key, open_key
from reprolock.signing.timestamp import read_certificates, request_token, verify_token
from reprolock.steps.evidence.attest import Attestor
from reprolock.steps.evidence.attestations import read_lines, write_lines
from reprolock.steps.project.machine import Machine
from reprolock.steps.replaying.replay import ReplayOptions


@pytest.fixture(scope="module")
def tsa(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authority]:
    with authority(tmp_path_factory.mktemp("tsa")) as found:
        yield found


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory, empty_mlflow: Path, tsa: Authority) -> Case:
    folder = tmp_path_factory.mktemp("stamped")
    return make_case(folder, empty_mlflow, evidence=f'\n[evidence]\ntimestamp = "{tsa.address}"\n')


def look(case: Case, folder: Path, tsa: Authority, place: Path, text: str = "") -> Audit:
    authorities = f'[timestamps.tsa]\ncertificate = "{tsa.root}"\n{text}'
    trust = case.trust(place, authorities, ci=["run"])
    return reprolock.audit(place, str(folder), trust, machine=case.machine())


def test_rules_that_are_older_than_the_result(case: Case, tsa: Authority, tmp_path: Path) -> None:
    found = look(case, case.artifacts, tsa, tmp_path)
    assert found.outcome == "TRUSTED", found.reasons
    rules, *_, result = (claim for claim in found.claims if claim.topic in ("rules", "result"))
    assert (rules.says, rules.by) == ("older than the result", "signed by ci")
    assert rules.stamped is not None and result.stamped is not None and case.record.ended is not None
    assert case.record.started - timedelta(seconds=2) <= rules.stamped <= case.record.ended
    assert rules.stamped <= result.stamped
    assert found.author_alone == ("what came out of the run: no other key has signed a verdict",)
    assert all(row.stamped for row in found.statements)


def test_rules_that_were_signed_after_the_result(case: Case, tsa: Authority, tmp_path: Path) -> None:
    """The author's machine rewrites all of it with its own key, and has it time-stamped: by then the command had ended."""
    folder = case.copy(tmp_path / "artifacts")
    edit(folder, "repro.toml", "rel = 1e-6", "rel = 1e-2")
    forge(folder)
    record = Record.model_validate_json((folder / "record.json").read_bytes())
    key = open_key({"REPROLOCK_SIGNING_KEY": str(case.keys / "ci.pem")})
    assert key is not None
    time.sleep(1.1)  # the authority's clock counts whole seconds
    attestor = Attestor(key, tsa.address, Machine.here().now, {})
    intent = attestor.intent(record)
    write_lines(folder, [intent, attestor.run(record, None, None, [intent])])
    reasons = look(case, folder, tsa, tmp_path / "a").reasons
    assert len(reasons) == 1
    assert reasons[0].startswith("the rules are not older than the result: they were time-stamped ")
    trust = tmp_path / "a" / "trust.toml"
    with pytest.raises(NotReplayable, match="the rules are not older than the result"):
        reprolock.replay(
            tmp_path / "a", str(folder), ReplayOptions(tracking_uri=case.tracking, trust=trust), machine=case.machine()
        )

    # Without a token, or with that of another statement.
    old = read_lines(case.artifacts)[0]
    sign_again(case, folder)
    assert look(case, folder, tsa, tmp_path / "b").reasons == (
        "trust.toml asks for time stamps, and what was signed before the run has none",
        "trust.toml asks for time stamps, and what was signed after the run has none",
    )
    lines = read_lines(folder)
    token = old[old.index(b',"timestamp"') :]
    write_lines(folder, [lines[0][:-1] + token, lines[1]])
    reasons = look(case, folder, tsa, tmp_path / "c").reasons
    assert reasons[0] == (
        "line 1 of attestations.jsonl: its time stamp is not by an authority in trust.toml whose certificates held then, or is for something else"
    )


def test_a_run_that_says_it_ended_after_its_result_was_stamped(case: Case, tsa: Authority, tmp_path: Path) -> None:
    folder = case.copy(tmp_path / "artifacts")
    edit_record(folder, lambda record: record.update(ended="2036-11-27T07:31:02Z"))
    forge(folder)
    record = Record.model_validate_json((folder / "record.json").read_bytes())
    key = open_key({"REPROLOCK_SIGNING_KEY": str(case.keys / "ci.pem")})
    assert key is not None
    attestor = Attestor(key, tsa.address, Machine.here().now, {})
    intent = attestor.intent(record)
    write_lines(folder, [intent, attestor.run(record, None, None, [intent])])
    [reason] = look(case, folder, tsa, tmp_path / "a").reasons
    assert reason.startswith("the result was time-stamped ")
    assert reason.endswith("Z, and record.json says that the command ended 2036-11-27 07:31:02Z, after that")


def test_another_authority(case: Case, tmp_path: Path) -> None:
    with authority(tmp_path / "other") as other:
        reasons = look(case, case.artifacts, other, tmp_path / "trust").reasons
    assert reasons[0] == (
        "line 1 of attestations.jsonl: its time stamp is not by an authority in trust.toml whose certificates held then, or is for something else"
    )


def test_a_token_fits_what_was_stamped(tsa: Authority) -> None:
    now = Machine.here().now
    token = request_token(tsa.address, b"signature", {}, now())
    roots = read_certificates(tsa.root.read_bytes(), "root.pem")
    assert abs(verify_token(token, b"signature", roots) - now()) < timedelta(seconds=5)
    with pytest.raises(ValueError):
        verify_token(token, b"another", roots)
    with pytest.raises(MachineError) as caught:
        request_token(tsa.address, b"signature", {}, now() - timedelta(hours=1))
    assert str(caught.value).startswith("this machine's clock is 3")
    assert f" s behind that of {tsa.address} (evidence.timestamp)" in str(caught.value)
    with pytest.raises(MachineError) as caught:
        request_token(tsa.address, b"signature", {}, now() + timedelta(hours=1))
    assert f" s ahead of that of {tsa.address} (evidence.timestamp)" in str(caught.value)


@pytest.mark.parametrize(
    ("changed", "since", "until", "holds"),
    [
        ("tsa", -10, 10, True),
        ("tsa", -10, -1, False),
        ("tsa", 1, 10, False),
        ("root", -10, -1, False),
        ("root", 1, 10, False),
    ],
)
def test_certificates_that_do_not_hold(
    changed: str, since: int, until: int, holds: bool, case: Case, tmp_path: Path
) -> None:
    """Expired, or not yet valid, when the authority stamped: days from now."""
    with authority(tmp_path / "tsa") as tsa:
        now = datetime.now(UTC)
        certify(tmp_path / "tsa", changed, now + timedelta(days=since), now + timedelta(days=until))
        folder = case.copy(tmp_path / "run")
        found = look(case, _stamped_again(case, folder, tsa), tsa, tmp_path)
    assert (found.outcome == "TRUSTED") is holds
    if not holds:
        assert found.reasons[0] == (
            "line 1 of attestations.jsonl: its time stamp is not by an authority in trust.toml whose certificates held then, "
            "or is for something else"
        )


def test_a_certificate_that_has_expired_since(tmp_path: Path) -> None:
    """Evidence is read years later: what counts is that the certificate held when it stamped."""
    with authority(tmp_path) as tsa:
        now = datetime.now(UTC)
        certify(tmp_path, "tsa", now - timedelta(days=1), now + timedelta(seconds=2))
        token = request_token(tsa.address, b"signature", {}, Machine.here().now())
    time.sleep(3)
    roots = read_certificates(tsa.root.read_bytes(), "root.pem")
    assert verify_token(token, b"signature", roots) < datetime.now(UTC) - timedelta(seconds=1)


def _stamped_again(case: Case, folder: Path, tsa: Authority) -> Path:
    """The run's statements anew, stamped by this authority, in a record that ends after that."""
    key = open_key({"REPROLOCK_SIGNING_KEY": str(case.keys / "ci.pem")})
    assert key is not None
    attestor = Attestor(key, tsa.address, Machine.here().now, {})
    edit_record(
        folder, lambda record: record.update(ended=f"{datetime.now(UTC) + timedelta(minutes=1):%Y-%m-%dT%H:%M:%SZ}")
    )
    reseal(folder)
    record = Record.model_validate_json((folder / "record.json").read_bytes())
    intent = attestor.intent(record)
    lock = parse_lock((folder / "repro.lock").read_bytes())
    write_lines(folder, [intent, attestor.run(record, lock.environment, lock.jars, [intent])])
    return folder


@pytest.mark.parametrize(("days", "counts"), [(1, True), (-1, False)])
def test_a_key_that_was_revoked(days: int, counts: bool, case: Case, tsa: Authority, tmp_path: Path) -> None:
    """What was time-stamped before that counts; what was not is refused, and so is what carries no time stamp."""
    since = datetime.now(UTC) + timedelta(days=days)
    for named, roots in (("stamped", f'[timestamps.tsa]\ncertificate = "{tsa.root}"\n'), ("plain", "")):
        trust = case.trust(tmp_path / named, roots, ci=["run"])
        trust.write_text(
            trust.read_text().replace('roles = ["run"]', f'roles = ["run"]\nrevoked = {since:%Y-%m-%dT%H:%M:%SZ}')
        )
        found = reprolock.audit(tmp_path, str(case.artifacts), trust, machine=case.machine())
        said = (
            f"line 1 of attestations.jsonl: the key of ci was revoked {since:%Y-%m-%d}, and no time stamp shows that it was "
            "signed before that"
        )
        if counts and roots:
            assert found.outcome == "TRUSTED", found.reasons
        else:
            assert found.reasons[0] == said


def test_an_authority_that_is_not_there(
    project: Project, cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with pytest.raises(ServiceError) as caught:
        request_token("http://127.0.0.1:9/tsa", b"x", {}, Machine.here().now())
    assert str(caught.value).startswith("no time stamp from http://127.0.0.1:9/tsa (evidence.timestamp): ")
    project.add('[evidence]\ntimestamp = "http://127.0.0.1:9/tsa"\n')
    project.script("open('executed', 'w')")
    assert cli("lock").code == 0
    key = tmp_path_factory.mktemp("keys") / "ci.pem"
    new_key(key)
    monkeypatch.setenv("REPROLOCK_SIGNING_KEY", str(key))
    said = cli("run")
    assert said.code == 5
    assert "no time stamp from http://127.0.0.1:9/tsa" in said.err
    assert not list(project.root.rglob("executed"))
    offline = cli("run", "--offline")
    assert offline.code == 0, offline.err
