"""Runs that are replayed by the tests, and what somebody does to a record afterwards.

In: a folder, an MLflow. Out: a `Made`, a run that was really made, whose project may be gone since. `edit`,
`forged` and `reseal` change a copy of its artifacts, by hand and by somebody who knows how they are made.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pygit2
import wheelhouse
from lake_project import LakeProject
from wheelhouse import environ, wheel

import reprolock
from reprolock.environment.code.archive import archive, unarchive
from reprolock.environment.code.snapshot import Snapshot, snapshot
from reprolock.files.lock_file import parse_lock
from reprolock.files.spec_file import parse_spec
from reprolock.model.digest import sha256
from reprolock.model.record import Record
from reprolock.model.sections import digests, observed_sections, pinned_sections
from reprolock.steps.locking.overrides import WhatIf
from reprolock.steps.project.machine import Machine
from reprolock.steps.running.options import RunOptions
from reprolock.tracker import open_tracker
from reprolock.tracker.mlflow_tracker import MlflowTracker, record_bytes
from reprolock.tracker.tracking_uri import Place

SPEC = f"""\
[project]
name = "flights"

[lake]
endpoint = "file:lake"

[datasets.train]
uri = "lakefs://example-repo/main/train/"
format = "csv"
options = {{ header = true }}

[params]
n = 3
factor = 1.0
day = 2026-11-22
deep = {{ a = [1, 2], b = nan }}

[environment]
python = "{wheelhouse.PYTHON}"
packages = ["alpha"]

[run]
command = ["python", "train.py", "{{datasets.train.path}}", "{{params.n}}", "{{outputs.model.path}}"]
code = ["train.py", "helper.py"]
seed = 7
env = {{ MODE = "fast" }}
pass_env = ["TURN"]
timeout = "20s"

[outputs.model]
path = "out/model.json"
compare = "json"
ignore = ["time"]
rel = 1e-3

[outputs.raw]
path = "out/raw.txt"

[outputs.log]
path = "out/log.txt"
compare = "none"

[metrics]
loss = {{ rel = 1e-6 }}
rows = "exact"
"""

TRAIN = """\
import json
import os
import sys
import time
from pathlib import Path

import alpha
import helper

print("alpha", alpha.x)
turn = os.environ.get("TURN", "")
if turn == "fail":
    sys.exit(3)
if turn == "kill":
    os.kill(os.getpid(), 9)
if turn == "hang":
    print("hanging", flush=True)
    time.sleep(60)
rows = [line.split(",") for file in sorted(Path(sys.argv[1]).iterdir()) for line in file.read_text().split()[1:]]
total = sum(int(row[1]) for row in rows) * int(sys.argv[2]) + alpha.x
wobble = {"near": 1e-7, "far": 1e-2}.get(turn, 0.0)
if turn == "random":
    wobble = int.from_bytes(os.urandom(2)) / 1e9
out = Path(sys.argv[3]).parent
out.mkdir(exist_ok=True)
model = {"total": total * (1 + wobble), "seed": os.environ["REPROLOCK_SEED"], "time": time.time()}
Path(sys.argv[3]).write_text(json.dumps(model))
if turn != "lost":
    (out / "raw.txt").write_text(f"{total}{'!' if turn == 'raw' else ''}")
(out / "log.txt").write_text(str(time.time()))
helper.log(loss=total * (1 + wobble), rows=len(rows))
"""

HELPER = '''\
"""Logs metrics over MLflow's REST API, or into its SQLite file: importing MLflow takes seconds, and no package in the
wheelhouse has it."""
import json
import os
import sqlite3
import time
import urllib.request


def log(**metrics):
    server = os.environ["MLFLOW_TRACKING_URI"]
    if not server.startswith("http"):
        return log_to_file(server.removeprefix("sqlite:///"), metrics)
    for key, value in metrics.items():
        entry = {"run_id": os.environ["MLFLOW_RUN_ID"], "key": key, "value": value, "timestamp": int(time.time() * 1000), "step": 0}
        request = urllib.request.Request(
            f"{server}/api/2.0/mlflow/runs/log-metric", json.dumps(entry).encode(), {"Content-Type": "application/json"}
        )
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request).read()


def log_to_file(file, metrics):
    now, run = int(time.time() * 1000), os.environ["MLFLOW_RUN_ID"]
    database = sqlite3.connect(file, timeout=60)
    for table in ("metrics", "latest_metrics"):
        for key, value in metrics.items():
            entry = (key, value, now, run)
            database.execute(f"INSERT INTO {table} (key, value, timestamp, run_uuid, step, is_nan) VALUES (?, ?, ?, ?, 0, 0)", entry)
    database.commit()
    database.close()
'''


class Made(NamedTuple):
    """A finished run: its record, where MLflow is, where the lake is now, a copy of its artifacts, and the variables
    of the machine that made it (another cache apart)."""

    record: Record
    tracking: str
    lake: Path
    artifacts: Path
    environ: Mapping[str, str]

    @property
    def tracker(self) -> MlflowTracker:
        return open_tracker(Place(self.tracking, "the test"), {}, Path("/nonexistent"))

    @property
    def tags(self) -> dict[str, str]:
        return self.tracker.tags(self.record.run_id)

    def machine(self, **more: str) -> Machine:
        return Machine.here()._replace(environ=dict(self.environ) | more)

    def copy(self, folder: Path) -> Path:
        """The artifacts, for somebody to change."""
        return Path(shutil.copytree(self.artifacts, folder))


def packages(folder: Path, cache: Path) -> dict[str, str]:
    """Variables by which uv finds `alpha` in a wheelhouse, and nothing else anywhere."""
    house = folder / "house"
    house.mkdir()
    wheel(house, "alpha", text="x = 41\n")
    bare = {
        name: value
        for name, value in environ(folder, house).items()
        if not name.startswith(("LAKECTL_", "MLFLOW_", "SPARK_", "AWS_"))
    }
    return bare | {"REPROLOCK_CACHE_DIR": str(cache)}


def make(
    folder: Path,
    tracking: str,
    cache: Path,
    *,
    spec: str = SPEC,
    train: str = TRAIN,
    what_if: WhatIf = WhatIf(),
    change: Callable[[LakeProject], None] = lambda project: None,
) -> Made:
    """Make a run in a project, then take the project away: the lake and MLflow are what is left of it.

    `change` is done before the run, when the lock is made. Afterwards the branch moves on.
    """
    (folder / "made").mkdir(parents=True)
    project = LakeProject(folder / "made")
    project.commit("train/b.csv", b"x,y\n2,3\n5,7\n")
    project.spec(spec)
    (project.root / "train.py").write_text(train)
    (project.root / "helper.py").write_text(HELPER)
    given = packages(folder, cache) | {"MLFLOW_TRACKING_URI": tracking}
    machine = Machine.here()._replace(environ=given)
    reprolock.lock(project.root, machine=machine)
    change(project)
    done = reprolock.run(project.root, RunOptions(what_if=what_if), machine=machine)
    project.commit("train/c.csv", b"x,y\n9,9\n")
    tracker = open_tracker(Place(tracking, "the test"), {}, folder)
    artifacts = tracker.download(done.record.run_id, folder / "artifacts")
    lake = shutil.move(project.root / "lake", folder / "lake")
    shutil.rmtree(project.root)
    return Made(done.record, tracking, Path(lake), artifacts, given)


# What somebody does to the artifacts


def edit(folder: Path, name: str, old: str, new: str) -> None:
    """Another text in an artifact, once."""
    text = (folder / name).read_text()
    assert text.count(old) == 1, (name, old, text.count(old))
    (folder / name).write_text(text.replace(old, new))


def edit_record(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """record.json changed as JSON; its seal stays."""
    document = json.loads((folder / "record.json").read_bytes())
    change(document)
    (folder / "record.json").write_text(json.dumps(document, indent=2))


def edit_code(folder: Path, change: Callable[[Path], object]) -> None:
    """The archived code changed, and archived again."""
    place = folder.parent / f"{folder.name}-code"
    unarchive((folder / "code.tar.gz").read_bytes(), place)
    change(place)
    (folder / "code.tar.gz").write_bytes(archive(_taken(place), place))
    shutil.rmtree(place)


def reseal(folder: Path) -> None:
    """record.json under a seal of its own, as somebody makes it who has this package."""
    record = Record.model_validate_json((folder / "record.json").read_bytes())
    (folder / "record.json").write_bytes(record_bytes(record))


def readmit(folder: Path) -> None:
    """The artifacts as they are now, named in record.json, and that sealed."""
    edit_record(
        folder,
        lambda record: record["artifacts"].update(
            {name: sha256((folder / name).read_bytes()) for name in record["artifacts"]}
        ),
    )
    reseal(folder)


def forge(folder: Path) -> None:
    """Everything that reprolock would have written of these artifacts: code, params, rules, digests, seal."""
    record = Record.model_validate_json((folder / "record.json").read_bytes())
    spec = parse_spec((folder / "repro.toml").read_text(), "repro.toml")
    lock = parse_lock((folder / "repro.lock").read_bytes(), "repro.lock")
    place = folder.parent / f"{folder.name}-forged"
    taken = unarchive((folder / "code.tar.gz").read_bytes(), place)
    shutil.rmtree(place)
    pinned = pinned_sections(spec, lock.dataset, lock.environment, lock.jars, taken.state.digest)
    observed = observed_sections(
        spec, lock.dataset, record.environment, lock.jars, taken.state.digest, java=None, master=None, conf={}
    )
    changed = {
        "params": spec.params,
        "seed": spec.run.seed,
        "env": spec.run.env,
        "rules": spec.rules,
        "code": record.code.model_copy(update={"digest": taken.state.digest, "tree": taken.tree}),
        "pinned": digests(pinned),
        "observed": digests(observed),
        "artifacts": {name: sha256((folder / name).read_bytes()) for name in record.artifacts},
    }
    (folder / "record.json").write_bytes(record_bytes(record.model_copy(update=changed)))


def leaves(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The path to everything in a JSON document that holds nothing else."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if items is None:
        yield path
        return
    for key, item in items:
        yield from leaves(item, (*path, key))


def another(value: Any) -> Any:
    """A value of the same type that is not this one."""
    match value:
        case None:
            return "something"
        case bool():
            return not value
        case int() | float():
            return value + 1
        case _:
            return f"{value[:-1]}{'0' if value[-1:] != '0' else '1'}"


def _taken(folder: Path) -> Snapshot:
    return snapshot(folder, tuple(sorted(entry.name for entry in folder.iterdir())))


def lake_state(lake: Path) -> dict[str, bytes]:
    """Every file of an embedded lake."""
    return {str(path.relative_to(lake)): path.read_bytes() for path in sorted(lake.rglob("*")) if path.is_file()}


def object_file(lake: Path, repository: str, data: bytes) -> Path:
    """Where an embedded lake keeps an object with these bytes."""
    name = str(pygit2.hash(data))
    [found] = lake.glob(f"{repository}*/objects/{name[:2]}/{name[2:]}")
    return found
