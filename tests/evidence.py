"""A run that was signed, replayed and reviewed by three keys, once per test run; each test changes a copy of it.

In: a folder with an empty MLflow. Out: a `Case`. `Hands` are what somebody with the author's machine and key can do: rewrite
the record and sign it all again.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from replaying import forge

import reprolock
from reprolock.model.record import Record
from reprolock.model.secrecy import SIGNING_KEY
from reprolock.signing.keys import PublicKey, new_key, open_key
from reprolock.steps.evidence.attest import Attestor
from reprolock.steps.evidence.attestations import write_lines
from reprolock.steps.project.machine import Machine
from reprolock.steps.replaying.replay import ReplayOptions
from reprolock.steps.running.options import RunOptions

SPEC = """\
[project]
name = "clinic"

[lake]
endpoint = "file:lake"

[datasets.train]
uri = "lakefs://example-repo/main/train/"
format = "csv"
options = { header = true }

[params]
factor = 2

[run]
command = ["python3", "train.py", "{datasets.train.path}", "{params.factor}"]
code = ["train.py"]
seed = 7

[outputs.model]
path = "out/model.json"
compare = "json"
rel = 1e-6

[outputs.report]
path = "out/report.txt"
"""

TRAIN = """\
import json
import os
import sys
from pathlib import Path

assert not [name for name in os.environ if "SIGNING" in name]
rows = [line.split(",") for file in sorted(Path(sys.argv[1]).iterdir()) for line in file.read_text().split()[1:]]
total = sum(int(row[1]) for row in rows) * int(sys.argv[2])
Path("out").mkdir(exist_ok=True)
Path("out/model.json").write_text(json.dumps({"total": total * (1 + float(os.environ.get("WOBBLE", "0")))}))
Path("out/report.txt").write_text(f"{len(rows)} rows")
"""

ROLES = {"ci": ["run"], "auditor": ["replay"], "reviewer": ["review"]}


class Case(NamedTuple):
    """The artifacts with four statements, the folder with keys and trust.toml, and variables of a machine without a key."""

    artifacts: Path
    keys: Path
    project: Path
    record: Record

    def machine(self, key: str | None = None, **more: str) -> Machine:
        """A machine that signs with a key of `keys`, or with none."""
        machine = Machine.here()
        plain = {
            name: value for name, value in machine.environ.items() if not name.startswith((SIGNING_KEY, "MLFLOW_"))
        }
        named = {SIGNING_KEY: str(self.keys / f"{key}.pem")} if key else {}
        return machine._replace(environ={**plain, **named, "MLFLOW_TRACKING_URI": self.tracking, **more})

    @property
    def tracking(self) -> str:
        return f"sqlite:///{self.project}/mlflow.db"

    def copy(self, folder: Path) -> Path:
        return Path(shutil.copytree(self.artifacts, folder))

    def trust(self, folder: Path, text: str = "", **roles: Sequence[str]) -> Path:
        """A trust.toml beside copies of the public keys."""
        folder.mkdir(exist_ok=True)
        for file in self.keys.glob("*.pub"):
            shutil.copy(file, folder)
        keys = [
            f'[keys.{name}]\npublic = "{name}.pem.pub"\nroles = {json.dumps(list(given))}\n'
            for name, given in (roles or ROLES).items()
        ]
        (folder / "trust.toml").write_text("\n".join([*keys, text]))
        return folder / "trust.toml"


def make_case(folder: Path, empty_mlflow: Path, *, evidence: str = "") -> Case:
    """Make the keys, run, replay and review."""
    from lake_project import LakeProject  # beside this file; a project's folder is made with it

    keys = folder / "keys"
    keys.mkdir(parents=True)
    for name in (*ROLES, "stranger"):
        new_key(keys / f"{name}.pem")
    (folder / "project").mkdir()
    lake_project = LakeProject(folder / "project")
    shutil.copy(empty_mlflow, lake_project.root / "mlflow.db")
    lake_project.spec(SPEC + evidence)
    (lake_project.root / "train.py").write_text(TRAIN)
    case = Case(folder / "artifacts", keys, lake_project.root, None)  # type: ignore[arg-type]
    reprolock.lock(lake_project.root, machine=case.machine())
    record = reprolock.run(lake_project.root, RunOptions(name="#435"), machine=case.machine("ci")).record
    case = case._replace(record=record)
    options = ReplayOptions(tracking_uri=case.tracking)
    done = reprolock.replay(lake_project.root, record.run_id, options, machine=case.machine("auditor"))
    assert done.verdict is not None and done.verdict.kind == "REPRODUCED", done.verdict
    reprolock.sign(lake_project.root, record.run_id, name="Ada Lovelace", machine=case.machine("reviewer"))
    tracker = reprolock_tracker(case)
    tracker.download(record.run_id, case.artifacts)
    tracker.close()
    return case


def reprolock_tracker(case: Case):
    from reprolock.steps.evidence.artifacts import open_mlflow

    return open_mlflow(case.project, case.machine(), case.tracking)


def public(case: Case, name: str) -> PublicKey:
    found = open_key({SIGNING_KEY: str(case.keys / f"{name}.pem")})
    assert found is not None
    return found.public


def sign_again(case: Case, folder: Path, key: str = "ci") -> None:
    """All statements of a run made anew over what stands in a folder now, as the author's machine could."""
    from reprolock.files.lock_file import parse_lock

    forge(folder)
    record = Record.model_validate_json((folder / "record.json").read_bytes())
    opened = open_key({SIGNING_KEY: str(case.keys / f"{key}.pem")})
    assert opened is not None
    attestor = Attestor(opened, None, Machine.here().now, {})
    intent = attestor.intent(record)
    lock = parse_lock((folder / "repro.lock").read_bytes())
    write_lines(folder, [intent, attestor.run(record, lock.environment, lock.jars, [intent])])
