"""A project that publishes its outputs, on either lake, and what somebody else does meanwhile."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from command_line import Cli, Said
from project import Project, wait_for

from reprolock.lake.protocol import Lake

SPEC = """\
[project]
name = "flights"
{lake}
[params]
text = "one"

[run]
command = ["python", "train.py", "{{params.text}}"]
code = ["train.py"]

[outputs.predictions]
path = "out/predictions"
publish = "lakefs://{repository}/main/predictions/"
"""

SCRIPT = """
import sys
from pathlib import Path
folder = Path("out/predictions")
(folder / "deep").mkdir(parents=True)
(folder / "a.csv").write_text(sys.argv[1])
(folder / "deep" / "b.csv").write_text("b")
"""


class Site:
    """A project that publishes, and the lake it publishes to."""

    def __init__(self, project: Project, lake: Lake, test: str, cli: Cli) -> None:
        """Makes the repository, which is named after the test, and the lock."""
        self.project = project
        self.lake = lake
        self.repository = "p-" + test.removeprefix("test_").replace("_", "-")[:60]
        self._cli = cli
        lake.create_repository(self.repository, storage=None if lake.kind == "git" else "s3://lake/")
        self.put("README", b"about")
        self.spec()
        project.script(SCRIPT)
        self.lock()

    def spec(self, more: str = "") -> None:
        endpoint = '\n[lake]\nendpoint = "file:lake"\n' if self.lake.kind == "git" else ""
        self.project.spec(SPEC.format(lake=endpoint, repository=self.repository) + more)

    def lock(self) -> None:
        said = self._cli("lock")
        assert said.code == 0, said.err

    def run(self, *arguments: str) -> Said:
        return self._cli("run", *arguments)

    def put(self, path: str, data: bytes, branch: str = "main") -> str:
        self.lake.put(self.repository, branch, path, io.BytesIO(data))
        return self.lake.commit(self.repository, branch, f"Put {path}").id

    def shown(self, ref: str = "main") -> dict[str, bytes]:
        """Everything at a ref."""
        found = {}
        for item in list(self.lake.list(self.repository, ref)):
            with self.lake.open(self.repository, ref, item.path) as stream:
                found[item.path] = stream.read()
        return found

    def head(self, ref: str = "main") -> str:
        return self.lake.resolve(self.repository, ref).id

    @property
    def own_branches(self) -> list[str]:
        return [name for name in self.lake.branches(self.repository) if name.startswith("run-")]


WHOLE = {"README": b"about", "predictions/a.csv": b"one", "predictions/deep/b.csv": b"b"}
"""What a published run shows."""


@contextmanager
def meanwhile(site: Site, act: Callable[[], object]) -> Iterator[None]:
    """What somebody else does while the command runs; the command writes its outputs after it."""
    begun, gate = site.project.root / "begun", site.project.root / "gate"
    site.project.script(
        f"import time\nfrom pathlib import Path\nPath({str(begun)!r}).touch()\n"
        f"while not Path({str(gate)!r}).exists():\n    time.sleep(0.05)\n" + SCRIPT
    )

    def other() -> None:
        wait_for(begun.exists)
        act()
        gate.touch()

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(other)
        yield
        done.result()
