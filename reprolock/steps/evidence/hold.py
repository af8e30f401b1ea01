"""`hold`: keep pinned commits in the lake. lakeFS's garbage collection keeps the heads of branches, and forgets tags.

A hold is the branch `reprolock-hold-<commit>`. Its head is an empty commit on the pinned one, with until, reason, run and lock in
its metadata; a later `until` is a further empty commit. Runs that pin one commit share its hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal, NamedTuple

from reprolock.errors import NotFound, PinError, UsageError
from reprolock.lake.protocol import Commit, Lake
from reprolock.model.periods import days
from reprolock.model.words import short

PREFIX = "reprolock-hold-"
DEFAULT = "10y"
_FIELD = "reprolock.hold."

State = Literal["held", "passed", "gone", "changed", "collected"]


class Pinned(NamedTuple):
    """A commit of a repository that a lock or a record pins."""

    repository: str
    commit: str

    @property
    def branch(self) -> str:
        """The hold's branch."""
        return PREFIX + self.commit


class Why(NamedTuple):
    """What a hold says of itself, beside its end: for which run, by which lock (SHA-256), and the reason that was given."""

    run: str | None = None
    lock: str | None = None
    reason: str | None = None


class Held(NamedTuple):
    """A hold as it stands in the lake. `until` is UTC; None: its branch says nothing of it.

    `state`: held · passed (its time is over, its branch still there) · gone · changed (its head has another tree than the
    pin) · collected (the lake's own list of commits that garbage collection keeps has it not). `asked` is False where that
    list is not this account's to see.
    """

    pin: Pinned
    state: State
    until: datetime | None = None
    why: Why = Why()
    asked: bool = True

    @property
    def sentence(self) -> str:
        """What to know of it, for people."""
        end = f"until {self.until:%Y-%m-%d}" if self.until else "without an end"
        match self.state:
            case "held":
                kept = (
                    "kept by the lake's garbage collection"
                    if self.asked
                    else "the lake lists no kept commits: it has no rules of collection, or this account may not ask"
                )
                return f"{end}, {kept}"
            case "passed":
                return f"{end}, which has passed: it may be released"
            case "gone":
                return "gone: its branch was deleted, or never made"
            case "changed":
                return "its branch has other content than what is pinned"
            case "collected":
                return f"{end}, but the lake's garbage collection does not count it as kept"


def hold(lake: Lake, pins: Iterable[Pinned], until: datetime, why: Why, now: datetime) -> tuple[Held, ...]:
    """Hold each commit until then. One call where a hold of that length is there already; a longer one is never shortened.

    NotFound or PinError where a commit is not there; LakeRefused, ServiceError where this account may make no branch.
    """
    if until <= now:
        raise UsageError(
            f"a hold until {until:%Y-%m-%d} would have passed already",
            hint="name a later day with --until, or --for 10y",
        )
    return tuple(_held(lake, pin, until, why, now) for pin in dict.fromkeys(pins))


def list_holds(lake: Lake, repositories: Iterable[str], now: datetime) -> Iterator[Held]:
    """Every hold of these repositories, by repository and commit; what they say of themselves, unchecked."""
    for repository in sorted(set(repositories)):
        for branch in lake.branches(repository):
            if branch.startswith(PREFIX):
                pin = Pinned(repository, branch.removeprefix(PREFIX))
                yield _read(pin, lake.resolve(repository, branch), now)


def check_holds(lake: Lake, pins: Iterable[Pinned], now: datetime) -> Iterator[Held]:
    """Is each there, does its head still have the pin's tree, and does the lake's own list count it as kept?"""
    kept: dict[str, frozenset[str] | None] = {}
    for pin in dict.fromkeys(pins):
        head = _head(lake, pin)
        if head is None:
            yield Held(pin, "gone")
            continue
        found = _read(pin, head, now)
        if next(iter(lake.diff(pin.repository, pin.commit, pin.branch)), None) is not None:
            yield found._replace(state="changed")
            continue
        if pin.repository not in kept:
            kept[pin.repository] = lake.kept(pin.repository)
        there = kept[pin.repository]
        if there is not None and head.id not in there:
            yield found._replace(state="collected")
        else:
            yield found._replace(asked=there is not None)


def release(lake: Lake, pins: Iterable[Pinned], now: datetime, *, force: bool = False) -> tuple[Held, ...]:
    """Take the holds away. UsageError before their time, unless forced, and then none is; NotFound where there is none."""
    found = []
    for pin in dict.fromkeys(pins):
        head = _head(lake, pin)
        if head is None:
            raise NotFound(
                f"commit {short(pin.commit)} of {pin.repository} is not held",
                hint="`reprolock hold ls` lists the holds",
            )
        found.append(_read(pin, head, now))
    early = [held for held in found if held.until is None or held.until > now]
    if early and not force:
        first = early[0]
        raise UsageError(
            f"commit {short(first.pin.commit)} of {first.pin.repository} is held {_end(first)}",
            hint="wait until then; --force releases it now, for every run that rests on it",
        )
    for held in found:
        lake.delete_branch(held.pin.repository, held.pin.branch)
    return tuple(found)


def end_of(until: str | None, period: str | None, now: datetime) -> datetime:
    """When a hold ends, UTC: the end of the day `until` (2036-11-27), or a `period` (10y) from now. UsageError for neither form."""
    if until is not None and period is not None:
        raise UsageError("--until and --for cannot be used together", hint="leave one out")
    if until is not None:
        try:
            return datetime.combine(date.fromisoformat(until), time(23, 59, 59), UTC)
        except ValueError:
            raise UsageError(f'--until: "{until}" is not a date', hint='write "2036-11-27"') from None
    period = period or DEFAULT
    if not (count := days(period)):
        raise UsageError(f'--for: "{period}" is not a period', hint='write "10y", "26w" or "90d"')
    return (now + timedelta(days=count)).replace(microsecond=0)


def _held(lake: Lake, pin: Pinned, until: datetime, why: Why, now: datetime) -> Held:
    head = _head(lake, pin)
    if head is not None and (there := _read(pin, head, now)).until is not None and there.until >= until:
        return there
    if head is None:
        lake.create_branch(pin.repository, pin.branch, pin.commit)
    made = lake.commit(pin.repository, pin.branch, f"Hold {pin.commit}", _metadata(pin, until, why), empty=True)
    return _read(pin, made, now)


def _head(lake: Lake, pin: Pinned) -> Commit | None:
    try:
        return lake.resolve(pin.repository, pin.branch)
    except NotFound:
        return None


def _metadata(pin: Pinned, until: datetime, why: Why) -> dict[str, str]:
    fields = {"commit": pin.commit, "until": f"{until.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}", **why._asdict()}
    return {_FIELD + name: value for name, value in fields.items() if value is not None}


def _read(pin: Pinned, head: Commit, now: datetime) -> Held:
    fields: Mapping[str, str] = {
        name.removeprefix(_FIELD): value for name, value in head.metadata.items() if name.startswith(_FIELD)
    }
    try:
        until = datetime.fromisoformat(fields["until"]).astimezone(UTC)
    except (KeyError, ValueError):
        until = None  # another user's commit, or a branch that was made by hand
    state: State = "passed" if until is not None and until <= now else "held"
    return Held(pin, state, until, Why(fields.get("run"), fields.get("lock"), fields.get("reason")))


def _end(held: Held) -> str:
    return f"until {held.until:%Y-%m-%d}" if held.until else "by a branch that states no end"


def lost(held: Iterable[Held]) -> PinError | None:
    """The error of holds that hold no more; None where all do."""
    sentences = [
        f"{short(each.pin.commit)} of {each.pin.repository}: {each.sentence}"
        for each in held
        if each.state not in ("held", "passed")
    ]
    if not sentences:
        return None
    return PinError(
        f"{len(sentences)} pinned {'commit is' if len(sentences) == 1 else 'commits are'} not held: {sentences[0]}",
        problems=tuple(sentences[1:]),
        hint="`reprolock hold` makes the hold again, as long as the lake still has the commit",
    )
