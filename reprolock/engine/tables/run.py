"""Digest tables, or compare pairs of them: without a JVM, or in Spark.

In: tables on this machine's disk, the run's Python and its environment. Out: a digest or a comparison for
each, or the reason why there is none. The digest is the same, whatever computed it:

1. of JSON it is over the documents (`documents`), which no Spark reads,
2. in a project without Spark it is computed here (`arrow_tables`),
3. else, and where only Spark reads a table and pyspark is there, by Spark. One short process does all of them, because
   starting a JVM costs more than most tables do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, TypeVar

from reprolock.engine.cluster.connect import SETTINGS
from reprolock.engine.session_script import ask_script
from reprolock.engine.tables import documents
from reprolock.engine.tables.source import reason_of, source_of
from reprolock.errors import MachineError, UsageError
from reprolock.model.spec import OutputSpec
from reprolock.model.table import Column, ColumnDeviation, TableComparison, TableDigest, TableProblem, table_digest
from reprolock.model.uri import percent_encoded
from reprolock.script import SPARK_FORMATS, literal_path

_SCRIPTS = [Path(__file__).with_name(name) for name in ("script.py", "reading.py", "row_encoding.py", "sums.py")]
_CONNECT = ("SPARK_REMOTE", "SPARK_CONNECT_MODE_ENABLED")
_FILES = ("binary", "image")
_NEEDS = {"avro": ("fastavro",), "delta": ("deltalake",)}
"""Packages beside pyarrow and duckdb that read a format without a JVM."""

_T = TypeVar("_T")


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


class Spark(NamedTuple):
    """Where Spark may run: `python` is an interpreter, `environ` the whole environment of a run (SPARK_CONF_DIR brings its
    jars and settings), `folder` where working files may stand for the time being. `declared`: the project has [spark]."""

    python: Path
    environ: Mapping[str, str]
    folder: Path
    declared: bool = True

    @property
    def is_there(self) -> bool:
        """Whether the project uses Spark, or the interpreter has pyspark."""
        home = self.python.parent.parent
        return self.declared or any(home.glob("lib/python*/site-packages/pyspark/__init__.py"))


def digest_tables(tables: Mapping[str, Table], spark: Spark) -> dict[str, TableDigest | TableProblem]:
    """A digest of each table, by the name it is given. MachineError when Spark does not start, Interrupted on a signal."""
    found = {name: _digest_here(table, spark) for name, table in tables.items()}
    left = {name: tables[name] for name, digest in found.items() if digest is None}
    answers = _answers([_task(name, table) for name, table in left.items()], spark)
    return {
        name: digest if digest is not None else _digested(tables[name], answers[name]) for name, digest in found.items()
    }


def compare_tables(pairs: Mapping[str, Pair], spark: Spark) -> dict[str, TableComparison | TableProblem]:
    """Each pair side by side, its numbers within the tolerance. Errors as of `digest_tables`.

    What is at the recorded table's path counts only if it still has the recorded digest.
    """
    found = {name: _compare_here(pair, spark) for name, pair in pairs.items()}
    left = {name: pairs[name] for name, comparison in found.items() if comparison is None}
    tasks = [_task(name, pair.recorded, pair.found, pair.rel, pair.abs) for name, pair in left.items()]
    answers = _answers(tasks, spark)
    return {
        name: comparison if comparison is not None else _compared(pairs[name], answers[name])
        for name, comparison in found.items()
    }


def refuse_table(table: Table, spark: bool) -> str | None:
    """Why a table of this declaration could be compared by nothing here, whatever is in it; None where it can be.

    `spark`: the project declares Spark, or locks pyspark.
    """
    if table.format in _FILES:
        return f'{table.format} is not a format of tables; write compare = "bytes"'
    if spark or table.format == "json":
        return None
    needed = ("pyarrow", "duckdb", *_NEEDS.get(table.format, ()))
    missing = [package for package in needed if find_spec(package) is None]
    what = f"without [spark], {table.format} is read by {' and '.join(missing)}"
    return f"{what}, which this reprolock lacks; install reprolock[tables]" if missing else None


def _digest_here(table: Table, spark: Spark) -> TableDigest | TableProblem | None:
    """The digest, or why there is none; None where Spark has to be asked."""
    if table.format in _FILES:
        return _not_comparable(table, None)
    if table.format == "json":
        return _digest_documents(table, spark)
    if spark.declared or table.url:
        return None
    return _without_jvm(table, spark, lambda arrow: arrow.digest_table(source_of(*table[:3]), table.ignore))


def _compare_here(pair: Pair, spark: Spark) -> TableComparison | TableProblem | None:
    """As `_digest_here`, of two tables."""
    if pair.found.format in _FILES:
        return _not_comparable(pair.found, None)
    digests = [_digest_here(table, spark) for table in (pair.recorded, pair.found)]
    for digest in digests:
        if digest is None or isinstance(digest, TableProblem):
            return digest
    recorded, found = digests
    assert isinstance(recorded, TableDigest) and isinstance(found, TableDigest)
    if recorded.digest != pair.digest:
        return TableProblem(f"{pair.recorded.path.name}: what is there is not the table that was recorded")
    if spark.declared:  # JSON
        return _compare_documents(pair, recorded, found, spark)
    compared = _without_jvm(
        pair.found,
        spark,
        lambda arrow: arrow.compare_pair(
            *(source_of(*table[:3]) for table in (pair.recorded, pair.found)),
            (recorded, found),
            pair.found.ignore,
            pair.rel,
            pair.abs,
        ),
    )
    if compared is None and pair.found.format == "json":
        return _compare_documents(pair, recorded, found, spark)
    return compared


def _compare_documents(
    pair: Pair, recorded: TableDigest, found: TableDigest, spark: Spark
) -> TableComparison | TableProblem:
    """Documents as Spark reads them: a tolerance is for columns of numbers."""
    answer = _answers([_task("pair", pair.recorded, pair.found, pair.rel, pair.abs)], spark)["pair"]
    return _problem(pair.found, answer) or _comparison(recorded, found, answer)


def _without_jvm(table: Table, spark: Spark, work: Callable[[Any], _T]) -> _T | TableProblem | None:
    """What `work` gives; None where only Spark can read the table, and it is there."""
    if (missing := refuse_table(table, spark=False)) is not None:
        return None if spark.is_there else _not_comparable(table, missing)
    arrow = _arrow()
    try:
        return work(arrow)
    except UsageError as error:
        return None if spark.is_there else _not_comparable(table, reason_of(error, table.path))
    except arrow.Unreadable as error:
        if spark.is_there:
            return None
        return _not_comparable(table, str(error), of_the_machine=error.of_the_machine)


def _arrow() -> Any:
    """pyarrow and duckdb are loaded where a table is compared, and only there."""
    return import_module("reprolock.engine.tables.arrow_tables")


def _digest_documents(table: Table, spark: Spark) -> TableDigest | TableProblem:
    try:
        if table.url is None:
            return documents.digest(table.path, table.options, table.ignore)
        spark.folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix="documents-", dir=spark.folder) as name:
            copy = Path(name) / table.path.name
            task = {"name": "copy", "copy": {"url": table.url, "to": copy.as_posix()}}
            answer = _answers([task], spark)["copy"]
            return _problem(table, answer) or documents.digest(copy, table.options, table.ignore)
    except UsageError as error:
        return _not_comparable(table, reason_of(error, table.path))
    except documents.NotDocuments as error:
        return _not_comparable(table, str(error))


def _task(name: str, table: Table, other: Table | None = None, rel: float = 0.0, abs_: float = 0.0) -> dict[str, Any]:
    tables = [each._task() for each in (table, other) if each is not None]
    return {"name": name, "tables": tables, "rel": rel, "abs": abs_}


def _answers(tasks: list[dict[str, Any]], spark: Spark) -> dict[str, Any]:
    """What script.py says."""
    if not tasks:
        return {}
    answers, reason = ask_script(
        _SCRIPTS,
        python=spark.python,
        environ=_session_environ(spark.environ),
        folder=spark.folder,
        during="tables were compared",
        tasks=tasks,
    )
    problem = reason if answers is None else answers.get("problem")
    if isinstance(problem, str):
        raise MachineError(
            f"Spark could not compute digests of tables: {problem}",
            hint="`reprolock doctor` checks Java; pyspark must be among environment.packages",
        )
    return dict(answers)


def _session_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """The run's variables. A Connect server that the command alone was told of is none of ours."""
    return {name: value for name, value in environ.items() if SETTINGS in environ or name not in _CONNECT}


def _digested(table: Table, answer: dict[str, Any]) -> TableDigest | TableProblem:
    return _problem(table, answer) or _digest(answer["digests"][0])


def _compared(pair: Pair, answer: dict[str, Any]) -> TableComparison | TableProblem:
    if problem := _problem(pair.found, answer):
        return problem
    recorded, found = (_digest(each) for each in answer["digests"])
    if recorded.digest != pair.digest:
        return TableProblem(f"{pair.recorded.path.name}: what is there is not the table that was recorded")
    return _comparison(recorded, found, answer)


def _comparison(recorded: TableDigest, found: TableDigest, answer: dict[str, Any]) -> TableComparison:
    sides = answer["comparison"] or {
        "only_recorded": recorded.rows,
        "only_found": found.rows,
        "columns": [],
        "alike": 0,
    }
    columns = tuple(ColumnDeviation(*column) for column in sides["columns"])
    return TableComparison(recorded, found, sides["only_recorded"], sides["only_found"], columns, sides["alike"])


def _problem(table: Table, answer: dict[str, Any]) -> TableProblem | None:
    """The reason why there are no numbers, without the path of this machine's folders."""
    if "problem" not in answer:
        return None
    path = table.path.absolute().as_posix().lstrip("/")
    written = "|".join(map(re.escape, (path, literal_path(path, table.format), percent_encoded(path))))
    sentence = re.sub(rf"(file:)?/*({written})", lambda _: table.path.name, answer["problem"])
    return _not_comparable(table, sentence, of_the_machine=answer.get("machine", False))


def _not_comparable(table: Table, sentence: str | None, *, of_the_machine: bool = False) -> TableProblem:
    name = table.path.name
    if sentence is None:
        return TableProblem(f'{name} is not a table: {table.format} is not a format of tables; write compare = "bytes"')
    return TableProblem(f"{name} cannot be compared as a {table.format} table: {sentence}", of_the_machine)


def _digest(numbers: dict[str, Any]) -> TableDigest:
    columns = tuple(Column(name=name, type=kind, sum=f"{hint % 2**64:016x}") for name, kind, hint in numbers["columns"])
    return table_digest(numbers["rows"], columns, tuple(numbers["sums"]))
