"""What several test modules on running services start: servers that they kill, and what the stories on clusters use."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import services
from cluster_story import SPEC, TRAIN, make_repository
from project import Project
from spark_session import DELTA, SparkParts

_DELTA_SETTINGS = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
}


@pytest.fixture(scope="session")
def spark_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[services.SparkCluster]:
    """A master and two workers."""
    started = services.start_spark_cluster(tmp_path_factory.mktemp("cluster"))
    yield started
    started.stop()


@pytest.fixture(scope="session")
def connect_server(tmp_path_factory: pytest.TempPathFactory, spark_parts: SparkParts) -> Iterator[services.Server]:
    """A Connect server that has the jars of S3A and Delta, and nobody's credentials."""
    started = services.start_spark_connect(tmp_path_factory.mktemp("connect"), spark_parts.files, **_DELTA_SETTINGS)
    yield started
    started.stop()


@pytest.fixture(scope="session")
def story_repository(lakefs: services.LakeFS, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A repository with one small table in three formats on main."""
    return make_repository(lakefs, tmp_path_factory.mktemp("tree"))


@pytest.fixture
def on_engine(
    project: Project, story_repository: str, lakefs: services.LakeFS, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Project]:
    """Writes the project of the story for an engine, and for more settings of Spark. Its packages are in the developer's own cache."""
    monkeypatch.delenv("REPROLOCK_CACHE_DIR")
    for name, value in lakefs.lakectl.items():
        monkeypatch.setenv(name, value)

    def write(engine: str, more: str = "") -> Project:
        text = SPEC.format(repository=story_repository, engine=engine, delta=DELTA, more=more)
        (project.root / "repro.toml").write_text(text)
        project.script(TRAIN)
        return project

    return write


@pytest.fixture(scope="module")
def storage(
    object_store: services.ObjectStore, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[services.ObjectStore]:
    """An object store of the module's own, for its tests kill it."""
    own = services.start_store(tmp_path_factory.mktemp("store"))
    yield own
    own.server.stop()


@pytest.fixture(scope="module")
def server(
    lakefs: services.LakeFS, storage: services.ObjectStore, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[services.LakeFS]:
    """A lakeFS on it, which they kill too."""
    own = services.start_lakefs(tmp_path_factory.mktemp("lakefs"), storage)
    yield own
    own.server.stop()
