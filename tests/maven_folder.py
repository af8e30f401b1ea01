"""A Maven repository of a test's own: a folder in Maven's layout, with small jars, and the listener of every Spark run."""

from __future__ import annotations

import functools
import os
import shutil
import zipfile
from pathlib import Path

from reprolock.environment.caches import cache_folder
from reprolock.environment.jvm.jar_store import JarStore
from reprolock.environment.jvm.maven import Repository, path_of, repositories

LISTENER = "io.openlineage:openlineage-spark_2.13:1.53.0"


@functools.cache
def listener() -> Path:
    """The listener's jar, in the cache of whoever runs the tests: 43 MB, fetched once and not by every run."""
    store = JarStore(cache_folder(os.environ) / "jars", repositories(os.environ, Path.home(), {}))
    return store.path(store.take(LISTENER))


def add_listener(target: Path) -> None:
    """A copy of it, as old as the store's own."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(listener(), target)


class Layout:
    """A Maven repository: a folder in Maven's layout, which any web server may serve."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        add_listener(self.jar(LISTENER))

    def add(self, coordinate: str, *needs: str, classifiers: tuple[str, ...] = ("",)) -> None:
        """Publish a jar, and the POM that says what it needs (GROUP:ARTIFACT:VERSION[:CLASSIFIER])."""
        group, artifact, version = coordinate.split(":")
        wanted = "".join(map(dependency, needs))
        pom = self.folder / path_of(coordinate, "pom")
        pom.parent.mkdir(parents=True, exist_ok=True)
        pom.write_text(
            f"<project><modelVersion>4.0.0</modelVersion><groupId>{group}</groupId><artifactId>{artifact}</artifactId>"
            f"<version>{version}</version><dependencies>{wanted}</dependencies></project>"
        )
        for classifier in classifiers:
            with zipfile.ZipFile(self.jar(f"{coordinate}:{classifier}".rstrip(":")), "w") as jar:
                jar.writestr("name.txt", f"{coordinate} {classifier}")

    def jar(self, coordinate: str) -> Path:
        return self.folder / path_of(coordinate)

    @property
    def source(self) -> Repository:
        return Repository(self.folder.as_uri() + "/", "a test")


def dependency(coordinate: str) -> str:
    group, artifact, version, *classifier = coordinate.split(":")
    more = f"<classifier>{classifier[0]}</classifier>" if classifier else ""
    return f"<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId><version>{version}</version>{more}</dependency>"
