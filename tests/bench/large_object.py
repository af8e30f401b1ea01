"""An object of 5 GiB on a real lakeFS on a real MinIO: put, committed, got and materialised, byte for byte; read by a run,
bundled, and replayed from the bundle alone. `make large`.

Not part of `make test`: it takes minutes, and 30 GiB of disk.
"""

from __future__ import annotations

import hashlib
import os
import resource
import secrets
import shutil
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
import services
from command_line import Cli

from reprolock.files.object_cache import ObjectCache
from reprolock.lake.open import open_lake
from reprolock.model.spec import DatasetSpec
from reprolock.steps.inputs.materialise import make_tree
from reprolock.steps.locking.datasets import pin_dataset

SIZE = 5 * 2**30
NEEDED = 30 * 2**30
PART = 2**20
GROWTH = 300 * 2**20
"""How much more memory any of it may take, whatever the object's size."""


def make(path: Path) -> None:
    """A file with holes, in which no two GiB are alike."""
    with path.open("wb") as file:
        file.truncate(SIZE)
        for start in range(0, SIZE, 2**30):
            file.seek(start + start // 7)
            file.write(secrets.token_bytes(PART))
        file.seek(SIZE - PART)
        file.write(secrets.token_bytes(PART))


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def peak() -> int:
    """Bytes that this process has had at the most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def test_five_gibibytes_and_nothing(
    lakefs: services.LakeFS,
    tmp_path: Path,
    cli: Cli,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    free = shutil.disk_usage(tmp_path).free
    if free < NEEDED:
        pytest.skip(f"{free >> 30} GiB free below {tmp_path}, and {NEEDED >> 30} GiB are needed")
    for name, value in {**lakefs.lakectl, "REPROLOCK_CACHE_DIR": str(tmp_path / "cache")}.items():
        monkeypatch.setenv(name, value)
    repository = f"large-{secrets.token_hex(4)}"
    address = f"lakefs://{repository}/main"
    source = tmp_path / "source"
    source.mkdir()
    make(source / "large.bin")
    (source / "empty").touch()
    expected = sha256(source / "large.bin")
    took: dict[str, float] = {}

    def say(*arguments: str) -> str:
        started = time.monotonic()
        said = cli("data", *arguments)
        assert said.code == 0, said.err
        took[arguments[0]] = time.monotonic() - started
        return said.out

    say("create", f"lakefs://{repository}", "--storage", f"s3://lake/{repository}")
    before = peak()
    assert say("put", str(source), f"{address}/data/") == f"Staged 2 objects, 5.4 GB, at {address}/data/\n"
    say("commit", address, "-m", "Large")
    assert say("ls", "-r", f"{address}/data/") == "      0 B  data/empty\n   5.4 GB  data/large.bin\n"
    got = tmp_path / "got"
    assert say("get", f"{address}/data/", str(got)).startswith(f"Wrote {got}  (2 objects, 5.4 GB, read-only")
    assert sha256(got / "large.bin") == expected
    assert (got / "empty").read_bytes() == b""
    shutil.rmtree(got)
    shutil.rmtree(tmp_path / "cache")

    with closing(open_lake(None, tmp_path, lakefs.lakectl, tmp_path)) as lake:
        pin = pin_dataset(
            lake, "large", DatasetSpec(uri=f"{address}/data/", format="binary"), lake.resolve(repository, "main")
        )
        started = time.monotonic()
        made = make_tree(lake, pin, ObjectCache(tmp_path / "second"), tmp_path / "data")
        took["materialise"] = time.monotonic() - started
    assert made[1:5] == (2, SIZE, 2, SIZE)
    assert sha256(made.path / "large.bin") == expected
    assert peak() - before < GROWTH
    with capfd.disabled():
        rates = (f"{name} {SIZE / 1e6 / took[name]:.0f} MB/s" for name in ("put", "get", "materialise"))
        unsure = f"{len(made.copied.sha256)} of {made.objects} by size alone"
        print(f"\n5 GiB: {', '.join(rates)}; {unsure}; memory grew by {(peak() - before) >> 20} MiB")


SPEC = """\
[project]
name = "large"
[lake]
endpoint = "{endpoint}"
[datasets.large]
uri = "lakefs://{repository}/main/data/"
format = "binary"
[run]
command = ["python", "train.py"]
code = ["train.py"]
[outputs.found]
path = "found.json"
compare = "json"
"""
SCRIPT = """\
import hashlib, json, reprolock
run = reprolock.current()
with open(run.dataset("large").path / "large.bin", "rb") as file:
    found = hashlib.file_digest(file, "sha256").hexdigest()
run.output("found").path.write_text(json.dumps(found))
"""


def test_a_bundle_of_five_gibibytes(lakefs: services.LakeFS, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Its size, its memory and that of a replay from it, on a machine that has neither the lake nor a cache."""
    if (free := shutil.disk_usage(tmp_path).free) < NEEDED:
        pytest.skip(f"{free >> 30} GiB free below {tmp_path}, and {NEEDED >> 30} GiB are needed")
    repository, project, elsewhere = f"large-{secrets.token_hex(4)}", tmp_path / "project", tmp_path / "elsewhere"
    for folder in (project, elsewhere):
        folder.mkdir()
    (project / "repro.toml").write_text(SPEC.format(endpoint=lakefs.endpoint, repository=repository))
    (project / "train.py").write_text(SCRIPT)
    make(tmp_path / "large.bin")
    expected = sha256(tmp_path / "large.bin")
    peaks, took = {}, {}

    def reprolock(folder: Path, *arguments: str, **variables: str) -> None:
        environ = {"PATH": os.environ["PATH"], "HOME": str(folder), **variables}
        started = time.monotonic()
        process = subprocess.Popen([sys.executable, "-m", "reprolock", *arguments, "-q"], cwd=folder, env=environ)
        _, status, usage = os.wait4(process.pid, 0)
        assert os.waitstatus_to_exitcode(status) == 0, arguments
        peaks[arguments[0]], took[arguments[0]] = usage.ru_maxrss >> 10, time.monotonic() - started

    for line in (
        ("data", "create", f"lakefs://{repository}", "--storage", f"s3://lake/{repository}"),
        ("data", "put", str(tmp_path / "large.bin"), f"lakefs://{repository}/main/data/"),
        ("data", "commit", f"lakefs://{repository}/main", "-m", "Large"),
        ("lock",),
        ("run",),
        ("bundle", "@latest", "-o", str(tmp_path / "run.zip")),
    ):
        reprolock(project, *line, **lakefs.lakectl)
    (tmp_path / "large.bin").unlink()
    shutil.rmtree(project / ".cache", ignore_errors=True)
    assert (project / "found.json").read_text() == f'"{expected}"'
    size = (tmp_path / "run.zip").stat().st_size
    assert SIZE < size < 1.02 * SIZE
    reprolock(elsewhere, "replay", str(tmp_path / "run.zip"))
    assert max(peaks["bundle"], peaks["replay"]) < GROWTH >> 20
    with capfd.disabled():
        print(
            f"\n5 GiB: {', '.join(f'{name} {took[name]:.0f} s, {peaks[name]} MiB' for name in ('run', 'bundle', 'replay'))}"
        )
