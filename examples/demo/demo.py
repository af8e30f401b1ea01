"""The main job on real data: lock, train, let the branch move, train again on the same bytes, replay the first run.

Works in a folder of its own below .cache; every command that it runs is printed first, and can be typed by hand.
With --stack the same story runs on a real lakeFS and an MLflow server, with --cluster also on a Spark master with two workers.
All of them are ended with it.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from sklearn.datasets import load_breast_cancer

HERE = Path(__file__).parent
ON_CLUSTER = "--cluster" in sys.argv[1:]
ON_STACK = ON_CLUSTER or "--stack" in sys.argv[1:]
NAME = "demo-cluster" if ON_CLUSTER else "demo-stack" if ON_STACK else "demo"
PROJECT = HERE.parents[1] / ".cache" / NAME


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


@contextmanager
def stack() -> Iterator[None]:
    """lakeFS on MinIO and MLflow, while the body runs; the project names neither, so that it uses the exported ones."""
    say("A real lakeFS on a real MinIO, and an MLflow server")
    spec = PROJECT / "repro.toml"
    spec.write_text(spec.read_text().replace('[lake]\nendpoint = "file:lake"\n\n', ""))
    try:
        command("stack", "up")
        print('$ eval "$(reprolock stack env)"')
        os.environ.update(json.loads(command("stack", "env", "--json", quiet=True)))
        yield
    finally:
        say("The servers are ended, and their data removed")
        command("stack", "down", "--purge")


@contextmanager
def cluster() -> Iterator[None]:
    """A Spark master with two workers, while the body runs. Predictions go to the lake; a replay writes them to the project's
    folder, which the workers see, for they are on this machine."""
    sys.path.insert(0, str(HERE.parents[1] / "tests"))
    import services  # which starts servers for the tests, too

    say("A Spark master, and two workers that have none of this shell's variables")
    started = services.start_spark_cluster(PROJECT / ".cluster", f"PATH={os.environ['PATH']}")
    try:
        spec = PROJECT / "repro.toml"
        text = spec.read_text().replace('"local[*]"', f'"{started.address}"\nshared = ["{PROJECT}"]')
        text = text.replace('"parquet"\n', '"parquet"\npublish = "lakefs://clinic/main/predictions/"\n')
        spec.write_text(text)
        print(f"{started.address} is up", flush=True)
        yield
    finally:
        started.stop()


def story() -> None:
    say("Real data (scikit-learn's breast cancer measurements) goes into the lake")
    frame = load_breast_cancer(as_frame=True).frame
    frame.head(400).to_csv(PROJECT / "first.csv", index=False)
    frame.tail(len(frame) - 400).to_csv(PROJECT / "second.csv", index=False)
    command("data", "create", "lakefs://clinic", *(["--storage", "s3://lakefs/clinic"] if ON_STACK else []))
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

    say("The first run, replayed from its record alone")
    command("replay", str(before["run_id"])[:8])
    print("\nREPRODUCED: every declared output and metric is the same.")


def main() -> None:
    missing = [program for program in ("minio", "lakefs") if ON_STACK and not shutil.which(program)]
    if missing:
        sys.exit(f"error: {NAME} needs {' and '.join(missing)} on PATH\nhint: `make demo` needs no server")
    if (PROJECT / ".reprolock" / "stack").exists():
        command("stack", "down", quiet=True)  # of a demo that was killed
    shutil.rmtree(PROJECT, ignore_errors=True)
    PROJECT.mkdir(parents=True)
    for name in ("repro.toml", "train.py"):
        shutil.copy(HERE / name, PROJECT)
    with stack() if ON_STACK else nullcontext(), cluster() if ON_CLUSTER else nullcontext():
        story()


if __name__ == "__main__":
    main()
