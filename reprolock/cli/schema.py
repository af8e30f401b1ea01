"""`schema`: the JSON Schemas."""

from __future__ import annotations

from pathlib import Path

import click

import reprolock
from reprolock.cli.options import Settings, add_shared_options


@click.command()
@click.argument(
    "name", required=False, type=click.Choice(["repro.toml", "repro.lock", "record", "trust", "report", "commands"])
)
@click.option("--write", metavar="DIR", type=click.Path(path_type=Path), help="Write the schemas into a folder.")
@add_shared_options
def schema(settings: Settings, name: str | None, write: Path | None) -> None:
    """Print the JSON Schemas of repro.toml, repro.lock, record.json, trust.toml, and of what commands print with --json."""
    if write is not None:
        from reprolock.steps.maintenance.schema import write_schemas  # only with --write

        written = write_schemas(write)
        for path in written:
            settings.line(f"Wrote {path}")
        settings.result({"written": [str(path) for path in written]})
        return
    documents = reprolock.schema()
    document = documents[f"{name}.schema.json"] if name else documents
    settings._replace(json=True).result(document)
