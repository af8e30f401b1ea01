"""Settings of the run's Spark by which its readers give other values than by default: then only Spark reads the same."""

from __future__ import annotations

import re
from pathlib import Path

from reprolock.readers.source import Source

_DECIDING = re.compile(
    r"^(spark\.sql\.(legacy|parquet|orc|avro|csv|json|sources|datetime)\..*"
    r"|spark\.sql\.(session\.timeZone|caseSensitive|timestampType|columnNameOfCorruptRecord)"
    r"|spark\.sql\.files\.ignore.*)[ =:\t]+(.*)$"
)
_DEFAULTS = {"spark.sql.session.timeZone": ("UTC",), "spark.sql.caseSensitive": ("false",)}
_HARMLESS = ("spark.sql.parquet.compression.codec", "spark.sql.orc.compression.codec", "spark.sql.sources.default")


def check_session(source: Source, folder: str | None) -> None:
    """UsageError for a setting in the spark-defaults.conf of this folder that decides what readers give."""
    file = Path(folder or "", "spark-defaults.conf")
    if folder is None or not file.is_file():
        return
    for line in file.read_text(errors="replace").splitlines():
        match = _DECIDING.match(line)
        if match and match[1] not in _HARMLESS and match[4].strip() not in _DEFAULTS.get(match[1], ()):
            raise source.refusal(f"as a Spark with {match[1]} = {match[4].strip()} reads")
