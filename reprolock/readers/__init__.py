"""`.pandas()` and `.arrow()`: a dataset's local files read as Spark reads them, or a refusal.

A module a format; each names the options that it honours. All give an Arrow table of the types in `types`. What would be
read otherwise than by Spark is a UsageError that names the option, the file or the feature. The package is copied beside
the script of a run: it needs pyarrow, pandas for `.pandas()`, and per format fastavro (avro) or deltalake (delta).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from reprolock.errors import UsageError
from reprolock.readers.source import Source, needs

if TYPE_CHECKING:
    import pandas
    import pyarrow

_MODULES = {
    "csv": "reprolock.readers.csv",
    "json": "reprolock.readers.json",
    "text": "reprolock.readers.text",
    "parquet": "reprolock.readers.parquet",
    "orc": "reprolock.readers.orc",
    "avro": "reprolock.readers.avro",
    "delta": "reprolock.readers.delta",
}


def check_format(source: Source) -> None:
    """UsageError for a format that only Spark reads."""
    if source.format not in _MODULES:
        raise source.refusal(f"the format {source.format}")


def read_arrow(source: Source) -> pyarrow.Table:
    """The rows as Spark's `toArrow()` gives them, file after file in the order of their paths.

    UsageError for what is not read as Spark reads it, and for a library that is missing.
    """
    check_format(source)
    try:
        reader: Any = import_module(_MODULES[source.format])  # loads pyarrow, and only where it is used
        return reader.read(source)
    except ModuleNotFoundError as error:
        raise needs(source, (error.name or "pyarrow").partition(".")[0]) from None


def read_pandas(source: Source) -> pandas.DataFrame:
    """The same rows as a DataFrame, by the table of types in `frame`. UsageError also for a value that Python does not have."""
    table = read_arrow(source)
    try:
        frame: Any = import_module("reprolock.readers.frame")  # loads pandas, and only where it is used
    except ModuleNotFoundError as error:
        raise needs(source, (error.name or "pandas").partition(".")[0]) from None
    try:
        made: pandas.DataFrame = frame.to_pandas(table)
    except frame.NoForm as error:
        raise UsageError(
            f'dataset "{source.name}": .pandas() has no form for a value of the column {error}',
            hint=f'use .arrow() or run.dataset("{source.name}").spark()',
        ) from None
    return made
