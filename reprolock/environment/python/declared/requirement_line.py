"""One declared Python requirement, with the file and line that it comes from."""

from __future__ import annotations

from typing import Literal, NamedTuple

Kind = Literal["", "-c", "--override", "--exclude", "--build-constraint", "--index", "--requires-python"]
"""What a line does, by the word that it begins with in repro.lock: "" asks for a package, "-c" only bounds a version,
"--override" replaces what packages ask for, "--exclude" leaves a package out, "--build-constraint" bounds what packages are built
with, "--index" has a package, the name of the index that it comes from, and perhaps a marker, "--requires-python" is a pyproject.toml's."""


HASHES = " --hashes="
"""What stands in repro.lock between a requirement and the digest over its hashes."""


class Line(NamedTuple):
    """`text` is a requirement without its hashes, `place` where it stands: "requirements.txt:3"."""

    place: str
    text: str
    kind: Kind = ""
    hashes: tuple[str, ...] = ()


class IndexOption(NamedTuple):
    """An option of a requirements file that says where packages come from: "--extra-index-url" and its value."""

    place: str
    option: str
    value: str


class Refused(NamedTuple):
    """A line that cannot be locked: why, in a sentence, and what to do."""

    place: str
    problem: str
    hint: str


def without_hashes(lines: tuple[str, ...]) -> tuple[str, ...]:
    """Lines of repro.lock as they would be if no hash were declared."""
    return tuple(line.partition(HASHES)[0] for line in lines)
