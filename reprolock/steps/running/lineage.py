"""Build a `Lineage` from what Spark reported: reads are compared with the datasets, sessions with the lock.

1. A read below a dataset's address at its commit, or below its local tree, is of that dataset.
2. A read of the code that is recorded, of the run's own folder, of what Spark wrote before, or of a temporary file
   that is younger than the run, is the run's own.
3. A read of the lake at anything but a commit is of a ref that moves. All else is undeclared.
"""

from __future__ import annotations

import os
import posixpath
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from urllib.parse import unquote

from reprolock.engine.cluster.settings import SHIPPED
from reprolock.engine.spark_listener import EVENTS, LOG, Seen, Session, seen
from reprolock.errors import ReprolockError
from reprolock.files.secrets import Scanner
from reprolock.model.lineage import NOT_OBSERVED, Lineage, Read, Write
from reprolock.model.lock import DatasetPin
from reprolock.model.outcome import Ending
from reprolock.model.spec import Spec
from reprolock.model.spec_spark import is_connect
from reprolock.model.uri import is_under
from reprolock.model.workspace import SparkPlan, Workspace
from reprolock.steps.publishing.run_branches import Publication

_DECIDES = (
    *(
        "spark.sql.",
        "spark.databricks.delta.",
        "spark.ml.",
        "spark.default.parallelism",
        "spark.master",
        "spark.plugins",
    ),
    *("spark.jars.packages", "spark.submit.pyFiles", "spark.files", "spark.hadoop.parquet.", "spark.hadoop.mapreduce."),
    *("spark.driver.extraClassPath", "spark.executor.extraClassPath", "spark.pyspark."),
)
"""Settings, by their beginnings, that may change a result when a script sets them itself."""
_DECIDES_NOTHING = (
    *(
        "spark.sql.warehouse.dir",
        "spark.sql.catalogImplementation",
        "spark.sql.artifact.isolation.enabled",
        "spark.sql.ui.",
    ),
    *("spark.sql.parquet.fieldId.", "spark.databricks.delta.lastCommitVersionInSession"),
)
"""Those among them that Spark and Delta set themselves."""
_MLFLOWS_OWN = "spark.databricks.io.cache.enabled"
"""Set where MLflow tries a model that was logged, in a process and a session of its own; the run's results are none of it."""
_WARNINGS = 5
"""How many undeclared reads are warned of one by one."""
_COMMIT = re.compile(r"[0-9a-f]{64}")


def observe(
    workspace: Workspace, pins: Iterable[DatasetPin], publication: Publication | None, started: datetime
) -> Lineage:
    """Read what the run's sessions left in its folder. A run without Spark was not observed, and says so.

    `started` is when the command was started: what is younger was not there before it.
    """
    plan = workspace.spark
    if plan is None:
        return Lineage(coverage=NOT_OBSERVED)
    try:
        found = seen(workspace.folder)
        shutil.rmtree(workspace.folder / LOG, ignore_errors=True)  # long, and all that matters of it is read
    except OSError as error:  # a run that has ended is not lost for it
        return Lineage(
            coverage=f"what Spark reported cannot be read: {(error.strerror or str(error)).lower()}; {NOT_OBSERVED}"
        )
    places = _Places(workspace, tuple(pins), publication, found, started)
    reads = {(read.uri, read.kind): read for read in map(places.read, found.reads)}
    # Spark looks into one file for its columns, and reads the folder that it stands in.
    reads = {key: read for key, read in reads.items() if not any(_is_inside(read, other) for other in reads.values())}
    return Lineage(
        coverage=_coverage(plan, found),
        observed=found.started > 0,
        sessions=max(found.started, len(found.sessions)),
        reads=tuple(reads[key] for key in sorted(reads)),
        writes=tuple(places.write(write.address, write.columns) for write in found.writes),
        unlocked=tuple(_find_unlocked(plan, found.sessions)),
    )


def judge(ending: Ending, lineage: Lineage, spec: Spec, warn: Callable[[str], None]) -> Ending:
    """Warn of undeclared reads; with `undeclared_reads = "error"` they are a failure, as is a run that was not observed."""
    undeclared = [read.sentence for read in lineage.undeclared]
    problems = undeclared or ([] if lineage.observed else [lineage.coverage])
    if problems and spec.spark and spec.run.undeclared_reads == "error" and ending.status == "FINISHED":
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        return ending._replace(
            status="FAILED", reason=f'exit code 0, but {problems[0]}{more}; run.undeclared_reads is "error"'
        )
    for sentence in undeclared[:_WARNINGS]:
        warn(sentence)
    if len(undeclared) > _WARNINGS:
        warn(
            f"Spark read {len(undeclared) - _WARNINGS} more locations that no dataset declares; `reprolock show` names them"
        )
    for sentence in lineage.unlocked:
        warn(f"outside the lock: {sentence}")
    return ending


def kept_events(folder: Path, scanner: Scanner, warn: Callable[[str], None]) -> dict[str, Path]:
    """What the listener wrote, as an artifact by its name; nothing where it contains a secret."""
    file = folder / EVENTS
    if not file.is_file():
        return {}
    try:
        scanner.check(file.read_bytes(), EVENTS, lines=False)
    except ReprolockError as error:
        warn(f"the list of what Spark read is not kept: {error.message}")
        file.unlink()
        return {}
    return {EVENTS: file}


def _coverage(plan: SparkPlan, found: Seen) -> str:
    if is_connect(plan.master):
        said = "reads and writes of Spark were not observed: a Connect server made them"
    elif not plan.watched:
        said = "Spark was not observed: the lock has no listener for it"
    elif not found.started and not found.sessions:
        said = "no Spark session was observed"
    elif not found.started:
        said = "reads and writes of Spark were not observed: the session has turned its listener off"
    elif len(found.sessions) < found.started:
        said = "reads and writes of Spark were observed, its settings were not: the session writes no event log, or one of its own"
    else:
        said = "Spark was observed"
    return f"{said}; {NOT_OBSERVED}"


class _Places:
    """Addresses as Spark has them, by what they are to the run."""

    def __init__(
        self,
        workspace: Workspace,
        pins: tuple[DatasetPin, ...],
        publication: Publication | None,
        found: Seen,
        started: datetime,
    ) -> None:
        self.work = workspace.work
        self.own = workspace.work if workspace.mode == "isolated" else None
        self.code = frozenset(workspace.code.files)
        self.outputs = dict(workspace.outputs)
        given = {item.name: item for item in workspace.inputs}
        self.datasets = [
            (address, pin)
            for pin in pins
            for address in {_plain(given[pin.name].url, self.work), _plain(f"file:{given[pin.name].path}", self.work)}
            if address != "file:None"
        ]
        self.commits = {(pin.place.repository, pin.commit) for pin in pins if pin.kind == "lakefs"}
        self.branches = (
            {f"s3://{branch.repository}/{branch.name}" for branch in publication.branches} if publication else set()
        )
        self.direct = {
            _plain(url, self.work): name for name in workspace.outputs if publication and (url := publication.url(name))
        }
        self.repositories = {repository for repository, _ in self.commits} | {
            name[5:].partition("/")[0] for name in self.branches
        }
        self.temporary = _plain(f"file:{workspace.environ.get('TMPDIR', '/tmp')}", self.work)
        self.started = started.timestamp()
        self.written = [_plain(write.address, self.work) for write in found.writes]

    def read(self, address: str) -> Read:
        """What a read is of."""
        place = _plain(address, self.work)
        pins = [
            (where, pin) for where, pin in self.datasets if is_under(place, where) or _is_of_object(place, where, pin)
        ]
        if pins:
            _, pin = max(pins, key=lambda item: len(item[0]))
            return Read(uri=pin.resolved, kind="dataset", dataset=pin.name)
        if self._is_own(place):
            return Read(uri=self._display(place), kind="own")
        bucket, _, key = place.removeprefix("s3://").partition("/")
        if place.startswith("s3://") and bucket in self.repositories:
            moving = not _COMMIT.fullmatch(key.partition("/")[0])
            return Read(uri=f"lakefs://{bucket}/{key}", kind="moving" if moving else "undeclared")
        return Read(uri=address, kind="undeclared")

    def write(self, address: str, columns: Mapping[str, tuple[tuple[str, str], ...]]) -> Write:
        """Which output a write is."""
        place = _plain(address, self.work)
        places = {_plain(f"file:{path}", self.work): name for name, path in self.outputs.items()} | self.direct
        output = next((name for where, name in places.items() if is_under(place, where)), None)
        sources = {
            column: tuple(f"{self.read(source).uri}#{name}" for source, name in found)
            for column, found in columns.items()
        }
        return Write(uri=self._display(place), output=output, columns=sources)

    def _is_own(self, place: str) -> bool:
        if any(is_under(place, where) for where in (*self.written, *self.branches)):
            return True
        if is_under(place, self.temporary) and _is_younger(_without_pattern(place), self.started):
            return True
        inside = _inside(place, self.work)
        if inside is None:
            return False
        outputs = (_inside(_plain(f"file:{path}", self.work), self.work) for path in self.outputs.values())
        return (
            self.own is not None
            or inside in self.code
            or any(output and is_under(inside, output) for output in outputs)
        )

    def _display(self, place: str) -> str:
        """Relative to the run's folder what stands in it: it is gone afterwards."""
        return _inside(place, self.work) or place


def _plain(address: str, work: Path) -> str:
    """One spelling of each location: s3a is s3, a local path is absolute, and its folder leads through no link."""
    scheme, colon, rest = address.partition(":")
    if colon and scheme in ("s3", "s3a", "s3n"):
        return f"s3:{rest.rstrip('/')}"
    if colon and scheme == "file":
        path = posixpath.normpath(posixpath.join(str(work), re.sub(r"^//(?=/)", "", rest)))
        # A file of a local tree may itself be a link into the cache.
        return f"file:{posixpath.join(os.path.realpath(posixpath.dirname(path)), posixpath.basename(path))}"
    return address


def _without_pattern(place: str) -> Path:
    """The local folder that a pattern starts from; a location without one as it is."""
    path = place.removeprefix("file:")
    return Path(posixpath.dirname(path[: found.start()] + "x") if (found := re.search(r"[*?\[{]", path)) else path)


def _is_younger(path: Path, started: float) -> bool:
    """Whether everything at a location was made after `started`, or is gone already. Times of inodes, which no program sets."""
    try:
        if not path.is_dir():
            return path.stat().st_ctime >= started
        return all(file.stat().st_ctime >= started for file in path.rglob("*") if file.is_file())
    except FileNotFoundError:
        return True
    except OSError:
        return False


def _is_inside(read: Read, other: Read) -> bool:
    return read.kind == other.kind != "dataset" and read.uri != other.uri and is_under(read.uri, other.uri)


def _inside(place: str, folder: Path) -> str | None:
    """The path of a local location relative to a folder around it."""
    root = _plain(f"file:{folder}", folder)
    return place[len(root) + 1 :] or "." if place.startswith("file:") and is_under(place, root) else None


def _is_of_object(place: str, where: str, pin: DatasetPin) -> bool:
    """Of an RDD over a single object, the folder that it stands in is reported."""
    return pin.objects == 1 and posixpath.dirname(where) == place


def _find_unlocked(plan: SparkPlan, sessions: Iterable[Session]) -> Iterator[str]:
    """Jars and settings that are not those of the lock and of repro.toml, each once."""
    locked = {unquote(path.name) for path in plan.jars}
    # Spark lists archives among the jars; that of the locked environment is the run's own.
    archives = plan.given.get("spark.archives", "").split(",")
    locked |= {unquote(posixpath.basename(item)) for item in archives if item.endswith(f"#{SHIPPED}")}
    settings: dict[str, set[str]] = {}
    jars: set[str] = set()
    for session in sessions:
        jars |= {unquote(posixpath.basename(address)) for address in session.jars} - locked
        for name, values in session.settings.items() if _MLFLOWS_OWN not in session.settings else ():
            if name.startswith(_DECIDES) and not name.startswith(_DECIDES_NOTHING):
                settings.setdefault(name, set()).update(values - {plan.given.get(name), ""})
    for name in sorted(jars):
        yield f"jar {name}, not locked"
    for name, others in sorted(settings.items()):
        was = f'locked "{plan.given[name]}"' if name in plan.given else "not locked"
        for value in sorted(others):
            yield f'{name} "{value}", {was}'
