"""Find the module by which SQLAlchemy speaks to the database of an address. Nothing is imported.

An address is `DIALECT://…` or `DIALECT+DRIVER://…`. Without a driver it is the dialect's own, which for PostgreSQL
changed from psycopg2 to psycopg with SQLAlchemy 2.1.
"""

from __future__ import annotations

import re

from packaging.version import Version

_SCHEME = re.compile(r"(postgresql|mysql|mssql)(?:\+(\w+))?://", re.IGNORECASE)
"""The databases that MLflow opens, but for SQLite, whose driver is Python's own."""

_OWN = {"postgresql": "psycopg", "mysql": "mysqldb", "mssql": "pyodbc"}
_PSYCOPG_3 = Version("2.1.0b1")
"""The first SQLAlchemy whose own driver for PostgreSQL is psycopg."""

_MODULES = {
    "psycopg2": "psycopg2",
    "psycopg": "psycopg",
    "pg8000": "pg8000",
    "mysqldb": "MySQLdb",
    "pymysql": "pymysql",
    "mysqlconnector": "mysql",
    "cymysql": "cymysql",
    "pyodbc": "pyodbc",
    "pymssql": "pymssql",
}


def driver_module(uri: str, sqlalchemy: str) -> str | None:
    """The first name of the module that this version of SQLAlchemy imports for `uri`.

    None for an address of no such database, and for a driver that is not known here.
    """
    scheme = _SCHEME.match(uri)
    if scheme is None:
        return None
    dialect, driver = scheme[1].lower(), scheme[2] or ""
    if not driver:
        driver = "psycopg2" if dialect == "postgresql" and Version(sqlalchemy) < _PSYCOPG_3 else _OWN[dialect]
    return _MODULES.get(driver)


def is_database(uri: str) -> bool:
    """Whether MLflow itself opens a database at this address, other than SQLite's."""
    return _SCHEME.match(uri) is not None
