"""docs/concepts/security.md, "Command by command": each row is run on a hostile project, and does no more than it says.

The project names a tracking server of somebody else's, its code and the environment's programs would tell that they were
executed. Python's audit hooks see every process that reprolock starts and every connection that it opens; the tree of files is
looked at before and after.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from catcher import Catcher
from command_line import Cli
from every_command import every_command
from project import NAMES, Project

from reprolock.cli.main import COMMANDS, run_command_line

PAGE = Path(__file__).parents[2] / "docs" / "concepts" / "security.md"
TRAIN = """
    import json
    from pathlib import Path
    Path("out").mkdir(exist_ok=True)
    Path("out/model.json").write_text(json.dumps([1, 2]))
"""
NOT_RUN = {"stack …", "hold", "ui"}
"""`stack` and `ui` start services (tests/stack, test_ui.py), `hold` writes to the lake alone (tests/live/test_hold_lakefs.py)."""


class Row(NamedTuple):
    """One row of the table, as it is written."""

    name: str
    reads: str
    executes: str
    contacts: str
    writes: str


def rows() -> list[Row]:
    """The table."""
    table = PAGE.read_text().partition("## Command by command")[2].partition("\n## ")[0]
    lines = [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("| `")]
    return [Row(name, *cells) for first, *cells in lines for name in re.findall(r"`([^`]+)`", first)]


ROWS = {row.name: row for row in rows()}


class Seen:
    """Programs that were started and addresses that were connected to, while `watching`."""

    def __init__(self) -> None:
        self.watching = False
        self.programs: list[str] = []
        self.connections: list[Any] = []

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.watching:
            return
        if event in ("subprocess.Popen", "os.posix_spawn", "os.exec", "os.system"):
            self.programs.append(Path(str(arguments[0])).name)
        elif event == "socket.connect":
            self.connections.append(arguments[1])

    @contextmanager
    def watch(self) -> Iterator[None]:
        self.programs.clear()
        self.connections.clear()
        self.watching = True
        try:
            yield
        finally:
            self.watching = False


class Site(NamedTuple):
    """The project, a folder beside it with what a person was given, the server that it names, and its recorded run."""

    project: Project
    given: Path
    catcher: Catcher
    seen: Seen
    run: str


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Iterator[Site]:
    """A project with one run, which names a server of somebody else's since. An audit hook stays for as long as the process does."""
    project, given = Project(tmp_path_factory.mktemp("project")), tmp_path_factory.mktemp("given")
    catcher, seen = Catcher(), Seen()
    sys.addaudithook(seen)
    project.script(TRAIN)
    project.add('\n[environment]\nisolated = false\n\n[outputs.model]\npath = "out/model.json"\ncompare = "json"\n')
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(NAMES)]:
            patch.delenv(name)
        patch.setenv("REPROLOCK_CACHE_DIR", str(cache))
        patch.setenv("REPROLOCK_CONFIG_DIR", str(given / "config"))
        patch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        for arguments in (["key", "new", str(given / "key.pem")], ["lock"], ["run", "-q"]):
            assert run_command_line(["-C", str(project.root), *arguments]) == 0
        run = project.record.run_id
        shutil.copytree(project.run_folder(run), given / "run", ignore=shutil.ignore_patterns("work"))
        (given / "trust.toml").write_text('[keys.ann]\npublic = "key.pem.pub"\nroles = ["run"]\n')
        project.add(f'\n[mlflow]\ntracking_uri = "{catcher.endpoint}"\n')
        assert run_command_line(["-C", str(project.root), "lock"]) == 0
        patch.setenv("REPROLOCK_SIGNING_KEY", str(given / "key.pem"))
        yield Site(project, given, catcher, seen, run)
    catcher.server.shutdown()
    catcher.server.server_close()


def tree(root: Path) -> dict[str, bytes]:
    """Every file below a folder; what stands in a link is the link's own text."""
    return {
        path.relative_to(root).as_posix(): str(path.readlink()).encode() if path.is_symlink() else path.read_bytes()
        for path in root.rglob("*")
        if path.is_symlink() or path.is_file()
    }


def may_write(row: Row, path: str) -> bool:
    """Whether the cell names the file: by its name, or by what the project has there."""
    named = [name.rstrip("/") for name in re.findall(r"`([^`]+)`", row.writes) if not name.startswith("-")]
    if "repro.toml" in row.writes:
        named.append("repro.toml")
    if "repro.lock" in row.writes:
        named.append("repro.lock")
    for word, places in {
        "outputs": ["out"],
        "MLflow": ["mlflow.db", "mlruns"],
        "git configuration": [".git"],
        "`-o` names": ["run.zip"],
        "`key new`": ["key.pem"],
        "the folder or bundle that is signed": ["attestations.jsonl"],
    }.items():
        if word in row.writes:
            named += places
    return any(path == name or path.startswith((f"{name}/", f"{name}.", f"{name}-")) for name in named)


def test_each_command_has_a_row() -> None:
    assert {name.split()[0] for name in ROWS} == {name for name, entry in COMMANDS.items() if entry.group}
    assert sorted(set(ROWS) - NOT_RUN - every_command("", Path("x")).keys()) == []


@pytest.mark.parametrize("name", sorted(ROWS.keys() - NOT_RUN))
def test_a_command_does_what_its_row_says(name: str, site: Site, cli: Cli, tmp_path: Path) -> None:
    row, root = ROWS[name], tmp_path if name == "init" else site.project.root
    before = tree(root) | tree(site.given)
    for arguments in every_command(site.run, site.given / "run")[name]:
        site.catcher.asked.clear()
        with site.seen.watch():
            said = cli(*arguments, root=root)
        assert said.code in (0, 2, 5, 7, 8), said.err
        programs = {re.sub(r"[\d.]+$", "", program) for program in site.seen.programs}
        told = {
            word for word in ("git", "uv", "java", "python", "bash") if re.search(rf"\b{word}\b", row.executes, re.I)
        }
        assert "other programs" in row.executes or programs <= told, (arguments, programs)
        if row.contacts.startswith("no service"):
            assert (site.seen.connections, site.catcher.asked) == ([], []), arguments
        if "MLflow" not in row.contacts:
            assert site.catcher.asked == [], arguments
    after = tree(root) | tree(site.given)
    changed = sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))
    assert [path for path in changed if not may_write(row, path)] == []
