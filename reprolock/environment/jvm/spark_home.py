"""Read Spark's, Scala's and Hadoop's versions from the names of pyspark's jars, without a JVM or an import of pyspark."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from reprolock.errors import MachineError
from reprolock.parts import missing


class SparkHome(NamedTuple):
    """One pyspark: versions as "4.2.0" (`scala` as "2.13"), the Ivy it carries, its own modules' names."""

    folder: Path
    version: str
    scala: str
    hadoop: str
    ivy: Path
    modules: tuple[str, ...]


def spark_home(folder: Path | None = None) -> SparkHome:
    """Look at a pyspark's folder (`…/site-packages/pyspark`); None: at this interpreter's own pyspark.

    MachineError when there is no pyspark, or it is not whole.
    """
    if folder is None:
        spec = find_spec("pyspark")
        if spec is None or not spec.submodule_search_locations:
            raise missing("spark", "pyspark", "[spark]")
        folder = Path(spec.submodule_search_locations[0])
    names = sorted(path.name for path in (folder / "jars").glob("*.jar"))
    core = _first(names, r"spark-core_([\d.]+)-(.+)\.jar")
    hadoop = _first(names, r"hadoop-client-api-(.+)\.jar")
    ivy = _first(names, r"ivy-.+\.jar")
    if not (core and hadoop and ivy):
        raise MachineError(
            f"the pyspark at {folder} is incomplete: jars/ has no spark-core, Hadoop client or Ivy",
            hint="reinstall pyspark; pyspark-client, which only connects to a Spark Connect server, has no jars",
        )
    modules = tuple(match[1] for name in names if (match := re.fullmatch(r"(spark-.+_[\d.]+)-[^_]+\.jar", name)))
    return SparkHome(folder, core[2], core[1], hadoop[1], folder / "jars" / ivy[0], modules)


def _first(names: list[str], pattern: str) -> re.Match[str] | None:
    return next((match for name in names if (match := re.fullmatch(pattern, name))), None)
