"""Measure a run's outputs for later comparison: digests of bytes, of tables, of JSON documents."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from reprolock.engine.tables.run import Spark, Table, digest_tables
from reprolock.errors import MachineError
from reprolock.files.atomic_write import write_whole
from reprolock.model.json_compare import json_digest
from reprolock.model.outcome import Output
from reprolock.model.record import OutputRecord
from reprolock.model.spec import OutputSpec, Spec
from reprolock.model.table import TableDigest, TableProblem
from reprolock.steps.recording.kept_outputs import pack


class Measured(NamedTuple):
    """The outputs for the record, and what is kept of them: artifact name → file.

    `unmeasured` names those whose problem is this machine's, and none of what the run wrote.
    """

    outputs: tuple[OutputRecord, ...]
    kept: Mapping[str, Path]
    unmeasured: frozenset[str] = frozenset()


def measure_outputs(
    outputs: tuple[Output, ...],
    spec: Spec,
    root: Path,
    folder: Path,
    *,
    python: Path,
    environ: Mapping[str, str],
    direct: Mapping[str, str] = {},
) -> Measured:
    """`root` is where the outputs stand, `folder` the run's own; `python` and `environ` are the command's, for Spark.

    `direct` has the addresses of those that Spark wrote to the lake, by name.

    What cannot be measured is data, a problem in the record: such an output can never be called reproduced.
    """
    tables = {
        output.name: Table.declared(spec.outputs[output.name], root / output.path, direct.get(output.name))
        for output in outputs
        if spec.outputs[output.name].compare == "table" and not output.missing
    }
    spark = Spark(python, environ, folder, declared=spec.spark is not None)
    digests = _table_digests(tables, spark) if tables else {}
    kept: dict[str, Path] = {}
    records = []
    for output in outputs:
        declared = spec.outputs[output.name]
        record = OutputRecord(
            name=output.name,
            path=output.path,
            compare=declared.compare,
            files=output.files,
            bytes=output.bytes,
            digest=output.digest,
            problem=output.problem if output.missing else None,
        )
        if not output.missing:
            if output.name in direct and declared.compare in ("bytes", "json"):
                update: dict[str, object] = {
                    "problem": f'{output.path} was written to the lake, not to its path; write compare = "table"'
                }
            else:
                update = _measure_comparable(record, declared, root, digests.get(output.name))
            record = record.replaced(update)
            if (name := _keep(record, declared, root / output.path, folder, kept)) is not None:
                record = record.replaced({"kept": name})
        records.append(record)
    unmeasured = frozenset(
        name for name, found in digests.items() if isinstance(found, TableProblem) and found.of_the_machine
    )
    return Measured(tuple(records), kept, unmeasured)


def _table_digests(tables: Mapping[str, Table], spark: Spark) -> Mapping[str, TableDigest | TableProblem]:
    try:
        return digest_tables(tables, spark)
    except MachineError as error:
        return {name: TableProblem(error.message, of_the_machine=True) for name in tables}


def _measure_comparable(
    record: OutputRecord, declared: OutputSpec, root: Path, table: TableDigest | TableProblem | None
) -> dict[str, object]:
    """The digest by which a replay compares, or why there is none."""
    match declared.compare:
        case "bytes":
            return {"compared": record.digest}
        case "json":
            try:
                return {"compared": json_digest((root / record.path).read_bytes(), declared.ignore)}
            except (OSError, ValueError) as error:
                return {"problem": f"{record.path} cannot be compared as JSON: {error}"}
        case "table" if isinstance(table, TableDigest):
            return {"compared": table.digest, "table": table}
        case "table":
            return {
                "problem": table.sentence
                if isinstance(table, TableProblem)
                else f"{record.path} is not on this machine"
            }
    return {}


def _keep(record: OutputRecord, declared: OutputSpec, path: Path, folder: Path, kept: dict[str, Path]) -> str | None:
    """Documents, and tables that have a tolerance, are kept while they are small: two digests cannot be subtracted."""
    tolerant = declared.compare == "table" and (declared.rel or declared.abs)
    if record.compared is None or not (tolerant or declared.compare == "json") or not path.exists():
        return None
    data = pack(path)
    if data is None:
        return None
    name = f"output-{record.name}.tar.gz"
    kept[name] = folder / name
    write_whole(kept[name], data)
    return name
