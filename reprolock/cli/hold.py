"""`hold`: keep pinned commits in the lake, past its garbage collection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from reprolock.cli.options import Settings, add_shared_options
from reprolock.cli.run_name import RUN_OR_FILE
from reprolock.model.words import short

if TYPE_CHECKING:
    from reprolock.steps.evidence.hold import Held


class _Holds(click.Group):
    """`hold TARGET` holds; `ls`, `check` and `release` are the words that are no target."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            args = ["add", *args]
        return super().resolve_command(ctx, args)


@click.group(cls=_Holds)
def hold() -> None:
    """Keep the commits that a run or a lock pins: `hold RUN` or `hold repro.lock`.

    lakeFS's garbage collection keeps the heads of branches and forgets tags. A hold is a branch on the pinned commit.
    """


_LAKE = click.option("--lake", metavar="ENDPOINT", help="Lake endpoint to use instead of the one in repro.toml.")


@hold.command()
@click.argument("target", type=RUN_OR_FILE)
@click.option("--until", metavar="DATE", help="The last day, such as 2036-11-27.")
@click.option("--for", "period", metavar="PERIOD", help="How long: 10y (the default), 26w, 90d.")
@click.option("--reason", metavar="TEXT", help="The reason; kept in the lake with the hold.")
@_LAKE
@add_shared_options
def add(
    settings: Settings, target: str, until: str | None, period: str | None, reason: str | None, lake: str | None
) -> None:
    """Hold what TARGET pins: a run, or a lock file. `hold TARGET` is the same. A longer hold is never shortened."""
    from reprolock.steps.evidence.hold_run import hold_target  # the library is loaded when a command runs

    _say(
        settings,
        hold_target(settings.root, target, until=until, period=period, reason=reason, lake=lake, warn=settings.warning),
        checked=False,
    )


@hold.command()
@click.argument("repositories", nargs=-1)
@_LAKE
@add_shared_options
def ls(settings: Settings, repositories: tuple[str, ...], lake: str | None) -> None:
    """List the holds of REPOSITORIES; of those that repro.lock pins, where none is named."""
    from reprolock.steps.evidence.hold_run import hold_list  # the library is loaded when a command runs

    found = hold_list(settings.root, [name.removeprefix("lakefs://") for name in repositories], lake=lake)
    if not found:
        settings.line("Nothing is held")
    _say(settings, found, checked=False)


@hold.command()
@click.argument("target", default="repro.lock", type=RUN_OR_FILE)
@_LAKE
@add_shared_options
def check(settings: Settings, target: str, lake: str | None) -> None:
    """Check that every commit that TARGET pins is held: its branch is there, has the pin's tree, and garbage collection keeps it. Exit 4 if not."""
    from reprolock.steps.evidence.hold import lost
    from reprolock.steps.evidence.hold_run import hold_check  # the library is loaded when a command runs

    found = hold_check(settings.root, target, lake=lake)
    _say(settings, found)
    if (error := lost(found)) is not None:
        raise error


@hold.command()
@click.argument("target", type=RUN_OR_FILE)
@click.option("--force", is_flag=True, help="Release what has not expired, too.")
@_LAKE
@add_shared_options
def release(settings: Settings, target: str, force: bool, lake: str | None) -> None:
    """Release the holds of what TARGET pins. One that has not expired needs --force."""
    from reprolock.steps.evidence.hold_run import hold_release  # the library is loaded when a command runs

    found = hold_release(settings.root, target, force=force, lake=lake)
    for held in found:
        settings.line(f"Released {short(held.pin.commit)} of {held.pin.repository}")
    settings.result({"released": [_document(held) for held in found]})


def _say(settings: Settings, found: Sequence[Held], *, checked: bool = True) -> None:
    rows = [
        [
            short(held.pin.commit),
            held.pin.repository,
            "–" if held.state == "gone" else f"{held.pin.branch[:27]}…",
            held.sentence if checked else _end(held),
        ]
        for held in found
    ]
    settings.rows(rows)
    settings.result({"holds": [_document(held) for held in found]})


def _end(held: Held) -> str:
    end = f"until {held.until:%Y-%m-%d}" if held.until else "without an end"
    return "   ".join(filter(None, [end, held.why.reason, held.why.run and f"run {held.why.run[:8]}"]))


def _document(held: Held) -> dict[str, object]:
    return {
        "repository": held.pin.repository,
        "commit": held.pin.commit,
        "branch": held.pin.branch,
        "state": held.state,
        "until": held.until and held.until.isoformat(),
        **held.why._asdict(),
    }
