"""What can go wrong, as data: one sentence, a hint and an exit code.

The library raises these and nothing else for anything a person, a file or a service can get wrong.
It never prints and never exits; the command line alone turns an error into `error:`, `hint:` and
an exit code. One class per exit code of the contract; a subclass where a caller reacts to it.
"""

from __future__ import annotations

from typing import ClassVar


class ReprolockError(Exception):
    """One sentence naming the file, flag or variable at fault, and what to do next.

    `message` carries no full stop and no newline, `hint` is an imperative for every reader, `owner_hint` what
    only the owner of the project can do beside it: change its lock, run it offline. `problems` holds further
    lines where one file has several problems at once. `exit_code` is the process's.
    """

    exit_code: ClassVar[int] = 70

    def __init__(
        self, message: str, *, hint: str | None = None, owner_hint: str | None = None, problems: tuple[str, ...] = ()
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.owner_hint = owner_hint
        self.problems = problems
        if self.hints is not None:
            self.add_note(f"hint: {self.hints}")  # for a traceback; the command line prints it itself

    @property
    def hints(self) -> str | None:
        """Both, for the owner of the project."""
        return "; ".join(filter(None, (self.hint, self.owner_hint))) or None

    def __str__(self) -> str:
        return "\n".join((self.message, *self.problems))


class CommandFailed(ReprolockError):
    """The command of a run failed, and reprolock did its part; or `diff --exit-code` found a difference."""

    exit_code = 1


class UsageError(ReprolockError):
    """The spec or the call is wrong."""

    exit_code = 2


class NotFound(UsageError):
    """A name that a spec or a call gives is not in the lake."""


class LockError(ReprolockError):
    """The lock is missing, out of date, broken or of a newer version."""

    exit_code = 3


class PinError(ReprolockError):
    """A pinned thing is gone, has changed, or differs from the lock."""

    exit_code = 4


class Damaged(PinError):
    """A pinned thing is there, with other bytes than are pinned."""


class ServiceError(ReprolockError):
    """A service cannot be reached, or rejects the credentials."""

    exit_code = 5


class Diverged(ReprolockError):
    """Different: a replay diverged, runs did not use the same data, or a metric of a report left its tolerance."""

    exit_code = 6


class NotReplayable(ReprolockError):
    """Cannot be replayed, verified or compared; the message says why."""

    exit_code = 7


class MachineError(ReprolockError):
    """This machine cannot: no Java, a full disk, a cache that is not writable."""

    exit_code = 8


class LakeRefused(ReprolockError):
    """The lake refuses: a conflict, a protected branch."""

    exit_code = 9


class Interrupted(ReprolockError):
    """Stopped by a signal; the exit code is 128 + the signal's number."""

    def __init__(self, message: str, *, signal_number: int, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.exit_code = 128 + signal_number  # type: ignore[misc]
