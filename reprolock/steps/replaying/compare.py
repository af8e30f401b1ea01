"""Compare two runs into a Verdict: each declared output and metric by the rule that the recorded run declared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path

from reprolock.engine.tables.run import Pair, Spark, Table, compare_tables
from reprolock.errors import MachineError, NotReplayable
from reprolock.model.changes import differing
from reprolock.model.digest import digest_of
from reprolock.model.executors import executor_differences, server_remarks
from reprolock.model.json_compare import compare_json, json_digest
from reprolock.model.record import ChildRecord, EnvironmentRecord, OutputRecord, Record
from reprolock.model.sections import SECTIONS, deciding_settings, pinned_spark
from reprolock.model.spec import OutputSpec
from reprolock.model.spec_spark import CONNECT
from reprolock.model.table import TableComparison, table_differences
from reprolock.model.verdict import (
    Comparison,
    Measured,
    Verdict,
    compare_metric,
    compare_output,
    not_replayable,
    verdict,
)
from reprolock.model.words import counted
from reprolock.steps.recording.kept_outputs import unpack
from reprolock.steps.recording.load import Recorded


def compare(
    recorded: Recorded,
    replay: Record,
    folder: Path,
    *,
    python: Path,
    environ: Mapping[str, str],
    unmeasured: Collection[str] = (),
    master: str | None = None,
) -> Verdict:
    """`folder` is where the replay's outputs stand; `python` and `environ` are its command's, for Spark.

    `unmeasured` names outputs of the replay that this machine could not digest. `master` is another one than the
    recorded run's, if the replay was asked to run there.
    """
    remarks = (*list_unlocked(recorded.record, replay, environ), *_beside(recorded))
    pinned = dict(recorded.record.pinned.sections)
    if master is not None and recorded.spec.spark is not None:
        pinned["spark"] = digest_of(pinned_spark(recorded.spec.spark, master))
    if other := [name for name in SECTIONS if replay.pinned.sections[name] != pinned[name]]:
        return not_replayable(f"what was rebuilt is not what was recorded: {', '.join(other)}", remarks)
    if changed := _changed_object(recorded.record, replay):
        return not_replayable(changed, remarks)
    if replay.status != "FINISHED":
        reason = replay.ending.reason if replay.ending else replay.status
        if replay.ending is None or replay.ending.exit_code is None:
            # A time-out or a lack of memory says something about this machine, and nothing about the result.
            return not_replayable(f"the replayed command was ended from outside: {reason}", remarks)
        return Verdict(
            kind="DIVERGED",
            reason=f"the replayed command ended differently: {reason}",
            differing=differing(replay, recorded.record),
            unlocked=remarks,
        )
    return verdict(
        (*_outputs(recorded, replay, folder, python, environ, unmeasured), *_metrics(recorded, replay)),
        differing(replay, recorded.record),
        remarks,
    )


def _changed_object(recorded: Record, replay: Record) -> str | None:
    """The first object that the replay was given other bytes of, though its lake names them by the same checksum."""
    known = {item.name: item.sha256 for item in recorded.datasets}
    for item in replay.datasets:
        before = known.get(item.name, {})
        for path, sha256 in item.sha256.items():
            if before.get(path, sha256) != sha256:
                return f"dataset {item.name}: the bytes of {path} are not those that the recorded run was given"
    return None


def _beside(recorded: Recorded) -> Iterator[str]:
    """What a verdict does not speak of."""
    outputs = recorded.spec.outputs.items()
    left_out = [name for name, output in outputs if output.compare == "none"]
    left_out += [f"{name}.{part}" for name, output in outputs for part in output.ignore]
    if left_out:
        yield f"not compared: {', '.join(left_out)}"
    if not recorded.vouched:
        yield "by a record that no MLflow here confirms"


def list_unlocked(recorded: Record, replay: Record, environ: Mapping[str, str]) -> Iterator[str]:
    """What was not locked, as remarks beside a verdict."""
    java = [record.spark.java if record.spark else None for record in (replay, recorded)]
    if java[0] != java[1] and None not in java:  # a Connect server's is among its executors
        yield f"on Java {java[0]}, recorded {java[1]}"
    if recorded.environment.python != replay.environment.python:
        yield f"on Python {replay.environment.python}, recorded {recorded.environment.python}"
    if recorded.environment.platform != replay.environment.platform:
        yield f"on {replay.environment.platform}, recorded {recorded.environment.platform}"
    yield from _of_host(recorded.environment, replay.environment)
    if recorded.environment.isolated and recorded.environment.wheels != replay.environment.wheels:
        count = len({name for name, _ in recorded.environment.wheels.items() ^ replay.environment.wheels.items()})
        yield f"{count} of {len(replay.environment.wheels)} packages installed from other files"
    if recorded.reprolock != replay.reprolock:
        yield f"by reprolock {replay.reprolock}, recorded by {recorded.reprolock}"
    if not recorded.environment.isolated:
        old, new = recorded.environment.packages, replay.environment.packages
        count = len({name for name, _ in old.items() ^ new.items()})
        yield "packages not locked" + (f", {count} differ" if count else ", none differ")
    if recorded.mode == "in-place":
        yield "recorded in the project's folder, where other files were too"
    if passed := [name for name in recorded.pass_env if name in environ]:
        yield f"{', '.join(passed)} passed through, with values that are not recorded"
    if missing := [name for name in recorded.pass_env if name not in environ]:
        yield f"{', '.join(missing)} not set here"
    yield from _of_spark(recorded, replay)
    known = {item.name: item.sha256 for item in recorded.datasets}
    for item in replay.datasets:
        if unsure := item.sha256.keys() - known.get(item.name, {}).keys():
            yield f"{item.name}: {counted(len(unsure), 'object')} checked by size alone"
    yield from _of_cluster(recorded, replay)


def _of_host(recorded: EnvironmentRecord, replay: EnvironmentRecord) -> Iterator[str]:
    """What of the machine moves the last digits of a sum, or the order of texts."""
    if recorded.cores is None or replay.cores is None:
        return  # an older record knows neither
    if recorded.cores != replay.cores:
        yield f"on {replay.cores} cores, recorded on {recorded.cores}"
    for name in sorted(recorded.locale.keys() | replay.locale.keys()):
        old, new = (side.locale.get(name) for side in (recorded, replay))
        if new is None:
            yield f"without {name}, recorded {old}"
        elif new != old:
            yield f"with {name}={new}, recorded {old or 'without'}"


def _of_cluster(recorded: Record, replay: Record) -> Iterator[str]:
    """Another master than the recorded one, and what a cluster's executors ran beside the lock."""
    if recorded.spark and replay.spark and recorded.spark.master != replay.spark.master:
        yield f"on {replay.spark.master}, recorded on {recorded.spark.master}"
    for who, record in (("recorded executors", recorded), ("executors", replay)):
        for sentence in executor_differences(record):
            yield f"{who} {sentence}"
    yield from server_remarks(recorded, replay)
    if recorded.spark and not recorded.spark.master.startswith(("local", "spark://", CONNECT)):
        yield f"the cluster {recorded.spark.master} not locked"


def _of_spark(recorded: Record, replay: Record) -> Iterator[str]:
    """Settings that differ, and what came from outside the lock, in the recorded run or in this one."""
    old, new = (deciding_settings(record.spark.conf) if record.spark else {} for record in (recorded, replay))
    if names := sorted({name for name, _ in old.items() ^ new.items()}):
        yield f"Spark's settings differ: {', '.join(names)}"
    brought = {name for record in (recorded, replay) if record.spark for name in record.spark.brought}
    if brought:
        yield f"not locked: {', '.join(sorted(brought))}"
    lineages = [record.lineage for record in (recorded, replay) if record.lineage]
    yield from sorted({f"outside the lock: {sentence}" for lineage in lineages for sentence in lineage.unlocked})
    yield from sorted({read.sentence for lineage in lineages for read in lineage.undeclared})


def _metrics(recorded: Recorded, replay: Record) -> Iterator[Comparison]:
    """Each declared metric, and where several MLflow runs of one command logged it, the value of each."""
    pairs = _pair(recorded.record.children, replay.children)
    for name, tolerance in recorded.spec.metrics.items():
        yield compare_metric(name, tolerance, recorded.record.metrics.get(name), replay.metrics.get(name))
        if not (_is_plain(name, recorded.record) and _is_plain(name, replay)):
            for label, old, new in pairs:
                values = [child.metrics.get(name) if child else None for child in (old, new)]
                if values != [None, None]:
                    yield compare_metric(f"{name} of {label}", tolerance, *values)


def _is_plain(name: str, record: Record) -> bool:
    """Whether one run at most logged a metric: then its value is that of the record."""
    values = [child.metrics[name] for child in record.children if name in child.metrics]
    return not values or len(values) == 1 and values[0] == record.metrics.get(name)


def _pair(
    before: Sequence[ChildRecord], after: Sequence[ChildRecord]
) -> list[tuple[str, ChildRecord | None, ChildRecord | None]]:
    """A command's MLflow runs beside those of its replay, with a name each: by names that are used once, else by order."""
    counts = [Counter(child.name for child in side) for side in (before, after)]
    alike = {name for name in counts[0] if counts[0][name] == counts[1][name] == 1}
    later = {child.name: child for child in after}
    rest = zip_longest(*([child for child in side if child.name not in alike] for side in (before, after)))
    pairs = [(child.name, child, later[child.name]) for child in before if child.name in alike]
    return [*pairs, *((f"run {number}", old, new) for number, (old, new) in enumerate(rest, 1))]


def _outputs(
    recorded: Recorded,
    replay: Record,
    folder: Path,
    python: Path,
    environ: Mapping[str, str],
    unmeasured: Collection[str],
) -> Iterator[Comparison]:
    before = {output.name: output for output in recorded.record.outputs}
    after = {output.name: output for output in replay.outputs}
    for name, declared in recorded.spec.outputs.items():
        if declared.compare == "none":
            continue
        old, new = before[name], after[name]
        beyond: tuple[str, ...] | None = None
        details: tuple[str, ...] = ()
        if old.compared != new.compared and old.compared and new.compared:
            beyond, details = _side_by_side(recorded, declared, old, new, folder, python, environ)
        yield compare_output(
            name,
            declared,
            Measured(old.compared, old.problem),
            Measured(new.compared, new.problem, of_the_machine=name in unmeasured),
            beyond=beyond,
            details=details,
            empty=_empty(old) and _empty(new),
        )


def _empty(output: OutputRecord) -> bool:
    """Whether it was written, and holds no file or no row."""
    return output.compared is not None and (output.table.rows == 0 if output.table else output.files == 0)


def _side_by_side(
    recorded: Recorded,
    declared: OutputSpec,
    old: OutputRecord,
    new: OutputRecord,
    folder: Path,
    python: Path,
    environ: Mapping[str, str],
) -> tuple[tuple[str, ...] | None, tuple[str, ...]]:
    """What lies beyond the tolerance (None: the recorded output is not at hand), and sentences on what differs."""
    details = table_differences(old.table, new.table) if old.table and new.table else ()
    if old.kept is None or Path(old.kept).name != old.kept:
        return None, details
    place = recorded.folder / "kept" / old.name
    try:
        unpack((recorded.folder / old.kept).read_bytes(), place)
    except (OSError, NotReplayable) as error:
        return None, (*details, str(error))
    was, found = place / Path(old.path).name, folder / new.path
    rel, abs_ = declared.rel or 0.0, declared.abs or 0.0
    if declared.compare == "json":
        try:
            document = was.read_bytes()
            if json_digest(document, declared.ignore) != old.compared:
                return None, (f"{old.kept} does not hold the document that was recorded",)
            found_differences = compare_json(document, found.read_bytes(), declared.ignore, rel, abs_)
        except (OSError, ValueError) as error:
            return None, (str(error),)
        return tuple(str(item) for item in found_differences), ()
    pair = Pair(Table.declared(declared, was), old.compared or "", Table.declared(declared, found), rel, abs_)
    spark = Spark(python, environ, folder, declared=recorded.spec.spark is not None)
    try:
        answer = compare_tables({old.name: pair}, spark)[old.name]
    except MachineError as error:
        return None, (error.message,)
    if isinstance(answer, TableComparison):
        return answer.differences, ()
    return None, (answer.sentence,)
