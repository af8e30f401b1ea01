"""Check a grid's values, and the addresses that its results are published to, before a lake is contacted."""

from __future__ import annotations

from typing import Any

from reprolock.errors import UsageError
from reprolock.files.secrets import Scanner
from reprolock.model.placeholders import as_argument
from reprolock.model.spec import Spec
from reprolock.steps.experiments.grid import Grid
from reprolock.steps.locking.overrides import WhatIf, with_params
from reprolock.steps.publishing.addresses import check_data_targets, fill_addresses


def check_values(spec: Spec, grid: Grid, scanner: Scanner, *, merge: bool, publishing_off: bool) -> None:
    """UsageError for a value that the project does not take, that is a secret, or that is another one written otherwise, and where
    results would go to one address."""
    for axis in grid.axes:
        given: dict[str, Any] = {}
        for value in axis.values if not axis.of_data else ():
            scanner.check(as_argument(value), f"--set {axis.name}", lines=False)
            told = as_argument(dict(with_params(spec, {axis.name: value}).params))
            if told in given:
                raise UsageError(
                    f"--set {axis.name}: {as_argument(given[told])} and {as_argument(value)} are the same value",
                    hint="name each value once",
                )
            given[told] = value
    if publishing_off or not spec.published:
        return
    addresses: dict[str, WhatIf] = {}
    for what_if in grid.combinations():
        declared = with_params(spec, what_if.params)
        filled = fill_addresses(declared, what_if.data)
        check_data_targets(declared, filled, what_if.data)
        for name, place in filled.published.items() if merge else ():
            if "{run_id}" not in str(place) and addresses.setdefault(str(place), what_if) is not what_if:
                raise UsageError(
                    f"--merge: outputs.{name} of more than one run would be published to {place}",
                    hint=f"write what is varied in outputs.{name}.publish, such as {{run_id}}, or leave out --merge",
                )
