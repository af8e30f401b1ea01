"""Bundles of real runs, and a machine that has nothing else: an empty HOME, no network, no lake, no MLflow.

In: a run that a test made. Out: what `reprolock` says there, as a process in a network namespace of its own where the
kernel allows it, else behind proxies that refuse.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from reprolock.files.stored_zip import StoredZip, read_directory, read_member
from reprolock.model.digest import sha256
from reprolock.steps.bundling.layout import MANIFEST, TAGMANIFEST, manifest

_LOOPBACK = """\
import fcntl, os, socket, struct, sys
with socket.socket() as any:  # a network namespace starts without, and a JVM speaks to its Python over it
    fcntl.ioctl(any, 0x8914, struct.pack("16sh22x", b"lo", 0x1 | 0x40))
os.execvp(sys.argv[1], sys.argv[1:])
"""


class Said(NamedTuple):
    """What a command printed, and how it ended."""

    code: int
    out: str
    err: str


@functools.cache
def has_namespaces() -> bool:
    """Whether a user of this machine may make a network namespace."""
    try:
        return subprocess.run(["unshare", "-rn", "true"], capture_output=True).returncode == 0
    except OSError:
        return False


def without_network(command: Sequence[str], environ: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    """The command and its variables, where nothing but this machine can be reached."""
    if has_namespaces():
        return ["unshare", "-rn", sys.executable, "-c", _LOOPBACK, *command], dict(environ)
    refused = "http://127.0.0.1:9"
    return [*command], {**environ, "HTTP_PROXY": refused, "HTTPS_PROXY": refused, "ALL_PROXY": refused, "NO_PROXY": ""}


def on_bare_machine(folder: Path, *arguments: str, **more: str) -> Said:
    """`reprolock` in a folder, with an empty HOME beside it. `more` are further variables."""
    home = folder.with_name(f"{folder.name}-home")
    home.mkdir(exist_ok=True)
    kept = {name: os.environ[name] for name in ("JAVA_HOME", "LANG") if name in os.environ}
    path = os.pathsep.join([str(Path(sys.executable).parent), "/usr/bin", "/bin"])
    environ = {**kept, "PATH": path, "HOME": str(home), **more}
    command, environ = without_network([sys.executable, "-m", "reprolock", "-C", str(folder), *arguments], environ)
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=500)
    return Said(done.returncode, done.stdout, done.stderr)


def members(bundle: Path) -> dict[str, bytes]:
    """Everything in a bundle, in its order."""
    with bundle.open("rb") as file:
        return {member.name: b"".join(read_member(file, member)) for member in read_directory(file)}


def write(target: Path, files: Iterable[tuple[str, bytes]]) -> Path:
    """A file as reprolock writes it, of whatever is given."""
    with target.open("wb+") as file, closing(StoredZip(file)) as archive:
        for name, data in files:
            archive.add(name, [data] if data else [])
        archive.finish()
    return target


def list_again(files: dict[str, bytes]) -> dict[str, bytes]:
    """The manifests made anew over what is there, as somebody does who has this package."""
    payload = {name: sha256(data) for name, data in files.items() if name.startswith("data/")}
    files = {**files, MANIFEST: manifest(payload)}
    tags = {name: sha256(data) for name, data in files.items() if "/" not in name and name != TAGMANIFEST}
    return {**files, TAGMANIFEST: manifest(tags)}
