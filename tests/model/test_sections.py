"""The two digests: a change in one section changes that section's digest and the total, and no other's."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from math import inf, nan
from typing import Any, NamedTuple

import pytest

from reprolock.model.lock import DatasetPin, EnvironmentPin, JarPin, JarsPin, PackagePin
from reprolock.model.record import Digests, EnvironmentRecord
from reprolock.model.sections import SECTIONS, digests, observed_sections, pinned_sections
from reprolock.model.spec import Spec

HASH, OTHER = "a" * 64, "b" * 64
COMMIT, NEXT = "1" * 40, "2" * 40


class Given(NamedTuple):
    """All that goes into the two digests."""

    spec: dict[str, Any]
    pins: tuple[DatasetPin, ...]
    packages: EnvironmentPin | None
    jars: JarsPin | None
    found: EnvironmentRecord
    code: str = HASH
    java: str | None = "17.0.15 (Debian)"
    master: str | None = "local[2]"
    conf: dict[str, str] = {
        "spark.sql.session.timeZone": "UTC",
        "spark.master": "local[2]",
        "spark.jars": "/here/a.jar",
    }

    def pinned(self) -> Digests:
        spec = Spec.model_validate(self.spec)
        return digests(pinned_sections(spec, self.pins, self.packages, self.jars, self.code))

    def observed(self) -> Digests:
        spec = Spec.model_validate(self.spec)
        return digests(
            observed_sections(
                spec, self.pins, self.found, self.jars, self.code, java=self.java, master=self.master, conf=self.conf
            )
        )  # fmt: skip

    def declared(self, table: str, **keys: Any) -> Given:
        """With some keys of one table of repro.toml."""
        return self._replace(spec={**self.spec, table: {**self.spec.get(table, {}), **keys}})


def pin(commit: str = COMMIT, name: str = "train", digest: str = HASH) -> DatasetPin:
    return DatasetPin.sealed(
        name=name, kind="git", uri="lakefs://repo/main/train/", commit=commit, time=datetime(2026, 1, 1, tzinfo=UTC),
        resolved=f"lakefs://repo/{commit}/train/", objects=1, bytes=8, digest=f"git-sha1-1:{digest}",
    )  # fmt: skip


def packages(version: str = "1.0", java: str = "17", python: str = "3.11", **more: Any) -> EnvironmentPin:
    package = PackagePin(name="tool", version=version, **{"hashes": (HASH,)} | more)
    return EnvironmentPin.sealed(requirements=("tool",), python=python, java=java, package=(package,))


def jars(sha256: str = HASH) -> JarsPin:
    return JarsPin.sealed(packages=("g:a:1",), spark="4.2.0", jar=(JarPin(coordinate="g:a:1", sha256=sha256, bytes=1),))


def found(
    python: str = "3.11.7", version: str = "1.0", wheel: str = HASH, platform: str = "Linux x86_64"
) -> EnvironmentRecord:
    return EnvironmentRecord(
        python=python,
        implementation="CPython",
        platform=platform,
        isolated=True,
        packages={"tool": version},
        wheels={"tool": wheel},
    )


BASE = Given(
    spec={
        "project": {"name": "p"},
        "lake": {"endpoint": "file:lake"},
        "datasets": {"train": {"uri": "lakefs://repo/main/train/", "format": "csv", "options": {"header": True}}},
        "params": {"x": 1, "deep": {"y": [1, 2]}},
        "environment": {"packages": ["tool"], "java": ">=17"},
        "spark": {"master": "local[*]", "packages": ["g:a:1"], "conf": {"spark.sql.ansi.enabled": "true"}},
        "run": {
            "command": ["python", "train.py"],
            "seed": 7,
            "env": {"A": "1"},
            "pass_env": ["B", "C"],
            "timeout": "2h",
        },
        "outputs": {"o": {"path": "out"}},
        "metrics": {"m": "exact"},
    },
    pins=(pin(),),
    packages=packages(),
    jars=jars(),
    found=found(),
)


def changed(before: Digests, after: Digests) -> set[str]:
    """The sections whose digests differ; the totals differ exactly if one does."""
    sections = {name for name in SECTIONS if before.sections[name] != after.sections[name]}
    assert (before.total != after.total) == bool(sections)
    return sections


def reads(**keys: Any) -> Given:
    return BASE.declared("datasets", train={**BASE.spec["datasets"]["train"], **keys})


CHANGES: list[tuple[str, Given, set[str], set[str]]] = [
    ("a commit", BASE._replace(pins=(pin(NEXT),)), {"data"}, {"data"}),
    ("bytes under a commit", BASE._replace(pins=(pin(digest=OTHER),)), {"data"}, {"data"}),
    ("a reader's option", reads(options={"header": False}), {"data"}, {"data"}),
    ("a format", reads(format="json"), {"data"}, {"data"}),
    ("a locked version", BASE._replace(packages=packages("2.0")), {"packages"}, set()),
    ("a locked hash", BASE._replace(packages=packages(hashes=(OTHER,))), {"packages"}, set()),
    ("a marker", BASE._replace(packages=packages(marker="sys_platform == 'linux'")), {"packages"}, set()),
    ("the locked Python", BASE._replace(packages=packages(python="3.12")), {"packages"}, set()),
    ("the locked Java", BASE._replace(packages=packages(java="21")), {"java"}, set()),
    ("no locked packages", BASE._replace(packages=None), {"packages", "java"}, set()),
    ("the Python that was found", BASE._replace(found=found("3.11.8")), set(), {"packages"}),
    ("a version that was found", BASE._replace(found=found(version="2.0")), set(), {"packages"}),
    ("a wheel that was built otherwise", BASE._replace(found=found(wheel=OTHER)), set(), {"packages"}),
    ("a jar", BASE._replace(jars=jars(OTHER)), {"jars"}, {"jars"}),
    ("the Java that was found", BASE._replace(java="17.0.16 (Debian)"), set(), {"java"}),
    ("a setting", BASE.declared("spark", conf={"spark.sql.ansi.enabled": "false"}), {"spark"}, set()),
    ("the declared master", BASE.declared("spark", master="local[2]"), {"spark"}, set()),
    ("N", BASE._replace(master="local[4]"), set(), {"spark"}),
    ("an effective setting", BASE._replace(conf={**BASE.conf, "spark.sql.session.timeZone": "Asia/Tokyo"}), set(), {"spark"}),
    ("the code", BASE._replace(code=OTHER), {"code"}, {"code"}),
    ("a param", BASE.declared("params", x=2), {"params"}, {"params"}),
    ("a param in a table", BASE.declared("params", deep={"y": [1, 3]}), {"params"}, {"params"}),
    ("the seed", BASE.declared("run", seed=8), {"seed"}, {"seed"}),
    ("no seed", BASE.declared("run", seed=None), {"seed"}, {"seed"}),
    ("an argument", BASE.declared("run", command=["python", "train.py", "-v"]), {"command"}, {"command"}),
    ("a variable", BASE.declared("run", env={"A": "2"}), {"command"}, {"command"}),
    ("a variable that passes", BASE.declared("run", pass_env=["B"]), {"command"}, {"command"}),
    ("an output", BASE.declared("outputs", o={"path": "elsewhere"}), {"command"}, {"command"}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("given", "pinned", "observed"), [change[1:] for change in CHANGES], ids=[change[0] for change in CHANGES]
)
def test_a_change_is_seen_in_its_own_section_alone(given: Given, pinned: set[str], observed: set[str]) -> None:
    assert changed(BASE.pinned(), given.pinned()) == pinned
    assert changed(BASE.observed(), given.observed()) == observed


def test_each_section_has_a_change_above() -> None:
    assert {name for _, _, pinned, observed in CHANGES for name in pinned | observed} == set(SECTIONS)


@pytest.mark.parametrize(
    ("given"),
    [
        BASE.declared("run", timeout="3h"),
        BASE.declared("run", pass_env=["C", "B"]),
        BASE.declared("metrics", m={"rel": 1e-6}),
        BASE.declared("outputs", o={"path": "out", "compare": "none", "publish": "lakefs://repo/main/out/"}),
        BASE.declared("mlflow", tracking_uri="https://mlflow.example.com", experiment="e"),
        BASE.declared("project", name="q"),
        BASE.declared("lake", endpoint="file:elsewhere"),
        BASE._replace(found=found(platform="Darwin arm64")),
        BASE._replace(
            conf={
                **BASE.conf, "spark.jars": "/there/a.jar", "spark.local.dir": "/there", "spark.driver.host": "there",
                "spark.hadoop.fs.s3a.bucket.repo.endpoint": "http://there", "spark.hadoop.fs.s3.impl": "there",
            }
        ),
    ],
    ids=["time-out", "order of pass_env", "tolerance", "comparing and publishing", "MLflow", "project", "lake", "platform", "places"],
)  # fmt: skip
def test_places_services_and_rules_are_in_no_section(given: Given) -> None:
    assert given.pinned() == BASE.pinned()
    assert given.observed() == BASE.observed()


VALUES: list[Any] = [
    1, 1.0, True, "1", 0, 0.0, -0.0, False, "", "0", nan, "NaN", "nan", inf, -inf, "Infinity",
    2**53, 2**53 + 1, float(2**53), 2**60, 2**60 + 1, -(2**60), 0.1, 0.30000000000000004, "é", "e\u0301",
    [], {}, [1], [1.0], [[1]], {"a": 1}, {"a": "1"}, {"1": 1}, [1, 2], [2, 1], "[1]",
    date(2026, 1, 1), "2026-01-01", datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1),
]  # fmt: skip


def test_no_two_values_are_one_to_the_digest_and_each_is_itself() -> None:
    def of(value: Any) -> str:
        return BASE.declared("params", x=value).pinned().sections["params"]

    assert len({of(value) for value in VALUES}) == len(VALUES)
    assert [of(value) for value in VALUES] == [of(value) for value in VALUES]


def test_the_order_of_a_table_is_none() -> None:
    one = BASE.declared("params", x={"a": 1, "b": 2})
    other = BASE.declared("params", x={"b": 2, "a": 1})
    assert one.pinned() == other.pinned()


def test_the_order_of_datasets_is_none() -> None:
    both = {name: BASE.spec["datasets"]["train"] for name in ("a", "b")}
    given = BASE._replace(spec={**BASE.spec, "datasets": both})
    pins = pin(name="a"), pin(name="b")
    assert given._replace(pins=pins).pinned() == given._replace(pins=pins[::-1]).pinned()


def test_without_spark_or_packages_there_is_still_a_digest_of_each_section() -> None:
    spec = {name: table for name, table in BASE.spec.items() if name not in ("spark", "environment")}
    bare = Given(spec=spec, pins=(), packages=None, jars=None, found=found(), java=None, master=None, conf={})
    for digest in (bare.pinned(), bare.observed()):
        assert list(digest.sections) == list(SECTIONS)
        assert all(len(value) == 64 for value in (*digest.sections.values(), digest.total))


@pytest.mark.parametrize("of", [Given.pinned, Given.observed])
def test_the_digests_are_what_they_were(of: Callable[[Given], Digests]) -> None:
    """A record of today is checked against these years later: whoever changes them on purpose changes them here."""
    assert (
        of(BASE).total
        == {
            Given.pinned: "dae9e2ab64518697fac3d8f0852a661463a9ec1aaff5aad69fc90149f11f3c6c",
            Given.observed: "23b22659a222da94d8a3a561ec9a4c28ff815c976fc0a75523d962fc73320a45",
        }[of]
    )
