"""A project to be tormented: its folder, a lake of either kind, and `reprolock` as a process of its own."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import psutil

SPEC = """\
[project]
name = "campaign"
{lake}
[datasets.train]
uri = "lakefs://example-repo/main/train/"
format = "csv"

[run]
command = ["python", "train.py", "{{datasets.train.path}}"]
code = ["train.py"]

[outputs.result]
path = "out/result"
publish = "lakefs://example-repo/main/result/"

[environment]
isolated = false
"""
SCRIPT = """\
import sys
from pathlib import Path
Path("out/result").mkdir(parents=True)
found = sorted(Path(sys.argv[1]).rglob("*.csv"))
Path("out/result/sum.csv").write_text("".join(file.read_text() for file in found))
"""
CODES = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 130, 137, 141, 143, -9}
"""How a command may end; 70 is a bug."""


class Done(NamedTuple):
    """How a command ended, and what it printed."""

    arguments: tuple[str, ...]
    code: int
    out: str
    err: str


class Site:
    """One project. `secret` stands in its environment and belongs nowhere else."""

    def __init__(self, root: Path, environ: Mapping[str, str] = {}, *, endpoint: str | None = "file:lake") -> None:
        """Make the project; its lake's repository is made by `fill`."""
        self.root = root
        self.secret = "canary-" + secrets.token_hex(12)
        root.mkdir(parents=True, exist_ok=True)
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
        self.environ = {
            **kept,
            "HOME": str(root.parent / "home"),
            "REPROLOCK_CACHE_DIR": str(root.parent / "cache"),
            "REPROLOCK_CONFIG_DIR": str(root.parent / "config"),
            "CANARY_TOKEN": self.secret,
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
            **environ,
        }
        lake = f'\n[lake]\nendpoint = "{endpoint}"\n' if endpoint else ""
        (root / "repro.toml").write_text(SPEC.format(lake=lake))
        (root / "train.py").write_text(SCRIPT)
        (root / "data.csv").write_text("x,y\n1,2\n")

    def fill(self, storage: str | None = None) -> None:
        """The repository, a first commit, and the lock."""
        where = ["--storage", storage] if storage else []
        self.must("data", "create", "lakefs://example-repo", *where)
        self.must("data", "put", "data.csv", "lakefs://example-repo/main/train/a.csv")
        self.must("data", "commit", "lakefs://example-repo/main", "-m", "First")
        self.must("lock")

    def call(self, *arguments: str, limit: int | None = None) -> Done:
        """One command to its end. `limit`: no file may grow beyond so many bytes, as on a disk that is full."""
        process = self.start(*arguments, limit=limit)
        out, err = process.communicate(timeout=300)
        return Done(arguments, process.returncode, out, err)

    def must(self, *arguments: str) -> Done:
        """A command that is part of the scenery."""
        done = self.call(*arguments)
        if done.code:
            raise AssertionError(f"the scenery fails: {done}")
        return done

    def start(self, *arguments: str, limit: int | None = None) -> subprocess.Popen[str]:
        """A command of its own session."""
        argv = [sys.executable, "-m", "reprolock", "-C", str(self.root), *arguments]
        if limit is not None:
            argv = ["prlimit", f"--fsize={limit}", *argv]
        return subprocess.Popen(
            argv,
            cwd=self.root,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )

    def kill(self, seconds: float, *arguments: str) -> Done:
        """SIGKILL after so many seconds, to reprolock alone."""
        process = self.start(*arguments)
        try:
            out, err = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            out, err = process.communicate(timeout=60)
        return Done(arguments, process.returncode, out, err)

    def complaints(self, done: Done) -> list[str]:
        """What no ending excuses: a traceback, a bug, a code that is none, a secret on the terminal."""
        text = done.out + done.err
        found = [word for word in ("Traceback", "reprolock has a bug", "Exception ignored") if word in text]
        if done.code not in CODES:
            found.append(f"code {done.code}")
        if self.secret in text or any(value in text for value in self._keys()):
            found.append("a secret is printed")
        if done.code not in (0, -9, 137) and "error: " not in done.err:
            found.append("it fails without a sentence")
        return [f"{' '.join(done.arguments)}: {item}: {text[-300:]}" for item in found]

    def leaks(self) -> list[str]:
        """Files of the project, the lake and the cache that hold a secret."""
        found = []
        for folder in (self.root, Path(self.environ["REPROLOCK_CACHE_DIR"])):
            for path in folder.rglob("*"):
                if (
                    path.is_file()
                    and not path.is_symlink()
                    and any(key.encode() in path.read_bytes() for key in self._keys())
                ):
                    found.append(str(path))
        return found

    def orphans(self, seconds: float = 15.0) -> list[str]:
        """What still runs with this project's secret in its environment."""
        deadline = time.monotonic() + seconds
        while True:
            found = []
            for process in psutil.process_iter():
                try:
                    if (
                        process.environ().get("CANARY_TOKEN") == self.secret
                        and process.status() != psutil.STATUS_ZOMBIE
                    ):
                        found.append(" ".join(process.cmdline()))
                except psutil.Error:
                    continue
            if not found or time.monotonic() > deadline:
                return found
            time.sleep(0.2)

    def _keys(self) -> list[str]:
        return [self.secret, *(value for name, value in self.environ.items() if "SECRET" in name)]

    def remove(self) -> None:
        """Forget it all."""
        shutil.rmtree(self.root.parent, ignore_errors=True)
