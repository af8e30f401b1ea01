"""Java, Spark, jars and their store from the command line; a machine on which something is missing; no network at all."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from pathlib import Path

import pytest
from command_line import Said
from maven_folder import Layout
from project import Project, lines_of
from wheelhouse import PYTHON, wheel

from reprolock.environment.jvm.java import Java, find_java, install_hint
from reprolock.environment.jvm.spark_home import spark_home
from reprolock.files.lock_file import read_lock, write_lock
from reprolock.files.secrets import Scanner
from reprolock.model.lock import EnvironmentPin

NO_JAVA = f"error: no Java on this machine: JAVA_HOME is not set and PATH has no java\nhint: {install_hint()}\n"
DEAD = "http://127.0.0.1:1"


def cache() -> Path:
    return Path(os.environ["REPROLOCK_CACHE_DIR"])


def fails(said: Said, code: int, text: str) -> None:
    assert (said.code, said.err) == (code, text)


@pytest.fixture
def java() -> Java:
    return find_java(os.environ)


@pytest.fixture
def layout(house: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    """app 1.0 needs base 1.0, in a Maven repository of the test's own."""
    made = Layout(house.parent / "maven")
    made.add("org.acme:app:1.0", "org.acme:base:1.0"), made.add("org.acme:base:1.0")
    monkeypatch.setenv("REPROLOCK_MAVEN_REPOSITORY", made.folder.as_uri() + "/")
    return made


def without_java(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", "")


def pyspark(house: Path, spark: str, hadoop: str) -> None:
    """A pyspark of another version, as far as a lock looks at it: names of jars, and the Ivy that resolves."""
    path, own = wheel(house, "pyspark", spark), spark_home()
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist() if name != "pyspark.py"}
    jars = {
        f"spark-core_2.13-{spark}.jar": b"",
        f"spark-sql_2.13-{spark}.jar": b"",
        f"hadoop-client-api-{hadoop}.jar": b"",
    }
    members |= {f"pyspark/jars/{name}": data for name, data in (jars | {own.ivy.name: own.ivy.read_bytes()}).items()}
    members["pyspark/__init__.py"] = f"__version__ = {spark!r}\n".encode()
    record = next(name for name in members if name.endswith("/RECORD"))
    members[record] = b"".join(f"{name},,\n".encode() for name in members)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)


# Java


def test_no_java(project: Project, cli, monkeypatch: pytest.MonkeyPatch) -> None:
    project.edit("[run]", "[spark]\n[run]")
    assert cli("lock").code == 0
    without_java(monkeypatch)
    for command in (["run"], ["run", "--if-changed"], ["run", "--dry-run"], ["lock", "--upgrade"]):
        fails(cli(*command), 8, NO_JAVA)
    assert project.all_stored() == []


def test_a_java_that_repro_toml_does_not_take(project: Project, cli, java: Java) -> None:
    project.edit("[run]", '[spark]\n[environment]\njava = "99"\n[run]')
    wrong = (
        f'error: Java {java.version} is at {java.home}, and environment.java asks for "99"\n'
        f"hint: {install_hint('99')}, and set JAVA_HOME to its folder\n"
    )
    fails(cli("lock"), 8, wrong)
    project.edit('java = "99"', 'java = ">=11"')
    assert cli("lock").code == 0
    project.edit('java = ">=11"', 'java = "99"')
    fails(cli("run"), 8, wrong)


def test_a_java_that_the_lock_does_not_pin(project: Project, house: Path, cli, java: Java) -> None:
    pyspark(house, "4.1.9", "3.4.3")
    project.add('[spark]\n[environment]\npackages = ["pyspark"]\njava = ">=11"\n')
    assert cli("lock").code == 0
    old = read_lock(project.root)
    assert old.environment.java == java.feature
    other = EnvironmentPin.sealed(requirements=("pyspark",), python=PYTHON, java="99", package=old.environment.package)
    write_lock(project.root, old.model_copy(update={"environment": other}), Scanner({}))
    fails(
        cli("run", "-q"),
        8,
        f"error: Java {java.version} is at {java.home}, and repro.lock pins Java 99\n"
        f"hint: {install_hint('99')}, and set JAVA_HOME to its folder; `reprolock lock --upgrade` pins what is here\n",
    )
    project.edit('java = ">=11"', f'java = "{java.feature}"')
    fails(
        cli("run"),
        3,
        f'error: repro.lock is out of date: environment.java is "{java.feature}", pinned for "99"\n'
        "hint: run `reprolock lock` and commit repro.lock\n",
    )
    said = cli("lock")
    assert said.out.splitlines()[0] == f"Updated  java  99 → {java.feature}"
    assert cli("lock", "--check").code == 0


# Spark


@pytest.mark.spark
def test_a_session_finds_n_and_the_settings_that_decide_results(
    project: Project, layout: Layout, cli, java: Java
) -> None:
    """The script is one for plain spark-submit."""
    project.edit(
        "[run]", '[spark]\npackages = ["org.acme:app:1.0"]\nconf = { "spark.sql.shuffle.partitions" = 3 }\n[run]'
    )
    project.script("""
        import json
        from pyspark.sql import SparkSession
        spark = SparkSession.builder.getOrCreate()
        keys = ["spark.sql.session.timeZone", "spark.sql.ansi.enabled", "spark.sql.adaptive.enabled", "spark.sql.shuffle.partitions"]
        jars = sorted(jar.rsplit("/", 1)[1] for jar in spark.conf.get("spark.jars").split(","))
        print(json.dumps([spark.sparkContext.master, *map(spark.conf.get, keys), jars]))
    """)
    assert cli("lock").out.splitlines()[1].startswith("Added  3 jars ")
    said = cli("run")
    assert said.code == 0, said.err
    n = os.cpu_count()
    jars = ["org.acme_app-1.0.jar", "org.acme_base-1.0.jar"]
    assert json.loads(said.out.splitlines()[-1]) == [f"local[{n}]", "UTC", "true", "true", "3", jars]
    record = project.record
    assert (record.spark.master, record.spark.jars, record.spark.java) == (f"local[{n}]", 3, str(java))
    assert {name: record.spark.conf[name] for name in ("spark.sql.session.timeZone", "spark.sql.ansi.enabled", "spark.sql.shuffle.partitions")} == {
        "spark.sql.session.timeZone": "UTC", "spark.sql.ansi.enabled": "true", "spark.sql.shuffle.partitions": "3",
    }  # fmt: skip
    [line] = lines_of(said.err, "Env")
    assert line.endswith(f", Java {java}, Spark {record.spark.version}, local[{n}])")


def test_jars_are_those_of_the_pyspark_that_is_locked(project: Project, house: Path, layout: Layout, cli) -> None:
    pyspark(house, "4.1.9", "3.4.3")
    project.add('[spark]\npackages = ["org.acme:app:1.0"]\n[environment]\npackages = ["pyspark==4.1.*"]\n')
    said = cli("lock")
    assert said.code == 0, said.err
    assert read_lock(project.root).jars.spark == "4.1.9" != spark_home().version
    [line] = lines_of(cli("run", "--dry-run").err, "Env")
    assert f", Spark 4.1.9, local[{os.cpu_count()}])" in line
    pyspark(house, "4.1.10", "3.4.3")
    said = cli("lock", "--upgrade-package", "pyspark")
    assert said.out.splitlines()[:2] == [
        "Updated  package pyspark  4.1.9 → 4.1.10",
        "Updated  jars             Spark 4.1.9 → 4.1.10",
    ]
    assert lines_of(cli("run", "--dry-run").err, "Env")[0].count("Spark 4.1.10") == 1


def test_hadoop_of_the_pyspark_that_is_locked(project: Project, house: Path, layout: Layout, cli) -> None:
    pyspark(house, "4.1.9", "3.4.3")
    own = spark_home().hadoop
    project.add(
        f'[spark]\npackages = ["org.apache.hadoop:hadoop-aws:{own}"]\n[environment]\npackages = ["pyspark==4.1.*"]\n'
    )
    fails(
        cli("lock", "-q"),
        2,
        f'error: spark.packages: "org.apache.hadoop:hadoop-aws:{own}" does not fit pyspark 4.1.9, which brings Hadoop 3.4.3\n'
        'hint: write "org.apache.hadoop:hadoop-aws:3.4.3", or leave it out: S3A comes with a lakeFS lake\n',
    )


def test_spark_without_pyspark_among_the_packages(project: Project, house: Path, cli) -> None:
    wheel(house, "tool")
    project.add('[spark]\n[environment]\npackages = ["tool"]\n')
    fails(
        cli("lock"),
        2,
        "error: [spark] needs pyspark, and environment.packages does not ask for it\n"
        'hint: add "pyspark==4.2.*" to environment.packages\n',
    )


def test_the_same_project_in_another_folder_is_the_same_to_both_digests(
    project: Project, house: Path, layout: Layout, cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another cache too: nothing of where things are is in a digest."""
    pyspark(house, "4.1.9", "3.4.3")
    project.add('[spark]\npackages = ["org.acme:app:1.0"]\n[environment]\npackages = ["pyspark"]\n')
    project.edit("[run]", '[run]\nenv = { DATA = "{datasets.train.path}" }')
    assert cli("lock").code == cli("run", "-q").code == 0
    there = Project.__new__(Project)
    there.root = tmp_path.with_name(f"{tmp_path.name}-other")
    shutil.copytree(tmp_path, there.root, ignore=shutil.ignore_patterns(".reprolock", "mlruns"))
    monkeypatch.setenv("REPROLOCK_CACHE_DIR", str(house.parent / "another"))
    assert cli("run", "-q", root=there.root).code == 0
    assert (there.record.pinned, there.record.observed) == (project.record.pinned, project.record.observed)


# Jars


def test_a_jar_that_was_changed_in_the_store(project: Project, layout: Layout, cli) -> None:
    project.edit("[run]", '[spark]\npackages = ["org.acme:app:1.0"]\n[run]')
    cli("lock")
    [jar] = (cache() / "jars").rglob("org.acme_base-1.0.jar")
    right = jar.read_bytes()
    jar.chmod(0o644)
    jar.write_bytes(bytes(reversed(right)))
    said = cli("run")
    pinned = read_lock(project.root).jars.jar[2].sha256[:12]
    assert said.err.startswith("error: jar org.acme:base:1.0 in the store has changed: SHA-256 ")
    assert said.err.endswith(f", pinned {pinned}\nhint: delete {jar} and run again to download it again\n")
    assert said.code == 4
    jar.unlink()
    assert cli("run", "-q") == (0, "hello\n", "")
    assert jar.read_bytes() == right


def test_a_jar_that_is_nowhere_any_more(project: Project, layout: Layout, cli) -> None:
    project.edit("[run]", '[spark]\npackages = ["org.acme:app:1.0"]\n[run]')
    cli("lock")
    shutil.rmtree(cache() / "jars")
    layout.jar("org.acme:base:1.0").unlink()
    fails(
        cli("run"),
        4,
        f"error: jar org.acme:base:1.0 is gone: {layout.folder.as_uri()}/ (REPROLOCK_MAVEN_REPOSITORY) has no such file\n"
        "hint: set REPROLOCK_MAVEN_REPOSITORY to a repository that has it; `reprolock lock --upgrade` pins another set\n",
    )


def test_a_changed_coordinate_is_a_stale_lock(project: Project, layout: Layout, cli) -> None:
    project.edit("[run]", '[spark]\npackages = ["org.acme:app:1.0"]\n[run]')
    cli("lock")
    project.edit("org.acme:app:1.0", "org.acme:base:1.0")
    fails(
        cli("run"),
        3,
        'error: repro.lock is out of date: spark.packages is "org.acme:base:1.0", pinned for "org.acme:app:1.0"\n'
        "hint: run `reprolock lock` and commit repro.lock\n",
    )
    assert cli("lock").out.splitlines()[0] == "Removed  jar org.acme:app  1.0"


# No network


def test_from_the_store_alone(
    project: Project, house: Path, layout: Layout, cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_CONFIG_HOME")
    project.add('[spark]\npackages = ["org.acme:app:1.0"]\n[environment]\npackages = ["six==1.17.0", "pyspark"]\n')
    monkeypatch.setenv("UV_FIND_LINKS", str(house))
    pyspark(house, "99.0.0", "3.4.3")  # newer than any of the index
    project.script("import six; print(six.__version__)")
    assert cli("lock").code == 0
    first = (project.root / "repro.lock").read_bytes()
    assert cli("run", "-q").out == "1.17.0\n"
    # From here on nobody answers.
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, DEAD)
    monkeypatch.setenv("REPROLOCK_MAVEN_REPOSITORY", f"{DEAD}/maven/")
    shutil.rmtree(layout.folder)
    shutil.rmtree(cache() / "envs")
    said = cli("run", "--offline")
    assert (said.code, said.out) == (0, "1.17.0\n"), said.err
    (project.root / "repro.lock").unlink()
    said = cli("lock", "--offline")
    assert said.code == 0, said.err
    assert (project.root / "repro.lock").read_bytes() == first
    shutil.rmtree(cache() / "jars")
    said = cli("run", "--offline")
    assert said.err.startswith(
        "error: jar io.openlineage:openlineage-spark_2.13:1.53.0 and 2 more are not in the store at "
    )
    assert said.err.endswith("and --offline does not download it\nhint: run once without --offline\n")
    assert said.code == 5
    shutil.rmtree(os.environ["UV_CACHE_DIR"])
    shutil.rmtree(cache() / "envs")
    fails(
        cli("run", "--offline"),
        5,
        "error: six is not in uv's cache, and --offline does not ask the package index\nhint: run the same command once without --offline\n",
    )


# What is missing on this machine


def rows(said: Said) -> dict[str, tuple[str, str]]:
    """By what was looked at: the mark, and what was found."""
    found = {}
    for line in said.out.splitlines():
        if not line.startswith(("hint:", "error:")):
            mark, name, text = line.split(maxsplit=2)
            found[name] = mark, text
    return found


def test_doctor_on_a_machine_that_has_all(project: Project, house: Path, cli, java: Java) -> None:
    wheel(house, "tool")
    project.add('[environment]\npackages = ["tool"]\n')
    cli("lock")
    said = cli("doctor")
    assert (said.code, said.err) == (0, "")
    found = rows(said)
    assert {mark for mark, _ in found.values()} == {"ok"}
    assert found["java"][1] == str(java)
    assert found["environment"][1] == "not built here yet; the first run builds it"
    assert found["lake"][1] == "git at file:lake"
    assert found["mlflow"][1] == project.database
    assert cli("run", "-q").code == 0
    assert rows(cli("doctor"))["environment"][1].startswith(f"{cache()}/envs/")


def test_doctor_where_nothing_is_on_the_path(project: Project, cli, monkeypatch: pytest.MonkeyPatch) -> None:
    project.edit("[run]", "[spark]\n[run]")
    without_java(monkeypatch)
    said = cli("doctor")
    found = rows(said)
    assert found["java"] == ("missing", "no Java on this machine: JAVA_HOME is not set and PATH has no java")
    assert found["git"] == ("-", "not on PATH")
    assert found["uv"][0] == "ok"  # reprolock brings it
    assert f"hint: java: {install_hint()}\n" in said.out
    assert "hint: git: run `apt install git` (Debian, Ubuntu): reprolock records the commit of the code\n" in said.out
    assert said.err == "error: not ready: java\nhint: the hints above say how to get what is missing\n"
    assert said.code == 8
    document = json.loads(cli("doctor", "--json").out)
    assert [item["name"] for item in document["findings"] if not item["ok"]] == ["java", "git"]


def test_doctor_names_what_the_project_cannot_reach(
    project: Project, house: Path, cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(house.parent))
    project.edit('endpoint = "file:lake"', f'endpoint = "{DEAD}"')
    project.add(f'[mlflow]\ntracking_uri = "{DEAD}"\n[environment]\npython = "3.99"\npackages = []\n')
    said = cli("doctor")
    found = rows(said)
    assert found["lake"][0] == found["mlflow"][0] == "missing"
    assert "LAKECTL_CREDENTIALS_ACCESS_KEY_ID" in said.out
    assert found["mlflow"][1].startswith(f"no answer from MLflow at {DEAD} ")
    assert found["python"] == ("-", "3.99  not here; a run lets uv fetch it")
    assert (
        "hint: python 3.99: install Python 3.99: `apt install python3.99` (Debian, Ubuntu), `uv python install 3.99` or pyenv\n"
        in said.out
    )
    assert said.code == 8


def test_doctor_on_a_faulty_project(project: Project, cli) -> None:
    project.edit("[project]", "[projekt]")
    said = cli("doctor")
    assert rows(said)["project"][0] == "missing"
    assert said.code == 8
