"""MLflow's plug-in: what a run read is loaded again, through MLflow's own functions, from an embedded lake."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.data.dataset_source_registry import resolve_dataset_source

from reprolock.errors import MachineError, NotFound, PinError, UsageError
from reprolock.lake.git.lake import GitLake
from reprolock.model.digest import summarise
from reprolock.model.record import DatasetRecord, Record
from reprolock.tracker.dataset_source import LakeDatasetSource
from reprolock.tracker.mlflow_tracker import MlflowTracker

FILES = {"data/a.csv": b"x\n1\n", "data/sub dir/b é.csv": b"x\n2\n", "data/notes.md": b"#\n", "other": b"no"}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with an embedded lake, in which the process stands."""
    root = tmp_path / "project"
    (root / "deep").mkdir(parents=True)
    (root / "repro.toml").write_text(
        '[project]\nname = "x"\n[lake]\nendpoint = "file:lake"\n[run]\ncommand = ["true"]\n'
    )
    monkeypatch.chdir(root / "deep")
    return root


@pytest.fixture
def pinned(project: Path, tmp_path: Path, dataset: DatasetRecord) -> DatasetRecord:
    """A dataset that was read at a commit; the branch has moved on since."""
    lake = GitLake(project / "lake", "file:lake")
    lake.create_repository("example-repo")
    for path, content in FILES.items():
        (tmp_path / "file").write_bytes(content)
        lake.put("example-repo", "main", path, tmp_path / "file")
    commit = lake.commit("example-repo", "main", "first").id
    summary = summarise(lake.list("example-repo", commit, "data"), lake.scheme)
    lake.remove("example-repo", "main", "data/a.csv")
    lake.commit("example-repo", "main", "second")
    lake.close()
    place = f"lakefs://example-repo/{commit}/data/"
    changes = {"kind": "git", "commit": commit, "resolved": place, "digest": summary.digest, "url": "file:///gone"}
    return dataset.model_copy(update=changes)


def tree(folder: str) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


def test_a_runs_input_is_loaded_again_at_its_commit(
    sqlite_tracker: MlflowTracker, record: Record, pinned: DatasetRecord, files: dict[str, Path], tmp_path: Path
) -> None:
    run_id = sqlite_tracker.create(record.experiment, None, record.started)
    sqlite_tracker.log(run_id, record.model_copy(update={"datasets": (pinned,)}), files)
    (entry,) = MlflowClient(sqlite_tracker.place.uri).get_run(run_id).inputs.dataset_inputs
    source = mlflow.data.get_source(entry)
    assert isinstance(source, LakeDatasetSource)
    assert source.uri == pinned.resolved
    expected = {"a.csv": b"x\n1\n", "sub dir/b é.csv": b"x\n2\n", "notes.md": b"#\n"}
    assert tree(source.load()) == expected
    assert tree(source.load(str(tmp_path / "copy"))) == expected


def test_a_glob_holds(pinned: DatasetRecord, project: Path) -> None:
    source = LakeDatasetSource(pinned.resolved, kind="git", glob="*.csv")
    assert sorted(tree(source.load())) == ["a.csv", "sub dir/b é.csv"]


def test_an_object_and_an_address_that_people_write(pinned: DatasetRecord) -> None:
    source = resolve_dataset_source(f"{pinned.resolved}a.csv")
    assert isinstance(source, LakeDatasetSource)
    assert tree(source.load()) == {"a.csv": b"x\n1\n"}


def test_another_listing_than_the_runs(pinned: DatasetRecord) -> None:
    source = LakeDatasetSource(pinned.resolved, kind="git", digest=pinned.digest[:-4] + "0000")
    with pytest.raises(PinError) as changed:
        source.load()
    assert changed.value.message == f"{pinned.resolved} is not what the run read: its listing has changed"


def test_a_lake_that_is_gone_or_not_named(
    pinned: DatasetRecord, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.move(project / "lake", tmp_path / "moved")
    source = LakeDatasetSource(pinned.resolved, kind="git", digest=pinned.digest)
    with pytest.raises(NotFound, match=r"^the lake file:lake is not there yet\nhint: "):
        source.load()
    assert sorted(tree(source.load(endpoint=f"file:{tmp_path}/moved"))) == ["a.csv", "notes.md", "sub dir/b é.csv"]
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as nowhere:
        source.load()
    assert nowhere.value.message == f"{pinned.resolved} is in an embedded lake, and no repro.toml here says where"
    assert nowhere.value.hint == 'call load in the project\'s folder, or with endpoint="file:FOLDER"'


def test_a_later_reprolocks_fields_are_passed_over() -> None:
    text = json.dumps({"uri": "lakefs://example-repo/main/x", "kind": "git", "later": 1})
    assert LakeDatasetSource.from_json(text).to_dict() == {"uri": "lakefs://example-repo/main/x", "kind": "git"}


def source_of(pinned: DatasetRecord) -> LakeDatasetSource:
    return LakeDatasetSource(pinned.resolved, kind="git", digest=pinned.digest)


def test_what_stood_there_stays_until_an_object_is_whole(
    pinned: DatasetRecord, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A load that fails removes no file of anybody's, and leaves none of its own."""
    target = tmp_path / "target"
    target.mkdir()
    (target / "a.csv").write_bytes(b"mine")

    def broken(self: GitLake, repository: str, ref: str, path: str) -> io.BytesIO:
        return io.BytesIO(b"y\n1\n")

    with monkeypatch.context() as patch:
        patch.setattr(GitLake, "open", broken)
        with pytest.raises(PinError, match="is damaged"):
            source_of(pinned).load(str(target))
    assert {path: data for path, data in tree(str(target)).items()} == {"a.csv": b"mine"}
    source_of(pinned).load(str(target))
    assert tree(str(target)) == {
        path.removeprefix("data/"): data for path, data in FILES.items() if path.startswith("data/")
    }


def test_a_folder_that_cannot_be_written(pinned: DatasetRecord, tmp_path: Path) -> None:
    (tmp_path / "sub dir").write_bytes(b"a file where a folder has to be")
    with pytest.raises(MachineError) as caught:
        source_of(pinned).load(str(tmp_path))
    assert caught.value.exit_code == 8
    assert caught.value.message.startswith(f"{tmp_path}/sub dir/b é.csv cannot be written: ")
