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
from reprolock.cli.terminal import RESULT, Unprintable, flush, say, say_document, styled
from reprolock.errors import MachineError, ReprolockError
from reprolock.files.os_errors import of_the_machine


class Entry(NamedTuple):
    """A line of the help: the module in reprolock.cli that has the command, its group and summary; None hides it."""

    module: str
    group: str | None
    summary: str = ""


GROUPS = {
    "project": "Declare and lock a project",
    "run": "Run, repeat, look at runs",
    "audit": "Check, sign and share runs",
    "lake": "Work with the lake",
    "machine": "This machine",
}
"""The groups of `reprolock --help`, in its order, with their headings."""

COMMANDS = {
    "init": Entry("init", "project", "Write a starting repro.toml."),
    "add": Entry("add", "project", "Add a dataset, packages, a param or an output to repro.toml."),
    "remove": Entry("remove", "project", "Remove a dataset, packages, a param or an output from repro.toml."),
    "lock": Entry("lock", "project", "Resolve what is not pinned yet, and write repro.lock."),
    "status": Entry("status", "project", "Show which branches moved on, and what is stale in the lock."),
    "diff": Entry("diff", "project", "Compare two locks, two git revisions of a lock, or two runs."),
    "env": Entry("env", "project", "Show the locked environment; export or prune it."),
    "report": Entry("report", "project", "Write what a change of the lock did, for a pull request."),
    "git-driver": Entry("git_driver", "project", "Let git merge repro.lock, and show its changes, pin by pin."),
    "run": Entry("run", "run", "Rebuild the inputs from the lock, run the command, record it."),
    "sweep": Entry("sweep", "run", "Run every combination of some params and data, side by side."),
    "replay": Entry("replay", "run", "Run a recorded run again from its record alone, and give a verdict."),
    "runs": Entry("runs", "run", "Show past runs, and what changed from one to the next."),
    "show": Entry("show", "run", "Show the lock, or a recorded run."),
    "ui": Entry("ui", "run", "Open MLflow at the project's experiment."),
    "sync": Entry("sync", "run", "Send records that could not reach MLflow."),
    "verify": Entry("verify", "audit", "Check that every pinned byte still exists."),
    "same-data": Entry("same_data", "audit", "Say whether runs used the same data."),
    "impact": Entry("impact", "audit", "List the runs and registered models that read an address."),
    "key": Entry("key", "audit", "Make and show keys that sign evidence."),
    "sign": Entry("sign", "audit", "Sign a run as approved or rejected."),
    "audit": Entry("audit", "audit", "Check a run's signed claims; public keys are enough."),
    "evidence": Entry("evidence", "audit", "Map a regulation's demands to the fields of a run's record."),
    "bundle": Entry("bundle", "audit", "Put a run and all that it needs into one file."),
    "hold": Entry("hold", "audit", "Keep pinned commits in the lake, past its garbage collection."),
    "export": Entry("export", "audit", "Write a recorded run as OpenLineage, PROV or RO-Crate."),
    "data": Entry("data", "lake", "Work with the lake by hand."),
    "stack": Entry("stack", "lake", "Run a local lakeFS on an object store, and an MLflow server."),
    "trust": Entry("trust", "machine", "Let credentials go to an address that a repro.toml or a record names."),
    "doctor": Entry("doctor", "machine", "Check what is missing on this machine, and how to get it."),
    "cache": Entry("cache", "machine", "Show and trim the cache."),
    "schema": Entry("schema", "machine", "Print the JSON Schemas of the files and of reports."),
    "completion": Entry("completion", "machine", "Print the completion script of a shell."),
    "materialise": Entry("materialise", None),
}
"""Every command by its name, one a line, in the order of the help. Listed here so that help and completion load none."""
_OWNERS = {"add", "remove", "lock", "status", "run", "sweep", "verify", "env", "hold"}
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
    try:
        os.getcwd()
    except OSError:
        raise MachineError(
            "the current folder no longer exists", hint="change to a folder that exists and try again"
        ) from None
    if ctx.invoked_subcommand is None:
        say_document(f"{ctx.get_help()}\n")


_NO_MEMORY = ("failed to map segment from shared object", "Cannot allocate memory")
"""What the system's loader says of a library for which there is no memory left."""


class Failure(NamedTuple):
    """How a command failed, for people and for programs; without a message where nobody is left to read one."""

    exit_code: int
    message: str | None = None
    hint: str | None = None
    problems: Sequence[str] = ()

    @property
    def document(self) -> dict[str, Any]:
        """What a program is told, with what the command had answered."""
        told = {"problems": list(self.problems)} if self.problems else {}
        return {"error": self.message, "hint": self.hint, **told, "exit_code": self.exit_code}


def run_command_line(arguments: Sequence[str]) -> int:
    """Run one command; print its error, if any; give the exit code. With --json an error is on stdout, too."""
    outcome = _attempt(arguments)
    if isinstance(outcome, int):
        return outcome
    if outcome.message is not None:
        _complain(outcome)
        if RESULT.is_held or "--json" in arguments[: _end_of_options(arguments)]:
            try:
                RESULT.say(outcome.document)
                flush()
            except (Unprintable, BrokenPipeError):
                _drop_output()
    return outcome.exit_code


def _attempt(arguments: Sequence[str]) -> int | Failure:
    RESULT.hold({})
    try:
        code = _invoked(arguments)
        RESULT.say()
        flush()
        return code
    except click.exceptions.NoArgsIsHelpError as error:
        return _no_command(error.ctx)
    except click.ClickException as error:
        return Failure(2, _lower(" ".join(error.format_message().split())), _usage_hint(error))
    except (KeyboardInterrupt, click.Abort):
        return Failure(130, "interrupted")
    except ReprolockError as error:
        if isinstance(error, Unprintable):
            _drop_output()
        return Failure(error.exit_code, error.message, error.hint, error.problems)
    except BrokenPipeError:
        _drop_output()
        return Failure(141)
    except (OSError, MemoryError) as error:  # what no module foresaw, the machine's all the same
        unforeseen = _of_the_machine(error)
        return Failure(unforeseen.exit_code, unforeseen.message, unforeseen.hint)
    except UnicodeError:
        return Failure(
            2,
            "a given name or text contains a character that cannot be written",
            "look for text that is not UTF-8 on the command line, in variables and in file names",
        )
    except RecursionError:
        return Failure(
            2,
            "a file is nested too deeply",
            "look for thousands of nested brackets in the files that the command reads",
        )
    except Exception as error:
        if isinstance(error, ImportError) and any(words in str(error) for words in _NO_MEMORY):
            unforeseen = _of_the_machine(MemoryError())
            return Failure(unforeseen.exit_code, unforeseen.message, unforeseen.hint)
        if os.environ.get("REPROLOCK_TRACEBACK"):
            import traceback  # only for a bug

            traceback.print_exc()
        return Failure(
            70,
            f"reprolock has a bug: {type(error).__name__}: {_redact(str(error))}",
            "report it with what REPROLOCK_TRACEBACK=1 prints",
        )


def _no_command(context: click.Context) -> Failure:
    """A group that was called alone."""
    group = context.command
    assert isinstance(group, click.Group)
    names = ", ".join(name for name in group.list_commands(context) if not group.commands[name].hidden)
    path = context.command_path
    return Failure(2, f"{path} needs a command: {names}", f"`{path} --help` says what each does")


def _end_of_options(arguments: Sequence[str]) -> int:
    """What stands behind `--` are no options."""
    return arguments.index("--") if "--" in arguments else len(arguments)


def _invoked(arguments: Sequence[str]) -> int:
    try:
        answer = reprolock.main(args=list(arguments), prog_name="reprolock", standalone_mode=False)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    return answer if isinstance(answer, int) else 0  # click hands back the code of an Exit


def _complain(failure: Failure) -> None:
    say(f"{styled('error:', fg='red', bold=True)} {failure.message}", err=True)
    for problem in failure.problems:
        say(f"  {problem}", err=True)
    if failure.hint:
        say(f"{styled('hint:', fg='cyan')} {failure.hint}", err=True)


def _of_the_machine(error: OSError | MemoryError) -> MachineError:
    try:
        flush()  # help and completion are printed by click itself
    except (Unprintable, BrokenPipeError) as unprintable:
        _drop_output()
        return unprintable if isinstance(unprintable, Unprintable) else of_the_machine(error)
    return of_the_machine(error)


def _drop_output() -> None:
    """What stdout did not take goes nowhere, or the interpreter would complain at its end."""
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _redact(text: str) -> str:
    from reprolock.model.secrecy import redacted  # only for a bug

    return redacted(text)


def _lower(message: str) -> str:
    return (message[:1].lower() + message[1:]).rstrip(".")


def _usage_hint(error: click.ClickException) -> str | None:
    context = getattr(error, "ctx", None)
    return f"`{context.command_path} --help` shows the options" if context else "`reprolock --help` shows the commands"
