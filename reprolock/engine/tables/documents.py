"""The digest of a table of JSON documents, over the documents as they are written. No Spark is asked.

A reader of JSON that looks for columns gives one text for 1 and "1" in a column that holds both, takes the first of two
documents on a line, and makes one double of two numbers. So a row is a document's canonical text
(`json_compare.canonical_text`): keys sorted, numbers with all their digits, a missing key apart from null. Its SHA-256 is cut into
four lanes, which are added up modulo 2^64. A column is a key at the top of any document, and the type of all is "json".
"""

from __future__ import annotations

import codecs
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from struct import unpack
from typing import Any
from zlib import crc32

from reprolock.engine.tables.source import source_of, unread
from reprolock.model.json_compare import canonical_text, parse_document
from reprolock.model.table import Column, TableDigest, table_digest
from reprolock.readers.files import DataFile, content, find_files
from reprolock.readers.source import JSON_BLANKS, Source

_KEPT = {"multiline", "recursivefilelookup"}
_OF_TYPES = {
    *(
        "mode",
        "samplingratio",
        "dateformat",
        "timestampformat",
        "timestampntzformat",
        "inferdate",
        "infertimestamp",
        "timezone",
    ),
    *("prefersdecimal", "primitivesasstring", "locale", "dropfieldifallnull", "columnnameofcorruptrecord"),
    *("allownonnumericnumbers", "encoding", "charset"),
}
"""Options that decide how values are read, and not which documents there are."""


class NotDocuments(Exception):
    """Why there is no digest; the sentence names the file."""


def digest(path: Path, options: Mapping[str, str], ignore: Sequence[str] = ()) -> TableDigest:
    """The digest without the keys, at the top of each document, that are ignored.

    NotDocuments where a file does not hold what JSON is; UsageError for a folder that cannot be listed as Spark lists it.
    """
    source = source_of(path, "json", options)
    if odd := sorted(source.options.keys() - _KEPT - _OF_TYPES):
        raise NotDocuments(f'with the option "{odd[0]}" it is not known which documents there are')
    rows, lanes, hints, seen = 0, [0, 0, 0, 0], Counter[str](), set[str]()
    if (told := unread(source)) is not None:
        raise NotDocuments(told)
    for document in _documents(source):
        seen |= document.keys()
        kept = {key: canonical_text(value) for key, value in sorted(document.items()) if key not in ignore}
        text = ",".join(f"{json.dumps(key)}:{value}" for key, value in kept.items())
        for lane, number in enumerate(unpack("<4Q", sha256(text.encode()).digest())):
            lanes[lane] += number
        hints.update({key: crc32(value.encode()) for key, value in kept.items()})
        rows += 1
    _check_ignored(ignore, seen)
    columns = tuple(
        Column(name=key, type="json", sum=f"{hints[key] % 2**64:016x}") for key in sorted(seen) if key not in ignore
    )
    return table_digest(rows, columns, tuple(lanes))


def _check_ignored(ignore: Sequence[str], seen: set[str]) -> None:
    for name in ignore:
        if name not in seen:
            raise NotDocuments(f'ignore names "{name}", and the columns are {", ".join(sorted(seen))}')
    if ignore and not seen.difference(ignore):
        raise NotDocuments("ignore leaves no column to compare")


def _documents(source: Source) -> Iterator[dict[str, Any]]:
    """The objects of all files, with the columns of their folders."""
    for file in find_files(source):
        folders = dict(file.partition)
        for line, value in _values(source, file):
            for document in value if isinstance(value, list) else [value]:
                if not isinstance(document, dict):
                    raise NotDocuments(f"{file.path.name} holds {_kind(document)} in line {line}, and not an object")
                if both := sorted(folders.keys() & document.keys()):
                    raise NotDocuments(
                        f"the files have a column {both[0]}, which their folders {both[0]}=… hide; rename one of them"
                    )
                yield document | folders


def _values(source: Source, file: DataFile) -> Iterator[tuple[int, Any]]:
    """(line, value) of each line that is not blank; with multiLine of the whole file."""
    encoding = source.options.get("encoding", source.options.get("charset", "UTF-8"))
    try:
        text = content(source, file.path).decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError:
        raise NotDocuments(f"{file.path.name} has bytes that are not {codecs.lookup(encoding).name.upper()}") from None
    except LookupError:
        raise NotDocuments(f"the encoding {encoding} is not known here") from None
    whole = source.flag("multiline")
    for number, line in enumerate([text] if whole else text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), 1):
        if line.strip(JSON_BLANKS):
            try:
                yield number, parse_document(line)
            except ValueError as error:
                where = "" if whole else f", line {number}"
                raise NotDocuments(f"{file.path.name}{where}: {str(error).removesuffix(' in line 1')}") from None


def _kind(value: Any) -> str:
    return "null" if value is None else f"a {type(value).__name__}"
