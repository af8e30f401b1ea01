"""Why a run is not the one before it, as a person reads it. The one before was read from record.json, as it is in a project."""

from __future__ import annotations

from datetime import UTC, date, datetime
from math import inf, nan
from typing import Any

import pytest

from reprolock.model.changes import why
from reprolock.model.record import CodeRecord, DatasetRecord, EnvironmentRecord, Record, SparkRecord
from reprolock.model.sections import SECTIONS, digests

NOW = datetime(2026, 11, 22, tzinfo=UTC)
OLD, NEW = "a" * 32, "b" * 32
DATA = {
    "kind": "git",
    "commit_time": NOW,
    "objects": 1,
    "bytes": 8,
    "digest": f"git-sha1-1:{'0' * 64}",
    "context": "training",
    "url": "file:///x",
}


def dataset(
    name: str = "train", uri: str = "lakefs://repo/main/train/", commit: str = "1" * 40, **more: Any
) -> DatasetRecord:
    repository, _, *path = uri.removeprefix("lakefs://").split("/")
    resolved = f"lakefs://{repository}/{commit}/{'/'.join(path)}"
    return DatasetRecord(
        **DATA | {"name": name, "uri": uri, "commit": commit, "resolved": resolved, "format": "csv"} | more
    )


def environment(python: str = "3.11.7", **packages: str) -> EnvironmentRecord:
    return EnvironmentRecord(
        python=python, implementation="CPython", platform="Linux x86_64", isolated=True,
        packages=packages, wheels={name: "0" * 64 for name in packages},
    )  # fmt: skip


def spark(java: str = "17.0.15 (Debian)", master: str = "local[2]", **conf: str) -> SparkRecord:
    return SparkRecord(
        version="4.2.0",
        master=master,
        conf={name.replace("_", "."): value for name, value in conf.items()},
        jars=0,
        java=java,
    )


def record(
    run_id: str = NEW, pinned: dict[str, Any] | None = None, observed: dict[str, Any] | None = None, **fields: Any
) -> Record:
    """A record that has just begun; each section that is not given has one value in all of them."""
    given: dict[str, Any] = {
        "project": "p", "experiment": "p", "status": "RUNNING", "started": NOW, "reprolock": "0", "mode": "isolated",
        "command": ("python", "train.py"), "code": CodeRecord(digest="0" * 64, files=1, bytes=1), "environment": environment(),
    }  # fmt: skip
    same = {name: 0 for name in SECTIONS}
    return Record(
        **given | fields,
        run_id=run_id,
        pinned=digests(same | (pinned or {})),
        observed=digests(same | (pinned or {}) | (observed or {})),
    )


def told(section: str, old: dict[str, Any], new: dict[str, Any]) -> tuple[str, ...]:
    """What is said where a section differs, and nothing else does."""
    before = Record.model_validate_json(record(OLD, {section: 1}, **old).model_dump_json())
    return why(record(NEW, {section: 2}, **new), before)


def test_the_first_run_and_one_like_the_last() -> None:
    assert why(record(), None) == ("first run of this project",)
    assert why(record(), record(OLD)) == ("nothing changed since run aaaaaaaa",)


@pytest.mark.parametrize(
    ("old", "new", "sentences"),
    [
        (20, 50, ("params.x 20 → 50",)),
        (1, 1.0, ("params.x 1 → 1.0",)),
        (1, True, ("params.x 1 → true",)),
        (1, "1", ('params.x 1 → "1"',)),
        ("fast", "slow", ("params.x fast → slow",)),
        (nan, 1.5, ("params.x NaN → 1.5",)),
        (inf, -inf, ("params.x Infinity → -Infinity",)),
        (2**60, 2**60 + 1, ("params.x 1152921504606846976 → 1152921504606846977",)),
        (date(2026, 1, 1), date(2026, 1, 2), ("params.x 2026-01-01 → 2026-01-02",)),
        ([1, 2.0], [1, 2], ("params.x [1, 2.0] → [1, 2]",)),
        ({"a": {"b": 1}}, {"a": {"b": 2, "c": 0}}, ("params.x.a.b 1 → 2", "params.x.a.c is new")),
        ({"a": 1}, 1, ("params.x is new", "params.x.a is gone")),
        (nan, "NaN", ("params: the type of a value",)),
    ],
)
def test_params(old: object, new: object, sentences: tuple[str, ...]) -> None:
    kept = {"not": nan, "day": date(2026, 1, 1), "moment": NOW, "far": -inf}  # none of which JSON has as it is
    assert told("params", {"params": kept | {"x": old}}, {"params": kept | {"x": new}}) == sentences


def test_params_that_come_and_go() -> None:
    assert told("params", {"params": {"a": 1}}, {"params": {"b": 1}}) == ("params.a is gone", "params.b is new")


@pytest.mark.parametrize(
    ("old", "new", "sentences"),
    [
        (dataset(), dataset(commit="2" * 40), ("train 111111111111 → 222222222222",)),
        (dataset(), dataset("test"), ("test is new", "train is gone")),
        (dataset(), dataset(format="json"), ("datasets.train.format csv → json",)),
        (dataset(), dataset(glob="*.csv"), ("datasets.train.glob none → *.csv",)),
        (dataset(options={"sep": ";"}), dataset(options={"header": "true"}), ("datasets.train.options.header is new", "datasets.train.options.sep is gone")),
        (
            dataset(),
            dataset(uri="lakefs://repo/main/other/"),
            ("datasets.train.uri lakefs://repo/main/train/ → lakefs://repo/main/other/",),
        ),
        (dataset(), dataset(uri="lakefs://repo/dev/train/", commit="2" * 40), ("train 111111111111 → 222222222222",)),
        (dataset(), dataset(digest=f"git-sha1-2:{'0' * 64}"), ("data changed",)),
    ],
)  # fmt: skip
def test_data(old: DatasetRecord, new: DatasetRecord, sentences: tuple[str, ...]) -> None:
    assert told("data", {"datasets": (old,)}, {"datasets": (new,)}) == sentences


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (environment(tool="1.0"), environment(tool="2.0"), "packages: tool 1.0 → 2.0"),
        (environment(tool="1.0"), environment(tool="1.0", other="1"), "packages: other is new"),
        (environment(), environment("3.12.1"), "packages: Python 3.11.7 → 3.12.1"),
        (
            environment(a="1", b="1", c="1", d="1", e="1"),
            environment(),
            "packages: a is gone, b is gone, c is gone and 2 more",
        ),
        (
            environment(tool="1.0"),
            environment(tool="1.0").model_copy(update={"wheels": {"tool": "1" * 64}}),
            "packages: tool has other files",
        ),
        (environment(tool="1.0"), environment(tool="1.0"), "packages: what is locked, not what is installed"),
    ],
)
def test_packages(old: EnvironmentRecord, new: EnvironmentRecord, sentence: str) -> None:
    assert told("packages", {"environment": old}, {"environment": new}) == (sentence,)


def test_java_is_told_from_what_is_asked_of_it() -> None:
    old, new = spark(), spark("21.0.1 (Oracle)")
    assert told("java", {"spark": old}, {"spark": new}) == ("Java 17.0.15 (Debian) → 21.0.1 (Oracle)",)
    assert told("java", {"spark": old}, {"spark": old}) == ("Java: what is asked for",)
    assert told("java", {}, {"spark": new}) == ("Java none → 21.0.1 (Oracle)",)


def test_spark() -> None:
    old, new = (
        spark(spark_master="local[2]", spark_sql_ansi_enabled="true"),
        spark(master="local[4]", spark_master="local[4]", spark_sql_ansi_enabled="false"),
    )
    assert told("spark", {"spark": old}, {"spark": new}) == (
        "spark: master local[2] → local[4], spark.sql.ansi.enabled true → false",
    )
    assert told("spark", {"spark": old}, {"spark": old}) == ("spark changed",)


def test_code_names_its_files() -> None:
    def code(**tree: str) -> dict[str, CodeRecord]:
        return {
            "code": CodeRecord(
                digest="0" * 64, tree={f"{name}.py": mode for name, mode in tree.items()}, files=1, bytes=1
            )
        }

    assert told("code", code(train="100644:1"), code(train="100644:2")) == ("code: train.py",)
    assert told("code", code(a="1", b="1", c="1", d="1"), code(a="1")) == ("code: b.py, c.py, d.py",)
    assert told("code", code(a="1", b="1", c="1", d="1"), code()) == ("code: a.py, b.py, c.py and 1 more",)


def test_seed_jars_and_command() -> None:
    assert told("seed", {"seed": None}, {"seed": 0}) == ("seed none → 0",)
    assert told("jars", {}, {}) == ("jars changed",)
    assert told("command", {}, {"command": ("python", "train.py", "-v")}) == (
        "command python train.py → python train.py -v",
    )
    assert told("command", {"env": {"A": "1"}}, {"env": {"A": "2", "B": ""}}) == ("env.A 1 → 2", "env.B is new")
    assert told("command", {"pass_env": ("A",)}, {"pass_env": ("B",)}) == ("pass_env: A, B",)
    assert told("command", {}, {}) == ("the declared outputs",)


def test_a_runs_own_folder_in_its_command_is_no_difference() -> None:
    old, new = (("python", f"/p/.reprolock/runs/{run}/work/out") for run in (OLD, NEW))
    assert told("command", {"command": old, "env": {"A": "1"}}, {"command": new}) == ("env.A is gone",)


def test_what_is_observed_alone_is_told_too_and_the_sections_keep_their_order() -> None:
    before = record(OLD, spark=spark(), params={"x": 1})
    after = record(NEW, {"params": 1}, {"java": 1}, spark=spark("17.0.16 (Debian)"), params={"x": 2})
    assert why(after, before) == ("Java 17.0.15 (Debian) → 17.0.16 (Debian)", "params.x 1 → 2")
