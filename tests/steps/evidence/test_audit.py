"""What an audit finds by public keys alone: every change of what was signed, and what nobody but the author vouches for."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from evidence import ROLES, Case, sign_again
from replaying import edit, edit_record, readmit, reseal

import reprolock
from reprolock.errors import NotReplayable, UsageError
from reprolock.model.claims import Audit
from reprolock.model.verdict import Comparison, Verdict
from reprolock.signing.keys import open_key
from reprolock.steps.evidence.artifacts import open_mlflow
from reprolock.steps.evidence.attest import Attestor
from reprolock.steps.evidence.attestations import append, read_lines, write_lines
from reprolock.steps.evidence.verdicts import standing, verdict_line
from reprolock.steps.project.machine import Machine
from reprolock.steps.replaying.replay import ReplayOptions


@pytest.fixture
def look(case: Case, tmp_path: Path) -> Callable[..., Audit]:
    trust = case.trust(tmp_path / "trust")

    def found(folder: Path, trust: Path = trust, **options: object) -> Audit:
        return reprolock.audit(tmp_path, str(folder), trust, machine=case.machine(), **options)

    return found


def test_all_that_is_asked_for(folder: Path, look: Callable[..., Audit]) -> None:
    found = look(folder)
    assert found.outcome == "TRUSTED", found.reasons
    assert [(claim.topic, claim.says) for claim in found.claims] == [
        ("rules", "signed before the result, by the author's clock"),
        ("data", f"train at {json.loads((folder / 'record.json').read_text())['datasets'][0]['commit'][:12]}"),
        ("software", "packages not locked"),
        ("result", "2 outputs, 0 metrics"),
        ("replayed", "REPRODUCED, 2 of 2 compared"),
        ("reviewed", "approved, Ada Lovelace"),
    ]
    assert found.asked == "1 of 1 verdict, 1 of 1 review"
    assert found.author_alone == ("that the rules are older than the result, and when it ran: there is no time stamp",)
    assert [(row.kind, row.signer) for row in found.statements] == [
        ("intent", "ci"),
        ("run", "ci"),
        ("verdict", "auditor"),
        ("review", "reviewer"),
    ]


def test_any_flipped_byte(folder: Path, look: Callable[..., Audit]) -> None:
    """record, spec, lock, code, kept outputs, statements: whichever byte of whichever file."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    assert {"attestations.jsonl", "code.tar.gz", "record.json", "repro.lock", "repro.toml"} <= {
        path.name for path in files
    }
    for file in files:
        data = file.read_bytes()
        for position in range(0, len(data), max(1, len(data) // 12)):
            file.write_bytes(data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :])
            try:
                found = look(folder)
            except NotReplayable:
                continue
            assert found.reasons, (file.name, position)
        file.write_bytes(data)
    assert look(folder).outcome == "TRUSTED"


def test_any_other_order_of_statements(folder: Path, look: Callable[..., Audit]) -> None:
    lines = read_lines(folder)
    moved = "its link to the line before is broken: one was changed, moved or removed"
    for at in range(3):
        write_lines(folder, [*lines[:at], lines[at + 1], lines[at], *lines[at + 2 :]])
        assert any(moved in reason for reason in look(folder).reasons), at
        write_lines(folder, [*lines[:at], *lines[at + 1 :]])
        assert any(moved in reason for reason in look(folder).reasons), at
    write_lines(folder, lines[:3])
    assert look(folder).reasons == ("reviews by 1 key other than the author's are required, and there are none",)
    (folder / "attestations.jsonl").write_bytes(b"\n".join(lines))  # cut short at its end by one byte: nothing is lost
    assert look(folder).outcome == "TRUSTED"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            lambda record: record["rules"]["outputs.model"].update(rel=0.01),
            "the tolerance of model is not the one that was signed before the run: ±0.01, signed ±1e-6",
        ),
        (
            lambda record: record["rules"].pop("outputs.report"),
            "report is not compared, and was when the rules were signed",
        ),
        (
            lambda record: record["rules"]["outputs.report"].update(compare="none"),
            "how report is compared is not what was signed before the run: compare",
        ),
        (
            lambda record: record["pinned"]["sections"].update(data="0" * 64),
            "data: what record.json says is pinned is not what was signed before the run",
        ),
        (
            lambda record: record["outputs"][0].update(compared=f"json:{'0' * 64}"),
            "record.json is not the one that was signed after the run",
        ),
        (
            lambda record: record["datasets"][0].update(rows=12),
            "record.json is not the one that was signed after the run",
        ),
    ],
)
def test_a_record_with_a_new_seal(
    change: Callable[[dict[str, object]], object], reason: str, folder: Path, look: Callable[..., Audit]
) -> None:
    edit_record(folder, change)
    reseal(folder)
    assert look(folder).reasons[0] == reason


def test_an_artifact_that_the_record_names_anew(folder: Path, look: Callable[..., Audit]) -> None:
    edit(folder, "repro.toml", "rel = 1e-6", "rel = 1e-2")
    readmit(folder)
    reasons = look(folder).reasons
    assert reasons[:2] == (
        "repro.toml is not the one that was signed before the run",
        "record.json is not the one that was signed after the run",
    )


def test_an_author_who_signs_all_of_it_again(
    folder: Path, case: Case, look: Callable[..., Audit], tmp_path: Path
) -> None:
    """Looser rules after the result: record, artifacts and statements rewritten on the author's machine, with its own key."""
    edit(folder, "repro.toml", "rel = 1e-6", "rel = 1e-2")
    old = read_lines(folder)
    sign_again(case, folder)

    # By the author's key alone it looks right, and the audit says whose word it is.
    alone = look(folder, case.trust(tmp_path / "alone", ci=["run"]))
    assert alone.outcome == "TRUSTED"
    assert alone.author_alone == (
        "that the rules are older than the result, and when it ran: there is no time stamp",
        "what came out of the run: no other key has signed a verdict",
    )

    # A second key in trust: its verdict is missing, or it is about another record.
    assert look(folder).reasons == (
        "verdicts REPRODUCED by 1 key other than the author's are required, and there are none",
        "reviews by 1 key other than the author's are required, and there are none",
    )
    append(folder, *old[2:])
    reasons = look(folder).reasons
    assert "line 3 of attestations.jsonl: its link to the line before is broken" in reasons[0]
    assert any(reason.startswith("verdicts REPRODUCED by 1 key") for reason in reasons)

    # A time stamp in trust: there is none.
    stamped = '[timestamps.tsa]\ncertificate = "tsa.pem"\n'
    trust = case.trust(tmp_path / "stamped", stamped, ci=["run"])
    _certificate(trust.parent / "tsa.pem")
    write_lines(folder, read_lines(folder)[:2])
    assert look(folder, trust).reasons == (
        "trust.toml asks for time stamps, and what was signed before the run has none",
        "trust.toml asks for time stamps, and what was signed after the run has none",
    )

    # And a replay refuses it before anything is executed.
    for file in (trust, case.trust(tmp_path / "second")):
        (tmp_path / "auditor").mkdir(exist_ok=True)
        options = ReplayOptions(tracking_uri=case.tracking, trust=file)
        if file is trust:
            with pytest.raises(NotReplayable, match=r"trust\.toml asks for time stamps"):
                reprolock.replay(tmp_path / "auditor", str(folder), options, machine=case.machine())


def test_a_key_that_nobody_knows(folder: Path, case: Case, look: Callable[..., Audit]) -> None:
    sign_again(case, folder, key="stranger")
    reasons = look(folder).reasons
    shown = open_key({"REPROLOCK_SIGNING_KEY": str(case.keys / "stranger.pem")})
    assert shown is not None
    key = f"the unknown key {shown.public.id[:12]}"
    assert f"what was signed before the run is by {key}, which is not in trust.toml" in reasons
    assert f"what was signed after the run is by {key}, which is not in trust.toml" in reasons


def test_no_statements(folder: Path, case: Case, look: Callable[..., Audit]) -> None:
    (folder / "attestations.jsonl").unlink()
    assert look(folder).reasons[0] == f"run {case.record.run_id[:12]} is not signed: there is no attestations.jsonl"


def test_a_role_that_a_key_has_not(folder: Path, case: Case, look: Callable[..., Audit], tmp_path: Path) -> None:
    trust = case.trust(tmp_path / "roles", ci=["run"], auditor=["review"], reviewer=["replay"])
    found = look(folder, trust)
    assert found.reasons == (
        "verdicts REPRODUCED by 1 key other than the author's are required, and there are none",
        "reviews by 1 key other than the author's are required, and there are none",
    )
    assert found.remarks == (
        "line 3: auditor does not have the role replay: not counted",
        "line 4: reviewer does not have the role review: not counted",
    )


def _verdict(case: Case, folder: Path, key: str, kind: str) -> bytes:
    opened = open_key({"REPROLOCK_SIGNING_KEY": str(case.keys / f"{key}.pem")})
    assert opened is not None
    state = "identical" if kind == "REPRODUCED" else "different"
    each = [
        Comparison(
            name=output.name, kind="output", how="bytes", recorded=output.compared, found=output.compared, state=state
        )
        for output in case.record.outputs
    ]
    said = Verdict(kind=kind, reason="2 of 2 compared", comparisons=tuple(each))
    return verdict_line(
        Attestor(opened, None, Machine.here().now, {}), standing(folder), case.record, case.record, said
    )


def test_a_quorum(folder: Path, case: Case, look: Callable[..., Audit], tmp_path: Path) -> None:
    """Two that replayed at the same time stand behind the same line; the author's own verdict counts for nothing."""
    auditors = {"ci": ["run", "replay"], "auditor": ["replay"], "stranger": ["replay"]}
    trust = case.trust(tmp_path / "quorum", ci=auditors["ci"], auditor=["replay"], stranger=["replay"])
    assert look(folder, trust, threshold=1).outcome == "TRUSTED"
    alone = look(folder, trust, threshold=2)
    assert alone.reasons == ("verdicts REPRODUCED by 2 keys other than the author's are required, and there is 1",)
    write_lines(tmp_path, [_verdict(case, folder, "ci", "REPRODUCED")])
    own = look(folder, trust, threshold=2, statements=[tmp_path / "attestations.jsonl"])
    assert own.reasons == alone.reasons
    assert "line 5: a verdict by the author's own key does not count" in own.remarks
    write_lines(tmp_path, [_verdict(case, folder, "auditor", "REPRODUCED")])
    assert look(folder, trust, threshold=2, statements=[tmp_path / "attestations.jsonl"]).reasons == alone.reasons
    write_lines(folder, read_lines(folder)[:2])
    lines = [_verdict(case, folder, key, "REPRODUCED") for key in ("auditor", "stranger")]
    append(folder, *lines)
    assert look(folder, trust, threshold=2).outcome == "TRUSTED"
    with pytest.raises(
        UsageError,
        match="--threshold 4 asks for more verdicts than trust.toml has keys for: 3 keys have the role replay",
    ):
        look(folder, trust, threshold=4)


def test_one_who_found_otherwise(folder: Path, case: Case, look: Callable[..., Audit], tmp_path: Path) -> None:
    trust = case.trust(tmp_path / "two", **ROLES, stranger=["replay"])
    append(folder, _verdict(case, folder, "stranger", "DIVERGED"))
    assert look(folder, trust).reasons == ("stranger replayed it and found otherwise: DIVERGED, 2 of 2 compared",)
    assert look(folder).outcome == "TRUSTED"  # where that key is unknown, anybody could have written it


def test_a_reviewer_who_rejects(case: Case, folder: Path, look: Callable[..., Audit], tmp_path: Path) -> None:
    reprolock.sign(
        tmp_path,
        str(folder),
        name="Ada",
        meaning="rejected",
        comment="too few rows",
        tracking_uri=f"sqlite:///{tmp_path}/none.db",
        machine=case.machine("reviewer"),
    )
    assert look(folder).reasons == ("reviewer rejected it: too few rows",)


def test_what_does_not_fit_is_not_signed(case: Case, folder: Path, tmp_path: Path) -> None:
    edit_record(folder, lambda record: record["rules"]["outputs.model"].update(rel=0.01))
    reseal(folder)
    before = read_lines(folder)
    with pytest.raises(NotReplayable):
        reprolock.sign(tmp_path, str(folder), name="Ada", machine=case.machine("reviewer"))
    assert read_lines(folder) == before


def test_a_review_by_the_runs_own_key_is_said_to_count_for_nothing(case: Case, folder: Path, tmp_path: Path) -> None:
    said: list[str] = []
    options = {"name": "Ada", "tracking_uri": f"sqlite:///{tmp_path}/none.db", "warn": said.append}
    reprolock.sign(tmp_path, str(folder), machine=case.machine("reviewer"), **options)
    assert said == []
    reprolock.sign(tmp_path, str(folder), machine=case.machine("ci"), **options)
    assert said == [
        "this key signed the run itself, and an audit counts no review by it: a second person signs with their own"
    ]


def test_a_replay_refuses_what_was_signed_otherwise(case: Case, folder: Path, tmp_path: Path) -> None:
    """Without a trust.toml too: somebody without any key has forged the record, and the statements stand beside it."""
    edit(folder, "repro.toml", "rel = 1e-6", "rel = 1e-2")
    from replaying import forge

    forge(folder)
    marker = tmp_path / "executed"
    (tmp_path / "auditor").mkdir()
    with pytest.raises(NotReplayable) as caught:
        reprolock.replay(
            tmp_path / "auditor",
            str(folder),
            ReplayOptions(tracking_uri=f"sqlite:///{tmp_path}/none.db"),
            machine=case.machine(),
        )
    assert caught.value.message == (
        "the tolerance of model is not the one that was signed before the run: ±0.01, signed ±1e-6"
    )
    assert not marker.exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "trust.toml:1: keys: missing; the keys that are believed, by the names of their owners"),
        ('[keys.a]\npublic = "ci.pem.pub"\nroles = ["boss"]', "trust.toml:3: keys.a.roles[0]: "),
        ('[keys.a]\npublic = "ci.pem.pub"\nroles = ["review"]', 'no key has the role "run"'),
        ('[keys.a]\npublic = "no.pub"\nroles = ["run"]', "trust.toml: keys.a.public: "),
        (
            '[keys.a]\npublic = "ci.pem.pub"\nroles = ["run"]\n[keys.b]\npublic = "ci.pem.pub"\nroles = ["replay"]',
            "trust.toml: keys.b.public is the key of a too",
        ),
        (
            '[keys.a]\npublic = "ci.pem.pub"\nroles = ["run"]\n[require]\nreplay = 2',
            "require.replay asks for 2 keys with the role replay, and none have it",
        ),
        ('[keys.a]\npublic = "ci.pem"\nroles = ["run"]', "trust.toml: keys.a.public holds a private key"),
    ],
)
def test_a_faulty_trust(text: str, message: str, case: Case, folder: Path, look: Callable[..., Audit]) -> None:
    file = case.keys / "trust.toml"
    file.write_text(text)
    with pytest.raises(UsageError) as caught:
        look(folder, file)
    assert message in str(caught.value)


def _certificate(path: Path) -> None:
    import subprocess

    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-keyout", path.with_suffix(".key"), "-out", path, "-subj", "/CN=nobody"],
        check=True, capture_output=True,
    )  # fmt: skip


def test_what_to_do_about_a_word_that_is_missing(
    case: Case, folder: Path, cli: Callable[..., object], tmp_path: Path
) -> None:
    write_lines(folder, read_lines(folder)[:3])
    case.trust(tmp_path / "trust")
    said = cli("audit", str(folder), "--trust", "trust/trust.toml")
    assert (said.code, said.err) == (
        7,
        "error: reviews by 1 key other than the author's are required, and there are none\n"
        "hint: `reprolock replay` gives a verdict, `reprolock sign` a review, each by a key of trust.toml in REPROLOCK_SIGNING_KEY\n",
    )


def test_a_public_key_to_be_copied(case: Case, cli: Callable[..., object]) -> None:
    said = cli("key", "show", str(case.keys / "ci.pem.pub"))
    assert said.out.endswith((case.keys / "ci.pem.pub").read_text())


def test_lake_and_mlflow_are_asked(case: Case, folder: Path, tmp_path: Path) -> None:
    trust = case.trust(tmp_path / "trust")
    asked = {
        "online": True,
        "tracking_uri": case.tracking,
        "lake": f"file:{case.project}/lake",
        "machine": case.machine(),
    }
    found = reprolock.audit(tmp_path, str(folder), trust, **asked)
    assert found.outcome == "TRUSTED", found.reasons
    assert found.claims[-1].says == "lake and MLflow say the same today"
    commit = case.record.datasets[0].commit[:12]
    assert found.remarks[-1] == (
        f"commit {commit} of example-repo is not held: gone: its branch was deleted, or never made"
    )
    write_lines(folder, read_lines(folder)[:3])
    trust = case.trust(tmp_path / "trust", "[require]\nreview = 0\n")
    found = reprolock.audit(tmp_path, str(folder), trust, **asked)
    assert "1 statement of these is only in MLflow, and not here" in found.remarks
    assert found.statements[-1].kind == "review"
    elsewhere = reprolock.audit(tmp_path, str(folder), trust, **asked | {"tracking_uri": f"sqlite:///{tmp_path}/no.db"})
    assert any(remark.endswith("does not have the run") for remark in elsewhere.remarks)
    assert elsewhere.claims[-1].says == "lake says the same today"


def test_a_lake_that_is_not_on_the_auditors_machine(case: Case, folder: Path, tmp_path: Path) -> None:
    """It was called gone, and the artifacts were to be fetched again."""
    with pytest.raises(UsageError) as caught:
        reprolock.audit(tmp_path, str(folder), case.trust(tmp_path / "trust"), online=True, machine=case.machine())
    assert caught.value.message == f"the lake file:{tmp_path}/lake is not on this machine"
    assert caught.value.hint == "name with --lake where it is for you: file:FOLDER, or the address of a lakeFS server"


def test_a_verdict_that_was_left_out_of_what_was_sent(case: Case, folder: Path, tmp_path: Path) -> None:
    """Who sends the artifacts leaves out the verdict of one who found otherwise; MLflow has it."""
    trust = case.trust(tmp_path / "two", **ROLES, stranger=["replay"])
    asked = {"tracking_uri": case.tracking, "lake": f"file:{case.project}/lake", "machine": case.machine()}
    with closing(open_mlflow(tmp_path, case.machine(), asked["tracking_uri"])) as tracker:
        there = tracker.artifact(case.record.run_id, "attestations.jsonl")
        try:
            tracker.attach(
                case.record.run_id,
                "attestations.jsonl",
                there + _verdict(case, folder, "stranger", "DIVERGED") + b"\n",
            )
            assert reprolock.audit(tmp_path, str(folder), trust, machine=case.machine()).outcome == "TRUSTED"
            found = reprolock.audit(tmp_path, str(folder), trust, online=True, **asked)
        finally:
            tracker.attach(case.record.run_id, "attestations.jsonl", there)
    assert found.reasons == ("stranger replayed it and found otherwise: DIVERGED, 2 of 2 compared",)
    assert "1 statement of these is only in MLflow, and not here" in found.remarks


def test_the_page(case: Case, folder: Path, cli: Callable[..., object], tmp_path: Path) -> None:
    case.trust(tmp_path / "trust")
    assert cli("audit", str(folder), "--trust", "trust/trust.toml", "--html", str(tmp_path / "a.html")).code == 0
    page = (tmp_path / "a.html").read_text()
    assert f"<title>TRUSTED – audit of run {case.record.run_id[:8]} ({case.record.run_name})</title>" in page
    assert "✓ TRUSTED" in page and "signed by auditor" in page and "What rests on the author alone" in page
    edit_record(folder, lambda record: record["rules"]["outputs.model"].update(rel=0.01))
    reseal(folder)
    said = cli("audit", str(folder), "--trust", "trust/trust.toml", "--html", str(tmp_path / "b.html"), "--json")
    assert said.code == 7
    assert json.loads(said.out)["outcome"] == "NOT TRUSTED"
    assert said.err.splitlines()[1] == (
        "error: the tolerance of model is not the one that was signed before the run: ±0.01, signed ±1e-6"
    )
    page = (tmp_path / "b.html").read_text()
    assert "✗ NOT TRUSTED" in page and "What is claimed" not in page
    assert "http" not in page.replace("http-equiv", "")
