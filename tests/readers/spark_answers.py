"""What Spark gives for datasets. Run by a bare interpreter: a JSON list of datasets in, an Arrow file per dataset out.

Each dataset is {"folder", "format", "options", "glob", "make": SQL | null, "answer": path}. `answer` gets the Arrow table, or a
text file beside it (`.error`) with what Spark said. `make` is a query whose result Spark writes to the folder first.
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa

SPARK_FORMATS = {"binary": "binaryFile", "avro": "org.apache.spark.sql.avro.AvroFileFormat"}
AT_ONCE = 4


def answer(spark: Any, dataset: dict[str, Any]) -> None:
    """Read one dataset as reprolock's `.spark()` does."""
    path = Path(dataset["answer"])
    form = SPARK_FORMATS.get(dataset["format"], dataset["format"])
    try:
        for statement in dataset["make"]:
            spark.sql(statement.format(folder=dataset["folder"]))
        reader = spark.read.format(form).options(**dataset["options"])
        if dataset["glob"]:
            reader = reader.option("pathGlobFilter", dataset["glob"])
        table = reader.load(dataset["folder"]).toArrow()
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
    except Exception as error:  # whatever Spark says is its answer
        path.with_suffix(".error").write_text(f"{type(error).__name__}: {error}"[:2000])


def answer_all(spark: Any, datasets: list[dict[str, Any]]) -> None:
    """Several at once: a small read is mostly waiting."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda dataset: answer(spark, dataset), datasets))


if __name__ == "__main__":
    from pyspark.sql import SparkSession

    session = SparkSession.builder.getOrCreate()
    session.sparkContext.setLogLevel("OFF")
    answer_all(session, json.loads(Path(sys.argv[1]).read_text()))
    print(json.dumps("done"))
