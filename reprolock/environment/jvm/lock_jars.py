"""Lock the jars: resolve declared packages to a `JarsPin`, every jar of the transitive set with its SHA-256.

Resolved once, when the lock is made, as `spark.jars.packages` would resolve it at every start; a run is
given local files and resolves nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import NamedTuple
from zipfile import ZipFile, is_zipfile

from reprolock.environment.jvm.ivy import Unresolved, closure
from reprolock.environment.jvm.jar_store import JarStore
from reprolock.environment.jvm.java import Java
from reprolock.environment.jvm.maven import fetch, path_of
from reprolock.environment.jvm.spark_home import SparkHome
from reprolock.errors import ServiceError, UsageError
from reprolock.model.lock import JarPin, JarsPin

LISTENER = "io.openlineage:openlineage-spark"
"""Every Spark run is given OpenLineage's listener, declared or not: it sees what Spark reads and writes."""
_LISTENER_VERSION = "1.53.0"  # known to work with Spark 4.2; one jar, which needs no other

HADOOP_AWS = "org.apache.hadoop:hadoop-aws"
_AVRO = "org/apache/spark/sql/avro/AvroFileFormat.class"


class _Sdk(NamedTuple):
    """One of Amazon's two SDKs: the jar with all of it, which hadoop-aws asks for, and the modules that S3A calls."""

    bundle: str
    modules: tuple[str, ...]


# One jar of 280 to 686 MB, where the modules, with all that they need, have 11 to 20 MB.
_SDK_1 = _Sdk(
    "com.amazonaws:aws-java-sdk-bundle",
    ("com.amazonaws:aws-java-sdk-s3", "com.amazonaws:aws-java-sdk-sts", "com.amazonaws:aws-java-sdk-dynamodb"),
)
_SDK_2 = _Sdk(
    "software.amazon.awssdk:bundle",
    ("software.amazon.awssdk:s3", "software.amazon.awssdk:s3-transfer-manager", "software.amazon.awssdk:sts"),
)
_SDKS = {
    "3.3.1": (_SDK_1, "1.11.901"),
    "3.3.2": (_SDK_1, "1.11.1026"),
    "3.3.4": (_SDK_1, "1.12.262"),
    "3.3.6": (_SDK_1, "1.12.367"),
    "3.4.0": (_SDK_2, "2.23.19"),
    "3.4.1": (_SDK_2, "2.25.70"),  # built with 2.24.6, whose transfer manager not every mirror has
    "3.4.2": (_SDK_2, "2.29.52"),
    "3.4.3": (_SDK_2, "2.35.4"),
    "3.5.0": (_SDK_2, "2.35.4"),
}
"""Hadoop's version → the SDK and its version that this Hadoop was built with (its hadoop-project POM)."""
# Delta brings a second, older Hadoop client; Spark's own modules and Scala's library come with pyspark.
_EXCLUDES = (
    "*:scala-library",
    "org.apache.hadoop:hadoop-client-api",
    "org.apache.hadoop:hadoop-client-runtime",
    "io.unitycatalog:unitycatalog-hadoop",
)


def resolve(
    packages: tuple[str, ...],
    *,
    spark: SparkHome,
    s3a: bool,
    java: Java,
    store: JarStore,
    implied: Sequence[str] = (),
    offline: bool = False,
) -> JarsPin:
    """Resolve `packages` (as declared, they are repeated in the pin), `implied` ones, and S3A where it is wanted.

    Every jar is put into the store. UsageError (exit 2) names a coordinate that no repository has,
    ServiceError (exit 5) a repository that does not answer, or what is not in the cache when `offline`.
    """
    declared = tuple(dict.fromkeys(packages))
    roots, excludes = _roots((*declared, *implied), spark, s3a)
    jars = _closure(roots, excludes, declared, spark, java, store, offline) if roots else {}
    if not any(_is_listener(coordinate) for coordinate in jars):  # else the user has named a version
        listener = f"{LISTENER}_{spark.scala}:{_LISTENER_VERSION}"
        jars[listener] = store.take(listener, offline=offline)
    return JarsPin.sealed(packages=packages, spark=spark.version, jar=tuple(jars[name] for name in sorted(jars)))


def _closure(
    roots: tuple[str, ...],
    excludes: tuple[str, ...],
    declared: tuple[str, ...],
    spark: SparkHome,
    java: Java,
    store: JarStore,
    offline: bool,
) -> dict[str, JarPin]:
    """What Ivy makes of the roots, every jar of it in the store."""
    found = closure(
        roots,
        excludes=excludes,
        program=spark.ivy,
        java=java,
        sources=store.sources,
        cache=store.folder / "ivy",
        offline=offline,
    )
    if found.unresolved:
        raise _unresolvable(found.unresolved, declared, store, offline)
    for artifact in found.artifacts:
        if not is_zipfile(artifact.file):  # a proxy's error page that came with status 200
            raise ServiceError(
                f"{artifact.coordinate} was downloaded, but is not a jar", hint=f"delete {artifact.file} and try again"
            )
    return {artifact.coordinate: store.add(artifact.coordinate, artifact.file) for artifact in found.artifacts}


def implied_packages(formats: Iterable[str], spark: SparkHome) -> tuple[str, ...]:
    """What datasets of these formats need that this Spark does not bring: Avro's reader, before Spark 4.2."""
    if "avro" not in formats:
        return ()
    with ZipFile(spark.folder / "jars" / f"spark-sql_{spark.scala}-{spark.version}.jar") as classes:
        bundled = _AVRO in classes.namelist()
    return () if bundled else (f"org.apache.spark:spark-avro_{spark.scala}:{spark.version}",)


def listener_among(pin: JarsPin | None, files: Sequence[Path]) -> Path | None:
    """The listener's jar among a pin's files, None where it is not pinned."""
    pairs = zip(pin.jar, files, strict=True) if pin else ()
    return next((file for jar, file in pairs if _is_listener(jar.coordinate)), None)


def _is_listener(coordinate: str) -> bool:
    return coordinate.startswith(f"{LISTENER}_")


def _roots(packages: Sequence[str], spark: SparkHome, s3a: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What Ivy is asked for, and what it leaves out."""
    roots = dict.fromkeys(packages)
    excludes = [*_EXCLUDES, *(f"org.apache.spark:{module}" for module in spark.modules)]
    for coordinate in packages:
        module, _, version = coordinate.rpartition(":")
        if version.endswith("-SNAPSHOT"):
            raise UsageError(
                f'spark.packages: "{coordinate}" is a snapshot, whose bytes change under its name',
                hint="name a released version",
            )
        if module == HADOOP_AWS:
            s3a = True
            if version != spark.hadoop:
                raise UsageError(
                    f'spark.packages: "{coordinate}" does not fit pyspark {spark.version}, which brings Hadoop {spark.hadoop}',
                    hint=f'write "{HADOOP_AWS}:{spark.hadoop}", or leave it out: S3A comes with a lakeFS lake',
                )
    if s3a:
        roots[f"{HADOOP_AWS}:{spark.hadoop}"] = None
        sdk, version = _SDKS.get(spark.hadoop, (None, ""))
        if sdk is not None and not any(coordinate.startswith(f"{sdk.bundle}:") for coordinate in packages):
            roots |= dict.fromkeys(f"{module}:{version}" for module in sdk.modules)
            excludes.append(sdk.bundle)
    return tuple(roots), tuple(excludes)


def _unresolvable(
    unresolved: Sequence[Unresolved], declared: tuple[str, ...], store: JarStore, offline: bool
) -> UsageError | ServiceError:
    """Ivy calls a module "not found" when a repository is down as well: the repositories are asked once more."""
    first = min(unresolved, key=lambda item: (item.coordinate not in declared, item.coordinate))
    what = f'"{first.coordinate}" (spark.packages)' if first.coordinate in declared else f'"{first.coordinate}"'
    if first.callers and first.coordinate not in declared:
        what += f", which {first.callers[0]} needs,"
    if offline:
        return ServiceError(
            f"{what} is not in the store, and --offline does not download it", hint="run once without --offline"
        )
    with TemporaryFile() as scratch:
        known = fetch(store.sources, path_of(first.coordinate, "pom"), scratch)
    asked = ", ".join(str(source) for source in store.sources)
    if known is None:
        return UsageError(
            f"{what} is in no repository: asked {asked}",
            hint='check the spelling; further repositories are named by "spark.jars.repositories" in [spark] conf',
        )
    return UsageError(f"{what} cannot be resolved: {first.reason}", hint=f"look at what {known} has of it")
