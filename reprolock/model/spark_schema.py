"""`Column`: a field of a table as Spark's schema JSON writes it, checked as deep as its type goes."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator

from reprolock.model.value import problem


def _check_field(field: Any) -> Any:
    match field:
        case {"name": str(), "type": kind}:
            _check_type(kind)
            return field
    raise problem("a field of Spark's schema has a name and a type")


def _check_type(kind: Any) -> None:
    match kind:
        case str() | {"type": "udt"}:
            return
        case {"type": "array", "elementType": inner} | {"type": "map", "keyType": str() | dict(), "valueType": inner}:
            _check_type(inner)
        case {"type": "struct", "fields": [*fields]}:
            for field in fields:
                _check_field(field)
        case _:
            raise problem("a type of Spark's schema is a name, an array, a map or a struct")


Column = Annotated[dict[str, Any], AfterValidator(_check_field)]
"""`{"name": "x", "type": "long", "nullable": true, "metadata": {}}`; the type of an array, map or struct is an object."""
