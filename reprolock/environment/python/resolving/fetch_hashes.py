"""Fetch a file of which the index gives no SHA-256, so that a lock can pin it.

uv hashes what comes without any hash by itself. Of a file with an MD5 alone it is asked by the file's own address: uv fetches
and hashes it, with its user's credentials.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

from packaging.pylock import PackageSdist, PackageWheel, Pylock

from reprolock.environment.python.uv import Uv
from reprolock.errors import ReprolockError

_ASKED, _OUTPUT = "fetch.in", "pylock.fetched.toml"


def fetch_sha256(name: str, file: PackageWheel | PackageSdist, python: str, uv: Uv, folder: Path) -> tuple[str, str]:
    """(the file's SHA-256, "") or ("", why there is none). `folder` is where uv runs."""
    if uv.progress:
        uv.progress(f"Hashing {file.filename}")
    (folder / _ASKED).write_text(f"{name} @ {file.url}\n")
    (folder / _OUTPUT).unlink(missing_ok=True)
    arguments = ["pip", "compile", _ASKED, "--format", "pylock.toml", "-o", _OUTPUT, "--universal", "--no-deps"]
    arguments += ["--generate-hashes", "--python-version", python, "--no-header", "--no-sources"]
    try:
        answer = uv.run(arguments, folder)
    except ReprolockError as error:
        return "", error.message
    if answer.complaint:
        return "", answer.complaint.innermost
    [found] = Pylock.from_dict(tomllib.loads((folder / _OUTPUT).read_text(encoding="utf-8"))).packages
    digest = found.archive.hashes.get("sha256", "") if found.archive else ""
    return digest, "" if digest else "uv gives no SHA-256 of it either"
