"""What a run on a cluster is refused for, before anything starts."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from reprolock.errors import ReprolockError
from reprolock.model.spec import Spec
from reprolock.steps.running.cluster import check_cluster


def spec(master: str = "spark://127.0.0.1:1", shared: tuple[str, ...] = (), **more: object) -> Spec:
    run = {"command": ["python", "train.py"], **more.pop("run", {})}  # type: ignore[dict-item]
    spark = {"shared": list(shared)} | {"remote" if master.startswith("sc:") else "master": master}
    document = {"project": {"name": "x"}, "spark": spark, "run": run, **more}
    return Spec.model_validate(document)


def refused(root: Path, declared: Spec, *, replay: bool = False) -> tuple[int, str, str | None]:
    with pytest.raises(ReprolockError) as caught:
        check_cluster(root, declared, replay=replay)
    return caught.value.exit_code, str(caught.value), caught.value.hint


TABLE = {"sums": {"path": "out/sums", "compare": "table", "format": "parquet"}}
LAKE = {"endpoint": "https://lakefs.example.com"}
HINT = 'publish outputs to the lake, or name a folder that executors see too: shared = ["/mnt/…"] in [spark]'


def test_an_output_on_the_drivers_disk(tmp_path: Path) -> None:
    assert refused(tmp_path, spec(outputs=TABLE)) == (
        2,
        "spark.master is spark://127.0.0.1:1, whose executors do not see this machine's disk\n"
        "outputs.sums.path is out/sums, which each executor would write to a disk of its own",
        HINT,
    )


def test_an_embedded_lake_and_an_output_are_told_together(tmp_path: Path) -> None:
    declared = spec(
        outputs=TABLE,
        lake={"endpoint": "file:lake"},
        datasets={"train": {"uri": "lakefs://example-repo/main/train/", "format": "csv"}},
    )
    assert refused(tmp_path, declared)[1].splitlines()[1:] == [
        "outputs.sums.path is out/sums, which each executor would write to a disk of its own",
        "lake.endpoint is file:lake: an embedded lake is read from this machine's disk",
    ]


def test_a_local_path_in_the_command(tmp_path: Path) -> None:
    declared = spec(
        lake=LAKE,
        datasets={"train": {"uri": "lakefs://example-repo/main/train/", "format": "csv"}},
        run={"command": ["python", "train.py", "{datasets.train.path}"]},
    )
    assert refused(tmp_path, declared)[1].splitlines()[1:] == [
        "run.command asks for {datasets.train.path}, a folder of this machine; executors read {datasets.train.url}"
    ]


def test_a_master_that_does_not_answer(tmp_path: Path) -> None:
    assert refused(tmp_path, spec()) == (
        5,
        "no answer from the Spark master at spark://127.0.0.1:1: Connection refused",
        "is it running? spark.master names it",
    )


def test_what_executors_see_or_the_driver_writes_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        master = f"spark://127.0.0.1:{server.getsockname()[1]}"
        published = {"sums": {**TABLE["sums"], "publish": "lakefs://example-repo/main/sums/"}}
        check_cluster(tmp_path, spec(master, outputs=published, lake=LAKE))
        check_cluster(tmp_path, spec(master, outputs={"report": {"path": "report.json", "compare": "json"}}))
        check_cluster(tmp_path, spec(master, shared=(str(tmp_path),), outputs=TABLE, lake={"endpoint": "file:lake"}))
        check_cluster(tmp_path, spec("local[2]", outputs=TABLE))


def test_a_replay_publishes_nothing(tmp_path: Path) -> None:
    published = {"sums": {**TABLE["sums"], "publish": "lakefs://example-repo/main/sums/"}}
    for master in ("spark://127.0.0.1:1", "sc://127.0.0.1:1"):
        assert refused(tmp_path, spec(master, outputs=published, lake=LAKE), replay=True)[2] == (
            "replay in a folder that spark.shared names, or on this machine alone: `reprolock replay --master 'local[*]'`"
        )


def test_a_connect_server_sees_no_disk_of_ours_either(tmp_path: Path) -> None:
    declared = spec(
        "sc://127.0.0.1:1",
        outputs=TABLE,
        lake=LAKE,
        datasets={"train": {"uri": "lakefs://example-repo/main/train/", "format": "csv"}},
        run={"command": ["python", "train.py", "{datasets.train.path}"]},
    )
    assert refused(tmp_path, declared) == (
        2,
        "spark.remote is sc://127.0.0.1:1, whose executors do not see this machine's disk\n"
        "outputs.sums.path is out/sums, which each executor would write to a disk of its own\n"
        "run.command asks for {datasets.train.path}, a folder of this machine; executors read {datasets.train.url}",
        HINT,
    )


def test_a_connect_server_that_does_not_answer(tmp_path: Path) -> None:
    assert refused(tmp_path, spec("sc://127.0.0.1:1/;use_ssl=true")) == (
        5,
        "no answer from the Spark Connect server at sc://127.0.0.1:1/;use_ssl=true: Connection refused",
        "is it running? spark.remote names it",
    )


def test_reads_of_a_connect_server_cannot_be_demanded(tmp_path: Path) -> None:
    run = {"command": ["python", "train.py"], "undeclared_reads": "error"}
    assert refused(tmp_path, spec("sc://127.0.0.1:1", run=run)) == (
        2,
        'run.undeclared_reads is "error", and what the Spark Connect server sc://127.0.0.1:1 reads is not observed',
        'write undeclared_reads = "warn", or use a master',
    )
