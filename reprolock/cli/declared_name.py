"""NAME on the command line, of what repro.toml declares: completed by the shell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reprolock.cli.run_name import INERT, folder_of

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


class DeclaredName(click.ParamType[str]):
    """The name of a dataset, a param, an output; `table` is theirs in repro.toml, `ending` what is written behind it. The command
    looks it up.

    Without a `table`, it is that of the KIND that stands before it on the line.
    """

    name = "name"

    def __init__(self, table: str | None = None, *, ending: str = "") -> None:
        self.table, self.ending = table, ending

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        import tomllib  # only when a shell asks

        from click.shell_completion import CompletionItem

        from reprolock.files.containment import read_linked
        from reprolock.files.spec_file import NAME

        try:
            found = tomllib.loads(read_linked(folder_of(ctx) / NAME).decode())
        except (OSError, ValueError, RecursionError):  # no file, or one that the command itself complains of
            return []
        names = found.get(self.table or f"{ctx.params.get('kind')}s")
        return [
            CompletionItem(f"{name}{self.ending}")
            for name in (names if isinstance(names, dict) else ())
            if name.startswith(incomplete) and INERT.fullmatch(name)
        ]


DATASET = DeclaredName("datasets")
DATASET_REF = DeclaredName("datasets", ending="=")
PARAM_VALUE = DeclaredName("params", ending="=")
