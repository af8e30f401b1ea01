"""What is measured, group by group. Each group yields cases, or rows that it measured itself."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count
from pathlib import Path

from bench import REPROLOCK, Case, Command, Missing, fresh, tool

PASS = Command([sys.executable, "-c", "pass"])
PLAIN_SPEC = """\
[project]
name = "bench"
[lake]
endpoint = "file:lake"
[datasets.train]
uri = "lakefs://bench-data/main/train/"
format = "csv"
options = {{ header = true }}
[run]
command = ["python", "train.py"]
code = ["train.py"]
{more}
"""


def start() -> Iterator[Case]:
    """How quickly the command line answers."""
    folder = project("start", "pass\n", files=1)
    reprolock = [*REPROLOCK, "-C", str(folder)]
    script = str(Path(sys.executable).with_name("reprolock"))
    completion = {"_REPROLOCK_COMPLETE": "bash_complete", "COMP_WORDS": "reprolock lock --up", "COMP_CWORD": "2"}
    yield Case("reprolock --version", Command([script, "--version"]), PASS, "python -c pass", 5)
    yield Case("completion of `reprolock lock --up`", Command([script], environ=completion), PASS, "python -c pass", 5)
    check = Command([script, "-C", str(folder), "lock", "--check"])
    yield Case("lock --check, with all it loads", check, PASS, "python -c pass", 5)
    dvc = dvc_project("start-dvc", files=1)
    yield Case(
        "lock --check",
        Command([*reprolock, "lock", "--check"]),
        Command([str(dvc_program()), "status"], dvc),
        "dvc status",
        1 / 3,
    )


def skip() -> Iterator[Case]:
    """A run in which nothing changed: `--if-changed` against `dvc repro`."""
    for files, goal in ((10_000, 1 / 4), (100_000, 1 / 20)):
        ours = project(
            f"skip-{files}",
            "import reprolock; reprolock.current().output('out').path.write_text('1')\n",
            files=files,
            output=True,
        )
        subprocess.run([*REPROLOCK, "run", "-q"], cwd=ours, check=True, capture_output=True)
        theirs = dvc_project(f"skip-dvc-{files}", files=files)
        subprocess.run([str(dvc_program()), "repro", "-q"], cwd=theirs, check=True)
        yield Case(
            f"run --if-changed, nothing changed, {files:,} files",
            Command([*REPROLOCK, "run", "--if-changed"], ours),
            Command([str(dvc_program()), "repro"], theirs),
            "dvc repro",
            goal,
            rounds=3,
        )


ONE_RUN = (
    "import mlflow, sys; mlflow.set_tracking_uri('sqlite:///' + sys.argv[1]); mlflow.start_run(); mlflow.end_run()"
)


def small() -> Iterator[Case]:
    """A run of a command that does nothing: without a service against `dvc repro -f`, on SQLite against a script that
    makes one MLflow run itself."""
    ours = project(
        "small", "import reprolock; reprolock.current().output('out').path.write_text('1')\n", files=1, output=True
    )
    theirs = dvc_project("small-dvc", files=1)
    yield Case(
        "run --offline of a command that does nothing",
        Command([*REPROLOCK, "run", "--offline"], ours),
        Command([str(dvc_program()), "repro", "-f"], theirs),
        "dvc repro -f",
        0.8,
    )
    yield Case(
        "run on SQLite of a command that does nothing",
        Command([*REPROLOCK, "run"], ours),
        Command([sys.executable, "-c", ONE_RUN, str(ours / "theirs.db")], ours),
        "a script with one MLflow run",
        0.6,
        more=True,
    )


def environment() -> Iterator[Case | list[str]]:
    """A locked environment: what it adds to a start, and how quickly it is rebuilt."""
    isolated = project("isolated", "pass\n", files=1, more='[environment]\npackages = ["six==1.17.0"]\n')
    plain = project("plain", "pass\n", files=1)
    for folder in (isolated, plain):
        subprocess.run([*REPROLOCK, "run", "-q"], cwd=folder, check=True, capture_output=True)
    case = Case(
        "run in a locked environment that exists",
        Command([*REPROLOCK, "run"], isolated),
        Command([*REPROLOCK, "run"], plain),
        "not isolated",
        0.3,
        more=True,
    )
    yield case
    cache = fresh("rebuild-cache")

    def forget() -> None:
        shutil.rmtree(cache, ignore_errors=True)

    build = "from pathlib import Path; from reprolock.files.lock_file import read_lock; from reprolock.environment.python.installed.env_store import ensure; "
    build += f"ensure(read_lock(Path({str(demo_lock())!r})).environment, Path({str(cache)!r}))"
    ten = Command([sys.executable, "-c", "import time; time.sleep(10)"])
    yield Case(
        "rebuild the demo's environment, uv's cache warm",
        Command([sys.executable, "-c", build], before=forget),
        ten,
        "10 s",
        1,
        rounds=3,
    )


def demo_lock() -> Path:
    """A project that locks what the demo uses."""
    packages = '["pyspark==4.2.0", "pandas<3", "mlflow==3.17.2"]'
    folder = project("demo-lock", "pass\n", files=1, more=f"[environment]\npackages = {packages}\n")
    return folder


SPARK_SCRIPT = """\
import sys
from pyspark.sql import SparkSession
spark = SparkSession.builder.getOrCreate()
frame = spark.read.option("header", "true").option("recursiveFileLookup", "true").csv(sys.argv[1])
print(frame.groupBy("x").count().count())
"""

SPARK_SCRIPT_WITH_MLFLOW = """\
import sys
import mlflow
from pyspark.sql import SparkSession
spark = SparkSession.builder.getOrCreate()
frame = spark.read.option("header", "true").option("recursiveFileLookup", "true").csv(sys.argv[1])
mlflow.set_tracking_uri("sqlite:///" + sys.argv[2])
with mlflow.start_run():
    mlflow.log_input(mlflow.data.from_spark(frame, path=sys.argv[1]), context="training")
    print(frame.groupBy("x").count().count())
"""

DELTA = "io.delta:delta-spark_4.2_2.13:4.4.0"


def spark() -> Iterator[Case]:
    """A Spark script under reprolock, and under spark-submit that resolves its packages and logs by itself."""
    more = f'[spark]\nmaster = "local[2]"\npackages = ["{DELTA}"]\n'
    ours = project("spark", SPARK_SCRIPT, files=3, more=more, arguments=["{datasets.train.url}"])
    subprocess.run([*REPROLOCK, "run", "-q"], cwd=ours, check=True, capture_output=True)
    data = next((ours / ".reprolock" / "data").rglob("train"))
    theirs = fresh("spark-submit")
    (theirs / "train.py").write_text(SPARK_SCRIPT_WITH_MLFLOW)
    submit = str(Path(sys.executable).with_name("spark-submit"))
    resolving = [submit, "--master", "local[2]", "--packages", DELTA, "train.py", str(data), str(theirs / "mlflow.db")]
    yield Case(
        "run a Spark script",
        Command([*REPROLOCK, "run"], ours),
        Command(resolving, theirs),
        "spark-submit --packages, own logging",
        1,
    )
    (theirs / "plain.py").write_text(SPARK_SCRIPT)
    both = f'"{submit}" --master "local[2]" --jars "{jars(ours)}" plain.py "{data}" && "{sys.executable}" -c "{ONE_RUN}" "{theirs}/mlflow.db"'
    yield Case(
        "the same",
        Command([*REPROLOCK, "run"], ours),
        Command(["sh", "-c", both], theirs),
        "spark-submit --jars, then one MLflow run",
        1,
        more=True,
    )


def jars(folder: Path) -> str:
    """The files of the jars that a project has locked, as --jars takes them."""
    from reprolock.files.lock_file import read_lock
    from reprolock.files.spec_file import read_spec
    from reprolock.steps.locking.jars import jar_store
    from reprolock.steps.project.machine import Machine

    lock = read_lock(folder)
    assert lock is not None and lock.jars is not None
    return ",".join(str(path) for path in jar_store(read_spec(folder), Machine.here()).files(lock.jars))


def demo_run(name: str, *changes: tuple[str, str]) -> tuple[Path, Path]:
    """The demo's project with changes to its repro.toml, locked and run once: its folder, and that of the run, in which it can run again."""
    demo = Path(__file__).parents[2] / "examples" / "demo"
    folder = fresh(name)
    for file in ("repro.toml", "train.py"):
        shutil.copy(demo / file, folder)
    text = (folder / "repro.toml").read_text()
    for old, new in changes:
        text = text.replace(old, new.format(folder=folder))
    (folder / "repro.toml").write_text(text)
    from sklearn.datasets import load_breast_cancer

    load_breast_cancer(as_frame=True).frame.to_csv(folder / "data.csv", index=False)
    put = ["data", "put", "data.csv", "lakefs://clinic/main/measurements/"]
    for command in (
        ["data", "create", "lakefs://clinic"],
        put,
        ["data", "commit", "lakefs://clinic/main", "-m", "Data"],
        ["lock"],
        ["run"],
    ):
        subprocess.run([*REPROLOCK, *command, "-q"], cwd=folder, check=True, capture_output=True)
    shutil.rmtree(folder / "out", ignore_errors=True)
    (run,) = (folder / ".reprolock" / "runs").iterdir()
    (run / "spark-events").mkdir()
    return folder, run


def demo_training(folder: Path, run: Path, conf: Path) -> Command:
    """The demo's script as that run was given it, with settings of Spark from a folder."""

    def clear() -> None:
        shutil.rmtree(run / "work" / "out", ignore_errors=True)

    (run / "work").mkdir(exist_ok=True)
    return Command(
        [sys.executable, str(folder / "train.py"), "--max-iter", "20"],
        run / "work",
        {
            "REPROLOCK_CONTEXT": str(run / "context.json"),
            "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/bench.db",
            "SPARK_CONF_DIR": str(conf),
        },
        clear,
    )


def unobserved(run: Path) -> Path:
    """A folder with that run's settings of Spark, without those by which reprolock looks on: plain Spark."""
    folder = fresh(f"unobserved-{run.name}")
    lines = (run / "spark-conf" / "spark-defaults.conf").read_text().splitlines()
    lookers = ("spark.openlineage.", "spark.eventLog.", "spark.extraListeners", "spark.driver.extraClassPath")
    (folder / "spark-defaults.conf").write_text("\n".join(line for line in lines if not line.startswith(lookers)))
    return folder


def lineage() -> Iterator[Case]:
    """The demo's training script with and without those who look on."""
    folder, run = demo_run("lineage")
    watched, alone = (demo_training(folder, run, conf) for conf in (run / "spark-conf", unobserved(run)))
    yield Case("the demo's training, observed", watched, alone, "not observed", 1.15)


def cluster() -> Iterator[Case]:
    """The demo's training script on two executors of one core, against `local[2]` and against plain Spark on the same executors."""
    import services

    started = services.start_spark_cluster(fresh("cluster"), f"PATH={os.environ['PATH']}")
    try:
        one = demo_run("cluster-local", ("local[*]", "local[2]"))
        two = demo_run("cluster-two", ('"local[*]"', f'"{started.address}"\nshared = ["{{folder}}"]'))
        ours, theirs = (demo_training(folder, run, run / "spark-conf") for folder, run in (two, one))
        yield Case("the demo's training on two executors", ours, theirs, "local[2]", 1.3)
        plain = demo_training(*two, unobserved(two[1]))
        yield Case("the same", ours, plain, "plain Spark on two executors", 1.15)
    finally:
        started.stop()


def evidence() -> Iterator[Case]:
    """What signing adds to a run, and how long the audit of a record takes."""
    folder = project(
        "evidence",
        "from pathlib import Path\nPath('out').mkdir(exist_ok=True)\nPath('out/x').write_text('x')\n",
        files=1,
        output=True,
    )
    keys = fresh("evidence-keys")
    subprocess.run([*REPROLOCK, "key", "new", str(keys / "ci.pem"), "-q"], check=True)
    (folder / "trust.toml").write_text(f'[keys.ci]\npublic = "{keys}/ci.pem.pub"\nroles = ["run"]\n')
    key = {"REPROLOCK_SIGNING_KEY": str(keys / "ci.pem")}
    run = [*REPROLOCK, "run", "-q"]
    yield Case("run, signed", Command(run, folder, key), Command(run, folder), "run, not signed", 0.3, more=True)
    newest = max((folder / ".reprolock" / "runs").glob("*/attestations.jsonl"), key=lambda path: path.stat().st_mtime)
    audit = [*REPROLOCK, "audit", newest.parent.name, "--trust", "trust.toml", "-q"]
    nothing = [sys.executable, "-c", "pass"]
    yield Case("audit of a record", Command(audit, folder), Command(nothing, folder), "python -c pass", 0.6, more=True)


def bundles() -> Iterator[Case]:
    """A run in one file: 2 GB of data, then a replay with 200 MB and pandas."""
    if shutil.which("zip") is None:
        raise Missing("zip is not here")
    folder, run = recorded("bundles-large", files=100)
    bundle, parts, zipped = folder / "run.zip", fresh("bundles-parts"), fresh("bundles-zipped") / "parts.zip"
    writing = [*REPROLOCK, "bundle", run, "-q", "-o", str(bundle)]
    subprocess.run(writing, cwd=folder, check=True, capture_output=True)
    shutil.unpack_archive(bundle, parts)
    ours = Command(writing, folder, before=lambda: bundle.unlink(missing_ok=True))
    theirs = Command(["zip", "-0qr", str(zipped), "."], parts, before=lambda: zipped.unlink(missing_ok=True))
    yield Case("bundle of 2 GB of data", ours, theirs, "zip -0 of its parts", 1 / 0.8)
    folder, run = recorded("bundles", files=10, more='[environment]\npackages = ["pandas<3"]\n')
    bundle = folder / "run.zip"
    writing = [*REPROLOCK, "bundle", run, "-q", "-o", str(bundle)]
    subprocess.run(writing, cwd=folder, check=True, capture_output=True)
    elsewhere = fresh("bundles-elsewhere")
    yield Case(
        "replay from a bundle of 200 MB and pandas",
        Command([*REPROLOCK, "replay", "-q", str(bundle)], elsewhere),
        Command([*REPROLOCK, "replay", "-q", run], folder),
        "replay from a warm cache",
        1.1,
    )


def recorded(name: str, *, files: int, more: str = "") -> tuple[Path, str]:
    """A project with files of 20 MB, and the ID of a run of it."""
    script = (
        "import reprolock\nrun = reprolock.current()\n"
        "run.output('out').path.write_text(str(len(list(run.dataset('train').path.iterdir()))))\n"
    )
    folder = project(name, script, files=files, size=20_000_000, output=True, more=more)
    subprocess.run([*REPROLOCK, "run", "-q"], cwd=folder, check=True, capture_output=True)
    (run,) = (path.name for path in (folder / ".reprolock" / "runs").iterdir())
    return folder, run


def lakefs() -> Iterator[Case | list[str]]:
    """Listings and copies from a real lakeFS on a real MinIO."""
    import lakefs_bench  # beside this file; needs lakefs and minio on PATH

    yield from lakefs_bench.cases()


def scale() -> Iterator[Case | list[str]]:
    """A million objects, and 20 GB on a cluster."""
    import scale_bench  # beside this file; needs lakefs and minio on PATH

    yield from scale_bench.cases()


def tables() -> Iterator[Case | list[str]]:
    """The digest of a table against Spark's own SHA-256 over all columns."""
    import tables_bench  # beside this file

    yield from tables_bench.cases()


def readers() -> Iterator[Case]:
    """`.pandas()` of a big file against the readers that people would use without it, each in a process of its own."""
    folder = fresh("readers")
    make = (
        "import numpy as np, pandas as pd, pyarrow as pa, pyarrow.csv as c, pyarrow.parquet as q; r = np.random.default_rng(7); n = 1_000_000\n"
        "t = pa.table({'id': np.arange(n), **{f'x{i}': r.random(n).round(6) for i in range(8)}, 'name': pa.array([f'name {i % 999}' for i in range(n)])})\n"
        "q.write_table(pa.concat_tables([t] * 10), 'parquet/a.parquet')\n"
        "with open('csv/a.csv', 'wb') as f:\n"
        "    for i in range(11): c.write_csv(t, f, c.WriteOptions(include_header=i == 0, quoting_style='none'))\n"
    )
    for name in ("csv", "parquet"):
        (folder / name).mkdir()
    subprocess.run([sys.executable, "-c", make], cwd=folder, check=True)

    def read(form: str, options: dict[str, str]) -> Command:
        source = f"declared('x', {form!r}, pathlib.Path({form!r}), {options!r}, None)"
        code = (
            "import pathlib; from reprolock.readers import read_pandas; from reprolock.readers.source import declared"
        )
        return Command([sys.executable, "-c", f"{code}; read_pandas({source})"], folder)

    def theirs(code: str) -> Command:
        return Command([sys.executable, "-c", code], folder)

    pandas = theirs("import pandas; pandas.read_csv('csv/a.csv')")
    arrow = theirs("import pyarrow.parquet as q; q.read_table('parquet/a.parquet').to_pandas()")
    typed = {"header": "true", "inferSchema": "true"}
    yield Case(".pandas() of a 1 GB CSV, inferSchema", read("csv", typed), pandas, "pandas.read_csv", 1.2, rounds=3)
    yield Case(
        ".pandas() of a 1 GB CSV, text", read("csv", {"header": "true"}), pandas, "pandas.read_csv", 1.2, rounds=3
    )
    yield Case(".pandas() of Parquet", read("parquet", {}), arrow, "pyarrow", 1.1, rounds=5)


def project(
    name: str,
    script: str,
    *,
    files: int,
    more: str = "",
    output: bool = False,
    arguments: list[str] | None = None,
    size: int = 0,
) -> Path:
    """A project on an embedded lake with so many CSV files in it, small or of `size` bytes, locked."""
    folder = fresh(name)
    if output:
        more += '[outputs.out]\npath = "out/x"\n'
    text = PLAIN_SPEC.format(more=more)
    if arguments:
        text = text.replace(
            '"train.py"]\ncode', '"train.py", ' + ", ".join(json.dumps(item) for item in arguments) + "]\ncode"
        )
    (folder / "repro.toml").write_text(text)
    (folder / "train.py").write_text(script)
    with tempfile.TemporaryDirectory(dir=folder) as data:
        write_files(Path(data), files, size)
        for command in (
            ["data", "create", "lakefs://bench-data"],
            ["data", "put", data, "lakefs://bench-data/main/train/"],
            ["data", "commit", "lakefs://bench-data/main", "-m", "Data"],
        ):
            subprocess.run([*REPROLOCK, *command, "-q"], cwd=folder, check=True)
    subprocess.run([*REPROLOCK, "lock", "-q"], cwd=folder, check=True)
    return folder


def write_files(folder: Path, count: int, size: int = 0) -> None:
    """CSV files, small or of `size` bytes, in folders of a thousand."""
    for index in range(count):
        part = folder / f"{index // 1000:03d}"
        part.mkdir(exist_ok=True)
        (part / f"{index:06d}.csv").write_text(f"x,y\n{index},1\n" + f"{index:07d},1\n" * (size // 10))


def dvc_program() -> Path:
    """DVC, installed from its own package."""
    return tool("dvc", "dvc") / "dvc"


def dvc_project(name: str, *, files: int) -> Path:
    """The same in DVC: a folder of data, one stage, reproduced once by the caller."""
    folder = fresh(name)
    (folder / "data").mkdir()
    write_files(folder / "data", files)
    for command in (
        ["git", "init", "-q"],
        [str(dvc_program()), "init", "-q"],
        [str(dvc_program()), "config", "core.analytics", "false"],
        [str(dvc_program()), "add", "-q", "data"],
    ):
        subprocess.run(command, cwd=folder, check=True)
    stage = ["stage", "add", "-q", "-n", "train", "-d", "data", "-o", "out", "echo 1 > out"]
    subprocess.run([str(dvc_program()), *stage], cwd=folder, check=True)
    return folder


def experiments() -> Iterator[Case]:
    """Many runs: a sweep against the same runs one after another, and lists of what there is."""
    script = "import reprolock; reprolock.current().output('out').path.write_text('1')\n"
    folder = project("sweep", script, files=1, output=True, more="[params]\nx = 0\n")
    # A param that has never been swept, so that nothing was finished before.
    numbers = count(1, 8)

    def values() -> None:
        first = next(numbers)
        (folder / "values").write_text(",".join(map(str, range(first, first + 8))))

    reprolock = " ".join(REPROLOCK)
    yield Case(
        "sweep of 8 runs that do nothing, --jobs 2",
        Command(["sh", "-c", f"{reprolock} sweep --jobs 2 --set x=$(cat values)"], folder, before=values),
        Command(["sh", "-ec", f"for x in 1 2 3 4 5 6 7 8; do {reprolock} run -q --set x=$x; done"], folder),
        "8 x run",
        0.6,
        rounds=3,
    )
    many = project("records", script, files=1, output=True)
    subprocess.run([*REPROLOCK, "run", "-q", "--offline"], cwd=many, check=True, capture_output=True)
    copy_records(many, 1000)
    yield Case(
        "runs, of 1,000 records of a folder",
        Command([*REPROLOCK, "runs"], many),
        PASS,
        "python -c pass",
        0.6,
        more=True,
    )
    code = project("status", script, files=1, output=True)
    (code / "src").mkdir()
    write_files(code / "src", 10_000)
    (code / "repro.toml").write_text(
        (code / "repro.toml").read_text().replace('["train.py"]\n', '["train.py", "src/"]\n')
    )
    for command in (["git", "init", "-q"], ["git", "add", "src", "train.py"], [*GIT, "commit", "-qm", "code"]):
        subprocess.run(command, cwd=code, check=True)
    for command in (["lock", "-q"], ["run", "-q", "--offline"]):
        subprocess.run([*REPROLOCK, *command], cwd=code, check=True, capture_output=True)
    yield Case(
        "status, of 10,000 files of code", Command([*REPROLOCK, "status"], code), PASS, "python -c pass", 0.5, more=True
    )
    tracked = project("tracked", script, files=1, output=True)
    subprocess.run([*REPROLOCK, "run", "-q"], cwd=tracked, check=True, capture_output=True)
    experiment = copy_runs(tracked / "mlflow.db", 5000)
    mlflow = str(Path(sys.executable).with_name("mlflow"))
    yield Case(
        "runs --last 5000, of 5,000 in MLflow",
        Command([*REPROLOCK, "runs", "--last", "5000"], tracked),
        Command(
            [mlflow, "runs", "list", "--experiment-id", experiment],
            tracked,
            {"MLFLOW_TRACKING_URI": f"sqlite:///{tracked}/mlflow.db"},
        ),
        "mlflow runs list",
        1.5,
        rounds=3,
    )


GIT = ["git", "-c", "user.name=bench", "-c", "user.email=bench@example.com"]


def copy_records(folder: Path, number: int) -> None:
    """The one record of a project as so many, each under an ID of its own."""
    runs = folder / ".reprolock" / "runs"
    (first,) = runs.iterdir()
    text = (first / "record.json").read_text()
    for index in range(number - 1):
        (runs / f"{index:032x}").mkdir()
        (runs / f"{index:032x}" / "record.json").write_text(text.replace(first.name, f"{index:032x}"))


def copy_runs(database: Path, number: int) -> str:
    """The one run of a database as so many; the ID of their experiment."""
    with closing(sqlite3.connect(database)) as found, found:
        ((run, experiment),) = found.execute("SELECT run_uuid, experiment_id FROM runs")
        for table in ("runs", "tags", "params", "latest_metrics", "metrics"):
            columns = [row[1] for row in found.execute(f"PRAGMA table_info({table})")]
            others = ", ".join(name for name in columns if name != "run_uuid")
            for index in range(number - 1):
                found.execute(
                    f"INSERT INTO {table} (run_uuid, {others}) SELECT ?, {others} FROM {table} WHERE run_uuid = ?",
                    (f"{index:032x}", run),
                )
        found.execute("UPDATE tags SET value = run_uuid WHERE key = 'reprolock.run_id'")
    return str(experiment)


CASES: dict[str, Callable[[], Iterator[Case | list[str]]]] = {
    "start": start,
    "skip": skip,
    "small": small,
    "environment": environment,
    "spark": spark,
    "lineage": lineage,
    "cluster": cluster,
    "evidence": evidence,
    "bundles": bundles,
    "lakefs": lakefs,
    "tables": tables,
    "readers": readers,
    "experiments": experiments,
    "scale": scale,
}
