"""Find this user's cache of jars, environments and data, which all projects on this machine share."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

VARIABLE = "REPROLOCK_CACHE_DIR"


def cache_folder(environ: Mapping[str, str]) -> Path:
    """REPROLOCK_CACHE_DIR, else where the platform keeps a user's caches. Absolute; not made here."""
    named = environ.get(VARIABLE)
    if named:
        return Path(named).expanduser().absolute()
    from platformdirs import user_cache_path  # not needed where the variable says it

    return user_cache_path("reprolock", appauthor=False)
