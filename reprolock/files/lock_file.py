"""Read repro.lock into a `Lock`, and write a `Lock` as the same bytes every time.

Sorted, no clock, no host name, no service's address. Written whole or not at all, and read back and
compared before it takes the old one's place.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from reprolock.errors import LockError
from reprolock.files.atomic_write import write_whole
from reprolock.files.conflict import has_markers
from reprolock.files.containment import check_inside, read_linked
from reprolock.files.secrets import Scanner
from reprolock.model.lock import VERSION, Lock
from reprolock.model.value import Value, first_problem

NAME = "repro.lock"
FLAT = {"environment": ("package", "build"), "jars": ("jar",)}
"""[[package]], [[build]] and [[jar]] stand at the top of the file, where git merges them well; the model nests them."""
_HEADER = "This file is written by reprolock; commit it, and do not edit it by hand."
_RESTORE = f"restore it with `git checkout {NAME}`, or remove it and run `reprolock lock` to pin everything again"


def read_lock(root: Path) -> Lock | None:
    """The project's lock, None when there is none. LockError for one that cannot be taken."""
    data = read_bytes(root)
    return None if data is None else parse_lock(data)


def read_bytes(root: Path) -> bytes | None:
    """The bytes of the project's lock, None when there is none. LockError where they cannot be read."""
    try:
        return read_linked(root / NAME)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise LockError(f"{NAME} cannot be read: {error.strerror}", hint="check the file's permissions") from None


def parse_lock(data: bytes, name: str = NAME) -> Lock:
    """The lock that `data` holds. LockError names what is wrong: conflict markers, a newer version, a broken pin.

    `name` is what its errors call it: the project's own lock can be restored, any other was only given to be read.
    """
    restore = _RESTORE if name == NAME else f"name a lock file as reprolock wrote it in place of {name}"
    if has_markers(data):
        merge = "run `reprolock lock`, which merges both sides, and commit the result"
        raise LockError(f"{name} has git's conflict markers", hint=merge if name == NAME else restore)
    try:
        tables = tomllib.loads(data.decode())
    except ValueError as error:  # what is no UTF-8 or no TOML, and a number of thousands of digits
        raise LockError(f"{name} is not valid TOML: {str(error)[:1].lower()}{str(error)[1:]}", hint=restore) from None
    except RecursionError:
        raise LockError(f"{name} is nested too deeply to be a lock", hint=restore) from None
    version = tables.get("version")
    if version is None:
        raise LockError(f"{name} has no version, which every lock must have", hint=restore)
    if isinstance(version, int) and version > VERSION:
        raise LockError(
            f"{name} has version {version}, and this reprolock reads up to version {VERSION}",
            hint="use the reprolock that wrote it, or a newer one",
        )
    try:
        return Lock.model_validate(_nest(tables))
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise LockError(
            f"{name} was edited: {where or 'the file'}: {first_problem(error).lower()}",
            hint=restore,
        ) from None


def lock_bytes(lock: Lock) -> bytes:
    """The file's bytes: a pure function of the lock."""
    import tomlkit  # only where a lock is written; reading one needs the standard library alone

    document = tomlkit.document()
    document.add(tomlkit.comment(_HEADER))
    document.add("version", tomlkit.item(lock.version))
    _tables(document, "dataset", sorted(lock.dataset, key=lambda pin: pin.name))
    for owner, names in FLAT.items():
        closure = getattr(lock, owner)
        if closure is not None:
            document.add(tomlkit.nl())
            document.add(owner, _table(closure, without=set(names)))
            for name in names:
                _tables(document, name, getattr(closure, name, ()))
    return tomlkit.dumps(document).encode()


def write_lock(root: Path, lock: Lock, scanner: Scanner) -> None:
    """Write repro.lock whole. What would be read back is compared first; secrets in use are looked for."""
    data = lock_bytes(lock)
    if parse_lock(data) != lock:
        raise LockError(f"{NAME} would not read back as it was written", hint="report this; the old lock is unchanged")
    scanner.check(data, NAME)
    check_inside(root, NAME)
    write_whole(root / NAME, data)


def _nest(tables: dict[str, Any]) -> dict[str, Any]:
    nested = dict(tables)
    for owner, names in FLAT.items():
        inner = {name: nested.pop(name) for name in names if name in nested}
        if inner:
            nested[owner] = {**nested.get(owner, {}), **inner}
    return nested


def _tables(document: Any, name: str, values: Any) -> None:
    import tomlkit

    if not values:
        return
    array = tomlkit.aot()
    for value in values:
        array.append(_table(value))
    document.add(tomlkit.nl())
    document.add(name, array)


def _table(value: Value, without: set[str] = frozenset()) -> Any:  # type: ignore[assignment]
    import tomlkit

    table = tomlkit.table()
    fields = value.model_dump(exclude_none=True, exclude=without)
    if "seal" in fields:
        fields["seal"] = fields.pop("seal")  # last, as one signs
    for name, item in fields.items():
        if isinstance(item, (tuple, list)):
            item = tomlkit.array()
            for part in getattr(value, name):
                item.append(part)
            item.multiline(len(item) > 1)
        table.add(name, item)
    return table
