"""What a forger tries beside changing bytes: other readings of what was signed, other files, other keys of one author."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from evidence import Case

import reprolock
from reprolock.errors import ReprolockError
from reprolock.files.lock_file import parse_lock
from reprolock.model.claims import Audit
from reprolock.model.digest import sha256
from reprolock.model.record import Record
from reprolock.model.statement import Intent
from reprolock.model.verdict import Comparison, Verdict
from reprolock.signing.envelope import open_line, seal
from reprolock.signing.keys import open_key
from reprolock.steps.evidence import statements
from reprolock.steps.evidence.attest import Attestor
from reprolock.steps.evidence.attestations import append, read_lines, write_lines
from reprolock.steps.evidence.verdicts import verdict_line
from reprolock.steps.project.machine import Machine


@pytest.fixture
def look(case: Case, tmp_path: Path) -> Callable[..., Audit]:
    """By the author's key alone, unless another trust is given."""
    alone = case.trust(tmp_path / "alone", ci=["run"])

    def found(folder: Path, trust: Path = alone, **options: object) -> Audit:
        return reprolock.audit(tmp_path, str(folder), trust, machine=case.machine(), **options)

    return found


def _hand(case: Case, key: str) -> Attestor:
    opened = open_key({"REPROLOCK_SIGNING_KEY": str(case.keys / f"{key}.pem")})
    assert opened is not None
    return Attestor(opened, None, Machine.here().now, {})


def _record(folder: Path) -> Record:
    return Record.model_validate_json((folder / "record.json").read_bytes())


def _sign(case: Case, folder: Path, intent: bytes, change: tuple[bytes, bytes] = (b"", b"")) -> None:
    """The run's statement behind an intent, over what stands there, by the author; changed before it is signed."""
    hand, record, lock = _hand(case, "ci"), _record(folder), parse_lock((folder / "repro.lock").read_bytes())
    digest = sha256((folder / "record.json").read_bytes())
    payload = statements.run(record, digest, lock.environment, lock.jars, hand.link(record.run_id, [intent]))
    assert change[0] in payload
    write_lines(folder, [intent, seal(payload.replace(*change, 1), hand.key)])


@pytest.mark.parametrize(
    "change",
    [
        lambda payload: payload.replace(b'"predicate":{', b'"predicate":{"rules":{}},"predicate":{', 1),
        lambda payload: payload.replace(b'"rules":{', b'"rules":{},"rules":{', 1),
        lambda payload: payload.replace(b'"predicateType"', b'"note":"","predicateType"', 1),
        lambda payload: payload.replace(b"{", b"{ ", 1),
        lambda payload: payload.decode().encode("utf-16"),
    ],
    ids=["a predicate twice", "rules twice", "another field", "a blank", "another encoding"],
)
def test_a_statement_that_others_read_otherwise(
    change: Callable[[bytes], bytes], case: Case, folder: Path, look: Callable[..., Audit]
) -> None:
    """The author signs a payload of which cosign, or a person, sees another rule than reprolock does."""
    intent = seal(change(open_line(read_lines(folder)[0]).payload), _hand(case, "ci").key)
    _sign(case, folder, intent)
    assert look(folder).reasons[0] == (
        "line 1 of attestations.jsonl: its payload is not written as reprolock writes it"
    )


def test_a_number_of_another_type(case: Case, folder: Path, look: Callable[..., Audit]) -> None:
    intent = read_lines(folder)[0]
    _sign(case, folder, intent)
    assert look(folder).outcome == "TRUSTED"
    _sign(case, folder, intent, (b'"factor":2', b'"factor":2.0'))
    assert look(folder).reasons == (
        "the statement on the run and record.json say different things of what was asked for",
    )


def test_a_record_that_says_something_twice(case: Case, folder: Path, look: Callable[..., Audit]) -> None:
    file = folder / "record.json"
    file.write_bytes(file.read_bytes().replace(b'"metrics":', b'"metrics": {"auc": 0.1}, "metrics":', 1))
    _sign(case, folder, _hand(case, "ci").intent(_record(folder)))
    assert look(folder).reasons == ('record.json is no JSON document: the key "metrics" stands twice in one object',)


@pytest.mark.parametrize("name", ["/dev/zero", "../../secret", "a\0b", "/etc"])
def test_a_statement_that_names_other_files(name: str, case: Case, folder: Path, look: Callable[..., Audit]) -> None:
    """Anybody may append a line; what it names is not opened."""
    hand, record = _hand(case, "stranger"), _record(folder)
    link = hand.link(record.run_id, read_lines(folder))
    subjects = {each: {"sha256": record.artifacts[each]} for each in statements.DECLARED} | {name: {"sha256": "0" * 64}}
    said = Intent(**link.model_dump(), project=record.project, pinned=record.pinned, rules=record.rules)
    append(folder, hand.state(subjects, said))
    key = f"the unknown key {hand.key.public.id[:12]}"
    assert f"what {key} signed before the run is about other files than repro.toml, repro.lock, code.tar.gz" in (
        look(folder).reasons
    )


@pytest.mark.skipif(os.name != "posix", reason="pipes with names are POSIX's")
@pytest.mark.parametrize("name", ["repro.toml", "record.json", "attestations.jsonl", "code.tar.gz"])
def test_no_link_is_followed_and_no_pipe_is_read(
    name: str, folder: Path, look: Callable[..., Audit], tmp_path: Path
) -> None:
    (folder / name).rename(tmp_path / "elsewhere")
    for make in (lambda path: path.symlink_to(tmp_path / "elsewhere"), os.mkfifo):
        make(folder / name)
        with pytest.raises(ReprolockError) as caught:
            look(folder)
        assert name in str(caught.value)
        (folder / name).unlink()


def test_the_author_under_two_keys(case: Case, folder: Path, look: Callable[..., Audit], tmp_path: Path) -> None:
    """Whoever signed what was to run is no other person than the run's author."""
    intent = _hand(case, "auditor").intent(_record(folder))
    _sign(case, folder, intent)
    comparisons = [
        Comparison(name=name, kind="output", how="bytes", recorded="file:a", found="file:a", state="identical")
        for name in ("model", "report")
    ]
    said = Verdict(kind="REPRODUCED", reason="2 of 2 compared", comparisons=tuple(comparisons))
    append(folder, verdict_line(_hand(case, "auditor"), folder, case.record, case.record, said))
    trust = case.trust(tmp_path / "two", ci=["run"], auditor=["run", "replay"])
    found = look(folder, trust)
    assert found.reasons == ("verdicts REPRODUCED by 1 key other than the author's are required, and there are none",)
    assert found.remarks == ("line 3: a verdict by the author's own key does not count",)
