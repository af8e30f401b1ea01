"""Tables of random types and values, the same ones every time, for what must hold of every type."""

from __future__ import annotations

import datetime
import struct
from decimal import Decimal
from random import Random
from typing import Any

import pyarrow as pa

_SCALARS = [
    *(pa.bool_(), pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.float32(), pa.float64(), pa.string(), pa.binary()),
    *(pa.date32(), pa.timestamp("us", "UTC"), pa.timestamp("us"), pa.decimal128(9, 2), pa.decimal128(18, 18)),
    *(pa.decimal128(19, 0), pa.decimal128(38, 18), pa.decimal128(38, 38)),
]
_WORDS = ["", "a", "ü", "\U0001f600", "a\0b", "~", " ", "0", "long " * 20]
_FLOATS = [0.0, -0.0, 1.5, -1e300, 5e-324, float("inf"), float("-inf"), float("nan")]


def random_table(seed: int) -> pa.Table:
    """A table of one to four columns, nested up to three levels deep."""
    random = Random(seed)
    kinds = {f"c{index}": _type(random, 3) for index in range(random.randint(1, 4))}
    rows = random.choice([0, 1, 7, 40])
    return pa.table({name: pa.array([_value(random, kind) for _ in range(rows)], kind) for name, kind in kinds.items()})


def _type(random: Random, depth: int) -> Any:
    kind = random.choice(["scalar", "list", "map", "struct"]) if depth else "scalar"
    if kind == "list":
        return pa.list_(_type(random, depth - 1))
    if kind == "map":
        return pa.map_(random.choice([pa.string(), pa.int64(), pa.date32()]), _type(random, depth - 1))
    if kind == "struct":
        return pa.struct([(f"f{index}", _type(random, depth - 1)) for index in range(random.randint(1, 3))])
    return random.choice(_SCALARS)


def _value(random: Random, kind: Any, *, null: bool = True) -> Any:
    if null and random.random() < 0.2:
        return None
    if pa.types.is_list(kind):
        return [_value(random, kind.value_type) for _ in range(random.randint(0, 3))]
    if pa.types.is_map(kind):
        keys = {_value(random, kind.key_type, null=False) for _ in range(random.randint(0, 3))}
        return [(key, _value(random, kind.item_type)) for key in sorted(keys, reverse=True)]
    if pa.types.is_struct(kind):
        return {field.name: _value(random, field.type) for field in kind}
    return _scalar(random, kind)


def _scalar(random: Random, kind: Any) -> Any:
    if pa.types.is_boolean(kind):
        return random.random() < 0.5
    if pa.types.is_integer(kind):
        bits = kind.bit_width - 1
        return random.choice([0, 1, -1, 2**bits - 1, -(2**bits), random.randrange(-(2**bits), 2**bits)])
    if pa.types.is_floating(kind):
        value = random.choice([*_FLOATS, random.uniform(-10, 10)])
        return struct.unpack("f", struct.pack("f", value))[0] if kind == pa.float32() and abs(value) < 1e30 else value
    if pa.types.is_decimal(kind):
        digits = random.randrange(10 ** random.randint(0, kind.precision))
        return Decimal(random.choice([digits, -digits, 0, 1])).scaleb(-kind.scale)
    if pa.types.is_date(kind):
        return datetime.date.fromordinal(random.choice([577_736, 719_163, random.randrange(600_000, 3_000_000)]))
    if pa.types.is_timestamp(kind):
        return datetime.datetime(1970, 1, 1) + datetime.timedelta(microseconds=random.randrange(-(10**15), 10**17))
    return random.choice(_WORDS) if pa.types.is_string(kind) else random.choice([b"", b"\x00\xff", b"abc"])
