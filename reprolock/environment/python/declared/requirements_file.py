"""Read requirements files as pip does: encodings, continued lines, comments, ${VARIABLES}, options and nested files.

The rules are those of pip's "Requirements File Format" and of its `req_file.py`. What pip would do and a lock cannot
repeat is refused by name.
"""

from __future__ import annotations

import codecs
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

from reprolock.environment.python.declared.refusals import VARIABLE, option_refusal, other_format, shown, unset_refusal
from reprolock.environment.python.declared.requirement_line import IndexOption, Kind, Line, Refused
from reprolock.errors import UsageError
from reprolock.files.containment import read_linked
from reprolock.files.trusted import origin, trusted
from reprolock.model.secrecy import is_secret_name, looks_secret, signs

_NESTED = {"-r": "", "--requirement": "", "-c": "-c", "--constraint": "-c"}
_INDEX = ("-i", "--index-url", "--extra-index-url", "-f", "--find-links", "--no-index", "--trusted-host")
_LONG_NAMES = {"-i": "--index-url", "-f": "--find-links"}
_WITHOUT_EFFECT = ("--require-hashes", "--prefer-binary")
"""A lock pins hashes in any case, and its resolver prefers wheels."""
_HASH = re.compile(r"\s--hash(?:=|\s+)(\S+)")
_ADDRESS = re.compile(r"(?:[\w+.-]{1,40}://|https?:)\S*", re.IGNORECASE)
"""Whatever uv may take for one: it reads `https:/host` and `https:host` as it reads `https://host`."""
_COMMENT = re.compile(r"(^|\s)#.*$")
_CODING = re.compile(rb"coding[:=]\s*([-\w.]+)")
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def read_requirements_file(
    path: Path, root: Path, environ: Mapping[str, str], *, kind: Kind = "", above: tuple[Path, ...] = ()
) -> Iterator[Line | IndexOption | Refused]:
    """The lines of a requirements file and of those that it names with -r and -c; what a lock cannot repeat is refused by name.

    UsageError for a file that cannot be read, or is no requirements file.
    """
    name = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
    if "\0" in name:
        raise UsageError(f"{name} is not the name of a file", hint="correct the -r or -c line")
    if path.resolve() in above:
        raise UsageError(f"{name} includes itself by -r or -c", hint="remove one of these lines")
    if other := other_format(name):
        raise UsageError(f"{name} is not a requirements file: it is {other[0]}", hint=other[1])
    _check_place(path, root, name)
    for number, text in _logical_lines(_decode(path, name)):
        place = f"{name}:{number}"
        text = _expand(text, environ, place)
        if unset := unset_refusal(place, text):
            yield unset
            continue
        if not text.startswith("-"):
            yield _requirement(place, text, kind, name)
            continue
        for option, value in _split_options(text):
            if option in _NESTED and re.match(r"(https?|ftp):", value):
                yield Refused(
                    place,
                    f"{shown(value)} may be another file each time it is read, and a lock can only pin files of the project",
                    f"save it beside {name} and name it there",
                )
            elif option in _NESTED:
                nested = path.parent / value.removeprefix("file://")
                inner = _NESTED[option] or kind
                yield from read_requirements_file(
                    nested, root, environ, kind="-c" if inner == "-c" else "", above=(*above, path.resolve())
                )
            elif option in _INDEX:
                yield IndexOption(place, _LONG_NAMES.get(option, option), _relative(value, option, path.parent))
            elif option not in _WITHOUT_EFFECT:
                yield option_refusal(place, option, value, name)


def _check_place(path: Path, root: Path, name: str) -> None:
    """UsageError for a file that stands neither in the project nor in the repository around it: what is
    in it would be shown, and asked for at the package index."""
    inside = next((folder for folder in (root, *root.absolute().parents) if (folder / ".git").exists()), root)
    if path.exists() and not path.resolve().is_relative_to(inside.resolve()):
        raise UsageError(
            f"{name} leads out of the project, to {path.resolve()}", hint="save it in the project and name it there"
        )


def _expand(text: str, environ: Mapping[str, str], place: str) -> str:
    """The text with ${NAME} replaced where NAME is set. UsageError where a value would go to an address that the file names.

    A requirements file may come with a cloned project: what the environment holds is sent nowhere that its user did not name.
    """
    names = [name for name in VARIABLE.findall(text) if name in environ]
    expanded = VARIABLE.sub(lambda found: environ.get(found[1], found[0]), text)
    for address in set(_ADDRESS.findall(expanded)) - set(_ADDRESS.findall(text)):
        where = origin(address)
        if where not in trusted(environ) and not any(_has_host(environ[name], address, where) for name in names):
            raise UsageError(
                f"{place}: the value of {', '.join(names)} would be sent to {where or 'an address'}, which only this file names",
                hint=f"`reprolock trust {where or 'URL'}` confirms that address, once",
            )
    outside = _ADDRESS.sub("", text)
    secret = next((name for name in VARIABLE.findall(outside) if name in environ and _is_secret(name, environ)), None)
    if secret is not None:
        raise UsageError(
            f"{place}: {secret} holds a secret, which would be shown and asked for at the package index",
            hint="credentials go into the address of an index, or into UV_INDEX_<NAME>_PASSWORD",
        )
    return expanded


def _has_host(value: str, address: str, where: str | None) -> bool:
    """Whether a variable alone has the host of an address, or the folder that it is below: its user named it there."""
    return where == origin(value) if where else value.startswith("file:") and address.startswith(value)


def _is_secret(name: str, environ: Mapping[str, str]) -> bool:
    return is_secret_name(name) or signs(name) or looks_secret(environ[name])


def _requirement(place: str, text: str, kind: Kind, name: str) -> Line | Refused:
    hashes = tuple(_HASH.findall(text))
    rest = _HASH.sub("", text).strip()
    if option := re.search(r"\s(--[a-z-]+)", rest):
        told = f"{option[1]} is not understood after a requirement; only --hash is"
        return Refused(place, told, f"remove it from {name}")
    return Line(place, rest, kind, hashes)


def _split_options(text: str) -> list[tuple[str, str]]:
    """`-rbase.txt`, `-r "base file.txt"`, `--requirement=base.txt` as an option and its value without quotes; a line may have
    several, such as `--no-index --find-links wheels`."""
    try:
        words = shlex.split(text)
    except ValueError:  # a quote that is not closed
        words = text.split()
    found: list[tuple[str, list[str]]] = []
    for word in words:
        match = re.fullmatch(r"(--[a-z-]+)(?:=(.*))?|(-[A-Za-z])(.*)", word, re.DOTALL)
        if match is not None:
            value = match[2] if match[1] else match[4]
            found.append((match[1] or match[3], [value] if value else []))
        elif found:
            found[-1][1].append(word)
        else:
            found.append((word, []))
    return [(option, " ".join(values)) for option, values in found]


def _relative(value: str, option: str, folder: Path) -> str:
    """A folder of wheels, or an index in one, is relative to the file that names it."""
    if option in ("--no-index", "--trusted-host") or "://" in value or not value:
        return value
    return str((folder / value).resolve())


def _decode(path: Path, name: str) -> str:
    """The file's text by its byte order mark, its `coding:` line (PEP 263), else as UTF-8."""
    try:
        data = read_linked(path)
    except FileNotFoundError:
        raise UsageError(
            f"no requirements file {name}",
            hint="check environment.requirements in repro.toml, and -r and -c in the file",
        ) from None
    except IsADirectoryError:
        raise UsageError(f"{name} is a folder, not a requirements file", hint="name a file in it") from None
    except OSError as error:
        raise UsageError(f"{name} cannot be read: {error.strerror}", hint="check the file") from None
    encoding = next((encoding for mark, encoding in _MARKS if data.startswith(mark)), None)
    if encoding is None:
        first_lines = b"\n".join(line for line in data.split(b"\n")[:2] if line.startswith(b"#"))
        coding = _CODING.search(first_lines)
        encoding = coding[1].decode("ascii") if coding else "utf-8"
    try:
        return data.decode(encoding).removeprefix("\ufeff")
    except (UnicodeDecodeError, LookupError):
        raise UsageError(f"{name} cannot be read: it is not {encoding.upper()}", hint="save it as UTF-8") from None


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """(number of the first line, text): lines that end in a backslash joined, comments and empty lines left out."""
    start, parts = 1, list[str]()
    for number, line in enumerate(text.splitlines(), 1):
        if not parts:
            start = number
        comment = re.match(r"\s*#", line) is not None
        if line.endswith("\\") and not comment:
            parts.append(line.removesuffix("\\"))
            continue
        parts.append(f" {line}" if comment else line)  # a comment ends what is continued
        joined, parts = _COMMENT.sub("", "".join(parts)).strip(), []
        if joined:
            yield start, joined
    if joined := _COMMENT.sub("", "".join(parts)).strip():
        yield start, joined
