"""`impact`: which runs and registered models read an address."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

import reprolock
from reprolock.cli.options import Settings, add_shared_options, tracking_option
from reprolock.model.words import counted, plain, short

if TYPE_CHECKING:
    from reprolock.steps.inspecting.impact import Reader


@click.command()
@click.argument("uri")
@click.option("--lake", metavar="ENDPOINT", help="Lake endpoint to use instead of the one in repro.toml.")
@tracking_option
@add_shared_options
def impact(settings: Settings, uri: str, lake: str | None, tracking_uri: str | None) -> None:
    """Name every run, replay and registered model that read an address.

    URI is lakefs://REPO, lakefs://REPO/REF or lakefs://REPO/REF/PATH. A branch means every commit in it, OLD..NEW those
    in NEW and not in OLD; an object means its bytes, at whatever commit they were read.
    """
    from reprolock.steps.inspecting.impact import describe  # loaded when the command runs

    found = reprolock.impact(settings.root, uri, tracking_uri=tracking_uri, lake=lake)
    for remark in found.remarks:
        settings.warning(remark)
    settings.rows([row for reader in found.readers for row in _reader_rows(reader)])
    counts = [counted(count, noun) for noun, count in describe(found) if count]
    listed = " and ".join(filter(None, [", ".join(counts[:-1]), *counts[-1:]]))
    settings.line(
        f"{listed} read {uri} ({found.meaning})" if counts else f"No run in MLflow read {uri} ({found.meaning})"
    )
    settings.result(
        {
            "uri": uri,
            "meaning": found.meaning,
            "remarks": found.remarks,
            "runs": [
                {
                    **reader._asdict(),
                    "read": [
                        {"name": read.name, "place": str(read.place), "declared": read.declared} for read in reader.read
                    ],
                    "models": [{"name": model.name, "version": model.version} for model in reader.models],
                }
                for reader in found.readers
            ],
        }
    )


def _reader_rows(reader: Reader) -> list[list[str]]:
    kind = (
        f"replay of {reader.replay_of[:8]}"
        if reader.replay_of
        else "run"
        if reader.recorded
        else "run, not by reprolock"
    )
    models = ", ".join(f"model {model.name} version {model.version}" for model in reader.models)
    about = [plain(reader.experiment), f"{reader.started:%Y-%m-%d %H:%M}Z", reader.status, plain(models)]
    rows = [[reader.run_id[:8], plain(kind), plain(read.name), short(read.place.ref), *about] for read in reader.read]
    return rows[:1] + [["", "", *row[2:4]] for row in rows[1:]]
