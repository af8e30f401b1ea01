"""Two tables side by side within a tolerance, in a real Spark: one run of script.py compares all pairs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from spark_session import run_script

from reprolock.engine.tables.run import Pair, Spark, Table, compare_tables, digest_tables
from reprolock.model.table import TableComparison, TableProblem

pytestmark = [pytest.mark.spark, pytest.mark.long]

NEAR = {
    "one": "select * from values ('a', 1D, 10D, 5), ('b', 2D, 20D, 6), ('b', 3D, 30D, 6), ('c', double('NaN'), null, 7) as t(k, x, y, n)",
    "near": "select * from values ('b', 3.00000003D, 30D, 6), ('a', 1D, 10D, 5), ('c', double('NaN'), null, 7), ('b', 2D, 20.0000002D, 6) as t(k, x, y, n)",
    "far": "select * from values ('b', 3D, 30D, 6), ('a', 1.5D, 10D, 5), ('c', double('NaN'), null, 7), ('b', 2D, 20D, 6) as t(k, x, y, n)",
    "key": "select * from values ('b', 3D, 30D, 6), ('d', 1D, 10D, 5), ('c', double('NaN'), null, 7), ('b', 2D, 20D, 6) as t(k, x, y, n)",
    "null": "select * from values ('b', 3D, 30D, 6), ('a', 1D, 10D, 5), ('c', double('NaN'), 1D, 7), ('b', 2D, 20D, 6) as t(k, x, y, n)",
    "integer": "select * from values ('b', 3D, 30D, 6), ('a', 1D, 10D, 5), ('c', double('NaN'), null, 8), ('b', 2D, 20D, 6) as t(k, x, y, n)",
    "not a number": "select * from values ('b', 3D, 30D, 6), ('a', 1D, 10D, 5), ('c', 1D, null, 7), ('b', 2D, 20D, 6) as t(k, x, y, n)",
    "shorter": "select * from values ('b', 3D, 30D, 6), ('a', 1D, 10D, 5) as t(k, x, y, n)",
    "nested": "select named_struct('a', array(1D, 2D), 'm', map('x', 1F, 'y', 2F), 'd', 1.5) as s, 'k' as k",
    "nested near": "select named_struct('a', array(1D, 2.0000001D), 'm', map('y', 2F, 'x', 1.0000001F), 'd', 1.5) as s, 'k' as k",
    "nested longer": "select named_struct('a', array(1D, 2D, 2D), 'm', map('y', 2F, 'x', 1F), 'd', 1.5) as s, 'k' as k",
    "money": "select cast('100000000000000000000.00' as decimal(38,2)) as x, 1D as y",
    "money more": "select cast('100000000000000005000.00' as decimal(38,2)) as x, 1D as y",
    "money near": "select cast('100000000000000000000.01' as decimal(38,2)) as x, 1.005D as y",
    "thirds": "select array(named_struct('a', 0.3, 'b', 2F, 'c', cast('-1e-18' as decimal(38,18)))) as s",
    "thirds near": "select array(named_struct('a', 0.6, 'b', 2.25F, 'c', cast('0.299999999999999999' as decimal(38,18)))) as s",
    "longest": "select cast(repeat('9', 38) as decimal(38,0)) as x",
    "shortest": "select cast('-' || repeat('9', 38) as decimal(38,0)) as x",
    "infinite": "select double('Infinity') as x",
    "finite": "select 1.7E308D as x",
    "points": "select * from values (1D, 5D), (1.0000001D, 2D) as t(x, y)",
    "points near": "select * from values (1.0000001D, 5D), (1D, 2D) as t(x, y)",
    "points with a key": "select * from values ('a', 1D, 5D), ('b', 1.0000001D, 2D) as t(k, x, y)",
    "points with a key near": "select * from values ('b', 1D, 2D), ('a', 1.0000001D, 5D) as t(k, x, y)",
    "text": "select 'a' as k",
    "other text": "select 'b' as k",
}
ALIKE = (
    "of these rows may be paired with the wrong ones, for only their floats and decimals tell them from others; "
    "a column that does, such as a key, pairs them for certain"
)


@pytest.fixture(scope="module")
def compared(
    spark_environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, TableComparison | TableProblem]]:
    folder = tmp_path_factory.mktemp("near")
    (folder / "tables.json").write_text(json.dumps(NEAR))
    code = (
        "import json\nfrom pyspark.sql import SparkSession\nspark = SparkSession.builder.getOrCreate()\n"
        "for name, query in json.load(open('tables.json')).items(): spark.sql(query).write.parquet(name)\n"
        "print(1)"
    )
    plain = {name: value for name, value in spark_environ.items() if name != "SPARK_CONF_DIR"}
    run_script(code, plain, folder)
    given = Spark(Path(sys.executable), spark_environ, folder / "own")
    tables = {name: Table(folder / name, "parquet") for name in NEAR}
    for name, text in {"no text": 'k,x\n"",1\n', "no value": "k,x\n,1\n"}.items():
        (folder / f"{name}.csv").write_text(text)
        tables[name] = Table(folder / f"{name}.csv", "csv", {"header": "true"})
    typed = {"header": "true", "inferSchema": "true"}
    for name, text in {"whole": "k,x,n\na,1,1\nb,2,2\n", "thousandths": "k,x,n\na,1.001,1\nb,2.001,2\n", "long": "k,x,n\na,1,3000000000\nb,2,2\n"}.items():  # fmt: skip
        (folder / f"{name}.csv").write_text(text)
        tables[name] = Table(folder / f"{name}.csv", "csv", typed)
    for name, text in {
        "whole json": '{"k":"a","x":[{"y":1}]}\n',
        "thousandths json": '{"k":"a","x":[{"y":1.001}]}\n',
    }.items():
        (folder / f"{name}.json").write_text(text)
        tables[name] = Table(folder / f"{name}.json", "json")
    digests = digest_tables(tables, given)

    def pair(one: str, other: str, rel: float = 0.0, abs_: float = 0.0) -> Pair:
        return Pair(tables[one], digests[one].digest, tables[other], rel, abs_)  # type: ignore[union-attr]

    pairs = {
        name: pair("one", name, 1e-6)
        for name in ("one", "near", "far", "key", "null", "integer", "not a number", "shorter")
    }
    pairs |= {
        "near, exactly": pair("one", "near"),
        "far, absolutely": pair("one", "far", abs_=0.5),
        "nested": pair("nested", "nested near", 1e-6),
        "nested, exactly": pair("nested", "nested near"),
        "nested longer": pair("nested", "nested longer", 1e-6),
        "infinite": pair("infinite", "finite", 0.9),
        "money": pair("money", "money more", abs_=0.01),
        "money near": pair("money", "money near", abs_=0.01),
        "money near, less": pair("money", "money near", abs_=0.009),
        "money, relatively": pair("money", "money more", 1e-16),
        "money, relatively near": pair("money", "money near", 0.01),
        "thirds": pair("thirds", "thirds near", abs_=0.3),
        "thirds, less": pair("thirds", "thirds near", abs_=0.2999),
        "longest": pair("longest", "shortest", 0.9, 1e30),
        "longest, absolutely": pair("longest", "shortest", abs_=1e300),
        "points": pair("points", "points near", 1e-6),
        "points with a key": pair("points with a key", "points with a key near", 1e-6),
        "text": pair("text", "other text", 0.9),
        "no text": pair("no text", "no value", 0.9),
        "schema": pair("one", "text", 0.9),
        "whole numbers": pair("whole", "thousandths", 0.01),
        "whole numbers, recorded with points": pair("thousandths", "whole", 0.01),
        "whole numbers, less": pair("whole", "thousandths", 1e-6),
        "a longer number": pair("whole", "long", 0.01),
        "whole numbers of JSON": pair("whole json", "thousandths json", 0.01),
        "whole numbers of JSON, less": pair("thousandths json", "whole json", 1e-6),
        "another": pair("one", "near", 1e-6)._replace(digest=digests["far"].digest),  # type: ignore[union-attr]
    }
    by_spark = compare_tables(pairs, given)
    without_jvm = compare_tables(pairs, Spark(folder / "no" / "python", {}, folder / "own", declared=False))
    assert {name: repr(each) for name, each in without_jvm.items()} == {
        name: repr(each)
        for name, each in by_spark.items()  # not a number equals none, but reads alike
    }
    yield by_spark


@pytest.mark.parametrize(
    ("name", "differences"),
    [
        ("one", ()),
        ("near", ()),
        ("far, absolutely", ()),
        ("nested", ()),
        ("money", ('column "x": 1 of 1 rows are beyond the tolerance, 5e+03 apart at most',)),
        ("money near", ()),
        (
            "money near, less",
            ('column "x": 1 of 1 rows are beyond the tolerance, 0.01 apart at most',),
        ),
        ("money, relatively", ()),
        ("money, relatively near", ()),
        ("thirds", ()),
        ("thirds, less", ('column "s": 1 of 1 rows are beyond the tolerance, 0.3 apart at most',)),
        ("longest", ('column "x": 1 of 1 rows are beyond the tolerance, 2e+38 apart at most',)),
        ("longest, absolutely", ()),
        ("far", ('column "x": 1 of 4 rows are beyond the tolerance, 0.5 apart at most',)),
        (
            "near, exactly",
            (
                'column "x": 1 of 4 rows are beyond the tolerance, 3e-08 apart at most',
                'column "y": 1 of 4 rows are beyond the tolerance, 2e-07 apart at most',
                f"2 {ALIKE}",
            ),
        ),
        ("nested, exactly", ('column "s": 1 of 1 rows are beyond the tolerance, 1.19e-07 apart at most',)),
        (
            "points",
            (
                'column "y": 2 of 2 rows are beyond the tolerance, 3 apart at most',
                f"2 {ALIKE}",
            ),
        ),
        ("points with a key", ()),
        ("key", ("rows that have no partner: 1 recorded, 1 found",)),
        ("null", ("rows that have no partner: 1 recorded, 1 found",)),
        ("integer", ("rows that have no partner: 1 recorded, 1 found",)),
        ("nested longer", ("rows that have no partner: 1 recorded, 1 found",)),
        ("text", ("rows that have no partner: 1 recorded, 1 found",)),
        ("no text", ("rows that have no partner: 1 recorded, 1 found",)),
        ("not a number", ('column "x": 1 of 4 rows are beyond the tolerance, nan apart at most',)),
        ("infinite", ('column "x": 1 of 1 rows are beyond the tolerance, inf apart at most',)),
        ("shorter", ("2 rows, recorded 4",)),
        ("whole numbers", ()),
        ("whole numbers, recorded with points", ()),
        ("whole numbers, less", ('column "x": 2 of 2 rows are beyond the tolerance, 0.001 apart at most',)),
        ("a longer number", ("rows that have no partner: 1 recorded, 1 found",)),
        ("whole numbers of JSON", ()),
        ("whole numbers of JSON, less", ('column "x": 1 of 1 rows are beyond the tolerance, 0.001 apart at most',)),
        (
            "schema",
            ("1 rows, recorded 4", 'column "x" is gone', 'column "y" is gone', 'column "n" is gone'),
        ),
    ],
)
def test_side_by_side(
    compared: dict[str, TableComparison | TableProblem], name: str, differences: tuple[str, ...]
) -> None:
    answer = compared[name]
    assert isinstance(answer, TableComparison), answer
    assert answer.differences == differences


def test_another_table_in_the_recorded_ones_place_is_no_evidence(
    compared: dict[str, TableComparison | TableProblem],
) -> None:
    assert compared["another"] == TableProblem("one: what is there is not the table that was recorded")
