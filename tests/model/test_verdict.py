"""The rules of comparison and the verdict: what a person reads in a replay's last lines."""

from __future__ import annotations

import math
import sys
from decimal import Decimal

import pytest
from pydantic import ValidationError

from reprolock.model.spec import OutputSpec, Tolerance
from reprolock.model.table import Column, ColumnDeviation, TableComparison, TableDigest, table_differences, table_digest
from reprolock.model.verdict import (
    Comparison,
    Measured,
    Verdict,
    close,
    compare_metric,
    compare_output,
    not_replayable,
    shown_tolerance,
    verdict,
)

EXACT = Tolerance()
BYTES = OutputSpec(path="out", compare="bytes")
TABLE = OutputSpec(path="out", compare="table", format="parquet")
NEAR = OutputSpec(path="out", compare="table", format="parquet", rel=1e-6)
SAME = compare_metric("rows", EXACT, 3.0, 3.0)
OTHER = compare_metric("accuracy", EXACT, 0.5, 0.25)
UNLOGGED = compare_metric("recall", EXACT, 0.5, None)
UNRECORDED = compare_metric("recall", EXACT, None, 0.5)


@pytest.mark.parametrize(
    ("tolerance", "recorded", "found", "state"),
    [
        (EXACT, 0.9473, 0.9473, "identical"),
        (EXACT, 0.1 + 0.2, 0.3, "different"),
        (Tolerance(rel=1e-6), 0.1 + 0.2, 0.3, "within tolerance"),
        (Tolerance(rel=1e-6), 1.0, 1.000002, "different"),
        (Tolerance(rel=1e-6), 0.0, 1e-300, "different"),
        (Tolerance(abs=0.01), 0.0, 0.01, "within tolerance"),
        (Tolerance(abs=0.01), 0.0, 0.011, "different"),
        (Tolerance(rel=0.5, abs=0.01), 10.0, 6.0, "within tolerance"),
        (EXACT, math.nan, math.nan, "identical"),
        (Tolerance(abs=1e300), math.nan, 1.0, "different"),
        (EXACT, math.inf, math.inf, "identical"),
        (Tolerance(rel=0.5, abs=1e308), math.inf, 1e308, "different"),
        (Tolerance(rel=0.5), math.inf, -math.inf, "different"),
        (EXACT, 0.0, -0.0, "identical"),
        (EXACT, 1.0, None, "missing"),
        (Tolerance(rel=0.5), None, 1.0, "missing"),
        (EXACT, None, None, "missing"),
    ],
)
def test_a_metric(tolerance: Tolerance, recorded: float | None, found: float | None, state: str) -> None:
    assert compare_metric("accuracy", tolerance, recorded, found).state == state


def test_a_metric_as_people_read_it() -> None:
    assert compare_metric("accuracy", Tolerance(rel=1e-6), 0.9473, 0.94730000001) == Comparison(
        name="accuracy",
        kind="metric",
        how="±1e-6",
        recorded="0.9473",
        found="0.94730000001",
        state="within tolerance",
    )
    rows = compare_metric("rows", EXACT, 336776.0, None)
    assert (rows.how, rows.recorded, rows.found) == ("exact", "336776", None)
    assert rows.differences == ("the replay did not log it",)
    assert compare_metric("x", EXACT, math.nan, math.inf).recorded == "nan"
    assert compare_metric("x", EXACT, None, 1.0).differences == ("the recorded run did not log it",)


def test_integers_are_compared_exactly_at_any_size() -> None:
    assert not close(2**53, 2**53 + 1, 0.0, 0.5)
    assert close(2**53, 2**53 + 1, 0.0, 1.0)
    assert close(Decimal("0.3"), Decimal("0.6"), 0.0, 0.3)  # three tenths, which no double is
    assert close(10**400, 10**400 + 1, 1e-9, 0.0)
    assert not close(10**400, 1.0, 0.5, 0.0)


@pytest.mark.parametrize(
    ("rel", "abs_", "text"),
    [
        (1e-6, 0.0, "±1e-6"),
        (0.0, 0.01, "±0.01 absolute"),
        (1.5e-10, 2.0, "±1.5e-10 or ±2 absolute"),
        (0.0, 0.0, ""),
    ],
)
def test_how_a_tolerance_is_shown(rel: float, abs_: float, text: str) -> None:
    assert shown_tolerance(rel, abs_) == text


def output(declared: OutputSpec, recorded: str | None, found: str | None, **more: object) -> Comparison:
    return compare_output("predictions", declared, Measured(recorded), Measured(found), **more)  # type: ignore[arg-type]


def test_equal_digests_are_identical() -> None:
    compared = output(NEAR, "rows:4c7e", "rows:4c7e")
    assert compared == Comparison(
        name="predictions",
        kind="output",
        how="table ±1e-6",
        recorded="rows:4c7e",
        found="rows:4c7e",
        state="identical",
    )


def test_digests_that_differ_are_different_and_say_in_what() -> None:
    compared = output(TABLE, "rows:4c7e", "rows:91aa", details=['column "x" holds other values'])
    assert (compared.how, compared.state, compared.differences) == (
        "table",
        "different",
        ('column "x" holds other values',),
    )
    assert output(BYTES, "file:4c7e", "folder:91aa").state == "different"


def test_a_tolerance_needs_both_tables() -> None:
    compared = output(NEAR, "rows:4c7e", "rows:91aa")
    assert compared.state == "missing"
    assert compared.differences == ("the recorded output was not kept, so that its tolerance cannot be checked",)
    assert verdict([compared]).kind == "NOT REPLAYABLE"
    assert output(NEAR, "rows:4c7e", "rows:91aa", beyond=()).state == "within tolerance"
    beyond = output(NEAR, "rows:4c7e", "rows:91aa", beyond=['column "x": 1 of 3 rows'])
    assert (beyond.state, beyond.differences) == ("different", ('column "x": 1 of 3 rows',))


def test_without_a_tolerance_nothing_lies_within_it() -> None:
    assert output(TABLE, "rows:4c7e", "rows:91aa", beyond=()).state == "different"


def test_digests_of_two_kinds_are_never_compared() -> None:
    compared = output(TABLE, "rows:4c7e", "folder:4c7e")
    assert compared.state == "missing"
    assert compared.differences == ('"rows:" and "folder:" are digests of different kinds',)
    assert output(TABLE, "folder:1", "folder:2").state == "missing"


def test_what_this_machine_cannot_measure_is_no_other_result() -> None:
    problem = Measured(None, "Spark could not compute digests of tables: no Java", of_the_machine=True)
    compared = compare_output("scores", TABLE, Measured("rows:1"), problem)
    assert (compared.state, compared.not_given, compared.differences) == ("missing", False, (problem.problem,))
    judged = verdict([compared])
    assert (judged.kind, judged.reason, judged.exit_code) == (
        "NOT REPLAYABLE",
        'output "scores" could not be compared: Spark could not compute digests of tables: no Java',
        7,
    )
    assert (
        verdict([compare_output("scores", TABLE, Measured("rows:1"), problem._replace(of_the_machine=False))]).kind
        == "DIVERGED"
    )
    assert verdict([compared, compare_metric("loss", EXACT, 1.0, 2.0)]).kind == "DIVERGED"


def test_what_cannot_be_read_is_missing() -> None:
    problem = Measured(None, "out cannot be compared as a parquet table: Could not read footer")
    compared = compare_output("p", TABLE, Measured("rows:1"), problem)
    assert (compared.state, compared.differences) == ("missing", (problem.problem,))
    assert verdict([compared]).kind == "DIVERGED"
    compared = compare_output("p", TABLE, problem, problem)
    assert compared.state == "missing"
    assert verdict([compared]).kind == "NOT REPLAYABLE"
    assert output(BYTES, "file:1", None).differences == ("the replay did not write it",)


def test_an_output_that_is_not_compared_is_none_to_compare() -> None:
    with pytest.raises(ValueError, match='output "predictions" is declared with compare = "none"'):
        output(OutputSpec(path="out", compare="none"), "file:1", "file:1")


@pytest.mark.parametrize(
    ("comparisons", "kind", "exit_code", "reason"),
    [
        ([SAME, SAME], "REPRODUCED", 0, "2 of 2 compared"),
        ([SAME, OTHER, UNLOGGED], "DIVERGED", 6, "2 of 3 differ: accuracy, recall"),
        ([OTHER, UNRECORDED], "DIVERGED", 6, "1 of 2 differ: accuracy"),
        ([SAME, UNLOGGED], "DIVERGED", 6, "1 of 2 differ: recall"),
        (
            [SAME, UNRECORDED],
            "NOT REPLAYABLE",
            7,
            'metric "recall" could not be compared: the recorded run did not log it',
        ),
        (
            [],
            "NOT REPLAYABLE",
            7,
            "nothing is declared to compare: repro.toml has no metric and no output that is compared",
        ),
    ],
)
def test_the_verdict(comparisons: list[Comparison], kind: str, exit_code: int, reason: str) -> None:
    given = verdict(comparisons)
    assert (given.kind, given.exit_code, given.reason) == (kind, exit_code, reason)


def test_a_verdict_names_inputs_that_differ_and_what_was_not_locked() -> None:
    given = verdict([OTHER], ["packages", "java"], ["on Java 17.0.15, recorded 17.0.12"])
    assert given.inputs == "what differs in the inputs and the observed environment: packages, java"
    assert given.unlocked == ("on Java 17.0.15, recorded 17.0.12",)
    assert verdict([OTHER]).inputs == "nothing differs in the inputs and the observed environment"
    assert not_replayable("the run was killed").exit_code == 7


@pytest.mark.parametrize("comparisons", [(), (OTHER,), (SAME, UNLOGGED), (SAME, UNRECORDED)])
def test_reproduced_cannot_be_written_without_its_reasons(comparisons: tuple[Comparison, ...]) -> None:
    with pytest.raises(ValidationError, match="REPRODUCED needs every declared comparison made and passed"):
        Verdict(kind="REPRODUCED", reason="so it is said", comparisons=comparisons)


def test_identical_cannot_be_written_of_nothing() -> None:
    with pytest.raises(ValidationError, match="identical needs two values to compare"):
        Comparison(name="x", kind="metric", how="exact", recorded=None, found=None, state="identical")


def test_a_verdict_survives_its_file() -> None:
    given = verdict([SAME, OTHER, UNLOGGED], ["java"], ["one"])
    assert Verdict.model_validate_json(given.model_dump_json()) == given


def table(rows: int, **columns: str) -> TableDigest:
    made = tuple(Column(name=name, type=text.split()[0], sum=text.split()[-1]) for name, text in columns.items())
    return table_digest(rows, made, (rows, 2, 3, 4))


@pytest.mark.parametrize(
    ("found", "sentences"),
    [
        (table(98, a="int 1", b="string 2"), ("98 rows, recorded 100",)),
        (table(100, a="bigint 1", b="string 2"), ('column "a" is bigint, recorded int',)),
        (table(100, a="int 1", c="string 2"), ('column "b" is gone', 'column "c" is new')),
        (table(100, b="string 2", a="int 1"), ("the columns stand in another order",)),
    ],
)
def test_tables_of_different_shapes(found: TableDigest, sentences: tuple[str, ...]) -> None:
    recorded = table(100, a="int 1", b="string 2")
    assert table_differences(recorded, found) == sentences
    assert TableComparison(recorded, found, 0, 0, ()).differences == sentences


def test_tables_of_one_shape_name_the_column_that_differs() -> None:
    recorded = table(100, a="int 1", b="string 2")
    assert table_differences(recorded, recorded) == ()
    changed = table_digest(100, (recorded.columns[0], Column(name="b", type="string", sum="3")), (9, 2, 3, 4))
    assert table_differences(recorded, changed) == ('column "b" holds other values',)
    swapped = table_digest(100, recorded.columns, (9, 2, 3, 4))
    assert table_differences(recorded, swapped) == ("every column holds the same values, but in other rows",)


def test_tables_side_by_side_say_how_far_they_are_apart() -> None:
    one = table(100, a="double 1")
    compared = TableComparison(one, one, 2, 1, (ColumnDeviation("a", 3, 0.0213), ColumnDeviation("b", 0, 1e-9)))
    assert compared.differences == (
        "rows that have no partner: 2 recorded, 1 found",
        'column "a": 3 of 100 rows are beyond the tolerance, 0.0213 apart at most',
    )
    assert TableComparison(one, one, 0, 0, (ColumnDeviation("a", 0, 1e-9),)).differences == ()
    assert TableComparison(one, one, 0, 0, (ColumnDeviation("a", 3, 0.5),), alike=2).differences == (
        'column "a": 3 of 100 rows are beyond the tolerance, 0.5 apart at most',
        "2 of these rows may be paired with the wrong ones, for only their floats and decimals tell them from others; "
        "a column that does, such as a key, pairs them for certain",
    )


def test_a_tables_digest_is_over_rows_columns_and_all_four_sums() -> None:
    columns = (Column(name="a", type="int", sum="1"),)
    made = table_digest(2, columns, (1, -1, 2**63, 0))
    assert len(made.digest) == 5 + 64
    assert table_digest(2, columns, (1, 2**64 - 1, -(2**63), 0)).digest == made.digest
    others = [
        table_digest(3, columns, (1, -1, 2**63, 0)),
        table_digest(2, (Column(name="b", type="int", sum="1"),), (1, -1, 2**63, 0)),
        table_digest(2, (Column(name="a", type="bigint", sum="1"),), (1, -1, 2**63, 0)),
        *(
            table_digest(2, columns, tuple(sum_ + (lane == place) for place, sum_ in enumerate((1, -1, 2**63, 0))))
            for lane in range(4)
        ),
    ]
    assert len({made.digest, *(other.digest for other in others)}) == len(others) + 1
    assert table_digest(2, (Column(name="a", type="int", sum="2"),), (1, -1, 2**63, 0)).digest == made.digest


def test_two_outputs_in_which_nothing_is_are_said_to_be_empty() -> None:
    compared = compare_output("scores", BYTES, Measured("folder:1"), Measured("folder:1"), empty=True)
    judged = verdict([compared, output(TABLE, "rows:1", "rows:1")])
    assert (judged.kind, judged.reason) == ("REPRODUCED", "2 of 2 compared, and nothing is in scores")


def test_a_metric_that_the_store_clipped_is_not_compared() -> None:
    largest = sys.float_info.max
    for recorded, found in ((largest, largest), (largest, math.inf), (-math.inf, -largest)):
        compared = compare_metric("loss", Tolerance(), recorded, found)
        assert (compared.state, compared.differences) == (
            "missing",
            ("MLflow's databases keep an infinity as 1.797e308, so it cannot be told which of the two was logged",),
        )
        assert verdict([compared]).kind == "NOT REPLAYABLE"
    assert compare_metric("loss", Tolerance(), math.inf, math.inf).state == "identical"
    assert compare_metric("loss", Tolerance(), largest, -largest).state == "different"
    assert compare_metric("loss", Tolerance(), largest, 1e308).state == "different"
