"""Load the library of a standard when it is needed: these libraries are an extra (`reprolock[export]`)."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import Literal

from reprolock.errors import MachineError

Format = Literal["openlineage", "prov", "ro-crate"]
_MODULES = {"openlineage": "openlineage", "prov": "prov", "ro-crate": "ro_crate"}
_PACKAGES = ("openlineage-python", "prov", "rocrate")
"""What the extra `export` brings, by names that every index has."""


def standard(format: Format, asked: str) -> ModuleType:
    """`reprolock.standards` of that format. MachineError, which names what `asked` for it, where its library is not installed."""
    try:
        return import_module(f"reprolock.standards.{_MODULES[format]}")
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("reprolock"):
            raise
        raise MachineError(
            f"{asked} needs the Python package {error.name.partition('.')[0]}, which is not installed here",
            hint=f"install it beside reprolock: `uv pip install {' '.join(_PACKAGES)}`",
        ) from None
