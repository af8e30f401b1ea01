"""`Machine`: what a step may know of the machine it runs on, handed in and never looked up twice."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from reprolock.errors import MachineError
from reprolock.files.secrets import Scanner, keys_in
from reprolock.lake.lakefs.credentials import secrets_in_use


def _now() -> datetime:
    return datetime.now(UTC)


class Machine(NamedTuple):
    """Variables, home, cores, interpreter and clock. `now()` is UTC."""

    environ: Mapping[str, str]
    home: Path
    cores: int
    python: Path
    now: Callable[[], datetime] = _now

    @classmethod
    def here(cls) -> Machine:
        """This process's own. MachineError where it has no home: a user ID of a container's that no HOME goes with."""
        try:
            home = Path.home()
        except RuntimeError:
            raise MachineError(
                f"HOME is not set, and user {os.getuid()} has no home folder on this machine",
                hint="set HOME to a folder that this user may write to",
            ) from None
        return cls(dict(os.environ), home, os.cpu_count() or 1, Path(sys.executable))

    def scanner(self, pass_env: Iterable[str] = (), further: Mapping[str, str] = {}) -> Scanner:
        """Looks for every secret that is in use here: variables, lakectl's file, what `pass_env` lets through, and `further`
        ones by their names."""
        keys = {**further, **keys_in(self.environ, pass_env)}
        known = set(keys.values())
        found = sorted(secrets_in_use(self.environ, self.home) - known)
        return Scanner(keys | {f"a credential of lakectl ({index})": value for index, value in enumerate(found, 1)})
