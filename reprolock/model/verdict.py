"""`Verdict`: whether a replay gave the same result. Values, and the rules by which they are made; no IO.

In: what two runs left, one pair at a time. Out: `Comparison`, one per declared output and metric, and the
`Verdict` over all of them. REPRODUCED means that something was declared, and that every declared
comparison was made and passed; a Verdict that says so without that cannot be constructed.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, Strict, model_validator

from reprolock.errors import Diverged, NotReplayable
from reprolock.model.spec import OutputSpec, Tolerance
from reprolock.model.value import Value

Strings = Annotated[tuple[str, ...], Strict(False)]
Number = int | float | Decimal
State = Literal["identical", "within tolerance", "different", "missing"]

_SCHEMES = {"bytes": {"file", "executable", "folder"}, "table": {"rows"}, "json": {"document"}}


class Comparison(Value):
    """One declared output or metric of two runs."""

    name: str = Field(description="Name in repro.toml.")
    kind: Literal["output", "metric"]
    how: str = Field(description='How it was compared: "bytes", "table", "json", "exact", "±1e-6", "table ±1e-6".')
    recorded: str | None = Field(description="The recorded run's value or digest. None: it has none.")
    found: str | None = Field(description="The replay's. None: it has none.")
    state: State = Field(description='"missing": the comparison could not be made.')
    differences: Strings = Field((), description="Sentences on what differs, or on why nothing could be compared.")
    unmeasured: bool = Field(False, description="The replay's is there, and this machine could not measure it.")
    empty: bool = Field(False, description="Both runs wrote it, and neither wrote a file, or a row, into it.")

    @model_validator(mode="after")
    def _two_sides(self) -> Comparison:
        if self.passed and (self.recorded is None or self.found is None):
            raise ValueError(f"{self.state} needs two values to compare")
        return self

    @property
    def passed(self) -> bool:
        """Compared, and the same."""
        return self.state in ("identical", "within tolerance")

    @property
    def not_given(self) -> bool:
        """The recorded run has it and the replay has not: a different result, not a comparison that failed."""
        return self.state == "missing" and self.recorded is not None and self.found is None and not self.unmeasured


class Measured(NamedTuple):
    """What is known of one output of one run. `problem`: why there is no digest, although something was written.

    `of_the_machine`: the problem is not a property of what was written.
    """

    digest: str | None
    problem: str | None = None
    of_the_machine: bool = False


class Verdict(Value):
    """REPRODUCED, DIVERGED or NOT REPLAYABLE, and what it rests on."""

    kind: Literal["REPRODUCED", "DIVERGED", "NOT REPLAYABLE"]
    reason: str = Field(description="One sentence, for people.")
    comparisons: Annotated[tuple[Comparison, ...], Strict(False)] = ()
    differing: Strings = Field(
        (), description="Sections of the inputs and the environment that differ from the record."
    )
    unlocked: Strings = Field((), description='What was not locked, as remarks: "on Java 17.0.15, recorded 17.0.12".')

    @model_validator(mode="after")
    def _rests_on_what_it_says(self) -> Verdict:
        if self.kind == "REPRODUCED" and not (self.comparisons and all(each.passed for each in self.comparisons)):
            raise ValueError("REPRODUCED needs every declared comparison made and passed")
        return self

    @property
    def inputs(self) -> str:
        """What differs in the inputs and the observed environment, or that nothing does."""
        if not self.differing:
            return "nothing differs in the inputs and the observed environment"
        return f"what differs in the inputs and the observed environment: {', '.join(self.differing)}"

    @property
    def exit_code(self) -> int:
        """0, 6 or 7."""
        return {"REPRODUCED": 0, "DIVERGED": Diverged.exit_code, "NOT REPLAYABLE": NotReplayable.exit_code}[self.kind]


def verdict(comparisons: Sequence[Comparison], differing: Sequence[str] = (), unlocked: Sequence[str] = ()) -> Verdict:
    """The verdict over all declared comparisons.

    1. Nothing declared: NOT REPLAYABLE.
    2. One that differs, or that the replay did not give: DIVERGED, whatever else could not be compared.
    3. One that could not be made, for the record lacks it, or it cannot be read or measured here: NOT REPLAYABLE.
    4. Else REPRODUCED, also where inputs differ: `differing` and `unlocked` say so beside it.
    """
    kind, reason = _decide(comparisons)
    return Verdict(
        kind=kind, reason=reason, comparisons=tuple(comparisons), differing=tuple(differing), unlocked=tuple(unlocked)
    )


def not_replayable(reason: str, unlocked: Sequence[str] = ()) -> Verdict:
    """The verdict on a run that could not even be tried: `reason` is one sentence."""
    return Verdict(kind="NOT REPLAYABLE", reason=reason, unlocked=tuple(unlocked))


def compare_metric(name: str, tolerance: Tolerance, recorded: float | None, found: float | None) -> Comparison:
    """None: the run did not log it. NaN is identical to NaN, an infinity only to itself, -0.0 to 0.0.

    MLflow's databases keep an infinity as the largest double: where both may be one, nothing is known.
    """
    state: State
    clipped = recorded is not None and found is not None and _clipped(recorded, found)
    if recorded is None or found is None or clipped:
        state = "missing"
    elif _same(recorded, found):
        state = "identical"
    else:
        state = "within tolerance" if close(recorded, found, tolerance.rel, tolerance.abs) else "different"
    runs = [run for run, value in (("the recorded run", recorded), ("the replay", found)) if value is None]
    told = [f"{run} did not log it" for run in runs]
    if clipped:
        told.append(
            "MLflow's databases keep an infinity as 1.797e308, so it cannot be told which of the two was logged"
        )
    return Comparison(
        name=name,
        kind="metric",
        how=shown_tolerance(tolerance.rel, tolerance.abs) or "exact",
        recorded=displayed(recorded),
        found=displayed(found),
        state=state,
        differences=tuple(told),
    )


def compare_output(
    name: str,
    declared: OutputSpec,
    recorded: Measured,
    found: Measured,
    *,
    beyond: Sequence[str] | None = None,
    details: Sequence[str] = (),
    empty: bool = False,
) -> Comparison:
    """Compare two digests; only what differs and has a tolerance needs more. ValueError for compare = "none".

    `beyond` is what lies beyond the tolerance when both were compared, empty where nothing does,
    None where that was not possible; `details` are sentences on what differs, or on why that was not possible.
    `empty`: both were written, and neither holds a file or a row.
    """
    if declared.compare not in _SCHEMES:
        raise ValueError(f'output "{name}" is declared with compare = "{declared.compare}"')
    tolerance = shown_tolerance(declared.rel or 0.0, declared.abs or 0.0)
    state, differences = _judge_output(declared.compare, recorded, found, tolerance, beyond, details)
    return Comparison(
        name=name,
        kind="output",
        how=f"{declared.compare} {tolerance}".rstrip(),
        recorded=recorded.digest,
        found=found.digest,
        state=state,
        differences=differences,
        unmeasured=found.digest is None and found.of_the_machine,
        empty=empty,
    )


def close(one: Number, other: Number, rel: float, abs_: float) -> bool:
    """As math.isclose, with NaN close to NaN; integers and decimals are taken exactly, whatever their size.

    To them a tolerance of 0.3 is three tenths, as it is written, and not the double that is nearest.
    """
    if _same(one, other):
        return True
    if not (_finite(one) and _finite(other)):
        return False
    if not (isinstance(one, float) and isinstance(other, float)):
        a, b = Fraction(one), Fraction(other)
        return abs(a - b) <= max(Fraction(repr(rel)) * max(abs(a), abs(b)), Fraction(repr(abs_)))
    return math.isclose(one, other, rel_tol=rel, abs_tol=abs_)


def shown_tolerance(rel: float, abs_: float) -> str:
    """`±1e-6`, `±0.01 absolute`, both, or "" where nothing may move."""
    said = [f"±{_number(rel)}"] if rel else []
    said += [f"±{_number(abs_)} absolute"] if abs_ else []
    return " or ".join(said)


def _decide(comparisons: Sequence[Comparison]) -> tuple[Literal["REPRODUCED", "DIVERGED", "NOT REPLAYABLE"], str]:
    if not comparisons:
        return (
            "NOT REPLAYABLE",
            "nothing is declared to compare: repro.toml has no metric and no output that is compared",
        )
    if wrong := [each.name for each in comparisons if each.state == "different" or each.not_given]:
        return "DIVERGED", f"{len(wrong)} of {len(comparisons)} differ: {', '.join(wrong)}"
    if missing := [each for each in comparisons if not each.passed]:
        why = f": {missing[0].differences[0]}" if missing[0].differences else ""
        return "NOT REPLAYABLE", f'{missing[0].kind} "{missing[0].name}" could not be compared{why}'
    empty = [each.name for each in comparisons if each.empty]
    nothing = f", and nothing is in {', '.join(empty)}" if empty else ""
    return "REPRODUCED", f"{len(comparisons)} of {len(comparisons)} compared{nothing}"


def _judge_output(
    how: str, recorded: Measured, found: Measured, tolerance: str, beyond: Sequence[str] | None, details: Sequence[str]
) -> tuple[State, tuple[str, ...]]:
    if recorded.digest is None or found.digest is None:
        runs = (("the recorded run", recorded), ("the replay", found))
        return "missing", tuple(each.problem or f"{run} did not write it" for run, each in runs if each.digest is None)
    if recorded.digest == found.digest:
        return "identical", ()
    if not {_scheme(recorded.digest), _scheme(found.digest)} <= _SCHEMES[how]:
        return "missing", (
            f'"{_scheme(recorded.digest)}:" and "{_scheme(found.digest)}:" are digests of different kinds',
        )
    if not tolerance:
        return "different", (*(beyond or ()), *details)
    if beyond is None:
        return "missing", tuple(details) or (
            "the recorded output was not kept, so that its tolerance cannot be checked",
        )
    return ("different", (*beyond, *details)) if beyond else ("within tolerance", ())


def _scheme(digest: str) -> str:
    return digest.partition(":")[0]


def _same(one: Number, other: Number) -> bool:
    return one == other or (one != one and other != other)


def _clipped(one: float, other: float) -> bool:
    """Whether two values are alike, and at least one of them may stand for an infinity or for the largest double."""
    largest = sys.float_info.max
    return largest in (abs(one), abs(other)) and min(abs(one), abs(other)) >= largest and (one > 0) == (other > 0)


def _finite(value: Number) -> bool:
    return not isinstance(value, float) or math.isfinite(value)


def displayed(value: float | None) -> str | None:
    """0.9473, and 336776 for 336776.0, as people write them; every digit that tells two values apart."""
    if value is None:
        return None
    return repr(int(value)) if math.isfinite(value) and value == int(value) and abs(value) < 1e15 else repr(value)


def _number(value: float) -> str:
    """1e-06 → 1e-6."""
    mantissa, _, exponent = repr(value).partition("e")
    return f"{mantissa}e{int(exponent)}" if exponent else mantissa.removesuffix(".0")
