"""RUN on the command line: completed by the shell from this folder's runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reprolock.model.words import plain

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

INERT = re.compile(r"[\w@#%][\w@#%+=:./~-]*")
"""What a shell may put into the line as it is: in a name that someone else gave, `$(…)` would be executed."""
_MOST = 50
"""How many runs, the newest, a shell is offered."""


class RunName(click.ParamType[str]):
    """A run by any of its names; it is looked up by the command. `files`: a file may be named instead."""

    name = "run"

    def __init__(self, *, files: bool = False) -> None:
        self.files = files

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem  # only when a shell asks

        from reprolock.steps.project.run_folders import local_heads

        items = []
        for number, head in enumerate(local_heads(folder_of(ctx))[:_MOST]):
            told = f"{head.run_id[:8]} {head.started:%Y-%m-%d %H:%M}Z"
            latest = "@latest" if number == 0 else f"@latest~{number}"
            for text in dict.fromkeys([head.run_name, *sorted(head.tags), head.run_id[:8], latest]):
                if text and text.startswith(incomplete) and INERT.fullmatch(text):
                    items.append(CompletionItem(text, help=f"{plain(head.run_name or '')} {told}".strip()))
        return items or [CompletionItem(incomplete, type="file" if self.files else "dir")]


RUN = RunName()
RUN_OR_FILE = RunName(files=True)


def folder_of(ctx: click.Context | None) -> Path:
    """Where the command would work: callbacks do not run while a shell asks."""
    while ctx is not None:
        if directory := ctx.params.get("directory"):
            return Path(directory)
        ctx = ctx.parent
    return Path()
