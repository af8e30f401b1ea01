"""Fill in the addresses that a run's outputs are published to, and keep a run on other data from publishing over other results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from reprolock.errors import UsageError
from reprolock.model.placeholders import ADDRESS_ROOTS, as_argument, expand, lookup, names_in
from reprolock.model.spec import OutputSpec, Spec
from reprolock.model.value import first_problem

_RUN_ID = "{run_id}"
_DOTS = ("", ".", "..")


def fill_addresses(spec: Spec, data: Mapping[str, str], *, to: str | None = None) -> Spec:
    """The spec with every placeholder in a `publish` filled in but `{run_id}`, which is known later.

    `data` are the refs of --data by dataset; `to` is a branch that stands in for those that are declared. UsageError for a
    value that is no single part of an address, and where two outputs would come to one address.
    """
    if to is not None and (not to or "/" in to):
        raise UsageError(f'--publish-to: "{to}" is not a branch', hint="name a branch of the outputs' repository")
    branches = {name: {"branch": data.get(name, dataset.place.ref)} for name, dataset in spec.datasets.items()}
    return _filled(spec, {"params": spec.params, "datasets": branches, "run_id": _RUN_ID}, to)


def fill_run_id(spec: Spec, run_id: str) -> Spec:
    """The spec with `{run_id}` filled in, too."""
    return _filled(spec, {"run_id": run_id}, None)


def outputs_with_branches_to_make(spec: Spec, *, to: str | None = None) -> frozenset[str]:
    """The outputs whose branch a placeholder or --publish-to names: it is made where it is not there."""
    return frozenset(
        name for name, place in spec.published.items() if to is not None or any(names_in(place.ref, ADDRESS_ROOTS))
    )


def check_data_targets(declared: Spec, filled: Spec, data: Mapping[str, str]) -> None:
    """UsageError where a run on other data than declared would publish where the results of the declared data are."""
    asked = {f"datasets.{name}.branch" for name in data} | {"run_id"}
    for name, place in filled.published.items() if data else ():
        names = asked.intersection(names_in(declared.outputs[name].publish or "", ADDRESS_ROOTS))
        if not names and place.ref not in data.values():
            changed = ", ".join(f"--data {dataset}={ref}" for dataset, ref in data.items())
            raise UsageError(
                f"{changed}: outputs.{name} is published to {place}, which is for the results of other data",
                hint=f'write "{{datasets.{next(iter(data))}.branch}}" in outputs.{name}.publish, or name a branch with --publish-to',
            )


def _filled(spec: Spec, values: Mapping[str, Any], to: str | None) -> Spec:
    roots = tuple(values)
    outputs = {name: _output(name, output, values, roots, to) for name, output in spec.outputs.items()}
    if outputs == spec.outputs:
        return spec
    try:
        return spec.replaced({"outputs": outputs})
    except ValidationError as error:
        raise UsageError(
            f"outputs.{'.'.join(map(str, error.errors()[0]['loc'][1:]))}: {first_problem(error)}",
            hint="give each output an address of its own",
        ) from None


def _output(
    name: str, output: OutputSpec, values: Mapping[str, Any], roots: tuple[str, ...], to: str | None
) -> OutputSpec:
    if output.publish is None:
        return output
    text = output.publish
    if to is not None:
        repository, _, path = text.removeprefix("lakefs://").split("/", 2)
        text = f"lakefs://{repository}/{to}/{path}"
    for placeholder in names_in(text, roots):
        value = lookup(placeholder, values)
        if isinstance(value, Mapping | list) or as_argument(value) in _DOTS or "/" in as_argument(value):
            raise UsageError(
                f"outputs.{name}.publish: {{{placeholder}}} is {as_argument(value)!r}, which is not a single part of an address",
                hint="name another param there, or write the address out",
            )
    try:
        return output.replaced({"publish": expand(text, values, roots)})
    except ValidationError as error:
        raise UsageError(
            f"outputs.{name}.publish: {first_problem(error)}", hint="change publish in repro.toml"
        ) from None
