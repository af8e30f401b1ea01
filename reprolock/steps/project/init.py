"""A starting repro.toml, from nothing or from data that is in a lake already."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from reprolock.errors import UsageError
from reprolock.files.atomic_write import write_whole
from reprolock.files.containment import check_inside
from reprolock.files.spec_file import NAME, parse_spec
from reprolock.lake.open import open_lake
from reprolock.model.uri import LakeURI
from reprolock.steps.project.locate import lake_endpoint
from reprolock.steps.project.look_at_data import look_at
from reprolock.steps.project.machine import Machine


class InitResult(NamedTuple):
    """What was written; the dataset's fields are None without an address. `options`: as TOML writes them."""

    path: Path
    dataset: str | None = None
    format: str | None = None
    objects: int | None = None
    bytes: int | None = None
    options: str | None = None


def init(root: Path, uri: str | None = None, *, lake: str | None = None, machine: Machine | None = None) -> InitResult:
    """Write repro.toml. UsageError when there is one, or when nothing is at the address.

    `lake` is an endpoint. Left out: the lake in the folder `lake` if there is one, else lakectl's own.
    """
    machine = machine or Machine.here()
    root = root.resolve()
    path = root / NAME
    check_inside(root, NAME)
    if path.exists():
        raise UsageError(f"{NAME} is already there", hint="edit it, or remove it and run `reprolock init` again")
    lake = lake_endpoint(root, lake, machine)
    if uri is None:
        text = _project(root) + _lake(lake) + _DATASET_EXAMPLE + _RUN
        result = InitResult(path)
    else:
        try:
            place = LakeURI.parse(uri)
        except ValueError as error:
            raise UsageError(str(error)) from None
        opened = open_lake(lake, root, machine.environ, machine.home)
        try:
            found = look_at(opened, place)
        finally:
            opened.close()
        result = InitResult(path, found.name, found.format, found.objects, found.bytes, _inline(found.options))
        text = _project(root) + _lake(lake) + _dataset(result, uri) + _RUN
    parse_spec(text)  # what is written is valid, or the writing is a bug
    write_whole(path, text.encode())
    return result


def _quote(text: str) -> str:
    import tomlkit  # only where a file is written

    return tomlkit.item(text).as_string()


def _inline(options: Mapping[str, Any]) -> str | None:
    import tomlkit  # only where a file is written

    pairs = ", ".join(f"{name} = {tomlkit.item(value).as_string()}" for name, value in options.items())
    return f"{{ {pairs} }}" if pairs else None


def _project(root: Path) -> str:
    return f"[project]\nname = {_quote(root.name or 'project')}\n\n"


def _lake(endpoint: str | None) -> str:
    return f"[lake]\nendpoint = {_quote(endpoint)}\n\n" if endpoint else ""


def _dataset(found: InitResult, uri: str) -> str:
    options = f"options = {found.options}\n" if found.options else ""
    spark = "" if found.format in ("binary", "text") else "[spark]\n" + _PACKAGES.get(found.format or "", "") + "\n"
    return f'[datasets.{found.dataset}]\nuri = {_quote(uri)}\nformat = "{found.format}"\n{options}\n{spark}'


_PACKAGES = {"delta": 'packages = ["io.delta:delta-spark_4.2_2.13:4.4.0"]\n'}

_DATASET_EXAMPLE = """\
# [datasets.train]
# uri = "lakefs://example-repo/main/training_dataset/"
# format = "csv"
# options = { header = true }

"""

_RUN = """\
[params]

[run]
command = ["python", "train.py"]
"""
