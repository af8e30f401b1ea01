"""Two runs side by side: each declared output and metric by the rule that was recorded, and what was not locked beside it."""

from __future__ import annotations

import gzip
import io
import json
import shutil
import tarfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from replaying import Made, make

from reprolock.errors import NotReplayable
from reprolock.files.output_tree import measure
from reprolock.model.json_compare import json_digest
from reprolock.model.lineage import Lineage, Read
from reprolock.model.record import EndingRecord, Record, SparkRecord
from reprolock.model.verdict import Verdict
from reprolock.steps.recording.kept_outputs import LARGEST, pack, unpack
from reprolock.steps.recording.load import Recorded, read_recorded
from reprolock.steps.replaying.compare import compare

IGNORED = ["time"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, empty_mlflow: Path) -> Made:
    folder = tmp_path_factory.mktemp("compared")
    shutil.copy(empty_mlflow, folder / "mlflow.db")
    return make(folder, f"sqlite:///{folder}/mlflow.db", folder / "cache")


@pytest.fixture
def recorded(made: Made, tmp_path: Path) -> Recorded:
    """The run, with the metrics that it would have logged to a server."""
    found = read_recorded(made.copy(tmp_path / "recorded"), tmp_path / "code", made.tags)
    return found._replace(record=found.record.model_copy(update={"metrics": {"loss": 0.5, "rows": 3.0}}))


class Side:
    """The replay's outputs, as they were written."""

    def __init__(self, recorded: Recorded, folder: Path) -> None:
        self.recorded = recorded
        self.folder = folder / "project"
        (self.folder / "out").mkdir(parents=True)
        unpack((recorded.folder / "output-model.tar.gz").read_bytes(), self.folder / "out")
        (self.folder / "out" / "raw.txt").write_text("77")
        self.changes: dict[str, Any] = {}

    @property
    def model(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads((self.folder / "out" / "model.json").read_bytes())
        return document

    def write(self, **values: Any) -> None:
        """model.json with other values, keys in another order."""
        document = dict(sorted({**self.model, **values}.items(), reverse=True))
        (self.folder / "out" / "model.json").write_text(json.dumps(document, indent=3))

    def verdict(self, environ: Mapping[str, str] = {"TURN": "1"}) -> Verdict:
        model, raw, log = self.recorded.record.outputs
        found = measure(self.folder / "out" / "raw.txt")
        outputs = (
            model.model_copy(
                update={"compared": json_digest((self.folder / "out" / "model.json").read_bytes(), IGNORED)}
            ),
            raw.model_copy(update={"compared": found.digest if found else None}),
            log.model_copy(update={"digest": "file:" + "0" * 64}),
        )
        replay = self.recorded.record.model_copy(update={"outputs": outputs} | self.changes)
        return compare(self.recorded, replay, self.folder, python=Path("python"), environ=environ)


@pytest.fixture
def side(recorded: Recorded, tmp_path: Path) -> Side:
    return Side(recorded, tmp_path)


def states(verdict: Verdict) -> dict[str, str]:
    return {item.name: item.state for item in verdict.comparisons}


def test_the_same_again(side: Side) -> None:
    found = side.verdict()
    assert (found.kind, found.reason) == ("REPRODUCED", "4 of 4 compared")
    assert [(item.name, item.how, item.state) for item in found.comparisons] == [
        ("model", "json ±0.001", "identical"),
        ("raw", "bytes", "identical"),
        ("loss", "±1e-6", "identical"),
        ("rows", "exact", "identical"),
    ]
    assert (found.differing, found.inputs) == ((), "nothing differs in the inputs and the observed environment")


def test_a_document_with_another_time_and_order_of_keys_is_identical(side: Side) -> None:
    side.write(time=0)
    assert states(side.verdict())["model"] == "identical"


def test_a_document_within_the_tolerance(side: Side) -> None:
    side.write(total=side.model["total"] * 1.0009)
    assert (side.verdict().kind, states(side.verdict())["model"]) == ("REPRODUCED", "within tolerance")


def test_a_document_beyond_the_tolerance(side: Side) -> None:
    total = side.model["total"]
    side.write(total=total * 1.0011, seed="8")
    found = side.verdict()
    assert (found.kind, found.reason) == ("DIVERGED", "1 of 4 differ: model")
    assert found.comparisons[0].differences == (
        'seed is "8", recorded "7"',
        f"total is {total * 1.0011}, recorded {total:.0f}",
    )


def test_a_recorded_document_that_was_swapped_for_the_replays_own(side: Side, recorded: Recorded) -> None:
    """Two equal documents beside a digest that is not theirs prove nothing."""
    side.write(total=1)
    data = pack(side.folder / "out" / "model.json")
    assert data is not None
    (recorded.folder / "output-model.tar.gz").write_bytes(data)
    found = side.verdict()
    assert (found.kind, states(found)["model"]) == ("NOT REPLAYABLE", "missing")
    assert (
        found.reason
        == 'output "model" could not be compared: output-model.tar.gz does not hold the document that was recorded'
    )


@pytest.mark.parametrize("kept", [None, "output-gone.tar.gz", "../recorded/output-model.tar.gz"])
def test_a_recorded_document_that_is_not_at_hand(kept: str | None, side: Side, recorded: Recorded) -> None:
    model, *others = recorded.record.outputs
    outputs = (model.model_copy(update={"kept": kept}), *others)
    side.recorded = recorded._replace(record=recorded.record.model_copy(update={"outputs": outputs}))
    side.write(total=1)
    assert (side.verdict().kind, states(side.verdict())["model"]) == ("NOT REPLAYABLE", "missing")


def test_other_bytes(side: Side) -> None:
    (side.folder / "out" / "raw.txt").write_text("90")
    found = side.verdict()
    assert (found.kind, found.reason, found.exit_code) == ("DIVERGED", "1 of 4 differ: raw", 6)


def test_an_output_that_the_replay_did_not_write(side: Side) -> None:
    (side.folder / "out" / "raw.txt").unlink()
    found = side.verdict()
    assert (found.kind, states(found)["raw"]) == ("DIVERGED", "missing")
    assert found.comparisons[1].differences == ("the replay did not write it",)


def test_an_output_that_the_recorded_run_could_not_digest(side: Side, recorded: Recorded) -> None:
    model, raw, log = recorded.record.outputs
    outputs = (model, raw.model_copy(update={"compared": None, "problem": "raw.txt is not a table"}), log)
    side.recorded = recorded._replace(record=recorded.record.model_copy(update={"outputs": outputs}))
    found = side.verdict()
    assert (found.kind, found.reason) == (
        "NOT REPLAYABLE",
        'output "raw" could not be compared: raw.txt is not a table',
    )
    assert found.exit_code == 7


@pytest.mark.parametrize(
    ("metrics", "kind", "state"),
    [
        ({"loss": 0.5 * (1 + 9e-7), "rows": 3.0}, "REPRODUCED", "within tolerance"),
        ({"loss": 0.5 * (1 + 2e-6), "rows": 3.0}, "DIVERGED", "different"),
        ({"loss": float("nan"), "rows": 3.0}, "DIVERGED", "different"),
        ({"rows": 3.0}, "DIVERGED", "missing"),
        ({"loss": 0.5, "rows": 3.0, "more": 1.0}, "REPRODUCED", "identical"),
        ({"loss": 0.5, "rows": 3.0000000000000004}, "DIVERGED", "identical"),
    ],
)
def test_metrics(metrics: dict[str, float], kind: str, state: str, side: Side) -> None:
    side.changes["metrics"] = metrics
    found = side.verdict()
    assert (found.kind, states(found)["loss"]) == (kind, state)


def test_a_metric_that_was_declared_and_never_recorded(side: Side, recorded: Recorded) -> None:
    side.recorded = recorded._replace(record=recorded.record.model_copy(update={"metrics": {"loss": 0.5}}))
    side.changes["metrics"] = {"loss": 0.5, "rows": 3.0}
    found = side.verdict()
    assert (found.kind, found.reason) == (
        "NOT REPLAYABLE",
        'metric "rows" could not be compared: the recorded run did not log it',
    )


def test_nothing_declared(side: Side, recorded: Recorded) -> None:
    none = {"log": recorded.spec.outputs["log"]}
    side.recorded = recorded._replace(spec=recorded.spec.model_copy(update={"outputs": none, "metrics": {}}))
    assert (
        side.verdict().reason
        == "nothing is declared to compare: repro.toml has no metric and no output that is compared"
    )
    assert side.verdict().kind == "NOT REPLAYABLE"


# A command that ended otherwise


@pytest.mark.parametrize(
    ("status", "exit_code", "signal", "reason", "kind", "said"),
    [
        ("FAILED", 3, None, "exit code 3", "DIVERGED", "the replayed command ended differently: exit code 3"),
        (
            "FAILED", 0, None, "exit code 0, but it did not write the declared output raw", "DIVERGED",
            "the replayed command ended differently: exit code 0, but it did not write the declared output raw",
        ),
        (
            "KILLED", None, None, "time-out after 20s", "NOT REPLAYABLE",
            "the replayed command was ended from outside: time-out after 20s",
        ),
        (
            "FAILED", None, 9, "killed by SIGKILL (out of memory?)", "NOT REPLAYABLE",
            "the replayed command was ended from outside: killed by SIGKILL (out of memory?)",
        ),
    ],
)  # fmt: skip
def test_endings(
    status: str, exit_code: int | None, signal: int | None, reason: str, kind: str, said: str, side: Side
) -> None:
    """A command that ends by itself in another way is another outcome; one that is stopped says nothing about the result."""
    ending = EndingRecord(exit_code=exit_code, signal=signal, reason=reason, seconds=1.0)
    side.changes |= {"status": status, "ending": ending, "outputs": ()}
    found = side.verdict()
    assert (found.kind, found.reason, found.comparisons) == (kind, said, ())


# What was not locked, and what differs


def test_what_differs_is_named_by_section(side: Side, recorded: Recorded) -> None:
    observed = recorded.record.observed
    sections = {**observed.sections, "packages": "0" * 64, "java": "1" * 64}
    side.changes |= {
        "observed": observed.model_copy(update={"sections": sections}),
        "metrics": {"loss": 1.0, "rows": 3.0},
    }
    found = side.verdict()
    assert (found.kind, found.differing) == ("DIVERGED", ("packages", "java"))
    assert found.inputs == "what differs in the inputs and the observed environment: packages, java"


def with_environment(record: Record, **changes: Any) -> dict[str, Any]:
    return {"environment": record.environment.model_copy(update=changes)}


def test_remarks(side: Side, recorded: Recorded) -> None:
    left_out = "not compared: log, model.time"
    assert side.verdict().unlocked == ("TURN passed through, with values that are not recorded", left_out)
    assert side.verdict({}).unlocked == ("TURN not set here", left_out)
    side.recorded = recorded._replace(vouched=False)
    assert side.verdict({}).unlocked == ("TURN not set here", left_out, "by a record that no MLflow here confirms")
    side.changes |= with_environment(
        recorded.record, python="3.11.99", platform="Plan9 sparc", wheels={"alpha": "0" * 64}
    )
    side.changes["reprolock"] = "9.0"
    found, environment = side.verdict({}), recorded.record.environment
    assert found.unlocked[:4] == (
        f"on Python 3.11.99, recorded {environment.python}",
        f"on Plan9 sparc, recorded {environment.platform}",
        "1 of 1 packages installed from other files",
        f"by reprolock 9.0, recorded by {recorded.record.reprolock}",
    )
    assert found.kind == "REPRODUCED"


def test_remarks_on_the_machine(side: Side, recorded: Recorded) -> None:
    record = recorded.record.model_copy(
        update=with_environment(recorded.record, cores=4, locale={"LANG": "C.UTF-8", "LC_ALL": "de_DE"})
    )
    side.recorded = recorded._replace(record=record)
    side.changes |= with_environment(record, cores=64, locale={"LANG": "en_GB.UTF-8", "LC_NUMERIC": "C"})
    assert side.verdict({}).unlocked[:4] == (
        "on 64 cores, recorded on 4",
        "with LANG=en_GB.UTF-8, recorded C.UTF-8",
        "without LC_ALL, recorded de_DE",
        "with LC_NUMERIC=C, recorded without",
    )
    side.changes |= with_environment(record)
    assert side.verdict({}).unlocked[0] == "TURN not set here"
    older = record.model_copy(update=with_environment(record, cores=None, locale={}))
    side.recorded = recorded._replace(record=older)
    assert side.verdict({}).unlocked[0] == "TURN not set here"


def test_remarks_on_spark(side: Side, recorded: Recorded) -> None:
    """What came from outside the lock, in either run, and what nobody declared, stands beside every verdict."""
    spark = SparkRecord(
        version="4.2.0",
        master="yarn",
        conf={"spark.sql.ansi.enabled": "true", "spark.jars": "a.jar"},
        jars=1,
        brought=("core-site.xml",),
    )
    past, moving = (
        'spark.sql.ansi.enabled "false", locked "true"',
        Read(uri="lakefs://flights/main/train/", kind="moving"),
    )
    lineage = Lineage(coverage="Spark was observed", observed=True, sessions=1, reads=(moving,), unlocked=(past,))
    side.recorded = recorded._replace(record=recorded.record.model_copy(update={"spark": spark, "lineage": lineage}))
    side.changes["spark"] = spark.model_copy(
        update={"conf": {"spark.sql.ansi.enabled": "false", "spark.jars": "b.jar"}, "brought": ("own.jar",)}
    )
    side.changes["lineage"] = lineage.model_copy(update={"unlocked": (past, "jar mine.jar, not locked"), "reads": ()})
    found = side.verdict({})
    assert found.kind == "REPRODUCED"
    assert found.unlocked[1:-1] == (
        "Spark's settings differ: spark.sql.ansi.enabled",
        "not locked: core-site.xml, own.jar",
        "outside the lock: jar mine.jar, not locked",
        f"outside the lock: {past}",
        "Spark read lakefs://flights/main/train/, a ref that moves and no dataset pins",
        "the cluster yarn not locked",
    )


@pytest.mark.parametrize("section", ["data", "packages", "jars", "java", "spark", "code", "params", "seed", "command"])
def test_what_was_pinned_is_what_was_rebuilt(section: str, side: Side, recorded: Recorded) -> None:
    """However equal the results are: the same inputs are what they speak of."""
    pinned = recorded.record.pinned
    side.changes["pinned"] = pinned.model_copy(update={"sections": {**pinned.sections, section: "0" * 64}})
    found = side.verdict()
    assert (found.kind, found.reason) == ("NOT REPLAYABLE", f"what was rebuilt is not what was recorded: {section}")


def test_packages_of_an_interpreter_that_nobody_locked(side: Side, recorded: Recorded) -> None:
    record = recorded.record.model_copy(update=with_environment(recorded.record, isolated=False))
    side.recorded = recorded._replace(record=record)
    assert side.verdict({}).unlocked[0] == "packages not locked, none differ"
    side.changes |= with_environment(record, packages={**record.environment.packages, "alpha": "2.0", "beta": "1.0"})
    assert side.verdict({}).unlocked[0] == "packages not locked, 2 differ"


def test_a_run_in_place(side: Side, recorded: Recorded) -> None:
    side.recorded = recorded._replace(record=recorded.record.model_copy(update={"mode": "in-place"}))
    assert side.verdict({}).unlocked[0] == "recorded in the project's folder, where other files were too"


# Kept outputs are foreign input too


def test_a_kept_output_comes_back(tmp_path: Path) -> None:
    (tmp_path / "out" / "a").mkdir(parents=True)
    (tmp_path / "out" / "a" / "ü.txt").write_bytes(b"x")
    data = pack(tmp_path / "out")
    assert data is not None and data == pack(tmp_path / "out")
    unpack(data, tmp_path / "again")
    assert (tmp_path / "again" / "out" / "a" / "ü.txt").read_bytes() == b"x"


def test_a_large_output_is_not_kept(tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate(LARGEST + 1)
    assert pack(tmp_path / "large") is None


def packed(name: str, kind: bytes = tarfile.REGTYPE, target: str = "", size: int = 0) -> bytes:
    member = tarfile.TarInfo(name)
    member.type, member.linkname, member.size = kind, target, size
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.addfile(member, io.BytesIO(bytes(size)))
    return gzip.compress(buffer.getvalue(), 1)


def sparse() -> bytes:
    """A file of a terabyte, in a few bytes."""
    member = tarfile.TarInfo("large")
    member.pax_headers = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": "large",
        "GNU.sparse.realsize": str(10**12),
    }
    content = b"1\n0\n1\n".ljust(512, b"\0") + b"x"
    member.size = len(content)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(member, io.BytesIO(content))
    return gzip.compress(buffer.getvalue())


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (packed("../escaped"), 'a kept output cannot be unpacked: "../escaped" contains "." or ".." as a segment'),
        (packed("link", tarfile.SYMTYPE, "/etc/passwd"), 'a kept output holds "link", which is not a file'),
        (packed("hard", tarfile.LNKTYPE, "../../x"), 'a kept output holds "hard", which is not a file'),
        (packed("device", tarfile.CHRTYPE), 'a kept output holds "device", which is not a file'),
        (sparse(), 'a kept output holds "large", which is not a file'),
        (packed("zeros", size=2 * LARGEST + 1), "a kept output is larger than any that is kept"),
        (b"\x1f\x8b", "a kept output cannot be unpacked: "),
        (b"no gzip", "a kept output cannot be unpacked: "),
        (gzip.compress(b"no tar" * 100), "a kept output cannot be unpacked: "),
        (gzip.compress(b"x")[:10] + zlib.compress(b"other"), "a kept output cannot be unpacked: "),
    ],
)
def test_kept_outputs_that_mean_harm(data: bytes, reason: str, tmp_path: Path) -> None:
    with pytest.raises(NotReplayable) as raised:
        unpack(data, tmp_path / "below" / "folder")
    assert raised.value.message.startswith(reason)
    assert not list(tmp_path.rglob("*escaped*"))
