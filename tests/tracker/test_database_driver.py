"""Which module opens a database: what SQLAlchemy itself says that it misses."""

from __future__ import annotations

import pytest
from sqlalchemy import __version__, create_engine

from reprolock.tracker.database_driver import driver_module, is_database


@pytest.mark.parametrize(
    "scheme",
    [
        "postgresql", "postgresql+psycopg2", "postgresql+psycopg", "postgresql+pg8000", "mysql", "mysql+mysqldb", "mysql+pymysql",
        "mysql+mysqlconnector", "mysql+cymysql", "mssql", "mssql+pyodbc", "mssql+pymssql",
    ],
)  # fmt: skip
def test_the_module_that_sqlalchemy_imports(scheme: str) -> None:
    uri = f"{scheme}://ann@db.example.com/runs"
    with pytest.raises(ModuleNotFoundError) as missed:
        create_engine(uri)
    assert driver_module(uri, __version__) == str(missed.value.name).partition(".")[0]


def test_an_older_sqlalchemy_and_what_is_not_known() -> None:
    assert driver_module("postgresql://db/runs", "2.0.44") == "psycopg2"
    assert driver_module("postgresql+oddity://db/runs", "2.1") is None
    others = ("sqlite:////work/mlflow.db", "https://mlflow.example.com", "databricks")
    assert [(driver_module(uri, "2.1"), is_database(uri)) for uri in others] == [(None, False)] * 3
