"""The first hour: init, the whole way by hand, doctor, the schemas, completion, and what all commands share."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import jsonschema
import pytest
import services
from lake_project import LakeProject
from project import Project

import reprolock
from reprolock.cli.main import COMMANDS, GROUPS
from reprolock.files.spec_file import read_spec
from reprolock.steps.maintenance.schema import schema_bytes

ROOT = Path(__file__).parents[2]


@pytest.fixture
def home(tmp_path: Path, bare: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without lakectl's file."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    return folder


# init


def test_init_from_nothing(tmp_path: Path, home: Path, cli) -> None:
    assert cli("init") == (
        0,
        "Wrote repro.toml\nNext: reprolock add dataset NAME lakefs://REPOSITORY/BRANCH/PATH/, or reprolock lock without data\n",
        "",
    )
    spec = read_spec(tmp_path)
    assert (spec.project.name, spec.lake.endpoint, spec.datasets) == (tmp_path.name, "file:lake", {})
    assert spec.run.command == ("python", "train.py")
    said = cli("init")
    assert (
        said.err
        == "error: repro.toml is already there\nhint: `reprolock add dataset NAME lakefs://…` adds to it; or remove it and run `reprolock init` again\n"
    )
    assert (said.code, said.out) == (2, "")


def test_init_from_data_that_is_there(tmp_path: Path, home: Path, cli) -> None:
    lake_project = LakeProject(tmp_path)
    (tmp_path / "repro.toml").unlink()
    lake_project.put("training dataset/b.csv", b"x\n1\n")
    lake_project.commit("training dataset/c.csv.gz", b"x\n1\n")
    said = cli("init", "lakefs://example-repo/main/training dataset/")
    assert said == (
        0, 'Wrote repro.toml  (dataset "training_dataset", csv, 2 objects, 8 B)\nNext: reprolock lock\n', ""
    )  # fmt: skip
    spec = read_spec(tmp_path)
    assert spec.datasets["training_dataset"].uri == "lakefs://example-repo/main/training dataset/"
    assert spec.datasets["training_dataset"].options == {"header": "true"}
    assert spec.spark is None  # nothing here uses it


@pytest.mark.parametrize(
    ("names", "format"),
    [
        (["part-0.parquet", "_SUCCESS"], "parquet"),
        (["_delta_log/00000000000000000000.json", "part-0.parquet"], "delta"),
        (["a.png", "b.jpg", "notes.txt"], "image"),
        (["a.jsonl"], "json"),
        (["a.orc"], "orc"),
        (["a.avro"], "avro"),
        (["a.txt"], "text"),
        (["a.wav"], "binary"),
    ],
)
def test_init_sees_the_format(tmp_path: Path, home: Path, cli, names: list[str], format: str) -> None:
    lake_project = LakeProject(tmp_path)
    (tmp_path / "repro.toml").unlink()
    for name in names:
        lake_project.put(f"set/{name}", b"x")
    lake_project.lake.commit("example-repo", "main", "Data")
    assert cli("init", "lakefs://example-repo/main/set/").code == 0
    assert read_spec(tmp_path).datasets["set"].format == format


def test_init_sees_tabs(tmp_path: Path, home: Path, cli) -> None:
    lake_project = LakeProject(tmp_path)
    (tmp_path / "repro.toml").unlink()
    for name in ("a.tsv", "b.tsv.gz", "c.csv"):
        lake_project.put(f"set/{name}", b"x\ty\n1\t2\n")
    lake_project.lake.commit("example-repo", "main", "Data")
    said = cli("init", "lakefs://example-repo/main/set/")
    assert said == (0, 'Wrote repro.toml  (dataset "set", csv, 3 objects, 24 B)\nNext: reprolock lock\n', "")
    assert 'options = { header = true, sep = "\\t" }\n' in (tmp_path / "repro.toml").read_text()
    assert read_spec(tmp_path).datasets["set"].options == {"header": "true", "sep": "\t"}


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        (
            "example-repo/main/train",
            '"example-repo/main/train" is not a lake address; write "lakefs://REPOSITORY/REF/PATH"',
        ),
        ("lakefs://example-repo/main/trian/", "nothing is at lakefs://example-repo/main/trian"),
        ("lakefs://exmaple-repo/main/train/", 'no repository "exmaple-repo" in the lake file:lake'),
        ("lakefs://example-repo/mian/train/", 'no branch, tag or commit "mian" in the repository "example-repo"'),
    ],
)
def test_init_from_data_that_is_not_there(tmp_path: Path, home: Path, cli, uri: str, message: str) -> None:
    LakeProject(tmp_path)
    (tmp_path / "repro.toml").unlink()
    said = cli("init", uri)
    assert said.err.splitlines()[0] == f"error: {message}"
    assert (said.code, said.out) == (2, "")
    assert not (tmp_path / "repro.toml").exists()


def test_init_on_lakectls_own_lake(
    tmp_path: Path, home: Path, cli, lakefs: services.LakeFS, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in lakefs.lakectl.items():
        monkeypatch.setenv(name, value)
    repository = f"first-hour-{os.getpid()}"
    (tmp_path / "a.txt").write_text("hello")
    address = f"lakefs://{repository}"
    assert cli("data", "create", address, "--storage", f"s3://lake/{repository}").code == 0
    assert cli("data", "put", str(tmp_path / "a.txt"), f"{address}/main/notes/").code == 0
    assert cli("data", "commit", f"{address}/main", "-m", "Notes").code == 0
    assert cli("init", f"{address}/main/notes/").code == 0
    assert "lake" not in tomllib.loads((tmp_path / "repro.toml").read_text())
    assert cli("lock").code == 0


def test_the_whole_way_by_hand(tmp_path: Path, home: Path, cache: Path, cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """From an empty folder to a recorded run, as the README goes."""
    monkeypatch.setenv("REPROLOCK_CACHE_DIR", str(cache))
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("one\ntwo\n")
    (tmp_path / "train.py").write_text(
        "import reprolock\nprint(len((reprolock.current().dataset('notes').path / 'a.txt').read_text().split()), 'words')\n"
    )
    said = [
        cli("data", "create", "lakefs://clinic"),
        cli("data", "put", str(tmp_path / "notes"), "lakefs://clinic/main/notes/"),
        cli("data", "commit", "lakefs://clinic/main", "-m", "Two words"),
        cli("init", "lakefs://clinic/main/notes/"),
        cli("lock"),
        cli("lock", "--check"),
        cli("run"),
        cli("status"),
        cli("show"),
    ]
    assert [one.code for one in said] == [0] * 9, said
    assert said[0].out == "Created lakefs://clinic with branch main\n"
    assert said[1].out == "Staged 1 object, 8 B, at lakefs://clinic/main/notes/\n"
    assert said[3].out == (
        'Wrote repro.toml  (dataset "notes", text, 1 object, 8 B)\nTaken from train.py\nNext: reprolock lock\n'
    )
    assert said[5].out == "repro.lock is up to date (1 dataset)\n"
    assert said[6].out == "2 words\n"
    assert said[7].out.endswith("repro.lock is up to date, and no branch moved on.\n")


# doctor


def test_a_machine_that_is_ready(project: Project, cli) -> None:
    said = cli("doctor")
    found = {line.split()[1]: line.split()[0] for line in said.out.splitlines()}
    assert (said.code, said.err) == (0, "")
    assert {found[name] for name in ("python", "spark", "cache", "lake", "mlflow")} == {"ok"}
    assert f"ok  lake    git at file:lake\nok  mlflow  {project.database}\n" in said.out
    document = json.loads(cli("doctor", "--json").out)
    assert {finding["name"]: finding["ok"] for finding in document["findings"]}["lake"] is True


def test_outside_of_a_project_nothing_of_one_is_missed(tmp_path: Path, home: Path, cli) -> None:
    said = cli("doctor")
    assert said.code == 0
    assert not {"lake", "mlflow", "project"} & {line.split()[1] for line in said.out.splitlines()}


def test_a_machine_that_is_not_ready(project: Project, cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(project.root))
    monkeypatch.setenv("JAVA_HOME", str(project.root / "no-java"))
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    (project.root / "in the way").write_text("a file")
    monkeypatch.setenv("REPROLOCK_CACHE_DIR", str(project.root / "in the way" / "cache"))
    address = f"http://127.0.0.1:{services.free_port()}"
    project.add(f'[spark]\n\n[mlflow]\ntracking_uri = "{address}"\n')
    project.edit("example-repo/main", "exmaple-repo/main")
    said = cli("doctor")
    rows = {line.split()[1]: line for line in said.out.splitlines() if not line.startswith("hint")}
    assert rows["java"].startswith("missing  java    JAVA_HOME is ")
    assert rows["git"] == "-        git     not on PATH"
    assert rows["cache"] == f"missing  cache   {project.root}/in the way/cache cannot be written"
    assert rows["lake"] == 'missing  lake    no repository "exmaple-repo" in the lake file:lake'
    assert (
        rows["mlflow"]
        == f"missing  mlflow  no answer from MLflow at {address} (mlflow.tracking_uri in repro.toml) after 1 try"
    )
    hints = [line for line in said.out.splitlines() if line.startswith("hint")]
    assert "hint: cache: set REPROLOCK_CACHE_DIR to a folder that can" in hints
    assert 'hint: lake: did you mean "example-repo"?' in hints
    assert (
        said.err
        == "error: not ready: java, cache, lake, mlflow\nhint: the hints above say how to get what is missing\n"
    )
    assert said.code == 8


def test_a_faulty_project(project: Project, cli) -> None:
    project.edit('format = "csv"', 'format = "cvs"')
    said = cli("doctor")
    assert said.code == 8
    assert said.err.startswith("error: not ready: project\n")
    assert any(
        line.startswith("missing  project  repro.toml:9: datasets.train.format: ") for line in said.out.splitlines()
    )


# schema


@pytest.mark.parametrize("name", sorted(reprolock.schema()))
def test_the_schemas_in_the_repository_are_those_of_the_models(name: str) -> None:
    assert (ROOT / "schemas" / name).read_bytes() == schema_bytes(reprolock.schema()[name])


def test_schema(tmp_path: Path, cli) -> None:
    assert json.loads(cli("schema", "record").out) == reprolock.schema()["record.schema.json"]
    assert json.loads(cli("schema").out) == reprolock.schema()
    assert cli("schema", "--write", str(tmp_path / "out")).code == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(reprolock.schema())
    assert cli("schema", "lock").code == 2


def test_files_answer_to_their_schemas(project: Project, cli) -> None:
    project.add("""
        [params]
        lr = 0.5

        [outputs.model]
        path = "model"

        [metrics]
        rows = "exact"
        accuracy = { rel = 1e-6 }
    """)
    project.script("""
        import pathlib

        import mlflow

        pathlib.Path("model").write_text("x")
        mlflow.log_metrics({"rows": 1, "accuracy": 0.5})
    """)
    cli("lock")
    assert cli("run", "-q").code == 0
    documents = {
        "repro.toml": tomllib.loads((project.root / "repro.toml").read_text()),
        "repro.lock": json.loads(json.dumps(tomllib.loads((project.root / "repro.lock").read_text()), default=str)),
        "record": json.loads((project.run_folder(project.record.run_id) / "record.json").read_text()),
    }
    for name, document in documents.items():
        jsonschema.Draft202012Validator(reprolock.schema()[f"{name}.schema.json"]).validate(document)


# What all commands share


@pytest.fixture
def json_project(project: Project, cli) -> Project:
    """A project with two runs, on which every command has something to say."""
    cli("lock")
    cli("run", "-q")
    cli("run", "-q")
    shutil.copy(project.root / "repro.lock", project.root / "other.lock")
    return project


def test_json_is_one_object_on_stdout_everywhere(
    json_project: Project, cli, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = json_project.root
    first, second = (run.info.run_id for run in json_project.all_stored())
    fresh = tmp_path_factory.mktemp("fresh")
    (root / "more.csv").write_text("x\n1\n")
    main = "lakefs://example-repo/main"
    calls: dict[str, list[list[str]]] = {
        "init": [["-C", str(fresh)]],
        "lock": [[], ["--check"], ["--dry-run"]],
        "status": [[]],
        "run": [[], ["--dry-run"], ["--if-changed"]],
        "ui": [],  # it serves a page: tests/cli/test_ui.py
        "sweep": [],  # a param that varies: tests/cli/test_sweep.py
        "add": [["param", "another=1"]],
        "remove": [["param", "another"]],
        "replay": [[first, "--dry-run"]],
        "verify": [[]],
        "diff": [["repro.lock", "other.lock"], [first, second]],
        "impact": [["lakefs://example-repo"]],
        "same-data": [[first, second]],
        "show": [[], ["--lock"], [first]],
        "sync": [[]],
        "runs": [[], ["--replays"]],
        "export": [[first, "--format", "prov"]],
        "key": [["new", "ci.pem"], ["show", str(root / "ci.pem")]],
        "sign": [],  # runs that are signed: tests/cli/test_signed_runs.py
        "audit": [],
        "hold": [["repro.lock"], ["ls"], ["check"], ["release", "repro.lock", "--force"]],
        "bundle": [[first, "-o", str(root / "one.zip")]],
        "evidence": [[first, "--for", "part11"]],
        "env": [],  # no packages are locked here; tests/cli/test_env.py
        "cache": [[]],
        "data": [
            ["create", "lakefs://another"], ["ls", f"{main}/"], ["get", f"{main}/train/a.csv", str(root / "got.csv")],
            ["put", str(root / "more.csv"), f"{main}/train/"], ["branch", main, "side"], ["commit", main, "-m", "More"],
            ["tag", main, "v1"], ["merge", main, "lakefs://example-repo/side"], ["diff", f"{main}/", "lakefs://example-repo/side/"],
            ["log", main], ["revert", main, "main"], ["rm", f"{main}/train/a.csv"],
        ],
        "stack": [["status"], ["down"], ["logs"]],
        "trust": [["--list"]],
        "doctor": [[]],
        "schema": [[], ["record"], ["--write", str(root / "schemas")]],
        "completion": [["bash"], ["zsh"], ["fish"]],
        "report": [],  # two revisions in git: tests/cli/test_report.py
        "git-driver": [],  # a clone is set up: tests/cli/test_git_driver.py
    }  # fmt: skip
    assert calls.keys() >= {name for name, entry in COMMANDS.items() if entry.group}
    for name, every in calls.items():
        for arguments in every:
            said = cli(name, *arguments, "--json")
            assert said.code in (0, 5), (name, arguments, said.err)
            assert isinstance(json.loads(said.out), dict), (name, arguments)


def test_json_says_an_error_too(project: Project, cli) -> None:
    for name in ("status", "run", "lock"):
        said = cli(name, "--json", *(["--check"] if name == "lock" else []))
        document = json.loads(said.out)
        assert (said.code, document["exit_code"], document["error"]) == (3, 3, "no repro.lock beside repro.toml")
        assert said.err.startswith("error: no repro.lock beside repro.toml\n")


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_help(name: str, cli) -> None:
    said = cli(name, "--help")
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith(f"Usage: reprolock {name} ")


def test_help_lists_the_commands(cli) -> None:
    said = cli("--help")
    assert said.code == 0
    for name, entry in COMMANDS.items():
        assert (f"  {name} " in said.out) == bool(entry.group)
    headings = [line.removesuffix(":") for line in said.out.splitlines() if line.endswith(":")]
    assert headings == ["Options", *GROUPS.values()]
    assert cli() == said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rnu"], 'there is no command "rnu"; did you mean `reprolock run`?'),
        (["xyz"], 'there is no command "xyz"; `reprolock --help` lists the commands'),
        (["run", "--lokced"], "no such option '--lokced'. (Did you mean one of: '--locked', '--relock'?)"),
        (["status", "extra"], "got unexpected extra argument (extra)"),
        (["completion", "tcsh"], "invalid value for '{bash|zsh|fish}': 'tcsh' is not one of 'bash', 'zsh', 'fish'"),
    ],
)
def test_a_call_that_is_wrong(cli, arguments: list[str], message: str) -> None:
    said = cli(*arguments)
    assert said.err.splitlines()[0] == f"error: {message}"
    assert (said.code, said.out) == (2, "")


@pytest.mark.parametrize(
    ("line", "position", "expected"),
    [
        ("reprolock st", 1, ["status", "stack"]),
        ("reprolock run --lo", 2, ["--locked"]),
        ("reprolock data co", 2, ["commit"]),
        ("reprolock completion f", 2, ["fish"]),
    ],
)
def test_completion(line: str, position: int, expected: list[str], tmp_path: Path) -> None:
    environ = os.environ | {"_REPROLOCK_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(position)}
    done = subprocess.run(
        [sys.executable, "-m", "reprolock"], env=environ, capture_output=True, text=True, cwd=tmp_path
    )
    assert sorted(entry.split(",")[1] for entry in done.stdout.split()) == sorted(expected)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_are_scripts(shell: str, cli, tmp_path: Path) -> None:
    said = cli("completion", shell)
    assert (said.code, said.err) == (0, "")
    assert "_REPROLOCK_COMPLETE" in said.out
    if shutil.which(shell):
        (tmp_path / "script").write_text(said.out)
        assert subprocess.run([shell, "-n", str(tmp_path / "script")], capture_output=True).returncode == 0


def test_version() -> None:
    done = subprocess.run([sys.executable, "-m", "reprolock", "--version"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"reprolock {reprolock.__version__}\n")


def test_no_colour_where_nobody_watches(project: Project, cli) -> None:
    assert "\033[" not in cli("run").err
