"""Load the library of a standard when it is needed: these libraries are a part of their own (`reprolock[export]`)."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import Literal

from reprolock.parts import needed

Format = Literal["openlineage", "prov", "ro-crate"]
_MODULES = {"openlineage": "openlineage", "prov": "prov", "ro-crate": "ro_crate"}


def standard(format: Format, asked: str) -> ModuleType:
    """`reprolock.standards` of that format. MachineError, which names what `asked` for it, where its library is not installed."""
    with needed("export", asked):
        return import_module(f"reprolock.standards.{_MODULES[format]}")
