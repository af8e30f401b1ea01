"""`reprolock.current()`: the run's inputs, params and outputs for its command. Imports the standard library alone.

In: the JSON file that REPROLOCK_CONTEXT names. Out: a frozen `Run`. The file (version 1) holds no secret:

    {"version": 1, "run_id": "…", "project": "…", "seed": 7 | null, "params": {…},
     "datasets": {NAME: {"url": "s3a://…" | "file://…", "path": "/…" | null, "format": "csv", "options": {…},
                         "glob": "*.csv" | null, "commit": "…", "repository": "…", "uri": "lakefs://…",
                         "materialise": [ARGUMENT, …] | null}},
     "outputs": {NAME: {"path": "/…", "url": "…" | null}}}

`url` is a Hadoop path, taken literally. `materialise` is a command that makes the dataset's local tree, or, with
the name of one object after it, that one file of it, and prints its path as the last line; null where `path` is there already.
"""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from reprolock.errors import ServiceError, UsageError
from reprolock.readers import check_format, read_arrow, read_pandas
from reprolock.readers.session import check_session
from reprolock.readers.source import Source, declared

if TYPE_CHECKING:
    import pandas
    import pyarrow
    from pyspark.sql import DataFrame, SparkSession

VARIABLE = "REPROLOCK_CONTEXT"
VERSION = 1

_Named = TypeVar("_Named")
_GLOB = re.compile(r"([\\{}\[\]*?])")
# Spark 4.2 has Avro's reader, but not under its short name: that is registered by a package alone.
SPARK_FORMATS = {"binary": "binaryFile", "avro": "org.apache.spark.sql.avro.AvroFileFormat"}
_DELTA_HINT = 'declare Delta\'s package: packages = ["io.delta:delta-spark_4.2_2.13:4.4.0"] under [spark], and run `reprolock lock`'


@dataclass(frozen=True)
class Dataset:
    """One input at its commit. `url` is what Spark reads, `uri` the address as declared in repro.toml. `recorded` is False
    where no run is told of it (`reprolock.open`)."""

    name: str
    url: str
    format: str
    options: Mapping[str, str]
    glob: str | None
    commit: str
    repository: str
    uri: str
    _path: str | None = field(repr=False)
    _materialise: tuple[str, ...] | None = field(repr=False)
    recorded: bool = True

    @property
    def path(self) -> Path:
        """A local, read-only file or folder with the dataset's objects; made when it is first asked for.

        ServiceError when it could not be made; the reason stands on stderr.
        """
        if self._path is not None:
            return Path(self._path)
        if self._materialise is None:
            raise UsageError(
                f'dataset "{self.name}" has no local files in this run', hint=f"read {self.url} with Spark"
            )
        return _make(self.name, self._materialise)

    def spark(self, session: SparkSession | None = None) -> DataFrame:
        """A DataFrame of exactly this path, with the declared format, options and glob.

        `session` defaults to the active one, or a new one. Folders inside the dataset are read as Spark
        reads them: partitions (`a=1/`) only, unless options has `recursiveFileLookup = true`.
        """
        from pyspark.sql import SparkSession  # the command's own Spark, and only where it is used

        reader = (session or SparkSession.builder.getOrCreate()).read
        reader = reader.format(SPARK_FORMATS.get(self.format, self.format)).options(**self.options)
        if self.glob is not None:
            reader = reader.option("pathGlobFilter", self.glob)
        try:
            return reader.load(self._hadoop_path())
        except Exception as error:  # py4j's own for this case, which pyspark does not translate
            if self.format == "delta" and "DATA_SOURCE_NOT_FOUND" in str(error):
                raise UsageError(
                    f'dataset "{self.name}" is a Delta table, and this Spark has no Delta', hint=_DELTA_HINT
                ) from None
            raise

    def pandas(self) -> pandas.DataFrame:
        """The rows that `spark()` gives, as a pandas DataFrame: csv, json, text, parquet, orc, avro and delta.

        Files are read in the order of their paths and put one below the other. What would be read otherwise than by
        Spark is a UsageError that names the option, the file or the feature. Types: docs/concepts/readers.md.
        """
        return read_pandas(self._source())

    def arrow(self) -> pyarrow.Table:
        """The same rows as an Arrow table, with the types of Spark's own `toArrow()`. Errors as `pandas`."""
        return read_arrow(self._source())

    def open(self, name: str | None = None) -> BinaryIO:
        """The bytes of one object, whatever its format: `name` below the dataset, or the only object of it.

        Of a dataset that is not on this disk, that object alone comes. UsageError for a name that is not there, and for
        none where there are several.
        """
        if name is not None and self._path is None and self._materialise is not None:
            return _make(self.name, (*self._materialise, "--", name)).open("rb")
        root = self.path.parent if self.path.is_file() else self.path
        if (
            name is not None
            and not Path(name).is_absolute()
            and ".." not in Path(name).parts
            and (root / name).is_file()
        ):
            return (root / name).open("rb")
        names = (
            [self.path.name]
            if self.path.is_file()
            else [file.relative_to(root).as_posix() for file in root.rglob("*") if file.is_file()]
        )
        if name is None and len(names) == 1:
            return (root / names[0]).open("rb")
        if name is None:
            raise UsageError(
                f'dataset "{self.name}" has {len(names)} objects', hint=f'name one of them: .open("{min(names)}")'
            )
        near = get_close_matches(name, names, n=1) or [min(names)]
        raise UsageError(f'dataset "{self.name}" has no object "{name}"', hint=f'one that it has: .open("{near[0]}")')

    def _source(self) -> Source:
        """The local files; what is refused by the declaration alone is refused before they are brought here."""
        source = declared(self.name, self.format, Path(), self.options, self.glob)
        check_format(source)
        check_session(source, os.environ.get("SPARK_CONF_DIR"))
        return source._replace(path=self.path)

    def _hadoop_path(self) -> str:
        """The address to read, or the local files where they are made."""
        url = self.url
        if self._path is not None and url.startswith("file:"):
            url = "file://" + ("" if self._path.startswith("/") else "/") + self._path.replace(os.sep, "/")
        return literal_path(url, self.format)


@dataclass(frozen=True)
class Output:
    """One declared output. `url` is where Spark may write it directly, None where only the path is."""

    name: str
    url: str | None
    _path: str = field(repr=False)

    @property
    def path(self) -> Path:
        """Where to write it. The folder above it is made; the output itself is the command's to make."""
        path = Path(self._path)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


@dataclass(frozen=True)
class Run:
    """The run that executes this process."""

    run_id: str
    project: str
    seed: int | None
    params: Mapping[str, Any]
    datasets: Mapping[str, Dataset]
    outputs: Mapping[str, Output]

    def dataset(self, name: str) -> Dataset:
        """The dataset of that name; UsageError names the one that was meant."""
        return _find(self.datasets, name, "dataset")

    def output(self, name: str) -> Output:
        """The output of that name; UsageError names the one that was meant."""
        return _find(self.outputs, name, "output")


def current() -> Run:
    """The run that executes this process. UsageError where it is not executed by `reprolock run`."""
    name = os.environ.get(VARIABLE)
    if not name:
        raise UsageError(
            f"this process is not part of a run: {VARIABLE} is not set", hint="start the script with `reprolock run`"
        )
    try:
        return _parse(json.loads(Path(name).read_bytes()))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{VARIABLE} names {name}, which is not a context of a run: {type(error).__name__}",
            hint="start the script with `reprolock run`",
        ) from error


def literal_path(url: str, format: str) -> str:
    """An address as Spark's reader wants it, taken literally.

    Spark takes `[ab]`, `{a,b}`, `*` and `?` for patterns unless they are escaped; Delta takes nothing for one.
    """
    return url if format == "delta" else _GLOB.sub(r"\\\1", url)


def _parse(document: dict[str, Any]) -> Run:
    if document["version"] != VERSION:
        raise UsageError(
            f"{VARIABLE} is of version {document['version']}, and this reprolock reads version {VERSION}",
            hint="install the same reprolock beside the script as the one that runs it",
        )
    datasets = {
        name: Dataset(
            name=name,
            url=given["url"],
            format=given["format"],
            options=MappingProxyType(given["options"]),
            glob=given["glob"],
            commit=given["commit"],
            repository=given["repository"],
            uri=given["uri"],
            _path=given["path"],
            _materialise=tuple(given["materialise"]) if given["materialise"] else None,
        )
        for name, given in document["datasets"].items()
    }
    outputs = {name: Output(name, given["url"], given["path"]) for name, given in document["outputs"].items()}
    return Run(
        document["run_id"],
        document["project"],
        document["seed"],
        MappingProxyType(document["params"]),
        MappingProxyType(datasets),
        MappingProxyType(outputs),
    )


def _find(known: Mapping[str, _Named], name: str, kind: str) -> _Named:
    if name in known:
        return known[name]
    close = get_close_matches(name, known, n=1)
    declared = f"repro.toml declares {', '.join(sorted(known)) or 'none'}"
    raise UsageError(
        f'this run has no {kind} "{name}"', hint=f'did you mean "{close[0]}"? {declared}' if close else declared
    )


@functools.cache
def _make(name: str, command: tuple[str, ...]) -> Path:
    if any("\0" in argument for argument in command):
        raise UsageError(f'dataset "{name}" has no object whose name has a NUL in it', hint="name one that it has")
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, encoding="utf-8")
    lines = done.stdout.splitlines()
    if done.returncode == UsageError.exit_code:
        raise UsageError(f'dataset "{name}" does not have what was asked for', hint="see the message above")
    if done.returncode != 0 or not lines:
        raise ServiceError(
            f'dataset "{name}" could not be brought to this disk (exit {done.returncode})', hint="see the message above"
        )
    return Path(lines[-1])
