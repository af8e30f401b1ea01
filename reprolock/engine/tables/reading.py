"""Read a table with Spark for its digest: all of its files, columns and lines, or a refusal of what Spark would pass over.

Part of script.py, which runs where only pyspark is: nothing of reprolock is imported.
"""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

_WHOLE = {
    "csv": {
        "mode": "FAILFAST",
        "enforceSchema": "false",
    },  # the latter compares each file's header with the first one's
    "json": {"mode": "FAILFAST"},
    "parquet": {"mergeSchema": "true"},
    "orc": {"mergeSchema": "true"},
}
"""Without these, lines that cannot be read are dropped, and columns that the first file does not have."""

NO_VALUE = "\ufdd0 no value \ufdd0"
"""A nullValue that no cell is: where that is the empty text, Spark takes `""` for a missing value too."""

BLANK_LINE = r"^[\x00-\x20]+$"

_EVERY_BYTE = {"iso-8859-1", "iso8859-1", "iso_8859-1", "latin1", "latin-1", "l1"}
"""Encodings that have a sign of its own for each byte."""

_LISTING = {"pathglobfilter", "modifiedbefore", "modifiedafter"}
"""Options by which a user leaves files out."""


def as_written(table: dict[str, Any]) -> dict[str, Any]:
    """The table as its digest sees it: of CSV the text, since 0.1 and 0.1000000000000000055 are one double."""
    if table["format"] != "csv":
        return table
    given = {name.lower(): text for name, text in table["options"].items()}
    given.pop("inferschema", None)
    return table | {"options": {"nullvalue": NO_VALUE} | given}


def has_types(table: dict[str, Any]) -> bool:
    """Whether a tolerance is for other values than those of the digest: numbers that Spark finds in CSV."""
    given = {name.lower(): text.lower() for name, text in table["options"].items()}
    return table["format"] == "csv" and given.get("inferschema") == "true"


def read(spark: SparkSession, table: dict[str, Any]) -> DataFrame:
    """The table, of all its files, columns and lines: what Spark would pass over in silence is an error.

    The options may say otherwise of columns and lines (mergeSchema, enforceSchema, mode).
    """
    options = _WHOLE.get(table["format"], {}) | table["options"]
    frame = spark.read.format(table["format"]).options(**options).load(table["url"])
    if table["format"] != "delta":  # it says itself which files are its own
        _refuse_unread(spark, frame, table)
    if table["format"] == "csv":
        _refuse_odd_lines(spark, table)
    return frame


def _refuse_odd_lines(spark: SparkSession, table: dict[str, Any]) -> None:
    """Refused for CSV with bytes that its encoding does not have, for Spark reads each of them as one and the same sign, and with
    lines of blanks alone, which it passes over, or with line ends in quotes, which it reads as those of the file."""
    from pyspark.sql import functions as F  # this and the next need pyspark
    from row_encoding import Refused  # type: ignore[import-not-found]  # see pyproject.toml

    given = {name.lower(): value for name, value in table["options"].items()}
    kept = {name: given[name] for name in (*_LISTING, "recursivefilelookup") if name in given}
    lines = spark.read.format("text").options(**kept).load(table["url"])
    if given.get("multiline", "").lower() == "true":
        whole = spark.read.format("text").options(**kept, wholetext="true").load(table["url"])
        if not whole.where(_returns(F.col("value"), given.get("quote", '"'), given.get("escape", "\\"))).isEmpty():
            raise Refused(
                "Spark reads a carriage return in quotes as the line ends of its file; "
                'leave it out, or write compare = "bytes"'
            )
    elif not lines.where(F.col("value").rlike(BLANK_LINE)).isEmpty():
        raise Refused("Spark does not read a line that has only blanks; put its value in quotes")
    encoding = given.get("encoding", given.get("charset", "UTF-8"))
    if encoding.lower() in _EVERY_BYTE:
        return
    if encoding.lower() not in ("utf-8", "utf8"):
        raise Refused(
            f"the encoding {encoding} may read different bytes as the same character; write UTF-8 or ISO-8859-1"
        )
    value = F.col("value").cast("binary")
    again = F.encode(F.decode(value, "UTF-8"), "UTF-8")  # Spark 3 has no is_valid_utf8, and Spark 4's decode refuses
    other = ~F.is_valid_utf8(F.col("value")) if hasattr(F, "is_valid_utf8") else again != value
    if not lines.where(other).isEmpty():
        raise Refused('it has bytes that are not UTF-8; write options = { encoding = "ISO-8859-1" }')


def _returns(text: Column, quote: str, escape: str) -> Column:
    """Whether a carriage return stands in quotes: behind an odd number of quotes that no escape is before."""
    from pyspark.sql import functions as F  # this needs pyspark

    if not quote:
        return F.lit(False)
    plain = F.regexp_replace(text, re.escape(escape + quote), "") if escape not in ("", quote) else text
    inside = F.transform(F.split(plain, re.escape(quote)), lambda part, at: (at % 2 == 1) & part.contains("\r"))
    return F.exists(inside, lambda found: found)


def _refuse_unread(spark: SparkSession, frame: DataFrame, table: dict[str, Any]) -> None:
    """Refused for a file below the table's folder that Spark leaves out. Hidden ones are no data: names with `_` or `.` first.

    1. Of folders Spark reads the top one, and those called NAME=VALUE: what is in others is not among `inputFiles`.
    2. Where there are such folders, files above them are among `inputFiles`, and not read either.
    """
    from row_encoding import Refused  # this needs pyspark

    given = {name.lower(): value for name, value in table["options"].items()}
    listing = {name: given[name] for name in _LISTING & given.keys()} | {"recursivefilelookup": "true"}
    there = sorted(spark.read.format("binaryFile").options(**listing).load(table["url"]).inputFiles())
    known = set(frame.inputFiles())
    root = posixpath.commonpath([posixpath.dirname(file) for file in there]) if there else ""
    depth = {file: posixpath.dirname(posixpath.relpath(file, root)).count("=") for file in there}
    if given.get("recursivefilelookup", "").lower() == "true":
        depth = dict.fromkeys(there, 0)
    else:
        _refuse_hidden_columns(spark, table, there)
    deepest = max(depth.values(), default=0)
    if left_out := [file for file in there if file not in known or depth[file] < deepest]:
        more = f" and {len(left_out) - 1} more" if len(left_out) > 1 else ""
        raise Refused(
            f"Spark does not read {unquote(posixpath.relpath(left_out[0], root))}{more}, because its folder is not named NAME=VALUE as others are; "
            "write options = { recursiveFileLookup = true }"
        )


def _refuse_hidden_columns(spark: SparkSession, table: dict[str, Any], files: list[str]) -> None:
    """Refused where a folder NAME=VALUE stands for a column that the files have too: Spark does not read theirs."""
    from row_encoding import Refused  # this needs pyspark

    top = len(table["url"].rstrip("/").split("/"))
    folders = {part.partition("=")[0] for file in files for part in file.split("/")[top:-1] if "=" in part}
    if not folders:
        return
    options = _WHOLE.get(table["format"], {}) | table["options"] | {"recursiveFileLookup": "true"}
    own = spark.read.format(table["format"]).options(**options).load(table["url"]).columns
    lower = {unquote(name).lower(): unquote(name) for name in folders}
    if both := sorted(lower[name.lower()] for name in own if name.lower() in lower):
        raise Refused(f"the files have a column {both[0]}, which their folders {both[0]}=… hide; rename one of them")
