"""Tables that are the same and tables that are not, in a real Spark: each pair is a trap of its own.

One Spark writes all of them, one run of script.py digests them, and each test looks at its two.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import struct
import sys
import threading
import venv
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from random_tables import random_table
from spark_session import DELTA, SparkParts, run_script
from table_environment import QUICK

from reprolock.engine.spark import plan_spark
from reprolock.engine.tables import run as engine
from reprolock.engine.tables.run import Spark, Table, digest_tables
from reprolock.engine.tables.script import of_the_machine
from reprolock.errors import Interrupted, MachineError
from reprolock.model.spec import OutputSpec
from reprolock.model.spec_spark import SparkSpec
from reprolock.model.table import TableDigest, TableProblem, table_differences, table_digest

pytestmark = [pytest.mark.spark, pytest.mark.long]

ROWS = "select id, cast(id as string) name, id / 7D as x from range(50)"

SAME = {
    "the order of rows": (ROWS, ROWS + " order by rand(3)"),
    "how many files": (ROWS, f"select /*+ repartition(5) */ * from ({ROWS})"),
    "whether a column may hold nulls": ("select 1 as a", "select if(rand() < 2, 1, null) as a"),
    "NaN": ("select double('NaN') as x, float('NaN') as y", "select -double('NaN') as x, -float('NaN') as y"),
    "-0.0 and 0.0": ("select 0D as x, float(0) as y", "select -0D as x, -float(0) as y"),
    "-0.0 in an array and as a map's value": (
        "select array(0D) as x, map(1, 0D) as m",
        "select array(-0D) as x, map(1, -0D) as m",
    ),
    "a map's order": ("select map('a', 1, 'b', 2, 'c', null) as m", "select map('c', null, 'b', 2, 'a', 1) as m"),
    "a map's order inside of a map and an array": (
        "select array(map('k', map(1, 'x', 2, 'y'), 'j', map(3, 'z'))) as m",
        "select array(map('j', map(3, 'z'), 'k', map(2, 'y', 1, 'x'))) as m",
    ),
    "one moment in two zones": (
        "select timestamp'2026-03-29 01:30:00+00:00' as t",
        "select timestamp'2026-03-29 03:30:00+02:00' as t",
    ),
}

DIFFERENT = {
    "a duplicate more": ("select explode(array(1, 1)) as a", "select explode(array(1, 1, 1)) as a"),
    "two pairs of duplicates": ("select explode(array(1, 1)) as a", "select explode(array(2, 2)) as a"),
    "no row and a row of nulls": ("select cast(null as int) as a where false", "select cast(null as int) as a"),
    "a null that moves": ("select string(null) as a, 'x' as b", "select 'x' as a, string(null) as b"),
    "a null number that moves": ("select int(null) as a, 1 as b", "select 1 as a, int(null) as b"),
    "a null and what xxhash64 makes of it": ("select bigint(null) as a", "select bigint(42) as a"),
    "a null and nothing": ("select string(null) as a", "select '' as a"),
    "a null and zero": ("select int(null) as a, double(null) as x", "select 0 as a, 0D as x"),
    "text that moves between columns": ("select 'ab' as a, 'c' as b", "select 'a' as a, 'bc' as b"),
    "values that change places": (
        "select * from values (1, 'a'), (2, 'b') as t(x, y)",
        "select * from values (1, 'b'), (2, 'a') as t(x, y)",
    ),
    "the next double": ("select 0.1D as x", "select 0.10000000000000002D as x"),
    "the smallest double and zero": ("select 4.9E-324D as x", "select 0D as x"),
    "infinities": ("select double('Infinity') as x", "select double('-Infinity') as x"),
    "NaN and null": ("select double('NaN') as x", "select double(null) as x"),
    "float and double": ("select float(1) as x", "select 1D as x"),
    "int and bigint": ("select 1 as x", "select 1L as x"),
    "a decimal's scale": ("select cast(1 as decimal(10,2)) as x", "select cast(1 as decimal(10,3)) as x"),
    "a decimal's value": ("select cast(1.10 as decimal(10,2)) as x", "select cast(1.11 as decimal(10,2)) as x"),
    "a long decimal's last digit": (
        "select cast('12345678901234567890.000000000000000001' as decimal(38,18)) as x",
        "select cast('12345678901234567890.000000000000000002' as decimal(38,18)) as x",
    ),
    "a microsecond": (
        "select timestamp'2026-01-01 00:00:00.000001' as t",
        "select timestamp'2026-01-01 00:00:00.000002' as t",
    ),
    "a time with and without a zone": (
        "select timestamp'2026-01-01 00:00:00' as t",
        "select timestamp_ntz'2026-01-01 00:00:00' as t",
    ),
    "a day": ("select date'2026-01-01' as t", "select date'2026-01-02' as t"),
    "a day before 1582": ("select date'1500-01-01' as t", "select date'1500-01-02' as t"),
    "a date and its number": ("select date'1970-01-02' as t", "select 1 as t"),
    "an interval": ("select interval '1' day as t", "select interval '2' day as t"),
    "months": ("select interval '1' month as t", "select interval '2' month as t"),
    "a boolean": ("select true as a", "select false as a"),
    "binary and text": ("select cast('a' as binary) as a", "select 'a' as a"),
    "a byte": ("select x'00' as a", "select x'0000' as a"),
    "text in another normal form": ("select 'é' as a", "select 'e\u0301' as a"),
    "a blank at the end": ("select 'a' as a", "select 'a ' as a"),
    "elements that move between arrays": (
        "select array(1, 2) as a, array(3) as b",
        "select array(1) as a, array(2, 3) as b",
    ),
    "text that moves between elements": ("select array('ab', 'c') as a", "select array('a', 'bc') as a"),
    "an array's order": ("select array(1, 2) as a", "select array(2, 1) as a"),
    "an empty array, one of null and none": ("select array(int(null)) as a", "select cast(array() as array<int>) as a"),
    "no array and an empty one": ("select cast(null as array<int>) as a", "select cast(array() as array<int>) as a"),
    "arrays in arrays": ("select array(array(1), array(2)) as a", "select array(array(1, 2)) as a"),
    "an empty array in an array": ("select array(array(1), array()) as a", "select array(array(), array(1)) as a"),
    "a struct of null and no struct": (
        "select named_struct('x', int(null)) as a",
        "select cast(null as struct<x: int>) as a",
    ),
    "a null that moves in a struct": (
        "select named_struct('x', 1, 'y', int(null)) as a",
        "select named_struct('x', int(null), 'y', 1) as a",
    ),
    "a struct's names": ("select named_struct('x', 1) as a", "select named_struct('y', 1) as a"),
    "names that look like types": (
        "select named_struct('x:int,y', 1) as a",
        "select named_struct('x', 1, 'y', 1) as a",
    ),
    "a map's keys and values": ("select map('a', 'b') as m", "select map('b', 'a') as m"),
    "a map's values": ("select map('a', 1, 'b', 2) as m", "select map('a', 2, 'b', 1) as m"),
    "a map's value of null and no entry": ("select map('a', 1, 'b', int(null)) as m", "select map('a', 1) as m"),
    "no map and an empty one": ("select cast(null as map<int, int>) as m", "select cast(map() as map<int, int>) as m"),
    "a column's name": ("select 1 as a", "select 1 as b"),
    "a column's case": ("select 1 as a", "select 1 as A"),
    "the order of columns": ("select 1 as a, 1 as b", "select 1 as b, 1 as a"),
    "a column more": ("select 1 as a", "select 1 as a, int(null) as b"),
}

TYPES = """
select * from values
 (true, 1Y, 2S, 3, 4L, float(0.1), 0.1D, 1.50BD, cast('-0.000000000000000001' as decimal(38,18)), 'é\U0001f600', X'00FF',
  date'1582-10-15', timestamp'0001-01-01 00:00:00.000001', timestamp_ntz'9999-12-31 23:59:59.999999'),
 (false, -128Y, -32768S, -2147483648, -9223372036854775808L, float('-Infinity'), -double('NaN'), -1.50BD,
  cast(repeat('9', 20) || '.5' as decimal(38,18)), '', X'', date'9999-12-31', timestamp'1969-12-31 23:59:59.999999',
  timestamp_ntz'1970-01-01'),
 (null, null, null, null, null, null, null, null, null, null, null, null, null, null)
 as t(a_bool, b_byte, c_short, d_int, e_long, f_float, g_double, h_money, i_digits, j_text, k_bytes, l_day, m_time, n_ntz)
"""
NESTED = f"""
select named_struct('all', struct(*), 'deep', array(struct(*), null)) as s, array(e_long, null) as longs,
       array(array(j_text), array(), null) as texts, map(coalesce(j_text, 'none'), struct(*), 'x', null) as m,
       map(coalesce(e_long, 0L), map(coalesce(l_day, date'2000-01-01'), g_double)) as mm
from ({TYPES})
"""

WRITTEN = {
    "odd": "select 1 as `a.b`, 2 as `c``d`, named_struct('e.f', 3) as `g h`",
    "wide": f"select {', '.join(f'id + {place} as c{place}' for place in range(400))} from range(20)",
    "none": "select 1 as a, 'x' as b where false",
    "types": TYPES,
    "nested types": NESTED,
    "days": "select make_interval(1, 2) as t",
    "pinned": "select * from values (1L, 'a'), (2L, null), (2L, null) as t(n, s)",
}
"""Under these names, each as Parquet."""

WRITE = """
import json
from concurrent.futures import ThreadPoolExecutor
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

spark = SparkSession.builder.getOrCreate()
spark.conf.set("spark.sql.ansi.enabled", "false")
spark.conf.set("spark.sql.caseSensitive", "true")
tables, formats, refused = json.load(open("tables.json")), json.load(open("formats.json")), {}
def write(name):
    try:
        spark.sql(tables[name]).write.parquet(f"tables/{name}")
    except Exception as error:
        refused[name] = str(error).splitlines()[0]
with ThreadPoolExecutor(4) as pool:
    list(pool.map(write, tables))
for name, (query, kind, options) in formats.items():
    spark.sql(query).write.format(kind).options(**options).save(f"tables/{name}")
frame = spark.sql("select id, id % 3 as p, cast(id as string) as s from range(20)")
frame.write.partitionBy("p").parquet("tables/partitioned")
frame.select("id", "s", F.col("p").cast("string")).write.parquet("tables/whole")
spark.sql("select 1 as a").write.format("delta").save("tables/history")
spark.sql("select 2 as a").write.format("delta").mode("overwrite").save("tables/history")
from pyspark.ml.linalg import Vectors
for name, vector in (("dense", Vectors.dense(1.0, 0.0)), ("sparse", Vectors.sparse(2, [0], [1.0])), ("other", Vectors.dense(1.0, 2.0))):
    spark.createDataFrame([(1, vector)], ["id", "v"]).write.parquet(f"tables/{name}")
spark.sql("select parse_json('{\\"a\\": 1}') as v, 1 as a").write.parquet("tables/variant")
print(json.dumps(refused))
"""

FORMATS = {
    "as parquet": (ROWS, "parquet", {}),
    "as gzip": (ROWS, "parquet", {"compression": "gzip"}),
    "as orc": (ROWS, "orc", {}),
    "as delta": (ROWS, "delta", {}),
    "as json": (ROWS, "json", {}),
    "as csv": (ROWS, "csv", {"header": "true"}),
    "as tabs": (ROWS, "csv", {"sep": "\t", "header": "true"}),
}


RANDOM = 40
"""How many tables of random types are digested by both engines."""

UNREAD = {
    "nested": ("sub/b.parquet", "sub/c.parquet"),
    "half partitioned": ("p=1/b.parquet",),
    "with blanks": ("a ü %20/b.parquet",),
    "hidden": ("_b.parquet", ".c.parquet", "_d/e.parquet", "d/.e.parquet"),
    "evenly": ("b.parquet",),
}
"""Files beside a.parquet, in folders of these names."""


class Digests(dict[str, "TableDigest | TableProblem"]):
    """By name; `place` is the folder with all of them, `environ` that of a run, `tables` what was digested."""

    place: Path
    tables: dict[str, Table]
    environ: dict[str, str]

    def of(self, name: str) -> TableDigest:
        digest = self[name]
        assert isinstance(digest, TableDigest), digest
        return digest

    def problem(self, name: str) -> str:
        problem = self[name]
        assert isinstance(problem, TableProblem), problem
        return problem.sentence


@pytest.fixture(scope="module")
def digests(
    spark_parts: SparkParts, spark_environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Digests:
    folder = tmp_path_factory.mktemp("work [1] {a,b}")
    pairs = {f"{kind}{place} {side}": query
             for kind, cases in (("same", SAME), ("different", DIFFERENT))
             for place, queries in enumerate(cases.values())
             for side, query in enumerate(queries)}  # fmt: skip
    (folder / "tables.json").write_text(json.dumps(pairs | WRITTEN))
    (folder / "formats.json").write_text(json.dumps(FORMATS))
    _, plain = plan_spark(
        SparkSpec(packages=(DELTA,), conf=QUICK), version="", jars=spark_parts.files, cores=2, folder=folder / "conf"
    )
    refused = run_script(WRITE, plain, folder)
    assert list(refused) == ["days"], refused
    place = folder / "tables"
    by_hand(place)
    tables = {name: Table(place / name, "parquet") for name in (*pairs, *WRITTEN) if name != "days"}
    tables |= {
        name: Table(place / name, kind, options if kind == "csv" else {})
        for name, (_, kind, options) in FORMATS.items()
    }
    tables |= {
        name: Table(place / name, "parquet")
        for name in ("partitioned", "whole", "dense", "sparse", "other", "variant", "nans")
    }
    tables |= further(place)
    made = Digests(digest_tables(tables, Spark(Path(sys.executable), spark_environ, folder / "own")))
    made.place, made.environ, made.tables = place, spark_environ, tables
    assert list((folder / "own").iterdir()) == []
    return made


def plain(place: Path) -> Path:
    """A folder whose name is no pattern: Spark takes it for one where it reads with multiLine."""
    return place.parent.with_name("plain")


def by_hand(place: Path) -> None:
    """Files that Spark did not write."""
    payloads = [struct.unpack("<d", struct.pack("<Q", 0x7FF8_0000_0000_0000 | bits))[0] for bits in (1, 2)]
    for name, values in (("nans", payloads), ("more nans", payloads[::-1])):
        pyarrow.parquet.write_table(pyarrow.table({"x": pyarrow.array(values, pyarrow.float64())}), place / name)
    rows = [{"id": n, "name": str(n), "x": n / 7} for n in range(50)]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), place / "by pyarrow", row_group_size=7)
    (place / "damaged").write_text("this is not a Parquet")
    (place / "empty").mkdir()
    (place / "long.csv").write_text("a,b\n1,2,3\n")
    (place / "broken.json").write_text('{"a": 1}\n{"a": \n')
    (place / "cased.csv").write_text("a,A\n1,2\n")
    for name, more in UNREAD.items():
        for number, file in enumerate(("a.parquet", *more)):
            (place / name / file).parent.mkdir(parents=True, exist_ok=True)
            pyarrow.parquet.write_table(pyarrow.table({"k": [number]}), place / name / file)
    for name, columns in (
        ("one column", {"k": [1, 2]}),
        ("one column more", {"k": [2], "v": [3]}),
        ("another v", {"k": [2], "v": [4]}),
    ):
        (place / name).mkdir()
        pyarrow.parquet.write_table(pyarrow.table({"k": [1] * 1000}), place / name / "a.parquet")
        pyarrow.parquet.write_table(pyarrow.table(columns), place / name / "b.parquet")
    for seed in range(RANDOM):
        pyarrow.parquet.write_table(random_table(seed), place / f"random {seed}", row_group_size=11)
    for name, text in {
        "latin e": b"name\nRen\xe9\n", "latin o": b"name\nRen\xf6\n", "digits": b"x\n0.1\n",
        "more digits": b"x\n0.1000000000000000055\n", "no text": b'a,b\n"",1\n', "no value": b"a,b\n,1\n",
        "blanks": b"a\nx\n  \n", "blanks first": b"\t\na\nx\n",
    }.items():  # fmt: skip
        (place / f"{name}.csv").write_bytes(text)
    plain(place).mkdir()
    for name, text in {
        "returns": b'a,b\r\n1,"x\r\ny"\r\n', "returns behind rows": b'a,b\r\n1,"x\ny"\r\n', "no returns": b'a,b\n1,"x\ny"\n',
    }.items():  # fmt: skip
        (plain(place) / f"{name}.csv").write_bytes(text)
    for name, text in {
        "one a line": '{"a":1}\n', "two a line": '{"a":1} {"a":999}\n', "number": '{"a":1}\n{"a":"x"}\n',
        "word": '{"a":"1"}\n{"a":"x"}\n', "small": '{"a":1e-400}\n', "zero": '{"a":0}\n', "no key": '{"b":0}\n',
        "null key": '{"a":null,"b":0}\n', "written otherwise": ' { "b" : 0.0e1 } \n\n', "a list": "[1]\n",
    }.items():  # fmt: skip
        (place / f"{name}.json").write_text(text)
    for name, folder, text in (
        ("zip", "zip=01234", "a\n1\n"), ("other zip", "zip=1234", "a\n1\n"), ("hidden", "a=2", "a\n1\n"),
    ):  # fmt: skip
        (place / f"{name} folders" / folder).mkdir(parents=True)
        (place / f"{name} folders" / folder / "1.csv").write_text(text)
    for name, header in (("headers", "a,b"), ("other headers", "b,a")):
        (place / name).mkdir()
        (place / name / "1.csv").write_text("a,b\n1,2\n3,4\n")
        (place / name / "2.csv").write_text(f"{header}\n5,6\n")


def further(place: Path) -> dict[str, Table]:
    header = {"header": "true", "inferSchema": "true"}
    deep = {"recursiveFileLookup": "true"}
    return {
        **{name: Table(place / name, "parquet") for name in (*UNREAD, "one column", "one column more", "another v")},
        **{f"{name}, all": Table(place / name, "parquet", deep) for name in UNREAD},
        "nested, chosen": Table(place / "nested", "parquet", {"pathGlobFilter": "a.*"}),
        "headers": Table(place / "headers", "csv", {"header": "true"}),
        "other headers": Table(place / "other headers", "csv", {"header": "true"}),
        "other headers, passed over": Table(
            place / "other headers", "csv", {"header": "true", "enforceSchema": "true"}
        ),
        **{f"random {seed}": Table(place / f"random {seed}", "parquet") for seed in range(RANDOM)},
        "more nans": Table(place / "more nans", "parquet"),
        "by pyarrow": Table(place / "by pyarrow", "parquet"),
        "history": Table(place / "history", "delta"),
        "csv typed": Table(place / "as csv", "csv", header),
        "tabs typed": Table(place / "as tabs", "csv", header | {"sep": "\t"}),
        "without x": Table(place / "as parquet", "parquet", {}, ("x",)),
        "gzip without x": Table(place / "as gzip", "parquet", {}, ("x",)),
        "json without x": Table(place / "as json", "json", {}, ("x",)),
        "without z": Table(place / "as parquet", "parquet", {}, ("z",)),
        "without all": Table(place / "as parquet", "parquet", {}, ("x", "id", "name")),
        "variant ignored": Table(place / "variant", "parquet", {}, ("v",)),
        "odd ignored": Table(place / "odd", "parquet", {}, ("a.b", "g h")),
        "damaged": Table(place / "damaged", "parquet"),
        "empty": Table(place / "empty", "parquet"),
        "absent": Table(place / "absent", "csv"),
        "long": Table(place / "long.csv", "csv", {"header": "true"}),
        "long, dropped": Table(place / "long.csv", "csv", {"header": "true", "mode": "DROPMALFORMED"}),
        "broken": Table(place / "broken.json", "json"),
        "cased": Table(place / "cased.csv", "csv", {"header": "true"}),
        **{name: Table(place / f"{name}.csv", "csv", {"header": "true"}) for name in ("latin e", "latin o")},
        "latin e, said": Table(place / "latin e.csv", "csv", {"header": "true", "encoding": "ISO-8859-1"}),
        "latin o, said": Table(place / "latin o.csv", "csv", {"header": "true", "encoding": "ISO-8859-1"}),
        "windows": Table(place / "latin o.csv", "csv", {"header": "true", "encoding": "windows-1252"}),
        **{
            name: Table(place / f"{name}.csv", "csv", header)
            for name in ("digits", "more digits", "no text", "no value", "blanks", "blanks first")
        },
        **{
            name: Table(plain(place) / f"{name}.csv", "csv", header | {"multiLine": "true"})
            for name in ("returns", "returns behind rows", "no returns")
        },
        **{
            name: Table(place / f"{name}.json", "json")
            for name in ("one a line", "two a line", "number", "word", "small", "zero", "no key", "null key", "a list")
        },
        "in the lake": Table(place / "absent.json", "json", {}, (), f"file://{place}/one a line.json"),
        "written otherwise": Table(place / "written otherwise.json", "json"),
        **{
            f"{name} folders": Table(place / f"{name} folders", "csv", header)
            for name in ("zip", "other zip", "hidden")
        },
        "photographs": Table(place / "empty", "image"),
        "no delta": Table(place / "as parquet", "delta"),
    }


@pytest.mark.parametrize("case", SAME)
def test_the_same(digests: Digests, case: str) -> None:
    place = list(SAME).index(case)
    one, other = digests.of(f"same{place} 0"), digests.of(f"same{place} 1")
    assert one == other


@pytest.mark.parametrize("case", DIFFERENT)
def test_different(digests: Digests, case: str) -> None:
    place = list(DIFFERENT).index(case)
    one, other = digests.of(f"different{place} 0"), digests.of(f"different{place} 1")
    assert one.digest != other.digest
    assert table_differences(one, other)


@pytest.mark.parametrize("name", ["as gzip", "as orc", "as delta", "by pyarrow"])
def test_the_writer_the_format_and_the_compression_are_no_part(digests: Digests, name: str) -> None:
    assert digests.of(name) == digests.of("as parquet")


@pytest.mark.parametrize("name", ["csv typed", "tabs typed"])
def test_text_is_compared_as_text(digests: Digests, name: str) -> None:
    table = digests.of(name)
    assert [column.type for column in table.columns] == ["string", "string", "string"]
    assert table == digests.of("as csv")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("digits", "more digits"),
        ("no text", "no value"),
        ("zip folders", "other zip folders"),
        ("number", "word"),
        ("small", "zero"),
        ("no key", "null key"),
    ],
)
def test_what_a_reader_takes_for_the_same_is_told_apart(digests: Digests, one: str, other: str) -> None:
    assert digests.of(one).digest != digests.of(other).digest


def test_a_document_is_not_how_it_is_written(digests: Digests) -> None:
    assert digests.of("one a line") == digests.of("in the lake")
    assert digests.of("no key") == digests.of("written otherwise")
    assert digests.of("latin e, said").digest != digests.of("latin o, said").digest


def test_the_line_ends_of_rows_are_no_part(digests: Digests) -> None:
    assert digests.of("returns behind rows") == digests.of("no returns")


ONLY_SPARK = {
    *("history", "dense", "sparse", "other", "cased"),
}
"""What is read without a JVM otherwise than by Spark, or not at all, and is refused."""


def test_without_a_jvm_the_digest_is_the_same(digests: Digests, tmp_path: Path) -> None:
    """Or there is a reason why there is none, where Spark has none either or alone can read the table."""
    none = Spark(tmp_path / "bin" / "python", {}, tmp_path / "own", declared=False)
    found = digest_tables({name: table for name, table in digests.tables.items() if table.url is None}, none)
    other = {
        name: digest for name, digest in found.items() if isinstance(digest, TableDigest) and digest != digests[name]
    }
    assert not other, [(name, digest, digests[name]) for name, digest in other.items()]
    refused = {
        name: found[name].sentence
        for name, digest in digests.items()
        if name in found and isinstance(digest, TableDigest) and not isinstance(found[name], TableDigest)
    }
    assert not [name for name in refused if name.startswith("random") or name in ("types", "nested types")], refused
    assert all("only Spark reads" in sentence or name in ONLY_SPARK for name, sentence in refused.items()), refused
    assert len(refused) < 20, refused


def test_a_nans_payload_is_no_part(digests: Digests) -> None:
    assert digests.of("nans") == digests.of("more nans")
    assert digests.of("nans").rows == 2


def test_partitions_are_columns_and_no_files(digests: Digests) -> None:
    assert digests.of("partitioned") == digests.of("whole")


def test_a_vector_is_what_it_holds(digests: Digests) -> None:
    assert digests.of("dense") == digests.of("sparse")
    assert digests.of("dense").columns[1].type == "vector"
    assert table_differences(digests.of("dense"), digests.of("other")) == ('column "v" holds other values',)


def test_a_delta_table_is_what_it_holds_now(digests: Digests) -> None:
    assert (digests.of("history").rows, digests.of("history").columns[0].type) == (1, "int")


def test_a_table_without_rows_is_a_table(digests: Digests) -> None:
    table = digests.of("none")
    assert (table.rows, [(column.name, column.type, column.sum) for column in table.columns]) == (
        0,
        [("a", "int", "0" * 16), ("b", "string", "0" * 16)],
    )


def test_columns_are_left_out_by_name(digests: Digests) -> None:
    assert [column.name for column in digests.of("without x").columns] == ["id", "name"]
    assert digests.of("without x") == digests.of("gzip without x")
    assert [column.name for column in digests.of("json without x").columns] == ["id", "name"]
    assert [column.name for column in digests.of("odd ignored").columns] == ["c`d"]


def test_names_of_any_kind(digests: Digests) -> None:
    assert [(column.name, column.type) for column in digests.of("odd").columns] == [
        ("a.b", "int"),
        ("c`d", "int"),
        ("g h", 'struct<"e.f":int>'),
    ]
    assert [column.name for column in digests.of("cased").columns] == ["a", "A"]
    assert len(digests.of("wide").columns) == 400


FOLDERS = "because its folder is not named NAME=VALUE as others are; write options = { recursiveFileLookup = true }"


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (
            "without z",
            'as parquet cannot be compared as a parquet table: ignore names "z", and the columns are id, name, x',
        ),
        ("without all", "as parquet cannot be compared as a parquet table: ignore leaves no column to compare"),
        (
            "variant",
            'variant cannot be compared as a parquet table: column "v" is of the type variant, '
            "which cannot be compared; name it in ignore",
        ),
        ("empty", "empty cannot be compared as a parquet table: there is no file in it that holds data"),
        (
            "blanks",
            "blanks.csv cannot be compared as a csv table: Spark does not read a line that has only blanks; put its value in quotes",
        ),
        (
            "blanks first",
            "blanks first.csv cannot be compared as a csv table: Spark does not read a line that has only blanks; put its value in quotes",
        ),
        (
            "returns",
            "returns.csv cannot be compared as a csv table: Spark reads a carriage return in quotes as the line ends of its file; "
            'leave it out, or write compare = "bytes"',
        ),
        ("absent", "absent cannot be compared as a csv table: Path does not exist: absent"),
        (
            "nested",
            "nested cannot be compared as a parquet table: Spark does not read sub/b.parquet and 1 more, " + FOLDERS,
        ),
        (
            "half partitioned",
            "half partitioned cannot be compared as a parquet table: Spark does not read a.parquet, " + FOLDERS,
        ),
        (
            "with blanks",
            "with blanks cannot be compared as a parquet table: Spark does not read a ü %20/b.parquet, " + FOLDERS,
        ),
        (
            "other headers",
            "other headers cannot be compared as a csv table: Encountered error while reading file other headers/2.csv: "
            "CSV header does not conform to the schema",
        ),
        ("photographs", 'empty is not a table: image is not a format of tables; write compare = "bytes"'),
    ],
)
def test_what_has_no_digest_says_why(digests: Digests, name: str, sentence: str) -> None:
    assert digests.problem(name) == sentence


def test_what_has_no_digest_names_no_folder_of_this_machine(digests: Digests) -> None:
    for name in ("damaged", "long", "broken", "no delta"):
        sentence = digests.problem(name)
        assert "/tmp" not in sentence and digests.place.parent.name not in sentence
        assert " cannot be compared as a " in sentence
        assert "SQLSTATE" not in sentence
        assert not sentence.endswith(".")
        assert "Exception" not in sentence


def test_every_file_is_read_or_missed(digests: Digests) -> None:
    """What the options leave out, they leave out; hidden files are no data."""
    assert {name: digests.of(name).rows for name in digests if name in ("hidden", "evenly", "nested, chosen") or name.endswith(", all")} == {
        "hidden": 1, "evenly": 2, "nested, chosen": 1,
        "nested, all": 3, "half partitioned, all": 2, "with blanks, all": 2, "hidden, all": 1, "evenly, all": 2,
    }  # fmt: skip


def test_columns_that_one_file_alone_has_are_compared(digests: Digests) -> None:
    assert [column.name for column in digests.of("one column").columns] == ["k"]
    assert sorted(column.name for column in digests.of("one column more").columns) == ["k", "v"]
    assert digests.of("one column more").digest != digests.of("another v").digest
    assert (digests.of("headers").rows, digests.of("other headers, passed over").rows) == (3, 3)


def test_what_stands_beside_a_variant_is_compared(digests: Digests) -> None:
    assert [column.name for column in digests.of("variant ignored").columns] == ["a"]


def test_lines_are_dropped_only_where_the_options_say_so(digests: Digests) -> None:
    assert "long.csv cannot be compared as a csv table" in digests.problem("long")
    assert digests.of("long, dropped").rows == 0


def test_the_digest_is_what_it_says_it_is(digests: Digests) -> None:
    """The same by hand: hashes of rows, cut into lanes, added up."""
    rows = [(1, b"a"), (2, None), (2, None)]
    lanes = [0, 0, 0, 0]
    for number, text in rows:
        content = b"\1" + xxhash64(struct.pack("<q", number)).to_bytes(8, "big")
        content += (-1 if text is None else len(text)).to_bytes(4, "big", signed=True) + (text or b"")
        row = hashlib.sha256(content).digest()
        for lane in range(4):
            lanes[lane] += xxhash64(row[8 * lane : 8 * lane + 8])
    pinned = digests.of("pinned")
    assert table_digest(3, pinned.columns, tuple(lanes)) == pinned
    assert [(column.name, column.type) for column in pinned.columns] == [("n", "bigint"), ("s", "string")]
    assert pinned.digest == "rows:67519f702b6a6743083730d22101c5c7ad46948004163061587f31727d42aa73"


def xxhash64(word: bytes, seed: int = 42) -> int:
    """xxHash64 of 8 bytes, as its specification has it, with Spark's seed."""
    one, two, three, four, five = (
        *(0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9),
        *(0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5),
    )
    mask = 2**64 - 1

    def turned(value: int, bits: int) -> int:
        return (value << bits | value >> 64 - bits) & mask

    value = (seed + five + 8) & mask
    value ^= turned(int.from_bytes(word, "little") * two & mask, 31) * one & mask
    value = (turned(value, 27) * one + four) & mask
    value = (value ^ value >> 33) * two & mask
    value = (value ^ value >> 29) * three & mask
    return value ^ value >> 32


ALL_DISTINCT = """
import itertools, json, sys
sys.path.insert(0, sys.argv[1] if len(sys.argv) > 1 else ENGINE)
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from sums import _bytes

spark = SparkSession.builder.config("spark.sql.ansi.enabled", "false").getOrCreate()
texts = [None, "", "0", "00", "\\x00"]
lists = [None, [], [""], ["", ""], ["0"], [None], [None, None], ["0", ""]]
maps = [None, {}, {0: None}, {0: ""}, {0: "", 1: "0"}, {1: "", 0: "0"}, {1: "0"}]
structs = [None, (None, None), (0, None), (None, ""), (0, "")]
numbers = [None, 0, 1, 42]
rows = list(itertools.product(texts, lists, maps, structs, numbers))
frame = spark.createDataFrame(rows, "t string, l array<string>, m map<int, string>, s struct<a: int, b: string>, n int")
print(json.dumps([len(rows), frame.select(_bytes(frame)).distinct().count()]))
"""


def test_no_two_rows_have_the_same_bytes(spark_environ: dict[str, str], tmp_path: Path) -> None:
    """Every combination of small values that could be taken for one another."""
    code = ALL_DISTINCT.replace("ENGINE", repr(str(Path(engine.__file__).parent)))
    environ = {name: value for name, value in spark_environ.items() if name != "SPARK_CONF_DIR"}
    rows, distinct = run_script(code, environ, tmp_path)
    assert rows == distinct == 5 * 8 * 7 * 5 * 4


def test_an_error_that_says_nothing_of_the_table() -> None:
    assert of_the_machine(ConnectionRefusedError())
    for text in (
        "Py4JJavaError: : java.lang.OutOfMemoryError: Java heap space",
        "x: java.io.IOException: No space left on device",
    ):
        assert of_the_machine(Exception(text))
    assert not of_the_machine(Exception("[PATH_NOT_FOUND] Path does not exist"))


def test_an_output_says_how_it_is_read(tmp_path: Path) -> None:
    declared = OutputSpec(path="out", compare="table", format="csv", options={"header": True}, ignore=("at",))
    assert Table.declared(declared, tmp_path) == Table(tmp_path, "csv", {"header": "true"}, ("at",))


def test_without_a_table_nothing_is_started(tmp_path: Path) -> None:
    assert digest_tables({}, Spark(tmp_path / "python", {}, tmp_path / "own")) == {}
    assert not (tmp_path / "own").exists()


def test_a_python_without_pyspark_is_a_problem_of_the_machine(tmp_path: Path) -> None:
    venv.create(tmp_path / "bare", with_pip=False)
    with pytest.raises(MachineError) as caught:
        digest_tables(
            {"a": Table(tmp_path, "csv")},
            Spark(tmp_path / "bare" / "bin" / "python", {"PATH": "/usr/bin"}, tmp_path / "own"),
        )
    assert caught.value.message == "Spark could not compute digests of tables: No module named 'pyspark'"
    assert caught.value.hint == "`reprolock doctor` checks Java; pyspark must be among environment.packages"
    assert caught.value.exit_code == 8


def test_a_signal_ends_it_and_leaves_nothing(spark_environ: dict[str, str], tmp_path: Path) -> None:
    timer = threading.Timer(3.0, os.kill, (os.getpid(), signal.SIGTERM))
    timer.start()
    with pytest.raises(Interrupted) as caught:
        digest_tables({"a": Table(tmp_path, "csv")}, Spark(Path(sys.executable), spark_environ, tmp_path / "own"))
    assert caught.value.message == "interrupted (SIGTERM) while tables were compared"
    assert caught.value.exit_code == 143
    assert list((tmp_path / "own").iterdir()) == []
