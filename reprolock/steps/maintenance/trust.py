"""`trust`: confirm an address for the user's credentials, take it back, or list what is confirmed."""

from __future__ import annotations

from reprolock.files import trusted
from reprolock.steps.project.machine import Machine


def trust(url: str | None = None, *, remove: bool = False, machine: Machine | None = None) -> tuple[str, ...]:
    """The trusted addresses after `url` was added, or taken away; without one, as they are. UsageError for no address."""
    environ = (machine or Machine.here()).environ
    if url is not None:
        (trusted.distrust if remove else trusted.trust)(url, environ)
    return trusted.trusted(environ)
