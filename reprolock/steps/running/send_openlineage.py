"""`--openlineage`: send a recorded run, and what Spark did in it, to a catalogue that speaks OpenLineage."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from reprolock.engine.spark_listener import EVENTS
from reprolock.errors import UsageError
from reprolock.files.trusted import origin, trusted
from reprolock.model.record import Record
from reprolock.model.secrecy import has_userinfo, without_userinfo
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
        _check(url, environ, offline=offline)
    elif "OPENLINEAGE_CONFIG" not in environ and Path("openlineage.yml").is_file():
        raise UsageError(
            "the openlineage.yml of this folder would decide where OpenLineage's events and credentials go",
            hint="name the file in OPENLINEAGE_CONFIG if you trust it, or run from another folder with -C",
        )
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


def _check(url: str, environ: Mapping[str, str], *, offline: bool) -> None:
    if offline:
        raise UsageError("--openlineage needs a service, and --offline contacts none", hint="use one of them")
    if has_userinfo(url):
        raise UsageError(
            "--openlineage: an address must not contain a user name or password",
            hint="put the key into OPENLINEAGE_API_KEY",
        )
    here, named = origin(url), environ.get("OPENLINEAGE_URL", "")
    if here is None:
        raise UsageError(
            f'--openlineage "{without_userinfo(url)}" is not an address', hint='write "https://HOST[:PORT]"'
        )
    if environ.get("OPENLINEAGE_API_KEY") and named and here != origin(named) and here not in trusted(environ):
        raise UsageError(
            f"the key of OPENLINEAGE_API_KEY may not go to {here}: it belongs to OPENLINEAGE_URL",
            hint=f"if you trust it, run `reprolock trust {here}` once",
        )
