"""`replay` on a real lakeFS on a real MinIO: from nothing, and after somebody has been at the store behind it."""

from __future__ import annotations

import io
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import services
from boto3.s3.transfer import TransferConfig
from command_line import Cli, Said
from project import Project, lines_of

from reprolock.errors import PinError
from reprolock.lake.open import open_lake
from reprolock.lake.protocol import Lake
from reprolock.model.digest import sha256
from reprolock.model.spec import DatasetSpec
from reprolock.steps.bundling.read import open_bundle
from reprolock.steps.locking.availability import check_listings
from reprolock.steps.locking.datasets import pin_dataset
from reprolock.steps.recording.load import read_recorded

pytestmark = pytest.mark.live

SPEC = """\
[project]
name = "flights"

[lake]
endpoint = "{endpoint}"

[datasets.train]
uri = "lakefs://{repository}/main/train/"
format = "csv"

[environment]
packages = ["six==1.16.0"]

[run]
command = ["python", "train.py", "{{datasets.train.path}}"]

[outputs.sum]
path = "sum.txt"

[outputs.copy]
path = "copy.csv"
publish = "lakefs://{repository}/main/copy.csv"
"""
TRAIN = """
import sys
from pathlib import Path

import six

assert six.__version__ == "1.16.0"  # the interpreter beside reprolock has another
rows = [line for file in sorted(Path(sys.argv[1]).iterdir()) for line in file.read_text().split()[1:]]
Path("sum.txt").write_text(str(sum(map(int, rows))))
Path("copy.csv").write_text("\\n".join(rows))
"""
DATA = b"x\n11\n31\n"


class Recorded(NamedTuple):
    """A run whose project is gone; the auditor's empty folder; MLflow; the lake, and the store behind it."""

    run: str
    folder: Path
    tracking: str
    lake: Lake
    repository: str
    store: Any
    cli: Cli

    def replay(self, *arguments: str) -> Said:
        return self.cli("replay", self.run, "--tracking-uri", self.tracking, *arguments, root=self.folder)

    def key_of(self, data: bytes) -> str:
        """Where MinIO keeps the object with these bytes."""
        listed = self.store.list_objects_v2(Bucket="lake", Prefix=f"{self.repository}/data/")["Contents"]
        [key] = [
            item["Key"]
            for item in listed
            if self.store.get_object(Bucket="lake", Key=item["Key"])["Body"].read() == data
        ]
        return str(key)

    @property
    def branches(self) -> dict[str, str]:
        return {branch: self.lake.resolve(self.repository, branch).id for branch in self.lake.branches(self.repository)}


@pytest.fixture
def recorded(
    lakefs: services.LakeFS,
    object_store: services.ObjectStore,
    tmp_path: Path,
    empty_mlflow: Path,
    cli: Cli,
    bare: None,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Recorded]:
    """The branch has moved on, the keys' owner is another machine with an empty cache."""
    for name, value in {**lakefs.lakectl, "HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("REPROLOCK_CACHE_DIR", str(tmp_path / "cache"))
    repository = f"replays-{secrets.token_hex(4)}"
    lake = open_lake(lakefs.endpoint, tmp_path, lakefs.lakectl, tmp_path)
    lake.create_repository(repository, storage=f"{lakefs.storage}{repository}")
    lake.put(repository, "main", "train/a.csv", io.BytesIO(DATA))
    lake.commit(repository, "main", "First")
    made = tmp_path / "made"
    made.mkdir()
    shutil.copy(empty_mlflow, tmp_path / "mlflow.db")
    tracking = f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking)
    project = Project.__new__(Project)
    project.root = made
    project.spec(SPEC.format(endpoint=lakefs.endpoint, repository=repository))
    project.script(TRAIN)
    for command in (("lock",), ("run", "-q")):
        said = cli(*command, root=made)
        assert said.code == 0, said.err
    run = project.record.run_id
    shutil.rmtree(made)
    lake.put(repository, "main", "train/a.csv", io.BytesIO(b"x\n99\n"))
    lake.commit(repository, "main", "Second")
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    monkeypatch.setenv("REPROLOCK_CACHE_DIR", str(tmp_path / "empty"))
    (tmp_path / "audit").mkdir()
    store = services.s3(object_store.endpoint, object_store.access_key, object_store.secret_key)
    yield Recorded(run, tmp_path / "audit", tracking, lake, repository, store, cli)
    lake.close()


def test_from_nothing(recorded: Recorded) -> None:
    before = recorded.branches
    said = recorded.replay()
    assert said.code == 0, said.err
    assert lines_of(said.out, "REPRODUCED") == ["REPRODUCED   2 of 2 compared"]
    assert recorded.branches == before  # no branch of the replay's own, no commit
    assert sorted(path.name for path in recorded.folder.iterdir()) == [".reprolock"]


def test_other_bytes_of_the_same_size_in_the_store(recorded: Recorded) -> None:
    recorded.store.put_object(Bucket="lake", Key=recorded.key_of(DATA), Body=b"x\n11\n13\n")
    said = recorded.replay()
    assert said.code == 7, said.out
    [error] = lines_of(said.err, "error")
    assert error.startswith(f"error: run {recorded.run[:8]} cannot be rebuilt: ")
    assert "train/a.csv" in error
    assert "REPRODUCED" not in said.out


def test_data_that_is_deleted(recorded: Recorded) -> None:
    """The commit still resolves, and lakeFS answers 410 Gone."""
    recorded.store.delete_object(Bucket="lake", Key=recorded.key_of(DATA))
    said = recorded.replay()
    assert said.code == 7, said.out
    [error] = lines_of(said.err, "error")
    assert error.startswith(f"error: run {recorded.run[:8]} cannot be rebuilt: ")
    assert "train" in error and "gone" in error, error


def test_a_repository_that_is_gone(
    recorded: Recorded, lakefs: services.LakeFS, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "another").mkdir()
    said = recorded.replay("--lake", f"file:{tmp_path}/another")
    assert said.code == 7
    [error] = lines_of(said.err, "error")
    assert error.startswith(
        f"error: run {recorded.run[:8]} cannot be rebuilt: dataset train is pinned at lakefs://{recorded.repository}/"
    )


def test_another_lake_gets_no_keys(recorded: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = "http://127.0.0.1:9"
    monkeypatch.setenv("LAKECTL_SERVER_ENDPOINT_URL", mine)
    said = recorded.replay()
    assert said.code == 7
    [error] = lines_of(said.err, "error")
    assert error.startswith(
        f"error: run {recorded.run[:8]} cannot be rebuilt: no credentials may be sent to the lakeFS at "
    )
    assert error.endswith(f"that the record names: those of LAKECTL_CREDENTIALS_ACCESS_KEY_ID belong to {mine}")


def test_what_spark_reads_in_place_is_listed_before_it_counts(recorded: Recorded) -> None:
    """Nothing is copied then, so nothing would be checked against its checksum."""
    declared = DatasetSpec(uri=f"lakefs://{recorded.repository}/main/train/", format="csv")
    pin = pin_dataset(recorded.lake, "train", declared, recorded.lake.resolve(recorded.repository, "main"))
    check_listings(recorded.lake, [pin])
    other = pin.model_copy(update={"digest": f"{pin.digest.partition(':')[0]}:{'0' * 64}"})
    with pytest.raises(PinError) as raised:
        check_listings(recorded.lake, [pin, other])
    assert raised.value.message == (
        f"dataset train: what the lake lists at {pin.resolved} has the digest {pin.digest}, pinned is {other.digest}"
    )


PARTS = b"x\n" + b"1\n" * (5 << 20)
ODD_PARTS = TransferConfig(multipart_chunksize=9 * 2**20)
"""Parts of a size that no program uses: whose checksum can be told by who made it alone."""

WAYS = {
    "a placeholder": 'open(sys.argv[1] + "/parts.csv")',
    ".path": '(reprolock.current().dataset("train").path / "parts.csv").open()',
    ".open": 'reprolock.current().dataset("train").open("parts.csv")',
}


@pytest.mark.parametrize("way", WAYS)
def test_bytes_that_nobody_can_hold_against_a_checksum(
    way: str, recorded: Recorded, lakefs: services.LakeFS, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An upload in parts has a checksum that only its maker understands: the record says by a SHA-256 what the run was given."""
    gateway = services.s3(lakefs.endpoint, lakefs.access_key_id, lakefs.secret_access_key)
    gateway.upload_fileobj(io.BytesIO(PARTS), recorded.repository, "main/train/parts.csv", Config=ODD_PARTS)
    recorded.lake.commit(recorded.repository, "main", "An upload in parts")
    project = Project.__new__(Project)
    project.root = tmp_path / "again"
    project.root.mkdir()
    spec = SPEC.format(endpoint=lakefs.endpoint, repository=recorded.repository)
    project.spec(spec if way == "a placeholder" else spec.replace(', "{datasets.train.path}"', ""))
    project.script(
        f"import reprolock, sys\nread = len({WAYS[way]}.read())\nfor name in ('sum.txt', 'copy.csv'): open(name, 'w').write(str(read))"
    )
    monkeypatch.setenv("MLFLOW_TRACKING_URI", recorded.tracking)
    for command in (("lock",), ("run", "-q")):
        said = recorded.cli(*command, root=project.root)
        assert said.code == 0, said.err
    [train] = project.record.datasets
    assert (train.unverified, train.copied) == (1, True)
    assert train.sha256 == {"train/parts.csv": sha256(PARTS)}
    again = recorded._replace(run=project.record.run_id)
    for _ in range(2):  # fetched, and from the cache
        said = again.replay()
        assert said.code == 0, said.err
        assert lines_of(said.out, "REPRODUCED") == ["REPRODUCED   2 of 2 compared"]
        monkeypatch.setenv("REPROLOCK_CACHE_DIR", str(tmp_path / "empty"))
    if way != "a placeholder":
        return
    said = recorded.cli("bundle", again.run, "-o", str(tmp_path / "run.zip"), root=project.root)
    assert said.code == 0, said.err
    with open_bundle(tmp_path / "run.zip") as bundle:
        found = read_recorded(bundle.artifacts(tmp_path / "artifacts"), tmp_path / "code", None)
        assert bundle.unpack(found, None).unproven == {}
    # The store behind the lake has other bytes since.
    recorded.store.put_object(Bucket="lake", Key=recorded.key_of(PARTS), Body=PARTS[:-2] + b"2\n")
    monkeypatch.setenv("REPROLOCK_CACHE_DIR", str(tmp_path / "emptier"))
    said = again.replay()
    assert said.code == 7, said.out
    assert "train/parts.csv" in said.err
