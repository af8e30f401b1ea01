"""`--openlineage`: send a recorded run, and what Spark did in it, to a catalogue that speaks OpenLineage."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from reprolock.engine.spark_listener import EVENTS
from reprolock.errors import UsageError
from reprolock.model.record import Record
from reprolock.model.secrecy import has_userinfo
from reprolock.steps.inspecting.standards import standard

Forward = Callable[[Record, Path], str | None]
"""Sends a record and the events in its folder; returns what went wrong, since the run itself has ended by then."""


def forwarding(url: str | None, environ: Mapping[str, str], *, offline: bool) -> Forward | None:
    """Look before the run starts; None where neither `url` nor OPENLINEAGE_* asks for it.

    UsageError for an address that is none, MachineError where OpenLineage's library is not installed.
    """
    asked = [
        name
        for name in environ
        if name in ("OPENLINEAGE_URL", "OPENLINEAGE_CONFIG") or name.startswith("OPENLINEAGE__TRANSPORT")
    ]
    if url is None and (offline or not asked):
        return None
    if url is not None:
        _check(url, offline=offline)
    openlineage = standard("openlineage", "--openlineage" if url else asked[0])

    def forward(record: Record, folder: Path) -> str | None:
        seen = folder / EVENTS
        try:
            openlineage.send(
                record, seen.read_text("utf-8").splitlines() if seen.is_file() else [], openlineage.sender(url)
            )
        except Exception as error:  # each transport has errors of its own, and the run is recorded already
            reason, *_ = str(error).splitlines() or [type(error).__name__]
            return f"the events of the run were not sent to OpenLineage: {reason}"
        return None

    return forward


def _check(url: str, *, offline: bool) -> None:
    if offline:
        raise UsageError("--openlineage needs a service, and --offline asks none", hint="use one of them")
    if has_userinfo(url):
        raise UsageError(
            "--openlineage: an address must not contain a user name or password",
            hint="put the key into OPENLINEAGE_API_KEY",
        )
    if urlsplit(url).scheme not in ("http", "https"):
        raise UsageError(f'--openlineage "{url}" is not an address', hint='write "https://HOST[:PORT]"')
