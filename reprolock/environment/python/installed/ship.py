"""A locked environment as one archive for a cluster's executors, as Spark ships archives (`spark.archives`).

    bin/python         a shell script that starts Python with these packages
    site-packages/     what is installed, without pyspark's jars: executors have Spark already

An environment itself is no use on another machine: its programs name folders of this one. The script takes this
machine's interpreter where an executor has it too, else the `pythonX.Y` on PATH: the probe says which it was.
"""

from __future__ import annotations

import gzip
import os
import secrets
import tarfile
from io import BytesIO
from pathlib import Path

from reprolock.environment.python.installed.env_store import Environment
from reprolock.files.os_errors import cannot_write

FOLDER = "archives"
_FORM = 2
"""Raised with what is beside the packages: an archive that is there already is used as it is."""
_LEFT_OUT = ("pyspark/jars", "pyspark/examples", "pyspark/data")
_LAUNCHER = """#!/bin/sh
# Starts Python with the packages beside this script. Made by reprolock.
here=$(cd "$(dirname "$0")/.." && pwd) || exit 127
python={base}
[ -x "$python" ] || python=$(PATH="$PATH:/usr/local/bin:/usr/bin:/bin" command -v python{feature}) || {{
  echo "no Python {feature} on this machine" >&2; exit 127; }}
[ -f ./reprolock-variables ] && . ./reprolock-variables  # of a session on a Connect server, whose executors have none
PYTHONPATH="$here/site-packages${{PYTHONPATH:+:$PYTHONPATH}}" exec "$python" -s "$@"
"""


def packed_environment(environment: Environment, store: Path) -> Path:
    """The archive, made in the cache folder `store` where it is not there yet, named by the environment's digest."""
    target = store / FOLDER / f"{environment.digest}-{_FORM}.tar.gz"
    if target.exists():
        return target
    temporary = target.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with (
            temporary.open("wb") as file,
            gzip.GzipFile(fileobj=file, mode="wb", compresslevel=1, mtime=0) as packed,
            tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as archive,
        ):
            _add_launcher(archive, environment)
            _add_packages(archive, environment.packages)
        os.replace(temporary, target)
    except OSError as error:
        raise cannot_write(target, error) from error
    finally:
        temporary.unlink(missing_ok=True)
    return target


def _add_launcher(archive: tarfile.TarFile, environment: Environment) -> None:
    base = environment.python.resolve()
    feature = ".".join(environment.manifest.python.split(".")[:2])
    text = _LAUNCHER.format(base=_quoted(str(base)), feature=feature).encode()
    entry = tarfile.TarInfo("bin/python")
    entry.size, entry.mode = len(text), 0o755
    archive.addfile(entry, BytesIO(text))


def _add_packages(archive: tarfile.TarFile, packages: Path) -> None:
    for here, folders, names in os.walk(packages):
        place = Path(here).relative_to(packages).as_posix()
        folders[:] = sorted(
            name for name in folders if name != "__pycache__" and f"{place}/{name}".removeprefix("./") not in _LEFT_OUT
        )
        for name in sorted(names):
            file = Path(here, name)
            entry = archive.gettarinfo(str(file), f"site-packages/{place}/{name}".replace("/./", "/"))
            entry.uid = entry.gid = 0
            entry.uname = entry.gname = ""
            entry.mtime = 0
            with file.open("rb") as data:
                archive.addfile(entry, data if entry.isreg() else None)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
