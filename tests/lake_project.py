"""A repository in either kind of lake with what is taken out of it, and a project on an embedded lake."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Mapping
from pathlib import Path

from reprolock.files.object_cache import ObjectCache
from reprolock.lake.git.lake import GitLake
from reprolock.lake.protocol import Lake
from reprolock.model.lock import DatasetPin
from reprolock.model.spec import DatasetSpec
from reprolock.model.uri import LakeURI
from reprolock.steps.data.get import Got, get
from reprolock.steps.inputs.materialise import Materialised, make_tree
from reprolock.steps.locking.datasets import pin_dataset
from reprolock.steps.project.progress import SILENT, Progress

SPEC = """\
[project]
name = "flights"

[lake]
endpoint = "file:lake"

[datasets.train]
uri = "lakefs://example-repo/main/train/"
format = "csv"
options = { header = true }

[run]
command = ["python", "train.py"]
"""


class Repository:
    """A new repository in a lake, a cache, and a folder below `root` that its files are taken into."""

    def __init__(self, lake: Lake, name: str, root: Path, storage: str | None = None) -> None:
        self.lake, self.name, self.root = lake, name, root
        self.cache = ObjectCache(root / "cache")
        self.folder = root / "data"
        self.lake.create_repository(name, storage=storage)

    def put(self, path: str, data: bytes) -> None:
        self.lake.put(self.name, "main", path, io.BytesIO(data))

    def commit(self, path: str, data: bytes) -> str:
        """Commit one file to main; the commit's ID."""
        return self.commit_files({path: data})

    def commit_files(self, files: Mapping[str, bytes]) -> str:
        """Commit files to main; the commit's ID."""
        with tempfile.TemporaryDirectory(dir=self.root) as folder:
            sources = [(path, Path(folder, str(number))) for number, path in enumerate(files)]
            for (_, source), data in zip(sources, files.values(), strict=True):
                source.write_bytes(data)
            list(self.lake.put_many(self.name, "main", sources))
        return self.lake.commit(self.name, "main", f"Put {', '.join(list(files)[:3])}").id

    def commit_folder(self, folder: Path) -> str:
        """Commit all of a folder to main; the commit's ID."""
        files = sorted(file for file in folder.rglob("*") if file.is_file())
        list(self.lake.put_many(self.name, "main", [(file.relative_to(folder).as_posix(), file) for file in files]))
        return self.lake.commit(self.name, "main", "Put the data").id

    def pin(self, path: str = "train/", glob: str | None = None) -> DatasetPin:
        """Pin a path at the head of main."""
        spec = DatasetSpec(uri=f"lakefs://{self.name}/main/{path}", format="binary", glob=glob)
        return pin_dataset(self.lake, "train", spec, self.lake.resolve(self.name, "main"))

    def make(self, pin: DatasetPin, folder: str = "data", progress: Progress = SILENT) -> Materialised:
        """Make the tree of a pin in a folder below `root`."""
        return make_tree(self.lake, pin, self.cache, self.root / folder, progress)

    def get(self, path: str, dest: str, ref: str = "main") -> Got:
        """Copy a path of a ref into `folder`."""
        return get(self.lake, LakeURI(self.name, ref, path), self.folder / dest, self.cache)


def embedded(root: Path, name: str) -> Repository:
    """A repository in an embedded lake at `root`/lake."""
    return Repository(GitLake(root / "lake", "file:lake"), name, root)


class LakeProject(Repository):
    """A project's folder with repro.toml, and its repository in the embedded lake, with one file in it."""

    def __init__(self, root: Path) -> None:
        super().__init__(GitLake(root / "lake", "file:lake"), "example-repo", root)
        self.commit("train/a.csv", b"x,y\n1,2\n")
        self.spec(SPEC)

    def spec(self, text: str) -> None:
        (self.root / "repro.toml").write_text(text)

    def edit(self, old: str, new: str, file: str = "repro.toml") -> None:
        text = (self.root / file).read_text()
        assert old in text
        (self.root / file).write_text(text.replace(old, new))
