"""Digest and compare tables in a Spark session of its own. A script for the Python of a run, which needs only pyspark.

    python script.py TASKS ANSWER LOG

In: TASKS, a JSON list of `{"name", "copy": {"url", "to"}}`, which is copied to the disk, or `{"name", "tables", "rel",
"abs"}`, where a table is `{"url", "format", "options", "ignore"}`; one is digested, of two (recorded, found) both are digested and, with their numbers within
rel and abs, compared. Out: ANSWER, `{NAME: {"digests": […], "comparison": … or null} or {"problem": …, "machine": …}}`, as
sums.py makes them (`machine`: the table itself may be well), or `{"problem": …}` alone where there is
no Spark. All that Spark says goes to LOG.

reading.py, row_encoding.py and sums.py stand beside this file; nothing else of reprolock is imported.
"""

from __future__ import annotations

import json
import os
import posixpath
import re
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SETTINGS = {
    # Sums wrap around, and numbers may be cast to bytes.
    "spark.sql.ansi.enabled": "false",
    # A difference of decimals is exact, or null.
    "spark.sql.decimalOperations.allowPrecisionLoss": "false",
    # A folder `zip=01234` is not `zip=1234`.
    "spark.sql.sources.partitionColumnTypeInference.enabled": "false",
    # Two columns may differ by case alone.
    "spark.sql.caseSensitive": "true",
    "spark.sql.session.timeZone": "UTC",
    # What cannot be read must not count as not being there.
    "spark.sql.files.ignoreCorruptFiles": "false",
    "spark.sql.files.ignoreMissingFiles": "false",
    # This session is not observed: its reads are not the run's.
    "spark.api.mode": "classic",
    "spark.extraListeners": "",
    "spark.sql.queryExecutionListeners": "",
    "spark.plugins": "",
    "spark.eventLog.enabled": "false",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
}
"""Laid over the run's own settings, so that a digest depends on the table alone."""

_MACHINE = re.compile(
    r"OutOfMemory|out of memory|No space left on device|Disk quota exceeded|Too many open files|Py4JNetworkError|"
    r"SparkContext was shut down|stopped SparkContext|ExecutorLostFailure|Answer from Java side is empty"
)

_CONDITION = re.compile(r"\[[A-Z][A-Z_0-9.]+\] ")


def main(tasks_file: str, answer_file: str, log_file: str) -> None:
    """Answer every task; a table at fault spoils its own answer alone."""
    log = os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    with open(tasks_file, encoding="utf-8") as stream:
        tasks = json.load(stream)
    try:
        answers = answer_all(tasks)
    except Exception as error:  # no pyspark, no Java, a jar that is not there: whatever it is, it is the answer
        print(repr(error), file=sys.stderr)
        answers = {"problem": sentence_of(error)}
    with open(answer_file, "w", encoding="utf-8") as stream:
        json.dump(answers, stream)


def answer_all(tasks: list[dict[str, Any]]) -> dict[str, Any]:
    """Start Spark, once, and go through the tasks."""
    from pyspark.sql import SparkSession  # here, so that its absence is an answer

    builder = SparkSession.builder.appName("reprolock")
    if _on_server():
        os.environ.pop("REPROLOCK_CONNECT_ARCHIVE", None)  # no Python runs there for a digest
        settings = {name: value for name, value in SETTINGS.items() if name.startswith("spark.sql.") and value}
    else:
        # The tables are on this machine's disk, which the executors of a cluster need not see.
        builder, settings = builder.master("local[*]"), SETTINGS
    for name, value in settings.items():
        builder = builder.config(name, value)
    spark = builder.getOrCreate()
    try:
        return {task["name"]: answer(spark, task) for task in tasks}
    finally:
        spark.stop()


def _on_server() -> bool:
    """Whether the run uses a Spark Connect server: then the hook in this Python gives the session what it needs."""
    return "REPROLOCK_CONNECT_SETTINGS" in os.environ


def answer(spark: SparkSession, task: dict[str, Any]) -> dict[str, Any]:
    """One task's digests and comparison, or what is wrong with its tables."""
    from reading import as_written, has_types, read
    from sums import Refused, compare, digest, of_one_type, without  # these need pyspark

    try:
        if "copy" in task:
            return copy(spark, **task["copy"])
        written = [without(read(spark, as_written(table)), table["ignore"]) for table in task["tables"]]
        digests = [digest(frame) for frame in written]
        comparison = None
        if len(digests) == 2:
            frames = [
                without(read(spark, table), table["ignore"]) if has_types(table) else frame
                for frame, table in zip(written, task["tables"], strict=True)
            ]
            both = of_one_type(*frames)
            comparison = compare(*both, task["rel"], task["abs"]) if both else None
        return {"digests": digests, "comparison": comparison}
    except Refused as refused:
        return {"problem": str(refused)}
    except Exception as error:  # what Spark and its data sources raise has no common class
        print(repr(error), file=sys.stderr)
        return {"problem": sentence_of(error), "machine": of_the_machine(error)}


def copy(spark: SparkSession, url: str, to: str) -> dict[str, Any]:
    """Copy what stands at an address of the lake to this machine's disk."""
    if _on_server():
        return _copy_from_server(spark, url, to)
    hadoop = spark._jvm.org.apache.hadoop.fs
    source = hadoop.Path(url)
    source.getFileSystem(spark._jsc.hadoopConfiguration()).copyToLocalFile(source, hadoop.Path(f"file://{to}"))
    return {}


def _copy_from_server(spark: SparkSession, url: str, to: str) -> dict[str, Any]:
    """By the session, for a client has no file system of the server's. Refused for a path that is not below the address: what a
    server answers is foreign, and is written nowhere but below `to`."""
    from row_encoding import Refused  # this needs pyspark

    files = (
        spark.read.format("binaryFile")
        .option("recursiveFileLookup", "true")
        .load(re.sub(r"([\\{}\[\]*?])", r"\\\1", url))
    )
    for row in files.select("path", "content").toLocalIterator():
        name = posixpath.relpath(row.path, url)
        if ".." in name.split("/"):
            raise Refused(f"the server answers with {row.path}, which is not below {url}")
        os.makedirs(os.path.dirname(os.path.join(to, name)), exist_ok=True)
        with open(os.path.join(to, name) if name != "." else to, "wb") as stream:
            stream.write(row.content)
    return {}


def of_the_machine(error: Exception) -> bool:
    """Whether an error says nothing of the table: no memory, no space, a Spark that is gone."""
    return isinstance(error, OSError) or _MACHINE.search(f"{type(error).__name__}: {error}") is not None


def sentence_of(error: Exception) -> str:
    """The line in which an error says what is wrong, without names of classes, codes and a full stop.

    Of an error that came through several hands, Spark's own words come first, else those of the last cause.
    """
    lines = str(error).splitlines() or [type(error).__name__]
    causes = [line for line in lines if re.match(r"(: |Caused by: )", line)]
    own = [line for line in causes if _CONDITION.search(line)]
    line = (own or causes[-1:] or lines)[0]
    if "[UNABLE_TO_INFER_SCHEMA]" in line:
        return "there is no file in it that holds data"
    if "[FAILED_READ_FILE" in line and causes[-1] != line:  # which says no more than which file it was
        return f"{_plain(line)}: {_plain((own[1:] or causes[-1:])[0])}"
    return _plain(line)


def _plain(line: str) -> str:
    line = re.sub(r"^(: |Caused by: )?([\w$]+\.)*[\w$]*(Exception|Error): ", "", line)
    line = re.sub(r"\.\s+SQLSTATE: \w+", "", _CONDITION.sub("", line, count=1))
    return line.strip().rstrip(".")


if __name__ == "__main__":
    main(*sys.argv[1:])
