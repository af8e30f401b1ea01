"""A project on an embedded lake with data in it."""

from __future__ import annotations

import io
from pathlib import Path

from reprolock.lake.git.lake import GitLake

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


class Ground:
    """The project's folder, its lake, and short words to work with both."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.lake = GitLake(root / "lake", "file:lake")
        self.lake.create_repository("example-repo")
        self.commit("train/a.csv", b"x,y\n1,2\n")
        self.spec(SPEC)

    def spec(self, text: str) -> None:
        (self.root / "repro.toml").write_text(text)

    def edit(self, old: str, new: str, file: str = "repro.toml") -> None:
        text = (self.root / file).read_text()
        assert old in text
        (self.root / file).write_text(text.replace(old, new))

    def put(self, path: str, data: bytes) -> None:
        self.lake.put("example-repo", "main", path, io.BytesIO(data))

    def commit(self, path: str, data: bytes) -> str:
        self.put(path, data)
        return self.lake.commit("example-repo", "main", f"Put {path}").id
