"""A record against itself, its artifacts and MLflow's tags: whatever is changed afterwards stops a replay, and is named."""

from __future__ import annotations

import gzip
import io
import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from replaying import Made, another, edit, edit_code, edit_record, forge, leaves, make, readmit, reseal

from reprolock.errors import NotReplayable
from reprolock.steps.recording.load import Recorded, read_recorded

CHANGED = "the record or an artifact was changed after the run; take them from where the run was first recorded"
TREE = "100644:" + "0" * 64


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, empty_mlflow: Path) -> Made:
    """A run on the embedded lake with a locked environment, recorded in an SQLite file."""
    folder = tmp_path_factory.mktemp("recorded")
    shutil.copy(empty_mlflow, folder / "mlflow.db")
    return make(folder, f"sqlite:///{folder}/mlflow.db", folder / "cache")


@pytest.fixture
def folder(made: Made, tmp_path: Path) -> Path:
    return made.copy(tmp_path / "artifacts")


def read(folder: Path, tags: dict[str, str] | None = None) -> Recorded:
    shutil.rmtree(folder.parent / "code", ignore_errors=True)
    return read_recorded(folder, folder.parent / "code", tags)


def refusal(folder: Path, tags: dict[str, str] | None = None) -> NotReplayable:
    with pytest.raises(NotReplayable) as raised:
        read(folder, tags)
    assert raised.value.exit_code == 7
    return raised.value


def test_what_was_recorded_agrees(made: Made, folder: Path) -> None:
    alone, vouched = read(folder), read(folder, made.tags)
    assert (alone.record.seal, alone.vouched, vouched.vouched) == (made.record.seal, False, True)
    assert sorted(path.name for path in alone.code.iterdir()) == ["helper.py", "train.py"]
    assert alone.snapshot.state.digest == made.record.code.digest
    assert [pin.digest for pin in alone.lock.dataset] == [made.record.datasets[0].digest]


# One value of record.json is changed, and nothing else


def test_every_value_of_the_record_is_held_by_its_seal(made: Made, folder: Path) -> None:
    original = (folder / "record.json").read_bytes()
    document = json.loads(original)
    paths = [path for path in leaves(document) if path[0] not in ("seal", "version")]
    assert len(paths) > 80
    for path in paths:
        changed = json.loads(original)
        place = changed
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = another(place[path[-1]])
        (folder / "record.json").write_text(json.dumps(changed))
        error = refusal(folder)
        said = "\n".join((error.message, *error.problems))
        assert str(path[0]) in said, (path, said)


def test_every_field_that_is_emptied_or_removed_is_named(folder: Path) -> None:
    original = (folder / "record.json").read_bytes()
    for name, value in json.loads(original).items():
        if name == "seal" or not value:
            continue
        changed = json.loads(original)
        changed.pop(name)
        (folder / "record.json").write_text(json.dumps(changed))
        if name != "version":  # left out, it is 1
            assert name in str(refusal(folder)), name
    for name, value in json.loads(original).items():
        if isinstance(value, (list, dict)) and value and name != "seal":
            changed = json.loads(original)
            changed[name] = type(value)()
            (folder / "record.json").write_text(json.dumps(changed))
            assert name in str(refusal(folder)), name


@pytest.mark.parametrize(
    "change",
    [
        lambda record: record.pop("seal"),
        lambda record: record.update(seal=None),
        lambda record: record["seal"].update(total="0" * 64),
        lambda record: record["seal"]["sections"].pop("metrics", None) or record["seal"]["sections"].pop("seed"),
    ],
)
def test_the_seal_itself(change: Callable[[dict[str, Any]], object], made: Made, folder: Path) -> None:
    edit_record(folder, change)
    error = refusal(folder)
    assert str(error) == (
        f"the record of run {made.record.run_id[:8]} was changed after the run\nseal: not as it was when record.json was written"
    )
    assert error.hint == CHANGED


# record.json is changed, and sealed anew: it no longer is what the artifacts say

RESEALED: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "a param": (lambda r: r["params"].update(n=4), "params: record.json and repro.toml differ"),
    "the type of a param": (lambda r: r["params"].update(n=3.0), "params: record.json and repro.toml differ"),
    "a param that is gone": (lambda r: r["params"].pop("day"), "params: record.json and repro.toml differ"),
    "a what-if": (lambda r: r["what_if"].update(n=4), "params: record.json and repro.toml differ"),
    "a what-if as it was": (
        lambda r: (r["what_if"].update(n=4), r["params"].update(n=4)),
        "params: its pinned digest is",
    ),
    "a what-if of nothing": (lambda r: r["what_if"].update(m=4), '--set m: repro.toml declares no param "m"'),
    "the seed": (lambda r: r.update(seed=8), "seed: record.json says 8, repro.toml 7"),
    "no seed": (lambda r: r.update(seed=None), "seed: record.json says None, repro.toml 7"),
    "the command": (lambda r: r["command"].__setitem__(1, "other.py"), "command: record.json and repro.toml differ"),
    "an argument more": (lambda r: r["command"].append("-O"), "command: record.json and repro.toml differ"),
    "env": (lambda r: r["env"].update(MODE="slow"), "command: record.json and repro.toml differ"),
    "pass_env": (lambda r: r["pass_env"].append("HOME"), "command: record.json and repro.toml differ"),
    "a dataset's digest": (
        lambda r: r["datasets"][0].update(digest="git-sha1-1:" + "0" * 64),
        "data: dataset train in record.json is not that of repro.lock",
    ),
    "a dataset's commit": (
        lambda r: r["datasets"][0].update(commit="0" * 40, resolved=f"lakefs://example-repo/{'0' * 40}/train/"),
        "data: dataset train in record.json is not that of repro.lock",
    ),
    "a commit that its address does not name": (
        lambda r: r["datasets"][0].update(commit="0" * 40),
        "record.json: dataset train: Value error, resolved is not the declared address at the commit",
    ),
    "a dataset by --data": (
        lambda r: r["datasets"][0].update(what_if=True, digest="git-sha1-1:" + "0" * 64),
        "data: its pinned digest is",
    ),
    "a dataset's format": (
        lambda r: r["datasets"][0].update(format="json"),
        "data: dataset train is not read as repro.toml says",
    ),
    "a dataset's options": (
        lambda r: r["datasets"][0].update(options={}),
        "data: dataset train is not read as repro.toml says",
    ),
    "a dataset's glob": (
        lambda r: r["datasets"][0].update(glob="a*"),
        "data: dataset train in record.json is not that of repro.lock",
    ),
    "a dataset removed": (lambda r: r["datasets"].pop(), "data: record.json and repro.toml name different datasets"),
    "a dataset added": (
        lambda r: r["datasets"].append({**r["datasets"][0], "name": "other"}),
        "data: record.json and repro.toml name different datasets",
    ),
    "the code's digest": (lambda r: r["code"].update(digest="0" * 64), "code: code.tar.gz has digest"),
    "the code's files": (
        lambda r: r["code"]["tree"].update({"helper.py": TREE}),
        "code: code.tar.gz does not hold the files that",
    ),
    "no isolation": (
        lambda r: r["environment"].update(isolated=False),
        "packages: record.json and repro.toml disagree on whether",
    ),
    "a package": (lambda r: r["environment"]["packages"].update(alpha="2.0"), "packages: its observed digest is"),
    "a package's files": (
        lambda r: r["environment"]["wheels"].update(alpha="0" * 64),
        "packages: its observed digest is",
    ),
    "Python": (lambda r: r["environment"].update(python="3.11.0"), "packages: its observed digest is"),
    "an output's comparison": (
        lambda r: r["outputs"][1].update(compare="none"),
        "outputs: those of record.json are not those of repro.toml",
    ),
    "an output's path": (
        lambda r: r["outputs"][1].update(path="out/log.txt"),
        "outputs: those of record.json are not those of repro.toml",
    ),
    "an output removed": (lambda r: r["outputs"].pop(1), "outputs: those of record.json are not those of repro.toml"),
    "no outputs": (lambda r: r.update(outputs=[]), "outputs: those of record.json are not those of repro.toml"),
    "a tolerance": (
        lambda r: r["rules"]["metrics.loss"].update(rel=0.5),
        "metrics.loss: record.json and repro.toml disagree on how it is compared",
    ),
    "a rule removed": (
        lambda r: r["rules"].pop("outputs.raw"),
        "outputs.raw: record.json and repro.toml disagree on how it is compared",
    ),
    "a pinned section": (lambda r: r["pinned"]["sections"].update(jars="0" * 64), "jars: its pinned digest is"),
    "an observed section": (lambda r: r["observed"]["sections"].update(java="0" * 64), "java: its observed digest is"),
    "a section removed": (lambda r: r["pinned"]["sections"].pop("seed"), "seed: its pinned digest is"),
    "a section added": (
        lambda r: r["pinned"]["sections"].update(more="0" * 64),
        "the pinned digest over all sections is",
    ),
    "the total": (lambda r: r["observed"].update(total="0" * 64), "the observed digest over all sections is"),
    "the ending": (
        lambda r: r["ending"].update(exit_code=3),
        "status: FINISHED, though the command ended otherwise: exit code 0",
    ),
    "no ending": (lambda r: r.update(ending=None), "status: FINISHED, though the command ended otherwise: not at all"),
    "an artifact's digest": (lambda r: r["artifacts"].update({"repro.lock": "0" * 64}), "repro.lock: its SHA-256 is"),
    "an artifact that is not named": (lambda r: r["artifacts"].pop("code.tar.gz"), "code.tar.gz: its SHA-256 is"),
    "an artifact elsewhere": (
        lambda r: r["artifacts"].update({"../secret": "0" * 64}),
        'artifacts: record.json names "../secret", which would lead out of the folder',
    ),
    "a kept output elsewhere": (
        lambda r: r["outputs"][0].update(kept="/etc/passwd"),
        'artifacts: record.json names "/etc/passwd", which would lead out of the folder',
    ),
}


def test_an_address_that_is_none(made: Made, folder: Path) -> None:
    edit_record(folder, lambda record: record["datasets"][0].update(uri="../secret"))
    error = refusal(folder, made.tags)
    assert error.message == (
        'record.json is not a record that this reprolock reads: datasets.0.uri: "../secret" is not a lake address; '
        'write "lakefs://REPOSITORY/REF/PATH"'
    )


@pytest.mark.parametrize("name", RESEALED)
def test_a_record_that_was_sealed_anew(name: str, made: Made, folder: Path) -> None:
    change, named = RESEALED[name]
    edit_record(folder, change)
    reseal(folder)
    assert named in str(refusal(folder))
    assert "reprolock.seal: record.json says" in str(refusal(folder, made.tags))


@pytest.mark.parametrize(
    ("change", "tag"),
    [
        (lambda r: r["metrics"].update(loss=1.0), "reprolock.seal"),
        (lambda r: r["outputs"][1].update(compared="file:" + "0" * 64), "reprolock.seal"),
        (lambda r: r.update(started="2020-01-01T00:00:00Z"), "reprolock.seal"),
        (lambda r: r.update(run_id="0" * 32), "reprolock.run_id"),
        (lambda r: r.update(mode="in-place"), "reprolock.mode"),
        (lambda r: r["datasets"][0].update(context="test"), "reprolock.seal"),
        (lambda r: r["ending"].update(reason="all went well"), "reprolock.ending"),
        (lambda r: r["code"].update(commit="1" * 40), "reprolock.seal"),
    ],
)
def test_what_a_folder_cannot_show_mlflow_does(
    change: Callable[[dict[str, Any]], object], tag: str, made: Made, folder: Path
) -> None:
    edit_record(folder, change)
    reseal(folder)
    assert not read(folder).vouched
    error = refusal(folder, made.tags)
    assert error.message.endswith("was changed after the run")
    assert f"{tag}: record.json says" in str(error)


def test_every_tag_of_ours_is_held_against_the_record(made: Made, folder: Path) -> None:
    ours = [name for name in made.tags if name.startswith("reprolock.")]
    assert len(ours) > 10
    for name in ours:
        for tags in ({**made.tags, name: "x"}, {key: value for key, value in made.tags.items() if key != name}):
            error = refusal(folder, tags)
            assert error.message == f"the record of run {made.record.run_id[:8]} was changed after the run"
            assert [problem.split(":")[0] for problem in error.problems] == [name]
    read(folder, {**made.tags, "mlflow.source.name": "x", "team": "y", "reprolock.replay.1": "REPRODUCED"})


# An artifact is changed, record.json is not

ARTIFACTS: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "a param": (lambda f: edit(f, "repro.toml", "n = 3", "n = 4"), "repro.toml", "params: record.json and repro.toml differ"),
    "the type of a param": (lambda f: edit(f, "repro.toml", "factor = 1.0", "factor = 1"), "repro.toml", "params: its pinned digest is"),
    "the seed": (lambda f: edit(f, "repro.toml", "seed = 7", "seed = 8"), "repro.toml", "seed: record.json says 7, repro.toml 8"),
    "the command": (lambda f: edit(f, "repro.toml", '"train.py", "{d', '"helper.py", "{d'), "repro.toml", "command: record.json and"),
    "env": (lambda f: edit(f, "repro.toml", '"fast"', '"slow"'), "repro.toml", "command: record.json and repro.toml differ"),
    "pass_env": (lambda f: edit(f, "repro.toml", '["TURN"]', '["TURN", "HOME"]'), "repro.toml", "command: record.json and repro.toml"),
    "a metric's tolerance": (lambda f: edit(f, "repro.toml", "rel = 1e-6", "rel = 0.5"), "repro.toml", "metrics.loss: record.json and"),
    "a metric more lenient": (lambda f: edit(f, "repro.toml", '"exact"', "{ abs = 9.0 }"), "repro.toml", "metrics.rows: record.json and"),
    "a metric removed": (lambda f: edit(f, "repro.toml", 'rows = "exact"\n', ""), "repro.toml", "metrics.rows: record.json and"),
    "an output's tolerance": (lambda f: edit(f, "repro.toml", "rel = 1e-3", "rel = 0.5"), "repro.toml", "outputs.model: record.json and"),
    "what is ignored": (lambda f: edit(f, "repro.toml", '["time"]', '["time", "total"]'), "repro.toml", "outputs.model: record.json"),
    "an output's comparison": (
        lambda f: edit(f, "repro.toml", 'path = "out/raw.txt"', 'path = "out/raw.txt"\ncompare = "none"'),
        "repro.toml",
        "outputs: those of record.json are not those of repro.toml",
    ),
    "an output removed": (
        lambda f: edit(f, "repro.toml", '[outputs.raw]\npath = "out/raw.txt"\n', ""),
        "repro.toml",
        "outputs: those of record.json are not those of repro.toml",
    ),
    "another branch": (lambda f: edit(f, "repro.toml", "example-repo/main", "example-repo/dev"), "repro.toml", "repro.toml: its SHA-256 is"),
    "a dataset's options": (lambda f: edit(f, "repro.toml", "header = true", "header = false"), "repro.toml", "data: dataset train is not"),
    "a time-out": (lambda f: edit(f, "repro.toml", '"20s"', '"1s"'), "repro.toml", "repro.toml: its SHA-256 is"),
    "the lake": (lambda f: edit(f, "repro.toml", '"file:lake"', '"file:other"'), "repro.toml", "repro.toml: its SHA-256 is"),
    "a comment": (lambda f: edit(f, "repro.toml", "[project]", "# hello\n[project]"), "repro.toml", "repro.toml: its SHA-256 is"),
    "a package's version": (lambda f: edit(f, "repro.lock", 'version = "1.0"', 'version = "2.0"'), "repro.lock", "packages: the seal in repro.lock"),
    "Python's version": (lambda f: edit(f, "repro.lock", 'requirements = ["alpha"]', 'requirements = ["beta"]'), "repro.lock", "packages: the seal"),
    "a dataset's pin": (lambda f: edit(f, "repro.lock", "objects = 2", "objects = 3"), "repro.lock", "data: dataset train in record.json is not"),
    "a line of code": (lambda f: edit_code(f, lambda c: edit(c, "train.py", "= sum(", "= 1 + sum(")), "code.tar.gz", "code: code.tar.gz has digest"),
    "a file of code more": (lambda f: edit_code(f, lambda c: (c / "sitecustomize.py").write_text("")), "code.tar.gz", "code: code.tar.gz has digest"),
    "a file of code less": (lambda f: edit_code(f, lambda c: (c / "helper.py").unlink()), "code.tar.gz", "code: code.tar.gz has digest"),
    "a file's mode": (lambda f: edit_code(f, lambda c: (c / "train.py").chmod(0o755)), "code.tar.gz", "code: code.tar.gz has digest"),
    "a kept output": (lambda f: shutil.copy(f / "code.tar.gz", f / "output-model.tar.gz"), "output-model.tar.gz", "output-model.tar.gz: its SHA-256 is"),
}  # fmt: skip


@pytest.mark.parametrize("name", ARTIFACTS)
def test_an_artifact_that_was_changed(name: str, made: Made, folder: Path) -> None:
    change, artifact, named = ARTIFACTS[name]
    change(folder)
    error = refusal(folder, made.tags)
    assert error.message == f"the record of run {made.record.run_id[:8]} does not agree with its artifacts"
    assert any(problem.startswith(f"{artifact}: its SHA-256 is") for problem in error.problems), error.problems
    assert any(problem.startswith(named) for problem in error.problems), error.problems


@pytest.mark.parametrize("name", [name for name, (_, _, named) in ARTIFACTS.items() if "SHA-256" not in named])
def test_an_artifact_that_was_changed_and_named_in_a_new_seal(name: str, made: Made, folder: Path) -> None:
    change, artifact, named = ARTIFACTS[name]
    change(folder)
    readmit(folder)
    error = refusal(folder)
    assert not any(problem.startswith(f"{artifact}: its SHA-256 is") for problem in error.problems)
    assert any(problem.startswith(named) for problem in error.problems), error.problems
    assert "reprolock.seal: record.json says" in str(refusal(folder, made.tags))


@pytest.mark.parametrize("name", ["a param", "a line of code", "a metric's tolerance", "the seed", "env"])
def test_all_of_it_forged_is_stopped_by_mlflow_alone(name: str, made: Made, folder: Path) -> None:
    """Who can make a whole record can make another one: a folder has nothing that it could be checked against."""
    change, *_ = ARTIFACTS[name]
    change(folder)
    if name == "a param":
        edit_record(folder, lambda record: record["command"].__setitem__(3, "4"))
    forge(folder)
    assert not read(folder).vouched
    assert "reprolock.seal: record.json says" in str(refusal(folder, made.tags))


@pytest.mark.parametrize("name", ["repro.toml", "repro.lock", "code.tar.gz", "output-model.tar.gz"])
def test_an_artifact_that_is_missing(name: str, folder: Path) -> None:
    (folder / name).unlink()
    error = refusal(folder)
    assert error.message == f"the run has no {name}: no such file or directory"
    assert error.hint == "a run that reprolock recorded has it under the artifact folder reprolock/"


def test_code_that_brings_its_own_output(folder: Path) -> None:
    """The command would have nothing left to do."""
    edit_code(folder, lambda code: ((code / "out").mkdir(), (code / "out" / "raw.txt").write_text("77")))
    forge(folder)
    assert "code: code.tar.gz holds out/raw.txt, which is the output raw" in str(refusal(folder))


# Records that are none, or of somebody else's making


def test_no_record(folder: Path) -> None:
    (folder / "record.json").unlink()
    assert refusal(folder).message == "the run has no record.json: no such file or directory"


def test_a_record_of_a_newer_reprolock(folder: Path) -> None:
    edit_record(folder, lambda record: record.update(version=2, whither="unknown"))
    error = refusal(folder)
    assert error.message == "record.json was written by a newer reprolock"
    assert error.hint == "install the newest reprolock and try again"


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff\xfe", b"null", b'{"version": 1}', b"[" * 100_000])
def test_a_record_that_is_none(data: bytes, folder: Path) -> None:
    (folder / "record.json").write_bytes(data)
    assert refusal(folder).message.startswith("record.json is not a record that this reprolock reads: ")


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("repro.toml", b"\xff", "repro.toml is not UTF-8"),
        ("repro.toml", b"[run]\ncommand = 3\n", "repro.toml of run "),
        ("repro.lock", b"version = 9\n", "repro.lock of run "),
        (
            "code.tar.gz",
            b"\x1f\x8b no archive",
            "the recorded code (reprolock/code.tar.gz) cannot be unpacked: it is not a whole .tar.gz",
        ),
    ],
)
def test_artifacts_that_are_damaged(name: str, data: bytes, message: str, folder: Path) -> None:
    (folder / name).write_bytes(data)
    readmit(folder)
    assert message in str(refusal(folder))


def tar_of(*members: tarfile.TarInfo, data: bytes = b"x") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for member in members:
            member.size = len(data) if member.isreg() else 0
            tar.addfile(member, io.BytesIO(data))
    return gzip.compress(buffer.getvalue())


def entry(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (tar_of(entry("../../escaped.py")), "it names a path outside its folder, or one that no file system can hold"),
        (tar_of(entry("/tmp/escaped.py")), "it names a path outside its folder, or one that no file system can hold"),
        (tar_of(entry("up", tarfile.SYMTYPE, "../.."), entry("up/escaped.py")), '"up/escaped.py" is below a file'),
        (tar_of(entry("passwd", tarfile.SYMTYPE, "/etc/passwd")), 'its link "passwd" leads out of the folder'),
        (tar_of(entry("hard", tarfile.LNKTYPE, "/etc/passwd")), '"hard" is neither a file nor a link'),
        (tar_of(entry("fifo", tarfile.FIFOTYPE)), '"fifo" is neither a file nor a link'),
        (tar_of(entry("a.py"), entry("a.py")), 'it holds "a.py" twice'),
        (gzip.compress(bytes(600_000_000), 1), "it is larger than 509 MB"),
    ],
)
def test_archives_that_mean_harm(data: bytes, reason: str, folder: Path) -> None:
    (folder / "code.tar.gz").write_bytes(data)
    readmit(folder)
    error = refusal(folder)
    assert error.message == f"the recorded code (reprolock/code.tar.gz) cannot be unpacked: {reason}"
    assert not list(folder.parent.rglob("*escaped*"))
    assert not (folder.parent / "code").exists()


# Runs that have no result


@pytest.mark.parametrize(
    ("status", "ending", "said"),
    [
        ("FAILED", {"exit_code": 3, "reason": "exit code 3", "seconds": 1.0}, "FAILED: exit code 3"),
        ("KILLED", {"signal": 2, "reason": "Ctrl-C", "seconds": 1.0}, "KILLED: Ctrl-C"),
        ("RUNNING", None, "RUNNING"),
    ],
)
def test_a_run_that_did_not_finish(
    status: str, ending: dict[str, Any] | None, said: str, made: Made, folder: Path
) -> None:
    edit_record(folder, lambda record: record.update(status=status, ending=ending))
    reseal(folder)
    error = refusal(folder)
    assert error.message == f"run {made.record.run_id[:8]} is {said}"
    assert error.hint == "only a run that finished has a result to compare with"
