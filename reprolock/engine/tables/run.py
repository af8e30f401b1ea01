"""Start Spark once to digest tables or to compare pairs of them.

In: tables on this machine's disk, the run's Python and its environment. Out: a digest or a comparison for
each, or the reason why there is none. One short process does all of them, because starting a
JVM costs more than most tables do.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from reprolock.engine.process import execute
from reprolock.errors import Interrupted, MachineError
from reprolock.files.os_errors import cannot_write
from reprolock.model.spec import OutputSpec
from reprolock.model.table import Column, ColumnDeviation, TableComparison, TableDigest, TableProblem, table_digest
from reprolock.model.uri import percent_encoded
from reprolock.script import SPARK_FORMATS, literal_path

_SCRIPTS = ("script.py", "row_encoding.py", "sums.py")
_CONNECT = ("SPARK_REMOTE", "SPARK_CONNECT_MODE_ENABLED")
_FILES = ("binary", "image")


class Table(NamedTuple):
    """A table on disk: a file or folder, how Spark reads it, and columns that are left out.

    One that Spark wrote elsewhere has that address as its `url`.
    """

    path: Path
    format: str
    options: Mapping[str, str] = {}
    ignore: tuple[str, ...] = ()
    url: str | None = None

    @classmethod
    def declared(cls, output: OutputSpec, path: Path, url: str | None = None) -> Table:
        """The table that an output with compare = "table" is, at the path where it is."""
        return cls(path, output.format or "", output.options, output.ignore, url)

    def _task(self) -> dict[str, Any]:
        path = self.path.absolute().as_posix()
        url = literal_path(self.url or f"file://{'' if path.startswith('/') else '/'}{path}", self.format)
        kind = SPARK_FORMATS.get(self.format, self.format)
        return {"url": url, "format": kind, "options": dict(self.options), "ignore": list(self.ignore)}


class Pair(NamedTuple):
    """A recorded table, with the digest that the record has of it, and the one that was found."""

    recorded: Table
    digest: str
    found: Table
    rel: float = 0.0
    abs: float = 0.0


def digest_tables(
    tables: Mapping[str, Table], *, python: Path, environ: Mapping[str, str], folder: Path
) -> dict[str, TableDigest | TableProblem]:
    """A digest of each table, by the name it is given.

    `python` is an interpreter with pyspark, `environ` the whole environment of a run (SPARK_CONF_DIR brings
    its jars and settings), `folder` where working files may stand for the time being. MachineError when
    Spark does not start, Interrupted on a signal.
    """
    tasks = [_task(name, table) for name, table in tables.items() if table.format not in _FILES]
    answers = _answers(tasks, python, environ, folder)
    return {name: _digested(table, answers.get(name, {})) for name, table in tables.items()}


def compare_tables(
    pairs: Mapping[str, Pair], *, python: Path, environ: Mapping[str, str], folder: Path
) -> dict[str, TableComparison | TableProblem]:
    """Each pair side by side, its numbers within the tolerance. Arguments and errors as of `digest_tables`.

    What is at the recorded table's path counts only if it still has the recorded digest.
    """
    tasks = [
        _task(name, pair.recorded, pair.found, pair.rel, pair.abs)
        for name, pair in pairs.items()
        if pair.found.format not in _FILES
    ]
    answers = _answers(tasks, python, environ, folder)
    return {name: _compared(pair, answers.get(name, {})) for name, pair in pairs.items()}


def _task(name: str, table: Table, other: Table | None = None, rel: float = 0.0, abs_: float = 0.0) -> dict[str, Any]:
    tables = [each._task() for each in (table, other) if each is not None]
    return {"name": name, "tables": tables, "rel": rel, "abs": abs_}


def _answers(tasks: list[dict[str, Any]], python: Path, environ: Mapping[str, str], folder: Path) -> dict[str, Any]:
    """What script.py says. It runs as a copy, in an empty folder: what stands beside it is imported first."""
    if not tasks:
        return {}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix="tables-", dir=folder, ignore_cleanup_errors=True) as name:
            place = Path(name)
            for script in _SCRIPTS:
                shutil.copy(Path(__file__).with_name(script), place / script)
            (place / "tasks.json").write_text(json.dumps(tasks), "utf-8")
            return _run(place, python, {name: value for name, value in environ.items() if name not in _CONNECT})
    except OSError as error:
        raise cannot_write(Path(error.filename or folder), error) from error


def _run(place: Path, python: Path, environ: Mapping[str, str]) -> dict[str, Any]:
    answer = place / "answer.json"
    argv = [str(python), _SCRIPTS[0], "tasks.json", answer.name, "spark.log"]
    ending = execute(argv, cwd=place, environ=environ, timeout_seconds=None, clock=lambda: datetime.now(UTC))
    if ending.status == "KILLED" and ending.signal is not None:
        raise Interrupted(f"interrupted ({ending.reason}) while tables were compared", signal_number=ending.signal)
    answers = json.loads(answer.read_text("utf-8")) if answer.exists() else {"problem": ending.reason}
    if isinstance(answers.get("problem"), str):
        raise MachineError(
            f"Spark could not digest tables: {answers['problem']}",
            hint="`reprolock doctor` checks Java; pyspark must be among environment.packages",
        )
    return answers


def _digested(table: Table, answer: dict[str, Any]) -> TableDigest | TableProblem:
    return _problem(table, answer) or _digest(answer["digests"][0])


def _compared(pair: Pair, answer: dict[str, Any]) -> TableComparison | TableProblem:
    if problem := _problem(pair.found, answer):
        return problem
    recorded, found = (_digest(each) for each in answer["digests"])
    if recorded.digest != pair.digest:
        return TableProblem(f"{pair.recorded.path.name}: what is there is not the table that was recorded")
    sides = answer["comparison"] or {"only_recorded": recorded.rows, "only_found": found.rows, "columns": []}
    columns = tuple(ColumnDeviation(*column) for column in sides["columns"])
    return TableComparison(recorded, found, sides["only_recorded"], sides["only_found"], columns)


def _problem(table: Table, answer: dict[str, Any]) -> TableProblem | None:
    """The reason why there are no numbers, without the path of this machine's folders."""
    name = table.path.name
    if table.format in _FILES:
        return TableProblem(f'{name} is not a table: {table.format} is a format of files; write compare = "bytes"')
    if "problem" not in answer:
        return None
    path = table.path.absolute().as_posix().lstrip("/")
    written = "|".join(map(re.escape, (path, literal_path(path, table.format), percent_encoded(path))))
    sentence = re.sub(rf"(file:)?/*({written})", lambda _: name, answer["problem"])
    return TableProblem(
        f"{name} cannot be compared as a {table.format} table: {sentence}", answer.get("machine", False)
    )


def _digest(numbers: dict[str, Any]) -> TableDigest:
    columns = tuple(Column(name=name, type=kind, sum=f"{hint % 2**64:016x}") for name, kind, hint in numbers["columns"])
    return table_digest(numbers["rows"], columns, tuple(numbers["sums"]))
