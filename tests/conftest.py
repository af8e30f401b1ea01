"""Real servers for whoever asks for them by name, started once per test run and ended with it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import services

pytest_plugins = ["laws", "spark_session", "project", "wheelhouse"]
from command_line import cli  # noqa: F401 - a fixture
from lake_project import LakeProject

LAST_START = float(os.environ.get("REPROLOCK_TESTS_START_BEFORE") or "inf")
"""Seconds since 1970. CI has an end: a test that would start later is skipped, and those that ran count."""
TOO_LATE = "would start after REPROLOCK_TESTS_START_BEFORE"


@pytest.fixture
def lake_project(tmp_path: Path) -> LakeProject:
    """A project on an embedded lake with data in it."""
    return LakeProject(tmp_path)


@pytest.fixture(scope="session", autouse=True)
def ceiling(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No repro.toml in a folder above the temporary one is seen, where reprolock looks upwards for one."""
    above = tmp_path_factory.getbasetemp().resolve().parents

    def only_below(ask: Callable[[Path], bool]) -> Callable[[Path], bool]:
        return lambda path: not (path.name == "repro.toml" and path.parent in above) and ask(path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "is_file", only_below(Path.is_file))
        patch.setattr(Path, "exists", only_below(Path.exists))
        yield


@pytest.fixture(scope="session")
def object_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[services.ObjectStore]:
    """An object store with a bucket named `lake`: MinIO, or the one that REPROLOCK_STORE names."""
    if reason := services.missing_store():
        pytest.skip(reason)
    started = services.start_store(tmp_path_factory.mktemp("store"))
    yield started
    started.server.stop()


@pytest.fixture(scope="session")
def lakefs(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[services.LakeFS]:
    """A lakeFS on that store."""
    if reason := services.missing("lakeFS", "lakefs", services.LAKEFS_ABSENT):
        pytest.skip(reason)
    started = services.start_lakefs(tmp_path_factory.mktemp("lakefs"), request.getfixturevalue("object_store"))
    yield started
    started.server.stop()


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[services.Server]:
    """An MLflow tracking server; its address is `.endpoint`."""
    started = services.start_mlflow(tmp_path_factory.mktemp("mlflow"))
    yield started
    started.stop()


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """An archive holds the second in which it was made, and two workers collect at different times: they must agree on names."""
    return argname if isinstance(val, bytes) and not val.isascii() else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with a JVM come first, then those with a lakeFS: a long file at the end would keep one worker busy alone."""
    marks = {mark: {item.path for item in items if item.get_closest_marker(mark)} for mark in ("spark", "live")}
    items.sort(key=lambda item: (item.path not in marks["spark"], item.path not in marks["live"]))


def pytest_configure() -> None:
    """Where the tests are started in the background, signals are ignored, and every process they start would ignore them."""
    for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


def pytest_runtest_setup() -> None:
    """Before the fixtures: a server that is started for nothing takes time, too."""
    if time.time() > LAST_START:
        pytest.skip(TOO_LATE)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker hands on what it ran against."""
    if (output := getattr(session.config, "workeroutput", None)) is not None:
        output |= {"used": services.used, "absent": services.absent}


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """And the one that gave out the tests gathers it."""
    output = getattr(node, "workeroutput", {})
    services.used.update(output.get("used", {}))
    services.absent.update(output.get("absent", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say at the end which real services the tests ran against, and what was not run for want of time."""
    terminalreporter.write_line(services.summary())
    skipped = terminalreporter.stats.get("skipped", [])
    if late := [report.nodeid for report in skipped if TOO_LATE in str(report.longrepr)]:
        terminalreporter.write_line("\n  ".join([f"Not run, for want of time: {len(late)}", *sorted(late)]))
