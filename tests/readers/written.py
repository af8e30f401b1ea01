"""Datasets written by hand: what people's files have that readers disagree about. Each says whether it is read or refused."""

from __future__ import annotations

import bz2
import datetime as dt
import gzip
import io
import zlib
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import deltalake
import fastavro
import numpy
import pandas
import pyarrow as pa
import pyarrow.orc
import pyarrow.parquet as pq
from differential import ANY, Case

HEADER = {"header": "true"}
INFER = {"header": "true", "inferSchema": "true"}


def written() -> list[Case]:
    """All of them."""
    return [
        *csv(),
        *inferred(),
        *json(),
        *text(),
        *parquet(),
        *orc(),
        *avro(),
        *delta(),
        *partitioned(),
        *only_spark(),
        *globs(),
    ]


def one(name: str, form: str, data: bytes | str, options: Mapping[str, str] = {}, refused: str | None = None) -> Case:
    """A dataset of one file."""
    return Case(name, form, {f"a.{form}": data.encode() if isinstance(data, str) else data}, options, refused=refused)


def csv() -> list[Case]:
    a = "id,v\n1,x\n"
    return [
        one("rows that end in the separator", "csv", "station,temp,rain\nB1,30,3,\nB2,40,4,\n", HEADER),
        one("enforceSchema", "csv", a, {**HEADER, "enforceSchema": "false"}),
        one("enforceSchema, two names alike", "csv", "a,A\n1,2\n", {**HEADER, "enforceSchema": "false"}, "name twice"),
        one("enforceSchema, a name missing", "csv", "a,\n1,2\n", {**HEADER, "enforceSchema": "false"}, "none at all"),
        one("enforceSchema as it is", "csv", "a,a,\n1,2,3\n", {**HEADER, "enforceSchema": "true"}),
        one("header that ends in the separator", "csv", "a,b,\n1,2,\n3,4,\n", HEADER),
        one("escape is the quote", "csv", 'id,t\n1,"Fork, ""large"""\n2,""\n', {**HEADER, "escape": '"'}),
        one("backslash escape", "csv", 'id,t\n1,"say \\"hi\\", then"\n2,"C:\\temp"\n', HEADER),
        one("doubled quotes without the option", "csv", 'id,t\n1,"Fork, ""large"""\n', HEADER, "without an escape"),
        one("no quotes", "csv", 'id,v\n1,5" pipe\n2,"x"\n', {**HEADER, "quote": ""}),
        one("words for nothing", "csv", "c,n\nNA,Namibia\nnull,a\nNone,b\nnan,c\nN/A,d\n", HEADER),
        one("nullValue", "csv", 'c,n\nNA,"NA"\n,""\nx,y\n', {**HEADER, "nullValue": "NA"}),
        one("emptyValue", "csv", 'c,n\nNA,"NA"\n,""\nx,y\n', {**HEADER, "emptyValue": "E"}),
        one("empty quoted is null by default", "csv", 'c,n\n"",1\n,2\n', HEADER),
        one("short and long rows", "csv", "a,b,c\n1\n1,2\n1,2,3,4\n", HEADER),
        one("short rows dropped", "csv", "a,b,c\n1\n1,2,3\n1,2,3,4\n", {**HEADER, "mode": "DROPMALFORMED"}),
        one("short rows fail", "csv", "a,b,c\n1\n", {**HEADER, "mode": "FAILFAST"}, "FAILFAST"),
        one("blank lines", "csv", "\n  \na,b\n\n1,2\n\t\n3,4\n\n", HEADER),
        one("tabs that are blank lines", "csv", "a\tb\n\t\n1\t2\n\t2\n", {**HEADER, "sep": "\t"}),
        one("carriage returns", "csv", "a,b\r1,2\r3,4", HEADER),
        one("windows lines", "csv", 'a,b\r\n1,"2"\r\n3,4\r\n', HEADER),
        one("byte order mark", "csv", b"\xef\xbb\xbfa,b\n1,2\n", HEADER),
        one("byte order mark without header", "csv", b"\xef\xbb\xbfa,b\n1,2\n"),
        one("not UTF-8", "csv", b"a,b\n1,\xe9\n", HEADER, "not UTF-8"),
        one("latin-1", "csv", b"a,b\n1,\xe9\n", {**HEADER, "encoding": "ISO-8859-1"}, '"encoding"'),
        one("a NUL", "csv", b"a,b\n1,\0\n", HEADER, "NUL"),
        one("names twice", "csv", "id,value,value,VALUE\n1,2,3,4\n", HEADER),
        one("names in two cases", "csv", "Id,id\n1,2\n", HEADER),
        one("names missing", "csv", 'a,,"",b\n1,2,3,4\n', HEADER),
        one("no header", "csv", "1,x\n2,y\n"),
        one("header alone", "csv", "a,b\n", HEADER),
        one("nothing", "csv", "", HEADER, "without a single line"),
        one("section sign", "csv", "a§b\n1§2\n", {**HEADER, "sep": "§"}),
        one("thorn quotes", "csv", "a,b\nþ1,2þ,3\n", {**HEADER, "quote": "þ"}),
        one("long separator", "csv", "a||b\n1||2|3\n", {**HEADER, "sep": "||"}),
        one("separator by its escape", "csv", "a\tb\n1\t2\n", {**HEADER, "sep": "\\t"}),
        one("delimiter", "csv", "a;b\n1;2\n", {**HEADER, "delimiter": ";"}),
        one("separator that is a blank", "csv", "a b\n1 2\n 3\n", {**HEADER, "sep": " "}),
        one("comments", "csv", "#c\na,b\n#1,2\n3,#4\n", {**HEADER, "comment": "#"}),
        one("white space", "csv", 'a , b\n 1 , x y \n2, "q, r"\n', {**HEADER, "ignoreLeadingWhiteSpace": "true"}),
        one("white space behind", "csv", "a , b\n 1 , x y \n", {**HEADER, "ignoreTrailingWhiteSpace": "true"}),
        one("white space stays", "csv", "a , b\n 1 , x y \n", HEADER),
        one("values that span lines", "csv", 'a,b\n1,"x\ny"\n2,z\n', {**HEADER, "multiLine": "true"}),
        one(
            "values that span windows lines",
            "csv",
            'a,b\r\n1,"x\r\ny"\r\n',
            {**HEADER, "multiLine": "true"},
            "multiLine",
        ),
        one("lines that a quote leaves open", "csv", 'a,b\n1,"x\ny"\n', HEADER, "does not close"),
        one("a quote in the middle", "csv", 'a,b\n1,x"y"z\n2,5"\n', HEADER),
        one("escapes in the open", "csv", "a,b\n\\,x\ny,\\n\n", HEADER),
        one("an escape before a quote that closes", "csv", 'a,b\n"x\\\\",y\n', HEADER),
        one("locale", "csv", a, {**HEADER, "locale": "de"}, '"locale"'),
        one("samplingRatio", "csv", a, {**INFER, "samplingRatio": "0.5"}, '"samplingratio"'),
        one("lineSep", "csv", a, {**HEADER, "lineSep": ";"}, '"linesep"'),
        one("dateFormat", "csv", a, {**INFER, "dateFormat": "dd/MM/yyyy"}, '"dateformat"'),
        one("modifiedAfter", "csv", a, {**HEADER, "modifiedAfter": "2020-01-01T00:00:00"}, '"modifiedafter"'),
        one("emoji and accents", "csv", "a,b\n😀,é\nß,\u2028\n", HEADER),
        Case("packed", "csv", {"a.csv.gz": gzip.compress(a.encode()), "b.csv.bz2": bz2.compress(a.encode())}, HEADER),
        Case("deflated", "csv", {"a.csv.deflate": zlib.compress(a.encode())}, HEADER),
        Case("zstd", "csv", {"a.csv.zst": b"x"}, HEADER, refused=".zst"),
        Case("parts", "csv", {"b.csv": b"a,b\n3,4\n", "a.csv": b"a,b\n1,2\n", "_SUCCESS": b"", ".a.crc": b"x"}, HEADER),
        Case("a part with a header alone", "csv", {"a.csv": b"a,b\n", "b.csv": b"a,b\n1,2\n"}, INFER),
        Case("empty parts", "csv", {"a.csv": b"", "b.csv": b"a,b\n1,2\n", "c.csv": b"\n"}, HEADER),
        Case(
            "parts with other headers",
            "csv",
            {"a.csv": b"a,b\n1,2\n", "b.csv": b"b,a\n1,2\n"},
            HEADER,
            refused="headers",
        ),
        Case("parts of other widths", "csv", {"a.csv": b"1,2\n", "b.csv": b"1,2,3\n"}, refused="widths"),
        Case("folders below", "csv", {"a.csv": a.encode(), "x/b.csv": a.encode()}, HEADER),
        Case(
            "all folders",
            "csv",
            {"a.csv": a.encode(), "x/b.csv": a.encode()},
            {**HEADER, "recursiveFileLookup": "true"},
        ),
        Case("hidden files", "csv", {"a.csv": a.encode(), "_b.csv": b"x", ".c.csv": b"y", "d._COPYING_": b"z"}, HEADER),
        one("a header that comes again", "csv", "a,b\n1,2\na,b\n3,4\n", HEADER),
        one("a header that comes again, inferred", "csv", "a,b\n1,2\na,b\n", INFER, "comes again"),
        one("a quoted header", "csv", '"a","b c"\n1,2\n', HEADER),
        one("one column", "csv", "a\n1\n\n2\n", HEADER),
        one("_corrupt_record", "csv", "_corrupt_record,b\n1,2\n", HEADER, "_corrupt_record"),
    ]


def inferred() -> list[Case]:
    def column(name: str, values: str, refused: str | None = None, **options: str) -> Case:
        return one(f"inferred: {name}", "csv", "k,v\n" + "".join(f"{i},{v}\n" for i, v in enumerate(values.split("|"))), {**INFER, **options}, refused)  # fmt: skip

    return [
        column("identifiers beside a missing one", "1212121212121212121||1212121212121212123"),
        column("zip codes", "01234|10115"),
        column("zip codes with a letter", "01234|1011A"),
        column("integers", "1|-2147483648|2147483647"),
        column("longs", "1|2147483648"),
        column("signs", "+5|-0|007"),
        column("beyond longs", "9223372036854775808", "only Spark knows"),
        column("doubles", "1.5|2|-0.0|1e5|.5|NaN|Infinity|-Inf"),
        column("a point at the end", "5.|6", "only Spark knows"),
        column("an exponent alone", "1e5|2e-3"),
        column("dates", "2020-01-02|1582-10-04|0001-01-01|9999-12-31|"),
        column("times", "2020-01-02 03:04:05|2020-01-02T03:04:05.123456|9999-12-31 23:59:59|0001-01-01 00:00:00"),
        column("times with zones", "2020-01-02 03:04:05Z|2020-01-02T03:04:05+02:00"),
        column("dates and times", "2020-01-02|2020-01-02 03:04:05", "only Spark knows"),
        column("dates and numbers", "2020-01-02|5"),
        column("booleans", "true|FALSE||True"),
        column("booleans and numbers", "true|5"),
        column("nothing", "||"),
        column("text", "a|1|2020-01-02"),
        column("time of day", "12:30|13:45", "only Spark knows"),
        column("hexadecimal", "0x10|0x20", "only Spark knows"),
        column("numbers of Java", "1d|2f", "only Spark knows"),
        column("blanks about numbers", " 1| 2", "only Spark knows"),
        column("other digits", "١|٢", "only Spark knows"),
        column("underscores", "1_000|2_000"),
        column("dates that are none", "2020-02-30|2020-13-01", "only Spark knows"),
        column("nullValue", "NA|5|NA", nullValue="NA"),
        column("quoted numbers", '"1"|"2"'),
        column("money", "$5|€6"),
        column("versions", "1.2.3|4.5.6"),
        column("addresses", "10.0.0.1|192.168.0.1"),
    ]


def json() -> list[Case]:
    return [
        one("identifiers beside a missing one", "json", '{"id":1,"r":1212121212121212121}\n{"id":2,"r":null}\n'),
        one("keys like years", "json", '{"2020": 1, "2021": "007", "made_at": "2026-01-01"}\n'),
        one("text that looks typed", "json", '{"a":"007","b":"1e5","c":"true","d":"2020-01-01T00:00:00"}\n'),
        one("columns by name", "json", '{"z":1,"a":2,"Z":null}\n', refused='"z"'),
        one("numbers", "json", '{"a":1}\n{"a":1.5}\n{"a":1e300}\n{"a":-0.0}\n'),
        one("long and double", "json", '{"a":9007199254740993}\n{"a":0.5}\n'),
        one("beyond longs", "json", '{"a":9223372036854775808}\n', refused="64 bits"),
        one("nested", "json", '{"a":{"b":[{"c":1},{"d":"x"}]},"e":[]}\n{"a":null,"e":[[1],null]}\n'),
        one("empty objects", "json", '{"a":{},"b":1}\n'),
        one("empty text", "json", '{"a":"","b":""}\n{"a":"x"}\n'),
        one("empty text among numbers", "json", '{"a":""}\n{"a":1}\n', refused="two types"),
        one("text and numbers", "json", '{"a":"x"}\n{"a":1.50}\n', refused="two types"),
        one("nulls alone", "json", '{"a":null}\n{"a":null}\n'),
        one("escapes", "json", '{"a":"\\u00e9\\n\\"\\\\","b\\u0041":1}\n'),
        one("half a pair", "json", '{"a":"\\ud800"}\n', refused="surrogate"),
        one("a key twice", "json", '{"a":1,"a":2}\n', refused="twice"),
        one("Id and id", "json", '{"Id":1,"id":2}\n', refused="two keys"),
        one("broken lines", "json", '{"a":1}\n{"a":\n', refused="not JSON"),
        one("NaN", "json", '{"a":NaN}\n', refused="NaN"),
        one("single quotes", "json", "{'a':1}\n", refused="not JSON"),
        one("two documents in a line", "json", '{"a":1} {"a":2}\n', refused="not JSON"),
        one("lists in lines", "json", '[{"a":1},{"a":2}]\n', refused="not an object"),
        one("blank lines", "json", '\n{"a":1}\n   \n\n{"a":2}'),
        one("windows lines", "json", '{"a":1}\r\n{"a":2}\r\n'),
        one("byte order mark", "json", b'\xef\xbb\xbf{"a":1}\n'),
        one("not UTF-8", "json", b'{"a":"\xe9"}\n', refused="not UTF-8"),
        one("a document", "json", '{\n"a": 1,\n"b": [1, 2]\n}', {"multiLine": "true"}),
        one("a list of records", "json", '[{"a":1},\n{"b":2}]', {"multiLine": "true"}),
        one("nothing", "json", "", refused="without a single key"),
        one("primitivesAsString", "json", '{"a":1}', {"primitivesAsString": "true"}, '"primitivesasstring"'),
        one("dropFieldIfAllNull", "json", '{"a":1}', {"dropFieldIfAllNull": "true"}, '"dropfieldifallnull"'),
        one("_corrupt_record", "json", '{"_corrupt_record":"x"}', refused="_corrupt_record"),
        Case("parts with other keys", "json", {"a.json": b'{"a":1}\n', "b.json.gz": gzip.compress(b'{"b":"x"}\n')}),
        one("dots in keys", "json", '{"a.b":1,"c d":2,"`":3}\n'),
        one("a number of many digits", "json", '{"a":0.12345678901234567890123}\n'),
        one("infinite", "json", '{"a":1e999}\n', refused="range"),
    ]  # fmt: skip


def text() -> list[Case]:
    return [
        one("lines", "text", "one\r\ntwo ü\u2028x\n\nthree\rfour"),
        one("byte order mark", "text", b"\xef\xbb\xbfa\nb\n"),
        one("byte order mark in a whole text", "text", b"\xef\xbb\xbfa\nb\n", {"wholetext": "true"}),
        one("whole text", "text", "one\r\ntwo\n\n", {"wholetext": "true"}),
        one("not UTF-8", "text", b"\xff\n", refused="not UTF-8"),
        one("nothing", "text", ""),
        one("lineSep", "text", "a;b", {"lineSep": ";"}, '"linesep"'),
        Case("packed", "text", {"a.txt.gz": gzip.compress(b"a\nb") + gzip.compress(b"c\n")}),
        Case("cut off", "text", {"a.txt.gz": gzip.compress(b"a\nb" * 999)[:-9]}, refused="unpacked"),
    ]


def table_bytes(
    table: pa.Table | Mapping[str, Any], write: Callable[..., None] = pq.write_table, **options: Any
) -> bytes:
    """A table as a file's bytes."""
    sink = io.BytesIO()
    write(table if isinstance(table, pa.Table) else pa.table(dict(table)), sink, **options)
    return sink.getvalue()


def _frame(**columns: Any) -> bytes:
    sink = io.BytesIO()
    pandas.DataFrame(columns).to_parquet(sink)
    return sink.getvalue()


MANY = {
    "bool": pa.array([True, None]),
    "i8": pa.array([1, None], pa.int8()),
    "i16": pa.array([1, None], pa.int16()),
    "i32": pa.array([1, None], pa.int32()),
    "i64": pa.array([2**53 + 1, None], pa.int64()),
    "f32": pa.array([0.1, None], pa.float32()),
    "f64": pa.array([float("nan"), None], pa.float64()),
    "dec": pa.array([Decimal("1.50"), None], pa.decimal128(10, 2)),
    "text": pa.array(["", None]),
    "bin": pa.array([b"\0\xff", None], pa.binary()),
    "day": pa.array([dt.date(9999, 12, 31), None]),
    "list": pa.array([[2**53 + 1, None], None]),
    "struct": pa.array([{"x": 1, "y": None}, None], pa.struct([("x", pa.int64()), ("y", pa.string())])),
}
TIMES = {
    "utc": pa.array([dt.datetime(9999, 12, 31), dt.datetime(1, 1, 1), None], pa.timestamp("us", "UTC")),
    "berlin": pa.array([dt.datetime(2020, 1, 1), None, None], pa.timestamp("us", "Europe/Berlin")),
    "local": pa.array([dt.datetime(9999, 12, 31), dt.datetime(1500, 1, 1), None], pa.timestamp("us")),
    "ms": pa.array([dt.datetime(2020, 1, 1), None, None], pa.timestamp("ms", "UTC")),
    "seconds": pa.array([dt.datetime(2020, 1, 1), None, None], pa.timestamp("s")),
}


def parquet() -> list[Case]:
    now = pandas.to_datetime(["2020-01-01"])
    ids = {"id": [1]}
    ancient = pa.table(
        {
            "t": pa.array(
                [dt.datetime(9999, 12, 31), dt.datetime(1500, 1, 1), dt.datetime(2020, 1, 1)], pa.timestamp("us")
            )
        }
    )
    nano = pa.array([1], pa.timestamp("ns"))
    maps = pa.array([[("a", 1), ("b", None)], [], None], pa.map_(pa.string(), pa.int64()))
    return [
        one("many types", "parquet", table_bytes(MANY)),
        one("no schema of Arrow's", "parquet", table_bytes({**MANY, "big": pa.array(["x", None], pa.large_string())}, store_schema=False)),
        one("times", "parquet", table_bytes(TIMES)),
        one("INT96 outside of 1677 to 2262", "parquet", table_bytes(ancient, use_deprecated_int96_timestamps=True)),
        one("nanoseconds", "parquet", table_bytes({"t": nano}, coerce_timestamps=None, version="2.6"), refused="timestamp[ns]"),
        one("pandas: Europe/Berlin", "parquet", _frame(t=now.as_unit("us").tz_localize("Europe/Berlin"))),
        one("pandas: +02:00", "parquet", _frame(t=pandas.to_datetime(["2020-01-01T00:00:00+02:00"]).as_unit("ms"))),
        one("pandas: durations", "parquet", _frame(t=pandas.to_timedelta(["1h"]).as_unit("us"))),
        one("pandas: categories", "parquet", _frame(c=pandas.Categorical(["a", "b", "a"]))),
        one("pandas: categories of numbers", "parquet", _frame(c=pandas.Categorical([10, 20, 10]))),
        one("pandas: an index", "parquet", table_bytes(pa.Table.from_pandas(pandas.DataFrame({"a": [1]}, index=["x"])))),
        one("pandas: nothing but None", "parquet", _frame(a=[1], n=[None])),
        one("time of day", "parquet", _frame(t=[dt.time(1, 2, 3)]), refused="time64"),
        one("float16", "parquet", table_bytes({"h": pa.array([1.5], pa.float16())}), refused="halffloat"),
        one("unsigned", "parquet", table_bytes({f"u{n}": pa.array([2**n - 1, None], t) for n, t in ((8, pa.uint8()), (16, pa.uint16()), (32, pa.uint32()), (64, pa.uint64()))})),
        one("Id and id", "parquet", table_bytes({"Id": [1], "id": [2]}), refused='"id"'),
        one("maps", "parquet", table_bytes({"m": maps})),
        one("nested deeply", "parquet", table_bytes({"a": [[{"b": [{"c": 1}], "d": [None]}], None]})),
        one("decimals", "parquet", table_bytes({"a": pa.array([Decimal("-1.5")], pa.decimal128(5, 1)), "b": pa.array([Decimal(10**37)], pa.decimal128(38, 0))}, store_decimal_as_integer=True)),
        one("fixed bytes", "parquet", table_bytes({"a": pa.array([b"ab"], pa.binary(2))})),
        one("no rows", "parquet", table_bytes(pa.table(MANY).slice(0, 0))),
        one("dots and blanks in names", "parquet", table_bytes({"a.b": [1], "c d": [2], "é": [3]})),
        one("not Parquet", "parquet", b"PAR1 no", refused="a.parquet ("),
        Case("columns of later files", "parquet", {"a.parquet": table_bytes(ids), "b.parquet": table_bytes({"id": [2], "score": [20]})}),
        Case("mergeSchema", "parquet", {"a.parquet": table_bytes(ids), "b.parquet": table_bytes({"id": [2], "score": [20]})}, {"mergeSchema": "true"}),
        Case("columns in another order", "parquet", {"a.parquet": table_bytes({"a": [1], "b": ["x"]}), "b.parquet": table_bytes({"b": ["y"], "a": [2]})}),
        Case("columns of another type", "parquet", {"a.parquet": table_bytes(ids), "b.parquet": table_bytes({"id": ["x"]})}, refused="is not what"),
        Case("names of another case", "parquet", {"a.parquet": table_bytes(ids), "b.parquet": table_bytes({"ID": [2]})}, refused="is not what"),
        Case("mergeSchema and names of another case", "parquet", {"a.parquet": table_bytes(ids), "b.parquet": table_bytes({"ID": [2]})}, {"mergeSchema": "true"}, refused="is not what"),
        one("datetimeRebaseMode", "parquet", table_bytes(ids), {"datetimeRebaseMode": "LEGACY"}, '"datetimerebasemode"'),
        *(one(f"packed by {codec}", "parquet", table_bytes(MANY, compression=codec), refused=ANY) for codec in ("none", "gzip", "zstd", "lz4", "brotli")),
        one("BYTE_STREAM_SPLIT", "parquet", table_bytes({"f": pa.array([0.1, 0.2, None]), "i": [1, 2, 3]}, use_dictionary=False, column_encoding={"f": "BYTE_STREAM_SPLIT"}), refused=ANY),
        one("BYTE_STREAM_SPLIT of integers", "parquet", table_bytes({"i": [1, 2, 3]}, use_dictionary=False, column_encoding={"i": "BYTE_STREAM_SPLIT"}), refused=ANY),
        one("DELTA encodings", "parquet", table_bytes({"i": [1, 2, 300], "t": ["ab", "abc", None], "b": [b"x", b"", b"xyz"]}, use_dictionary=False, column_encoding={"i": "DELTA_BINARY_PACKED", "t": "DELTA_BYTE_ARRAY", "b": "DELTA_LENGTH_BYTE_ARRAY"}), refused=ANY),
        one("RLE of booleans", "parquet", table_bytes({"b": [True, False, None]}, use_dictionary=False, column_encoding={"b": "RLE"}), refused=ANY),
        one("data pages of version 2", "parquet", table_bytes(MANY, data_page_version="2.0")),
        one("several row groups", "parquet", table_bytes(MANY, row_group_size=1)),
        one("text that is not UTF-8", "parquet", table_bytes({"t": pa.Array.from_buffers(pa.string(), 2, [None, pa.py_buffer(numpy.array([0, 1, 2], "int32")), pa.py_buffer(b"a\xff")])}), refused="text that is not UTF-8"),
        Case("written by Spark", "parquet", {}, make=(_make("parquet"),)),
        Case("an interval", "parquet", {}, make=("INSERT OVERWRITE DIRECTORY '{folder}' USING parquet SELECT interval '1' day AS i",), refused="interval"),
    ]  # fmt: skip


def _make(form: str, times: bool = True) -> str:
    late = ", timestamp '9999-12-31 01:02:03' AS t, timestamp_ntz '1500-01-01 00:00:00' AS n" if times else ""
    return (
        f"INSERT OVERWRITE DIRECTORY '{{folder}}' USING {form} SELECT id, id % 3 = 0 AS b, cast(id AS tinyint) AS i, "
        "cast(id AS decimal(20, 3)) AS d, array(id, null) AS l, map('k', id) AS m, named_struct('x', id, 'y', null) AS s, "
        f"cast(id AS string) AS t1, cast('x' AS binary) AS y, date '2020-01-01' AS day, cast(id AS float) AS f{late} FROM range(5)"
    ).replace("'y', null", "'y', cast(null AS string)")


def orc() -> list[Case]:
    def bytes_of(table: Mapping[str, Any]) -> bytes:
        return table_bytes(table, pyarrow.orc.write_table)

    now = {"t": pa.array([dt.datetime(2020, 1, 1)], pa.timestamp("us"))}
    return [
        one("many types", "orc", bytes_of(MANY)),
        one("maps", "orc", bytes_of({"m": pa.array([[("a", 1)], [], None], pa.map_(pa.string(), pa.int64()))})),
        one("time stamps", "orc", bytes_of(now), refused="timestamp"),
        one("old dates", "orc", bytes_of({"d": pa.array([dt.date(1500, 1, 1)])}), refused="1582"),
        one("Id and id", "orc", bytes_of({"Id": [1], "id": [2]}), refused='"id"'),
        one("not ORC", "orc", b"ORC no", refused="a.orc ("),
        one("no rows", "orc", bytes_of(pa.table(MANY).slice(0, 0))),
        Case(
            "columns of later files",
            "orc",
            {"a.orc": bytes_of({"id": [1]}), "b.orc": bytes_of({"id": [2], "s": [3]})},
            refused="several schemas",
        ),
        Case(
            "mergeSchema",
            "orc",
            {"a.orc": bytes_of({"id": [1]}), "b.orc": bytes_of({"id": [2], "s": [3]})},
            {"mergeSchema": "true"},
        ),
        Case("partitioned", "orc", {"p=1/a.orc": bytes_of({"id": [1]}), "p=2/a.orc": bytes_of({"id": [2]})}),
        Case("written by Spark", "orc", {}, make=(_make("orc", times=False),)),
    ]


def avro_bytes(fields: list[dict[str, Any]], rows: list[dict[str, Any]]) -> bytes:
    """Records as an Avro file's bytes."""
    sink = io.BytesIO()
    fastavro.writer(sink, {"type": "record", "name": "r", "fields": fields}, rows)
    return sink.getvalue()


def avro() -> list[Case]:
    def column(name: str, kind: Any, values: list[Any], refused: str | None = None) -> Case:
        return one(
            name, "avro", avro_bytes([{"name": "a", "type": kind}], [{"a": value} for value in values]), {}, refused
        )

    def logical(kind: str, name: str, **more: Any) -> dict[str, Any]:
        return {"type": kind, "logicalType": name, **more}

    utc = dt.UTC
    return [
        *(column(f"{kind} or null", ["null", kind], [value, None]) for kind, value in (("int", 1), ("long", 2**53 + 1), ("float", 0.5), ("double", 1e300), ("boolean", True), ("string", "é"), ("bytes", b"\xff"))),
        column("dates", logical("int", "date"), [dt.date(2020, 1, 1), dt.date(1, 1, 1)]),
        column("milliseconds", logical("long", "timestamp-millis"), [dt.datetime(2020, 1, 1, tzinfo=utc)]),
        column("microseconds", logical("long", "timestamp-micros"), [dt.datetime(9999, 12, 31, tzinfo=utc), dt.datetime(1960, 1, 1, tzinfo=utc)]),
        column("local times", logical("long", "local-timestamp-micros"), [dt.datetime(2020, 1, 1)]),
        column("time of day", logical("int", "time-millis"), [dt.time(1, 2)], "time-millis"),
        column("decimals", logical("bytes", "decimal", precision=10, scale=2), [Decimal("1.50"), Decimal("-3.25")]),
        column("uuid", logical("string", "uuid"), ["0b5c0d1e-0000-4000-8000-000000000001"], "uuid"),
        column("enum", {"type": "enum", "name": "e", "symbols": ["A", "B"]}, ["A", "B"]),
        column("fixed", {"type": "fixed", "name": "f", "size": 2}, [b"ab"]),
        column("arrays", {"type": "array", "items": ["null", "long"]}, [[1, None], []]),
        column("maps", {"type": "map", "values": "int"}, [{"k": 1}, {}]),
        column("records", {"type": "record", "name": "n", "fields": [{"name": "x", "type": "int"}]}, [{"x": 1}]),
        column("unions", ["null", "int", "string"], [1, "x"], "union"),
        one("not Avro", "avro", b"Obj no", refused="a.avro ("),
    ]  # fmt: skip


def delta() -> list[Case]:
    def table(**more: Any) -> Callable[[Path], None]:
        def make(folder: Path) -> None:
            rows = pa.table(
                {
                    "a": pa.array([1, 2, None], pa.int64()),
                    "p": ["x y", "z", None],
                    "d": pa.array([0, 1, None], pa.date32()),
                }
            )
            deltalake.write_deltalake(folder, rows, **more)
            deltalake.write_deltalake(folder, rows, mode="append", **more)

        return make

    ddl = "CREATE TABLE delta.`{folder}` (id BIGINT, t TIMESTAMP, p INT) USING delta PARTITIONED BY (p)"
    rows = "INSERT INTO delta.`{folder}` VALUES (1, timestamp '9999-12-31 00:00:00', 1), (2, null, null)"
    mapped = "ALTER TABLE delta.`{folder}` SET TBLPROPERTIES ('delta.columnMapping.mode' = 'name', 'delta.minReaderVersion' = '2', 'delta.minWriterVersion' = '5')"
    vectors = "ALTER TABLE delta.`{folder}` SET TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')"
    remove = "DELETE FROM delta.`{folder}` WHERE id = 1"
    return [
        Case("two commits", "delta", table()),
        Case("an old version", "delta", table(), {"versionAsOf": "0"}),
        Case("partitioned", "delta", table(partition_by=["p", "d"])),
        Case("timestampAsOf", "delta", table(), {"timestampAsOf": "2030-01-01"}, refused='"timestampasof"'),
        Case("with a glob", "delta", table(), glob="*.parquet", refused="glob"),
        Case("written by Spark", "delta", {}, make=(ddl, rows, rows, remove)),
        Case("column mapping", "delta", {}, make=(ddl, rows, mapped), refused="column mapping"),
        Case("deletion vectors", "delta", {}, make=(ddl, vectors, rows, rows, remove), refused="eletion"),
        Case("a column more", "delta", {}, make=(ddl, rows, "ALTER TABLE delta.`{folder}` ADD COLUMN more STRING", rows.replace(", 1)", ", 1, 'm')").replace("null)", "null, 'n')"))),
        Case("not Delta", "delta", {"a.parquet": b"x"}, refused="Delta table"),
    ]  # fmt: skip


def partitioned() -> list[Case]:
    def folders(name: str, *paths: str, refused: str | None = None, glob: str | None = None, **options: str) -> Case:
        return Case(
            f"partitions: {name}",
            "csv",
            {path: f"x\n{i}\n".encode() for i, path in enumerate(paths)},
            {**HEADER, **options},
            glob,
            refused,
        )

    return [
        folders("numbers", "p=1/a.csv", "p=2/a.csv"),
        folders("longs", "p=1/a.csv", "p=3000000000/a.csv"),
        folders("zeros", "p=01/a.csv", "p=1/a.csv"),
        folders("text", "p=x/a.csv", "p=y z/a.csv"),
        folders("text and numbers", "p=x/a.csv", "p=01/a.csv"),
        folders("dates", "p=2020-01-01/a.csv", "p=2020-01-02/a.csv"),
        folders("doubles", "p=1.5/a.csv", "p=2.5/a.csv"),
        folders("missing", "p=1/a.csv", "p=__HIVE_DEFAULT_PARTITION__/a.csv"),
        folders("escaped", "p=a%3Ab/a.csv", "p=c%2Fd/a.csv"),
        folders("two", "p=1/q=x/a.csv", "p=2/q=y/a.csv"),
        folders("true", "p=true/a.csv", "p=false/a.csv"),
        folders("hidden", "p=1/a.csv", "p=1/_b.csv", "_q=1/a.csv", refused="same partition"),
        folders("of uneven depth", "p=1/a.csv", "p=2/q=1/a.csv", refused="same partition"),
        folders("beside files", "p=1/a.csv", "a.csv", refused="same partition"),
        folders("of the files' own name", "x=1/a.csv", refused='"x"'),
        folders("ignored", "p=1/a.csv", "p=2/a.csv", recursiveFileLookup="true"),
        folders("and inferSchema", "p=1/a.csv", "p=2/a.csv", inferSchema="true"),
        folders("and a glob", "p=1/a.csv", "p=1/b.tsv", "p=2/a.tsv", glob="*.csv"),
        Case("partitions: parquet", "parquet", {"p=1/a.parquet": table_bytes({"a": [1]}), "p=x/a.parquet": table_bytes({"a": [2]})}),
        Case("partitions: json", "json", {"p=1/a.json": b'{"a":1}', "p=2/a.json": b'{"b":1}'}),
        Case("partitions: text", "text", {"p=é/a.txt": b"1", "p=b/a.txt": b"2"}),
    ]  # fmt: skip


def only_spark() -> list[Case]:
    return [
        Case("binary", "binary", {"a.bin": b"\0\1"}, refused="the format binary"),
        Case("image", "image", {"a.png": b"\x89PNG"}, refused="the format image"),
    ]


def globs() -> list[Case]:
    files = {name: f"f\n{name}\n".encode() for name in ("_old.csv", "a.csv", "b.tsv", "c.txt", "ab.csv", "[x].csv")}
    patterns = (
        "[^_]*.csv",
        "*.{csv,tsv}",
        "[!a]*",
        "?.csv",
        "\\[x\\].csv",
        "{a,{b,c}}.*",
        "[a-b].[ct]sv",
        "a,b.csv",
        "*",
    )
    return [Case(f"glob {glob}", "csv", files, HEADER, glob, None if glob != "a,b.csv" else "") for glob in patterns]
