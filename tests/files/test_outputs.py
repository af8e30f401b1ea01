"""Outputs arrive whole, what stood there before is kept, and a digest is of the bytes."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import reprolock.errors
from reprolock.errors import MachineError, UsageError
from reprolock.files.output_tree import measure
from reprolock.files.outputs import find_outputs, put_in_place, refuse_standing, set_aside
from reprolock.model.outcome import Output

ROOT = Path(reprolock.errors.__file__).parents[1]
DECLARED = {"predictions": "out/predictions", "model": "model.bin", "report": "out/report.json"}


def collect(outputs: dict[str, str], work: Path, project: Path, run_id: str) -> tuple[Output, ...]:
    """As a run does it: looked at where they were written, then put in their places."""
    answers = find_outputs(outputs, work)
    put_in_place(outputs, work, project, run_id)
    return answers


def write(folder: Path, files: dict[str, str]) -> None:
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)


def tree(folder: Path) -> dict[str, str]:
    """Every file below a folder with its text; links with their targets."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            found[str(path.relative_to(folder))] = f"-> {os.readlink(path)}"
        elif path.is_file():
            found[str(path.relative_to(folder))] = path.read_text()
    return found


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "project").mkdir()
    return tmp_path / "project"


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


def test_what_the_run_wrote_is_put_in_place_and_what_stood_there_kept(project: Path, work: Path) -> None:
    write(
        project, {"out/predictions/part-old": "old", "model.bin": "old", "out/report.json": "old", "out/other": "mine"}
    )
    write(
        work,
        {
            "out/predictions/part-0": "new",
            "out/predictions/_SUCCESS": "",
            "out/predictions/.crc": "c",
            "model.bin": "new!",
        },
    )
    outputs = collect(DECLARED, work, project, "run1")
    assert [output[:4] for output in outputs] == [
        ("predictions", "out/predictions", 3, 4),
        ("model", "model.bin", 1, 4),
        ("report", "out/report.json", 0, 0),
    ]
    assert outputs[2] == Output("report", "out/report.json", 0, 0, None) and outputs[2].missing
    assert outputs[1].digest == f"file:{hashlib.sha256(b'new!').hexdigest()}"
    assert tree(project) == {
        ".reprolock/.gitignore": "*\n",
        ".reprolock/replaced/run1/model.bin": "old",
        ".reprolock/replaced/run1/out/predictions/part-old": "old",
        ".reprolock/replaced/run1/out/report.json": "old",
        "model.bin": "new!",
        "out/other": "mine",
        "out/predictions/.crc": "c",
        "out/predictions/_SUCCESS": "",
        "out/predictions/part-0": "new",
    }
    assert tree(work) == {}


def test_in_place_a_leftover_is_not_taken_for_an_output(project: Path) -> None:
    write(project, {"model.bin": "old", "out/predictions/part": "old"})
    set_aside(DECLARED, project, "run1")
    write(project, {"out/predictions/part": "new"})
    outputs = collect(DECLARED, project, project, "run1")
    assert [output.missing for output in outputs] == [False, True, True]
    assert (project / ".reprolock/replaced/run1/model.bin").read_text() == "old"
    assert (project / "out/predictions/part").read_text() == "new"


def test_the_digest_of_a_tree_is_of_paths_sizes_and_bytes(tmp_path: Path) -> None:
    write(tmp_path, {"a/x": "1", "a/sub/y": "22"})
    one, two = hashlib.sha256(b"1").hexdigest(), hashlib.sha256(b"22").hexdigest()
    fields = f"4:file5:sub/y64:{two}4:file1:x64:{one}"
    assert measure(tmp_path / "a") == (2, 3, f"folder:{hashlib.sha256(fields.encode()).hexdigest()}")


def test_every_change_of_a_tree_changes_its_digest(tmp_path: Path) -> None:
    seen = set()
    for index, files in enumerate(
        [
            {"x": "1"},
            {"x": "2"},
            {"y": "1"},
            {"x": "1", "y": ""},
            {"x": "1", ".y": ""},
            {"d/x": "1"},
            {"x": "", "y": "1"},
        ]
    ):
        write(tmp_path / str(index), files)
        measured = measure(tmp_path / str(index))
        assert measured
        seen.add(measured.digest)
    (tmp_path / "link").mkdir()
    (tmp_path / "link" / "x").symlink_to("1")
    (tmp_path / "empty").mkdir()
    for name in ("link", "empty"):
        measured = measure(tmp_path / name)
        assert measured
        seen.add(measured.digest)
    assert len(seen) == 9
    assert measure(tmp_path / "gone") is None
    assert measure(tmp_path / "empty") == (0, 0, f"folder:{hashlib.sha256().hexdigest()}")


def test_names_to_the_byte_empty_folders_and_the_executable_bit_count(tmp_path: Path) -> None:
    def digest(name: str, *folders: str, files: tuple[bytes, ...] = (), mode: int = 0o644) -> str:
        root = tmp_path / name
        root.mkdir()
        for folder in folders:
            (root / folder).mkdir(parents=True)
        for file in files:
            path = os.path.join(os.fsencode(root), file)
            with open(path, "w") as stream:
                stream.write("x")
            os.chmod(path, mode)
        measured = measure(root)
        assert measured and measured.objects == len(files)
        return measured.digest

    seen = {
        digest("empty"),
        digest("one", "one"),
        digest("two", "two"),
        digest("deep", "one/two"),
        digest("byte", files=(b"\xff",)),
        digest("escaped", files=(b"\\xff",)),
        digest("file", files=(b"one",)),
        digest("executable", files=(b"one",), mode=0o755),
        digest("both", "two", files=(b"one",)),
    }
    assert len(seen) == 9
    assert digest("file again", files=(b"one",), mode=0o600) in seen  # what a umask decides is no result
    (tmp_path / "script").write_text("x")
    assert (plain := measure(tmp_path / "script")) and plain.digest.startswith("file:")
    (tmp_path / "script").chmod(0o755)
    assert measure(tmp_path / "script") == plain._replace(digest=plain.digest.replace("file:", "executable:"))


def test_what_is_neither_file_nor_folder_nor_link_is_named(work: Path) -> None:
    for name in ("fifo", "socket", "device"):
        write(work, {f"out/{name}/f": "x"})
    os.mkfifo(os.fsencode(work) + b"/out/fifo/\xff")
    server = socket.socket(socket.AF_UNIX)
    here = os.getcwd()
    os.chdir(work)  # a socket's address must be short
    try:
        server.bind("out/socket/s")
    finally:
        os.chdir(here)
        server.close()
    (work / "out/device/null").symlink_to("/dev/null")
    assert [
        output.problem for output in find_outputs({name: f"out/{name}" for name in ("fifo", "socket", "device")}, work)
    ] == [
        "out/fifo/\\xff is neither a file nor a folder",
        "out/socket/s is neither a file nor a folder",
        "out/device/null is a link to /dev/null, which does not exist",
    ]


def test_an_output_that_is_a_link_arrives_as_what_it_leads_to(project: Path, work: Path, tmp_path: Path) -> None:
    write(work, {"epoch-3/weights": "w"})
    (work / "model.bin").symlink_to("epoch-3")
    (work / "out").mkdir()
    (work / "out" / "report.json").symlink_to("nowhere")
    write(tmp_path, {"big/disk/part": "b"})
    (work / "out" / "predictions").symlink_to(tmp_path / "big" / "disk")
    outputs = collect(DECLARED, work, project, "run1")
    assert [output.files for output in outputs] == [1, 1, 0]
    assert outputs[2].missing
    assert (project / "model.bin" / "weights").read_text() == "w"
    assert os.readlink(project / "out" / "predictions") == str(tmp_path / "big" / "disk")
    assert (tmp_path / "big/disk/part").read_text() == "b"  # what is elsewhere stays there


def test_what_stands_at_an_outputs_path_before_the_run_is_refused(work: Path) -> None:
    write(work, {"out/model/weights": "of the code", "train.py": ""})
    (work / "link").symlink_to("nowhere")
    refuse_standing({"new": "out/new", "newer": "further/down/new"}, work)
    for path in ("out", "out/model", "out/model/weights", "link"):
        with pytest.raises(UsageError) as caught:
            refuse_standing({"new": "out/new", "model": path}, work)
        assert (
            caught.value.message
            == f'outputs.model.path: "{path}" exists before the command starts, because it is part of the code'
        )
        assert caught.value.hint == "name a path that is the output's alone, or leave it out of the code"
        assert caught.value.exit_code == 2


def test_a_link_out_of_an_output_is_what_it_leads_to(project: Path, work: Path, tmp_path: Path) -> None:
    """To a file, to a folder with a link of its own, to another output, to elsewhere on this machine."""
    write(work, {"cache/weights.bin": "w", "cache/blobs/1": "b", "out/report.json": "r", "out/predictions/part": "p"})
    write(tmp_path, {"disk/vocabulary": "v"})
    write(work, {"out/predictions/sub/x": "x"})
    here = work / "out" / "predictions"
    (work / "cache" / "blobs" / "2").symlink_to("1")
    for name, target in {
        "weights": "../../cache/weights.bin", "tokens": "../../cache/blobs", "sub/report": "../../report.json",
        "vocabulary": tmp_path / "disk" / "vocabulary", "first": "part", "own": here / "part", "hop": "weights",
    }.items():  # fmt: skip
        (here / name).symlink_to(target)
    plain = {
        "first": "-> part", "hop": "w", "own": "p", "part": "p", "sub/report": "r", "sub/x": "x",
        "tokens/1": "b", "tokens/2": "b", "vocabulary": "v", "weights": "w",
    }  # fmt: skip
    write(tmp_path / "plain", {name: text for name, text in plain.items() if not text.startswith("->")})
    (tmp_path / "plain" / "first").symlink_to("part")
    outputs = collect({"report": "out/report.json", "predictions": "out/predictions"}, work, project, "run1")
    assert outputs[1][2:] == (*measure(tmp_path / "plain"), None)
    assert tree(project / "out" / "predictions") == plain
    assert measure(project / "out" / "predictions") == measure(tmp_path / "plain")
    assert (tmp_path / "disk" / "vocabulary").read_text() == "v"
    assert tree(work) == {"cache/blobs/1": "b", "cache/blobs/2": "-> 1", "cache/weights.bin": "w"}


def test_a_link_out_of_an_output_shows_other_bytes(work: Path) -> None:
    write(work, {"cache/weights.bin": "one", "out/model/note": "n"})
    (work / "out" / "model" / "weights.bin").symlink_to("../../cache/weights.bin")
    before = measure(work / "out" / "model")
    (work / "cache" / "weights.bin").write_text("two")
    after = measure(work / "out" / "model")
    assert before and after and before[:2] == after[:2] == (2, 4) and before.digest != after.digest


def test_a_link_that_leads_nowhere_is_named(project: Path, work: Path) -> None:
    write(work, {"out/predictions/part": "p", "out/other/part": "p", "out/report.json": "r"})
    (work / "out" / "predictions" / "gone").symlink_to("../../cache/gone")
    (work / "out" / "predictions" / "later").symlink_to("part-1")  # inside: a name
    (work / "out" / "other" / "loop").symlink_to("..")
    (work / "model.bin").symlink_to("nowhere")
    os.mkfifo(work / "pipe")
    declared = {"predictions": "out/predictions", "other": "out/other", "model": "model.bin", "pipe": "pipe"}
    assert [output.problem for output in collect(declared, work, project, "run1")] == [
        "out/predictions/gone is a link to ../../cache/gone, which does not exist",
        "out/other/loop/other is a link to a folder that contains it",
        "model.bin is a link to nowhere, which does not exist",
        "pipe is neither a file nor a folder",
    ]
    assert [output.missing for output in find_outputs(declared, work)] == [True] * 4
    assert measure(project / "out" / "predictions") is None
    assert tree(project / "out" / "predictions") == {"gone": "-> ../../cache/gone", "later": "-> part-1", "part": "p"}


COLLECT = """
import sys
from pathlib import Path
from reprolock.errors import MachineError
from reprolock.files.outputs import find_outputs, put_in_place
declared, work, project = {"x": "out/x"}, Path(sys.argv[1]), Path(sys.argv[2])
try:
    outputs = find_outputs(declared, work)
    put_in_place(declared, work, project, "run1")
    for output in outputs:
        print(output.files, output.bytes)
except MachineError as error:
    print(error.message)
"""


def other_disk(work: Path, project: Path, size: str) -> subprocess.CompletedProcess[str]:
    """Collect in a mount namespace where the project's `out` is a disk of its own, and list it."""
    script = 'mount -t tmpfs -o size="$5" none "$3/out" && mkdir "$3/out/x" && echo old > "$3/out/x/old"; cd "$1" && "$4" -c "$6" "$2" "$3"; '
    script += 'cd "$3" && find out .reprolock/replaced -type f | sort; find "$2" -type f | wc -l'
    argv = [
        "unshare",
        "--map-root-user",
        "--mount",
        "sh",
        "-c",
        script,
        "sh",
        ROOT,
        work,
        project,
        sys.executable,
        size,
        COLLECT,
    ]
    try:
        done = subprocess.run([str(word) for word in argv], capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("no `unshare`: a second disk cannot be mounted here")
    if "unshare" in done.stderr or "mount" in done.stderr:
        pytest.skip(f"a second disk cannot be mounted here: {done.stderr.strip()}")
    return done


def test_outputs_move_to_another_disk(project: Path, work: Path) -> None:
    (project / "out").mkdir()
    write(work, {"out/x/a": "1" * 1000, "out/x/sub/b": "2"})
    (work / "out/x/sub").chmod(0o555)
    done = other_disk(work, project, "10m")
    assert done.stdout.splitlines() == ["2 1001", ".reprolock/replaced/run1/out/x/old", "out/x/a", "out/x/sub/b", "0"]


def test_a_full_disk_leaves_both_where_they_were(project: Path, work: Path) -> None:
    (project / "out").mkdir()
    write(work, {"out/x/a": "1" * 3_000_000, "out/x/b": "2"})
    done = other_disk(work, project, "1m")
    assert done.stdout.splitlines()[0] == f"{project}/out/x cannot be written: the disk is full"
    assert "out/x/old" in done.stdout.splitlines()
    assert done.stdout.splitlines()[-1] == "2"


def test_read_only_trees_are_moved(project: Path, work: Path) -> None:
    write(work, {"out/x/sub/a": "1"})
    write(project, {"out/x/old": "old"})
    for below in ("work/out/x/sub/a", "work/out/x/sub", "work/out/x", "project/out/x/old", "project/out/x"):
        (project.parent / below).chmod(0o555)
    argv = [sys.executable, "-c", COLLECT, str(work), str(project)]
    if os.getuid() == 0:
        if not shutil.which("setpriv"):
            pytest.skip("no `setpriv`: root cannot be held to permissions here")
        argv = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *argv]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("1 1\n", "")
    assert (project / ".reprolock/replaced/run1/out/x/old").read_text() == "old"
    for moved in (project / "out/x", project / "out/x/sub", project / ".reprolock/replaced/run1/out/x"):
        assert moved.stat().st_mode & 0o777 == 0o555
        moved.chmod(0o755)


def test_a_file_in_the_way_of_a_folder(project: Path, work: Path) -> None:
    write(project, {"out": "a file"})
    write(work, {"out/predictions/a": "1"})
    with pytest.raises(MachineError) as error:
        collect(DECLARED, work, project, "run1")
    assert error.value.message == f"{project}/out/predictions cannot be written: another file or folder has its name"
    assert tree(work) == {"out/predictions/a": "1"}
    assert (project / "out").read_text() == "a file"
