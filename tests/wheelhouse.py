"""Small packages, written into a folder that uv reads instead of an index, by a uv.toml of its user's own."""

from __future__ import annotations

import inspect
import io
import os
import sys
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

PYTHON = f"3.{sys.version_info.minor}"
"""The feature version of this interpreter."""
BACKEND = """\
import os, time

{packed}

def get_requires_for_build_wheel(config_settings=None):
    return {asks!r}


def build_wheel(directory, config_settings=None, metadata_directory=None):
    while os.path.exists({pause!r}):
        time.sleep(0.05)
    {body}
    name = "{name}-{version}-py3-none-any.whl"
    packed(os.path.join(directory, name), "{name}", "{version}", "py3-none-any", (), "made_with = 'a build'")
    return name
"""


def packed(path, name, version, tag, needs, text, more=None, record="sha256", python=None):
    """Write a wheel with one module and the files in `more`; `record` is the hash in RECORD, "padded" or "wrong"."""
    import base64
    import hashlib
    import zipfile

    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": text,
        f"{info}/METADATA": "\n".join(
            [
                "Metadata-Version: 2.1",
                f"Name: {name}",
                f"Version: {version}",
                *(f"Requires-Dist: {need}" for need in needs),
                *([f"Requires-Python: {python}"] if python else []),
                "",
            ]
        ),
        **(more or {}),
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n",
    }
    lines = []
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in files.items():
            archive.writestr(member, content)
            algorithm = record if record.startswith("sha") else "sha256"
            content += "else" if record == "wrong" else ""
            digest = base64.urlsafe_b64encode(hashlib.new(algorithm, content.encode()).digest()).decode()
            digest = digest if record == "padded" else digest.rstrip("=")
            lines.append(f"{member},{algorithm}={digest},{len(content)}")
        archive.writestr(f"{info}/RECORD", "\n".join([*lines, f"{info}/RECORD,,", ""]))


def wheel(
    house: Path,
    name: str,
    version: str = "1.0",
    *,
    tag: str = "py3-none-any",
    needs: Sequence[str] = (),
    text: str = "x = 1\n",
    more: Mapping[str, str] | None = None,
    record: str = "sha256",
    python: str | None = None,
) -> Path:
    """A wheel in the folder; `more` are further files, `record` the hash in its RECORD ("padded", "wrong")."""
    path = house / f"{name}-{version}-{tag}.whl"
    packed(path, name, version, tag, needs, text, more, record, python)
    return path


def sdist(
    house: Path,
    name: str,
    version: str = "1.0",
    *,
    requires: Sequence[str] = (),
    asks: Sequence[str] = (),
    body: str = "pass",
    pause: Path = Path("/nowhere"),
) -> Path:
    """A source distribution with a build backend in its tree, which asks for `asks`, waits for `pause` to go and runs `body`."""
    backend = BACKEND.format(
        name=name, version=version, asks=list(asks), body=body, pause=str(pause), packed=inspect.getsource(packed)
    )
    listed = ", ".join(f'"{item}"' for item in requires)
    files = {
        "pyproject.toml": f'[build-system]\nrequires = [{listed}]\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        f'[project]\nname = "{name}"\nversion = "{version}"\n',
        "backend.py": backend,
        "PKG-INFO": f"Metadata-Version: 2.2\nName: {name}\nVersion: {version}\n",
    }
    path = house / f"{name}-{version}.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for member, text in files.items():
            info = tarfile.TarInfo(f"{name}-{version}/{member}")
            info.size = len(text.encode())
            archive.addfile(info, io.BytesIO(text.encode()))
    return path


def environ(tmp_path: Path, house: Path | None = None, **more: str) -> dict[str, str]:
    """The caller's variables, without pip's and uv's, with a cache folder of the test's own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("UV_", "PIP_"))}
    kept |= {"REPROLOCK_CACHE_DIR": str(tmp_path / "cache"), "UV_HTTP_RETRIES": "0"}
    if house is not None:
        settings = tmp_path / "config" / "uv" / "uv.toml"
        settings.parent.mkdir(parents=True, exist_ok=True)
        settings.write_text(f'no-index = true\nfind-links = ["{house}"]\n')
        kept |= {"XDG_CONFIG_HOME": str(settings.parents[1])}
    return kept | more


@pytest.fixture
def house(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of packages in the place of the index, and caches of reprolock's and uv's that are the test's own."""
    folder = tmp_path_factory.mktemp("index")
    (folder / "house").mkdir()
    # uv links files out of its cache: what one test edits must not stand in another's environments.
    given = environ(folder, folder / "house", UV_CACHE_DIR=str(folder / "uv"))
    for name in set(os.environ) - set(given):
        monkeypatch.delenv(name)
    for name in set(given) - set(os.environ) | {"REPROLOCK_CACHE_DIR"}:
        monkeypatch.setenv(name, given[name])
    return folder / "house"
