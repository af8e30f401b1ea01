"""`completion`: the completion script of a shell."""

from __future__ import annotations

import click

from reprolock.cli.options import Settings, add_shared_options


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@add_shared_options
def completion(settings: Settings, shell: str) -> None:
    """Print the completion script of a shell: `eval "$(reprolock completion bash)"`."""
    from click.shell_completion import get_completion_class  # only where the script is asked for

    from reprolock.cli.main import reprolock as group

    found = get_completion_class(shell)
    assert found is not None  # the three choices above are click's own
    script = found(group, {}, "reprolock", "_REPROLOCK_COMPLETE").source()
    settings.document(script + "\n")
    settings.result({"shell": shell, "script": script})
