"""What Spark was seen to read, write and run under: in the record, on the screen, and in a verdict."""

from __future__ import annotations

import http.server
import json
import os
import threading
import zipfile
from collections.abc import Iterator

import pytest
from project import Project, lines_of

from reprolock.files.lock_file import read_lock
from reprolock.model.lineage import Lineage, Read
from reprolock.model.lock import JarsPin

SPARK = """
    [spark]
    master = "local[2]"
    conf = { "spark.ui.enabled" = "false", "spark.driver.memory" = "512m", "spark.sql.shuffle.partitions" = "2" }
"""
OBSERVED = "Spark was observed; plain file access was not observed"
TRAIN = """
    import sys
    from pyspark.sql import SparkSession
    spark = SparkSession.builder.getOrCreate()
    rows = spark.read.csv(sys.argv[1], header=True)
    rows.selectExpr("int(x) + int(y) AS total").write.parquet("out/totals")
"""
OUTPUT = """
    [outputs.totals]
    path = "out/totals"
    compare = "none"
"""


@pytest.fixture
def watched(project: Project) -> Project:
    """A project that reads a dataset with Spark and writes a table."""
    project.add(SPARK)
    project.add(OUTPUT)
    project.edit('command = ["python", "train.py"]', 'command = ["python", "train.py", "{datasets.train.url}"]')
    project.script(TRAIN)
    return project


def run(project: Project, cli, code: int = 0) -> tuple[Lineage, list[str]]:
    """Lock and run; the lineage, and the warnings and errors."""
    assert cli("lock").code == 0
    said = cli("run")
    assert said.code == code, said.err
    lineage = project.record.lineage
    assert lineage is not None
    return lineage, lines_of(said.err, "warning:", "error:", "hint:")


@pytest.mark.spark
def test_what_is_declared(watched: Project, cli) -> None:
    lineage, said = run(watched, cli)
    [pin] = watched.record.datasets
    assert lineage.reads == (Read(uri=pin.resolved, kind="dataset", dataset="train"),)
    [write] = lineage.writes
    assert (write.uri, write.output) == ("out/totals", "totals")
    assert write.columns == {"total": (f"{pin.resolved}#x", f"{pin.resolved}#y")}
    assert (lineage.coverage, lineage.observed, lineage.sessions, lineage.unlocked, said) == (OBSERVED, True, 1, (), [])
    record = watched.record
    assert "reprolock/openlineage.jsonl" in watched.artifacts(record.run_id)
    assert "openlineage.jsonl" in record.artifacts
    folder = watched.run_folder(record.run_id)
    events = [json.loads(line) for line in (folder / "openlineage.jsonl").read_text().splitlines()]
    parent = {"namespace": "reprolock", "name": "flights"}
    assert {event["run"]["facets"]["parent"]["root"]["job"]["name"] for event in events} == {parent["name"]}
    assert {event["run"]["facets"]["parent"]["root"]["run"]["runId"].replace("-", "") for event in events} == {
        record.run_id
    }
    assert not (folder / "spark-events").exists()
    conf = " ".join(record.spark.conf)
    assert "openlineage" not in conf and "eventLog" not in conf
    shown = cli("show").out
    assert lines_of(shown, "Lineage") == [f"Lineage   {OBSERVED}"]


@pytest.mark.spark
@pytest.mark.long
def test_reads_that_nobody_declared_and_settings_past_the_lock(
    watched: Project, cli, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("elsewhere") / "day=2026-01-01"
    other.mkdir()
    (other / "more.csv").write_text("x,y\n5,6\n")
    third = tmp_path_factory.mktemp("third")
    for name in ("a.csv", "b.csv"):
        (third / name).write_text("x,y\n5,6\n")
    (watched.root / "lookup.csv").write_text("x,y\n7,8\n")
    jar = tmp_path_factory.mktemp("jars") / "mine.jar"
    with zipfile.ZipFile(jar, "w") as archive:
        archive.writestr("name.txt", "mine")
    watched.script(
        TRAIN
        + f"""
    spark.conf.set("spark.sql.ansi.enabled", "false")
    spark.conf.set("spark.sql.files.maxPartitionBytes", "1m")
    print(spark.read.parquet("out/totals").collect())
    print(spark.read.csv("lookup.csv").count())
    print(spark.read.csv({str(other)!r}, header=True).write.json("scratch"))
    print(spark.sparkContext.textFile("scratch").count())
    spark.sql("ADD JAR {jar}")
    import tempfile
    made = tempfile.mkdtemp()
    open(made + "/a.csv", "w").write("x,y\\n")
    print(spark.read.csv(made).count())
    print(spark.read.csv({str(third)!r} + "/*.csv", header=True).rdd.count())
    """
    )
    lineage, said = run(watched, cli)
    [pin] = watched.record.datasets
    [made] = [
        read for read in lineage.reads if "/tmp" in read.uri and read.kind == "own"
    ]  # with tempfile, by the script
    assert tuple(read for read in lineage.reads if read != made) == (
        Read(uri=f"file:{other}", kind="undeclared"),
        Read(uri=f"file:{third}", kind="undeclared"),
        Read(uri=pin.resolved, kind="dataset", dataset="train"),
        Read(uri="lookup.csv", kind="own"),
        Read(uri="out/totals", kind="own"),
        Read(uri="scratch", kind="own"),
    )
    assert [(write.uri, write.output) for write in lineage.writes] == [("out/totals", "totals"), ("scratch", None)]
    past = (
        "jar mine.jar, not locked",
        'spark.sql.ansi.enabled "false", locked "true"',
        'spark.sql.files.maxPartitionBytes "1m", not locked',
    )
    assert lineage.unlocked == past
    undeclared = [f"Spark read file:{place}, which no dataset declares" for place in (other, third)]
    assert said == [
        *(f"warning: {sentence}" for sentence in undeclared),
        *(f"warning: outside the lock: {sentence}" for sentence in past),
    ]


@pytest.mark.spark
def test_undeclared_reads_that_are_an_error(watched: Project, cli, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("elsewhere")
    (other / "more.csv").write_text("x,y\n5,6\n")
    watched.edit("[run]", '[run]\nundeclared_reads = "error"')
    watched.script(TRAIN + f"\n    print(spark.read.csv({str(other)!r}).count())")
    _, said = run(watched, cli, code=1)
    reason = f'exit code 0, but Spark read file:{other}, which no dataset declares; run.undeclared_reads is "error"'
    record = watched.record
    assert said == [
        f"error: the command failed: {reason}",
        f"hint: `reprolock show {record.run_id[:8]}` shows the record; its folder is .reprolock/runs/{record.run_id}",
    ]
    assert (record.status, record.ending.reason) == ("FAILED", reason)
    assert watched.stored().info.status == "FAILED"


@pytest.mark.spark
@pytest.mark.long
def test_a_session_that_turns_its_listener_off(watched: Project, cli) -> None:
    watched.edit("[run]", '[run]\nundeclared_reads = "error"')
    off = '.config("spark.extraListeners", "").config("spark.eventLog.enabled", "false").getOrCreate()'
    watched.script(TRAIN.replace(".getOrCreate()", off))
    lineage, said = run(watched, cli, code=1)
    coverage = "no Spark session was observed; plain file access was not observed"
    assert (lineage.coverage, lineage.observed, lineage.reads) == (coverage, False, ())
    assert said[0] == f'error: the command failed: exit code 0, but {coverage}; run.undeclared_reads is "error"'


class Catalogue(http.server.BaseHTTPRequestHandler):
    """Takes OpenLineage's events as any of its servers does, and keeps them."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.taken.append((self.path, self.headers.get("Authorization"), json.loads(body)))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def catalogue() -> Iterator[http.server.ThreadingHTTPServer]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Catalogue)
    server.taken, server.status = [], 201
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.spark
@pytest.mark.long
def test_events_are_sent_on(watched: Project, cli, catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENLINEAGE_API_KEY", "k3y-0f-the-catalogue")
    address = f"http://127.0.0.1:{catalogue.server_port}"
    assert cli("lock").code == 0
    said = cli("run", "--openlineage", address)
    assert said.code == 0, said.err
    folder = watched.run_folder(watched.record.run_id)
    of_spark = [json.loads(line) for line in (folder / "openlineage.jsonl").read_text().splitlines()]
    events = [event for _, _, event in catalogue.taken]
    assert {(path, key) for path, key, _ in catalogue.taken} == {("/api/v1/lineage", "Bearer k3y-0f-the-catalogue")}
    assert events[1:-1] == of_spark
    assert [(event["eventType"], event["job"]["name"]) for event in (events[0], events[-1])] == [
        ("START", "flights"),
        ("COMPLETE", "flights"),
    ]
    assert events[0]["run"]["runId"].replace("-", "") == watched.record.run_id
    texts = [file.read_bytes() for file in watched.root.rglob("*") if file.is_file()]
    assert not any(b"k3y-0f-the-catalogue" in text for text in texts)


def test_a_catalogue_that_takes_nothing(project: Project, cli, catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    catalogue.status = 400
    address = f"http://127.0.0.1:{catalogue.server_port}"
    monkeypatch.setenv("OPENLINEAGE_URL", address)
    monkeypatch.setenv("OPENLINEAGE_API_KEY", "k3y-0f-the-catalogue")
    assert cli("lock").code == 0
    before = dict(os.environ)
    said = cli("run")
    assert said.code == 0
    assert dict(os.environ) == before
    [warning] = lines_of(said.err, "warning:")
    assert warning.startswith(
        f"warning: the events of the run were not sent to OpenLineage: 400 Client Error: Bad Request for url: {address}/"
    )
    assert project.stored().info.status == "FINISHED"


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (("--openlineage", "marquez"), '--openlineage "marquez" is not an address', 'write "https://HOST[:PORT]"'),
        (
            ("--openlineage", "https://bob:s3cret@host"),
            "--openlineage: an address must not contain a user name or password",
            "put the key into OPENLINEAGE_API_KEY",
        ),
        (
            ("--openlineage", "https://host", "--offline"),
            "--openlineage needs a service, and --offline contacts none",
            "use one of them",
        ),
    ],
)
def test_a_catalogue_that_cannot_be(project: Project, cli, arguments: tuple[str, ...], message: str, hint: str) -> None:
    assert cli("lock").code == 0
    said = cli("run", *arguments)
    assert (said.code, said.err) == (2, f"error: {message}\nhint: {hint}\n")


def test_a_run_without_spark(project: Project, cli) -> None:
    lineage, said = run(project, cli)
    assert (lineage, said) == (Lineage(coverage="plain file access was not observed"), [])


def test_settings_that_would_blind_it(project: Project, cli) -> None:
    project.add('[spark]\nconf = { "spark.openlineage.transport.type" = "http" }\n')
    assert cli("lock").code == 0
    said = cli("run")
    assert said.err == (
        "error: spark.conf.spark.openlineage.transport.type cannot be set in [spark] conf\n"
        "hint: `reprolock run --openlineage URL`, or OPENLINEAGE_URL, sends on what was seen\n"
    )
    assert said.code == 2


def test_a_lock_without_the_listener_is_stale(project: Project, cli) -> None:
    project.add("[spark]\n")
    assert cli("lock").code == 0
    lock = project.root / "repro.lock"
    pin = read_lock(project.root).jars
    without = JarsPin.sealed(packages=pin.packages, spark=pin.spark, jar=())
    text = lock.read_text()
    lock.write_text(text[: text.index("[[jar]]")].replace(pin.seal, without.seal))
    said = cli("lock", "--check")
    assert said.err == (
        "error: repro.lock is out of date: the jars lack openlineage-spark, which sees what Spark reads\n"
        "hint: run `reprolock lock` and commit repro.lock\n"
    )
    assert said.code == 3
