"""`Grid`: every combination of some values of params with some refs of datasets. Values, no IO."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from random import Random
from typing import Any, NamedTuple

from reprolock.errors import UsageError
from reprolock.model.placeholders import as_argument
from reprolock.steps.locking.overrides import WhatIf, parse_param, parse_value


class Axis(NamedTuple):
    """What is varied: a param by its dotted name, or the ref of a dataset; and its values, each once."""

    name: str
    values: tuple[Any, ...]
    of_data: bool = False

    @property
    def option(self) -> str:
        """The option of the command line that it comes from."""
        return "--data" if self.of_data else "--set"

    def value_of(self, what_if: WhatIf) -> Any:
        """The value that a combination has of it."""
        return (what_if.data if self.of_data else what_if.params)[self.name]

    def shown(self, what_if: WhatIf) -> str:
        """The same as people write it."""
        return as_argument(self.value_of(what_if))


class Grid(NamedTuple):
    """The combinations of some axes, the last of which varies fastest; all of them, or those with the numbers in `chosen`."""

    axes: tuple[Axis, ...]
    chosen: tuple[int, ...] | None = None

    def combinations(self) -> Iterator[WhatIf]:
        """Those that are meant, in the order of the grid."""
        for number in self.chosen if self.chosen is not None else range(self.whole):
            yield self._at(number)

    @property
    def whole(self) -> int:
        """How many combinations there are."""
        return prod(len(axis.values) for axis in self.axes)

    @property
    def size(self) -> int:
        """How many of them are meant."""
        return self.whole if self.chosen is None else len(self.chosen)

    def told(self, what_if: WhatIf) -> str:
        """A combination in one line: the name of its run."""
        return ", ".join(f"{axis.name}={axis.shown(what_if)}" for axis in self.axes)

    def sampled(self, count: int, seed: int) -> Grid:
        """`count` of its combinations, the same ones for the same seed, in the order of the grid; all, where it has no more."""
        if count >= self.whole:
            return self
        return self._replace(chosen=tuple(sorted(Random(seed).sample(range(self.whole), count))))

    def _at(self, number: int) -> WhatIf:
        params: dict[str, Any] = {}
        data: dict[str, str] = {}
        for axis in reversed(self.axes):
            number, index = divmod(number, len(axis.values))
            (data if axis.of_data else params)[axis.name] = axis.values[index]
        return WhatIf(params, data)


def parse_grid(params: Sequence[str], data: Sequence[str]) -> Grid:
    """The grid of `depth=1,2,3` and `train=main,experiment1`. UsageError for what is no axis, or one that is named twice."""
    axes = [_param_axis(text) for text in params] + [_data_axis(text) for text in data]
    for index, axis in enumerate(axes):
        if any((axis.name, axis.of_data) == (other.name, other.of_data) for other in axes[:index]):
            raise UsageError(
                f"{axis.option} {axis.name} is given twice", hint="write its values after one another, with commas"
            )
        if not axis.values:
            raise UsageError(f"{axis.option} {axis.name} names no value", hint=f"write {axis.option} {axis.name}=1,2,3")
        for place, value in enumerate(axis.values):
            if any(_same(value, other) for other in axis.values[:place]):
                raise UsageError(
                    f"{axis.option} {axis.name} names {as_argument(value)} twice", hint="name each value once"
                )
    if not axes:
        raise UsageError("there is nothing to vary", hint="write --set PARAM=1,2,3 or --data DATASET=main,other")
    return Grid(tuple(axes))


def _same(value: Any, other: Any) -> bool:
    """As they are written: a NaN is no number that equals another."""
    return type(value) is type(other) and as_argument(value) == as_argument(other)


def _param_axis(text: str) -> Axis:
    name, _ = parse_param(text)
    values = text.partition("=")[2]
    try:
        return Axis(name, tuple(parse_value(f"[{values}]")))
    except ValueError:  # words without quotes
        return Axis(name, tuple(parse_param(f"{name}={part.strip()}")[1] for part in values.split(",")))


def _data_axis(text: str) -> Axis:
    name, equals, refs = text.partition("=")
    values = tuple(ref.strip() for ref in refs.split(","))
    if not equals or not name or not all(values):
        raise UsageError(
            f'--data "{text}" is not NAME=REF,REF',
            hint="name a dataset and its refs, such as `--data train=main,other`",
        )
    return Axis(name, values, True)
