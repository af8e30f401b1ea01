"""Datasets that were once read otherwise than by Spark, and that no other list here has: each names what was missed."""

from __future__ import annotations

import bz2
import datetime as dt
import gzip
import io
import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import deltalake
import duckdb
import fastavro
import pyarrow as pa
import pyarrow.orc
import pyarrow.parquet as pq
from differential import Case
from written import HEADER, INFER, avro_bytes, one, table_bytes

OLD = [dt.date(1500, 1, 1)]
OLD_TIMES = pa.array([dt.datetime(1500, 1, 1)], pa.timestamp("us", "UTC"))
MULTI = {**HEADER, "multiLine": "true"}
WHOLE = {"multiLine": "true", "encoding": "UTF-8"}
TRIM = {"ignoreLeadingWhiteSpace": "true", "ignoreTrailingWhiteSpace": "true"}
BOM = b"\xef\xbb\xbf"
CALENDAR = "calendar of Spark 2"
DAMAGED = bz2.compress(b"1\n" * 99).replace(b"1AY&SY", b"1AY&SX")
NUMBER = bytes.fromhex(
    "4f52430a120a020000120c0801120608021002180250004200800a060806100018140a060801100018031204080210001a035554430a0e0a0c0801120608021002"
    "18025000080310321a0a080310141803201b28012208080420002800300030013a0c08011206080210021802500040904e48016205322e332e31083610001880"
    "80042202000c2810300682f403034f524317"
)
"""An ORC file of one long, as pyorc writes it."""
NO_KEY = bytes.fromhex(
    "4f52430a061204080150000a150a020000120f0801500062090880081080081880080a0f0a05000000000012060800220050010a120a020000120c080112060802"
    "100218025000400080ff004200800a060806100018080a060806100118170a060806100218110a060806100318140a060802100118030a060800100218020a0608"
    "01100218000a060802100218000a060803100218000a060801100318031202080012020802120408031000120208020a330a04080150000a110801500058036209"
    "0880081080081880080a0808002200500158020a0e0801120608021002180250005803080310b1011a0a080310441808206228012208080c1201011a016d220608"
    "0b12020203220208072202080330013a04080150003a1108015000580362090880081080081880083a0808002200500158023a0e08011206080210021802500058"
    "0340904e480058016205322e332e30086e10002202000c2835300982f403034f524313"
)
"""An ORC file of a map from null to 1, as Java writes it."""


def hunted() -> list[Case]:
    """All of them."""
    return [*text_files(), *summaries(), *partitions(), *parquet(), *orc(), *avro(), *delta()]


def text_files() -> list[Case]:
    return [
        one("a name that Spark gives", "csv", "_c1,,x\n1,2,3\n", HEADER, "two columns"),
        one("row names of R", "csv", '"","id"\n"1",NA\n', {**HEADER, "nullValue": "NA"}),
        one("byte order marks", "csv", "\ufeff\ufeffa,b\n1,2\n", HEADER, "byte order mark"),
        one("byte order mark behind a blank line", "csv", "\n\ufeffa,b\n1,2\n", HEADER, "byte order mark"),
        one("byte order marks in rows", "csv", "\ufeffa,b\n\ufeff1,\ufeff2\n"),
        one("two byte order marks before the first row", "csv", "\ufeff\ufeff1,2\n", {}, "byte order mark"),
        one("a byte order mark before the first row", "csv", "a,b\n\ufeff1,2\n", HEADER),
        one(
            "a byte order mark before the first row of many lines",
            "csv",
            "a,b\n\ufeff1,2\n",
            MULTI,
            "multiLine, because",
        ),
        Case("zeros behind gzip", "csv", {"a.csv.gz": gzip.compress(b"a\n1\n") + bytes(4)}, HEADER, refused="unpacked"),
        Case("deflate, two streams", "text", {"a.deflate": zlib.compress(b"a\n1\n") + zlib.compress(b"2\n")}),
        Case("zeros behind deflate", "text", {"a.deflate": zlib.compress(b"a\n") + bytes(4)}, refused="unpacked"),
        Case("bzip2, two streams", "text", {"a.bz2": bz2.compress(b"a\n") + bz2.compress(b"2\n")}),
        Case("bzip2, the second damaged", "text", {"a.bz2": bz2.compress(b"a\n") + DAMAGED}, refused="unpacked"),
        Case("gzip by another name", "text", {"a.gzip": b"a\n"}, refused=".gzip"),
        Case("gzip in capitals", "text", {"a.GZ": b"a\n"}, refused=".GZ"),
        Case("packed, and empty", "text", {"a.gz": gzip.compress(b""), "b": b"x", "c": b""}, {"wholetext": "true"}),
        one("zones beyond Java's", "csv", "t\n2020-01-01T00:00:00+18:30\n", INFER, "only Spark knows"),
        one("the last zones", "csv", "t\n2020-01-01T00:00:00+18:00\n2020-01-01T00:00:00-18:00\n", INFER),
        one("a year behind a date", "csv", "d\n2020-01-02\n2020\n", INFER, 'only Spark knows the type of "2020"'),
        one("a long year behind a date", "csv", "d\n2020-01-02\n+12020\n", INFER, "only Spark knows"),
        one("a date behind a number that is no year", "csv", "d\n20200103\n2020-01-02\n", INFER),
        one("a blank first line and multiLine", "csv", "  \na,b\n1,2\n", MULTI, "blanks, with multiLine"),
        one("empty first lines and multiLine", "csv", "\n\na,b\n1,2\n", MULTI),
        Case("only a byte order mark", "csv", {"a.csv": BOM, "b.csv": b"a,b\n3,4\n"}, HEADER),
        Case(
            "only a byte order mark and multiLine",
            "csv",
            {"a.csv": BOM, "b.csv": b"a,b\n3,4\n"},
            MULTI,
            refused="blanks, with multiLine",
        ),
        one(
            "blanks to the right",
            "csv",
            "a,b\nx ,y\nx,  \n",
            {**HEADER, "ignoreTrailingWhiteSpace": "true"},
            "value that has only blanks",
        ),
        one("blanks on both sides", "csv", "a,b\n x ,y\nx,  \n", {**HEADER, **TRIM, "nullValue": "NA"}),
        one("a row of too many values", "csv", "a,b\n" + "1," * 20480 + "\n", HEADER, "20480 values"),
        one("a row of very many values", "csv", "a,b\n" + "1," * 20479 + "\n", HEADER),
        Case(
            "only a byte order mark and multiLine",
            "json",
            {"a": b'{"a":1}', "b": BOM},
            {"multiLine": "true"},
            refused="only a byte order mark",
        ),
        one("a key of 50001 letters", "json", '{"' + "k" * 50001 + '":1}', refused="25000 characters"),
        one("utf8", "json", '{"a":1}', {"encoding": "utf8"}, refused='"utf8"'),
        one(
            "a byte order mark, multiLine and UTF-8",
            "json",
            BOM + b'{"a":1}',
            WHOLE,
            refused="byte order mark, with multiLine",
        ),
        one("no byte order mark, multiLine and UTF-8", "json", '{"a":1}', WHOLE),
        *(
            one(f"a line of {hex(ord(sign))}", "json", f'{{"a":1}}\n{sign}\n', refused="line 2")
            for sign in "\x0c\x01\x1f"
        ),
        one("a file of a form feed", "json", "\f", {"multiLine": "true"}, refused="not JSON"),
        one("lines of JSON's blanks", "json", '{"a":1}\n \t\n\t\n'),
        one("a tab before the header", "csv", "\t\na,b\n1,2\n", HEADER, "not all spaces"),
        one("a control character before rows", "csv", "\x01\n1,2\n", {}, "not all spaces"),
        one("a tab between rows", "csv", "  \na,b\n\t\n1,2\n", INFER),
        one(
            "an empty text without an escape",
            "csv",
            'a,b\n1,""\n',
            {**HEADER, "escape": ""},
            "a quote right behind another",
        ),
        one(
            "an empty name without an escape",
            "csv",
            'a,""\n1,2\n',
            {**HEADER, "escape": ""},
            "a quote right behind another",
        ),
        one("quotes without an escape", "csv", 'a,b\n"1",2\n', {**HEADER, "escape": ""}),
        one(
            "quoted blanks, cut on the right",
            "csv",
            'a,b\n" ",2\n',
            {**HEADER, "ignoreTrailingWhiteSpace": "true"},
            "only blanks",
        ),
        one("a date and DEL", "csv", "d\n2020-01-02\x7f\n", INFER, "only Spark knows"),
        one("a number of 1200 digits", "json", '{"a":0.' + "1" * 1200 + "}", refused="1000 digits"),
    ]


def summaries() -> list[Case]:
    """Spark does not read the rows of such a file, and takes its columns."""
    made = []
    for form, write in (("parquet", table_bytes), ("orc", _orc)):
        files = {"b": write({"a": [1]}), "_metadata_old": write({"z": ["x"]})}
        made.append(Case("beside _metadata_old", form, files, refused="_metadata_old"))
    files = {"b": avro_bytes([{"name": "a", "type": "int"}], [{"a": 1}]), "_metadata": b"x"}
    made.append(Case("beside _metadata", "avro", files, refused="_metadata"))
    made.append(Case("beside _metadata", "csv", {"a.csv": b"a\n1\n", "_metadata": b"a,b\n1,2\n"}, HEADER))
    return made


def partitions() -> list[Case]:
    """Folders decide a partition's type whether or not a file of theirs is read."""

    def folders(name: str, glob: str | None, *paths: str, refused: str | None = None) -> Case:
        files = {path: f"x\n{index}\n".encode() for index, path in enumerate(paths)}
        return Case(f"partitions: {name}", "csv", files, HEADER, glob, refused)

    return [
        folders("text beyond the glob", "a.csv", "p=1/a.csv", "p=x/b.csv"),
        folders("long beyond the glob", "a.csv", "p=1/a.csv", "p=3000000000/b.csv"),
        folders("hidden files beyond the glob", "a.csv", "p=1/a.csv", "p=x/_b.csv"),
        folders("a file above, beyond the glob", "*.csv", "p=1/a.csv", "README.md"),
        folders("other columns beyond the glob", "a.csv", "p=1/a.csv", "q=2/b.csv", refused="same partition"),
        folders("a folder without a name beyond the glob", "*.csv", "p=1/a.csv", "docs/b.md", refused="docs"),
        folders("columns beyond the glob alone", "*.csv", "a.csv", "p=1/b.md", refused="beside the folder p=1"),
        Case("partitions: over the column of text", "text", {"VALUE=1/a": b"x\n"}, refused='column "VALUE"'),
        Case("partitions: over a column of binary", "binary", {"length=1/a": b"x\n"}, refused="binary"),
        folders("a name of two lines", "*.csv", "a\nb.csv"),
        folders("a number in escapes", None, "p=%31/a.csv", refused="may stand for a number"),
        folders("a date in escapes", None, "p=2020%2D01%2D01/a.csv", refused="may stand for a number or a date"),
        folders("text in escapes", None, "p=%61/a.csv", "p=1%2Fb/a.csv"),
        Case(
            "a folder like a summary",
            "text",
            {"_metadata/a": b"1\n", "_b/a": b"2\n", "c": b"3\n"},
            {"recursiveFileLookup": "true"},
        ),
        Case(
            "a folder like a summary, below a partition",
            "text",
            {"p=1/_metadata/a": b"1\n", "p=1/b": b"2\n"},
            refused="names no partition",
        ),
        Case("partitions: a file without a line", "csv", {"p=1/a.csv": b"x\n1\n", "p=x/b.csv": b"\n"}, HEADER),
    ]


def parquet() -> list[Case]:
    def noted(**notes: str) -> dict[str, bytes]:
        named = {f"org.apache.spark.{name}": value for name, value in notes.items()}
        table = pa.table({"d": OLD, "t": OLD_TIMES}).replace_schema_metadata(named)
        return {"a": table_bytes(table)}

    def duck(value: str) -> Callable[[Path], None]:
        return lambda folder: duckdb.execute(f"copy (select {value} a) to '{folder}/a' (format parquet)")

    nulls = table_bytes({"n": pa.nulls(2)}, store_schema=False)
    for of_int, of_bytes in (
        (b"\x15\x02%\x02\x18\x01n", b"\x15\x0c%\x02\x18\x01n"),
        (b"\x1c\x15\x02", b"\x1c\x15\x0c"),
    ):
        assert nulls.count(of_int) == 1
        nulls = nulls.replace(of_int, of_bytes)
    number = pa.py_buffer((1234567).to_bytes(16, "little"))
    long = pa.Array.from_buffers(pa.decimal128(5, 2), 1, [None, number])

    enum = table_bytes({"e": ["x", "y", None]})
    text, kind = bytes.fromhex("25004c1c0000"), bytes.fromhex("25084c4c0000")
    assert enum.count(text) == 1
    unsigned = {"u8": pa.array([-1, 2], pa.int8()), "u16": pa.array([[-1], [2]], pa.list_(pa.int16()))}
    bare = pa.array([["x"], []], pa.list_(pa.field("element", pa.string(), nullable=False)))
    default = "ALTER TABLE with_default ADD COLUMN d INT DEFAULT 7"
    return [
        one("no columns", "parquet", table_bytes(pa.table({})), refused="no columns"),
        Case("old dates of Spark 2", "parquet", noted(version="2.4.8"), refused=CALENDAR),
        Case("old dates of Spark 3", "parquet", noted(version="3.5.0")),
        Case("an interval of DuckDB", "parquet", duck("interval 1 day"), refused="an interval"),
        Case("a variant of DuckDB", "parquet", duck("1::variant"), refused="variant"),
        Case("a UUID of DuckDB", "parquet", duck("uuid()"), refused="UUID"),
        Case("JSON of DuckDB", "parquet", duck("'[1]'::json")),
        one("nulls in a column of bytes", "parquet", nulls),
        one("a decimal of more digits than its type", "parquet", table_bytes({"d": long}), refused="more digits"),
        one("an enumeration", "parquet", enum.replace(text, kind)),
        one("an INT96 of Julian day 0", "parquet", int96(0), refused='"t" has INT96 times'),
        one("an INT96 before Julian day 0", "parquet", int96(-1), refused='"t" has INT96 times'),
        one("an INT96 of the first day that Java has", "parquet", int96(-(2**31)), refused='"t" has INT96 times'),
        one("an INT96 of the last day that Java has", "parquet", int96(2**31 - 1), refused='"t" has INT96 times'),
        one("an INT96 of the year 1", "parquet", int96(1_721_426)),
        one("an INT96 of 1970", "parquet", int96(2_440_588, 0)),
        one("an INT96 with an hour before its day", "parquet", int96(2_440_588, -3600 * 10**9), refused='"t" has INT96 times'),
        Case("an INT96 of Spark's before Julian day 0", "parquet", {}, refused='"s.t" has INT96 times', make=(
            "INSERT OVERWRITE DIRECTORY '{folder}' USING parquet SELECT named_struct('t', timestamp '-4713-11-24 00:00:00') s, timestamp '1970-01-01 00:00:00' n",)),
        Case("an INT96 of Spark's of 1970", "parquet", {}, make=(
            "INSERT OVERWRITE DIRECTORY '{folder}' USING parquet SELECT timestamp '1970-01-01 00:00:00' n, array(timestamp '1582-10-15 00:00:00') a",)),
        one("an unsigned number below 0", "parquet", patched(unsigned, {"251e4cac130811": "25164cac130812"}, use_dictionary=False), refused='"u8" has a number'),
        one("an unsigned number below 0, in a list", "parquet", patched(unsigned, {"25204cac131011": "25184cac131012"}), refused='"u16.list.element" has a number'),
        one("an unsigned number below 0, without statistics", "parquet", patched(unsigned, {"251e4cac130811": "25164cac130812"}, write_statistics=False), refused='"u8" has a number'),
        one("unsigned numbers without statistics", "parquet", table_bytes({"u": pa.array([1, 255, None], pa.uint8()), "v": pa.array([65535] * 3, pa.uint16())}, write_statistics=False)),
        one("a map of Hive's", "parquet", noted_twice({"m": pa.array([[("a", 1), ("b", None)], [], None], pa.map_(pa.string(), pa.int64()))})),
        one("a list that repeats what it repeats", "parquet", patched({"a": pa.array([[1]] * 16, pa.list_(pa.int32()))}, {"25021807" + b"element".hex(): "25041807" + b"element".hex()}), refused="list a repeats a field"),
        one("columns that Spark notes in another order", "parquet", table_bytes(pa.table({"a": [1], "b": [2]}).replace_schema_metadata({"org.apache.spark.sql.parquet.row.metadata": json.dumps({"type": "struct", "fields": [{"name": name, "type": "long", "nullable": True, "metadata": {}} for name in "ba"]})})), refused="another order for Spark (b, a)"),
        one("a map without values", "parquet", patched({"m": bare}, {"15064c3c000000": "15024c2c000000"}), refused="has no values"),
        Case("a default", "parquet", {}, refused="has a default", make=(
            "CREATE TABLE with_default (c INT) USING parquet LOCATION '{folder}'", "INSERT INTO with_default VALUES (1)",
            default, "INSERT INTO with_default VALUES (2, 8)", "DROP TABLE with_default")),
        Case("a map of nothing", "parquet", {}, refused="'keyType': 'void'", make=(
            "INSERT OVERWRITE DIRECTORY '{folder}' USING parquet SELECT map() AS m",)),
        Case("names beyond UTF-16", "parquet", {"\ufffd": table_bytes({"x": [1]}), "\U0001f600": table_bytes({"x": [1], "y": [2]})}),
    ]  # fmt: skip


def patched(table: dict[str, Any], changes: dict[str, str], **options: Any) -> bytes:
    """A table whose schema says something else of the same bytes."""
    data = table_bytes(table, store_schema=False, **options)
    for old, new in changes.items():
        assert data.count(bytes.fromhex(old)) == 1
        data = data.replace(bytes.fromhex(old), bytes.fromhex(new))
    return data


def noted_twice(table: dict[str, Any]) -> bytes:
    """A table with a map whose repeated group is noted as a map, too."""
    data = table_bytes(table, store_schema=False)
    old = b"\x18\x09key_value\x15\x04\x00"
    assert data.count(old) == 1
    size = int.from_bytes(data[-8:-4], "little") + 2
    return data[:-8].replace(old, old[:-1] + b"\x15\x04\x00") + size.to_bytes(4, "little") + data[-4:]


def int96(day: int, nanos: int = 18367 * 10**9) -> bytes:
    """A time of a Julian day beside an ordinary one."""
    times = pa.array([dt.datetime(2020, 1, 1, 5, 6, 7), dt.datetime(2021, 1, 1)], pa.timestamp("us"))
    plain = {"use_dictionary": False, "compression": "none", "use_deprecated_int96_timestamps": True}
    return patched(
        {"t": times},
        {struct.pack("<qi", 18367 * 10**9, 2_458_850).hex(): struct.pack("<qi", nanos, day).hex()},
        **plain,
    )


def _orc(table: Any) -> bytes:
    return table_bytes(table, pyarrow.orc.write_table)


def orc() -> list[Case]:
    def spark(name: str, value: str, refused: str) -> Case:
        query = f"INSERT OVERWRITE DIRECTORY '{{folder}}' USING orc SELECT {value} AS i"
        return Case(name, "orc", {}, refused=refused, make=(query,))

    merge = {"mergeSchema": "true"}
    twice = pa.MapArray.from_arrays([0, 2], ["k", "k"], [1, 2])
    return [
        spark("an interval", "interval '1' day", "interval day"),
        spark("a time stamp without a zone", "timestamp_ntz '2020-01-01 00:00:00'", "timestamp_ntz"),
        spark("intervals in a list", "array(interval '1-2' year to month)", "interval year to month"),
        one("old dates in a list", "orc", _orc({"l": [OLD]}), refused="1582"),
        one("old dates in a struct", "orc", _orc({"s": [{"d": OLD[0]}]}), refused="1582"),
        one("no columns", "orc", _orc(pa.table({})), refused="no columns"),
        one("no name", "orc", _orc({"": [1], "b": [2]}), refused='name ""'),
        one("a name with a backtick", "orc", _orc({"a`": [1]}), refused='name "a`"'),
        Case(
            "mergeSchema by place",
            "orc",
            {"a": _orc({"_col0": [1]}), "b": _orc({"id": [2]})},
            merge,
            refused="any order",
        ),
        Case(
            "mergeSchema in any order",
            "orc",
            {"a": _orc({"a": [1], "b": [1]}), "b": _orc({"a": [2], "c": [2]})},
            merge,
            refused="any order",
        ),
        one("a key twice", "orc", _orc({"m": twice}), refused="a key twice"),
        one("a map without a key", "orc", NO_KEY, refused="a map without a key"),
        one("a number in place of rows", "orc", NUMBER, refused="top-level struct"),
    ]


def avro() -> list[Case]:
    def noted(**notes: str) -> bytes:
        sink = io.BytesIO()
        fields = [{"name": "d", "type": {"type": "int", "logicalType": "date"}}]
        named = {f"org.apache.spark.{name}": value for name, value in notes.items()}
        fastavro.writer(sink, {"type": "record", "name": "r", "fields": fields}, [{"d": OLD[0]}], metadata=named)
        return sink.getvalue()

    interval = {"type": "int", "spark.sql.catalyst.type": "interval year"}
    return [
        one("old dates of Spark 2", "avro", noted(version="2.4.8"), refused=CALENDAR),
        one("old dates, said to be old", "avro", noted(version="3.5.0", legacyDateTime=""), refused=CALENDAR),
        one("old dates of Spark 3", "avro", noted(version="3.5.0")),
        one(
            "a field without a type",
            "avro",
            avro_bytes([{"name": "a", "type": "int"}], [{"a": 1}]).replace(b'"type": "int"', b'"typo": "int"'),
            refused="a.avro (",
        ),
        one("an interval", "avro", avro_bytes([{"name": "a", "type": interval}], [{"a": 1}]), refused="interval year"),
    ]


def _log(folder: Path, fields: list[dict[str, Any]], table: pa.Table) -> None:
    """A Delta table of one file, whose log another program wrote."""
    log = folder / "_delta_log"
    log.mkdir(parents=True)
    (folder / "a.parquet").write_bytes(table_bytes(table))
    schema = {
        "type": "struct",
        "fields": [{"type": "long", "nullable": True, "metadata": {}} | each for each in fields],
    }
    form = {"provider": "parquet", "options": {}}
    about = {"id": "x", "format": form, "schemaString": json.dumps(schema), "partitionColumns": [], "configuration": {}}
    size = (folder / "a.parquet").stat().st_size
    add = {"path": "a.parquet", "partitionValues": {}, "size": size, "modificationTime": 0, "dataChange": True}
    lines = [{"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}}, {"metaData": about}, {"add": add}]
    (log / f"{0:020}.json").write_text("\n".join(map(json.dumps, lines)))


def delta() -> list[Case]:
    def log(*fields: dict[str, Any], **columns: Any) -> Callable[[Path], None]:
        return lambda folder: _log(folder, list(fields), pa.table(columns))

    def partitioned(folder: Path) -> None:
        rows = pa.table({"id": [1, 2], "p": ["", None]})
        deltalake.write_deltalake(folder, rows, partition_by=["p"])

    def commits(change: Callable[[Path, deltalake.DeltaTable], None]) -> Callable[[Path], None]:
        """Four commits, and what happened to their log since."""

        def make(folder: Path) -> None:
            for number in range(4):
                deltalake.write_deltalake(folder, pa.table({"id": [number]}), mode="append")
            change(folder / "_delta_log", deltalake.DeltaTable(folder))

        return make

    def checkpoint(log: Path, table: deltalake.DeltaTable, parts: int = 1) -> None:
        """A checkpoint of one part or several, without the commits that are in it."""
        table.create_checkpoint()
        whole = log / f"{3:020}.checkpoint.parquet"
        if parts > 1:
            rows = pq.read_table(whole)
            whole.unlink()
            for part in range(parts):
                begin, end = rows.num_rows * part // parts, rows.num_rows * (part + 1) // parts
                pq.write_table(
                    rows.slice(begin, end - begin), log / f"{3:020}.checkpoint.{part + 1:010}.{parts:010}.parquet"
                )
            (log / "_last_checkpoint").write_text(json.dumps({"version": 3, "size": rows.num_rows, "parts": parts}))
        for number in range(3):
            (log / f"{number:020}.json").unlink()

    def without_hint(log: Path, table: deltalake.DeltaTable) -> None:
        checkpoint(log, table, 2)
        (log / "_last_checkpoint").unlink()

    def part_missing(log: Path, table: deltalake.DeltaTable) -> None:
        checkpoint(log, table, 2)
        min(log.glob("*.parquet")).unlink()

    def bare(log: Path, table: deltalake.DeltaTable) -> None:
        checkpoint(log, table)
        (log / f"{3:020}.json").unlink()

    def climbing(log: Path, table: deltalake.DeltaTable) -> None:
        commit = log / f"{1:020}.json"
        commit.write_text(commit.read_text().replace('"path":"', f'"path":"../{log.parent.name}/'))

    def unknown(log: Path, table: deltalake.DeltaTable) -> None:
        features = {"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": ["x"], "writerFeatures": ["x"]}
        (log / f"{4:020}.json").write_text(json.dumps({"protocol": features}))

    default = {"name": "n", "metadata": {"CURRENT_DEFAULT": "7", "EXISTS_DEFAULT": "7"}}
    char = (
        "CREATE TABLE delta.`{folder}` (c CHAR(5), v VARCHAR(3)) USING delta",
        "INSERT INTO delta.`{folder}` VALUES ('ab', 'x')",
    )
    varchar = tuple(statement.replace("CHAR(5)", "VARCHAR(5)") for statement in char)
    return [
        Case("a column in another case", "delta", log({"name": "id"}, ID=[1]), refused="another case"),
        Case("a default", "delta", log({"name": "id"}, default, id=[1]), refused="a default"),
        Case("a default that is not needed", "delta", log({"name": "id"}, default, id=[1], n=[2])),
        Case("an empty partition", "delta", partitioned, refused="empty text"),
        Case("char", "delta", {}, make=char, refused="(char)"),
        Case("varchar", "delta", {}, make=varchar),
        Case("a checkpoint and its commit", "delta", commits(checkpoint)),
        Case("a checkpoint alone", "delta", commits(bare), refused="without the commit of its version 3"),
        Case("a checkpoint in two parts", "delta", commits(lambda log, table: checkpoint(log, table, 2))),
        Case("a checkpoint without _last_checkpoint", "delta", commits(without_hint)),
        Case("a part of a checkpoint missing", "delta", commits(part_missing), refused="Invalid Checkpoint"),
        Case(
            "a version before the checkpoint",
            "delta",
            commits(checkpoint),
            {"versionAsOf": "1"},
            refused="as a Delta table",
        ),
        Case("a version beyond 64 bits", "delta", partitioned, {"versionAsOf": "9" * 20}, refused="as a Delta table"),
        Case("a commit missing", "delta", commits(lambda log, _: (log / f"{1:020}.json").unlink()), refused="gap"),
        Case("files by a way around", "delta", commits(climbing), refused="outside of its folder"),
        Case("a feature that nothing knows", "delta", commits(unknown), refused="as a Delta table"),
    ]
