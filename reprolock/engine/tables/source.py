"""Give a table's files to the readers; where they refuse them, one sentence about the table says why."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from reprolock.errors import UsageError
from reprolock.readers.files import unread_files
from reprolock.readers.source import Source


class TableSource(Source):
    """A table's files. What a reader refuses, Spark alone reads, or nothing does."""

    __slots__ = ()

    def refusal(self, what: str) -> UsageError:
        """The error for something that only Spark reads as Spark does."""
        return UsageError(f"only Spark reads {what}; declare [spark]")

    def unreadable(self, what: str, instead: str) -> UsageError:
        """The error for something that no engine compares, for Spark does not read it either."""
        return UsageError(f"Spark does not read {what}; {instead}")

    @property
    def counts_blanks(self) -> bool:
        """To other readers it is a row."""
        return True

    def same_as(self, name: str) -> str:
        """Digests are made with spark.sql.caseSensitive."""
        return name


def source_of(path: Path, form: str, options: Mapping[str, str]) -> TableSource:
    """The source for a declaration; the option pathGlobFilter is its glob."""
    lower = {name.lower(): value for name, value in options.items()}
    glob = lower.pop("pathglobfilter", None)
    return TableSource(path.name, form, path, lower, glob)


def reason_of(error: UsageError, path: Path) -> str:
    """What a reader said, without the table's name and the folders of this machine."""
    nothing = f'dataset "{path.name}" has no file directly below {path}'
    if "which is not UTF-8" in error.message:
        return 'it has bytes that are not UTF-8; declare [spark] and write options = { encoding = "ISO-8859-1" }'
    return error.message.replace(nothing, "there is no file in it that holds data")


def unread(source: Source) -> str | None:
    """A sentence on the files below the table that are no part of it for Spark; None where all are."""
    if not (left_out := unread_files(source)):
        return None
    more = f" and {len(left_out) - 1} more" if len(left_out) > 1 else ""
    return (
        f"Spark does not read {left_out[0]}{more}, because its folder is not named NAME=VALUE as others are; "
        "write options = { recursiveFileLookup = true }"
    )
