"""Read and write what a stack keeps in `.reprolock/stack/`: its credentials, and each server's last address.

In: the folder. Out: `Keys`, made once and kept as long as the data are, and one `Seen` a server. The folder is
its owner's alone (0700), and so is each file in it (0600).
"""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple

from reprolock.errors import MachineError
from reprolock.files.atomic_write import OWN_FOLDER, own_folder, write_whole
from reprolock.files.os_errors import cannot_read, cannot_write
from reprolock.files.secrets import Scanner

FOLDER = "stack"
KEYS = "keys.json"
SEEN = "servers.json"
LOG = "log"
"""What a server has printed since its start; in its own folder, as its data."""
OLD_LOG = "log.old"
"""The log of the start before."""


@dataclass(frozen=True)
class Keys:
    """All secrets of one stack. lakeFS encrypts with two of them, so none may change while the data are kept."""

    store_user: str = field(repr=False)
    store_password: str = field(repr=False)
    lakefs_key_id: str = field(repr=False)
    lakefs_secret: str = field(repr=False)
    lakefs_encryption: str = field(repr=False)
    lakefs_signing: str = field(repr=False)

    def scanner(self) -> Scanner:
        """Finds each of them in what the servers print."""
        return Scanner(asdict(self))


class Seen(NamedTuple):
    """A server's port, and its process: ID and start (seconds, psutil's time), None where it was ended."""

    port: int
    pid: int | None = None
    started: float | None = None


def stack_folder(root: Path) -> Path:
    """Where a project's stack is; not made here."""
    return root / OWN_FOLDER / FOLDER


def make_folder(root: Path, *parts: str) -> Path:
    """A folder of the stack's, with all above it; MachineError where it cannot be made."""
    folder = own_folder(root) / FOLDER
    path = folder.joinpath(*parts)
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(path, error) from error
    return path


def read_keys(folder: Path) -> Keys | None:
    """The secrets of a stack that was started before; None where there is none. MachineError where they are lost."""
    path = folder / KEYS
    lost = "`reprolock stack down --purge` removes the stack with its data, `reprolock stack up` makes a new one"
    try:
        keys = Keys(**json.loads(path.read_bytes()))
    except FileNotFoundError:
        if (folder / "lakefs" / "metadata").exists():
            raise MachineError(f"{path} is gone, and the stack's data cannot be read without it", hint=lost) from None
        return None
    except OSError as error:
        raise cannot_read(path, error) from error
    except (ValueError, TypeError):
        raise MachineError(f"{path} is damaged", hint=lost) from None  # the cause would quote the file
    if not all(isinstance(key, str) and key for key in asdict(keys).values()):
        raise MachineError(f"{path} is damaged", hint=lost)
    return keys


def make_keys(root: Path) -> Keys:
    """New random secrets, written before anything uses them."""
    keys = Keys(
        store_user=secrets.token_hex(10),
        store_password=secrets.token_hex(20),
        lakefs_key_id=f"AKIAJ{secrets.token_hex(7).upper()}Q",  # as lakeFS writes its own
        lakefs_secret=secrets.token_hex(20),
        lakefs_encryption=secrets.token_hex(20),
        lakefs_signing=secrets.token_hex(20),
    )
    write_whole(make_folder(root) / KEYS, json.dumps(asdict(keys), indent=2).encode() + b"\n", 0o600)
    return keys


def read_seen(folder: Path) -> dict[str, Seen]:
    """The servers by name. A file that is damaged tells nothing: what still runs is found by its marker then."""
    try:
        return {name: Seen(**entry) for name, entry in json.loads((folder / SEEN).read_bytes()).items()}
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise cannot_read(folder / SEEN, error) from error
    except (ValueError, TypeError, AttributeError):
        return {}


def write_seen(folder: Path, seen: Mapping[str, Seen]) -> None:
    """Note where the servers are, whole or not at all."""
    document = {name: entry._asdict() for name, entry in seen.items()}
    write_whole(folder / SEEN, json.dumps(document, indent=2).encode() + b"\n", 0o600)


def clear(folder: Path) -> None:
    """Remove the secrets and all data of a stack, and leave its logs. MachineError where that cannot be."""
    paths = [path for path in folder.glob("*") if path.is_file()]
    paths += [path for path in folder.glob("*/*") if path.name not in (LOG, OLD_LOG)]
    for path in paths:
        try:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        except OSError as error:
            raise cannot_write(path, error) from error
