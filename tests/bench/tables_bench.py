"""The digest of a table against Spark's own SHA-256 over all columns of the same table, in one session."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from bench import Case, Command, fresh

ROWS = 10_000_000
DIGEST = """
import os, sys
from pathlib import Path
from reprolock.engine.tables.run import Spark, Table, digest_tables
spark = Spark(Path(sys.executable), dict(os.environ), Path(sys.argv[1]) / "own", declared=sys.argv[2] == "spark")
print(digest_tables({"t": Table(Path(sys.argv[1]) / "table", "parquet")}, spark)["t"].digest)
"""
"""The digest in a process of its own, start-up included."""


def cases() -> Iterator[Case | list[str]]:
    """Two rows."""
    from pyspark.sql import SparkSession, functions

    folder = fresh("tables")
    spark = (
        SparkSession.builder.master("local[2]")
        .config("spark.driver.memory", "4g")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.ansi.enabled", "false")
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("ERROR")
    frame = spark.range(ROWS).selectExpr(
        "id",
        "id * 0.5 as amount",
        "cast(id % 1000 as string) as name",
        "timestamp_seconds(id) as at",
        "cast(id as decimal(20, 2)) as price",
        "id % 2 = 0 as even",
    )
    frame.write.parquet(str(folder / "table"))
    table = spark.read.parquet(str(folder / "table"))
    sys.path.insert(
        0, str(Path(__file__).parents[2] / "reprolock" / "engine" / "tables")
    )  # its scripts know one another by name
    from sums import digest  # the very expressions of a digest

    text = functions.sha2(
        functions.concat_ws("|", *(functions.col(name).cast("string") for name in table.columns)), 256
    )
    pairs = []
    for _ in range(3):
        started = time.perf_counter()
        digest(table)
        between = time.perf_counter()
        table.select(functions.sum(functions.conv(functions.substring(text, 1, 8), 16, 10).cast("long"))).collect()
        pairs.append((between - started, time.perf_counter() - between))
    spark.stop()
    ratio = statistics.median(a / b for a, b in pairs)
    ours, theirs = (statistics.median(pair[index] for pair in pairs) for index in (0, 1))
    yield [
        f"digest of a table of {ROWS:,} rows",
        f"{ours:.1f} s",
        f"sha2 of all columns {theirs:.1f} s",
        f"{ratio:.2f}",
        "goal 1.5",
        "met" if ratio <= 1.5 else "MISSED",
    ]
    yield Case(
        "the same digest without a JVM",
        Command([sys.executable, "-c", DIGEST, str(folder), "none"]),
        Command([sys.executable, "-c", DIGEST, str(folder), "spark"]),
        "by Spark",
        0.7,
        rounds=1,
    )
