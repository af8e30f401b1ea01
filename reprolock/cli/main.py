"""The `reprolock` command: its subcommands by name, and errors turned into sentences and exit codes."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import click

from reprolock import __version__
from reprolock.cli.options import Settings
from reprolock.errors import ReprolockError

COMMANDS = {
    "init": ("init", "Write a starting repro.toml."),
    "lock": ("lock", "Resolve what is not pinned yet, and write repro.lock."),
    "status": ("status", "Show which branches moved on, and what is stale in the lock."),
    "run": ("run", "Rebuild the inputs from the lock, run the command, record it."),
    "replay": ("replay", "Run a recorded run again from its record alone, and give a verdict."),
    "verify": ("verify", "Check that every pinned byte still exists."),
    "diff": ("diff", "Compare two locks, two git revisions of a lock, or two runs."),
    "impact": ("impact", "List the runs and registered models that read an address."),
    "same-data": ("same_data", "Say whether runs used the same data."),
    "export": ("export", "Write a recorded run as OpenLineage, PROV or RO-Crate."),
    "show": ("show", "Show the lock, or a recorded run."),
    "sync": ("sync", "Send records that could not reach MLflow."),
    "env": ("env", "Show the locked environment; export or prune it."),
    "cache": ("cache", "Show and trim the cache."),
    "data": ("data", "Work with the lake by hand."),
    "stack": ("stack", "Run a local lakeFS on MinIO, and an MLflow server."),
    "git-driver": ("git_driver", "Let git merge repro.lock, and show its changes, pin by pin."),
    "doctor": ("doctor", "Check what is missing on this machine, and how to get it."),
    "schema": ("schema", "Print the JSON Schemas of repro.toml, repro.lock and record.json."),
    "completion": ("completion", "Print the completion script of a shell."),
    "materialise": ("materialise", ""),
}
"""Name → (module in reprolock.cli, summary). Listed here so that help and completion load no command; without a summary it is hidden."""
_OWNERS = {"lock", "status", "run", "verify", "env"}
"""Commands for a project's owner; the others are for auditors too, who cannot change a lock."""


class Commands(click.Group):
    """The group of COMMANDS; a command's module is imported when the command is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for name, (_, text) in COMMANDS.items() if text]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module = import_module(f"reprolock.cli.{COMMANDS[name][0]}")
        command: click.Command = getattr(module, name.replace("-", "_"))
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ReprolockError as error:
            if ctx.invoked_subcommand in _OWNERS:
                error.hint = error.hints
            raise

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError:
            from difflib import get_close_matches  # only for a name that is wrong

            near = get_close_matches(args[0], COMMANDS, n=1)
            known = f"did you mean `reprolock {near[0]}`?" if near else "`reprolock --help` lists the commands"
            raise click.UsageError(f'there is no command "{args[0]}"; {known}') from None

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[click.shell_completion.CompletionItem]:
        from click.shell_completion import CompletionItem  # only when a shell asks

        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        return [
            CompletionItem(name, help=text)
            for name, (_, text) in COMMANDS.items()
            if text and name.startswith(incomplete)
        ]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items() if text])


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="reprolock", message="%(prog)s %(version)s")
@click.option("-C", "directory", metavar="DIR", default=".", help="Work in this folder.")
@click.pass_context
def reprolock(ctx: click.Context, directory: str) -> None:
    """A lockfile for machine-learning runs.

    repro.toml declares datasets, parameters and environment; `lock` pins them in repro.lock; `run`
    rebuilds exactly those inputs and records the run in MLflow.
    """
    ctx.obj = Settings(directory=directory)


def run_command_line(arguments: Sequence[str]) -> int:
    """Run one command; print its error, if any; give the exit code."""
    try:
        answer = reprolock.main(args=list(arguments), prog_name="reprolock", standalone_mode=False)
        sys.stdout.flush()
        return answer if isinstance(answer, int) else 0  # click hands back the code of an Exit
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        _complain(_lower(error.format_message()), _usage_hint(error))
        return 2
    except (KeyboardInterrupt, click.Abort):
        _complain("interrupted", None)
        return 130
    except ReprolockError as error:
        _complain(str(error), error.hint)
        return error.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter complains at its end
        return 141
    except Exception as error:
        if os.environ.get("REPROLOCK_TRACEBACK"):
            import traceback  # only for a bug

            traceback.print_exc()
        _complain(
            f"reprolock has a bug: {type(error).__name__}: {_redact(str(error))}",
            "report it with what REPROLOCK_TRACEBACK=1 prints",
        )
        return 70


def _complain(message: str, hint: str | None) -> None:
    first, *problems = message.split("\n")
    click.echo(click.style("error:", fg="red", bold=True) + f" {first}", err=True)
    for problem in problems:
        click.echo(f"  {problem}", err=True)
    if hint:
        click.echo(click.style("hint:", fg="cyan") + f" {hint}", err=True)


def _redact(text: str) -> str:
    from reprolock.model.secrecy import redacted  # only for a bug

    return redacted(text)


def _lower(message: str) -> str:
    return (message[:1].lower() + message[1:]).rstrip(".")


def _usage_hint(error: click.ClickException) -> str | None:
    context = getattr(error, "ctx", None)
    return f"`{context.command_path} --help` shows the options" if context else "`reprolock --help` shows the commands"
