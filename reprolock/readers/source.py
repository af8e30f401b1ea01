"""`Source`: one dataset's local files and how they are declared. What a reader cannot do as Spark does is refused here."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import NamedTuple

from reprolock.errors import UsageError

_ANYWHERE = ("recursivefilelookup",)
JSON_BLANKS = " \t\r\n"
"""What JSON takes for white space: a line of it alone is passed over; one of other blanks is a record that cannot be read."""


class Source(NamedTuple):
    """`options` are those of Spark's reader, by their names in lower case; `glob` is matched against files' names."""

    name: str
    format: str
    path: Path
    options: Mapping[str, str]
    glob: str | None

    def refusal(self, what: str) -> UsageError:
        """The error for something that only Spark reads as Spark does; `what` is a noun with what is wrong about it."""
        return UsageError(
            f'dataset "{self.name}": .pandas() and .arrow() do not read {what}',
            hint=f'use run.dataset("{self.name}").spark(), or open the files below .path',
        )

    def unreadable(self, what: str, instead: str) -> UsageError:
        """The error for something that Spark does not read either; `instead` says what its writer can do."""
        return UsageError(
            f'dataset "{self.name}": neither Spark nor .pandas() and .arrow() read {what}',
            hint=f"{instead}, or open the files below .path",
        )

    def same_as(self, name: str) -> str:
        """What two columns' names share that are one to Spark: as a run reads, it does not tell upper from lower case."""
        return name.lower()

    @property
    def counts_blanks(self) -> bool:
        """Whether a line of blanks alone, which Spark passes over in CSV, is one too many."""
        return False

    def check_options(self, known: Collection[str]) -> None:
        """UsageError for the first option, by its name, that is not among those that this format honours."""
        for option in sorted(self.options):
            if option not in known and option not in _ANYWHERE:
                raise self.refusal(f'{self.format} with the option "{option}"')

    def flag(self, option: str, default: str = "false") -> bool:
        """An option that is true or false, as Spark takes it."""
        text = self.options.get(option, default).lower()
        if text not in ("true", "false"):
            raise self.refusal(f'the option "{option}" with the value "{text}"')
        return text == "true"

    def check_encoding(self) -> None:
        """UsageError for an encoding other than UTF-8."""
        for option in ("encoding", "charset"):
            if self.options.get(option, "utf-8").lower() != "utf-8":
                raise self.refusal(f'the option "{option}" with the value "{self.options[option]}"')


def declared(name: str, form: str, path: Path, options: Mapping[str, str], glob: str | None) -> Source:
    """A source with its options' names in lower case; UsageError for one that is given twice."""
    lower: dict[str, str] = {}
    for option, value in options.items():
        if lower.setdefault(option.lower(), value) != value:
            raise UsageError(f'datasets.{name}.options: "{option}" is given twice', hint="keep one of them")
    return Source(name, form, path, lower, glob)


def needs(source: Source, package: str) -> UsageError:
    """The error for a library that this environment does not have."""
    return UsageError(
        f'dataset "{source.name}": .pandas() and .arrow() need {package} for {source.format}, and it is not installed here',
        hint=f'add "{package}" to packages under [environment], or use run.dataset("{source.name}").spark()',
    )


def same_name(names: list[str]) -> str | None:
    """The first name that another one equals but for its case, as Spark compares them; None where all differ."""
    seen: set[str] = set()
    for name in names:
        if name.lower() in seen:
            return name
        seen.add(name.lower())
    return None
