"""`lock` and `status` as a person sees them, on the embedded lake."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from reprolock.files.lock_file import read_lock, write_lock
from reprolock.files.secrets import Scanner
from reprolock.model.lock import DatasetPin


def pin(lake_project, name="train"):
    return read_lock(lake_project.root).dataset_pin(name)


def test_a_first_lock(lake_project, cli) -> None:
    said = cli("lock")
    first = pin(lake_project)
    assert said.out.splitlines()[0] == f"Added  dataset train  example-repo main → {first.commit[:12]}  1 object, 8 B"
    assert said.out.splitlines()[1].startswith("Wrote repro.lock in ")
    assert (said.code, said.err) == (0, "")
    assert first.uri == "lakefs://example-repo/main/train/"
    assert first.resolved == f"lakefs://example-repo/{first.commit}/train/"


def test_a_second_lock_changes_nothing(lake_project, cli) -> None:
    cli("lock")
    before = (lake_project.root / "repro.lock").read_bytes()
    assert cli("lock").out == "repro.lock is up to date\n"
    assert (lake_project.root / "repro.lock").read_bytes() == before


def test_a_branch_that_moves_on_changes_nothing_until_asked(lake_project, cli) -> None:
    cli("lock")
    old = pin(lake_project).commit
    new = lake_project.commit("train/b.csv", b"x,y\n3,4\n")
    assert cli("lock", "--check").code == 0
    assert cli("lock").out == "repro.lock is up to date\n"
    said = cli("status")
    assert said.out == (
        f"train  main moved on by 1 commit, {old[:12]} → {new[:12]}  1 object added\n"
        "repro.lock is up to date; `reprolock lock --upgrade-dataset train` takes the new data.\n"
    )
    said = cli("lock", "--upgrade-dataset", "train")
    assert said.out.splitlines()[0] == f"Updated  dataset train  {old[:12]} → {new[:12]}  2 objects, 16 B"
    assert cli("status").out == (
        f"train  main is still at {new[:12]}\nrepro.lock is up to date, and no branch moved on.\n"
    )


def test_status_counts_what_changed_under_the_path_only(lake_project, cli) -> None:
    lake_project.commit("train/b.csv", b"x,y\n3,4\n")
    cli("lock")
    lake_project.commit("training_old/c.csv", b"not ours\n")
    lake_project.put("train/a.csv", b"x,y\n9,9\n")
    lake_project.lake.remove("example-repo", "main", "train/b.csv")
    lake_project.lake.commit("example-repo", "main", "Change")
    line = cli("status").out.splitlines()[0]
    assert "moved on by 2 commits" in line
    assert line.endswith("1 object removed, 1 changed")


def test_a_branch_that_moved_on_elsewhere_has_no_new_data(lake_project, cli) -> None:
    cli("lock")
    first = pin(lake_project).commit
    lake_project.commit("training_old/c.csv", b"not ours\n")
    head = lake_project.lake.resolve("example-repo", "main").id
    assert cli("status").out == (
        f"train  main moved on by 1 commit, {first[:12]} → {head[:12]}  nothing under the path changed\n"
        "repro.lock is up to date, and no pinned data changed.\n"
    )


def test_a_branch_that_is_gone_leaves_the_question_of_the_commit(lake_project, cli) -> None:
    lake_project.edit("example-repo/main/", "example-repo/dev/")
    lake_project.lake.create_branch("example-repo", "dev", "main")
    cli("lock")
    lake_project.lake.delete_branch("example-repo", "dev")
    said = cli("status")
    assert said == (
        0,
        'train  gone: no branch, tag or commit "dev" in the repository "example-repo"\n'
        "repro.lock is up to date; `reprolock verify` says whether the pinned commits are still there.\n",
        "",
    )


def test_whole_segments(lake_project, cli) -> None:
    lake_project.commit("training/b.csv", b"x,y\n3,4\n")
    lake_project.edit("main/train/", "main/train")
    cli("lock")
    assert pin(lake_project).objects == 1


def test_a_changed_line_resolves_its_pin_alone(lake_project, cli) -> None:
    second = SECOND.format(path="other")
    lake_project.put("other/b.csv", b"x\n1\n")
    lake_project.commit("third/b.csv", b"x\n1\n")
    lake_project.spec((lake_project.root / "repro.toml").read_text() + second)
    cli("lock")
    train = pin(lake_project)
    lake_project.commit("third/c.csv", b"x\n1\n")
    lake_project.edit("main/other/", "main/third/")
    said = cli("lock", "--check")
    assert said.err == (
        'error: repro.lock is out of date: datasets.second.uri is "lakefs://example-repo/main/third/", '
        'pinned for "lakefs://example-repo/main/other/"\n'
        "hint: run `reprolock lock` and commit repro.lock\n"
    )
    assert said.code == 3
    said = cli("lock")
    assert pin(lake_project) == train
    assert pin(lake_project, "second").objects == 2
    assert said.err == (
        f"warning: datasets.train stays at {train.commit[:12]}, while datasets.second, of the same example-repo/main, "
        f"is now at {pin(lake_project, 'second').commit[:12]}\n"
    )


SECOND = """
[datasets.second]
uri = "lakefs://example-repo/main/{path}/"
format = "csv"
"""


def test_datasets_of_one_branch_are_of_one_moment(lake_project, cli) -> None:
    lake_project.commit("other/b.csv", b"x\n1\n")
    lake_project.spec((lake_project.root / "repro.toml").read_text() + SECOND.format(path="other"))
    cli("lock")
    assert pin(lake_project).commit == pin(lake_project, "second").commit


def test_removed_dataset(lake_project, cli) -> None:
    lake_project.commit("other/b.csv", b"x\n1\n")
    lake_project.spec((lake_project.root / "repro.toml").read_text() + SECOND.format(path="other"))
    cli("lock")
    lake_project.edit(SECOND.format(path="other"), "")
    said = cli("lock", "--check")
    assert said.err.startswith(
        'error: repro.lock is out of date: dataset "second" is pinned, and repro.toml does not declare it\n'
    )
    assert cli("lock").out.splitlines()[0].startswith("Removed  dataset second  ")


def test_glob(lake_project, cli) -> None:
    lake_project.commit("train/notes.txt", b"hello")
    lake_project.edit('format = "csv"', 'format = "csv"\nglob = "*.csv"')
    cli("lock")
    assert pin(lake_project).objects == 1
    lake_project.edit('"*.csv"', '"*.orc"')
    said = cli("lock")
    head = lake_project.lake.resolve("example-repo", "main").id
    assert said == (
        2,
        "",
        f'error: datasets.train.uri: nothing matching "*.orc" is at lakefs://example-repo/main/train/ (commit {head[:12]})\n'
        "hint: see what is there with `reprolock data ls -r lakefs://example-repo/main/`\n",
    )


def test_staged_data_is_not_pinned_and_strict_refuses(lake_project, cli) -> None:
    lake_project.put("train/b.csv", b"x,y\n3,4\n")
    staged = "datasets.train: lakefs://example-repo/main/train/ has uncommitted changes, which are not pinned"
    said = cli("lock", "--strict")
    assert said.err == (
        f"error: --strict: {staged}\nhint: commit them: `reprolock data commit lakefs://example-repo/main -m TEXT`\n"
    )
    assert said.code == 9
    assert not (lake_project.root / "repro.lock").exists()
    said = cli("lock")
    assert (said.code, said.err) == (0, f"warning: {staged}\n")
    assert pin(lake_project).objects == 1


def test_what_the_glob_leaves_out_is_no_change(lake_project, cli) -> None:
    """Staged or committed: status, the warning and --strict speak of the dataset's own objects alone."""
    lake_project.edit('format = "csv"', 'format = "csv"\nglob = "*.csv"')
    lake_project.put("train/notes.txt", b"hello")
    assert cli("lock", "--strict").code == 0
    first = pin(lake_project).commit
    closing = "repro.lock is up to date, and no branch moved on.\n"
    assert cli("status").out == f"train  main is still at {first[:12]}\n{closing}"
    lake_project.commit("train/more.txt", b"hello")
    head = lake_project.lake.resolve("example-repo", "main").id
    assert cli("status").out == (
        f"train  main moved on by 1 commit, {first[:12]} → {head[:12]}  nothing under the path changed\n"
        "repro.lock is up to date, and no pinned data changed.\n"
    )
    lake_project.put("train/b.csv", b"x,y\n3,4\n")
    said = cli("lock", "--upgrade")
    assert (
        said.err
        == "warning: datasets.train: lakefs://example-repo/main/train/ has uncommitted changes, which are not pinned\n"
    )
    assert cli("status").out.splitlines()[0] == f"train  main is still at {head[:12]}  uncommitted changes"


def test_dry_run_writes_nothing(lake_project, cli) -> None:
    said = cli("lock", "--dry-run")
    assert said.out.splitlines()[1] == "Would write repro.lock"
    assert not (lake_project.root / "repro.lock").exists()


def test_json_is_one_object_and_nothing_else(lake_project, cli) -> None:
    document = json.loads(cli("lock", "--json").out)
    assert document["written"] is True
    assert [change["kind"] for change in document["changes"]] == ["Added"]
    assert document["changes"][0]["after"]["commit"] == pin(lake_project).commit


def test_as_of(lake_project, cli) -> None:
    first = lake_project.lake.resolve("example-repo", "main")
    time.sleep(1.1)  # a commit's time is in whole seconds
    lake_project.commit("train/b.csv", b"x,y\n3,4\n")
    cli("lock", "--as-of", first.time.isoformat())
    assert pin(lake_project).commit == first.id
    said = cli("lock", "--as-of", "2001-01-01T00:00:00Z")
    assert said.err == (
        "error: datasets.train.uri: main of example-repo has no commit made at or before 2001-01-01T00:00:00+00:00\n"
        "hint: give a later --as-of\n"
    )
    assert said.code == 2
    said = cli("lock", "--as-of", "2001-01-01T00:00:00")
    assert said.err == "error: --as-of needs a time zone\nhint: write 2026-11-22T12:00:00Z, or …+01:00\n"
    assert cli("lock", "--as-of", "yesterday").code == 2


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("example-repo/main", "exmaple-repo/main", 'datasets.train.uri: no repository "exmaple-repo" in the lake file:lake\nhint: did you mean "example-repo"?'),
        ("/main/", "/mian/", 'datasets.train.uri: no branch, tag or commit "mian" in the repository "example-repo"\nhint: did you mean "main"?'),
        ("/main/", "/0123456789abcdef0123456789abcdef01234567/", 'datasets.train.uri: no branch, tag or commit "0123456789abcdef0123456789abcdef01234567" in the repository "example-repo"\nhint: see what is there with `reprolock data ls lakefs://example-repo`'),
    ],
)  # fmt: skip
def test_what_is_not_in_the_lake(lake_project, cli, old: str, new: str, message: str) -> None:
    lake_project.edit(old, new)
    said = cli("lock")
    assert said.err == f"error: {message}\n"
    assert said.code == 2


def test_an_empty_dataset(lake_project, cli) -> None:
    lake_project.edit("main/train/", "main/trian/")
    said = cli("lock")
    head = lake_project.lake.resolve("example-repo", "main").id
    assert said.err == (
        f"error: datasets.train.uri: nothing is at lakefs://example-repo/main/trian/ (commit {head[:12]})\n"
        "hint: see what is there with `reprolock data ls -r lakefs://example-repo/main/`\n"
    )
    assert said.code == 2


def test_data_that_was_put_and_not_committed(lake_project, cli) -> None:
    """Only where a commit would help: not for another path, a tag, or a moment in the past."""
    lake_project.lake.create_tag("example-repo", "v1", "main")
    lake_project.put("homes/a.csv", b"x,y\n1,2\n")
    lake_project.edit("main/train/", "main/homes/")
    head = lake_project.lake.resolve("example-repo", "main").id[:12]

    def missing(uri: str, hint: str) -> tuple[int, str, str]:
        return (
            2,
            "",
            f"error: datasets.train.uri: nothing is at lakefs://example-repo/{uri} (commit {head})\nhint: {hint}\n",
        )

    look = "see what is there with `reprolock data ls -r lakefs://example-repo/{}/`"
    assert cli("lock") == missing(
        "main/homes/",
        "commit what is staged there first: `reprolock data commit lakefs://example-repo/main -m MESSAGE`",
    )
    assert cli("lock", "--as-of", "2999-01-01T00:00:00Z") == missing("main/homes/", look.format("main"))
    lake_project.edit("main/homes/", "main/home/")
    assert cli("lock") == missing("main/home/", look.format("main"))
    lake_project.edit("main/home/", "v1/homes/")
    assert cli("lock") == missing("v1/homes/", look.format("v1"))
    lake_project.edit("v1/homes/", "main/homes/")
    assert cli("data", "commit", "lakefs://example-repo/main", "-m", "Put homes").code == 0
    assert cli("lock").code == 0


def test_names_that_are_hard(lake_project, cli) -> None:
    lake_project.commit("tr [1] {a} *é ü/x.csv", b"x\n1\n")
    lake_project.edit("main/train/", "main/tr [1] {a} *é ü/")
    assert cli("lock").code == 0
    assert pin(lake_project).place.path == "tr [1] {a} *é ü/"


def test_no_lock(lake_project, cli) -> None:
    for command in (["lock", "--check"], ["status"], ["run", "--locked"]):
        said = cli(*command)
        assert said.err == "error: no repro.lock beside repro.toml\nhint: run `reprolock lock` and commit repro.lock\n"
        assert said.code == 3


def test_a_hand_edited_lock(lake_project, cli) -> None:
    cli("lock")
    lake_project.edit("objects = 1", "objects = 2", "repro.lock")
    said = cli("lock", "--check")
    assert said.err == (
        'error: repro.lock is out of date: the pin of dataset "train" was edited by hand: its seal is broken\n'
        "hint: run `reprolock lock` and commit repro.lock\n"
    )
    assert said.code == 3
    assert cli("lock").out.splitlines()[0].startswith("Updated  dataset train")
    assert cli("lock", "--check").code == 0


def test_several_stale_pins_are_all_named(lake_project, cli) -> None:
    cli("lock")
    lake_project.edit("[datasets.train]", "[datasets.training]")
    said = cli("lock", "--check")
    assert said.err == (
        "error: repro.lock is out of date: 2 entries do not match repro.toml\n"
        "  datasets.training is not pinned\n"
        '  dataset "train" is pinned, and repro.toml does not declare it\n'
        "hint: run `reprolock lock` and commit repro.lock\n"
    )


@pytest.mark.parametrize(
    "options",
    [
        ("--upgrade",),
        ("--upgrade-dataset", "train"),
        ("--upgrade-package", "six"),
        ("--as-of", "2026-11-22T12:00:00Z"),
        ("--strict",),
    ],
)
def test_check_takes_no_option_that_it_would_not_obey(lake_project, cli, options: tuple[str, ...]) -> None:
    cli("lock")
    assert cli("lock", "--check", *options) == (
        2, "", f"error: --check and {options[0]} cannot be used together: --check contacts no service and pins nothing\nhint: use one of them\n"
    )  # fmt: skip
    assert cli("lock", "--check", "--offline", "--dry-run").code == 0  # it does so anyway


def test_offline_no_lakefs_is_asked(lake_project, cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a pinned dataset it is not said that it has no pin."""
    cli("lock")
    lake_project.edit('endpoint = "file:lake"', 'endpoint = "https://lakefs.example.com"')
    lock = read_lock(lake_project.root)
    pins = tuple(DatasetPin.sealed(**pin.model_dump(exclude={"seal"}) | {"kind": "lakefs"}) for pin in lock.dataset)
    write_lock(lake_project.root, lock.model_copy(update={"dataset": pins}), Scanner({}))
    assert cli("lock", "--offline").code == 0
    hint = "hint: run `reprolock lock` without --offline\n"
    anew = "error: --offline: dataset train is to be resolved again, and pinning needs the lake\n"
    assert cli("lock", "--offline", "--upgrade") == (5, "", anew + hint)
    lake_project.spec((lake_project.root / "repro.toml").read_text() + SECOND.format(path="other"))
    missing = "error: --offline: dataset second is not pinned yet, and pinning needs the lake\n"
    assert cli("lock", "--offline") == (5, "", missing + hint)
    both = "error: --offline: dataset second is not pinned yet and dataset train is to be resolved again, and pinning needs the lake\n"
    assert cli("lock", "--offline", "--upgrade") == (5, "", both + hint)


def test_unknown_dataset_to_upgrade(lake_project, cli) -> None:
    said = cli("lock", "--upgrade-dataset", "tran")
    assert said.err == 'error: --upgrade-dataset tran: repro.toml declares no dataset "tran"\nhint: it declares train\n'
    assert said.code == 2


def test_two_locks_at_once_both_end_well(lake_project) -> None:
    line = [sys.executable, "-m", "reprolock", "-C", str(lake_project.root), "lock"]
    both = [subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sorted(out.splitlines()[-1].split(" in ")[0] for out, _ in said) == [
        "Wrote repro.lock",
        "repro.lock is up to date",
    ]
    assert read_lock(lake_project.root) is not None


def test_a_second_lock_waits_for_one_that_takes_its_time(lake_project, cli) -> None:
    """As long as resolving may take, which is more than the seconds that a file is held for otherwise."""
    hold = "import sys, time; from pathlib import Path; from reprolock.files.atomic_write import guard\n"
    hold += "with guard(Path(sys.argv[1]), 'writing repro.lock'):\n    print(flush=True)\n    time.sleep(11)"
    holder = subprocess.Popen(
        [sys.executable, "-c", hold, str(lake_project.root / "repro.lock")], stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    holder.stdout.readline()
    said = cli("lock")
    holder.communicate()
    assert said.err == "Waiting for another reprolock, which is writing repro.lock\nResolving\n"
    assert (said.code, said.out.splitlines()[-1].split(" in ")[0]) == (0, "Wrote repro.lock")


def test_keys_reach_no_lock(lake_project, cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_TOKEN", "example-repo")
    said = cli("lock")
    assert said.err == (
        "error: repro.lock:7 carries the value of SOME_TOKEN\n"
        "hint: remove it, and read it from a variable (run.pass_env passes one to the command)\n"
    )
    assert not (lake_project.root / "repro.lock").exists()


def test_a_lock_that_is_killed_leaves_the_old_one_or_the_new_one(lake_project, cli) -> None:
    cli("lock")
    old = (lake_project.root / "repro.lock").read_bytes()
    lake_project.commit("train/b.csv", b"x,y\n3,4\n")
    line = [sys.executable, "-m", "reprolock", "-C", str(lake_project.root), "lock", "--upgrade"]
    states = set()
    for delay in (0.1, 0.25, 0.3, 0.35, 0.4, 0.5):
        process = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
        states.add((lake_project.root / "repro.lock").read_bytes())
    cli("lock", "--upgrade")
    states.add((lake_project.root / "repro.lock").read_bytes())
    new = (lake_project.root / "repro.lock").read_bytes()
    assert new != old
    assert states <= {old, new}


@pytest.mark.skipif(
    os.geteuid() != 0 or not Path("/proc/mounts").exists(), reason="mounting a small disk needs root on Linux"
)
def test_a_full_disk(lake_project, cli, tmp_path_factory: pytest.TempPathFactory) -> None:
    cli("lock")
    disk = tmp_path_factory.mktemp("disk")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)], capture_output=True).returncode:
        pytest.skip("mounting a small disk is not permitted here")
    try:
        for name in ("repro.toml", "repro.lock"):
            (disk / name).write_bytes((lake_project.root / name).read_bytes())
        (disk / "repro.toml").write_text(
            (disk / "repro.toml").read_text().replace("file:lake", f"file:{lake_project.root}/lake")
        )
        before = (disk / "repro.lock").read_bytes()
        cli("lock", root=disk)
        with (disk / "filler").open("wb", buffering=0) as filler, pytest.raises(OSError, match="No space left"):
            while True:
                filler.write(b"\0" * 512)
        lake_project.commit("train/b.csv", b"x,y\n3,4\n")
        said = cli("lock", "--upgrade", root=disk)
        assert said == (
            8,
            "",
            f"error: {disk}/repro.lock cannot be written: the disk is full\n"
            f"hint: free space on the disk that holds {disk} and try again\n",
        )
        assert (disk / "repro.lock").read_bytes() == before
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_spark_without_pyspark(lake_project, cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where reprolock was installed without it."""
    lake_project.edit("[run]", "[spark]\n\n[run]")
    monkeypatch.setitem(sys.modules, "pyspark", None)
    assert cli("lock") == (
        8,
        "",
        "error: [spark] needs pyspark, which is not installed beside reprolock\n"
        'hint: run `pip install "reprolock[spark]"`, or with uv `uv pip install "reprolock[spark]"`\n',
    )
    assert 'hint: spark: run `pip install "reprolock[spark]"`' in cli("doctor").out


def test_spark_on_an_embedded_lake_needs_the_listener_alone(lake_project, cli, cache, monkeypatch) -> None:
    monkeypatch.setenv("REPROLOCK_CACHE_DIR", str(cache))
    lake_project.edit("[run]", "[spark]\n\n[run]")
    said = cli("lock")
    assert re.fullmatch(
        r"Added  dataset train  example-repo main → [0-9a-f]{12}  1 object, 8 B\n"
        r"Added  1 jar          43\.0 MB\n"
        r"Wrote repro\.lock in \d.*\n",
        said.out,
    )
    assert said.code == 0
