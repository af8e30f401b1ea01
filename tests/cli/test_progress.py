"""What a person who watches sees of long work, and what nobody who does not."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from project import Project
from terminal import on_terminal

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals on Windows")

# "Getting ━━━━━╺━━━━ 40.0/80.0 MB 25.1 MB/s 0:00:02"
BAR = re.compile(
    r"(?P<what>.+?) [━╸╺ ]+ (?P<done>[\d.]+)/(?P<whole>[\d.]+ [kM]?B|[\d.]+ bytes) (?P<rate>[\d.]+ [kM]B/s|\?) (?P<left>\d:\d\d:\d\d|-:--:--)"
)
COLOUR = re.compile(r"\x1b\[[0-9;]*3[0-8]")
SLOW = """
import sys, time
from reprolock.cli.options import Settings
from reprolock.cli.progress import progress
with progress(Settings(quiet="-q" in sys.argv, json="--json" in sys.argv), "Getting") as bar:
    bar.step("Getting homes")
    bar.expect(8, 80_000_000)
    for _ in range(8):
        time.sleep(0.2)
        bar.advance(1, 10_000_000)
print("done")
"""


def test_bytes_rate_and_time_left() -> None:
    drawn = on_terminal([sys.executable, "-c", SLOW])
    assert (drawn.code, drawn.out) == (0, "done\n")
    bars = [found for text in drawn.screens if (found := BAR.fullmatch(text))]
    assert {bar["what"] for bar in bars} == {"Getting homes"}, drawn.screens
    assert {bar["whole"] for bar in bars} == {"80.0 MB"}
    done = [float(bar["done"]) for bar in bars]
    assert done == sorted(done) and len(set(done)) >= 4
    rates = [float(bar["rate"].split()[0]) for bar in bars if bar["rate"] != "?"]
    assert rates and all(20 < rate < 80 for rate in rates)  # 10 MB in each fifth of a second
    left = [bar["left"] for bar in bars if bar["left"] != "-:--:--"]
    assert left and left[0] in ("0:00:01", "0:00:02") and left == sorted(left, reverse=True)
    assert COLOUR.search(drawn.raw)
    assert drawn.raw.endswith("\x1b[2K")  # gone at the end: the result stands alone
    assert "\x1b[?25h" in drawn.raw  # and the cursor is there again


def test_without_colour() -> None:
    drawn = on_terminal([sys.executable, "-c", SLOW], environ={"NO_COLOR": "1"})
    assert any(BAR.fullmatch(text) for text in drawn.screens)
    assert not COLOUR.search(drawn.raw)


@pytest.mark.parametrize(("option", "said"), [("-q", ""), ("--json", "Getting homes")])
def test_quiet_and_json_draw_nothing(option: str, said: str) -> None:
    drawn = on_terminal([sys.executable, "-c", SLOW, option])
    assert (drawn.out, drawn.raw.strip()) == ("done\n", said)


def test_where_nobody_watches_a_step_is_a_line() -> None:
    done = subprocess.run([sys.executable, "-c", SLOW], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("done\n", "Getting homes\n")


def test_a_dataset_that_a_script_asks_for(project: Project, cli, tmp_path: Path) -> None:
    """The hidden command behind `run.dataset(…).path`: the bar on stderr, the path alone on stdout."""
    for number in range(40):
        project.put(f"train/{number}", os.urandom(2**20))
    project.lake.commit("example-repo", "main", "Much")
    assert cli("lock").code == 0
    assert cli("run", "-q").code == 0
    shutil.rmtree(project.root / ".reprolock" / "data")
    folder = project.run_folder(project.record.run_id)
    drawn = on_terminal(
        [sys.executable, "-m", "reprolock", "materialise", str(folder), str(tmp_path / "empty"), "train"]
    )
    assert drawn.code == 0, drawn.screens
    [path] = drawn.out.splitlines()
    assert len(list(Path(path).iterdir())) == 41
    bars = [found for text in drawn.screens if (found := BAR.fullmatch(text))]
    assert bars and {bar["what"] for bar in bars} == {"Getting train"}, drawn.screens
    assert {bar["whole"] for bar in bars} <= {"41.9 MB"}
