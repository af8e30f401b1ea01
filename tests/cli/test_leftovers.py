"""Files that the command wrote and no output declares: named, kept for a while, and pruned; a record never is."""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from calls import calls_of
from project import Project

from reprolock.files.atomic_write import own_folder
from reprolock.steps.project.prune import prune
from reprolock.steps.running.leftovers import list_leftovers


def test_files_that_no_output_declares_are_named_and_kept(project: Project, cli) -> None:
    project.script("""
        from pathlib import Path
        for path, size in (("out/model.json", 2), ("out/log.txt", 5), ("checkpoints/a/1.pt", 2000), ("checkpoints/2.pt", 1000)):
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            Path(path).write_bytes(b"{}" if size == 2 else b"0" * size)
        Path("config.ini").write_text("changed")
    """)
    project.script("[a]", "config.ini")
    project.add('\n[outputs.model]\npath = "out/model.json"\ncompare = "json"\n')
    assert cli("lock").code == 0
    said = cli("run", "--offline")
    assert said.code == 0, said.err
    assert [line for line in said.err.splitlines() if "declares" in line] == [
        "Left     checkpoints/  2 files, 3 kB   no output declares them",
        "         config.ini    1 file, 7 B     no output declares it",
        "         out/log.txt   1 file, 5 B     no output declares it",
    ]
    assert [(item.path, item.files, item.bytes) for item in project.record.leftovers] == [
        ("checkpoints/", 2, 3000), ("config.ini", 1, 7), ("out/log.txt", 1, 5),
    ]  # fmt: skip
    folder = project.run_folder(project.record.run_id)
    assert (folder / "work/checkpoints/a/1.pt").stat().st_size == 2000

    old = time.time() - 8 * 86400
    for path in (folder / "record.json", folder):
        os.utime(path, (old, old))
    answer = json.loads(cli("cache", "--trim", "--older-than", "9", "--json").out)
    assert answer["runs"] == {"files": 0, "bytes": 0}
    before = sorted(path.name for path in folder.iterdir() if path.is_file())
    said = cli("cache", "--trim", "--max-size", "1TB")
    assert said.out.splitlines()[1].startswith("Removed ") and said.out.endswith("; their records stay\n")
    assert sorted(path.name for path in folder.iterdir()) == before
    assert "record.json" in before


def test_of_very_many_the_largest_are_named_and_all_are_counted(project: Project, cli) -> None:
    project.script("""
        from pathlib import Path
        for number in range(200):
            Path(f"part-{number:03}").write_bytes(b"0" * (300 - number))
    """)
    assert cli("lock").code == 0
    said = cli("run", "--offline")
    assert said.code == 0, said.err
    shown = [line for line in said.err.splitlines() if "declares" in line or " more, " in line]
    assert shown[2:] == [
        "      part-002  1 file, 298 B  no output declares it",
        "      and 197 more, 39 kB; `reprolock show --json` lists the largest",
    ]
    left = project.record.leftovers
    assert (len(left), left[-2].path, left[-1].path) == (50, "part-048", "./")
    assert (left[-1].files, sum(item.bytes for item in left)) == (151, sum(300 - number for number in range(200)))


def test_what_is_left_is_not_held_against_each_file_of_the_code(tmp_path: Path) -> None:
    """Five times as much of both takes five times as many calls, and not twenty-five times as many."""

    def look(count: int) -> int:
        code = {f"src/{number}.py": 0.0 for number in range(count)}
        for number in range(count):
            file = tmp_path / str(count) / "logs" / f"{number}.log"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("x")
        return calls_of(lambda: list_leftovers(tmp_path / str(count), code, ("out",)))

    assert look(500) < 6 * look(100)


def test_nothing_is_kept_where_nothing_should_be(project: Project, cli) -> None:
    project.script("open('left.txt', 'w').write('x')")
    project.add('keep = "0s"\n')
    assert cli("lock").code == 0
    assert cli("run", "--offline").code == 0
    assert [item.path for item in project.record.leftovers] == ["left.txt"]
    assert not (project.run_folder(project.record.run_id) / "work").exists()
    project.edit('keep = "0s"', 'keep = "a week"')
    said = cli("lock")
    assert said.code == 2
    assert '"a week" is not a duration; write "12h", "7d" or, to keep nothing, "0s"' in said.err


def make(path: Path, days: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x")
    then = time.time() - days * 86400
    for entry in (path, *path.parents):
        if ".reprolock" in entry.as_posix():
            os.utime(entry, (then, then))


def test_what_is_pruned_and_what_stays(tmp_path: Path) -> None:
    own = own_folder(tmp_path)
    for days, name in ((8.0, "old"), (1.0, "new")):
        make(own / "runs" / name / "work/a/big.bin", days)
        make(own / "runs" / name / "record.json", days)
        make(own / "replaced" / name / "out/model", days)
        make(own / "replays" / f"{name}-1/project/.reprolock/runs/r/record.json", days)
        make(own / "replays" / f"{name}-1/project/out/model", days)
        make(own / "replays" / f"{name}-1/code/train.py", days)
    make(own / "runs/busy/work/a", 8)
    make(own / "open/busy.json", 0)
    then = time.time() - 8 * 86400
    for path in (*own.glob("*/old*"), own / "runs/busy"):
        os.utime(path, (then, then))
    gone = prune(tmp_path, timedelta(days=7), datetime.now(UTC))
    assert (gone.files, gone.bytes) == (4, 4)
    left = sorted(
        path.relative_to(own).as_posix() for path in own.rglob("*") if path.is_file() and "old" in path.as_posix()
    )
    assert left == ["replays/old-1/project/.reprolock/runs/r/record.json", "runs/old/record.json"]
    assert (own / "runs/busy/work/a").exists()
    assert len([path for path in own.rglob("*") if path.is_file() and "/new" in path.as_posix()]) == 6
