"""Resolve Maven coordinates to the whole transitive set of files, as Spark's own `--packages` would.

Runs the Ivy that pyspark carries, as a program: no Spark session and no py4j. Ivy keeps what it has
read in a cache of its own, which two processes may share; ~/.m2 and ~/.ivy2 are not looked at. Keys of
repositories reach Ivy by variables, never by a file or an argument.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from reprolock.environment.jvm.java import Java
from reprolock.environment.jvm.maven import Repository, realm
from reprolock.errors import MachineError, UsageError
from reprolock.files.os_errors import cannot_write

_JVM = ("-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
# Without these two Ivy asks for two more files a module, which are not needed.
_LOOKUPS = ("-Divy.maven.lookup.sources=false", "-Divy.maven.lookup.javadoc=false")


class Artifact(NamedTuple):
    """One resolved jar: `GROUP:ARTIFACT:VERSION[:CLASSIFIER]`, and Ivy's copy of it."""

    coordinate: str
    file: Path


class Unresolved(NamedTuple):
    """A module that Ivy did not get: its coordinate, those that need it, and Ivy's word for the reason."""

    coordinate: str
    callers: tuple[str, ...]
    reason: str


class Closure(NamedTuple):
    """What Ivy answers: all artifacts, or what is missing of them."""

    artifacts: tuple[Artifact, ...]
    unresolved: tuple[Unresolved, ...]


def closure(
    roots: Sequence[str],
    *,
    excludes: Iterable[str],
    program: Path,
    java: Java,
    sources: Sequence[Repository],
    cache: Path,
    offline: bool = False,
) -> Closure:
    """Resolve `roots` (GROUP:ARTIFACT:VERSION) without `excludes` (GROUP:ARTIFACT, "*" for any group).

    `program` is Ivy's jar, `cache` its folder. Offline, no service is asked: what is not in the cache is
    unresolved. MachineError when Ivy itself fails, UsageError for a file that is not a jar.
    """
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache, prefix="resolve-") as folder:
            return _run(
                Path(folder), roots, tuple(excludes), program, java, () if offline else sources, cache, len(sources)
            )
    except OSError as error:
        raise cannot_write(cache, error) from error


def _run(
    folder: Path,
    roots: Sequence[str],
    excludes: tuple[str, ...],
    program: Path,
    java: Java,
    sources: Sequence[Repository],
    cache: Path,
    names: int,
) -> Closure:
    settings, keys = _settings(folder, sources, cache, names)
    _write(folder / "ivysettings.xml", settings)
    _write(folder / "ivy.xml", _module(roots, excludes))
    command = [str(java.executable), *_JVM, *_LOOKUPS, *_proxy(), "-jar", str(program)]
    command += ["-settings", str(folder / "ivysettings.xml"), "-ivy", str(folder / "ivy.xml"), "-error"]
    done = subprocess.run(
        command, env=os.environ | keys, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace"
    )
    report = folder / "resolution" / "reprolock-closure-default.xml"
    if not report.is_file():
        said = [
            line.strip()
            for line in (done.stderr + done.stdout).splitlines()
            if re.search("error|exception", line, re.I)
        ]
        raise MachineError(
            f"Ivy, which resolves the jars, ended with code {done.returncode}: {(said or ['it said nothing'])[0][:200]}",
            hint=f"run `{java.executable} -version`; if Java works, remove {cache} and try again",
        )
    return _read(ElementTree.parse(report).getroot())


def _settings(folder: Path, sources: Sequence[Repository], cache: Path, names: int) -> tuple[Element, dict[str, str]]:
    """Ivy's settings, and the variables that hold the credentials to which they refer."""
    root = Element("ivysettings")
    SubElement(root, "properties", environment="env")
    SubElement(root, "settings", defaultResolver="all")
    keys: dict[str, str] = {}
    for index, source in enumerate(sources):
        asked = realm(source) if source.user else None
        if asked is not None:
            user, password = f"REPROLOCK_MAVEN_USER_{index}", f"REPROLOCK_MAVEN_PASSWORD_{index}"
            keys |= {user: source.user or "", password: source.password or ""}
            host = urlsplit(source.url).hostname or ""
            references = {"username": f"${{env.{user}}}", "passwd": f"${{env.{password}}}"}
            SubElement(root, "credentials", {"host": host, "realm": asked, **references})
    resolution = str(folder / "resolution")
    SubElement(
        root, "caches", lockStrategy="artifact-lock-nio", defaultCacheDir=str(cache), resolutionCacheDir=resolution
    )
    limits = SubElement(root, "timeout-constraints")
    SubElement(limits, "timeout-constraint", name="patience", connectionTimeout="15000", readTimeout="60000")
    chain = SubElement(SubElement(root, "resolvers"), "chain", name="all", returnFirst="true")
    nowhere = (folder / "nowhere").as_uri() + "/"
    for index in range(names):
        # Ivy knows what is in its cache by the resolver's name: offline they stand for an empty folder.
        url = sources[index].url if sources else nowhere
        # No .sha1 is asked for beside each file: that halves the time of a first resolution, and a checksum out
        # of the same repository proves no more than TLS and the length do.
        form = {"m2compatible": "true", "usepoms": "true", "checksums": "", "timeoutConstraint": "patience"}
        SubElement(chain, "ibiblio", {"name": f"repository-{index}", "root": url, **form})
    return root, keys


def _module(roots: Sequence[str], excludes: tuple[str, ...]) -> Element:
    root = Element("ivy-module", version="2.0")
    SubElement(root, "info", organisation="reprolock", module="closure")
    SubElement(SubElement(root, "configurations"), "conf", name="default")
    SubElement(root, "publications")
    dependencies = SubElement(root, "dependencies")
    for coordinate in roots:
        group, artifact, version = coordinate.split(":")
        SubElement(dependencies, "dependency", org=group, name=artifact, rev=version, conf="default->default(runtime)")
    for pair in excludes:
        group, artifact = pair.split(":")
        SubElement(dependencies, "exclude", org=group, module=artifact)
    return root


def _write(path: Path, root: Element) -> None:
    path.write_bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True))


def _proxy() -> list[str]:
    """The proxies that the environment names, as Java wants to hear of them; it does not look there itself."""
    options = []
    for scheme, address in urllib.request.getproxies().items():
        parts = urlsplit(address if "//" in address else f"//{address}")
        if scheme in ("http", "https") and parts.hostname:
            options += [f"-D{scheme}.proxyHost={parts.hostname}", f"-D{scheme}.proxyPort={parts.port or 80}"]
    bypass = [
        host.strip() for host in os.environ.get("no_proxy", os.environ.get("NO_PROXY", "")).split(",") if host.strip()
    ]
    if options and bypass:
        options.append(
            "-Dhttp.nonProxyHosts=" + "|".join(f"*{host}" if host.startswith(".") else host for host in bypass)
        )
    return options


def _read(report: Element) -> Closure:
    artifacts: list[Artifact] = []
    unresolved: list[Unresolved] = []
    for module in report.iterfind("dependencies/module"):
        for revision in module.iterfind("revision"):
            if revision.get("evicted"):
                continue
            coordinate = f"{module.get('organisation')}:{module.get('name')}:{revision.get('name')}"
            callers = tuple(
                f"{caller.get('organisation')}:{caller.get('name')}:{caller.get('callerrev')}"
                for caller in revision.iterfind("caller")
                if caller.get("organisation") != "reprolock"
            )
            if revision.get("error"):
                unresolved.append(Unresolved(coordinate, callers, revision.get("error", "")))
            for artifact in revision.iterfind("artifacts/artifact"):
                if artifact.get("status") == "failed":
                    unresolved.append(Unresolved(coordinate, callers, artifact.get("details", "") or "not found"))
                else:
                    artifacts.append(_artifact(coordinate, artifact))
    return Closure(tuple(sorted(artifacts)), tuple(unresolved))


def _artifact(coordinate: str, artifact: Element) -> Artifact:
    if artifact.get("ext") != "jar":
        raise UsageError(
            f"{coordinate} is a .{artifact.get('ext')} file, and Spark takes only jars",
            hint="remove it from spark.packages",
        )
    group, _, version = coordinate.split(":")
    # The report does not state a classifier; the name of the file in Ivy's cache does.
    file = Path(artifact.get("location", ""))
    classifier = file.stem.removeprefix(f"{artifact.get('name')}-{version}").removeprefix("-")
    return Artifact(":".join(filter(None, (group, artifact.get("name"), version, classifier))), file)
