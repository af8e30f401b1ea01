"""Encode a table's rows as bytes without Spark: from Arrow arrays in Spark's types, the same bytes that `row_encoding` makes.

In: an array. Out: an array of bytes, none of them null. The form is described in `row_encoding`; a property test holds
the two equal, type by type.
"""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_LONG_DIGITS = 18
_SEED = 42
_PRIMES = [
    np.uint64(prime)
    for prime in (0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5)
]
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NAMES = {
    pa.bool_(): "boolean", pa.int8(): "tinyint", pa.int16(): "smallint", pa.int32(): "int", pa.int64(): "bigint",
    pa.float32(): "float", pa.float64(): "double", pa.string(): "string", pa.binary(): "binary", pa.date32(): "date",
    pa.timestamp("us", "UTC"): "timestamp", pa.timestamp("us"): "timestamp_ntz", pa.null(): "void",
}  # fmt: skip
_HEX = np.frombuffer("".join(f"{byte:02X}" for byte in range(256)).encode(), np.uint16)
_BYTES = pa.large_binary()
_NOTHING = pa.scalar(b"", _BYTES)


class NoForm(Exception):
    """A type that has no form to be compared in."""


def type_name(kind: Any) -> str:
    """A type as `row_encoding.type_name` writes it."""
    if pa.types.is_list(kind):
        return f"array<{type_name(kind.value_type)}>"
    if pa.types.is_map(kind):
        return f"map<{type_name(kind.key_type)},{type_name(kind.item_type)}>"
    if pa.types.is_struct(kind):
        return f"struct<{','.join(f'{_quoted(field.name)}:{type_name(field.type)}' for field in kind)}>"
    if pa.types.is_decimal(kind):
        return f"decimal({kind.precision},{kind.scale})"
    if kind not in _NAMES:
        raise NoForm(str(kind))
    return _NAMES[kind]


def _quoted(name: str) -> str:
    return name if _PLAIN_NAME.fullmatch(name) else json.dumps(name)


def is_scalar(kind: Any) -> bool:
    """Whether a value is 64 bits, or fewer."""
    if pa.types.is_decimal(kind):
        return bool(kind.precision <= _LONG_DIGITS)
    return bool(pa.types.is_primitive(kind))


def encode_rows(columns: list[Any], *, approximate: bool = False) -> Any:
    """The bytes of each row: those of its columns, one after the other.

    With `approximate`, floats and decimals enter with their null tag alone.
    """
    pieces: list[Any] = []
    fixed: list[np.ndarray] = []
    for column in columns:
        for piece in _parts(column, approximate):
            if isinstance(piece, np.ndarray):
                fixed.append(piece)
            else:
                pieces += [*_merged(fixed), piece]
                fixed = []
    pieces += _merged(fixed)
    return pc.binary_join_element_wise(*pieces, _NOTHING) if len(pieces) > 1 else pieces[0]


def hash64(numbers: np.ndarray) -> np.ndarray:
    """Spark's xxhash64 of longs, given and returned as unsigned ones."""
    first, second, third, fourth, fifth = _PRIMES
    state = np.uint64(_SEED) + fifth + np.uint64(8) ^ (_rotated(numbers * second, 31) * first)
    state = _rotated(state, 27) * first + fourth
    state ^= state >> np.uint64(33)
    state *= second
    state ^= state >> np.uint64(29)
    state *= third
    return state ^ state >> np.uint64(32)


def bits(array: Any) -> np.ndarray:
    """For each value of a type that `is_scalar` the number, never null, that stands for it."""
    hashed = hash64(_longs(array).view(np.uint64))
    if array.null_count:
        hashed[pc.is_null(array).to_numpy(zero_copy_only=False)] = _SEED
    return hashed


def _parts(array: Any, approximate: bool) -> list[Any]:
    """The pieces of each value's bytes: matrices of bytes, of one row a value, and arrays of bytes of any length."""
    kind = array.type
    if approximate and (pa.types.is_floating(kind) or pa.types.is_decimal(kind)) or pa.types.is_null(kind):
        return [_tags(array)]
    if is_scalar(kind):
        return [_tags(array), bits(array).astype(">u8").view(np.uint8).reshape(-1, 8)]
    if pa.types.is_struct(kind):
        return [_tags(array), *(piece for field in array.flatten() for piece in _parts(field, approximate))]
    if pa.types.is_list(kind):
        return _text(array, _hex(array.flatten(), approximate), _lengths(array))
    if pa.types.is_map(kind):
        return _text(array, _entries(array, approximate), _lengths(array))
    if pa.types.is_decimal(kind):
        return _text(array, _digits(array))
    if pa.types.is_string(kind) or pa.types.is_binary(kind):
        return _text(array, array.cast(pa.large_string() if pa.types.is_string(kind) else _BYTES).cast(_BYTES))
    raise NoForm(str(kind))


def _longs(array: Any) -> np.ndarray:
    kind = array.type
    if pa.types.is_floating(kind):
        numbers: np.ndarray = array.cast(pa.float64()).fill_null(0.0).to_numpy(zero_copy_only=False).copy()
        numbers[np.isnan(numbers)] = np.nan
        numbers[numbers == 0.0] = 0.0
        return numbers.view(np.int64)
    if pa.types.is_decimal(kind):
        low = np.frombuffer(array.buffers()[1], np.int64)[::2]
        return np.ascontiguousarray(low[array.offset : array.offset + len(array)])
    if pa.types.is_date(kind):
        array = array.cast(pa.int32())
    return np.ascontiguousarray(array.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False))


def _tags(array: Any) -> np.ndarray:
    valid: np.ndarray = pc.is_valid(array).to_numpy(zero_copy_only=False)
    return valid.astype(np.uint8).reshape(-1, 1)


def _text(array: Any, content: Any, counts: np.ndarray | None = None) -> list[Any]:
    """Length and bytes. `content` has one element a value, or as many as `counts` says, which are put together."""
    if counts is not None:
        offsets = _offsets(content)[np.concatenate(([0], np.cumsum(counts)))]
        content = _binary(offsets, _data(content))
    lengths = pc.binary_length(content).fill_null(0).to_numpy(zero_copy_only=False).astype(">i4")
    if array.null_count:
        lengths[pc.is_null(array).to_numpy(zero_copy_only=False)] = -1
    return [lengths.view(np.uint8).reshape(-1, 4), content.fill_null(b"")]


def _lengths(array: Any) -> np.ndarray:
    if pa.types.is_map(array.type):
        ends = np.frombuffer(array.buffers()[1], np.int32)[array.offset : array.offset + len(array) + 1]
        return np.where(pc.is_valid(array).to_numpy(zero_copy_only=False), np.diff(ends), 0).astype(np.int64)
    lengths: np.ndarray = pc.list_value_length(array).fill_null(0).to_numpy(zero_copy_only=False)
    return lengths.astype(np.int64)


def _hex(array: Any, approximate: bool) -> Any:
    """The bytes of each value in hexadecimal."""
    rows = encode_rows([array], approximate=approximate)
    offsets = _offsets(rows)
    digits = _HEX[_data(rows)[offsets[0] : offsets[-1]]].view(np.uint8)
    return _binary(2 * (offsets - offsets[0]), digits)


def _entries(array: Any, approximate: bool) -> Any:
    """Keys and values in hexadecimal, entry by entry, those of a map in the order of their keys."""
    kind = pa.struct([pa.field("key", array.type.key_type, nullable=False), pa.field("value", array.type.item_type)])
    keys, items = array.cast(pa.list_(pa.field("entries", kind, nullable=False))).flatten().flatten()
    key, counts = _hex(keys, False), _lengths(array)
    whole = pc.binary_join_element_wise(key, _hex(items, approximate), _NOTHING)
    table = pa.table({"map": np.repeat(np.arange(len(array)), counts), "key": key})
    return whole.take(pc.sort_indices(table, [("map", "ascending"), ("key", "ascending")]))


def _digits(array: Any) -> Any:
    """The digits of decimals. Arrow writes only those near 0 with an exponent."""
    text = array.cast(pa.large_string())
    odd = pc.match_substring(text, "E").fill_null(False)
    if pc.any(odd).as_py():
        plain = [f"{value.as_py():f}" for value in array.filter(odd)]
        text = pc.replace_with_mask(text, odd, pa.array(plain, pa.large_string()))
    return text.cast(_BYTES)


def _merged(fixed: list[np.ndarray]) -> list[Any]:
    """Matrices side by side as one array of bytes."""
    if not fixed:
        return []
    matrix = np.hstack(fixed)
    return [_binary(np.arange(len(matrix) + 1, dtype=np.int64) * matrix.shape[1], matrix.reshape(-1))]


def _binary(offsets: np.ndarray, data: np.ndarray) -> Any:
    buffers = [None, pa.py_buffer(np.ascontiguousarray(offsets, np.int64)), pa.py_buffer(data)]
    return pa.LargeBinaryArray.from_buffers(_BYTES, len(offsets) - 1, buffers)


def _offsets(array: Any) -> np.ndarray:
    return np.frombuffer(array.buffers()[1], np.int64)[array.offset : array.offset + len(array) + 1]


def _data(array: Any) -> np.ndarray:
    buffer = array.buffers()[2]
    return np.frombuffer(buffer, np.uint8) if buffer else np.empty(0, np.uint8)


def _rotated(numbers: np.ndarray, by: int) -> np.ndarray:
    return numbers << np.uint64(by) | numbers >> np.uint64(64 - by)
