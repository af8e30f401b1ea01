"""Coordinates to pins, and pins to files: with Maven Central, and with repositories of this test's own."""

from __future__ import annotations

import base64
import functools
import hashlib
import http.server
import os
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import services
from maven_folder import LISTENER, Layout
from spark_session import DELTA, SparkParts

from reprolock.environment.jvm.jar_store import JarStore
from reprolock.environment.jvm.java import Java, find_java
from reprolock.environment.jvm.lock_jars import implied_packages, resolve
from reprolock.environment.jvm.maven import central, fetch, path_of, repositories
from reprolock.environment.jvm.spark_home import SparkHome, spark_home
from reprolock.errors import MachineError, PinError, ReprolockError, ServiceError, UsageError
from reprolock.model.lock import JarPin, JarsPin

ANYWHERE = 'check the spelling; further repositories are named by "spark.jars.repositories" in [spark] conf'


@pytest.fixture(scope="module")
def home() -> SparkHome:
    return spark_home()


@pytest.fixture(scope="module")
def java() -> Java:
    return find_java(os.environ)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """app 1.0 needs base 1.0 and a native jar of it."""
    made = Layout(tmp_path / "maven")
    made.add("org.acme:app:1.0", "org.acme:base:1.0", "org.acme:native:1.0:linux-x86_64")
    made.add("org.acme:base:1.0")
    made.add("org.acme:native:1.0", classifiers=("", "linux-x86_64"))
    return made


class Keeper(http.server.SimpleHTTPRequestHandler):
    """A web server that wants a user name and a password, and keeps no log."""

    def do_GET(self) -> None:
        if self.headers.get("Authorization") == "Basic " + base64.b64encode(b"bob:s3 cret$").decode():
            super().do_GET()
        else:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="Corporate Maven"')
            self.send_header("Content-Length", "0")
            self.end_headers()

    do_HEAD = do_GET

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def private(layout: Layout) -> Iterator[str]:
    """HOST:PORT of that repository behind a password."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Keeper, directory=str(layout.folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def failure(call: object, *arguments: object, **more: object) -> ReprolockError:
    with pytest.raises(ReprolockError) as caught:
        call(*arguments, **more)  # type: ignore[operator]
    return caught.value


# What Maven Central has


def test_delta_and_s3a_without_the_bundle(spark_parts: SparkParts) -> None:
    coordinates = [jar.coordinate for jar in spark_parts.pin.jar]
    assert len(coordinates) == 81
    assert coordinates == sorted(coordinates)
    assert {DELTA, LISTENER, "org.apache.hadoop:hadoop-aws:3.5.0", "software.amazon.awssdk:s3:2.35.4"} <= set(
        coordinates
    )
    unwanted = (
        "software.amazon.awssdk:bundle",
        "org.apache.hadoop:hadoop-client-",
        "io.unitycatalog:unitycatalog-hadoop",
    )
    assert [name for name in coordinates if name.startswith(unwanted)] == []
    assert 95_000_000 < spark_parts.pin.bytes < 110_000_000
    assert (spark_parts.pin.packages, spark_parts.pin.spark, spark_parts.pin.intact) == ((DELTA,), "4.2.0", True)


@pytest.mark.parametrize(
    ("hadoop", "has", "bundle"),
    [
        ("3.3.4", "com.amazonaws:aws-java-sdk-s3:1.12.262", "com.amazonaws:aws-java-sdk-bundle"),
        ("3.4.1", "software.amazon.awssdk:s3-transfer-manager:2.25.70", "software.amazon.awssdk:bundle"),
        ("3.4.2", "software.amazon.awssdk:s3-transfer-manager:2.29.52", "software.amazon.awssdk:bundle"),
    ],
)
def test_s3a_of_older_hadoops(hadoop: str, has: str, bundle: str, spark_parts: SparkParts) -> None:
    spark = spark_parts.home._replace(hadoop=hadoop)
    pin = resolve((), spark=spark, s3a=True, java=spark_parts.java, store=spark_parts.store)
    coordinates = {jar.coordinate for jar in pin.jar}
    assert {f"org.apache.hadoop:hadoop-aws:{hadoop}", has} <= coordinates
    assert not [name for name in coordinates if name.startswith(bundle)]
    assert pin.bytes < 70_000_000


def test_the_files_are_the_pinned_ones(spark_parts: SparkParts) -> None:
    for jar, file in zip(spark_parts.pin.jar, spark_parts.files, strict=True):
        assert (hashlib.sha256(file.read_bytes()).hexdigest(), file.stat().st_size) == (jar.sha256, jar.bytes)
        assert file.name == jar.file_name
        assert os.name == "nt" or file.stat().st_mode & 0o777 == 0o444


def test_the_same_answer_offline(spark_parts: SparkParts) -> None:
    parts = spark_parts
    again = resolve((DELTA,), spark=parts.home, s3a=True, java=parts.java, store=parts.store, offline=True)
    assert again == parts.pin


def test_a_new_store_is_filled_from_coordinates_alone(spark_parts: SparkParts, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []

    class Watch:
        def expect(self, objects: int, bytes: int) -> None:
            told.append((objects, bytes))

        def advance(self, objects: int, bytes: int) -> None:
            told.append((objects, bytes))

    files = JarStore(tmp_path / "jars").files(spark_parts.pin, progress=Watch())
    assert [file.name for file in files] == [jar.file_name for jar in spark_parts.pin.jar]
    assert told[0] == (81, spark_parts.pin.bytes)
    assert [sum(numbers) for numbers in zip(*told[1:], strict=True)] == [81, spark_parts.pin.bytes]


def test_a_coordinate_that_is_nowhere(home: SparkHome, java: Java, tmp_path: Path) -> None:
    error = failure(
        resolve, ("io.delta:delta-sprak:4.4.0",), spark=home, s3a=False, java=java, store=JarStore(tmp_path)
    )
    assert isinstance(error, UsageError)
    assert error.message == (f'"io.delta:delta-sprak:4.4.0" (spark.packages) is in no repository: asked {central()}')
    assert (error.hint, error.exit_code) == (ANYWHERE, 2)


# What is decided without a resolver


def test_nothing_declared_is_the_listener_alone(layout: Layout, home: SparkHome, tmp_path: Path) -> None:
    nowhere = Java("17", "17", "", tmp_path)
    store = JarStore(tmp_path / "jars", (layout.source,))
    pin = resolve((), spark=home, s3a=False, java=nowhere, store=store)
    (jar,) = pin.jar
    assert (pin.packages, pin.spark, jar.coordinate, pin.intact) == ((), home.version, LISTENER, True)
    assert jar.sha256 == hashlib.sha256(layout.jar(LISTENER).read_bytes()).hexdigest()
    layout.jar(LISTENER).unlink()  # from now on the store has it
    assert resolve((), spark=home, s3a=False, java=nowhere, store=store, offline=True) == pin


def test_a_listener_of_a_version_that_the_user_names(
    layout: Layout, home: SparkHome, java: Java, tmp_path: Path
) -> None:
    mine = "io.openlineage:openlineage-spark_2.13:9.9.9"
    layout.add(mine)
    pin = resolve((mine,), spark=home, s3a=False, java=java, store=JarStore(tmp_path / "jars", (layout.source,)))
    assert [jar.coordinate for jar in pin.jar] == [mine]


def test_a_listener_that_is_nowhere(layout: Layout, home: SparkHome, tmp_path: Path) -> None:
    layout.jar(LISTENER).unlink()
    nowhere = Java("17", "17", "", tmp_path)
    store = JarStore(tmp_path / "jars", (layout.source,))
    error = failure(resolve, (), spark=home, s3a=False, java=nowhere, store=store)
    assert error.message == f'"{LISTENER}" is in no repository: asked {layout.source.url} (a test)'
    assert (error.hint, error.exit_code) == (
        "reprolock adds this jar to every Spark run; mirror it in your Maven repository",
        2,
    )
    error = failure(resolve, (), spark=home, s3a=False, java=nowhere, store=store, offline=True)
    assert error.message == f'"{LISTENER}" is not in the store, and --offline does not download it'
    assert (error.hint, error.exit_code) == ("run once without --offline", 5)
    layout.jar(LISTENER).write_text("<html>Please log in</html>")
    error = failure(resolve, (), spark=home, s3a=False, java=nowhere, store=store)
    assert error.message == f"{LISTENER} was downloaded, but is not a jar"
    assert (error.hint, error.exit_code) == ("ask the owner of the repository, and try again", 5)
    assert not list((tmp_path / "jars").rglob("*.jar"))


def test_what_is_implied(home: SparkHome, spark_parts: SparkParts) -> None:
    assert implied_packages(["csv", "delta"], home) == ()
    assert implied_packages(["avro"], home) == ()  # Spark 4.2 brings the classes
    assert spark_parts.pin.brings("hadoop-aws")
    assert not JarsPin.sealed(packages=(), spark="4.2.0", jar=()).brings("hadoop-aws")


def test_hadoop_aws_of_another_hadoop(home: SparkHome, java: Java, tmp_path: Path) -> None:
    error = failure(
        resolve, ("org.apache.hadoop:hadoop-aws:3.3.4",), spark=home, s3a=False, java=java, store=JarStore(tmp_path)
    )
    assert error.message == (
        'spark.packages: "org.apache.hadoop:hadoop-aws:3.3.4" does not fit pyspark 4.2.0, which brings Hadoop 3.5.0'
    )
    assert error.hint == 'write "org.apache.hadoop:hadoop-aws:3.5.0", or leave it out: S3A comes with a lakeFS lake'
    assert error.exit_code == 2


def test_a_snapshot(home: SparkHome, java: Java, tmp_path: Path) -> None:
    error = failure(resolve, ("a:b:1-SNAPSHOT",), spark=home, s3a=False, java=java, store=JarStore(tmp_path))
    assert error.message == 'spark.packages: "a:b:1-SNAPSHOT" is a snapshot, whose bytes change under its name'
    assert (error.hint, error.exit_code) == ("name a released version", 2)


def test_no_whole_pyspark(tmp_path: Path) -> None:
    error = failure(spark_home, tmp_path)
    assert isinstance(error, MachineError)
    assert error.message == f"the pyspark at {tmp_path} is incomplete: jars/ has no spark-core, Hadoop client or Ivy"


# Repositories of a company's own


def test_a_closure_with_classifiers(layout: Layout, home: SparkHome, java: Java, tmp_path: Path) -> None:
    store = JarStore(tmp_path / "jars", (layout.source,))
    pin = resolve(("org.acme:app:1.0",), spark=home, s3a=False, java=java, store=store)
    assert [jar.coordinate for jar in pin.jar] == [
        LISTENER,
        "org.acme:app:1.0",
        "org.acme:base:1.0",
        "org.acme:native:1.0:linux-x86_64",
    ]
    assert pin.jar[3].file_name == "org.acme_native-1.0-linux-x86_64.jar"
    assert JarStore(tmp_path / "other", (layout.source,)).files(pin)[3].name == pin.jar[3].file_name


def test_what_a_package_needs_is_nowhere(layout: Layout, home: SparkHome, java: Java, tmp_path: Path) -> None:
    layout.add("org.acme:top:1.0", "org.acme:gone:7")
    store = JarStore(tmp_path / "jars", (layout.source,))
    error = failure(resolve, ("org.acme:top:1.0",), spark=home, s3a=False, java=java, store=store)
    folder = layout.source.url
    assert error.message == (
        f'"org.acme:gone:7", which org.acme:top:1.0 needs, is in no repository: asked {folder} (a test)'
    )
    assert error.exit_code == 2


def test_a_repository_that_is_down(home: SparkHome, java: Java, tmp_path: Path) -> None:
    port = services.free_port()
    environ = {"REPROLOCK_MAVEN_REPOSITORY": f"http://bob:s3cret@127.0.0.1:{port}/maven"}
    store = JarStore(tmp_path, repositories(environ, tmp_path, {}))
    error = failure(resolve, ("org.acme:app:1.0",), spark=home, s3a=False, java=java, store=store)
    assert isinstance(error, ServiceError)
    assert error.message == f"no answer from the Maven repository at 127.0.0.1:{port} (REPROLOCK_MAVEN_REPOSITORY)"
    assert error.hint == "check the network, or set REPROLOCK_MAVEN_REPOSITORY to a repository that can be reached"
    assert error.exit_code == 5


def test_offline_and_never_seen(home: SparkHome, java: Java, tmp_path: Path) -> None:
    error = failure(
        resolve, ("org.acme:app:1.0",), spark=home, s3a=False, java=java, store=JarStore(tmp_path), offline=True
    )
    assert (
        error.message == '"org.acme:app:1.0" (spark.packages) is not in the store, and --offline does not download it'
    )
    assert (error.hint, error.exit_code) == ("run once without --offline", 5)


def test_a_private_repository_and_its_keys(private: str, home: SparkHome, java: Java, tmp_path: Path) -> None:
    environ = {"REPROLOCK_MAVEN_REPOSITORY": f"http://bob:s3%20cret%24@{private}"}
    store = JarStore(tmp_path / "jars", repositories(environ, tmp_path, {}))
    pin = resolve(("org.acme:app:1.0",), spark=home, s3a=False, java=java, store=store)
    assert len(JarStore(tmp_path / "other", store.sources).files(pin)) == 4
    texts = [
        file.read_bytes()
        for file in (tmp_path / "jars").rglob("*")
        if file.is_file() and "openlineage" not in file.name
    ]
    assert len(texts) > 6
    assert not any(b"s3" in text and b"cret" in text for text in texts)
    assert "cret" not in repr(store.sources) + str(store.sources[0])


def test_a_private_repository_without_keys(private: str, home: SparkHome, java: Java, tmp_path: Path) -> None:
    environ = {"DEFAULT_ARTIFACT_REPOSITORY": f"http://{private}/"}
    store = JarStore(tmp_path / "jars", repositories(environ, tmp_path, {}))
    error = failure(resolve, ("org.acme:app:1.0",), spark=home, s3a=False, java=java, store=store)
    where = f"{private} (DEFAULT_ARTIFACT_REPOSITORY)"
    assert error.message == f"the Maven repository at {where} rejects the credentials: HTTP 401"
    assert (
        error.hint
        == "put the credentials into the address in REPROLOCK_MAVEN_REPOSITORY or beside the mirror in ~/.m2/settings.xml"
    )
    assert error.exit_code == 5


SETTINGS = """<settings xmlns="http://maven.apache.org/SETTINGS/1.2.0">
<servers><server><id>corp</id><username>bob</username><password>${env.MAVEN_PASSWORD}</password></server></servers>
<mirrors><mirror><id>other</id><mirrorOf>*,!central</mirrorOf><url>http://other/</url></mirror>
<mirror><id>corp</id><mirrorOf>external:*</mirrorOf><url>http://HOST/</url></mirror></mirrors></settings>"""


def test_the_mirror_of_the_users_maven_settings(private: str, tmp_path: Path) -> None:
    (tmp_path / ".m2").mkdir()
    (tmp_path / ".m2" / "settings.xml").write_text(SETTINGS.replace("HOST", private))
    (source,) = repositories({"MAVEN_PASSWORD": "s3 cret$"}, tmp_path, {})
    assert str(source) == f"{private} (~/.m2/settings.xml)"
    with (tmp_path / "got").open("wb+") as file:
        assert fetch([source], path_of("org.acme:base:1.0"), file) == source
    assert zipfile.is_zipfile(tmp_path / "got")


def test_settings_that_are_no_xml(tmp_path: Path) -> None:
    (tmp_path / ".m2").mkdir()
    (tmp_path / ".m2" / "settings.xml").write_text("<settings>")
    error = failure(repositories, {}, tmp_path, {})
    assert error.message == f"{tmp_path}/.m2/settings.xml is not XML: no element found: line 1, column 10"
    assert error.exit_code == 2


def test_the_order_of_repositories(tmp_path: Path) -> None:
    assert repositories({}, tmp_path, {}) == (central(),)
    conf = {"spark.jars.repositories": "https://a.example/m2, https://b.example/"}
    environ = {
        "REPROLOCK_MAVEN_REPOSITORY": "https://c.example/m2/,file:///srv/m2",
        "DEFAULT_ARTIFACT_REPOSITORY": "https://d/",
    }
    urls = [source.url for source in repositories(environ, tmp_path, conf)]
    assert urls == ["https://c.example/m2/", "file:///srv/m2/", "https://a.example/m2/", "https://b.example/"]


@pytest.mark.parametrize(
    ("environ", "conf", "message"),
    [
        (
            {},
            {"spark.jars.repositories": "https://bob:s3cret@m.example/"},
            "spark.conf.spark.jars.repositories: an address must not contain a user name or password",
        ),
        (
            {"REPROLOCK_MAVEN_REPOSITORY": "m.example/s3cret"},
            {},
            "REPROLOCK_MAVEN_REPOSITORY is not an address of a Maven repository",
        ),
    ],
)
def test_addresses_that_are_refused(
    environ: dict[str, str], conf: dict[str, str], message: str, tmp_path: Path
) -> None:
    error = failure(repositories, environ, tmp_path, conf)
    assert (error.message, error.exit_code) == (message, 2)
    assert "s3cret" not in f"{error} {error.hint}"


# The store


@pytest.fixture
def stored(layout: Layout, tmp_path: Path) -> tuple[JarStore, JarsPin]:
    """A store with two jars in it."""
    store = JarStore(tmp_path / "jars", (layout.source,))
    jars = tuple(store.add(name, layout.jar(name)) for name in ("org.acme:app:1.0", "org.acme:base:1.0"))
    return store, JarsPin.sealed(packages=(), spark="4.2.0", jar=jars)


def overwrite(file: Path, data: bytes) -> None:
    file.chmod(0o644)
    file.write_bytes(data)


def test_a_jar_that_was_changed_in_the_store(stored: tuple[JarStore, JarsPin]) -> None:
    store, pin = stored
    file = store.files(pin)[1]
    changed = bytes(reversed(file.read_bytes()))
    overwrite(file, changed)
    error = failure(store.files, pin)
    assert isinstance(error, PinError)
    assert error.message == (
        "jar org.acme:base:1.0 in the store has changed: "
        f"SHA-256 {hashlib.sha256(changed).hexdigest()[:12]}, pinned {pin.jar[1].sha256[:12]}"
    )
    assert (error.hint, error.exit_code) == (f"delete {file} and run again to download it again", 4)
    file.unlink()
    assert hashlib.sha256(store.files(pin)[1].read_bytes()).hexdigest() == pin.jar[1].sha256


def test_a_jar_that_was_only_touched(stored: tuple[JarStore, JarsPin]) -> None:
    store, pin = stored
    file = store.files(pin)[0]
    file.touch()
    assert store.files(pin, offline=True)[0] == file


def test_a_jar_that_was_changed_under_its_size_and_time(stored: tuple[JarStore, JarsPin]) -> None:
    store, pin = stored
    file = store.files(pin)[0]
    was = file.stat()
    changed = bytes(reversed(file.read_bytes()))
    overwrite(file, changed)
    os.utime(file, ns=(was.st_atime_ns, was.st_mtime_ns))
    assert (file.stat().st_size, file.stat().st_mtime_ns) == (was.st_size, was.st_mtime_ns)
    error = failure(store.files, pin)
    assert (error.exit_code, error.message) == (
        4,
        "jar org.acme:app:1.0 in the store has changed: "
        f"SHA-256 {hashlib.sha256(changed).hexdigest()[:12]}, pinned {pin.jar[0].sha256[:12]}",
    )


def test_a_repository_with_other_bytes(stored: tuple[JarStore, JarsPin], layout: Layout) -> None:
    store, pin = stored
    file = store.files(pin)[0]
    file.unlink()
    layout.jar("org.acme:app:1.0").write_bytes(b"PK other")
    error = failure(store.files, pin)
    assert isinstance(error, PinError)
    assert error.message == (
        "jar org.acme:app:1.0 from its repository is not the pinned file: "
        f"SHA-256 {hashlib.sha256(b'PK other').hexdigest()[:12]}, pinned {pin.jar[0].sha256[:12]}"
    )
    assert error.hints == "ask the owner of the repository; `reprolock lock --upgrade` pins what it has now"
    assert not file.exists() and not file.parent.exists()


def test_a_jar_that_is_gone(stored: tuple[JarStore, JarsPin], layout: Layout) -> None:
    store, pin = stored
    store.files(pin)[0].unlink()
    layout.jar("org.acme:app:1.0").unlink()
    error = failure(store.files, pin)
    assert isinstance(error, PinError)
    assert error.message == f"jar org.acme:app:1.0 is gone: {layout.source.url} (a test) has no such file"


def test_offline_and_not_in_the_store(stored: tuple[JarStore, JarsPin], tmp_path: Path) -> None:
    _, pin = stored
    error = failure(JarStore(tmp_path / "empty").files, pin, offline=True)
    assert isinstance(error, ServiceError)
    assert error.message == (
        f"jar org.acme:app:1.0 and 1 more are not in the store at {tmp_path}/empty, and --offline does not download it"
    )
    assert error.exit_code == 5


def test_a_store_that_cannot_be_made(stored: tuple[JarStore, JarsPin], layout: Layout, tmp_path: Path) -> None:
    _, pin = stored
    (tmp_path / "file").write_text("")
    error = failure(JarStore(tmp_path / "file" / "jars", (layout.source,)).files, pin)
    assert isinstance(error, MachineError)
    assert error.message == f"{tmp_path}/file/jars cannot be written: another file or folder has its name"
    assert error.exit_code == 8


@pytest.mark.skipif(os.name == "nt", reason="needs RLIMIT_FSIZE")
def test_a_disk_that_is_full(stored: tuple[JarStore, JarsPin], layout: Layout, tmp_path: Path) -> None:
    """A limit on the size of files stands for the full disk: the write fails in the middle."""
    _, pin = stored
    with zipfile.ZipFile(layout.jar("org.acme:base:1.0"), "w") as jar:
        jar.writestr("big", os.urandom(200_000))
    code = (
        "import resource, signal, sys; from pathlib import Path\n"
        "from reprolock.environment.jvm.jar_store import JarStore; from reprolock.errors import ReprolockError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))\n"
        "try: JarStore(Path(sys.argv[1])).add('org.acme:base:1.0', Path(sys.argv[2]))\n"
        "except ReprolockError as error: print(error.exit_code, error.message)"
    )
    argv = [sys.executable, "-c", code, str(tmp_path / "full"), str(layout.jar("org.acme:base:1.0"))]
    said = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split("/")
    assert said[0] == "8 "
    assert said[-1] == "org.acme_base-1.0.jar cannot be written: it is larger than files may be here\n"
    assert [file for file in (tmp_path / "full").rglob("*") if file.is_file()] == []


def test_a_proxys_error_page_is_no_jar(layout: Layout, home: SparkHome, java: Java, tmp_path: Path) -> None:
    layout.jar("org.acme:base:1.0").write_text("<html>Please log in</html>")
    store = JarStore(tmp_path / "jars", (layout.source,))
    error = failure(resolve, ("org.acme:app:1.0",), spark=home, s3a=False, java=java, store=store)
    assert error.message == "org.acme:base:1.0 was downloaded, but is not a jar"
    assert error.exit_code == 5


def test_pins_name_their_files() -> None:
    assert JarPin(coordinate="a.b:c:1.0", sha256="0" * 64, bytes=1).file_name == "a.b_c-1.0.jar"
    assert JarPin(coordinate="a.b:c:1.0:x", sha256="0" * 64, bytes=1).file_name == "a.b_c-1.0-x.jar"
    assert path_of("a.b:c:1.0:x") == "a/b/c/1.0/c-1.0-x.jar"
