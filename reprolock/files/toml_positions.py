"""Where a key stands in a TOML file: (path of keys) -> line. Asked only once a file has a problem.

The parsers that give values give no positions, so the syntax tree comes from tree-sitter.
"""

from __future__ import annotations

import tomllib
from functools import lru_cache

import tree_sitter_toml
from tree_sitter import Language, Node, Parser

Path = tuple[str | int, ...]


def line_of(text: str, path: Path) -> int:
    """The line (from 1) of the key, or of the nearest key above it that is there; 1 for none."""
    places = _places(text)
    for length in range(len(path), 0, -1):
        if line := places.get(tuple(path[:length])):
            return line
    return 1


@lru_cache(maxsize=1)  # a file with thousands of problems is asked for each of them
def _places(text: str) -> dict[Path, int]:
    places: dict[Path, int] = {}
    tree = Parser(Language(tree_sitter_toml.language())).parse(text.encode())
    arrays: dict[Path, int] = {}
    for node in tree.root_node.children:
        if node.type == "pair":
            _pair(node, (), places)
        elif node.type in ("table", "table_array_element"):
            key = next(child for child in node.children if child.type.endswith("key"))
            path: Path = _keys(key)
            if node.type == "table_array_element":
                arrays[path] = arrays.get(path, -1) + 1
                path = (*path, arrays[path])
            _mark(places, path, node)
            for child in node.children:
                if child.type == "pair":
                    _pair(child, path, places)
    return places


def _pair(node: Node, above: Path, places: dict[Path, int]) -> None:
    key, value = node.children[0], node.children[-1]
    path = (*above, *_keys(key))
    _mark(places, path, key)
    _value(value, path, places)


def _value(node: Node, path: Path, places: dict[Path, int]) -> None:
    if node.type == "inline_table":
        for child in node.children:
            if child.type == "pair":
                _pair(child, path, places)
    elif node.type == "array":
        items = [child for child in node.children if child.is_named and child.type != "comment"]
        for index, child in enumerate(items):
            _mark(places, (*path, index), child)
            _value(child, (*path, index), places)


def _mark(places: dict[Path, int], path: Path, node: Node) -> None:
    line = node.start_point[0] + 1
    for length in range(1, len(path) + 1):
        places.setdefault(path[:length], line)


def _keys(node: Node) -> tuple[str, ...]:
    text = (node.text or b"").decode()
    names: list[str] = []
    table = tomllib.loads(f"{text} = 0")  # the standard library's own reading of quotes and dots
    while isinstance(table, dict):
        name, table = next(iter(table.items()))
        names.append(name)
    return tuple(names)
