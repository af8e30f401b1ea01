"""Observe a Spark session through OpenLineage's listener and Spark's own event log.

The listener writes what Spark reads and writes to `EVENTS`, a line an event (openlineage.io, RunEvent 2). The
event log has each session's own environment report: its settings as they were in the end, its jars, and
what was changed while it ran; and the plan of each query with the files that it scans, for the listener passes
over some queries, such as sums over a Delta table. Both are files in the run's folder; a session that turns them off
is not seen.

Evidence of what was read, and no proof that nothing else was: `open()` in Python is seen by neither, of an RDD the
listener reports the folder alone, and a count that Delta answers from its log reads no data.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile, ZipFile

from reprolock.errors import MachineError

EVENTS = "openlineage.jsonl"
LOG = "spark-events"

_LISTENER = "io.openlineage.spark.agent.OpenLineageSparkListener"
_LISTENERS = "spark.extraListeners"
_CLASS_PATH = "spark.driver.extraClassPath"
_TRIMMERS = "io.openlineage.client.dataset.partition.trimmer."
_TRIMMED = ("Date", "KeyValue", "MultiDirDate", "YearMonth")
_ENABLED = "spark.eventLog.enabled"
_LOG4J = "org/apache/spark/log4j2-defaults.properties"
_REDACTED = "*********(redacted)"
_SCANNED = re.compile(r"\w+\(\d+ paths\)\[(.*)\]", re.DOTALL)
_BETWEEN = re.compile(r", (?=\.\.\.$|[a-z][a-z0-9+.-]*:/)")
_DELTA_LOG = "/_delta_log"


class Write(NamedTuple):
    """One location that Spark wrote. `columns`: column → (address, column) of each that it was made from."""

    address: str
    columns: Mapping[str, tuple[tuple[str, str], ...]]


class Session(NamedTuple):
    """One Spark session: settings that it ran under, every value that each had; the jars it was given, by address; the
    files and folders that its queries scan."""

    settings: Mapping[str, frozenset[str]]
    jars: frozenset[str]
    scanned: frozenset[str]


class Seen(NamedTuple):
    """What the listener and the event logs say. `sessions` is empty where no event log was written.

    `started` counts the sessions that the listener saw start. Addresses are as Spark has them: `file:/PATH`,
    `s3://BUCKET/KEY`, `NAMESPACE/NAME` of anything else; reads are sorted.
    """

    started: int
    reads: tuple[str, ...]
    writes: tuple[Write, ...]
    sessions: tuple[Session, ...]


class Watch(NamedTuple):
    """The listener's jar, the pyspark that it looks on, the run's folder, and the run's identity: `job` its project,
    `run` its ID as a UUID."""

    jar: Path
    pyspark: Path
    folder: Path
    job: str
    run: str

    def settings(self, conf: Mapping[str, str]) -> dict[str, str]:
        """What lets a session with the settings `conf` be watched. Makes the event log's folder, which Spark does not.

        The jar stands on the driver's class path: among `spark.jars` it is in another class loader than the
        connectors, of which it warns at every query. A user's own event log is left to the user.
        """
        if os.pathsep in str(self.jar):
            raise MachineError(
                f'{self.jar.parent} has "{os.pathsep}" in its path, and Java cannot load a jar from there',
                hint="set REPROLOCK_CACHE_DIR to another folder",
            )
        settings = {
            _LISTENERS: ",".join(filter(None, [conf.get(_LISTENERS), _LISTENER])),
            _CLASS_PATH: os.pathsep.join(filter(None, [str(self.jar), conf.get(_CLASS_PATH)])),
            "spark.openlineage.transport.type": "file",
            "spark.openlineage.transport.location": str(self.folder / EVENTS),
            "spark.openlineage.namespace": "reprolock",
            "spark.openlineage.parentJobNamespace": "reprolock",
            "spark.openlineage.parentJobName": self.job,
            "spark.openlineage.parentRunId": self.run,
            # Otherwise `…/day=2024-01-01` is reported as the folder above it.
            "spark.openlineage.dataset.disabledTrimmers": ";".join(f"{_TRIMMERS}{name}Trimmer" for name in _TRIMMED),
        }
        if conf.get(_ENABLED, "false").lower() != "true":
            (self.folder / LOG).mkdir(parents=True, exist_ok=True)
            settings |= {
                _ENABLED: "true",
                "spark.eventLog.dir": (self.folder / LOG).as_uri(),
                "spark.eventLog.compress": "true",
                "spark.eventLog.compression.codec": "zstd",
                "spark.eventLog.rolling.enabled": "false",
            }
        return settings

    def logging(self) -> str | None:
        """log4j2.properties as Spark's own are, but for the listener, which repeats every error of a query at length."""
        for jar in sorted((self.pyspark / "jars").glob("spark-co*.jar")):
            try:
                with ZipFile(jar) as classes:
                    defaults = classes.read(_LOG4J).decode()
            except (KeyError, BadZipFile):  # another jar has it, or Spark will say what is wrong with it
                continue
            return f"{defaults}\nlogger.listener.name = io.openlineage\nlogger.listener.level = off\n"
        return None


def seen(folder: Path) -> Seen:
    """Read what the sessions of a run have left in its folder. A line that a kill cut short is left out."""
    started, reads, writes = set[str](), set[str](), dict[str, Write]()
    for event in _lines(folder / EVENTS):
        match event:
            case {"run": {"runId": str(run)}, "inputs": list(inputs), "outputs": list(outputs)}:
                if _is_application(event):
                    started.add(run)
                reads.update(map(_address, inputs))
                for output in outputs:
                    _add(writes, _write(output))
    sessions = tuple(_session(log) for log in sorted((folder / LOG).glob("*")))
    if started:
        reads.update(*(session.scanned for session in sessions))
    return Seen(len(started), tuple(sorted(reads)), tuple(writes[name] for name in sorted(writes)), sessions)


def _is_application(event: Mapping[str, Any]) -> bool:
    return bool(event.get("job", {}).get("facets", {}).get("jobType", {}).get("jobType") == "APPLICATION")


def _address(dataset: Mapping[str, Any]) -> str:
    namespace, name = str(dataset.get("namespace", "")), str(dataset.get("name", ""))
    if namespace == "file":
        return f"file:{name}"
    return f"{_as_s3(namespace)}/{name.removeprefix('/')}"


def _as_s3(address: str) -> str:
    return re.sub(r"^s3[an]:", "s3:", address)


def _write(output: Mapping[str, Any]) -> Write:
    lineage = output.get("facets", {}).get("columnLineage", {}).get("fields", {})
    columns = {
        column: tuple(
            sorted({(_address(source), str(source.get("field"))) for source in fields.get("inputFields", ())})
        )
        for column, fields in lineage.items()
    }
    return Write(_address(output), columns)


def _add(writes: dict[str, Write], write: Write) -> None:
    """START and COMPLETE tell of the same write; the later one knows as much or more."""
    known = writes.get(write.address)
    writes[write.address] = write if known is None else Write(write.address, {**known.columns, **write.columns})


def _session(log: Path) -> Session:
    settings: dict[str, set[str]] = {}
    jars: set[str] = set()
    scanned: set[str] = set()
    for event in _log_lines(log):
        changed = event.get("Spark Properties") or event.get("modifiedConfigs") or {}
        for name, value in changed.items():
            if value != _REDACTED:
                settings.setdefault(name, set()).add(value)
        jars.update(path for path, how in event.get("Classpath Entries", {}).items() if how == "Added By User")
        scanned.update(_scanned(event.get("sparkPlanInfo") or {}))
    return Session({name: frozenset(values) for name, values in settings.items()}, frozenset(jars), frozenset(scanned))


def _scanned(plan: Mapping[str, Any]) -> Iterator[str]:
    """What a plan's scans read, "InMemoryFileIndex(2 paths)[s3a://…, s3a://…]": the first paths in full, of many the rest left
    out. Delta's own look into its log is none of the query's."""
    if found := _SCANNED.fullmatch(plan.get("metadata", {}).get("Location", "")):
        yield from (_as_s3(path) for path in _BETWEEN.split(found[1]) if path != "..." and _DELTA_LOG not in path)
    for child in plan.get("children", ()):
        yield from _scanned(child)


def _log_lines(log: Path) -> Iterator[dict[str, Any]]:
    """The environment reports, and what each query's session has changed; a long log is mostly other things."""
    import zstandard  # only where Spark ran

    with log.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True) as stream:
        rest = b""
        while chunk := _read(stream):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                if b'"SparkListenerEnvironmentUpdate"' in line[:80] or b'"modifiedConfigs"' in line:
                    yield json.loads(line)


def _read(stream: Any) -> bytes:
    import zstandard  # see _log_lines

    try:
        return bytes(stream.read(1 << 20))
    except zstandard.ZstdError:  # a killed session's log ends in the middle of a frame
        return b""


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    try:
        with path.open("rb") as file:
            for line in file:
                try:
                    yield json.loads(line)
                except ValueError:
                    continue
    except FileNotFoundError:
        return
