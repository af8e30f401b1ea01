"""The generated configuration, as text and in a real Spark that runs an unmodified script."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import deltalake
import javaproperties
import pandas
import pytest
import services
from spark_session import DELTA, SparkParts, run_script

from reprolock.engine.cluster.connect import Connect
from reprolock.engine.cluster.settings import WAITING, Cluster, patience
from reprolock.engine.spark import S3Access, check, local_master, plan_spark
from reprolock.errors import MachineError, ReprolockError, UsageError
from reprolock.model.spec_spark import SparkSpec

COMMIT = "6aa6b3436f5b" + "0" * 52
ODD = ["blank ünïcode", "br[ack]et", "{p,q}", "st*r?", "%20+#:"]


def plan(folder: Path, **fields: Any) -> tuple[dict[str, str], dict[str, str]]:
    """spark-defaults.conf as Spark reads it, and the variables."""
    arguments = {"version": "4.2.0", "jars": (), "cores": 3, "folder": folder / "conf"}
    arguments |= {name: fields.pop(name) for name in ("jars", "user_conf", "s3") if name in fields}
    _, environ = plan_spark(SparkSpec(**fields), **arguments)
    return javaproperties.loads((folder / "conf" / "spark-defaults.conf").read_text("ascii")), environ


def failing(folder: Path, **fields: Any) -> ReprolockError:
    with pytest.raises(ReprolockError) as caught:
        plan(folder, **fields)
    return caught.value


@pytest.mark.parametrize(
    ("declared", "recorded"),
    [
        ("local[*]", "local[3]"),
        ("local[*,4]", "local[3,4]"),
        ("local", "local[1]"),
        ("local[7]", "local[7]"),
        ("spark://h:7077", "spark://h:7077"),
        ("yarn", "yarn"),
    ],
)
def test_local_star_becomes_a_number(declared: str, recorded: str) -> None:
    assert local_master(declared, 3) == recorded


def test_what_decides_results_is_set_and_conf_wins(tmp_path: Path) -> None:
    conf, environ = plan(tmp_path, conf={"spark.sql.shuffle.partitions": 8})
    assert conf == {
        "spark.master": "local[3]",
        "spark.sql.adaptive.enabled": "true",
        "spark.sql.ansi.enabled": "true",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": "8",
    }
    assert environ == {"SPARK_CONF_DIR": str(tmp_path / "conf")}


def test_the_plan_says_what_was_written(tmp_path: Path) -> None:
    jar = tmp_path / "a b" / "g_ä-1.jar"
    made, _ = plan_spark(
        SparkSpec(conf={"spark.jars": "mine.jar"}),
        version="4.2.0",
        jars=(jar,),
        cores=2,
        folder=tmp_path / "conf",
        java="17.0.15 (Debian)",
    )
    assert (made.version, made.master, made.jars, made.java) == ("4.2.0", "local[2]", (jar,), "17.0.15 (Debian)")
    assert made.conf["spark.jars"] == "mine.jar"
    written = javaproperties.loads((made.conf_dir / "spark-defaults.conf").read_text())
    assert written["spark.jars"] == f"file://{tmp_path}/a%20b/g_%C3%A4-1.jar,mine.jar"


def test_keys_are_references_and_stay_out_of_every_text(tmp_path: Path) -> None:
    s3 = S3Access("https://lakefs.example.com/api/v1", ("example-repo", "other"), "AKIAEXAMPLE", "very-secret")
    conf, environ = plan(tmp_path, s3=s3)
    assert {name: value for name, value in conf.items() if ".other." in name or name.endswith("impl")} == {
        "spark.hadoop.fs.s3.impl": "org.apache.hadoop.fs.s3a.S3AFileSystem",
        "spark.hadoop.fs.s3a.bucket.other.access.key": "${env.REPROLOCK_S3A_ACCESS_KEY_ID}",
        "spark.hadoop.fs.s3a.bucket.other.secret.key": "${env.REPROLOCK_S3A_SECRET_ACCESS_KEY}",
        "spark.hadoop.fs.s3a.bucket.other.aws.credentials.provider": "org.apache.hadoop.fs.s3a.SimpleAWSCredentialsProvider",
        "spark.hadoop.fs.s3a.bucket.other.endpoint": "https://lakefs.example.com",
        "spark.hadoop.fs.s3a.bucket.other.endpoint.region": "us-east-1",
        "spark.hadoop.fs.s3a.bucket.other.path.style.access": "true",
    }
    assert environ["REPROLOCK_S3A_ACCESS_KEY_ID"] == "AKIAEXAMPLE"
    assert environ["REPROLOCK_S3A_SECRET_ACCESS_KEY"] == "very-secret"
    assert repr(s3) == "S3Access('https://lakefs.example.com/api/v1', ('example-repo', 'other'))"


def test_delta_is_switched_on_where_its_package_is_declared(tmp_path: Path) -> None:
    conf, _ = plan(tmp_path, packages=(DELTA,))
    assert conf["spark.sql.extensions"] == "io.delta.sql.DeltaSparkSessionExtension"
    assert conf["spark.sql.catalog.spark_catalog"] == "org.apache.spark.sql.delta.catalog.DeltaCatalog"
    assert conf["spark.databricks.delta.snapshotPartitions"] == "3"


def test_delta_settings_give_way_to_conf_and_to_a_cluster(tmp_path: Path) -> None:
    conf, _ = plan(tmp_path, packages=(DELTA,), master="spark://h:7077", conf={"spark.sql.extensions": "a.B"})
    assert conf["spark.sql.extensions"] == "a.B"
    assert "spark.databricks.delta.snapshotPartitions" not in conf


def test_a_folder_of_the_users_own_is_kept_and_added_to(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "spark-defaults.conf").write_text(
        "# theirs\nspark.eventLog.dir=/logs\nspark.sql.session.timeZone Europe/Berlin\nspark.sql.extensions a.B\n"
        f"spark.jars.packages {DELTA}\nspark.hadoop.fs.s3a.secret.key top$secret\nspark.authenticate.secret hush\n"
        "spark.jars own.jar\nspark.driver.memory 2g"
    )
    (own / "log4j2.properties").write_text("rootLogger.level = error\n")
    (own / "fairscheduler.xml.template").write_text("")
    conf, environ = plan(tmp_path, user_conf=own, packages=(DELTA,), conf={"spark.driver.memory": "3g"})
    assert conf["spark.eventLog.dir"] == "/logs"
    assert conf["spark.sql.session.timeZone"] == "UTC"
    assert conf["spark.sql.extensions"] == "a.B,io.delta.sql.DeltaSparkSessionExtension"
    assert conf["spark.driver.memory"] == "3g"
    assert conf["spark.jars"] == "own.jar"
    assert "spark.jars.packages" not in conf
    assert conf["spark.hadoop.fs.s3a.secret.key"] == "${env.REPROLOCK_SPARK_SECRET_0}"
    assert conf["spark.authenticate.secret"] == "${env:REPROLOCK_SPARK_SECRET_1}"
    assert (environ["REPROLOCK_SPARK_SECRET_0"], environ["REPROLOCK_SPARK_SECRET_1"]) == ("top$secret", "hush")
    assert sorted(path.name for path in (tmp_path / "conf").iterdir()) == ["log4j2.properties", "spark-defaults.conf"]
    assert (tmp_path / "conf" / "log4j2.properties").read_text() == "rootLogger.level = error\n"


def test_packages_of_the_users_folder_do_not_pass_the_lock(tmp_path: Path) -> None:
    (tmp_path / "spark-defaults.conf").write_text("spark.jars.packages=org.example:other:1.0\n")
    error = failing(tmp_path, user_conf=tmp_path)
    assert isinstance(error, UsageError)
    assert (
        error.message
        == f"{tmp_path}/spark-defaults.conf: spark.jars.packages would bring org.example:other:1.0 from outside the lock"
    )
    assert error.hint == "declare it in spark.packages of repro.toml, or unset SPARK_CONF_DIR"


def test_a_conf_dir_that_is_not_there(tmp_path: Path) -> None:
    error = failing(tmp_path, user_conf=tmp_path / "gone")
    assert (error.exit_code, error.message) == (2, f"SPARK_CONF_DIR is {tmp_path}/gone, which is not a folder")


@pytest.mark.parametrize(
    ("name", "value", "message", "hint"),
    [
        (
            "spark.jars.packages",
            "a:b:1",
            "spark.conf.spark.jars.packages cannot be set in [spark] conf",
            "write them as packages = […] in [spark], so that they are locked",
        ),
        (
            "spark.master",
            "yarn",
            "spark.conf.spark.master cannot be set in [spark] conf",
            "write it as master = … in [spark]",
        ),
        (
            "spark.app.name",
            "mine ",
            "spark.conf.spark.app.name starts or ends with white space, which Spark removes",
            "remove the white space",
        ),
    ],
)
def test_settings_that_are_refused(name: str, value: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        check(SparkSpec(conf={name: value}))
    assert (caught.value.message, caught.value.hint, caught.value.exit_code) == (message, hint, 2)


def test_a_store_that_spark_cannot_load_from(tmp_path: Path) -> None:
    error = failing(tmp_path, jars=(tmp_path / "a,b" / "x.jar",))
    assert isinstance(error, MachineError)
    assert error.message == f'{tmp_path}/a,b has "," in its path, and Spark cannot load a jar from there'
    assert error.hint == "set REPROLOCK_CACHE_DIR to another folder"


class Answers(NamedTuple):
    """What one Spark session answered: settings, then counts by dataset, first locally and then through S3A."""

    conf: dict[str, Any]
    local: dict[str, Any]
    s3a: dict[str, Any]
    plain: dict[str, Any]


CONF = {"spark.app.name": 'a  b=c: # ! \\d\tü "q"', "spark.sql.shuffle.partitions": "8"}

UNMODIFIED = """
import json
from pyspark.sql import SparkSession
import mlflow

spark = SparkSession.builder.getOrCreate()
base = "s3a://example-repo/{commit}/"
plain = {{
    "csv": spark.read.csv(base + "csv", header=True).count(),
    "parquet": spark.read.parquet(base + "parquet").count(),
    "delta": spark.read.format("delta").load(base + "delta").count(),
}}
source = mlflow.data.load_delta(path="s3://example-repo/{commit}/delta")
plain["load_delta"] = [source.source.path, len(source.schema.inputs)]
plain["sql"] = spark.sql("select count(*) from delta.`" + base + "delta`").first()[0]
"""

WITH_CURRENT = """
import reprolock
run = reprolock.current()
conf = spark.sparkContext.getConf()
settings = {
    "master": spark.sparkContext.master,
    "name": conf.get("spark.app.name"),
    "zone": spark.sql("select current_timezone()").first()[0],
    "partitions": spark.conf.get("spark.sql.shuffle.partitions"),
    "ansi": spark.conf.get("spark.sql.ansi.enabled"),
    "jars": spark.sparkContext._jsc.sc().listJars().size(),
    "theirs": spark.sparkContext._jsc.hadoopConfiguration().get("fs.s3a.secret.key"),
}
spark.range(4).write.format("org.apache.spark.sql.avro.AvroFileFormat").save(run.output("avro").path.as_uri())

def rows(name):
    try:
        return sorted(json.dumps(row.asDict(), default=lambda value: type(value).__name__) for row in run.dataset(name).spark().collect())
    except Exception as error:
        return repr(error)[:300]

print(json.dumps({"conf": settings, "plain": plain, "rows": {name: rows(name) for name in run.datasets}}))
"""


@pytest.fixture(scope="module")
def answers(
    tmp_path_factory: pytest.TempPathFactory, object_store: services.ObjectStore, spark_parts: SparkParts
) -> Answers:
    """One Spark session for all that needs one: it takes half a minute."""
    folder = tmp_path_factory.mktemp("spark")
    tree = folder / "tree"
    _fill(tree)
    client = services.s3(object_store.endpoint, object_store.access_key, object_store.secret_key)
    client.create_bucket(Bucket="example-repo")
    for file in filter(Path.is_file, tree.rglob("*")):
        client.upload_file(str(file), "example-repo", f"{COMMIT}/{file.relative_to(tree).as_posix()}")
    own = folder / "own"
    own.mkdir()
    (own / "spark-defaults.conf").write_text("spark.hadoop.fs.s3a.secret.key=other$buckets\nspark.ui.enabled=false\n")
    _, environ = plan_spark(
        SparkSpec(packages=(DELTA,), conf=CONF),
        version=spark_parts.pin.spark,
        jars=spark_parts.files,
        cores=2,
        folder=folder / "conf",
        user_conf=own,
        s3=S3Access(object_store.endpoint, ("example-repo",), object_store.access_key, object_store.secret_key),
    )
    (folder / "context.json").write_text(json.dumps(_context(tree, folder)))
    script = UNMODIFIED.format(commit=COMMIT) + WITH_CURRENT
    got = run_script(script, environ | {"REPROLOCK_CONTEXT": str(folder / "context.json")}, folder)
    local = {name.removeprefix("local_"): rows for name, rows in got["rows"].items() if name.startswith("local_")}
    s3a = {name.removeprefix("s3a_"): rows for name, rows in got["rows"].items() if name.startswith("s3a_")}
    return Answers(got["conf"], local, s3a, got["plain"])


def _fill(tree: Path) -> None:
    """Three rows in every format, and two in a CSV file under every odd name with a decoy that a pattern would match."""
    import sklearn.datasets

    frame = pandas.DataFrame({"a": [1, 2, 3], "b": ["x", "y", "ü"]})
    for name in ("csv", "parquet", "orc", "json", "text", "binary", "image", "glob"):
        (tree / name).mkdir(parents=True)
    frame.to_csv(tree / "csv" / "part.csv", index=False)
    frame.to_parquet(tree / "parquet" / "part.parquet")
    frame.to_orc(tree / "orc" / "part.orc")
    frame.to_json(tree / "json" / "part.json", orient="records", lines=True)
    (tree / "text" / "part.txt").write_text("one\ntwo\n")
    (tree / "binary" / "part.bin").write_bytes(b"\0\1\2")
    photographs = Path(sklearn.datasets.__file__).parent / "images"
    (tree / "image" / "china.jpg").write_bytes((photographs / "china.jpg").read_bytes())
    (tree / "glob" / "yes.csv").write_text("1\n")
    (tree / "glob" / "no.txt").write_text("2\n")
    deltalake.write_deltalake(tree / "delta", frame)
    for number, name in enumerate(ODD):
        (tree / "odd-file" / name).mkdir(parents=True)
        (tree / "odd-file" / name / "part.csv").write_text(f"{number}\n")
        # Written elsewhere and copied: delta-rs itself takes "%20" in a path for a blank.
        plain = tree.parent / f"delta-{number}"
        deltalake.write_deltalake(plain, pandas.DataFrame({"n": [number]}))
        shutil.copytree(plain, tree / "odd-delta" / name)
    for decoy in ("blank", "braet", "brcet", "p", "q", "stX", "stXrX", " +#:"):
        (tree / "odd-file" / decoy).mkdir()
        (tree / "odd-file" / decoy / "part.csv").write_text("99\n")


def _context(tree: Path, folder: Path) -> dict[str, Any]:
    places = {
        name: (name, {"header": "true"} if name == "csv" else {}, name, None)
        for name in ("csv", "parquet", "orc", "json")
    }
    places |= {name: (name, {}, name, None) for name in ("text", "binary", "image", "delta")}
    places["glob"] = ("csv", {}, "glob", "*.csv")
    for number, name in enumerate(ODD):
        places[f"odd_file_{number}"] = ("csv", {}, f"odd-file/{name}", None)
        places[f"odd_delta_{number}"] = ("delta", {}, f"odd-delta/{name}", None)
    common = {"commit": COMMIT, "repository": "example-repo", "uri": "lakefs://example-repo/main/", "materialise": None}
    datasets = {}
    for name, (form, options, path, glob) in places.items():
        given = common | {"format": form, "options": options, "glob": glob}
        local = tree / path
        datasets[f"local_{name}"] = given | {"url": local.as_uri(), "path": str(local)}
        datasets[f"s3a_{name}"] = given | {"url": f"s3a://example-repo/{COMMIT}/{path}/", "path": None}
    avro = folder / "out" / "avro"
    datasets["local_avro"] = common | {
        "format": "avro",
        "options": {},
        "glob": None,
        "url": avro.as_uri(),
        "path": str(avro),
    }
    outputs = {"avro": {"path": str(avro), "url": None}}
    return {
        "version": 1,
        "run_id": "0" * 32,
        "project": "p",
        "seed": None,
        "params": {},
        "datasets": datasets,
        "outputs": outputs,
    }


@pytest.mark.spark
def test_spark_obeys_the_folder_to_the_letter(answers: Answers, spark_parts: SparkParts) -> None:
    assert answers.conf == {
        "master": "local[2]",
        "name": CONF["spark.app.name"],
        "zone": "UTC",
        "partitions": "8",
        "ansi": "true",
        "jars": len(spark_parts.files),
        "theirs": "other$buckets",
    }


@pytest.mark.spark
def test_an_unmodified_script_reads_the_commit_in_place(answers: Answers) -> None:
    assert answers.plain == {
        "csv": 3,
        "parquet": 3,
        "delta": 3,
        "load_delta": [f"s3://example-repo/{COMMIT}/delta", 2],
        "sql": 3,
    }


TABLE = ['{"a": 1, "b": "x"}', '{"a": 2, "b": "y"}', '{"a": 3, "b": "\\u00fc"}']


@pytest.mark.spark
@pytest.mark.parametrize("place", ["local", "s3a"])
@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("csv", [row.replace("1", '"1"').replace("2", '"2"').replace("3", '"3"') for row in TABLE]),
        ("parquet", TABLE),
        ("orc", TABLE),
        ("json", TABLE),
        ("delta", TABLE),
        ("text", ['{"value": "one"}', '{"value": "two"}']),
        ("glob", ['{"_c0": "1"}']),
    ],
)
def test_every_format(answers: Answers, place: str, name: str, rows: list[str]) -> None:
    assert getattr(answers, place)[name] == rows


@pytest.mark.spark
def test_formats_of_whole_files(answers: Answers) -> None:
    for rows in (answers.local["binary"], answers.s3a["binary"]):
        assert json.loads(rows[0]) | {"path": "", "modificationTime": ""} == {
            "path": "",
            "modificationTime": "",
            "length": 3,
            "content": "bytes",
        }
    for rows in (answers.local["image"], answers.s3a["image"]):
        origin, height, width, *_ = json.loads(rows[0])["image"]
        assert (origin.rpartition("/")[2], height, width) == ("china.jpg", 427, 640)
    assert answers.local["avro"] == [f'{{"id": {number}}}' for number in range(4)]


@pytest.mark.spark
@pytest.mark.parametrize("place", ["local", "s3a"])
@pytest.mark.parametrize("number", range(len(ODD)), ids=ODD)
def test_a_path_is_read_to_the_letter(answers: Answers, place: str, number: int) -> None:
    rows = getattr(answers, place)
    assert rows[f"odd_file_{number}"] == [f'{{"_c0": "{number}"}}']
    assert rows[f"odd_delta_{number}"] == [f'{{"n": {number}}}']


WITHOUT_DELTA = """
import json
import reprolock
from pyspark.sql import SparkSession
spark = SparkSession.builder.getOrCreate()
jars = spark.sparkContext._jsc.sc().listJars()
try:
    reprolock.current().dataset("table").spark()
except reprolock.errors.UsageError as error:
    print(json.dumps([error.message, error.hint, jars.size()]))
"""


@pytest.mark.spark
@pytest.mark.long
def test_a_delta_table_without_its_package_and_a_jar_in_an_odd_folder(spark_parts: SparkParts, tmp_path: Path) -> None:
    jar = tmp_path / "blank ünïcode %20" / spark_parts.files[0].name
    jar.parent.mkdir()
    shutil.copy(spark_parts.files[0], jar)
    table = {"url": "file:///x", "path": "/x", "format": "delta", "options": {}, "glob": None, "commit": COMMIT}
    table |= {"repository": "example-repo", "uri": "lakefs://example-repo/main/x", "materialise": None}
    context = {
        "version": 1,
        "run_id": "",
        "project": "p",
        "seed": None,
        "params": {},
        "datasets": {"table": table},
        "outputs": {},
    }
    (tmp_path / "context.json").write_text(json.dumps(context))
    _, environ = plan_spark(SparkSpec(), version="4.2.0", jars=(jar,), cores=1, folder=tmp_path / "conf")
    message, hint, jars = run_script(
        WITHOUT_DELTA, environ | {"REPROLOCK_CONTEXT": str(tmp_path / "context.json")}, tmp_path
    )
    assert message == 'dataset "table" is a Delta table, and this Spark has no Delta'
    assert hint == (
        'declare Delta\'s package: packages = ["io.delta:delta-spark_4.2_2.13:4.4.0"] under [spark], and run `reprolock lock`'
    )
    assert jars == 1


def test_a_session_on_a_connect_server_is_given_secrets_by_variables_alone(tmp_path: Path) -> None:
    s3 = S3Access("http://127.0.0.1:8000", ("flights",), "the-key-id", "the-secret")
    made, environ = plan_spark(
        SparkSpec(remote="sc://h", conf={"spark.sql.shuffle.partitions": "2"}),
        version="4.2.0",
        jars=(),
        cores=3,
        folder=tmp_path / "conf",
        s3=s3,
        cluster=Connect(tmp_path / "env.tar.gz", {"OMP_NUM_THREADS": "2", "MODE": "a 'b'"}),
    )
    assert (made.master, made.hook) == ("sc://h", tmp_path / "spark-hook")
    assert {
        name: environ[name] for name in ("SPARK_REMOTE", "SPARK_CONNECT_MODE_ENABLED", "REPROLOCK_CONNECT_ARCHIVE")
    } == {
        "SPARK_REMOTE": "sc://h",
        "SPARK_CONNECT_MODE_ENABLED": "1",
        "REPROLOCK_CONNECT_ARCHIVE": f"{tmp_path / 'env.tar.gz'}#reprolock-python",
    }
    assert json.loads(environ["REPROLOCK_CONNECT_SETTINGS"]) == {
        "fs.s3.impl": "org.apache.hadoop.fs.s3a.S3AFileSystem",
        "fs.s3a.bucket.flights.access.key": "the-key-id",
        "fs.s3a.bucket.flights.aws.credentials.provider": "org.apache.hadoop.fs.s3a.SimpleAWSCredentialsProvider",
        "fs.s3a.bucket.flights.endpoint": "http://127.0.0.1:8000",
        "fs.s3a.bucket.flights.endpoint.region": "us-east-1",
        "fs.s3a.bucket.flights.path.style.access": "true",
        "fs.s3a.bucket.flights.secret.key": "the-secret",
        "fs.s3a.impl.disable.cache": "true",
        "spark.sql.adaptive.enabled": "true",
        "spark.sql.ansi.enabled": "true",
        "spark.sql.execution.pyspark.python": "./reprolock-python/bin/python",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": "2",
    }
    assert (tmp_path / "spark-hook" / "reprolock-variables").read_text() == (
        "export MODE='a '\"'\"'b'\"'\"''\nexport OMP_NUM_THREADS=2\nexport TZ=UTC\n"
    )
    assert "the-" not in "".join(file.read_text() for file in tmp_path.rglob("*") if file.is_file())


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("15m", 900), ("900s", 900), ("900000", 900), ("2H", 7200), ("30s", 300), ("soon", 300), ("99999d", 604800)],
)
def test_a_cluster_is_waited_for_as_long_as_spark_itself_is_told(written: str, seconds: int, tmp_path: Path) -> None:
    assert patience({WAITING: written}) == seconds
    _, environ = plan_spark(
        SparkSpec(master="spark://h:7077", conf={WAITING: written}),
        version="4.2.0",
        jars=(),
        cores=3,
        folder=tmp_path / "conf",
        cluster=Cluster(None, {}),
    )
    assert environ["REPROLOCK_EXECUTOR_PATIENCE"] == str(seconds)


def test_a_cluster_is_given_secrets_by_reference_alone(tmp_path: Path) -> None:
    s3 = S3Access("http://127.0.0.1:8000", ("flights",), "the-key-id", "the-secret")
    made, environ = plan_spark(
        SparkSpec(master="spark://h:7077"),
        version="4.2.0",
        jars=(),
        cores=3,
        folder=tmp_path / "conf",
        s3=s3,
        cluster=Cluster(tmp_path / "env.tar.gz", {"OMP_NUM_THREADS": "2"}),
    )
    written = javaproperties.loads((tmp_path / "conf" / "spark-defaults.conf").read_text("ascii"))
    assert {
        name: value for name, value in written.items() if name.startswith(("spark.exec", "spark.arch", "spark.red"))
    } == {
        "spark.archives": f"{(tmp_path / 'env.tar.gz').as_uri()}#reprolock-python",
        "spark.executorEnv.OMP_NUM_THREADS": "2",
        "spark.executorEnv.TZ": "UTC",
        "spark.redaction.regex": "(?i)secret|password|token|access[.]?key|reprolock_s3a",
    }
    assert environ == {
        "PYSPARK_PYTHON": "./reprolock-python/bin/python",
        "REPROLOCK_EXECUTOR_PATIENCE": "300",
        "REPROLOCK_EXECUTOR_VARIABLES": "REPROLOCK_S3A_ACCESS_KEY_ID REPROLOCK_S3A_SECRET_ACCESS_KEY",
        "REPROLOCK_S3A_ACCESS_KEY_ID": "the-key-id",
        "REPROLOCK_S3A_SECRET_ACCESS_KEY": "the-secret",
        "SPARK_CONF_DIR": str(tmp_path / "conf"),
    }
    assert made.hook == tmp_path / "spark-hook"
    assert not [file for file in tmp_path.rglob("*") if file.is_file() and b"the-" in file.read_bytes()]
