"""Say why a line of a declaration cannot be locked, and what to write instead. No user name and no password is repeated."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePath, PurePosixPath

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from reprolock.environment.python.declared.requirement_line import Line, Refused
from reprolock.model.lock import says_more
from reprolock.model.secrecy import has_userinfo, looks_secret, redacted, without_userinfo

VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")
"""A variable of the environment as pip writes it in a requirements file."""
AS_PIP = 'write it as pip would take it from an index, such as "pandas>=2,<3"'
_SHA256 = "write the file's SHA-256, as `pip hash FILE` and `uv pip compile --generate-hashes` give it"
_PROJECT = re.compile(r"\./?(?:\[[^\]]*\])?")
"""The folder itself, perhaps with extras."""
_ITSELF = 'is this project, whose code is named in run.code and whose dependencies pyproject = "." declares in place of requirements'
_REPOSITORY = ("git+", "hg+", "svn+", "bzr+")
_NO_HASH = "a lock takes only what has a SHA-256"
_ARCHIVE = 'name an archive of one commit, as "NAME @ https://HOST/OWNER/REPOSITORY/archive/COMMIT.tar.gz"'
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]{0,40}://[^\s\"']*", re.IGNORECASE)
_PATH = re.compile(r"(\.{0,2}/|\.\.?$|file:|[A-Za-z]:\\)")
_WHEEL = re.compile(r"\.whl(?=[?#]|$)", re.IGNORECASE)
"""Where the path of a wheel ends."""
_SINGLE = re.compile(r"([\w.-]+)\s*=\s*([\w.*+!]+)(?:=\w+)?")
"""As conda writes it: NAME=VERSION=BUILD."""
_OF_CONDA = re.compile(r"^file:.*(?:/croot/|/conda|feedstock_root/|/work$)")
"""`pip freeze` gives the folders of conda's own builds."""
_EXPORTED = "and declare requirements = "
_FORMATS = {
    "pyproject.toml": ("a project's own settings", 'declare pyproject = "." in place of requirements'),
    "uv.lock": ("uv's lock", f'run `uv export --no-emit-project -o requirements.txt` {_EXPORTED}"requirements.txt"'),
    "poetry.lock": ("Poetry's lock", f'run `poetry export -o requirements.txt` {_EXPORTED}"requirements.txt"'),
    "pdm.lock": ("PDM's lock", f'run `pdm export -o requirements.txt` {_EXPORTED}"requirements.txt"'),
    "Pipfile": ("Pipenv's", f'run `pipenv requirements > requirements.txt` {_EXPORTED}"requirements.txt"'),
    "Pipfile.lock": ("Pipenv's lock", f'run `pipenv requirements > requirements.txt` {_EXPORTED}"requirements.txt"'),
    "setup.py": ("a program", "write what it requires into a requirements file"),
    "setup.cfg": ("setuptools' settings", "write its install_requires into a requirements file"),
}


def other_format(name: str) -> tuple[str, str] | None:
    """What a file is that is no requirements file, and what to do; None for a name that says nothing."""
    last = PurePath(name).name
    if last.startswith("pylock.") and last.endswith(".toml"):
        return "a lock of its own (PEP 751)", "name the requirements that it was made from"
    if last.endswith((".yml", ".yaml")):
        return (
            "conda's",
            "write its packages into a requirements file: packages that only conda has cannot be locked",
        )
    return _FORMATS.get(last)


def locks_beside(folder: Path) -> Iterator[str]:
    """A sentence for each lock of another tool beside a pyproject.toml: its versions are not taken."""
    for name in ("uv.lock", "poetry.lock", "pdm.lock"):
        if (folder / name).is_file():
            yield f"{name} is not read, and versions may be others than its; to keep them, {_FORMATS[name][1]}"


def shown(text: str) -> str:
    """A line as it may be repeated: without user names, passwords and other secrets."""
    return redacted(_ADDRESS.sub(lambda found: without_userinfo(found[0]), text))


def option_refusal(place: str, option: str, value: str, name: str) -> Refused:
    """An option of a requirements file that a lock cannot repeat."""
    hint = f"remove the line from {name}"
    if option in ("-e", "--editable") and value.startswith(_REPOSITORY):
        return Refused(place, f"{option} names a repository, and {_NO_HASH}; {_ARCHIVE}", hint)
    if option in ("-e", "--editable") and _PROJECT.fullmatch(value):
        return Refused(place, f"{option} {value} {_ITSELF}", f"{hint}, and write there what the project depends on")
    if option in ("-e", "--editable"):
        told = "names a path on this machine, which no other machine has; name code in run.code instead"
        return Refused(place, f"{option} {told}", hint)
    return Refused(place, f"{option} is not understood here; -r, -c, --hash and options that name an index are", hint)


def unset_refusal(place: str, text: str) -> Refused | None:
    """A variable in a line that the environment does not have, which pip would leave as it stands."""
    if (left := VARIABLE.search(text)) is None:
        return None
    return Refused(
        place, f'"{shown(text)}" needs the variable {left[1]}, which is not set', f"set {left[1]}, or write its value"
    )


def line_refusal(line: Line) -> Refused | None:
    """Why a line cannot be locked; None when it can."""
    if line.kind == "--requires-python":
        try:
            SpecifierSet(line.text)
        except InvalidSpecifier:
            return Refused(line.place, f'"{line.text}" is not a set of versions', 'write it as in ">=3.11,<3.14"')
        return None
    if line.kind == "--index":
        return None
    if problem := _problem(line.text):
        return Refused(line.place, problem, AS_PIP)
    for value in line.hashes:
        if not value.startswith("sha256:"):
            return Refused(line.place, f'hash "{value}" is not a SHA-256', _SHA256)
    return None


def _problem(text: str) -> str | None:
    """Why a requirement cannot be locked, None when it can. A sentence without file and line."""
    if says_more(text):
        return f'"{shown(text)}" has a variable, a line end or a backslash in it, which uv would read as more than a requirement'
    if looks_secret(text) or any(has_userinfo(address) for address in _ADDRESS.findall(text)):
        return "an address must not contain a user name or password; credentials come from the environment"
    if _PROJECT.fullmatch(text):
        return f'"{text}" {_ITSELF}'
    if _PATH.match(text):
        return _wheel_problem(text) or (
            f'"{text}" is a path on this machine, which no other machine has; build a wheel, publish it, and name it by version'
        )
    if text.startswith(_REPOSITORY):
        return f'"{text}" is a repository, and {_NO_HASH}; {_ARCHIVE}'
    if re.match(r"https?:", text):
        return f'"{text}" names no package; write "NAME @ {text}"'
    try:
        requirement = Requirement(text)
    except InvalidRequirement as error:
        if match := _SINGLE.fullmatch(text):
            return f'"{text}" is not a requirement; pip and uv write "{match[1]}=={match[2]}"'
        return _wheel_problem(text) or f'"{text}" is not a requirement: {_first_line(str(error))}'
    url = requirement.url or ""
    if url.startswith(_REPOSITORY):
        return f"{requirement.name} comes from a repository, and {_NO_HASH}; {_ARCHIVE}"
    if _OF_CONDA.search(url):
        return f"{requirement.name} is the folder that conda built it in; `pip list --format=freeze` says which version that is"
    if url.startswith("file:") or (url and "://" not in url):
        return _wheel_problem(text) or (
            f"{requirement.name} is a path on this machine, which no other machine has; publish it and name it by version"
        )
    return None


def _wheel_problem(text: str) -> str | None:
    """What to write for the path of a wheel: its folder is an index, and it has a name and a version."""
    rest = text.rpartition(" @ ")[2].removeprefix("file:").removeprefix("//")
    *_, end = [0, *(match.end() for match in _WHEEL.finditer(rest))]
    path = PurePosixPath(rest[:end])
    try:
        name, version, *_ = parse_wheel_filename(path.name)
    except InvalidWheelFilename:
        return None
    return (
        f'"{text}" is the path of a wheel; write "{name}=={version}", and name its folder as "--find-links {path.parent}" in a '
        f'requirements file, or as find-links = ["{path.parent}"] in uv.toml'
    )


def _first_line(text: str) -> str:
    line = text.splitlines()[0].rstrip(".:") if text else "unreadable"
    return line[:1].lower() + line[1:]
