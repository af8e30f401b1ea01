"""The `reprolock` command: its subcommands by name, and errors turned into sentences and exit codes."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NamedTuple

import click

from reprolock import __version__
from reprolock.cli.options import Settings
from reprolock.errors import ReprolockError


class Entry(NamedTuple):
    """A line of the help: the module in reprolock.cli that has the command, its group and summary; None hides it."""

    module: str
    group: str | None
    summary: str = ""


GROUPS = {
    "project": "Declare and lock a project",
    "run": "Run, repeat, look at runs",
    "audit": "Check what runs rest on",
    "lake": "Work with the lake",
    "machine": "This machine",
}
"""The groups of `reprolock --help`, in its order, with their headings."""

COMMANDS = {
    "init": Entry("init", "project", "Write a starting repro.toml."),
    "lock": Entry("lock", "project", "Resolve what is not pinned yet, and write repro.lock."),
    "status": Entry("status", "project", "Show which branches moved on, and what is stale in the lock."),
    "diff": Entry("diff", "project", "Compare two locks, two git revisions of a lock, or two runs."),
    "env": Entry("env", "project", "Show the locked environment; export or prune it."),
    "git-driver": Entry("git_driver", "project", "Let git merge repro.lock, and show its changes, pin by pin."),
    "run": Entry("run", "run", "Rebuild the inputs from the lock, run the command, record it."),
    "replay": Entry("replay", "run", "Run a recorded run again from its record alone, and give a verdict."),
    "show": Entry("show", "run", "Show the lock, or a recorded run."),
    "sync": Entry("sync", "run", "Send records that could not reach MLflow."),
    "verify": Entry("verify", "audit", "Check that every pinned byte still exists."),
    "same-data": Entry("same_data", "audit", "Say whether runs used the same data."),
    "impact": Entry("impact", "audit", "List the runs and registered models that read an address."),
    "key": Entry("key", "audit", "Make and show keys that sign evidence."),
    "sign": Entry("sign", "audit", "Put a name and a word under a run, by a key."),
    "audit": Entry("audit", "audit", "Check by public keys alone what is claimed of a run."),
    "hold": Entry("hold", "audit", "Keep pinned commits in the lake, past its garbage collection."),
    "export": Entry("export", "audit", "Write a recorded run as OpenLineage, PROV or RO-Crate."),
    "data": Entry("data", "lake", "Work with the lake by hand."),
    "stack": Entry("stack", "lake", "Run a local lakeFS on MinIO, and an MLflow server."),
    "doctor": Entry("doctor", "machine", "Check what is missing on this machine, and how to get it."),
    "cache": Entry("cache", "machine", "Show and trim the cache."),
    "schema": Entry(
        "schema", "machine", "Print the JSON Schemas of repro.toml, repro.lock, record.json and trust.toml."
    ),
    "completion": Entry("completion", "machine", "Print the completion script of a shell."),
    "materialise": Entry("materialise", None),
}
"""Every command by its name, one a line, in the order of the help. Listed here so that help and completion load none."""
_OWNERS = {"lock", "status", "run", "verify", "env", "hold"}
"""Commands for a project's owner; the others are for auditors too, who cannot change a lock."""


class Commands(click.Group):
    """The group of COMMANDS; a command's module is imported when the command is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for name, entry in COMMANDS.items() if entry.group]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module = import_module(f"reprolock.cli.{COMMANDS[name].module}")
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
            CompletionItem(name, help=entry.summary)
            for name, entry in COMMANDS.items()
            if entry.group and name.startswith(incomplete)
        ]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, self.list_commands(ctx)))
        for group, heading in GROUPS.items():
            lines = [(name.ljust(width), entry.summary) for name, entry in COMMANDS.items() if entry.group == group]
            with formatter.section(heading):
                formatter.write_dl(lines)


@click.group(
    cls=Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="reprolock", message="%(prog)s %(version)s")
@click.option("-C", "directory", metavar="DIR", default=".", help="Work in this folder.")
@click.pass_context
def reprolock(ctx: click.Context, directory: str) -> None:
    """A lockfile for machine-learning runs.

    repro.toml declares datasets, parameters and environment; `lock` pins them in repro.lock; `run`
    rebuilds exactly those inputs and records the run in MLflow.
    """
    ctx.obj = Settings(directory=directory)
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


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
