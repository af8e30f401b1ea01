"""Thirty kinds of secrets in use, every command, failing ones too: no file, database, artifact, process list, terminal or
server has one that is not its own."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from catcher import Catcher
from command_line import Cli, Said
from every_command import every_command
from project import Project

from reprolock.cli.main import COMMANDS

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
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    (home / ".lakectl.yaml").write_text(
        f"credentials:\n  access_key_id: AKIAJEXAMPLEEXAMPLEQ\n  secret_access_key: {secrets[28]}\nserver:\n  endpoint_url: http://127.0.0.1:2\n"
    )
    (home / ".mlflow").mkdir()
    (home / ".mlflow" / "credentials").write_text(
        f"[mlflow]\nmlflow_tracking_username=ann\nmlflow_tracking_password={secrets[29]}\n"
    )
    return secrets


FAILING = [
    ["show", "nothing"], ["same-data", "nothing", "nothing"], ["replay", "nothing"], ["run", "--set", "x=1"],
    ["sync", "--tracking-uri", "http://ann:@SECRET@127.0.0.1:1"], ["show", "x", "--tracking-uri", "http://ann:@SECRET/x@127.0.0.1:1"],
    ["show", "x", "--tracking-uri", "postgresql://ann:@SECRET@127.0.0.1:1/x"], ["data", "ls"],
    ["data", "ls", "lakefs://ann:@SECRET@repo/main"], ["data", "ls", "--lake", "http://127.0.0.1:1"],
    ["data", "ls", "--lake", "http://ann:@SECRET@127.0.0.1:1"], ["data", "ls", "--lake", "http://127.0.0.1:2"],
    ["trust", "http://ann:@SECRET@host"], ["run", "--openlineage", "http://ann:@SECRET@host"], ["run", "--name", "@SECRET"],
    ["bundle", "nothing", "-o", "x.zip"], ["audit", "nothing", "--trust", "nothing.toml"], ["sign", "nothing", "--name", "@SECRET"],
    ["hold", "nothing"], ["hold", "nothing", "--lake", "http://ann:@SECRET@127.0.0.1:1"], ["key", "show", "nothing.pem"],
    ["runs", "--tracking-uri", "http://ann:@SECRET@127.0.0.1:1"],
    ["export", "@RUN", "--format", "prov", "--tracking-uri", "http://ann:@SECRET@127.0.0.1:1"],
]  # fmt: skip


@pytest.fixture
def ready(
    project: Project,
    cli: Cli,
    canaries: list[str],
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """A signed run of the project; the folder with the artifacts, keys and trust that `every_command` names."""
    given = tmp_path_factory.mktemp("given")
    project.add('\n[outputs.result]\npath = "out"\n\n[environment]\nisolated = false\n')
    project.command("python", "-c", "import os; os.makedirs('out', exist_ok=True); open('out/a', 'w').write('x')")
    assert cli("key", "new", str(given / "key.pem")).code == 0
    monkeypatch.setenv("REPROLOCK_SIGNING_KEY", str(given / "key.pem"))
    (given / "trust.toml").write_text('[keys.ann]\npublic = "key.pem.pub"\nroles = ["run"]\n')
    for arguments in (["lock"], ["run"]):
        said = cli(*arguments)
        assert said.code == 0, said.err
    run = project.run_folder(project.record.run_id)
    assert (run / "attestations.jsonl").is_file()
    shutil.copytree(run, given / "run", ignore=shutil.ignore_patterns("work"))
    return given / "run"


def calls(project: Project, folder: Path, secret: str) -> list[list[str]]:
    """Every command, and those that fail."""
    run = project.record.run_id
    whole = [call for row in every_command(run, folder).values() for call in row]
    failing = [[item.replace("@SECRET", secret).replace("@RUN", run) for item in call] for call in FAILING]
    named = {call[0] for call in (*whole, *failing)}
    assert named == {name for name, entry in COMMANDS.items() if entry.group} - {"stack", "ui"}  # they start servers
    return [*whole, *failing]


def leaks(root: Path, secrets: Sequence[str]) -> list[tuple[str, str]]:
    """Each file below a folder that holds one of the secrets."""
    return [
        (str(path), value)
        for path in root.rglob("*")
        if path.is_file()
        for content in [path.read_bytes()]
        for value in secrets
        if value.encode() in content
    ]


@contextmanager
def process_list() -> Iterator[set[str]]:
    """Command lines of this process's children while the body runs, as `ps` shows them to everyone."""
    listed: set[str] = set()
    stop = threading.Event()

    def watch() -> None:
        own = psutil.Process()
        while not stop.wait(0.02):
            for child in own.children(recursive=True):
                try:
                    listed.add(" ".join(child.cmdline()))
                except psutil.Error:
                    continue

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield listed
    finally:
        stop.set()
        watcher.join()


def test_no_secret_is_found_anywhere(project: Project, cli: Cli, ready: Path, canaries: list[str]) -> None:
    said: dict[str, Said] = {}
    with process_list() as listed:
        for call in calls(project, ready, canaries[0]):
            said[" ".join(call)] = cli(*call)
    assert said["run --offline"].code == 0, said["run --offline"]
    printed = {call: value for call, answer in said.items() for value in canaries if value in answer.out + answer.err}
    assert printed == {}
    assert [call for call, answer in said.items() if answer.code == 70] == []
    assert leaks(project.root, canaries) + leaks(ready.parent, canaries) == []
    assert listed
    assert [(line, value) for line in listed for value in canaries if value in line] == []


@pytest.mark.parametrize("table", ["mlflow", "lake"])
def test_a_server_that_the_project_names_is_sent_none(
    table: str, project: Project, cli: Cli, ready: Path, canaries: list[str]
) -> None:
    catcher = Catcher()
    run = project.record.run_id
    if table == "mlflow":
        project.add(f'\n[mlflow]\ntracking_uri = "{catcher.endpoint}"\n')
    else:
        project.edit('endpoint = "file:lake"', f'endpoint = "{catcher.endpoint}"')
    for row in every_command(run, ready).values():
        for call in row:
            said = cli(*call)
            assert said.code != 70, (call, said)
            assert [value for value in canaries if value in said.out + said.err] == [], call
    assert [(asked, value) for asked in catcher.asked for value in canaries if value in asked] == []
    assert leaks(project.root, canaries) + leaks(ready.parent, canaries) == []
    catcher.server.shutdown()
    catcher.server.server_close()


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
