"""Read which options a script takes, from its source alone: nothing of it is executed."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

Scalar = bool | int | float | str
_LONGEST = 200
"""Characters; what is longer is no path."""
_FLAGS = ("store_true", "store_false", "count", "version", "help")


class Argument(NamedTuple):
    """One option with a default: `--max-iter`, 20."""

    flag: str
    default: Scalar

    @property
    def name(self) -> str:
        """What a param for it is called, as argparse and click call it."""
        return self.flag.lstrip("-").replace("-", "_")


class ScriptFacts(NamedTuple):
    """Options with a default, the top names of the packages that are imported, and all short texts."""

    arguments: tuple[Argument, ...]
    imports: frozenset[str]
    texts: frozenset[str] = frozenset()


def read_script(source: str) -> ScriptFacts:
    """What argparse's `add_argument` and click's or Typer's `option` are called with. Nothing of what is no Python."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ScriptFacts((), frozenset())
    return ScriptFacts(tuple(dict.fromkeys(_arguments(tree))), frozenset(_imports(tree)), frozenset(_texts(tree)))


def _arguments(tree: ast.AST) -> Iterator[Argument]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _called(node.func) in ("add_argument", "option"):
            flags = [text for item in node.args if isinstance(text := _literal(item), str) and text.startswith("--")]
            given = {word.arg: _literal(word.value) for word in node.keywords if word.arg}
            default = given.get("default")
            if flags and isinstance(default, Scalar) and given.get("action") not in _FLAGS and "is_flag" not in given:
                yield Argument(max(flags, key=len), default)


def _called(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _literal(node: ast.expr) -> object:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return None


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def _texts(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and 0 < len(node.value) <= _LONGEST:
            yield node.value
