"""The main job from the data to the record, one text on both lakes: what was pinned is what ran, and no key is left behind.

On the embedded lake MLflow is an SQLite file, on lakeFS it is a server.
"""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent

import deltalake
import psutil
import pyarrow
import pytest
import services
from mlflow.tracking import MlflowClient
from project import Project, lines_of
from spark_session import DELTA

pytestmark = pytest.mark.spark

ODD = "odd [1] {a,b} *é ü"

SPEC = """
[project]
name = "flights"

[lake]
endpoint = "{endpoint}"

[datasets.train]
uri = "lakefs://{repository}/main/train/"
format = "csv"
options = {{ header = true, inferSchema = true }}

[datasets.events]
uri = "lakefs://{repository}/main/events/"
format = "delta"
context = "evaluation"

[datasets.odd]
uri = "lakefs://{repository}/main/{odd}/"
format = "csv"
options = {{ header = true }}

[spark]
master = "local[2]"
packages = ["{delta}"]
conf = {{ "spark.ui.enabled" = "false", "spark.driver.memory" = "512m" }}

[params]
max_iter = 20

[run]
command = ["python", "both.py", "{{datasets.train.url}}", "{{outputs.copy.path}}"]
code = ["both.py", "plain.py", "ours.py"]
seed = 7
pass_env = ["HF_TOKEN"]

[outputs.copy]
path = "out/copy"
compare = "table"
format = "parquet"

[mlflow]
tracking_uri = "{tracking}"
"""

BOTH = """
    import runpy

    for name in ("plain.py", "ours.py"):  # one JVM serves both
        runpy.run_path(name, run_name="__main__")
"""

PLAIN = """
    import sys

    from pyspark.sql import SparkSession

    spark = SparkSession.builder.appName("plain").getOrCreate()
    frame = spark.read.option("header", True).csv(sys.argv[1])
    print("plain", sorted(row.x for row in frame.collect()))
    frame.write.parquet("file://" + sys.argv[2])
"""

OURS = """
    import json
    import os

    import mlflow
    from pyspark.sql import SparkSession

    import reprolock

    run = reprolock.current()
    train, events, odd = (run.dataset(name) for name in ("train", "events", "odd"))
    frame = train.spark()
    mlflow.log_metric("rows", frame.count())
    found = {
        "train": sorted(row.x for row in frame.collect()),
        "train_files": train.pandas()["x"].tolist(),
        "events": sorted(row.n for row in events.spark().collect()),
        "odd": [row.x for row in odd.spark().collect()],
        "commits": sorted({train.commit, events.commit, odd.commit}),
        "token": len(os.environ["HF_TOKEN"]),
        "seed": run.seed,
        "params": dict(run.params),
        "conf": {
            name: SparkSession.active().conf.get(name, None)
            for name in ("spark.my.own", "spark.sql.session.timeZone", "spark.master", "spark.ui.enabled")
        },
    }
    if events.url.startswith("s3a://"):
        given = mlflow.data.load_delta(path=f"s3://{events.repository}/{events.commit}/events", name="events")
        found["load_delta"] = given.to_dict()
    print("ours", json.dumps(found))
"""


class Scene(Project):
    """A project on one of the lakes. `keys` are all that must be found nowhere, `folders` where MLflow keeps things."""

    def __init__(
        self, root: Path, repository: str, endpoint: str, tracking: str, keys: list[str], folders: list[Path]
    ) -> None:
        self.root = root
        self.repository = repository
        self.tracking = tracking
        self.keys = keys
        self.folders = [root, *folders]
        text = SPEC.format(endpoint=endpoint, repository=repository, odd=ODD, delta=DELTA, tracking=tracking)
        (root / "repro.toml").write_text(text)
        for name, script in (("both.py", BOTH), ("plain.py", PLAIN), ("ours.py", OURS)):
            (root / name).write_text(dedent(script))


@pytest.fixture
def on_git(tmp_path: Path, bare: None, monkeypatch: pytest.MonkeyPatch) -> Scene:
    keys = {
        "HF_TOKEN": f"hf_{secrets.token_hex(20)}",
        "AWS_SECRET_ACCESS_KEY": secrets.token_hex(20),
    }
    for name, value in keys.items():
        monkeypatch.setenv(name, value)
    return Scene(tmp_path, "example-repo", "file:lake", "sqlite:///mlflow.db", list(keys.values()), [])


@pytest.fixture
def on_lakefs(
    tmp_path: Path,
    bare: None,
    lakefs: services.LakeFS,
    object_store: services.ObjectStore,
    mlflow_server: services.Server,
    monkeypatch: pytest.MonkeyPatch,
) -> Scene:
    token = f"hf_{secrets.token_hex(20)}"
    for name, value in {**lakefs.lakectl, "HF_TOKEN": token}.items():
        monkeypatch.setenv(name, value)
    keys = [token, lakefs.secret_access_key, object_store.secret_key, lakefs.access_key_id]
    repository = f"example-{secrets.token_hex(4)}"
    return Scene(tmp_path, repository, lakefs.endpoint, mlflow_server.endpoint, keys, [mlflow_server.folder])


@pytest.fixture(params=["git", pytest.param("lakefs", marks=[pytest.mark.live, pytest.mark.long])])
def scene(request: pytest.FixtureRequest) -> Scene:
    """Both lakes, one after the other."""
    return request.getfixturevalue(f"on_{request.param}")


@contextmanager
def arguments_of_all_processes() -> Iterator[set[str]]:
    """Every argument of every process that is seen while the body runs."""
    seen: set[str] = set()
    done = threading.Event()

    def look() -> None:
        while not done.wait(0.2):
            for process in psutil.process_iter():
                try:
                    seen.update(process.cmdline())
                except psutil.Error:
                    continue

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


def fill(scene: Scene, cli) -> None:
    """Two tables and a folder whose name is hard, by the commands that a person types."""
    source = scene.root / "source"
    (source / "train").mkdir(parents=True)
    (source / "train" / "a.csv").write_text("x,y\n1,a\n2,b\n")
    (source / ODD).mkdir()
    (source / ODD / "x.csv").write_text("x\n5\n")
    for number, name in ((1, "a"), (2, "b")):  # version 1, since MLflow leaves out a version 0
        deltalake.write_deltalake(str(source / "events"), pyarrow.table({"n": [number], "name": [name]}), mode="append")
    storage = ["--storage", f"s3://lake/{scene.repository}"] if scene.tracking.startswith("http") else []
    address = f"lakefs://{scene.repository}"
    for arguments in (
        ["create", address, *storage],
        ["put", str(source), f"{address}/main/"],
        ["commit", f"{address}/main", "-m", "The first data"],
    ):
        said = cli("data", *arguments)
        assert said.code == 0, said.err


def move_on(scene: Scene, cli) -> None:
    """The branch gets another row in every table, and the old file goes."""
    source = scene.root / "source"
    (source / "train" / "b.csv").write_text("x,y\n9,z\n")
    deltalake.write_deltalake(str(source / "events"), pyarrow.table({"n": [9], "name": ["z"]}), mode="append")
    address = f"lakefs://{scene.repository}/main"
    for arguments in (
        ["put", str(source / "train" / "b.csv"), f"{address}/train/b.csv"],
        ["rm", f"{address}/train/a.csv"],
        ["put", str(source / "events"), f"{address}/events/"],
        ["commit", address, "-m", "The branch moves on"],
    ):
        said = cli("data", *arguments)
        assert said.code == 0, said.err


def test_what_was_pinned_is_what_ran(scene: Scene, cli, monkeypatch: pytest.MonkeyPatch) -> None:
    own = scene.root / "own-spark-conf"
    own.mkdir()
    (own / "spark-defaults.conf").write_text("spark.my.own kept\nspark.sql.session.timeZone Asia/Tokyo\n")
    monkeypatch.setenv("SPARK_CONF_DIR", str(own))
    fill(scene, cli)
    said = cli("lock")
    assert said.code == 0, said.err
    log = json.loads(cli("data", "log", f"lakefs://{scene.repository}/main", "--json").out)
    old = log["commits"][0]["id"]
    move_on(scene, cli)
    assert f"train   main moved on by 1 commit, {old[:12]} → " in cli("status").out

    with arguments_of_all_processes() as seen:
        said = cli("run")
    assert said.code == 0, said.err
    plain, ours = lines_of(said.out, "plain"), lines_of(said.out, "ours")
    assert plain == ["plain ['1', '2']"]
    found = json.loads(ours[0].removeprefix("ours "))
    assert (found["train"], found["train_files"], found["events"], found["odd"]) == ([1, 2], [1, 2], [1, 2], ["5"])
    assert found["commits"] == [old]
    assert (found["seed"], found["params"], found["token"]) == (7, {"max_iter": 20}, 43)
    assert found["conf"] == {
        "spark.my.own": "kept",
        "spark.sql.session.timeZone": "UTC",  # decides results, and one machine's file must not
        "spark.master": "local[2]",
        "spark.ui.enabled": "false",
    }
    check_record(scene, old)
    check_mlflow(scene, old, found.get("load_delta"))
    check_keys(scene, seen, said.out + said.err)
    assert "1 object added, 1 removed" in cli("status").out  # the run changed nothing about it


def check_record(scene: Scene, old: str) -> None:
    record = scene.record
    kind = "lakefs" if scene.tracking.startswith("http") else "git"
    assert [(given.name, given.commit, given.kind) for given in record.datasets] == [
        ("train", old, kind), ("events", old, kind), ("odd", old, kind),
    ]  # fmt: skip
    for given in record.datasets:
        assert old in given.url
        assert given.url.startswith("s3a://" if kind == "lakefs" else "file://")
    train, events, _ = record.datasets
    assert [column["name"] for column in train.columns] == ["x", "y"]
    assert [(column["name"], column["type"]) for column in events.columns] == [("n", "long"), ("name", "string")]
    assert (events.table_version, events.rows, train.rows) == (1, 2, None)
    assert record.metrics == {"rows": 2.0}
    assert (record.status, record.spark.master) == ("FINISHED", "local[2]")
    [copy] = record.outputs
    assert copy.files > 0
    assert (scene.root / "out/copy/_SUCCESS").exists()


def check_mlflow(scene: Scene, old: str, load_delta: dict[str, str] | None) -> None:
    record = scene.record
    uri = scene.tracking if scene.tracking.startswith("http") else f"sqlite:///{scene.root}/mlflow.db"
    stored = MlflowClient(uri).get_run(record.run_id)
    tags = stored.data.tags
    assert (tags["lakefs_repo"], tags["lakefs_branch"], tags["lakefs_head_commit_id"]) == (
        scene.repository,
        "main",
        old,
    )
    assert {tags[f"reprolock.dataset.{name}.commit"] for name in ("train", "events", "odd")} == {old}
    assert (stored.info.status, stored.data.metrics, stored.data.params) == (
        "FINISHED",
        {"rows": 2.0},
        {"max_iter": "20"},
    )
    inputs = {given.dataset.name.partition(" ")[0]: given.dataset for given in stored.inputs.dataset_inputs}
    contexts = {given.dataset.name.partition(" ")[0]: given.tags[0].value for given in stored.inputs.dataset_inputs}
    assert contexts == {"train": "training", "events": "evaluation", "odd": "training"}
    assert all(old in given.source for given in inputs.values())
    if load_delta is not None:
        given = inputs["events"]
        assert given.source_type == load_delta["source_type"] == "delta_table"
        assert json.loads(given.source) == json.loads(load_delta["source"])
        assert json.loads(given.schema) == json.loads(load_delta["schema"])
    assert scene.stored_record(record.run_id, uri) == record


def check_keys(scene: Scene, arguments: set[str], output: str) -> None:
    """Each byte of the project, of MLflow's database and artifacts and of the servers' logs, and each argument."""
    needles = [key.encode() for key in scene.keys]
    looked_at = 0
    for folder in scene.folders:
        for path in folder.rglob("*"):
            if path.is_file() and not path.is_symlink():
                looked_at += 1
                data = path.read_bytes()
                assert not any(needle in data for needle in needles), path
    assert looked_at > 20
    assert not any(key in argument for argument in arguments for key in scene.keys)
    assert any("ours.py" in argument or "both.py" in argument for argument in arguments)  # the look saw the command
    assert not any(key in output for key in scene.keys)
