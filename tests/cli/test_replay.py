"""`replay` as an auditor uses it: a folder with nothing in it, the lake, MLflow, and a run's ID.

Most replays here are of one run. What its command does when it is replayed, the variable TURN says.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import services
from command_line import Cli, Said
from maven_folder import Layout
from mlflow.entities import Run
from mlflow.tracking import MlflowClient
from project import NAMES, Project, in_background, lines_of, wait_for
from replaying import SPEC, TRAIN, Made, edit, edit_code, edit_record, forge, lake_state, make, object_file, reseal

import reprolock
from reprolock.environment.jvm.java import find_java
from reprolock.files.output_tree import measure
from reprolock.steps.locking.overrides import WhatIf, parse_param
from reprolock.tracker import open_tracker
from reprolock.tracker.tracking_uri import Place

CHANGED = "the record or an artifact was changed after the run; take them from where the run was first recorded"
RESTORE = "hint: restore the lake from a backup"
RULE = "─" * 64
UV = ("Prepared ", "Installed ")
TURN = "TURN passed through, with values that are not recorded   not compared: log, model.time"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, mlflow_server: services.Server) -> Made:
    """The run. Its project is gone, its branch has moved on."""
    folder = tmp_path_factory.mktemp("replayed")
    return make(folder, mlflow_server.endpoint, folder / "cache")


@pytest.fixture(scope="module")
def made_on_sqlite(tmp_path_factory: pytest.TempPathFactory, empty_mlflow: Path) -> Made:
    """The same without metrics, which the command cannot log to an SQLite file; with values by --set and --data."""
    folder = tmp_path_factory.mktemp("replayed-sqlite")
    shutil.copy(empty_mlflow, folder / "mlflow.db")
    what_if = WhatIf({"n": 5, "day": parse_param("day=2026-01-01")[1]}, {"train": "main~1"})
    return make(
        folder, f"sqlite:///{folder}/mlflow.db", folder / "cache", spec=SPEC.split("[metrics]")[0], what_if=what_if
    )


class Auditor:
    """Somebody with an empty folder, MLflow's address and the lake's."""

    def __init__(self, made: Made, root: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made = made
        self.root = root
        self.cli = cli
        self.set = monkeypatch.setenv
        self.run = made.record.run_id
        self.short = self.run[:8]

    def replay(self, *arguments: str, run: str | Path | None = None, lake: str | None = None) -> Said:
        lake = lake or f"file:{self.made.lake}"
        return self.cli(
            "replay",
            str(run or self.run),
            "--lake",
            lake,
            "--tracking-uri",
            self.made.tracking,
            *arguments,
            root=self.root,
        )

    @property
    def newest(self) -> Run:
        """The run that MLflow was told of last."""
        client = MlflowClient(self.made.tracking)
        found = client.get_experiment_by_name("flights")
        return client.search_runs([found.experiment_id], order_by=["start_time DESC"], max_results=1)[0]

    def folder(self, number: int = 1) -> Path:
        return self.root / ".reprolock" / "replays" / f"{self.run[:12]}-{number}"

    @classmethod
    def of(cls, made: Made, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Auditor:
        for name in list(os.environ):
            if name.startswith(NAMES):
                monkeypatch.delenv(name)
        for name in ("REPROLOCK_CACHE_DIR", "XDG_CONFIG_HOME"):
            monkeypatch.setenv(name, made.environ[name])
        monkeypatch.setenv("TURN", "")
        (tmp_path / "audit").mkdir()
        return cls(made, tmp_path / "audit", cli, monkeypatch)


@pytest.fixture
def auditor(made: Made, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Auditor:
    return Auditor.of(made, tmp_path, cli, monkeypatch)


@pytest.fixture
def auditor_of_sqlite(made_on_sqlite: Made, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Auditor:
    return Auditor.of(made_on_sqlite, tmp_path, cli, monkeypatch)


# From nothing


def test_from_nothing(auditor: Auditor, made: Made, tmp_path: Path) -> None:
    auditor.set("REPROLOCK_CACHE_DIR", str(tmp_path / "empty"))
    before = lake_state(made.lake)
    said = auditor.replay()
    replay = auditor.newest
    model, raw = (output.compared.partition(":")[2][:8] for output in made.record.outputs[:2])
    assert (said.code, said.out.splitlines()) == (
        0,
        [
            "alpha 41",
            f"model  json ±0.001  {model}  {model}  identical",
            f"raw    bytes        {raw}  {raw}  identical",
            "loss   ±1e-6        77        77        identical",
            "rows   exact        3         3         identical",
            RULE,
            f"REPRODUCED   4 of 4 compared   {TURN}",
            f"Recorded replay {replay.info.run_id[:8]} of {auditor.short}",
        ],
    )
    commit = made.record.datasets[0].commit[:12]
    assert [line for line in said.err.splitlines() if not line.startswith(UV)] == [
        "Record   complete, 9 of 9 sections as recorded",
        f"Rebuilt  code {made.record.code.digest[:8]}, 1 package, train at {commit}",
        "Passed   TURN",
        RULE,
        RULE,
    ]
    assert lake_state(made.lake) == before
    assert sorted(path.name for path in auditor.root.iterdir()) == [".reprolock"]  # no lock, no output
    assert json.loads((auditor.folder() / "project" / "out" / "model.json").read_bytes())["total"] == 77

    # The two name one another, and the replay is a run like others.
    assert (replay.info.status, replay.info.run_name) == ("FINISHED", f"replay of {auditor.short}")
    assert replay.data.tags["reprolock.replay_of"] == auditor.run
    assert replay.data.tags["reprolock.verdict"] == "REPRODUCED"
    recorded = MlflowClient(made.tracking).get_run(auditor.run)
    assert recorded.data.tags[f"reprolock.replay.{replay.info.run_id}"] == "REPRODUCED"
    assert recorded.info.status == "FINISHED"
    again = made.tracker.read(replay.info.run_id)
    assert (again.pinned, again.observed, again.replay_of) == (made.record.pinned, made.record.observed, auditor.run)
    assert (again.params, again.seed, again.code.tree, again.rules) == (
        made.tracker.read(auditor.run).params, 7, made.record.code.tree, made.record.rules,
    )  # fmt: skip


def test_a_replay_of_a_replay_of_a_what_if(auditor_of_sqlite: Auditor, made_on_sqlite: Made, tmp_path: Path) -> None:
    """--set and --data of the first run are the replay's own too; repro.toml and repro.lock among its artifacts know neither."""
    auditor = auditor_of_sqlite
    auditor.set("REPROLOCK_CACHE_DIR", str(tmp_path / "empty"))
    assert auditor.replay("-q", run=auditor.short).code == 0
    second = auditor.newest.info.run_id
    replayed = made_on_sqlite.tracker.read(second)
    assert (replayed.params["n"], replayed.datasets[0].commit) == (5, made_on_sqlite.record.datasets[0].commit)
    said = auditor.replay(run=second)
    assert (said.code, lines_of(said.out, "REPRODUCED")) == (0, [f"REPRODUCED   2 of 2 compared   {TURN}"])
    assert auditor.newest.data.tags["reprolock.replay_of"] == second


@pytest.mark.parametrize("place", ["artifacts", "above", "here"])
def test_a_downloaded_folder(
    place: str,
    auditor_of_sqlite: Auditor,
    made_on_sqlite: Made,
    tmp_path: Path,
    empty_mlflow: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another MLflow, which has never heard of the run, takes the replay."""
    auditor, made = auditor_of_sqlite, made_on_sqlite
    folder = made.copy(tmp_path / "downloaded" / "reprolock")
    shutil.copy(empty_mlflow, tmp_path / "other.db")
    given = {"artifacts": folder, "above": folder.parent, "here": "."}[place]
    root = folder if place == "here" else auditor.root
    monkeypatch.chdir(root)
    said = auditor.cli(
        "replay",
        str(given),
        "--lake",
        f"file:{made.lake}",
        "--tracking-uri",
        f"sqlite:///{tmp_path}/other.db",
        root=root,
    )
    assert said.code == 0, said.err
    assert lines_of(said.out, "REPRODUCED") == [
        f"REPRODUCED   2 of 2 compared   {TURN}   by a record that no MLflow here confirms"
    ]
    assert lines_of(said.err, "warning") == [
        f'warning: MLflow will not show this replay on the page of the recorded run: no run "{made.record.run_id}" in MLflow at sqlite:///{tmp_path}/other.db (--tracking-uri)'
    ]


def test_a_folder_whose_run_is_in_this_mlflow_is_held_against_it(auditor: Auditor, made: Made, tmp_path: Path) -> None:
    folder = made.copy(tmp_path / "downloaded")
    said = auditor.replay("--dry-run", run=folder)
    assert said.code == 0
    edit_record(folder, lambda record: record["metrics"].update(loss=78.0))
    reseal(folder)
    said = auditor.replay(run=folder)
    assert said.code == 7
    assert said.err.splitlines()[0] == f"error: the record of run {auditor.short} was changed after the run"
    assert said.err.splitlines()[1].startswith("  reprolock.seal: record.json says ")
    assert said.err.splitlines()[2] == f"hint: {CHANGED}"


def test_in_the_projects_own_folder(project: Project, cli: Cli) -> None:
    """No output, no lock, no lake and no branch of the project is touched, though outputs are published by a run."""
    project.add("""
        [outputs.model]
        path = "out/model.txt"
        publish = "lakefs://example-repo/main/model.txt"

        [metrics]
        loss = { rel = 1e-6 }
    """)
    project.script("""
        import os, sys
        from pathlib import Path
        import mlflow, numpy
        Path("out").mkdir(exist_ok=True)
        Path("out/model.txt").write_text("a model")
        with mlflow.start_run():
            mlflow.log_metric("loss", 0.25)
        print("ran in", Path.cwd())
    """)
    assert cli("lock").code == 0
    said = cli("run", "-q")
    assert said.code == 0, said.err
    run = project.record
    project.commit("train/late.csv", b"x,y\n0,0\n")
    project.script("raise SystemExit('the working tree has changed')")
    (project.root / "out" / "model.txt").write_text("of later work")
    project.edit('name = "flights"', 'name = "flights"\n# edited since')
    lake, files = (
        lake_state(project.root / "lake"),
        {name: (project.root / name).read_bytes() for name in ("repro.toml", "repro.lock")},
    )
    said = cli("replay", run.run_id[:8])
    assert said.code == 0, said.err
    assert lines_of(said.out, "REPRODUCED") == ["REPRODUCED   2 of 2 compared   packages not locked, none differ"]
    assert lake_state(project.root / "lake") == lake
    assert {name: (project.root / name).read_bytes() for name in files} == files
    assert (project.root / "out" / "model.txt").read_text() == "of later work"
    assert project.record.run_id == run.run_id  # the newest of this folder's own runs is still the first
    assert project.stored(run.run_id).data.tags.keys() & {"reprolock.published.model"}
    [replay] = [found for found in project.all_stored() if found.info.run_id != run.run_id]
    assert replay.data.tags["reprolock.replay_of"] == run.run_id
    assert not [name for name in replay.data.tags if name.startswith("reprolock.published")]


def test_a_link_out_of_an_output_is_compared_as_what_it_leads_to(project: Project, cli: Cli) -> None:
    project.add('[outputs.model]\npath = "out/model"\n')
    project.script("""
        import os
        from pathlib import Path
        Path("cache").mkdir()
        Path("out/model").mkdir(parents=True)
        Path("cache/weights.bin").write_bytes(os.urandom(8))
        Path("out/model/weights.bin").symlink_to("../../cache/weights.bin")
    """)
    assert (cli("lock").code, cli("run", "-q").code) == (0, 0)
    weights = project.root / "out" / "model" / "weights.bin"
    assert (weights.is_symlink(), len(weights.read_bytes())) == (False, 8)
    run = project.record
    said = cli("replay", run.run_id)
    [replay] = (project.root / ".reprolock" / "replays").iterdir()
    found = measure(replay / "project" / "out" / "model")
    assert found and found.digest
    assert (said.code, said.out.splitlines()[:4]) == (
        6,
        [
            f"model  bytes  {run.outputs[0].digest.partition(':')[2][:8]}  {found.digest.partition(':')[2][:8]}  different",
            RULE,
            "DIVERGED   1 of 1 differ: model   packages not locked, none differ",
            "Nothing differs in the inputs and the observed environment",
        ],
    )


# One thing is changed: in the lake


def test_other_bytes_in_the_lake(auditor: Auditor, made: Made, tmp_path: Path) -> None:
    auditor.set("REPROLOCK_CACHE_DIR", str(tmp_path / "empty"))
    lake = Path(shutil.copytree(made.lake, tmp_path / "lake"))
    file = object_file(lake, "example-repo", b"x,y\n2,3\n5,7\n")
    file.chmod(0o644)
    file.write_bytes(zlib.compress(b"blob 12\0x,y\n2,3\n5,8\n"))
    said = auditor.replay(lake=f"file:{lake}")
    assert said == (
        7,
        "",
        f"error: run {auditor.short} cannot be rebuilt: lakefs://example-repo/{made.record.datasets[0].commit}/train/b.csv is damaged: "
        "its bytes do not have the checksum that the commit names\n"
        f"{RESTORE}\n",
    )


def test_an_object_that_is_gone(auditor: Auditor, made: Made, tmp_path: Path) -> None:
    auditor.set("REPROLOCK_CACHE_DIR", str(tmp_path / "empty"))
    lake = Path(shutil.copytree(made.lake, tmp_path / "lake"))
    object_file(lake, "example-repo", b"x,y\n2,3\n5,7\n").unlink()
    said = auditor.replay(lake=f"file:{lake}")
    assert said == (
        7,
        "",
        f"error: run {auditor.short} cannot be rebuilt: lakefs://example-repo/{made.record.datasets[0].commit}/train/b.csv is gone: "
        "the commit names it, but the lake no longer has its bytes\n"
        f"{RESTORE}\n",
    )


# A replay takes no cache's word: other bytes under the size and time that were there


def forge_bytes(file: Path, data: bytes) -> None:
    """Other bytes, of the same length and time. A file of its own first: a package's file is uv's cache's too."""
    was = file.stat()
    assert len(data) == was.st_size and data != file.read_bytes()
    file.unlink()
    file.write_bytes(data)
    file.chmod(was.st_mode & 0o777)
    os.utime(file, ns=(was.st_atime_ns, was.st_mtime_ns))


def cached(tmp_path: Path, data: bytes) -> Path:
    """Where the cache keeps bytes of an embedded lake: by Git's own name for them."""
    name = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
    return tmp_path / "cache" / "objects" / "objects" / name[:2] / f"{name[2:]}-{len(data)}"


@pytest.mark.parametrize("asked_for", ["by a placeholder", "while it runs"])
def test_other_bytes_in_the_cache_are_fetched_again(
    asked_for: str, project: Project, cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("REPROLOCK_CACHE_DIR", str(tmp_path / "cache"))
    project.add('[outputs.copy]\npath = "copy.csv"\n')
    if asked_for == "by a placeholder":
        project.command("python", "train.py", "{datasets.train.path}")
        project.script(
            "import pathlib, sys; pathlib.Path('copy.csv').write_bytes((pathlib.Path(sys.argv[1]) / 'b.csv').read_bytes())"
        )
    else:
        project.script(
            "import pathlib, reprolock; pathlib.Path('copy.csv').write_bytes((reprolock.current().dataset('train').path / 'b.csv').read_bytes())"
        )
    right = b"x,y\n2,3\n5,7\n"
    project.commit("train/b.csv", right)
    assert cli("lock").code == 0
    said = cli("run", "-q")
    assert said.code == 0, said.err
    stored = cached(tmp_path, right)
    forge_bytes(stored, b"x,y\n2,3\n5,8\n")
    said = cli("replay", project.record.run_id)
    assert said.code == 0, said.err
    assert lines_of(said.out, "REPRODUCED") == ["REPRODUCED   1 of 1 compared   packages not locked, none differ"]
    [replay] = (project.root / ".reprolock" / "replays").iterdir()
    assert (replay / "project" / "copy.csv").read_bytes() == stored.read_bytes() == right


def test_other_bytes_in_the_cache_and_the_lake_is_damaged(
    project: Project, cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The command does not look at what was changed: the verdict is on the inputs, not on the outputs alone."""
    monkeypatch.setenv("REPROLOCK_CACHE_DIR", str(tmp_path / "cache"))
    project.add('[outputs.x]\npath = "x.txt"\n')
    project.command("python", "train.py", "{datasets.train.path}")
    project.script("open('x.txt', 'w').write('x')")
    right = b"x,y\n2,3\n5,7\n"
    project.commit("train/b.csv", right)
    assert (cli("lock").code, cli("run", "-q").code) == (0, 0)
    run = project.record
    forge_bytes(cached(tmp_path, right), b"x,y\n2,3\n5,8\n")
    object_file(project.root / "lake", "example-repo", right).unlink()
    assert cli("replay", run.run_id) == (
        7,
        "",
        f"error: run {run.run_id[:8]} cannot be rebuilt: lakefs://example-repo/{run.datasets[0].commit}/train/b.csv is gone: "
        f"the commit names it, but the lake no longer has its bytes\n{RESTORE}\n",
    )


def test_a_lake_that_does_not_have_the_commit(auditor: Auditor, tmp_path: Path) -> None:
    other = Project(tmp_path)
    said = auditor.replay(lake=f"file:{other.root}/lake")
    assert said.code == 7
    assert said.err.startswith(
        f"error: run {auditor.short} cannot be rebuilt: dataset train is pinned at lakefs://example-repo/"
    )


def test_a_lake_that_is_not_there(auditor: Auditor, made: Made) -> None:
    """Without --lake the record's own, which is not on this machine."""
    hint = "hint: name with --lake where it is for you: file:FOLDER, or the address of a lakeFS server\n"
    said = auditor.cli("replay", auditor.run, "--tracking-uri", made.tracking, root=auditor.root)
    absent = f"the lake file:{auditor.root}/lake is not on this machine"
    assert (said.code, said.err) == (7, f"error: run {auditor.short} cannot be rebuilt: {absent}\n{hint}")
    assert not (auditor.root / "lake").exists()
    said = auditor.replay(lake="file:/nowhere")
    assert (said.code, said.err) == (2, f"error: the lake file:/nowhere is not on this machine\n{hint}")


# In MLflow


@pytest.fixture
def stored(made: Made, mlflow_server: services.Server) -> Any:
    """The run's artifacts where the MLflow server keeps them; they are as they were afterwards."""
    [record] = [path for path in mlflow_server.folder.rglob(f"{made.record.run_id}/artifacts/reprolock/record.json")]
    before = {path: path.read_bytes() for path in record.parent.iterdir()}
    yield record.parent
    for path, data in before.items():
        path.write_bytes(data)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (
            lambda folder: edit_record(folder, lambda record: record["metrics"].update(loss=78.0)),
            "  metrics: not as it was",
        ),
        (
            lambda folder: (edit_record(folder, lambda record: record["metrics"].update(loss=78.0)), reseal(folder)),
            "  reprolock.seal: ",
        ),
        (
            lambda folder: edit(folder, "repro.toml", "rel = 1e-6", "rel = 0.5"),
            "  metrics.loss: record.json and repro.toml disagree",
        ),
        (lambda folder: (edit(folder, "repro.toml", "rel = 1e-6", "rel = 0.5"), forge(folder)), "  reprolock.seal: "),
        (
            lambda folder: edit_code(folder, lambda code: edit(code, "train.py", "= sum(", "= 1 + sum(")),
            "  code: code.tar.gz has digest",
        ),
        (lambda folder: (folder / "repro.lock").unlink(), "error: the run has no repro.lock"),
    ],
)
def test_what_was_changed_in_mlflow_is_named_and_nothing_runs(
    change: Callable[[Path], object], named: str, auditor: Auditor, stored: Path
) -> None:
    newest = auditor.newest.info.run_id
    change(stored)
    said = auditor.replay()
    assert (said.code, said.out) == (7, "")
    assert any(line.startswith(named) for line in said.err.splitlines()), said.err
    assert auditor.newest.info.run_id == newest


# In a folder that MLflow does not know: invented results do not survive the replay


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        (lambda record: record["metrics"].update(loss=77.1), "loss"),
        (lambda record: record["metrics"].update(rows=4.0), "rows"),
        (lambda record: record["outputs"][1].update(compared="file:" + "0" * 64, digest="file:" + "0" * 64), "raw"),
    ],
)
def test_an_invented_result(
    change: Callable[[dict[str, Any]], object], wrong: str, auditor: Auditor, made: Made, tmp_path: Path
) -> None:
    folder = made.copy(tmp_path / "forged")
    edit_record(folder, lambda record: (change(record), record.update(run_id="f" * 32)))
    reseal(folder)
    said = auditor.replay(run=folder)
    assert said.code == 6
    assert lines_of(said.out, "DIVERGED") == [
        f"DIVERGED   1 of 4 differ: {wrong}   {TURN}   by a record that no MLflow here confirms"
    ]
    assert lines_of(said.out, "Nothing") == ["Nothing differs in the inputs and the observed environment"]
    assert lines_of(said.err, "error") == ["error: the replay of ffffffff diverged: 1 of 4 differ: " + wrong]


def test_invented_code(auditor: Auditor, made: Made, tmp_path: Path) -> None:
    folder = made.copy(tmp_path / "forged")
    edit_code(folder, lambda code: edit(code, "train.py", "= sum(", "= 1 + sum("))
    forge(folder)
    edit_record(folder, lambda record: record.update(run_id="f" * 32))
    reseal(folder)
    said = auditor.replay(run=folder)
    assert said.code == 6
    assert lines_of(said.out, "DIVERGED")[0].startswith("DIVERGED   3 of 4 differ: model, raw, loss   ")


def test_a_lake_that_gets_no_keys(auditor: Auditor, made: Made, tmp_path: Path) -> None:
    """A record may name any server; the keys that are here belong to another one."""
    folder = made.copy(tmp_path / "forged")
    edit(folder, "repro.toml", '"file:lake"', '"https://lake.example.net"')
    forge(folder)
    edit_record(folder, lambda record: record.update(run_id="f" * 32))
    reseal(folder)
    auditor.set("LAKECTL_SERVER_ENDPOINT_URL", "https://lake.example.com")
    auditor.set("LAKECTL_CREDENTIALS_ACCESS_KEY_ID", "AKIAJEXAMPLEEXAMPLEQ")
    auditor.set("LAKECTL_CREDENTIALS_SECRET_ACCESS_KEY", "not-a-real-secret-access-key")
    said = auditor.cli("replay", str(folder), "--tracking-uri", made.tracking, root=auditor.root)
    assert said.code == 7
    assert said.err.splitlines()[0] == (
        "error: run ffffffff cannot be rebuilt: no credentials may be sent to the lakeFS at https://lake.example.net that the record names: "
        "those of LAKECTL_CREDENTIALS_ACCESS_KEY_ID belong to https://lake.example.com"
    )
    said = auditor.replay(lake="https://lake.example.net")
    assert said.code == 2  # here a person asked for it
    assert "that --lake names" in said.err


def test_a_program_that_is_not_here(auditor: Auditor, made: Made, tmp_path: Path) -> None:
    folder = made.copy(tmp_path / "forged")
    edit(folder, "repro.toml", 'command = ["python"', 'command = ["no-such-program"')
    edit_record(
        folder, lambda record: (record["command"].__setitem__(0, "no-such-program"), record.update(run_id="f" * 32))
    )
    forge(folder)
    said = auditor.replay(run=folder)
    assert said.code == 7
    assert said.err.splitlines()[-2] == (
        'error: run ffffffff cannot be rebuilt: run.command names "no-such-program", which is not on the PATH of the run'
    )


def test_a_package_that_is_no_longer_anywhere(auditor: Auditor, tmp_path: Path) -> None:
    auditor.set("REPROLOCK_CACHE_DIR", str(tmp_path / "empty"))
    (tmp_path / "config" / "uv").mkdir(parents=True)
    (tmp_path / "nothing").mkdir()
    (tmp_path / "config" / "uv" / "uv.toml").write_text(f'no-index = true\nfind-links = ["{tmp_path}/nothing"]\n')
    auditor.set("XDG_CONFIG_HOME", str(tmp_path / "config"))
    said = auditor.replay()
    assert said == (
        7,
        "",
        f"error: run {auditor.short} cannot be rebuilt: alpha 1.0 is gone: the index that uv asks does not have it\n"
        "hint: name the index that has it in UV_INDEX\n",
    )


# What the command does


@pytest.mark.parametrize(
    ("turn", "code", "verdict", "line"),
    [
        ("near", 0, "REPRODUCED   4 of 4 compared", "loss   ±1e-6        77        77.0000077  within tolerance"),
        ("far", 6, "DIVERGED   2 of 4 differ: model, loss", "  model: total is 77.77, recorded 77"),
        ("raw", 6, "DIVERGED   1 of 4 differ: raw", "rows   exact        3         3         identical"),
        ("fail", 6, "DIVERGED   the replayed command ended differently: exit code 3", RULE),
        (
            "lost", 6,
            "DIVERGED   the replayed command ended differently: exit code 0, but it did not write the declared output raw",
            RULE,
        ),
        ("kill", 7, "NOT REPLAYABLE   the replayed command was ended from outside: killed by SIGKILL (out of memory?)", RULE),
    ],
)  # fmt: skip
def test_turns(turn: str, code: int, verdict: str, line: str, auditor: Auditor) -> None:
    auditor.set("TURN", turn)
    said = auditor.replay()
    assert said.code == code
    assert f"{verdict}   {TURN}" in said.out.splitlines()
    assert line in said.out.splitlines(), said.out
    assert auditor.newest.data.tags["reprolock.verdict"] == verdict.split("   ")[0]
    if code == 6:
        assert "Nothing differs in the inputs and the observed environment" in said.out.splitlines()
        assert said.err.splitlines()[-1] == f"hint: its outputs are in {auditor.folder()}/project"


def test_without_its_tolerance_the_same_wobble_diverges(auditor: Auditor, made: Made, tmp_path: Path) -> None:
    folder = made.copy(tmp_path / "strict")
    edit(folder, "repro.toml", "loss = { rel = 1e-6 }", 'loss = "exact"')
    edit_record(folder, lambda record: record.update(run_id="f" * 32))
    forge(folder)
    auditor.set("TURN", "near")
    said = auditor.replay(run=folder)
    assert (said.code, "loss   exact        77        77.0000077  different" in said.out.splitlines()) == (6, True)


def test_several_times(auditor: Auditor) -> None:
    auditor.set("TURN", "random")
    said = auditor.replay("--times", "3")
    assert said.code in (0, 6)
    assert len([line for line in said.out.splitlines() if line.startswith(("REPRODUCED", "DIVERGED"))]) == 3
    lines = said.out.splitlines()
    start = lines.index("Spread over 3 replays")
    low, high, spread = re.fullmatch(
        r"  loss  3 values         ([\d.]+) to ([\d.]+)  spread ([\d.e-]+)  rel [\d.e-]+", lines[start + 1]
    ).groups()
    assert 77 <= float(low) < float(high) < 77.01
    assert float(spread) == pytest.approx(float(high) - float(low), rel=1e-2)
    assert lines[start + 2] == "  rows  3 values, equal  3"
    assert [auditor.folder(number).exists() for number in (1, 2, 3)] == [True, True, True]


def test_a_what_if(auditor: Auditor, made: Made) -> None:
    said = auditor.replay("--set", "n=4", "--data", "train=main")
    replay = auditor.newest
    record = made.tracker.read(replay.info.run_id)
    [before, after] = [
        [output.compared.partition(":")[2][:8] for output in found.outputs[:2]] for found in (made.record, record)
    ]
    assert after[1] == hashlib.sha256(b"125").hexdigest()[:8]
    commits = [found.datasets[0].commit[:12] for found in (made.record, record)]
    assert (said.code, said.out.splitlines()) == (
        0,
        [
            "alpha 41",
            f"changed  train {commits[0]} → {commits[1]}; params.n 3 → 4",
            "loss     changed  77        125",
            "rows     changed  3         4",
            f"model    changed  {before[0]}  {after[0]}",
            f"raw      changed  {before[1]}  {after[1]}",
            f"Recorded replay {replay.info.run_id[:8]} of {auditor.short}",
        ],
    )
    assert (before[0] != after[0], commits[0] != commits[1]) == (True, True)
    assert replay.data.tags["reprolock.verdict"] == "none"
    assert (
        MlflowClient(made.tracking).get_run(auditor.run).data.tags[f"reprolock.replay.{replay.info.run_id}"] == "none"
    )
    assert record.what_if == {"n": 4}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "m=4"], 'error: --set m: repro.toml declares no param "m"'),
        (["--data", "train=nowhere"], "error: --data train=nowhere: "),
        (["--data", "test=main"], 'error: --data test: repro.toml declares no dataset "test"'),
    ],
)
def test_a_what_if_of_nothing(arguments: list[str], message: str, auditor: Auditor) -> None:
    said = auditor.replay(*arguments)
    assert said.code == 2
    assert said.err.splitlines()[0].startswith(message)


def test_a_dry_run(auditor: Auditor, made: Made) -> None:
    newest = auditor.newest.info.run_id
    auditor.set("TURN", "fail")
    said = auditor.replay("--dry-run")
    assert (said.code, auditor.newest.info.run_id) == (0, newest)
    assert said.err.count("Record   complete, 9 of 9 sections as recorded\n") == 1
    lines = said.out.splitlines()
    assert lines[0] == f"Code     {auditor.folder()}/code"
    assert re.fullmatch(r"Would run  python train.py /\S+/train 3 /\S+/out/model.json", lines[1])
    assert lines[2:] == ["Seed     7", "Sets     MODE=fast", "Passes   TURN"]
    assert (auditor.folder() / "code" / "train.py").read_text() == TRAIN
    assert not (auditor.folder() / "project" / "out").exists()
    document = json.loads(auditor.replay("--dry-run", "--json").out)
    assert (document["verdict"], document["status"], document["pass_env"], document["command"][:2]) == (
        None, "RUNNING", ["TURN"], ["python", "train.py"],
    )  # fmt: skip


def test_a_dry_run_shows_what_the_command_would_be_given(project: Project, cli: Cli) -> None:
    """Variables can make a program do anything: an auditor sees them first."""
    project.edit("[run]", '[run]\nseed = 7\nenv = { LD_PRELOAD = "/tmp/a b.so", LEVEL = "\\u001b[2J" }')
    assert cli("lock").code == cli("run").code == 0
    said = cli("replay", project.record.run_id, "--dry-run")
    assert said.out.splitlines()[2:] == [
        "Seed     7",
        "Sets     LD_PRELOAD='/tmp/a b.so'",
        "Sets     LEVEL=$'\\x1b[2J'",
    ]
    document = json.loads(cli("replay", project.record.run_id, "--dry-run", "--json").out)
    assert (document["seed"], document["env"]) == (7, {"LD_PRELOAD": "/tmp/a b.so", "LEVEL": "\x1b[2J"})


def test_options_that_cannot_be_followed_are_refused_before_anything_runs(
    project: Project, cli: Cli, tmp_path: Path
) -> None:
    assert cli("lock").code == cli("run").code == 0
    run_id, runs = project.record.run_id, len(project.all_stored())
    said = cli("replay", run_id, "--html", str(tmp_path / "nowhere" / "x.html"))
    assert (said.code, said.err) == (
        2,
        f"error: --html {tmp_path}/nowhere/x.html: {tmp_path}/nowhere is not a folder\n"
        "hint: make it first; the page is written when the replay has ended\n",
    )
    for command in (
        ("replay", run_id),
        ("impact", "lakefs://example-repo/main"),
        ("data", "ls", "lakefs://example-repo/main/"),
    ):
        said = cli(*command, "--lake", "lake")
        assert (said.code, said.err) == (
            2,
            'error: --lake names no lake: "lake"\nhint: write "file:lake" for an embedded lake in a folder, '
            'or the address of a lakeFS, "https://lakefs.example.com"\n',
        )
    assert len(project.all_stored()) == runs


def test_json(auditor: Auditor, made: Made) -> None:
    said = auditor.replay("--json")
    document = json.loads(said.out)
    assert (said.code, document["recorded"], document["replay"]) == (0, auditor.run, auditor.newest.info.run_id)
    assert (document["verdict"]["kind"], document["verdict"]["unlocked"]) == ("REPRODUCED", TURN.split("   "))
    assert [item["state"] for item in document["verdict"]["comparisons"]] == ["identical"] * 4
    assert "alpha 41" in said.err.splitlines()
    (auditor.root / "another").mkdir()
    said = auditor.replay("--json", lake=f"file:{auditor.root}/another")
    document = json.loads(said.out)
    assert (said.code, document["verdict"]["kind"]) == (7, "NOT REPLAYABLE")
    assert document["verdict"]["reason"].startswith(f"run {auditor.short} cannot be rebuilt: ")


def test_names_of_no_run(auditor: Auditor) -> None:
    assert auditor.replay(run="0123456789").code == 2
    (auditor.root / "empty").mkdir()
    said = auditor.replay(run=auditor.root / "empty")
    assert (said.code, said.err.splitlines()[0]) == (2, f"error: {auditor.root}/empty is a folder without record.json")


# Faults of services and machines


def hanging(auditor: Auditor) -> Any:
    auditor.set("TURN", "hang")
    return in_background(
        auditor.root,
        "replay",
        auditor.run,
        "--lake",
        f"file:{auditor.made.lake}",
        "--tracking-uri",
        auditor.made.tracking,
    )


def is_hanging(auditor: Auditor) -> bool:
    runs = list(auditor.folder().glob("project/.reprolock/runs/*/record.json"))
    return (
        bool(runs)
        and auditor.newest.data.tags.get("reprolock.replay_of") == auditor.run
        and auditor.newest.info.status == "RUNNING"
    )


def test_ctrl_c(auditor: Auditor) -> None:
    with hanging(auditor) as process:
        wait_for(lambda: is_hanging(auditor))
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert lines_of(err, "error") == ["error: the replay was ended: Ctrl-C"]
    assert "DIVERGED" not in out and "NOT REPLAYABLE" not in out
    assert (auditor.newest.info.status, auditor.newest.data.tags["reprolock.verdict"]) == ("KILLED", "none")


def test_a_replay_that_was_killed_is_closed_by_the_next(auditor: Auditor) -> None:
    with hanging(auditor) as process:
        wait_for(lambda: is_hanging(auditor))
        killed = auditor.newest.info.run_id
        process.kill()
        process.wait()
    auditor.set("TURN", "")
    auditor.set("MLFLOW_TRACKING_URI", auditor.made.tracking)
    assert auditor.replay("-q").code == 0
    stored = MlflowClient(auditor.made.tracking).get_run(killed)
    assert (stored.info.status, stored.data.tags["reprolock.ending"]) == ("KILLED", "reprolock was killed")


# Runs that nothing can be compared with


def test_a_run_that_failed(project: Project, cli: Cli) -> None:
    project.script("raise SystemExit(3)")
    project.add('[outputs.x]\npath = "x"\n')
    assert (cli("lock").code, cli("run").code) == (0, 1)
    run = project.record.run_id
    said = cli("replay", run)
    assert said == (
        7,
        "",
        f"error: run {run[:8]} is FAILED: exit code 3\nhint: only a run that finished has a result to compare with\n",
    )


@pytest.mark.parametrize("options", [(), ("--times", "2")])
def test_a_run_with_nothing_to_compare_is_refused_before_it_runs(
    project: Project, cli: Cli, options: tuple[str, ...]
) -> None:
    project.add('[outputs.log]\npath = "log"\ncompare = "none"\n')
    project.script("open('log', 'w').close(); print('ran')")
    assert (cli("lock").code, cli("run").code) == (0, 0)
    run = project.record.run_id
    assert cli("replay", run, *options) == (
        7,
        "",
        f"error: run {run[:8]} has nothing to compare: its repro.toml declares no metric, and no output that is compared\n"
        "hint: declare some under [metrics] and [outputs], and run again; with --set or --data a replay needs none\n",
    )


def test_a_comparison_needs_nothing_declared(project: Project, cli: Cli) -> None:
    project.script("print('ran')")
    project.add("[params]\ndepth = 1\n")
    assert (cli("lock").code, cli("run").code) == (0, 0)
    said = cli("replay", project.record.run_id, "--set", "depth=2")
    assert (said.code, said.out.splitlines()[:2]) == (0, ["ran", "changed  params.depth 1 → 2"])


def test_a_run_that_mlflow_has_from_elsewhere(project: Project, cli: Cli) -> None:
    client = MlflowClient(project.database)
    experiment = client.create_experiment("elsewhere", artifact_location=(project.root / "mlruns").as_uri())
    run = client.create_run(experiment).info.run_id
    said = cli("replay", run)
    assert said == (
        7,
        "",
        f"error: the run {run} in MLflow at {project.database} (the default of mlflow.tracking_uri) "
        "has no reprolock/record.json: reprolock did not record it\n"
        "hint: name a run that `reprolock run` made\n",
    )


def test_as_a_function(auditor: Auditor, made: Made) -> None:
    from reprolock.steps.replaying.replay import ReplayOptions  # the library's own way

    done = reprolock.replay(
        auditor.root, auditor.short, ReplayOptions(made.tracking, f"file:{made.lake}"), machine=made.machine(TURN="")
    )
    assert done.verdict is not None
    assert (done.verdict.kind, done.verdict.exit_code, done.recorded.run_id) == ("REPRODUCED", 0, auditor.run)


# What differs, and what was not locked


def older_python(made: Made, folder: Path) -> Path:
    """The run as it would have been recorded on an older Python."""
    made.copy(folder)
    edit_record(folder, lambda record: (record["environment"].update(python="3.11.0"), record.update(run_id="f" * 32)))
    forge(folder)
    return folder


def test_what_was_not_locked_is_said_beside_reproduced(auditor: Auditor, made: Made, tmp_path: Path) -> None:
    said = auditor.replay(run=older_python(made, tmp_path / "older"))
    python = made.record.environment.python
    lines = said.out.splitlines()
    reproduced = f"REPRODUCED   4 of 4 compared   on Python {python}, recorded 3.11.0   {TURN}   by a record that no MLflow here confirms"
    start = lines.index(reproduced)
    assert (said.code, lines[start + 1 : start + 3]) == (
        0,
        ["What differs in the inputs and the observed environment: packages", f"  packages: Python 3.11.0 → {python}"],
    )


def test_diverged_says_what_differs_in_the_environment(auditor: Auditor, made: Made, tmp_path: Path) -> None:
    auditor.set("TURN", "raw")
    said = auditor.replay(run=older_python(made, tmp_path / "older"))
    lines = said.out.splitlines()
    start = lines.index("What differs in the inputs and the observed environment: packages")
    assert (said.code, lines[start + 1]) == (6, f"  packages: Python 3.11.0 → {made.record.environment.python}")


@pytest.mark.long
def test_other_jars_and_another_java(
    project: Project, cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The record is whole, this machine is not the one for it: exit 8, where another machine may do."""
    cache = tmp_path / "cache"
    monkeypatch.setenv("REPROLOCK_CACHE_DIR", str(cache))
    monkeypatch.setenv("REPROLOCK_MAVEN_REPOSITORY", (tmp_path / "maven").as_uri())
    maven = Layout(tmp_path / "maven")
    maven.add("org.acme:app:1.0")
    java = find_java(os.environ)
    project.add(f"""
        [environment]
        java = "=={java.feature}"

        [spark]
        master = "local[3]"
        packages = ["org.acme:app:1.0"]

        [outputs.x]
        path = "x.txt"
    """)
    project.script("open('x.txt', 'w').write('x')")
    said = cli("lock")
    assert said.code == 0, said.err
    assert cli("run", "-q").code == 0
    run = project.record
    assert (run.spark.master, run.spark.jars) == ("local[3]", 2)

    said = cli("replay", run.run_id)
    assert said.code == 0, said.err
    assert lines_of(said.out, "REPRODUCED") == ["REPRODUCED   1 of 1 compared   packages not locked, none differ"]
    assert ", 2 jars, " in said.err

    changed = bytes(reversed(maven.jar("org.acme:app:1.0").read_bytes()))
    [stored] = (cache / "jars").glob("*/*/org.acme_app-1.0.jar")
    forge_bytes(stored, changed)
    said = cli("replay", run.run_id)
    found = hashlib.sha256(changed).hexdigest()
    assert said == (
        7,
        "",
        f"error: run {run.run_id[:8]} cannot be rebuilt: jar org.acme:app:1.0 in the store has changed: "
        f"SHA-256 {found[:12]}, pinned {stored.parent.name[:12]}\nhint: delete {stored} and run again to download it again\n",
    )
    said = cli("run")
    assert (said.code, lines_of(said.err, "error")) == (
        4,
        [
            f"error: jar org.acme:app:1.0 in the store has changed: SHA-256 {found[:12]}, pinned {stored.parent.name[:12]}"
        ],
    )
    stored.unlink()

    folder = open_tracker(Place(project.database, "the test"), {}, tmp_path).download(
        run.run_id, tmp_path / "downloaded"
    )
    pinned = hashlib.sha256(maven.jar("org.acme:app:1.0").read_bytes()).hexdigest()
    edit(folder, "repro.lock", pinned, "0" * 64)
    said = cli("replay", str(folder))
    assert said.code == 7
    assert "  jars: the seal in repro.lock is broken" in said.err.splitlines()
    assert any(line.startswith("  jars: its pinned digest is ") for line in said.err.splitlines())

    shutil.rmtree(cache / "jars")
    jar = maven.jar("org.acme:app:1.0")
    original = jar.read_bytes()
    jar.write_bytes(b"another jar")
    said = cli("replay", run.run_id)
    [error] = lines_of(said.err, "error")
    sentence = f"error: run {run.run_id[:8]} cannot be rebuilt: jar org.acme:app:1.0 from its repository is not the pinned file: "
    assert (said.code, error.startswith(sentence)) == (7, True), said.err

    jar.write_bytes(original)
    memory = json.loads((cache / "java.json").read_bytes())
    for answer in memory.values():
        answer[1:3] = ["99", "99.0.1"]
    (cache / "java.json").write_text(json.dumps(memory))
    said = cli("replay", run.run_id)
    assert (said.code, lines_of(said.err, "error")) == (
        8,
        [f'error: Java 99.0.1 is at {java.home}, and environment.java asks for "=={java.feature}"'],
    )


def test_mlflow_that_goes_away_gives_no_verdict_on_metrics(project: Project, cli: Cli) -> None:
    """What could not be asked for is not what the replay did not log."""
    project.edit("[run]", '[run]\npass_env = ["TURN"]')
    project.add("""
        [metrics]
        loss = "exact"

        [mlflow]
        tracking_uri = "sqlite:///kept/mlflow.db"
    """)
    project.script("""
        import os
        import mlflow
        mlflow.log_metric("loss", 0.25)
        mlflow.end_run()
        folder = os.environ["MLFLOW_TRACKING_URI"].removeprefix("sqlite:///").removesuffix("/mlflow.db")
        if "TURN" in os.environ:
            os.rename(folder, folder + "-away")
    """)
    (project.root / "kept").mkdir()
    shutil.copy(project.root / "mlflow.db", project.root / "kept" / "mlflow.db")
    assert (cli("lock").code, cli("run", "-q").code) == (0, 0)
    run = project.record.run_id
    os.environ["TURN"] = "away"
    try:
        said = cli("replay", run)
    finally:
        del os.environ["TURN"]
    assert said.code == 7, said.err
    reason = "MLflow stopped answering, and could not be asked for the metrics that the replay logged"
    assert lines_of(said.out, "NOT REPLAYABLE")[0].startswith(f"NOT REPLAYABLE   {reason}")
    shutil.rmtree(project.root / "kept", ignore_errors=True)
    os.rename(project.root / "kept-away", project.root / "kept")
    said = cli("sync")
    assert (said.code, said.out.startswith("Sent run ")) == (0, True), said
