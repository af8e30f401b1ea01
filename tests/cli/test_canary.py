"""Thirty kinds of secrets in use, every command, failing ones too: no file, database, artifact, process list or terminal has one."""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path

import psutil
import pytest
from command_line import Cli, Said
from project import Project

VARIABLES = [
    "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "LAKECTL_CREDENTIALS_SECRET_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN", "HF_TOKEN", "WANDB_API_KEY", "OPENAI_API_KEY", "GITHUB_TOKEN", "GH_TOKEN", "GITLAB_TOKEN",
    "DATABRICKS_TOKEN", "AZURE_CLIENT_SECRET", "AZURE_STORAGE_ACCOUNT_KEY", "PGPASSWORD", "MYSQL_PWD", "UV_INDEX_CORP_PASSWORD",
    "UV_PUBLISH_TOKEN", "TWINE_PASSWORD", "OPENLINEAGE_API_KEY", "REPROLOCK_SIGNING_KEY_PASSPHRASE", "SNOWFLAKE_PASSWORD",
    "KAGGLE_API_KEY", "VAULT_TOKEN",
]  # fmt: skip
ADDRESSES = ["HTTPS_PROXY", "ALL_PROXY", "UV_DEFAULT_INDEX", "DATABASE_URL"]
"""They hold a user name and a password."""


def secret(number: int) -> str:
    return f"c4nary{number:02d}Zq8x71Lm"


@pytest.fixture
def canaries(project: Project, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Secrets of all kinds; the last two stand in files of the home folder."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("REPROLOCK_CONFIG_DIR", str(home / "config"))
    secrets = [secret(number) for number in range(30)]
    for name, value in zip([*VARIABLES, *ADDRESSES], secrets, strict=False):
        monkeypatch.setenv(name, value if name in VARIABLES else f"http://ann:{value}@127.0.0.1:1/")
    monkeypatch.setenv("LAKECTL_CREDENTIALS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLQ")
    monkeypatch.setenv("LAKECTL_SERVER_ENDPOINT_URL", "http://127.0.0.1:1")
    (home / ".lakectl.yaml").write_text(
        f"credentials:\n  access_key_id: AKIAJEXAMPLEEXAMPLEQ\n  secret_access_key: {secrets[28]}\nserver:\n  endpoint_url: http://127.0.0.1:2\n"
    )
    (home / ".mlflow").mkdir()
    (home / ".mlflow" / "credentials").write_text(
        f"[mlflow]\nmlflow_tracking_username=ann\nmlflow_tracking_password={secrets[29]}\n"
    )
    return secrets


CALLS = [
    ["lock"], ["lock", "--check"], ["status"], ["run"], ["run", "--dry-run"], ["run", "--set", "x=1"], ["show"], ["show", "--json"],
    ["show", "nothing"], ["verify"], ["diff", "repro.lock", "repro.lock"], ["impact", "lakefs://example-repo/main/train/"],
    ["same-data", "nothing", "nothing"], ["export", "@RUN", "--format", "prov"], ["replay", "@RUN"], ["replay", "nothing"], ["sync"],
    ["sync", "--tracking-uri", "http://ann:@SECRET@127.0.0.1:1"], ["show", "x", "--tracking-uri", "http://ann:@SECRET/x@127.0.0.1:1"],
    ["show", "x", "--tracking-uri", "postgresql://ann:@SECRET@127.0.0.1:1/x"], ["data", "ls"],
    ["data", "ls", "lakefs://ann:@SECRET@repo/main"], ["data", "ls", "--lake", "http://127.0.0.1:1"],
    ["data", "ls", "--lake", "http://ann:@SECRET@127.0.0.1:1"], ["data", "ls", "--lake", "http://127.0.0.1:2"], ["env"], ["cache"],
    ["doctor"], ["trust", "http://ann:@SECRET@host"], ["run", "--openlineage", "http://ann:@SECRET@host"], ["run", "--name", "@SECRET"],
]  # fmt: skip


def test_no_secret_is_found_anywhere(project: Project, cli: Cli, canaries: list[str]) -> None:
    project.add('\n[outputs.result]\npath = "out"\n\n[environment]\nisolated = false\n')
    project.command("python", "-c", "import os; os.makedirs('out'); open('out/a', 'w').write('x')")
    listed: set[str] = set()
    stop = threading.Event()
    watcher = threading.Thread(target=_watch, args=(listed, stop))
    watcher.start()
    said: dict[str, Said] = {}
    for call in CALLS:
        run = project.record.run_id if (project.root / ".reprolock" / "runs").is_dir() else "none"
        arguments = [item.replace("@SECRET", canaries[0]).replace("@RUN", run) for item in call]
        said[" ".join(call)] = cli(*arguments)
    stop.set()
    watcher.join()
    assert said["run"].code == 0, said["run"]
    printed = {call: value for call, answer in said.items() for value in canaries if value in answer.out + answer.err}
    assert printed == {}
    assert [call for call, answer in said.items() if answer.code == 70] == []
    found = [
        (str(path), value)
        for path in project.root.rglob("*")
        if path.is_file()
        for content in [path.read_bytes()]
        for value in canaries
        if value.encode() in content
    ]
    assert found == []
    assert [(line, value) for line in listed for value in canaries if value in line] == []


def _watch(listed: set[str], stop: threading.Event) -> None:
    """Command lines of this process's children, as `ps` shows them to everyone."""
    own = psutil.Process()
    while not stop.wait(0.02):
        for child in own.children(recursive=True):
            try:
                listed.add(" ".join(child.cmdline()))
            except psutil.Error:
                continue


def test_the_code_of_a_run_holds_none(project: Project, cli: Cli, canaries: list[str]) -> None:
    project.script(f"print({canaries[4]!r})\n")
    assert cli("lock").code == 0
    said = cli("run", "--dry-run")
    assert (said.code, canaries[4] in said.err) == (2, False)
    assert "train.py:1 carries the value of AWS_SESSION_TOKEN" in said.err
    assert not list(Path(project.root).rglob("code.tar.gz"))
    assert (
        subprocess.run(
            ["grep", "-r", canaries[4], str(project.root / ".reprolock")], capture_output=True, check=False
        ).stdout
        == b""
    )
