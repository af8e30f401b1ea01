"""A table's digest, and what is known of two tables that differ. Values and sentences; `engine.tables` makes the numbers.

The digest is over what the table says and not over its files: the rows as a multiset, and the columns
in their order with their types. Part names, row order, compression, the writer and whether a column
may hold nulls (Parquet, CSV and JSON all forget that) are no part of it.
"""

from __future__ import annotations

import json
from typing import Annotated, NamedTuple

from pydantic import Field, Strict

from reprolock.model.digest import sha256
from reprolock.model.value import Value

SCHEME = "rows"


class Column(Value):
    """One column. `sum` helps to name the column that differs; it is not proof that two columns are equal."""

    name: str = Field(description="Name as the table writes it.")
    type: str = Field(description="Type as Spark writes it, nullability left out; json in a table of documents.")
    sum: str = Field(description="Sum of a short hash of each of the column's values, 16 hex digits.")


class TableDigest(Value):
    """What a table holds, in one line."""

    rows: int = Field(description="Count of rows.")
    columns: Annotated[tuple[Column, ...], Strict(False)] = Field(
        description="Columns in their order, ignored ones left out."
    )
    digest: str = Field(
        description="rows:SHA-256 over rows, columns' names and types, and the sum of the rows' SHA-256."
    )


class TableProblem(NamedTuple):
    """Why there is no digest, or no comparison: a sentence that names the table.

    `of_the_machine`: Spark, the memory or the disk failed, which says nothing of the table.
    """

    sentence: str
    of_the_machine: bool = False


class ColumnDeviation(NamedTuple):
    """How far a column of numbers moved, over rows that were paired: values beyond the tolerance, and the most."""

    name: str
    beyond: int
    largest: float


class TableComparison(NamedTuple):
    """Two tables side by side, within a tolerance. `only_…` counts rows for which the other side has no partner.

    `alike`: of the rows beyond the tolerance those that may have got another row's partner, for they have several numbers, and
    all that is no number is in another row too.
    """

    recorded: TableDigest
    found: TableDigest
    only_recorded: int
    only_found: int
    columns: tuple[ColumnDeviation, ...]
    alike: int = 0

    @property
    def differences(self) -> tuple[str, ...]:
        """Sentences; none where every row has a partner that is equal within the tolerance."""
        if shape := shape_differences(self.recorded, self.found):
            return shape
        told = []
        if self.only_recorded or self.only_found:
            told.append(f"rows that have no partner: {self.only_recorded} recorded, {self.only_found} found")
        told += [
            f'column "{column.name}": {column.beyond} of {self.found.rows} rows are beyond the tolerance, {column.largest:.3g} apart at most'
            for column in self.columns
            if column.beyond
        ]
        if self.alike:
            told.append(
                f"{self.alike} of these rows may be paired with the wrong ones, for only their floats and decimals tell them from others; "
                "a column that does, such as a key, pairs them for certain"
            )
        return tuple(told)


def table_digest(rows: int, columns: tuple[Column, ...], sums: tuple[int, ...]) -> TableDigest:
    """Put a digest together from the numbers: `sums` are the four sums of 64-bit lanes, taken modulo 2^64."""
    lanes = [f"{lane % 2**64:016x}" for lane in sums]
    said = [rows, [[column.name, column.type] for column in columns], lanes]
    text = json.dumps(said, separators=(",", ":"))
    return TableDigest(rows=rows, columns=columns, digest=f"{SCHEME}:{sha256(text.encode())}")


def table_differences(recorded: TableDigest, found: TableDigest) -> tuple[str, ...]:
    """Sentences on what differs between two tables whose digests differ; none where they do not."""
    if recorded.digest == found.digest:
        return ()
    if shape := shape_differences(recorded, found):
        return shape
    changed = [
        f'column "{one.name}" holds other values'
        for one, other in zip(recorded.columns, found.columns, strict=True)
        if one.sum != other.sum
    ]
    return tuple(changed) or ("every column holds the same values, but in other rows",)


def shape_differences(recorded: TableDigest, found: TableDigest) -> tuple[str, ...]:
    """Sentences on rows and columns, and none on values."""
    told = []
    if recorded.rows != found.rows:
        told.append(f"{found.rows} rows, recorded {recorded.rows}")
    before = {column.name: column.type for column in recorded.columns}
    after = {column.name: column.type for column in found.columns}
    told += [f'column "{name}" is gone' for name in before if name not in after]
    told += [f'column "{name}" is new' for name in after if name not in before]
    told += [
        f'column "{name}" is {after[name]}, recorded {kind}'
        for name, kind in before.items()
        if after.get(name, kind) != kind
    ]
    if before.keys() == after.keys() and list(before) != list(after):
        told.append("the columns stand in another order")
    return tuple(told)
