"""`diff`, `impact` and `export`: what an auditor asks of locks and records."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

import reprolock
from reprolock.cli.options import Settings, shared
from reprolock.model.words import counted, plain, short

if TYPE_CHECKING:
    from reprolock.steps.inspecting.impact import Reader
    from reprolock.steps.inspecting.standards import Format


@click.command()
@click.argument("left", metavar="A")
@click.argument("right", metavar="B")
@click.option("--objects", "all_objects", is_flag=True, help="Name every object that changed, not the first few.")
@click.option(
    "--format",
    "style",
    type=click.Choice(["text", "markdown"]),
    default="text",
    show_default=True,
    help="How it is written.",
)
@click.option("--exit-code", is_flag=True, help="Exit 1 where A and B differ, as git does.")
@click.option("--lake", metavar="ENDPOINT", help="Where the data is, in the place of the declared endpoint.")
@click.option("--tracking-uri", metavar="URI", help="Where MLflow is.")
@shared
def diff(
    settings: Settings,
    left: str,
    right: str,
    all_objects: bool,
    style: str,
    exit_code: bool,
    lake: str | None,
    tracking_uri: str | None,
) -> None:
    """Compare two locks, two git revisions of repro.lock, or two runs.

    A and B are lock files, revisions ("HEAD~1", or "HEAD~1:sub/repro.lock"), or runs: IDs, the beginnings of IDs, or
    folders with their artifacts. Exit 0 also where they differ, unless --exit-code is given.
    """
    from reprolock.cli.difference import markdown_lines, text_lines  # loaded when the command runs

    found = reprolock.diff(settings.root, left, right, tracking_uri=tracking_uri, lake=lake, all_objects=all_objects)
    for line in (text_lines if style == "text" else markdown_lines)(found):
        settings.line(line)
    settings.result(
        {**found.model_dump(mode="json"), "same": found.same, "things": found.things, "sentence": found.sentence}
    )
    if exit_code and not found.same:
        sys.stdout.flush()
        raise click.exceptions.Exit(1)


@click.command()
@click.argument("uri")
@click.option("--lake", metavar="ENDPOINT", help="Where the data is, in the place of repro.toml's endpoint.")
@click.option("--tracking-uri", metavar="URI", help="Where MLflow is, instead of repro.toml's.")
@shared
def impact(settings: Settings, uri: str, lake: str | None, tracking_uri: str | None) -> None:
    """Name every run, replay and registered model that read an address.

    URI is lakefs://REPO, lakefs://REPO/REF or lakefs://REPO/REF/PATH. A branch means every commit in it, OLD..NEW those
    in NEW and not in OLD; an object means its bytes, at whatever commit they were read.
    """
    from reprolock.steps.inspecting.impact import described  # loaded when the command runs

    found = reprolock.impact(settings.root, uri, tracking_uri=tracking_uri, lake=lake)
    for remark in found.remarks:
        settings.warning(remark)
    settings.rows([row for reader in found.readers for row in _reader_rows(reader)])
    counts = [counted(count, noun) for noun, count in described(found) if count]
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


@click.command()
@click.argument("run")
@click.option(
    "--format", "standard", type=click.Choice(["openlineage", "prov", "ro-crate"]), required=True, help="The standard."
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="A file, or the new folder of an RO-Crate; else stdout.",
)
@click.option("--tracking-uri", metavar="URI", help="Where MLflow is, instead of repro.toml's.")
@shared
def export(settings: Settings, run: str, standard: Format, output: Path | None, tracking_uri: str | None) -> None:
    """Write a recorded run as OpenLineage events, a W3C PROV document, or an RO-Crate.

    RUN is a run's ID, the beginning of one, or a folder with its artifacts.
    """
    text = reprolock.export(settings.root, run, standard, output, tracking_uri=tracking_uri)
    if text is not None and not settings.json:
        click.echo(text, nl=False)
    if output is not None:
        settings.remark(f"Wrote {output}")
    settings.result({"format": standard, "output": output, "document": text})
