"""A dataset's local files as one pandas DataFrame or Arrow table, by the options that Spark's reader was given.

In: path, format, options, glob. Out: the table, or a UsageError for what pandas cannot do. Which files
count is Spark's rule: no name that starts with "_" or ".", the glob against the name alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas

from reprolock.errors import UsageError

if TYPE_CHECKING:
    import pyarrow

# Spark's option (in lower case) → the argument of pandas.read_csv.
_CSV = {
    "sep": "sep",
    "delimiter": "sep",
    "encoding": "encoding",
    "charset": "encoding",
    "quote": "quotechar",
    "escape": "escapechar",
    "comment": "comment",
    "nullvalue": "na_values",
}
_UNDERSTOOD = {
    # pandas infers types, and reads a value that spans lines, without being asked.
    "csv": {*_CSV, "header", "inferschema", "multiline"},
    "json": {"multiline", "encoding"},
    "text": {"wholetext", "encoding"},
    "parquet": {"mergeschema"},
    "orc": {"mergeschema"},
    "delta": {"versionasof"},
}
_ANYWHERE = {"recursivefilelookup"}
_COLUMNAR = ("delta", "parquet", "orc")


def read(name: str, path: Path, form: str, options: Mapping[str, str], glob: str | None) -> pandas.DataFrame:
    """Everything below `path` (or the one file), top to bottom in the order of the paths.

    UsageError for a format or an option that pandas does not have, and where no file matches.
    """
    given = _checked(name, form, options)
    if form in _COLUMNAR:
        frame: pandas.DataFrame = _columnar(name, path, form, given, glob).to_pandas()
        return frame
    files = _files(name, path, form, glob, deep=_true(given, "recursivefilelookup"))
    readers: dict[str, Callable[[Path, Mapping[str, str]], pandas.DataFrame]] = {
        "csv": _csv,
        "json": _json,
        "text": _text,
    }
    # Spark writes parts without a byte; pandas takes no empty file.
    frames = [readers[form](file, given) for file in files if file.stat().st_size]
    return pandas.concat(frames, ignore_index=True) if frames else pandas.DataFrame()


def read_arrow(name: str, path: Path, form: str, options: Mapping[str, str], glob: str | None) -> pyarrow.Table:
    """What `read` reads, as Arrow: columnar formats keep their own types, text has those that pandas finds in it."""
    import pyarrow  # a heavy package, and only this needs it

    given = _checked(name, form, options)
    if form in _COLUMNAR:
        return _columnar(name, path, form, given, glob)
    return pyarrow.Table.from_pandas(read(name, path, form, options, glob), preserve_index=False)


def _checked(name: str, form: str, options: Mapping[str, str]) -> dict[str, str]:
    """The options, in lower case."""
    if form not in _UNDERSTOOD:
        raise UsageError(
            f'dataset "{name}" is of format {form}, which pandas does not read',
            hint=f'use run.dataset("{name}").spark(), or open the files below .path',
        )
    given = {option.lower(): value for option, value in options.items()}
    if unknown := sorted(given.keys() - _UNDERSTOOD[form] - _ANYWHERE):
        raise UsageError(
            f'datasets.{name}.options: pandas has nothing like "{unknown[0]}" for {form}',
            hint=f'use run.dataset("{name}").spark(), or read the files below .path',
        )
    return given


def _columnar(name: str, path: Path, form: str, given: Mapping[str, str], glob: str | None) -> pyarrow.Table:
    if form == "delta":
        return _delta(name, path, given)
    flat = _true(given, "recursivefilelookup")
    return _arrow(path, _files(name, path, form, glob, deep=True), form, partitioned=not flat)


def _files(name: str, path: Path, form: str, glob: str | None, *, deep: bool) -> list[Path]:
    if path.is_file():
        return [path]
    found = []
    for file in path.rglob("*"):
        inside = file.relative_to(path).parts
        hidden = any(part.startswith(".") or (part.startswith("_") and "=" not in part) for part in inside)
        if hidden or not file.is_file() or not (glob is None or fnmatchcase(file.name, glob)):
            continue
        if len(inside) > 1 and not deep:
            if "=" in inside[0]:
                raise UsageError(
                    f'dataset "{name}" is partitioned by folders ({inside[0]}), which pandas does not read for {form}',
                    hint=f'use run.dataset("{name}").spark(), or read the files below .path',
                )
            continue
        found.append(file)
    if not found:
        raise UsageError(
            f'dataset "{name}" has no file directly below {path}',
            hint="write options = { recursiveFileLookup = true } to read the folders below it as well",
        )
    return sorted(found, key=lambda file: file.relative_to(path).as_posix().encode())


def _csv(file: Path, options: Mapping[str, str]) -> pandas.DataFrame:
    arguments: dict[str, Any] = {_CSV[option]: value for option, value in options.items() if option in _CSV}
    header = _true(options, "header")
    frame: pandas.DataFrame = pandas.read_csv(file, header=0 if header else None, **arguments)
    return frame if header else frame.rename(columns=lambda number: f"_c{number}")


def _json(file: Path, options: Mapping[str, str]) -> pandas.DataFrame:
    # Left to itself pandas makes the text "007" a number, and text in columns named like dates a date.
    types: dict[str, Any] = {"dtype": False, "convert_dates": False, "precise_float": True}
    lines = not _true(options, "multiline")
    frame: pandas.DataFrame = pandas.read_json(file, lines=lines, encoding=options.get("encoding"), **types)
    return frame


def _text(file: Path, options: Mapping[str, str]) -> pandas.DataFrame:
    text = file.read_bytes().decode(options.get("encoding", "utf-8"))
    if _true(options, "wholetext"):
        return pandas.DataFrame({"value": [text]})
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return pandas.DataFrame({"value": lines if lines[-1] else lines[:-1]})


def _arrow(path: Path, files: list[Path], form: str, *, partitioned: bool) -> pyarrow.Table:
    from pyarrow import dataset  # a heavy package, and only these two formats need it

    hive = {"partitioning": "hive", "partition_base_dir": str(path)} if partitioned and path.is_dir() else {}
    return dataset.dataset([str(file) for file in files], format=form, **hive).to_table()


def _delta(name: str, path: Path, options: Mapping[str, str]) -> pyarrow.Table:
    from deltalake import DeltaTable  # a heavy package, and only this format needs it

    if "%" in str(path):  # delta-rs takes "%20" in a path for a blank and finds nothing
        raise UsageError(
            f'dataset "{name}" has "%" in its path, which deltalake cannot open',
            hint=f'use run.dataset("{name}").spark()',
        )
    version = options.get("versionasof")
    return DeltaTable(str(path), version=int(version) if version else None).to_pyarrow_table()


def _true(options: Mapping[str, str], name: str) -> bool:
    return options.get(name, "false").lower() == "true"
