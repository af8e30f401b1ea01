"""The main job on real data: lock, train, let the branch move, train again on the same bytes.

Works in a folder of its own below .cache; every command that it runs is printed first, and can be typed by hand.
"""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from sklearn.datasets import load_breast_cancer

HERE = Path(__file__).parent
PROJECT = HERE.parents[1] / ".cache" / "demo"


def say(text: str) -> None:
    """A heading between two steps."""
    print(f"\n# {text}", flush=True)


def command(*arguments: str, quiet: bool = False) -> str:
    """Run `reprolock …` in the project's folder, showing it and what it prints; its stdout."""
    if not quiet:
        print(f"$ {shlex.join(['reprolock', *arguments])}", flush=True)
    line = [sys.executable, "-m", "reprolock", *arguments]
    if quiet:
        return subprocess.run(line, cwd=PROJECT, check=True, stdout=subprocess.PIPE, text=True).stdout
    subprocess.run(line, cwd=PROJECT, check=True)
    return ""


def recorded() -> dict[str, object]:
    """The newest run's record."""
    return json.loads(command("show", "--json", quiet=True))


def main() -> None:
    shutil.rmtree(PROJECT, ignore_errors=True)
    PROJECT.mkdir(parents=True)
    for name in ("repro.toml", "train.py"):
        shutil.copy(HERE / name, PROJECT)

    say("Real data (scikit-learn's breast cancer measurements) goes into an embedded lake")
    frame = load_breast_cancer(as_frame=True).frame
    frame.head(400).to_csv(PROJECT / "first.csv", index=False)
    frame.tail(len(frame) - 400).to_csv(PROJECT / "second.csv", index=False)
    command("data", "create", "lakefs://clinic")
    command("data", "put", "first.csv", "lakefs://clinic/main/measurements/")
    command("data", "commit", "lakefs://clinic/main", "-m", "The first 400 patients")

    say("Pin the inputs, train, record")
    command("lock")
    command("run")
    before = recorded()

    say("The branch moves on")
    command("data", "put", "second.csv", "lakefs://clinic/main/measurements/")
    command("data", "commit", "lakefs://clinic/main", "-m", "169 more patients")
    command("status")

    say("The same run again: the lock still names the first commit")
    command("run")
    after = recorded()
    for part in ("datasets", "metrics"):
        assert before[part] == after[part], f"{part} differ: {before[part]} and {after[part]}"
    assert before["pinned"] == after["pinned"], "the pinned digests differ"
    print("\nBoth runs read the same commit and gave the same metrics.")

    say("What MLflow knows of it")
    command("show")


if __name__ == "__main__":
    main()
