"""Which pins are checked against the lake's whole listing before a replay: all that Spark may read in place."""

from __future__ import annotations

from pathlib import Path

import pytest
from lake_project import LakeProject

from reprolock.errors import PinError
from reprolock.model.spec import DatasetSpec
from reprolock.model.workspace import Input
from reprolock.steps.locking.availability import check_listings, in_place
from reprolock.steps.locking.datasets import pin_dataset


def test_what_spark_may_read_in_place_is_checked_though_there_is_a_copy(tmp_path: Path) -> None:
    lake_project = LakeProject(tmp_path)
    spec = DatasetSpec(uri="lakefs://example-repo/main/train/", format="csv")
    head = lake_project.lake.resolve("example-repo", "main")
    pins = [pin_dataset(lake_project.lake, name, spec, head) for name in ("both", "remote", "local")]
    url = "s3a://example-repo/0123/train/"
    inputs = [
        Input("both", url, tmp_path / "copy"),  # {datasets.both.path} stands in the command
        Input("remote", url, None),
        Input("local", f"file://{tmp_path}/copy", tmp_path / "copy"),
    ]
    assert [pin.name for pin in in_place(pins, inputs)] == ["both", "remote"]
    wrong = [pin.model_copy(update={"digest": f"git-sha1-1:{'0' * 64}"}) for pin in pins]
    check_listings(lake_project.lake, in_place([*pins[:2], wrong[2]], inputs))
    with pytest.raises(PinError) as raised:
        check_listings(lake_project.lake, in_place([wrong[0], *pins[1:]], inputs))
    assert raised.value.message == (
        f"dataset both: what the lake lists at {pins[0].resolved} has the digest {pins[0].digest}, pinned is {wrong[0].digest}"
    )
