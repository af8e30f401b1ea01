"""Generators for the laws about lakes: paths, contents, trees as dictionaries, changes to them."""

from __future__ import annotations

from hypothesis import strategies as st

from reprolock.model.uri import check_path

segments = st.sampled_from(["a", "b", "a-", "a.b", "A", "é", "z z"])
"""Few, so that paths meet; some that sort differently with and without the slash after them."""
paths = st.lists(segments, min_size=1, max_size=3).map("/".join)
contents = st.sampled_from([b"", b"1", b"2", b"line 1\nline 2\n"])


def _storable(tree: dict[str, bytes]) -> bool:
    return not any(other.startswith(f"{path}/") for path in tree for other in tree)


trees = st.dictionaries(paths, contents, max_size=6).filter(_storable)
"""Objects by path, none beside a folder of its name."""


@st.composite
def edited(draw: st.DrawFn, tree: dict[str, bytes]) -> dict[str, bytes]:
    """The tree after a few changes: what a branch makes of its base."""
    kept = {path: data for path, data in tree.items() if draw(st.integers(0, 3))}
    return draw(st.just({**kept, **draw(st.dictionaries(paths, contents, max_size=3))}).filter(_storable))


three_sides = trees.flatmap(lambda base: st.tuples(st.just(base), edited(base), edited(base)))
"""A base and what two branches made of it."""

any_text = st.text(st.characters(blacklist_categories=()), max_size=12)
"""Text with all that Python allows, lone surrogates and NUL included."""
_awkward = st.sampled_from(
    [".git", ".GIT", "git~1", "..", ".", "", " ", "a" * 256, "a" * 1100, "%2F", "+", "\n", "con", "é", "é"]
)
any_path = st.lists(st.one_of(any_text, _awkward), min_size=1, max_size=4).map("/".join)


def in_grammar(path: str) -> bool:
    """Whether an address can carry the path of an object."""
    try:
        check_path(path)
        return bool(path) and not path.endswith("/") and len(path.encode()) <= 1024
    except ValueError:
        return False
