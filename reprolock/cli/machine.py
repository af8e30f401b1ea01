"""`doctor`, `schema` and `completion`."""

from __future__ import annotations

from pathlib import Path

import click

import reprolock
from reprolock.cli.options import Settings, shared
from reprolock.errors import MachineError


@click.command()
@shared
def doctor(settings: Settings) -> None:
    """Say what is missing on this machine, and how to get it."""
    findings = reprolock.doctor(settings.root)
    settings.rows(
        [
            ["ok" if finding.ok else "missing" if finding.needed else "-", finding.name, finding.found]
            for finding in findings
        ]
    )
    for finding in findings:
        if not finding.ok and finding.hint:
            settings.line(f"hint: {finding.name}: {finding.hint}")
    settings.result({"findings": [finding._asdict() for finding in findings]})
    wrong = [finding.name for finding in findings if finding.needed and not finding.ok]
    if wrong:
        raise MachineError(f"not ready: {', '.join(wrong)}", hint="the hints above say how to get what is missing")


@click.command()
@click.argument("name", required=False, type=click.Choice(["repro.toml", "repro.lock", "record"]))
@click.option("--write", metavar="DIR", type=click.Path(path_type=Path), help="Write the schemas into a folder.")
@shared
def schema(settings: Settings, name: str | None, write: Path | None) -> None:
    """Print the JSON Schemas of repro.toml, repro.lock and record.json."""
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


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@shared
def completion(settings: Settings, shell: str) -> None:
    """Print the completion script of a shell: `eval "$(reprolock completion bash)"`."""
    from click.shell_completion import get_completion_class  # only where the script is asked for

    from reprolock.cli.main import reprolock as group

    found = get_completion_class(shell)
    assert found is not None  # the three choices above are click's own
    script = found(group, {}, "reprolock", "_REPROLOCK_COMPLETE").source()
    settings.line(script)
    settings.result({"shell": shell, "script": script})
