"""Credentials go where the user sent them, never where a cloned repro.toml, a record or a server says."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from catcher import Catcher
from command_line import Cli
from project import Project

from reprolock.errors import UsageError
from reprolock.tracker import open_tracker
from reprolock.tracker.tracking_uri import find_place

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
        "repro.toml): they are sent only to MLFLOW_TRACKING_URI and to trusted addresses\n"
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


@pytest.mark.parametrize("written", ["http://{}\\\\@mlflow.example", "http://{}\\\\@mlflow.example/"])
def test_an_address_of_which_programs_read_different_hosts(
    written: str, project: Project, cli: Cli, catcher: Catcher, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python's host is that behind the @, which the user has confirmed; what connects takes the one before the backslash."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow.example")
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", TOKEN)
    address = written.format(catcher.endpoint.removeprefix("http://"))
    project.add(f'\n[mlflow]\ntracking_uri = "{address}"\n')
    for command in COMMANDS:
        cli(*command)
    assert catcher.asked == []
    said = cli("show", "0123456789")
    shown = address.replace("\\\\", "\\")
    assert (said.code, said.err) == (
        2,
        f'error: "{shown}" (mlflow.tracking_uri in repro.toml) is not an address\n'
        'hint: write it as "https://mlflow.example.com"\n',
    )
    assert cli("trust", f"{catcher.endpoint}\\@mlflow.example").code == 2
    assert cli("trust", f"{catcher.endpoint}\\x").code == 2


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
    "ann:s3cret-pw@127.0.0.1:1": 2,
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


@pytest.fixture
def elsewhere(project: Project, catcher: Catcher, home: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """`elsewhere(URI)`: a run in the project's database whose files are at an address that the database alone names; the user
    has a token."""
    from mlflow.tracking import MlflowClient  # seconds

    def make(uri: str) -> str:
        client = MlflowClient(project.database)
        experiment = client.create_experiment(uri, artifact_location="file:///nowhere")
        run = client.create_run(experiment).info.run_id
        with closing(sqlite3.connect(project.root / "mlflow.db")) as database, database:
            database.execute("UPDATE runs SET artifact_uri = ? WHERE run_uuid = ?", (uri, run))
        return run

    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", TOKEN)
    return make


def test_a_projects_database_sends_no_token_anywhere(
    elsewhere: Callable[[str], str], project: Project, cli: Cli, catcher: Catcher
) -> None:
    host = catcher.endpoint.removeprefix("http://")
    for uri in (f"{catcher.endpoint}/api/2.0/mlflow-artifacts/artifacts/x", f"mlflow-artifacts://{host}/x"):
        said = cli("show", elsewhere(uri))
        assert (said.code, said.err) == (
            5,
            f"error: MLflow at {project.database} (the default of mlflow.tracking_uri) keeps the run's files on another server, "
            f"{host}, which is not sent its credentials\n"
            "hint: name that server as MLflow's address, or give the experiment another artifact location\n",
        )
    for uri in (f"ftp://ann:pw@{host}/x", f"sftp://{host}/x", "s3://bucket/x", "models:/m/1", "http+evil://x"):
        said = cli("show", elsewhere(uri))
        assert (said.code, said.err) == (
            2,
            f"error: mlflow.db (the default of mlflow.tracking_uri) keeps the run's files at {uri.replace('ann:pw@', '')}, "
            "outside the project\nhint: name the database in MLFLOW_TRACKING_URI if you trust it, or move it away\n",
        )
    assert catcher.asked == []


def test_a_server_that_nobody_confirmed_names_no_other_server_for_files(
    project: Project, cli: Cli, catcher: Catcher, home: Path
) -> None:
    run = {"info": {"run_id": "ab" * 16, "experiment_id": "1", "status": "FINISHED", "start_time": 1}, "data": {}}
    for uri in ("sftp://127.0.0.1:1/x", "r2://bucket@127.0.0.1:1/x"):
        run["info"]["artifact_uri"] = uri
        catcher.answer = (200, {}, json.dumps({"run": run, "experiment": {"experiment_id": "1", "name": "x"}}).encode())
        said = cli("show", "ab" * 16, "--tracking-uri", catcher.endpoint)
        assert (said.code, said.err) == (
            2,
            f"error: MLflow at {catcher.endpoint} (--tracking-uri) keeps the run's files at {uri.replace('bucket@', '')}, a server "
            f"that it alone names\nhint: if you trust it, run `reprolock trust {catcher.endpoint}` once\n",
        )


@pytest.mark.parametrize("address", ["sqlite:///{}/app.db", "sqlite+pysqlite:///{}/app.db", "sqlite:///link.db"])
def test_the_database_of_another_program_is_not_written(address: str, project: Project, cli: Cli, home: Path) -> None:
    file = home / "app.db"
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("CREATE TABLE letters (text)")
    before = file.read_bytes()
    (project.root / "link.db").symlink_to(file)
    project.add(f'\n[mlflow]\ntracking_uri = "{address.format(home)}"\n')
    named = project.root / "link.db" if "link" in address else file
    said = cli("show", "0123456789")
    assert (said.code, said.err) == (
        8,
        f"error: {named} (mlflow.tracking_uri in repro.toml) is the database of another program than MLflow, which would add its "
        "tables to it\nhint: name another file\n",
    )
    assert file.read_bytes() == before


def test_a_view_in_the_place_of_a_table_keeps_no_command(project: Project, cli: Cli, home: Path) -> None:
    """Its rows never end, and it has the name of a table of MLflow's."""
    tracker = open_tracker(find_place(None, project.root, {}), {}, home)
    run = tracker.create("flights", None, datetime.now(UTC))
    with closing(sqlite3.connect(project.root / "mlflow.db")) as database, database:
        database.execute("ALTER TABLE tags RENAME TO others")
        endless = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT 'k' || x AS key, 'v' AS value"
        database.execute(f"CREATE VIEW tags AS {endless}, run_uuid FROM others, c")
    said = cli("show", run)
    assert (said.code, said.err) == (
        8,
        f"error: {project.root}/mlflow.db (the default of mlflow.tracking_uri) has the view tags, and MLflow's databases have "
        "none\nhint: name the database in MLFLOW_TRACKING_URI if you trust it, or move it away\n",
    )


@pytest.mark.parametrize(
    "change",
    ["INSERT INTO params VALUES ('k', x'ff', '{}')", "INSERT INTO latest_metrics VALUES ('k', 'x', 1, 1, 0, '{}')"],
)
def test_values_of_other_types_in_a_projects_database(change: str, project: Project, cli: Cli, home: Path) -> None:
    tracker = open_tracker(find_place(None, project.root, {}), {}, home)
    run = tracker.create("flights", None, datetime.now(UTC))
    with closing(sqlite3.connect(project.root / "mlflow.db")) as database, database:
        database.execute(change.format(run))
    for command in (["show", run], ["runs"], ["impact", "lakefs://example-repo/main/"]):
        said = cli(*command)
        assert said.code in (0, 5), said.err


@pytest.mark.parametrize("query", ["local_infile=1", "odbc_connect=DRIVER=/tmp/evil.so"])
def test_options_of_a_database_are_the_users_to_name(query: str, project: Project, cli: Cli, home: Path) -> None:
    project.add(f'\n[mlflow]\ntracking_uri = "mysql+pymysql://127.0.0.1:1/x?{query}"\n')
    said = cli("show", "0123456789")
    assert (said.code, said.err) == (
        2,
        f"error: MLflow at mysql+pymysql://127.0.0.1:1/x?{query} (mlflow.tracking_uri in repro.toml) names options of a database "
        "connection, which a repro.toml may not\nhint: name the whole address in MLFLOW_TRACKING_URI if you trust it\n",
    )


@pytest.mark.parametrize(("name", "code"), [("repro.toml", 2), ("repro.lock", 3)])
def test_a_pipe_or_a_device_in_the_place_of_a_file_ends_no_command(
    name: str, code: int, project: Project, cli: Cli
) -> None:
    assert cli("lock").code == 0
    for make in (os.mkfifo, lambda file: os.symlink("/dev/zero", file)):
        (project.root / name).unlink()
        make(project.root / name)
        said = cli("lock", "--check")
        assert (said.code, said.err.splitlines()[0]) == (
            code,
            f"error: {name} cannot be read: it is a pipe or a device, and no file",
        )


def test_a_pipe_among_the_records_is_passed_over(project: Project, cli: Cli) -> None:
    folder = project.root / ".reprolock" / "runs" / ("ab" * 16)
    folder.mkdir(parents=True)
    (project.root / ".reprolock" / "open").mkdir()
    os.mkfifo(folder / "record.json")
    os.mkfifo(project.root / ".reprolock" / "open" / ("cd" * 16 + ".json"))
    os.mkfifo(project.root / ".reprolock" / "code.json")
    assert cli("lock").code == 0
    assert cli("status").code == 0
    assert cli("runs").code == 0


RUN = {
    "run_id": "ab" * 16,
    "experiment_id": "1",
    "status": "FINISHED",
    "start_time": 1,
    "artifact_uri": "mlflow-artifacts:/1/x",
}


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (["show", "ab" * 16], {"start_time": 10**18}),
        (["show", "ab" * 16], {"start_time": -1}),
        (["show", "ab" * 16], {"end_time": 10**18}),
        (["impact", "lakefs://example-repo/main/"], {"next_page_token": "again"}),
        (["show", "ab" * 16], {"files": [{"path": "deeper", "is_dir": True}]}),
        (["impact", "lakefs://example-repo/main/"], {"runs": [{"data": {"params": [{"key": "k", "value": 7}]}}]}),
        (["impact", "lakefs://example-repo/main/"], {"runs": [{"data": {"metrics": [{"key": "k", "value": "x"}]}}]}),
    ],
    ids=["late", "early", "ended late", "the same page", "folders in folders", "a param", "a metric"],
)
def test_a_server_whose_times_are_none_or_whose_listings_never_end(
    call: list[str], told: dict[str, Any], project: Project, cli: Cli, catcher: Catcher, home: Path
) -> None:
    project.add(f'\n[mlflow]\ntracking_uri = "{catcher.endpoint}"\n')
    answer = {"run": {"info": RUN | told}, "experiments": [{"experiment_id": "1", "name": "flights"}], **told}
    answer["runs"] = [{"info": RUN, **run} for run in answer.get("runs", ())]
    answer["experiment"] = answer["experiments"][0]
    catcher.answer = (200, {}, json.dumps(answer).encode())
    said = cli(*call)
    assert (said.code, said.err.splitlines()[0]) == (
        5,
        f"error: the server at {catcher.endpoint} (mlflow.tracking_uri in repro.toml) is not an MLflow tracking server",
    )


@pytest.mark.parametrize("link", ["reprolock", "reprolock/letter.txt"])
def test_nothing_is_written_through_a_link_among_a_runs_artifacts(link: str, project: Project, home: Path) -> None:
    tracker = open_tracker(find_place(None, project.root, {}), {}, home)
    run = tracker.create("flights", None, datetime.now(UTC))
    artifacts = project.root / "mlruns" / "flights" / run / "artifacts"
    (artifacts / link).parent.mkdir(parents=True)
    target = home / "letter.txt"
    target.write_text("dear")
    (artifacts / link).symlink_to(home if link == "reprolock" else target)
    with pytest.raises(UsageError) as refused:
        tracker.attach(run, "letter.txt", b"evil")
    assert refused.value.message == (
        f"mlflow.db (the default of mlflow.tracking_uri) keeps the run's files in {artifacts}/reprolock/letter.txt, outside the project"
    )
    assert target.read_text() == "dear"


def test_files_that_are_kept_for_longer_than_time_goes(project: Project, cli: Cli) -> None:
    project.edit('command = ["python", "train.py"]', 'command = ["python", "train.py"]\nkeep = "99999999999999999999d"')
    assert cli("cache", "--trim").code == 0


@pytest.mark.parametrize(
    "line",
    ['command = ["python", "train.py", "a\\u0000"]', 'command = ["python", "train.py"]\nenv = { A = "a\\u0000" }'],
)
def test_what_no_program_can_be_given_is_refused(line: str, project: Project, cli: Cli) -> None:
    project.edit('command = ["python", "train.py"]', line)
    project.add("\n[environment]\nisolated = false\n")
    assert cli("lock").code == 0
    said = cli("run", "-q")
    assert (said.code, said.err) == (
        2,
        'error: "a\\x00" has a character U+0000, which no program can be given\n'
        "hint: take it out of run.command, run.env or [params]\n",
    )
    assert [run.info.status for run in project.all_stored()] == ["FAILED"]
