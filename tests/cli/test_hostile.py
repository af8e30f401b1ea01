"""Credentials go where the user sent them, never where a cloned repro.toml, a record or a server says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from catcher import Catcher
from command_line import Cli
from project import Project

TOKEN = "tok-5e5d0c3b8f1a4d"
CREDENTIALS = [
    {"MLFLOW_TRACKING_TOKEN": TOKEN},
    {"MLFLOW_TRACKING_USERNAME": "ann", "MLFLOW_TRACKING_PASSWORD": TOKEN},
    {"MLFLOW_TRACKING_CLIENT_CERT_PATH": "/nowhere/cert.pem"},
    {"file": TOKEN},
]
COMMANDS = [
    ["run"],
    ["run", "--dry-run"],
    ["show", "0123456789"],
    ["diff", "0123456789", "abcdef0123"],
    ["replay", "0123456789", "--dry-run"],
    ["doctor"],
    ["status"],
    ["sync"],
    ["impact", "lakefs://example-repo/main/train/"],
    ["same-data", "0123456789", "abcdef0123"],
    ["export", "0123456789", "--format", "prov"],
]


@pytest.fixture
def catcher() -> Iterator[Catcher]:
    """The server of somebody else."""
    made = Catcher()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder and a configuration folder of the test's own; every call is sent once."""
    made = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(made))
    monkeypatch.setenv("REPROLOCK_CONFIG_DIR", str(made / "config"))
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    return made


def hold(credentials: dict[str, str], home: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let the user have credentials; the name that an error has for them."""
    if "file" in credentials:
        (home / ".mlflow").mkdir()
        text = f"[mlflow]\nmlflow_tracking_username = ann\nmlflow_tracking_password = {TOKEN}\n"
        (home / ".mlflow" / "credentials").write_text(text)
        return "~/.mlflow/credentials"
    for name, value in credentials.items():
        monkeypatch.setenv(name, value)
    return " and ".join(credentials)


@pytest.mark.parametrize("credentials", CREDENTIALS, ids=["token", "password", "certificate", "file"])
def test_no_command_sends_credentials_to_an_address_of_a_cloned_project(
    credentials: dict[str, str],
    project: Project,
    cli: Cli,
    catcher: Catcher,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    project.add(f'\n[mlflow]\ntracking_uri = "{catcher.endpoint}"\n\n[environment]\nisolated = false\n')
    assert cli("lock").code == 0
    names = hold(credentials, home, monkeypatch)
    refused = [
        command
        for command in COMMANDS
        if f"the credentials of {names} may not go to MLflow at" in "".join(cli(*command)[1:])
    ]
    assert catcher.asked == []
    assert [command for command in COMMANDS if command not in refused] == [["status"], ["sync"]]
    said = cli("run")
    assert (said.code, said.err) == (
        2,
        f"error: the credentials of {names} may not go to MLflow at {catcher.endpoint} (mlflow.tracking_uri in "
        "repro.toml): they go to MLFLOW_TRACKING_URI and to trusted addresses alone\n"
        f"hint: if you trust it, run `reprolock trust {catcher.endpoint}` once\n",
    )


def test_trust_is_given_listed_and_taken_back(
    project: Project, cli: Cli, catcher: Catcher, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.add(f'\n[mlflow]\ntracking_uri = "{catcher.endpoint}/base"\n')
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", TOKEN)
    assert cli("trust", "--list").out == "No address is trusted; `reprolock trust URL` confirms one\n"
    assert cli("trust", f"{catcher.endpoint}/any/path").out == "Trusted: credentials of the environment may go there\n"
    assert (home / "config" / "trusted").read_text() == f"{catcher.endpoint}\n"
    assert (home / "config" / "trusted").stat().st_mode & 0o777 == 0o600
    assert json.loads(cli("trust", "--list", "--json").out) == {"trusted": [catcher.endpoint]}
    assert cli("show", "0123456789").code == 5
    assert f"Authorization: Bearer {TOKEN}" in catcher.asked[0]
    assert cli("trust", "--remove", catcher.endpoint).code == 0
    assert cli("trust", "--remove", catcher.endpoint).code == 2
    assert cli("show", "0123456789").code == 2
    for wrong in ("ftp://x", "https://ann:secret-8f1a@host", "http://host:port", "http://["):
        said = cli("trust", wrong)
        assert (said.code, "8f1a" in said.err) == (2, False)


def test_the_address_of_the_environment_needs_no_trust(
    project: Project, cli: Cli, catcher: Catcher, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", catcher.endpoint)
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", TOKEN)
    assert cli("show", "0123456789").code == 5
    assert f"Bearer {TOKEN}" in catcher.asked[0]


ANSWERS = [
    (200, {"Content-Type": "text/html"}, b"<html>a page</html>"),
    (200, {}, b"[" * 100_000),
    (200, {}, b'{"run": 7}'),
    (200, {}, b'{"run": {"info": {"run_id": "../../x"}}}'),
    (200, {}, b'{"experiments": [{"name": 1}]}'),
    (200, {}, b"null"),
    (200, {}, b'"text"'),
    (200, {}, b""),
    (404, {}, b"not here"),
    (404, {}, b'{"error_code": ["x"]}'),
    (500, {}, b"{}"),
    (502, {}, b"bad gateway"),
    (302, {"Location": "http://user:pa55word@127.0.0.2:9/login"}, b""),
    (301, {"Location": "http://["}, b""),
    (204, {}, b""),
]


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_server_that_answers_something_else(
    answer: tuple[int, dict[str, str], bytes], project: Project, cli: Cli, catcher: Catcher, home: Path
) -> None:
    catcher.answer = answer
    said = cli("show", "0123456789", "--tracking-uri", catcher.endpoint)
    assert (said.code, said.err.count("error: ")) == (5, 1), said
    assert "pa55word" not in said.err


ADDRESSES = {
    "http://host:port": 2,
    "http://[::1": 2,
    "http://host:99999": 2,
    "http://": 2,
    "https://ann:s3cret-pw@127.0.0.1:1/": 5,
    "http://ann:s3cret-pw/x@127.0.0.1:1": 2,
    "http://127.0.0.1:1/?password=s3cret-pw": 5,
    "ann:s3cret-pw@127.0.0.1:1": 5,
    "postgresql://ann:s3cret-pw@127.0.0.1:1/x": 8,
    "mysql+pymysql://ann:s3cret-pw@127.0.0.1:1/x": 8,
    "sqlite:///\0": 2,
    "file:ann:s3cret-pw@host": 2,
}


@pytest.mark.parametrize("address", ADDRESSES)
def test_no_error_shows_the_password_of_an_address(address: str, project: Project, cli: Cli, home: Path) -> None:
    if "\0" in address:
        project.add('\n[mlflow]\ntracking_uri = "sqlite:///\\u0000"\n')
        said = cli("show", "0123456789")
    else:
        said = cli("show", "0123456789", "--tracking-uri", address)
    assert "s3cret" not in said.err
    assert (said.code, said.err.count("error: ")) == (ADDRESSES[address], 1), said
