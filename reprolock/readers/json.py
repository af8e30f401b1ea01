"""JSON as Spark reads it: a record per line, or per file with `multiLine`; types are those of all records together.

Spark's own schema: whole numbers are long, others double; a key that only some records have is null elsewhere; the
columns are sorted by name. What JSON's standard does not allow, and records that do not agree, are refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa

from reprolock.readers.files import DataFile, find_files
from reprolock.readers.partitions import joined
from reprolock.readers.source import JSON_BLANKS, Source, same_name
from reprolock.readers.text import decoded, lines_of
from reprolock.readers.types import STRING

_BOM = "\ufeff"
_ENCODINGS = ("encoding", "charset")
_SURROGATE = re.compile("[\ud800-\udfff]")
_MOST_LONG = 2**63
_MOST_DIGITS = 1000
"""Of a number that Spark's parser takes."""
_MOST_DEEP = 64
"""Spark's parser takes a thousand, and what Spark hands on to Arrow ends earlier."""
_LONG_NAME, _LONG_TEXT = 25_000, 10_000_000
"""Characters. Spark's parser takes a key of 50,000 units of UTF-16 and a text of 20 millions, of which a character has up to two."""


class Disagreement(ValueError):
    """Records of which Spark makes something of its own; the text is a noun with what is wrong about it."""


def read(source: Source) -> Any:
    """The records of all files. UsageError for a record that Spark reads otherwise than the JSON standard says."""
    source.check_options(("multiline", *_ENCODINGS))
    source.check_encoding()
    files = find_files(source)
    try:
        records = [list(_records(source, file)) for file in files]
        kind: Any = None
        for part in records:
            for record in part:
                kind = merge(kind, kind_of(record))
    except Disagreement as disagreement:
        raise source.refusal(str(disagreement)) from None
    except RecursionError:
        raise source.refusal("records that are nested so deeply") from None
    fields = {} if kind is None else arrow_fields(kind)
    if not fields:
        raise source.refusal("files without a single key")
    return _tables(source, files, records, fields)


def _tables(source: Source, files: list[DataFile], records: list[list[Any]], fields: dict[str, Any]) -> Any:
    if "_corrupt_record" in fields:
        raise source.refusal('a key of the name "_corrupt_record"')
    _check_cases(source, pa.struct(list(fields.items())))
    schema = pa.schema(list(fields.items()))
    tables = []
    for part in records:
        columns = [pa.array([_value(record.get(name), type) for record in part], type) for name, type in fields.items()]
        tables.append(pa.table(columns, schema=schema))
    return joined(source, files, tables)


def _check_cases(source: Source, struct: Any) -> None:
    """Spark takes keys that differ in case alone for one key, or for an error."""
    if (twice := same_name([field.name for field in struct])) is not None:
        raise source.refusal(f'two keys of the name "{twice}"')
    for field in struct:
        inner = field.type
        while pa.types.is_list(inner):
            inner = inner.value_type
        if pa.types.is_struct(inner):
            _check_cases(source, inner)


def _records(source: Source, file: DataFile) -> Iterator[dict[str, Any]]:
    text = decoded(source, file)
    if source.flag("multiline"):
        documents = [("", text.removeprefix(_BOM))] if text else []
        if text.startswith(_BOM) and not documents[0][1].strip(JSON_BLANKS):
            raise Disagreement(f"{file.path.name}, which is only a byte order mark")
        if text.startswith(_BOM) and not source.options.keys().isdisjoint(_ENCODINGS):
            raise Disagreement(f"{file.path.name}, which begins with a byte order mark, with multiLine and an encoding")
    else:
        documents = [(f"line {number} of ", line) for number, line in enumerate(lines_of(text), 1)]
    for where, document in documents:
        if not document.strip(JSON_BLANKS):
            continue
        record = _parsed(f"{where}{file.path.name}", document)
        if isinstance(record, list) and source.flag("multiline") and all(isinstance(item, dict) for item in record):
            yield from record
        elif isinstance(record, dict):
            yield record
        else:
            raise Disagreement(f"{where}{file.path.name}, which is not an object")


def _parsed(where: str, document: str) -> Any:
    try:
        record = json.loads(document, parse_constant=_no_constant, parse_float=_float, object_pairs_hook=_object)
    except RecursionError:
        raise
    except Disagreement as disagreement:
        raise Disagreement(f"{where}, which has {disagreement}") from None
    except ValueError as error:
        raise Disagreement(f"{where}, which is not JSON ({error})") from None
    if len(document) > _LONG_NAME or document.count("[") + document.count("{") > _MOST_DEEP:
        _check_size(where, record)
    if "\\u" in document and _SURROGATE.search(json.dumps(record, ensure_ascii=False)):
        raise Disagreement(f"{where}, which has half a surrogate pair")
    return record


def _check_size(where: str, value: Any, depth: int = 0) -> None:
    if depth > _MOST_DEEP:
        raise Disagreement(f"{where}, which is nested more than {_MOST_DEEP} deep")
    if isinstance(value, dict):
        if any(len(name) > _LONG_NAME for name in value):
            raise Disagreement(f"{where}, which has a key of more than {_LONG_NAME} characters")
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            _check_size(where, item, depth + 1)
    elif isinstance(value, str) and len(value) > _LONG_TEXT:
        raise Disagreement(f"{where}, which has a text of more than {_LONG_TEXT} characters")


def _float(text: str) -> float:
    if len(text) > _MOST_DIGITS:
        raise Disagreement(f"a number of more than {_MOST_DIGITS} digits")
    return float(text)


def _no_constant(name: str) -> Any:
    raise Disagreement(f"{name}, which JSON does not have")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise Disagreement("a key twice in one object")
    return made


# A kind is what Spark infers: None (nothing is known), "boolean", "long", "double", "string", "empty" (an empty text), a
# list with the kind of its elements, or a dict of kinds.


def kind_of(value: Any) -> Any:
    """What Spark infers from one value. Disagreement for numbers that it makes decimals of."""
    if value is None:
        return None
    if isinstance(value, str):
        return "string" if value else "empty"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        if not -_MOST_LONG <= value < _MOST_LONG:
            raise Disagreement(f"the number {str(value)[:40]}, which is longer than 64 bits")
        return "long"
    if isinstance(value, float):
        if value in (float("inf"), float("-inf")):
            raise Disagreement("a number beyond the range of a double")
        return "double"
    if isinstance(value, list):
        element: Any = None
        for item in value:
            element = merge(element, kind_of(item))
        return [element]
    return {name: kind_of(item) for name, item in value.items()}


def merge(one: Any, other: Any) -> Any:
    """The kind of values of both kinds. Disagreement where Spark would turn one into the text of the other."""
    if one == other or other is None:
        return one
    if one is None:
        return other
    if isinstance(one, dict) and isinstance(other, dict):
        return {name: merge(one.get(name), other.get(name)) for name in {**one, **other}}
    if isinstance(one, list) and isinstance(other, list):
        return [merge(one[0], other[0])]
    kinds = {_name(one), _name(other)}
    if kinds == {"long", "double"}:
        return "double"
    if kinds == {"empty", "string"}:
        return "string"
    raise Disagreement(f"a key whose values are of two types ({' and '.join(sorted(kinds))})")


def _name(kind: Any) -> str:
    return kind if isinstance(kind, str) else "an object" if isinstance(kind, dict) else "a list"


def arrow_fields(kind: dict[str, Any]) -> dict[str, Any]:
    """The columns of a record's kind, by name; keys without anything in them have none."""
    # Java sorts names by their UTF-16 code units.
    names = sorted((name for name in kind if name), key=lambda name: name.encode("utf-16-be", "surrogatepass"))
    return {name: type for name in names if (type := _arrow(kind[name])) is not None}


_SCALARS: dict[Any, Callable[[], Any]] = {"boolean": pa.bool_, "long": pa.int64, "double": pa.float64}


def _arrow(kind: Any) -> Any:
    if isinstance(kind, list):
        element = _arrow(kind[0])
        return None if element is None else pa.list_(pa.field("element", element))
    if isinstance(kind, dict):
        fields = arrow_fields(kind)
        return pa.struct(list(fields.items())) if fields else None
    return _SCALARS[kind]() if kind in _SCALARS else STRING


def _value(value: Any, type: Any) -> Any:
    """A value as its column takes it: a whole number beside others becomes a double."""
    if value is None:
        return None
    if pa.types.is_floating(type):
        return float(value)
    if pa.types.is_list(type):
        return [_value(item, type.value_type) for item in value]
    if pa.types.is_struct(type):
        return {field.name: _value(value.get(field.name), field.type) for field in type}
    return value
