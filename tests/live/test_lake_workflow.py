"""The lake by hand, as typed: experiments on branches, committed, tagged, merged, listed. One text for both lakes."""

from __future__ import annotations

import json
import secrets
import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import services
from command_line import Cli, Said
from project import Project, wait_for

from reprolock.lake.open import open_lake
from reprolock.lake.protocol import Lake

ODD = ("with space.csv", "ünïcode-データ.csv", "100%25.csv", "a+b.csv", ".hidden", "[x]{y}*?.csv", "deep/er/b")


class Hand:
    """`reprolock data …` in a project's folder; what it prints, where it is expected to do well."""

    def __init__(self, cli: Cli, kind: str, repository: str) -> None:
        self._cli = cli
        self.kind = kind
        self.repository = repository

    def at(self, place: str = "") -> str:
        return f"lakefs://{self.repository}/{place}"

    def __call__(self, *arguments: str) -> str:
        said = self.said(*arguments)
        assert said.code == 0, said.err
        return said.out

    def said(self, *arguments: str) -> Said:
        return self._cli("data", *arguments)

    def create(self) -> str:
        storage = ["--storage", "s3://lake/"] if self.kind == "lakefs" else []
        return self("create", f"lakefs://{self.repository}", *storage)

    def listed(self, place: str) -> list[str]:
        """Paths, by `ls -r`."""
        entries = json.loads(self("ls", "-r", "--json", self.at(place)))["entries"]
        return [entry["path"] for entry in entries]


@pytest.fixture(params=["git", pytest.param("lakefs", marks=pytest.mark.live)])
def hand(request: pytest.FixtureRequest, cli: Cli, project: Project, monkeypatch: pytest.MonkeyPatch) -> Hand:
    """No repository yet."""
    name = request.node.originalname.removeprefix("test_").replace("_", "-")[:50]
    if request.param == "lakefs":
        server: services.LakeFS = request.getfixturevalue("lakefs")
        for variable, value in server.lakectl.items():
            monkeypatch.setenv(variable, value)
        project.edit('[lake]\nendpoint = "file:lake"\n', "")
    return Hand(cli, request.param, f"w-{name}")


def write(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"of {name}\n")
    return folder


def test_two_experiments(hand: Hand, tmp_path: Path) -> None:
    write(tmp_path, "base.csv", "first.csv", "second.csv")
    assert hand.create() == f"Created lakefs://{hand.repository} with branch main\n"
    hand("put", str(tmp_path / "base.csv"), hand.at("main/"))
    hand("commit", hand.at("main"), "-m", "The common base")
    for number, file in (("1", "first.csv"), ("2", "second.csv")):
        branch = f"experiment{number}"
        assert hand("branch", hand.at("main"), branch) == f"Created branch {branch} of {hand.repository} at main\n"
        size = (tmp_path / file).stat().st_size
        said = hand("put", str(tmp_path / file), hand.at(f"{branch}/data/{file}"))
        assert said == f"Staged 1 object, {size} B, at {hand.at(f'{branch}/data/{file}')}\n"
        hand(
            "commit", hand.at(branch), "-m", f"Experiment {number}", "--meta", f"number={number}", "--meta", "by=me=you"
        )
        said = hand("tag", hand.at(branch), f"my-ml-experiment{number}")
        assert said == f"Tagged {hand.repository} {branch} as my-ml-experiment{number}\n"
        hand("merge", hand.at(branch), hand.at("main"), "--meta", f"from={branch}")

    # The second branch was made when the first was merged already.
    assert hand.listed("my-ml-experiment1/data/") == ["data/first.csv"]
    assert hand.listed("my-ml-experiment2/data/") == ["data/first.csv", "data/second.csv"]
    assert hand("ls", hand.at("my-ml-experiment2/data/")) == "     13 B  data/first.csv\n     14 B  data/second.csv\n"
    assert hand("ls", hand.at("main/")) == "     12 B  base.csv\n     27 B  data/  2 objects\n"
    assert hand("diff", hand.at("my-ml-experiment1"), hand.at("main")) == "+ data/second.csv\n"
    assert f"lakefs://{hand.repository}\n" in hand("ls")
    names = [(ref["kind"], ref["name"]) for ref in json.loads(hand("ls", "--json", hand.at()))["refs"]]
    assert ("branch", "main") in names and ("tag", "my-ml-experiment1") in names
    [newest, *_] = json.loads(hand("log", "--json", hand.at("my-ml-experiment1")))["commits"]
    assert (newest["message"], newest["metadata"]) == ("Experiment 1", {"number": "1", "by": "me=you"})
    assert "              number = 1\n" in hand("log", "-v", hand.at("experiment1"))


def test_branches_made_at_one_moment(hand: Hand, tmp_path: Path) -> None:
    """Two experiments beside one another: each tag shows its own file, main both."""
    write(tmp_path, "first.csv", "second.csv")
    hand.create()
    for number in "12":
        hand("branch", hand.at("main"), f"experiment{number}")
    for number, file in (("1", "first.csv"), ("2", "second.csv")):
        hand("put", str(tmp_path / file), hand.at(f"experiment{number}/"))
        hand("commit", hand.at(f"experiment{number}"), "-m", f"Experiment {number}")
        hand("tag", hand.at(f"experiment{number}"), f"my-ml-experiment{number}")
    for number in "12":
        hand("merge", hand.at(f"experiment{number}"), hand.at("main"))
    assert hand.listed("my-ml-experiment1/") == ["first.csv"]
    assert hand.listed("my-ml-experiment2/") == ["second.csv"]
    assert hand.listed("main/") == ["first.csv", "second.csv"]
    hand("tag", hand.at("main"), "both")
    assert hand.listed("both/") == ["first.csv", "second.csv"]


def test_a_conflict_merges_nothing(hand: Hand, tmp_path: Path) -> None:
    write(tmp_path, "a.csv", "b.csv", "c.csv")
    hand.create()
    hand("put", str(tmp_path / "a.csv"), hand.at("main/"))
    hand("commit", hand.at("main"), "-m", "one")
    hand("branch", hand.at("main"), "other")
    for branch, file in (("main", "b.csv"), ("other", "c.csv")):
        hand("put", str(tmp_path / file), hand.at(f"{branch}/a.csv"))
    hand("put", str(tmp_path / "c.csv"), hand.at("other/new.csv"))
    hand("commit", hand.at("main"), "-m", "theirs")
    hand("commit", hand.at("other"), "-m", "ours")
    said = hand.said("merge", hand.at("other"), hand.at("main"))
    assert said.err == (
        f'error: "other" and the branch "main" of the repository "{hand.repository}" both changed 1 path\n'
        "  a.csv\n"
        'hint: make the two agree on a branch, then merge again; "main" is as it was\n'
    )
    assert said.code == 9
    assert hand.listed("main/") == ["a.csv"]
    hand("get", hand.at("main/a.csv"), str(tmp_path / "now.csv"))
    assert (tmp_path / "now.csv").read_text() == "of b.csv\n"


def test_what_was_done_is_undone(hand: Hand, tmp_path: Path) -> None:
    write(tmp_path / "in", "data/a.csv", "data/b.csv", "other.csv")
    hand.create()
    hand("put", str(tmp_path / "in"), hand.at("main/"))
    hand("commit", hand.at("main"), "-m", "All")
    assert hand("rm", hand.at("main/data/")) == f"Staged the removal of 2 objects at {hand.at('main/data/')}\n"
    hand("commit", hand.at("main"), "-m", "Less")
    assert hand.listed("main/") == ["other.csv"]
    assert hand("revert", hand.at("main"), "main").startswith("Undid main on ")
    assert hand.listed("main/") == ["data/a.csv", "data/b.csv", "other.csv"]
    hand("branch", hand.at("main"), "spare")
    assert hand("branch", "--delete", hand.at("spare")) == f"Removed branch spare of {hand.repository}\n"
    assert hand.said("ls", hand.at("spare/")).code == 2
    said = hand.said("branch", hand.at("main"))
    assert (said.code, said.err.splitlines()[0]) == (2, "error: write the NAME of a new branch, or --delete")


def test_odd_names_go_in_and_come_out(hand: Hand, tmp_path: Path) -> None:
    folder = write(tmp_path / "in", *ODD)
    (folder / "empty").write_bytes(b"")
    hand.create()
    hand("put", str(folder), hand.at("main/odd dir/"))
    hand("commit", hand.at("main"), "-m", "Odd")
    assert hand.listed("main/odd dir/") == sorted((f"odd dir/{name}" for name in (*ODD, "empty")), key=str.encode)
    hand("get", hand.at("main/odd dir/"), str(tmp_path / "out"))
    found = {
        file.relative_to(tmp_path / "out").as_posix(): file.read_text()
        for file in (tmp_path / "out").rglob("*")
        if file.is_file()
    }
    assert found == {name: f"of {name}\n" for name in ODD} | {"empty": ""}


def test_names_that_would_leave_the_folder(hand: Hand, tmp_path: Path) -> None:
    write(tmp_path, "a.csv")
    hand.create()
    for path in ("../a.csv", "x/../../a.csv", "./a.csv"):
        said = hand.said("put", str(tmp_path / "a.csv"), hand.at(f"main/{path}"))
        assert said.code == 2
        assert f'"{path}" contains "." or ".." as a segment, which could lead out of its folder' in said.err
    assert hand.listed("main/") == []


def test_what_is_there_already_is_not_sent_again(hand: Hand, tmp_path: Path) -> None:
    folder = write(tmp_path / "in", "a.csv", "b.csv", "c.csv")
    hand.create()
    hand("put", str(folder), hand.at("main/data/"))
    (folder / "b.csv").write_text("of b.CSV\n")
    write(folder, "d.csv")
    said = hand("put", str(folder), hand.at("main/data/"))
    assert said == f"Staged 2 objects, 18 B, at {hand.at('main/data/')}; 2 there already\n"
    hand("get", hand.at("main/data/"), str(tmp_path / "out"))
    assert (tmp_path / "out/b.csv").read_text() == "of b.CSV\n"
    said = hand("put", str(folder / "a.csv"), hand.at("main/data/"))
    assert said == f"Staged 0 objects, 0 B, at {hand.at('main/data/')}; 1 there already\n"


def test_a_commit_belongs_to_a_run(hand: Hand, project: Project, cli: Cli, tmp_path: Path) -> None:
    write(tmp_path, "model.bin")
    hand.create()
    project.edit('uri = "lakefs://example-repo/main/train/"', f'uri = "{hand.at("main/train/")}"')
    hand("put", str(tmp_path / "model.bin"), hand.at("main/train/"))
    hand("commit", hand.at("main"), "-m", "Data")
    project.script("print('trained')")
    for command in ("lock", "run"):
        assert cli(command).code == 0
    record = project.record
    hand("branch", hand.at("main"), "models")
    hand("put", str(tmp_path / "model.bin"), hand.at("models/"))
    hand("commit", hand.at("models"), "-m", "A model", "--run", record.run_id[:8], "--meta", "kind=model")
    [newest, *_] = json.loads(hand("log", "--json", hand.at("models")))["commits"]
    assert newest["metadata"] == {"mlflow_run": record.run_id, "reprolock.pinned": record.pinned.total, "kind": "model"}
    said = hand.said("commit", hand.at("models"), "-m", "x", "--run", "0000ffff")
    assert said.code == 2
    assert said.err.startswith('error: no run "0000ffff"'), said.err


def test_a_branch_deleted_under_the_run(hand: Hand, project: Project, cli: Cli, tmp_path: Path) -> None:
    """The commit is pinned and not the branch: the run goes on, and so does the next one."""
    write(tmp_path, "a.csv")
    hand.create()
    hand("branch", hand.at("main"), "experiment")
    hand("put", str(tmp_path / "a.csv"), hand.at("experiment/train/"))
    hand("commit", hand.at("experiment"), "-m", "Data")
    project.edit('uri = "lakefs://example-repo/main/train/"', f'uri = "{hand.at("experiment/train/")}"')
    command = [
        sys.executable,
        "-m",
        "reprolock",
        "-C",
        str(project.root),
        "data",
        "branch",
        "--delete",
        hand.at("experiment"),
    ]
    project.script(f"""
        import subprocess
        import reprolock
        subprocess.run({command!r}, check=True)
        print(reprolock.current().dataset("train").open().read().decode(), end="")
    """)
    assert cli("lock").code == 0
    said = cli("run", "-q")
    assert (said.code, said.out) == (0, f"Removed branch experiment of {hand.repository}\nof a.csv\n")
    project.script("import reprolock; print(reprolock.current().dataset('train').open().read().decode(), end='')")
    said = cli("run", "-q")
    assert (said.code, said.out) == (0, "of a.csv\n")


@pytest.fixture
def fragile(object_store: services.ObjectStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[services.LakeFS]:
    """A lakeFS that may be killed."""
    own = services.start_lakefs(tmp_path_factory.mktemp("lakefs-put"), object_store)
    yield own
    own.server.stop()


@pytest.mark.live
def test_an_upload_that_is_cut_in_the_middle_goes_on_later(
    lakefs: services.LakeFS,
    fragile: services.LakeFS,
    cli: Cli,
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    for variable, value in fragile.lakectl.items():
        monkeypatch.setenv(variable, value)
    project.edit('[lake]\nendpoint = "file:lake"\n', "")
    hand = Hand(cli, "lakefs", f"w-cut-{secrets.token_hex(3)}")
    hand.create()
    folder = write(tmp_path / "in", *(f"{number:04d}" for number in range(1000)))
    lake = open_lake(None, tmp_path, fragile.lakectl, tmp_path)
    with ThreadPoolExecutor(1) as pool:
        killing = pool.submit(_kill_in_the_middle, fragile, lambda: count(lake, hand.repository))
        said = hand.said("put", str(folder), hand.at("main/data/"))
        killing.result()
    assert said.code == 5
    assert said.err.startswith(f"error: no answer from lakeFS at {fragile.endpoint} (LAKECTL_SERVER_ENDPOINT_URL)")
    fragile.server.start()
    begun = count(lake, hand.repository)
    assert 20 < begun < 1000
    assert list(lake.list(hand.repository, "main~0")) == []
    said = hand.said("put", str(folder), hand.at("main/data/"))
    assert said.out.endswith(f"at {hand.at('main/data/')}; {begun} there already\n")
    assert said.out.startswith(f"Staged {1000 - begun} objects, ")
    hand("commit", hand.at("main"), "-m", "All of it")
    assert sum(1 for _ in lake.list(hand.repository, "main~0")) == 1000
    lake.close()


def count(lake: Lake, repository: str) -> int:
    return sum(1 for _ in lake.list(repository, "main"))


def _kill_in_the_middle(server: services.LakeFS, there: Callable[[], int]) -> None:
    wait_for(lambda: there() > 20)
    server.server.stop(signal.SIGKILL)
