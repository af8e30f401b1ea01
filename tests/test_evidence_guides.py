"""The guides on evidence: each of their commands is executed, in their order."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from bundling import without_network
from evidence import SPEC, TRAIN
from project import Project

from reprolock.signing.keys import new_key

GUIDES = Path(__file__).parents[1] / "docs" / "guides"
RUN = "3f9c2d1e"
"""The run that the guides name; a test puts its own in its place."""


def commands(guide: str) -> list[str]:
    """What follows `$ ` in the guide's console blocks."""
    text = (GUIDES / guide).read_text()
    blocks = re.findall(r"```console\n(.*?)```", text, flags=re.DOTALL)
    return [line.removeprefix("$ ") for block in blocks for line in block.splitlines() if line.startswith("$ ")]


def execute(lines: list[str], folder: Path, home: Path, *, alone: bool = False) -> str:
    """All of them in one shell, which stops at the first that fails; what it printed. `alone`: on a machine that has nothing
    of the author's, and no network."""
    foreign = ("REPROLOCK_", "MLFLOW_") if alone else ("REPROLOCK_SIGNING", "MLFLOW_")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    environ |= {"HOME": str(home), "PATH": f"{Path(sys.executable).parent}:{environ['PATH']}"}
    command = ["bash", "-euo", "pipefail", "-c", "\n".join(lines)]
    if alone:
        command, environ = without_network(command, environ)
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.long
def test_authors_and_then_auditors(project: Project, tmp_path_factory: pytest.TempPathFactory) -> None:
    project.spec(SPEC + '\n[evidence]\nsign = true\nhold = "10y"\n')
    project.script(TRAIN)
    home = tmp_path_factory.mktemp("home")
    lines = commands("evidence-authors.md")
    assert len(lines) == 10
    made = [line for line in lines if RUN not in line]
    execute([line for line in made if "hold" not in line], project.root, home)
    record = project.record
    signing = f"export REPROLOCK_SIGNING_KEY={home}/keys/second.pem"
    new_key(home / "keys" / "second.pem")
    named = [line.replace(RUN, record.run_id[:8]) for line in lines if RUN in line]
    said = execute([signing, *named], project.root, home)
    assert "| 11.50(a)(1) | A signature shows the signer's printed name. | `review.name`: Ada Lovelace |" in said
    held = execute([line for line in made if "hold" in line], project.root, home)
    assert "the filing of 2026" in held and "kept by the lake's garbage collection" in held

    # The mail: a bundle and a public key. The auditor has another HOME, no network, no lake, and no MLflow.
    mail = tmp_path_factory.mktemp("auditor")
    artifacts = ["record.json", "repro.toml", "repro.lock", "code.tar.gz", "attestations.jsonl"]
    shutil.move(project.root / "run.zip", mail)
    (mail / "run").mkdir()
    for name in artifacts:
        shutil.copy(project.run_folder(record.run_id) / name, mail / "run")
    for file in project.run_folder(record.run_id).glob("*.tar.gz"):
        shutil.copy(file, mail / "run")
    shutil.copy(home / "keys" / "training-ci.pem.pub", mail)
    trust = re.findall(r"```toml\n(.*?)```", (GUIDES / "auditors.md").read_text(), flags=re.DOTALL)[0]
    (mail / "trust.toml").write_text(trust)
    lines = [line.replace("file:/data/lake", f"file:{project.root}/lake") for line in commands("auditors.md")]
    making = [line for line in lines if "key new" in line]
    clean = tmp_path_factory.mktemp("clean")
    said = execute([*making, *(line for line in lines if line not in making)], mail, clean, alone=True)
    assert said.count("REPRODUCED   2 of 2 compared") == 2
    assert said.count("TRUSTED   1 of 1 verdict, 1 of 1 review") == 2
    assert "held " in said and (mail / "audit.html").is_file()
