"""What a Parquet file stores, where Arrow gives something else: times of INT96 without a sign, unsigned numbers cut to their bits.

A file's own values are read by its footer without the annotations: INT96 as 12 bytes, unsigned numbers as the integers
that hold them. Only where Arrow's values leave a doubt is a column read once more.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from reprolock.readers.columnar import parts

_JAVA = "parquet-mr"
"""The writer of Spark and Hive, which makes INT96 of a count that 64 bits hold."""
_DAYS = (1, 2_440_588 + 106_751_990)
"""Julian days that are as many microseconds in Spark and Arrow; of day 0 Arrow makes 1970."""
_SURE = (pa.scalar(-62_135_596_800_000_000), pa.scalar(253_402_300_800_000_000))
"""The years 1 to 9999, in microseconds."""
_SMALL = {"UINT_8": 0xFF, "UINT_16": 0xFFFF}
_BATCH = 1 << 16
_INT96, _FIXED = 3, 7
_STRUCT, _LIST, _BINARY, _DOUBLE = 12, 9, 8, 7


def odd_numbers(parquet: Any, path: Path) -> str | None:
    """The first column with an unsigned number that its bits do not hold, which Spark gives as it is; None where there is none."""
    for index in range(len(parquet.schema)):
        most = _SMALL.get(parquet.schema.column(index).converted_type)
        if most is not None and not _proven(parquet.metadata, index, most):
            name = parquet.schema.column(index).path
            for values in _stored(path, index):
                if pc.any(pc.or_(pc.less(values, 0), pc.greater(values, most))).as_py():
                    return str(name)
    return None


def may_be_odd(parquet: Any, table: Any) -> bool:
    """Whether a time of these rows may be another than the one that is stored as INT96."""
    if not any(parquet.schema.column(index).physical_type == "INT96" for index in range(len(parquet.schema))):
        return False
    return not (parquet.metadata.created_by or "").startswith(_JAVA) or any(
        _is_unsure(part)
        for column in table.columns
        for chunk in (column.chunks if isinstance(column, pa.ChunkedArray) else [column])
        for part in parts(chunk)
        if pa.types.is_timestamp(part.type)
    )


def odd_times(parquet: Any, path: Path) -> str | None:
    """The first column with a time of INT96 that Arrow counts otherwise than Spark; None where there is none."""
    for index in range(len(parquet.schema)):
        if parquet.schema.column(index).physical_type == "INT96":
            for values in _stored(path, index):
                cells = numpy.frombuffer(b"".join(values.to_pylist()), [("nanos", "<i8"), ("day", "<i4")])
                if ((cells["day"] < _DAYS[0]) | (cells["day"] > _DAYS[1]) | (cells["nanos"] < 0)).any():
                    return str(parquet.schema.column(index).path)
    return None


def _is_unsure(times: Any) -> bool:
    micros = times.cast(pa.int64())
    beyond = pc.or_(pc.less(micros, _SURE[0]), pc.greater_equal(micros, _SURE[1]))
    return bool(pc.any(pc.or_(beyond, pc.equal(micros, 0))).as_py())


def _proven(metadata: Any, index: int, most: int) -> bool:
    """Whether the file's statistics say that all numbers of a leaf are from 0 to this."""
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        known = group.column(index).statistics if group.column(index).is_stats_set else None
        if known is None or not known.has_min_max or not 0 <= known.min_raw <= known.max_raw <= most:
            return False
    return True


def _stored(path: Path, index: int) -> Iterator[Any]:
    """The values of a leaf as they are stored, without the missing ones."""
    with path.open("rb") as stream:
        stream.seek(-8, 2)
        size = int.from_bytes(stream.read(4), "little")
        stream.seek(-8 - size, 2)
        footer = stream.read(size)
    plain = _written(_STRUCT, _without_annotations(_Footer(footer).value(_STRUCT)))
    alone = b"PAR1" + plain + len(plain).to_bytes(4, "little") + b"PAR1"
    parquet = pq.ParquetFile(path, metadata=pq.read_metadata(pa.BufferReader(alone)), memory_map=True)
    column = parquet.schema.column(index).path
    for batch in parquet.iter_batches(batch_size=_BATCH, columns=[column]):
        for array in batch.columns:
            yield from (part.drop_null() for part in parts(array) if not part.type.num_fields)


# Thrift's compact form. A value of a struct is a list of [field, type, value], one of a list (type of its items, items).


def _without_annotations(footer: list[Any]) -> list[Any]:
    kept = [field for field in footer if field[0] not in (5, 7)]  # notes, which name Arrow's types, and orders
    for number, _, value in kept:
        if number == 2:
            value[1][:] = [_plain_leaf(element) for element in value[1]]
        if number == 4:
            for group in value[1]:
                for chunk in (chunk for field in group if field[0] == 1 for chunk in field[2][1]):
                    for about in (field[2] for field in chunk if field[0] == 3):
                        about[:] = [_fixed(field) for field in about if field[0] != 12]
    return kept


def _plain_leaf(element: list[Any]) -> list[Any]:
    """An element of the schema without its logical type; INT96 as 12 bytes."""
    if not any(field[0] == 1 for field in element):
        return element
    kept = [_fixed(field) for field in element if field[0] not in (6, 7, 8, 10)]
    if kept[0][2] == _FIXED and kept[0] not in element:
        kept.insert(1, [2, 5, 12])
    return kept


def _fixed(field: list[Any]) -> list[Any]:
    return [1, field[1], _FIXED] if field[0] == 1 and field[2] == _INT96 else field


class _Footer:
    """A reader of bytes, from the first on."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def value(self, kind: int) -> Any:
        """The next value of a type."""
        if kind == _STRUCT:
            return list(self._fields())
        if kind in (_LIST, _LIST + 1):
            head = self._take(1)[0]
            size = head >> 4 if head >> 4 < 15 else self._number()
            return head & 15, [self.value(head & 15) for _ in range(size)]
        if kind == _BINARY:
            return self._take(self._number())
        if kind == _DOUBLE:
            return self._take(8)
        if kind < 4:  # a boolean in a list, or a byte
            return self._take(1)[0]
        number = self._number()
        return number >> 1 ^ -(number & 1)

    def _fields(self) -> Iterator[list[Any]]:
        number = 0
        while head := self._take(1)[0]:
            number = number + (head >> 4) if head >> 4 else self.value(4)
            kind = head & 15
            yield [number, kind, None if kind < 3 else self.value(kind)]

    def _number(self) -> int:
        made, shift = 0, 0
        while (byte := self._take(1)[0]) & 128:
            made, shift = made | (byte & 127) << shift, shift + 7
        return made | byte << shift

    def _take(self, size: int) -> bytes:
        self._at += size
        return self._data[self._at - size : self._at]


def _written(kind: int, value: Any) -> bytes:
    """A value as `_Footer` reads it."""
    if kind == _STRUCT:
        fields = (bytes([of]) + _zigzag(number) + (b"" if of < 3 else _written(of, part)) for number, of, part in value)
        return b"".join(fields) + b"\0"
    if kind in (_LIST, _LIST + 1):
        of, items = value
        return bytes([0xF0 | of]) + _varint(len(items)) + b"".join(_written(of, item) for item in items)
    if kind == _BINARY:
        return _varint(len(value)) + bytes(value)
    if kind == _DOUBLE:
        return bytes(value)
    return struct.pack("B", value) if kind < 4 else _zigzag(value)


def _zigzag(number: int) -> bytes:
    return _varint(number << 1 ^ (number >> 63))


def _varint(number: int) -> bytes:
    made = bytearray()
    while number > 127:
        made.append(number & 127 | 128)
        number >>= 7
    return bytes([*made, number])
