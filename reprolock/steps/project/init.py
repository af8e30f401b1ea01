"""A starting repro.toml: from what is in the folder, and from data that is in a lake already."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from reprolock.errors import UsageError
from reprolock.files.atomic_write import OWN_FOLDER, write_whole
from reprolock.files.containment import check_inside
from reprolock.files.spec_file import NAME, parse_spec
from reprolock.lake.open import open_lake
from reprolock.model.uri import LakeURI
from reprolock.steps.project.locate import lake_endpoint
from reprolock.steps.project.look_at_data import guess_format, look_at, name_for
from reprolock.steps.project.look_at_folder import FoundFolder, look_at_folder, output_names
from reprolock.steps.project.machine import Machine

SCHEMAS = "schemas"
"""The folder in `.reprolock` of the schema that the first line of repro.toml names to editors."""
_MOST_LOOKED_AT = 10_000


class InitResult(NamedTuple):
    """What was written; the dataset's fields are None where none was found. `options`: as TOML writes them. `sources` are files of
    the folder that something was taken from, `remarks` what was left out."""

    path: Path
    dataset: str | None = None
    format: str | None = None
    objects: int | None = None
    bytes: int | None = None
    options: str | None = None
    sources: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


def init(root: Path, uri: str | None = None, *, lake: str | None = None, machine: Machine | None = None) -> InitResult:
    """Write repro.toml. UsageError when there is one, or when nothing is at the address.

    What the folder holds is read and not executed. `lake` is an endpoint. Left out: the lake in the folder `lake` if there is one,
    else lakectl's own; it is asked only where an address is given.
    """
    machine = machine or Machine.here()
    root = root.resolve()
    path = root / NAME
    check_inside(root, NAME)
    if path.exists():
        raise UsageError(
            f"{NAME} is already there",
            hint="`reprolock add dataset NAME lakefs://…` adds to it; or remove it and run `reprolock init` again",
        )
    lake = lake_endpoint(root, lake, machine)
    folder = look_at_folder(root)
    data, address = InitResult(path), uri
    if uri is not None:
        data = _in_lake(root, uri, lake, machine)
    elif folder.checkout is not None:
        address, data = folder.checkout[0], _in_checkout(*folder.checkout, path)
    text = _text(root, lake, data, address, folder)
    try:
        parse_spec(text)
    except UsageError as error:  # what another tool takes and repro.toml does not
        told = "; ".join([error.message, *error.problems])
        folder = FoundFolder(remarks=(f"what was found in the folder is left out: {told}",))
        text = _text(root, lake, data if uri else InitResult(path), uri, folder)
        parse_spec(text)  # what is written is valid, or the writing is a bug
    machine.scanner().check(text, NAME)
    write_whole(path, text.encode())
    return data._replace(sources=folder.sources, remarks=folder.remarks)


def _in_lake(root: Path, uri: str, endpoint: str | None, machine: Machine) -> InitResult:
    try:
        place = LakeURI.parse(uri)
    except ValueError as error:
        raise UsageError(str(error)) from None
    opened = open_lake(endpoint, root, machine.environ, machine.home)
    try:
        found = look_at(opened, place)
    finally:
        opened.close()
    return InitResult(root / NAME, found.name, found.format, found.objects, found.bytes, _inline(found.options))


def _in_checkout(uri: str, folder: Path, path: Path) -> InitResult:
    """By the files that `lakectl local` has put into the folder."""
    try:
        place = LakeURI.parse(uri)
    except ValueError:
        return InitResult(path)
    kind, options = guess_format(islice(_files(folder), _MOST_LOOKED_AT))
    return InitResult(path, name_for(place), kind, options=_inline(options))


def _files(folder: Path) -> Iterator[str]:
    for here, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            yield (Path(here) / name).relative_to(folder).as_posix()


def _text(root: Path, endpoint: str | None, data: InitResult, uri: str | None, found: FoundFolder) -> str:
    tables = [
        f"[project]\nname = {_toml(root.name or 'project')}\n",
        f"[lake]\nendpoint = {_toml(endpoint)}\n" if endpoint else "",
        _dataset(data, uri) if data.dataset and uri else "" if found.sources else _DATASET_EXAMPLE,
        "".join(["[params]\n", *(f"{name} = {_toml(value)}\n" for name, value in found.params.items())]),
        "".join(["[environment]\n", *(f"{key} = {_toml(value)}\n" for key, value in found.environment.items())])
        if found.environment
        else "",
        f"[spark]\n{_PACKAGES.get(data.format or '', '')}" if found.spark else "",
        _run(found),
        *_outputs(found.outputs),
    ]
    return f"#:schema ./{OWN_FOLDER}/{SCHEMAS}/repro.toml.schema.json\n" + "\n".join(filter(None, tables))


def _dataset(data: InitResult, uri: str) -> str:
    options = f"options = {data.options}\n" if data.options else ""
    return f'[datasets.{data.dataset}]\nuri = {_toml(uri)}\nformat = "{data.format}"\n{options}'


def _run(found: FoundFolder) -> str:
    command = found.command or ("python", "train.py")
    return f"[run]\ncommand = [{', '.join(map(_toml, command))}]\n# seed = 7\n"


def _outputs(outputs: Mapping[str, str]) -> Iterator[str]:
    """One table each."""
    for path, name in output_names(outputs).items():
        yield f'[outputs.{name}]\npath = {_toml(path)}\ncompare = "{outputs[path]}"\n'


def _toml(value: Any) -> str:
    import tomlkit  # only where a file is written

    written: str = tomlkit.item(value).as_string()
    return written


def _inline(options: Mapping[str, Any]) -> str | None:
    pairs = ", ".join(f"{name} = {_toml(value)}" for name, value in options.items())
    return f"{{ {pairs} }}" if pairs else None


_PACKAGES = {"delta": 'packages = ["io.delta:delta-spark_4.2_2.13:4.4.0"]\n'}

_DATASET_EXAMPLE = """\
# [datasets.train]
# uri = "lakefs://example-repo/main/training_dataset/"
# format = "csv"
# options = { header = true }
"""
