"""Datasets made by a seeded generator from the pieces that parsers disagree about; the same each time."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator

from differential import ANY, Case

_VALUES = [
    "",
    "a",
    "b c",
    " d",
    "e ",
    "1",
    "-2",
    "3.5",
    "NA",
    "null",
    "2020-01-02",
    "true",
    "é",
    "x'y",
    "#z",
    "\\",
    "a\\b",
]
_QUOTED = [
    '""',
    '"a"',
    '"b,c"',
    '"d ""e"" f"',
    '"g\\"h"',
    '"i\\\\"',
    '"j',
    'k"',
    'l"m',
    '"n"o',
    '" p "',
    '"\\q"',
    "'r'",
    '"s;t"',
]
_TYPED = [
    ["1", "-2", "+3", "007", "2147483647", ""],
    ["1", "2147483648", "-9223372036854775808", "9223372036854775807"],
    ["1.5", "2", "-0.0", "1e5", "1E-3", ".5", "5.", "NaN", "Inf", "-Infinity", ""],
    ["2020-01-02", "1999-12-31", "0001-01-01", "2020-1-2", "2020-02-30", ""],
    ["2020-01-02 03:04:05", "2020-01-02T03:04:05.25", "2020-01-02T03:04:05Z", "1969-12-31 23:59:59.999999", ""],
    ["true", "FALSE", "True", "", "t"],
    ["1d", "2f", "0x1F", " 1", "1 ", "١", "1_000", "1,5"],
    ["12:30", "T10", "2020", "2020-01", "12:30:61", "2020-01-02 5 o'clock", "epoch"],
    ["9223372036854775808", "1.0e1", "1e400", "12345678901234567890123456789012345678901"],
    ["a", "b", "nan", "inf", "N/A", "-", ".", "+", "e5"],
]
_OPTIONS: list[dict[str, str]] = [
    {},
    {"header": "true"},
    {"header": "true", "escape": '"'},
    {"header": "true", "quote": ""},
    {"header": "true", "sep": ";"},
    {"header": "true", "nullValue": "NA"},
    {"header": "true", "nullValue": "a", "emptyValue": "E"},
    {"header": "true", "comment": "#"},
    {"header": "true", "ignoreLeadingWhiteSpace": "true", "ignoreTrailingWhiteSpace": "true"},
    {"header": "true", "mode": "DROPMALFORMED"},
    {"header": "true", "multiLine": "true"},
    {"header": "true", "multiLine": "true", "escape": '"'},
    {"header": "true", "sep": "||"},
    {"header": "true", "sep": "\\t", "quote": "'"},
]
_ENDS = ["\n", "\n", "\n", "\r\n", "\r"]


def generated(seed: int = 7, scale: int = 1) -> list[Case]:
    """All of them; `scale` makes as many times more, for a long look by hand."""
    chance = random.Random(seed)
    made = [
        *_csv(chance, 42 * scale),
        *_typed_csv(chance, 30 * scale),
        *_json(chance, 24 * scale),
        *_text(chance, 6 * scale),
    ]
    return [*made, *_partitions(chance, 6 * scale)]


def _csv(chance: random.Random, count: int) -> Iterator[Case]:
    for number in range(count):
        options = _OPTIONS[number % len(_OPTIONS)]
        separator = {"\\t": "\t"}.get(options.get("sep", ","), options.get("sep", ","))
        width, end = chance.randint(1, 4), chance.choice(_ENDS)
        lines = (
            [separator.join(chance.sample(["id", "v", "Name", "", "x y", '"q"'], width))] if "header" in options else []
        )
        odd = chance.random()
        for _ in range(chance.randint(1, 5)):
            wide = width + (chance.choice([-1, 0, 1, 1]) if chance.random() < 0.15 else 0)
            pieces = [chance.choice(_QUOTED if chance.random() < odd * 0.4 else _VALUES) for _ in range(max(wide, 1))]
            lines.append(separator.join(pieces))
            if chance.random() < 0.1:
                lines.append(chance.choice(["", "  ", "\t", "#c"]))
        text = end.join(lines) + chance.choice([end, ""])
        yield Case(f"csv-{number}", "csv", {"a.csv": text.encode()}, options, refused=ANY)


def _typed_csv(chance: random.Random, count: int) -> Iterator[Case]:
    for number in range(count):
        pool = list(chance.choice(_TYPED))
        if chance.random() < 0.35:
            pool += chance.choice(_TYPED)
        values = [chance.choice(pool) for _ in range(chance.randint(1, 5))]
        if chance.random() < 0.2:
            values.append(chance.choice(["NA", '""', " ", "x"]))
        text = "k,v\n" + "".join(f"{index},{value}\n" for index, value in enumerate(values) if "," not in value)
        options = {"header": "true", "inferSchema": "true", **chance.choice([{}, {}, {"nullValue": "NA"}])}
        yield Case(f"typed-{number}", "csv", {"a.csv": text.encode()}, options, refused=ANY)


def _json(chance: random.Random, count: int) -> Iterator[Case]:
    for number in range(count):
        style = [_value(chance, 2) for _ in range(4)]
        records = []
        for _ in range(chance.randint(1, 4)):
            keys = chance.sample(["b", "a", "2020", "é", "a b", "Z"], chance.randint(1, 4))
            records.append({key: chance.choice([style[hash_of(key) % 4], None, _value(chance, 2)]) for key in keys})
        lines = [json.dumps(record, ensure_ascii=chance.random() < 0.5) for record in records]
        if chance.random() < 0.15:
            lines.insert(
                chance.randint(0, len(lines)),
                chance.choice(["", "  ", "{", "[]", '{"a": 1} x', "null", "{'a': 1}", '{"a": 01}']),
            )
        multi = chance.random() < 0.25
        text = f"[{','.join(line for line in lines if line.strip())}]" if multi else "\n".join(lines)
        options = {"multiLine": "true"} if multi else {}
        yield Case(f"json-{number}", "json", {"a.json": text.encode()}, options, refused=ANY)


def hash_of(text: str) -> int:
    """A small number that is the same in each process."""
    return sum(text.encode())


def _value(chance: random.Random, depth: int) -> object:
    plain: list[object] = [
        1,
        2**53 + 1,
        -(2**63),
        2**63,
        1.5,
        1e300,
        0.1,
        "x",
        "",
        "2020-01-01",
        "007",
        True,
        False,
        None,
    ]
    kind = chance.random()
    if depth and kind < 0.15:
        return [_value(chance, depth - 1) for _ in range(chance.randint(0, 3))]
    if depth and kind < 0.3:
        return {key: _value(chance, depth - 1) for key in chance.sample(["p", "q", "P"], chance.randint(0, 2))}
    return chance.choice(plain)


def _text(chance: random.Random, count: int) -> Iterator[Case]:
    for number in range(count):
        pieces = ["a", "é", " ", "\t", "\n", "\r\n", "\r", "\n\n", "\u2028", "\x0b", "\x85", "\ufeff", '"', "\\"]
        text = "".join(chance.choice(pieces) for _ in range(chance.randint(0, 12)))
        options = {"wholetext": "true"} if number % 3 == 0 else {}
        yield Case(f"text-{number}", "text", {"a.txt": text.encode()}, options, refused=ANY)


def _partitions(chance: random.Random, count: int) -> Iterator[Case]:
    values = [
        "1",
        "01",
        "-5",
        "2147483648",
        "1.5",
        "2020-01-02",
        "x",
        "a b",
        "a%3Ab",
        "true",
        "2020-01-02 03%3A04%3A05",
    ]
    values += ["__HIVE_DEFAULT_PARTITION__", "NaN", "1e5", "é", "99999999999999999999", "1d", "12%3A30", "+1", "_"]
    for number in range(count):
        names = chance.sample(values, chance.randint(1, 3))
        files = {f"p={name}/q=z/a.txt": name.encode() for name in names}
        yield Case(f"partitions-{number}", "text", files, refused=ANY)
