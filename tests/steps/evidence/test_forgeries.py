"""What a forger tries beside changing bytes: other readings of what was signed, other files, other keys of one author."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from command_line import Cli
from evidence import Case
from project import Project
from replaying import edit_record, reseal

import reprolock
from reprolock.errors import NotReplayable, ReprolockError, UsageError
from reprolock.files.lock_file import parse_lock
from reprolock.model.claims import Audit
from reprolock.model.digest import sha256
from reprolock.model.record import Record
from reprolock.model.statement import HeldCommit, Hold, Intent, parse
from reprolock.model.verdict import Comparison, Verdict, displayed
from reprolock.signing.envelope import open_line, seal
from reprolock.signing.keys import new_key, open_key
from reprolock.steps.evidence import statements
from reprolock.steps.evidence.artifacts import open_mlflow
from reprolock.steps.evidence.attest import Attestor
from reprolock.steps.evidence.attestations import append, read_lines, write_lines
from reprolock.steps.evidence.check_statements import check_verdict
from reprolock.steps.evidence.read_statements import Line
from reprolock.steps.evidence.verdicts import standing, verdict_line
from reprolock.steps.project.machine import Machine
from reprolock.steps.project.run_folders import local_heads


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


def _by(case: Case, folder: Path, key: str, digest: str | None = None) -> bytes:
    """REPRODUCED, by that key; of other results than the record's, if one is given."""
    comparisons = [
        Comparison(
            name=output.name,
            kind="output",
            how="bytes",
            recorded=digest or output.compared,
            found=digest or output.compared,
            state="identical",
        )
        for output in case.record.outputs
    ]
    said = Verdict(kind="REPRODUCED", reason="2 of 2 compared", comparisons=tuple(comparisons))
    return verdict_line(_hand(case, key), standing(folder), case.record, case.record, said)


def test_one_person_under_two_keys(case: Case, folder: Path, look: Callable[..., Audit], tmp_path: Path) -> None:
    """Whom trust.toml names as the owner of two keys gives one verdict, and the run's author gives none with another key."""
    write_lines(folder, read_lines(folder)[:2])
    append(folder, *(_by(case, folder, key) for key in ("auditor", "stranger")))
    roles = {"ci": ["run"], "auditor": ["replay"], "stranger": ["replay"]}
    two = case.trust(tmp_path / "two", "[require]\nreplay = 2\n", **roles)
    assert look(folder, two).outcome == "TRUSTED"

    def owned(place: str, *names: str) -> Path:
        text = case.trust(tmp_path / place, "[require]\nreplay = 1\n", **roles).read_text()
        for name in names:
            text = text.replace(f"[keys.{name}]", f'[keys.{name}]\nowner = "Ada"')
        (tmp_path / place / "trust.toml").write_text(text)
        return tmp_path / place / "trust.toml"

    same = owned("same", "auditor", "stranger")
    found = look(folder, same)
    assert (found.outcome, found.asked) == ("TRUSTED", "1 of 1 verdict")
    with pytest.raises(
        UsageError,
        match=r"--threshold 2 asks for more verdicts than trust.toml has keys for: 1 key has the role replay",
    ):
        look(folder, same, threshold=2)
    own = look(folder, owned("own", "ci", "auditor", "stranger"))
    assert own.reasons == ("verdicts REPRODUCED by 1 key other than the author's are required, and there are none",)
    assert own.remarks == tuple(f"line {line}: a verdict by the author's own key does not count" for line in (3, 4))


@pytest.mark.parametrize("meaning", ["rejected", "Rejected", " REJECTED "])
def test_a_rejection_however_it_is_written(
    meaning: str, case: Case, folder: Path, look: Callable[..., Audit], tmp_path: Path
) -> None:
    nowhere = f"sqlite:///{tmp_path}/none.db"
    reprolock.sign(
        tmp_path, str(folder), name="Ada", meaning=meaning, tracking_uri=nowhere, machine=case.machine("reviewer")
    )
    assert look(folder, case.trust(tmp_path / "trust")).reasons == ("reviewer rejected it",)


REWRITES = """\
import json
from pathlib import Path

Path("out.txt").write_text("1")
for folder in Path.cwd().parents:
    record = folder / "recorded" / "record.json"
    if record.is_file():
        record.write_text(record.read_text().replace('"rows"', '"better"'))
        (folder / "recorded" / "attestations.jsonl").unlink()
        Path(record).with_name("was-here").touch()
"""


def test_a_command_that_rewrites_what_its_replay_is_about(
    project: Project, cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """It runs under the auditor's account: the verdict is on what stood there before, or another record got an auditor's word."""
    keys = tmp_path_factory.mktemp("keys")
    project.add('[outputs.out]\npath = "out.txt"\n')
    project.script(REWRITES)
    assert cli("lock").code == 0
    for name, command in (("author", "run"), ("auditor", "replay")):
        new_key(keys / f"{name}.pem")
        monkeypatch.setenv("REPROLOCK_SIGNING_KEY", str(keys / f"{name}.pem"))
        said = cli(command, *([project.record.run_id] if command == "replay" else []))
        assert said.code == 0, said.err
    run_id = next(head.run_id for head in local_heads(project.root) if head.replay_of is None)
    folder = project.run_folder(run_id)
    assert list(project.root.rglob("was-here"))
    intent, run, verdict = map(open_line, read_lines(folder))
    said = parse(verdict.payload)
    assert said.subjects == {"record.json": {"sha256": sha256((folder / "record.json").read_bytes())}}
    assert said.link.previous == sha256(read_lines(folder)[1])


def test_a_hold_of_something_else(case: Case, folder: Path, look: Callable[..., Audit]) -> None:
    """Signed by the author, of a commit that the run has nothing to do with."""
    hand, record = _hand(case, "ci"), _record(folder)
    held = HeldCommit(repository="example-repo", commit="c" * 40, branch="x", until=datetime(2036, 1, 1, tzinfo=UTC))
    said = Hold(**hand.link(record.run_id, read_lines(folder)).model_dump(), held=(held,))
    append(folder, hand.state({}, said))
    assert look(folder).reasons == ("line 5: the hold of ci is of a commit that the run did not read, cccccccccccc",)


def test_a_verdict_on_several_runs_of_one_command(case: Case, folder: Path, look: Callable[..., Audit]) -> None:
    """Beside each declared metric stands that of each MLflow run; what nobody declared proves nothing."""
    edit_record(
        folder,
        lambda record: record["rules"].update({"metrics.loss": {}}) or record["metrics"].update(loss=1.0),
    )
    record = _record(folder)
    results = {output.name: output.compared for output in record.outputs}

    def say(*metrics: str) -> list[str]:
        names = [("output", "model"), ("output", "report"), *(("metric", name) for name in metrics)]
        comparisons = tuple(
            Comparison(name=name, kind=kind, how="exact", recorded=value, found=value, state="identical")
            for kind, name in names
            for value in [results.get(name, displayed(1.0))]
        )
        said = Verdict(kind="REPRODUCED", reason="all compared", comparisons=comparisons)
        signed = open_line(verdict_line(_hand(case, "auditor"), standing(folder), record, record, said))
        return list(check_verdict(Line(3, "", "", "auditor", parse(signed.payload)), record, folder))

    assert say("loss", "loss of run 1", "loss of run 2") == say("loss") == []
    refused = ["the verdict of auditor does not compare all that the run declares"]
    assert say("loss of run 1") == say("loss", "other of run 1") == say() == refused


def test_a_verdict_on_other_results(case: Case, folder: Path, look: Callable[..., Audit], tmp_path: Path) -> None:
    """By a key that is believed, of a replay that was shown another record."""
    write_lines(folder, read_lines(folder)[:2])
    append(folder, _by(case, folder, "auditor", f"file:{'0' * 64}"))
    assert look(folder, case.trust(tmp_path / "trust", "[require]\nreview = 0\n")).reasons == (
        "the verdict of auditor compares another model than that of record.json",
        "the verdict of auditor compares another report than that of record.json",
    )


def test_an_output_that_stands_twice(case: Case, folder: Path, look: Callable[..., Audit]) -> None:
    """The last one is compared, and a person reads the first."""
    edit_record(
        folder, lambda record: record["outputs"].insert(0, {**record["outputs"][0], "digest": f"file:{'0' * 64}"})
    )
    reseal(folder)
    _sign(case, folder, _hand(case, "ci").intent(_record(folder)))
    assert "outputs: those of record.json are not those of repro.toml" in look(folder).reasons


def test_a_time_of_no_zone(case: Case, folder: Path, look: Callable[..., Audit]) -> None:
    edit_record(folder, lambda record: record.update(ended="2026-01-01T00:00:00"))
    with pytest.raises(NotReplayable, match=r"record\.json is not a record that this reprolock reads: ended: "):
        look(folder)


def test_another_run_under_the_id_that_is_asked_for(case: Case, tmp_path: Path) -> None:
    """Who may write MLflow puts a good run's artifacts in the place of the one that somebody audits."""
    with closing(open_mlflow(tmp_path, case.machine(), case.tracking)) as tracker:
        replay = next(row for row in tracker.runs(None, limit=10) if row.run_id != case.record.run_id)
        for file in case.artifacts.iterdir():
            if file.is_file():
                tracker.attach(replay.run_id, file.name, file.read_bytes())
    options = {"tracking_uri": case.tracking, "machine": case.machine()}
    trust = case.trust(tmp_path / "trust")
    assert reprolock.audit(tmp_path, case.record.run_id, trust, **options).outcome == "TRUSTED"
    with pytest.raises(NotReplayable) as caught:
        reprolock.audit(tmp_path, replay.run_id, trust, **options)
    assert caught.value.message == (
        f"MLflow has the record of another run under {replay.run_id[:8]}: that of {case.record.run_id[:8]}"
    )


def test_the_author_under_two_keys(case: Case, folder: Path, look: Callable[..., Audit], tmp_path: Path) -> None:
    """Whoever signed what was to run is no other person than the run's author."""
    intent = _hand(case, "auditor").intent(_record(folder))
    _sign(case, folder, intent)
    append(folder, _by(case, folder, "auditor"))
    trust = case.trust(tmp_path / "two", ci=["run"], auditor=["run", "replay"])
    found = look(folder, trust)
    assert found.reasons == ("verdicts REPRODUCED by 1 key other than the author's are required, and there are none",)
    assert found.remarks == ("line 3: a verdict by the author's own key does not count",)
