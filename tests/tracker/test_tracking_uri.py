"""Which MLflow is spoken to, and how it is named."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy

from reprolock.errors import UsageError
from reprolock.tracker.tracking_uri import find_place, for_sqlalchemy, sqlite_uri

ROOT = Path("/project")


@pytest.mark.parametrize(
    ("declared", "environ", "given", "uri", "text"),
    [
        (None, {}, None, "sqlite:////project/mlflow.db", "sqlite:////project/mlflow.db (the default of mlflow.tracking_uri)"),
        ("sqlite:///x/y.db", {"MLFLOW_TRACKING_URI": "http://other"}, None, "sqlite:////project/x/y.db",
         "sqlite:////project/x/y.db (mlflow.tracking_uri in repro.toml)"),
        ("sqlite:////abs/y.db", {}, None, "sqlite:////abs/y.db", "sqlite:////abs/y.db (mlflow.tracking_uri in repro.toml)"),
        ("databricks", {}, None, "databricks", "databricks (mlflow.tracking_uri in repro.toml)"),
        ("databricks://profile", {}, None, "databricks://profile", "databricks://profile (mlflow.tracking_uri in repro.toml)"),
        (None, {"MLFLOW_TRACKING_URI": "https://ann:pw-Zq8x@mlflow.example.com/x"}, None,
         "https://ann:pw-Zq8x@mlflow.example.com/x", "https://mlflow.example.com/x (MLFLOW_TRACKING_URI)"),
        (None, {"MLFLOW_TRACKING_URI": "postgresql://u:p@db/mlflow"}, None, "postgresql://u:p@db/mlflow",
         "postgresql://db/mlflow (MLFLOW_TRACKING_URI)"),
        ("http://declared", {}, "http://127.0.0.1:5000", "http://127.0.0.1:5000", "http://127.0.0.1:5000 (--tracking-uri)"),
    ],
)  # fmt: skip
def test_places(declared: str | None, environ: dict[str, str], given: str | None, uri: str, text: str) -> None:
    place = find_place(declared, ROOT, environ, given)
    assert (place.uri, str(place)) == (uri, text)


@pytest.mark.parametrize("uri", ["mlruns", "./mlruns", "file:///tmp/mlruns", "/tmp/mlruns"])
def test_a_folder_is_refused(uri: str) -> None:
    with pytest.raises(UsageError) as refused:
        find_place(uri, ROOT, {})
    assert refused.value.message == f'"{uri}" is a folder, and MLflow no longer keeps runs in folders'
    assert refused.value.hint == 'write "sqlite:///mlflow.db", or the address of an MLflow server'


def test_a_file_is_told_from_a_folder(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_bytes(b"")
    for uri in ("mlflow.db", f"{tmp_path}/mlflow.db", f"file://{tmp_path}/mlflow.db"):
        with pytest.raises(UsageError) as refused:
            find_place(None, tmp_path, {}, uri)
        assert refused.value.message == f'"{uri}" is a file, and MLflow takes the address of one'
        assert refused.value.hint == f'write "sqlite:///{tmp_path}/mlflow.db"'
        assert find_place(None, tmp_path, {}, f"sqlite:///{tmp_path}/mlflow.db").file == tmp_path / "mlflow.db"


def test_a_database_in_memory_is_refused() -> None:
    with pytest.raises(UsageError) as refused:
        find_place("sqlite:///", ROOT, {})
    assert refused.value.message == '"sqlite:///" names no file, and a database in memory ends with its process'


NAMES = [
    "feature%2Flogin",
    "q?x",
    "a#b",
    "100%",
    "%41",
    "two words",
    "quo'te\"s",
    "ünï-日本",
    "a&b;c$d=e+f",
    "[x]{y}*~",
    "a@b:c",
    "!x`",
]
"""What a folder may be called. Jenkins names a branch's checkout `feature%2Flogin`."""


@pytest.mark.parametrize("name", NAMES)
def test_every_name_of_a_folder_leads_to_its_own_file(tmp_path: Path, name: str) -> None:
    root = tmp_path / name
    root.mkdir()
    place = find_place(None, root, {})
    assert place.file == root / "mlflow.db"
    assert find_place(place.uri, Path("/elsewhere"), {}).file == place.file  # written down and read again
    engine = sqlalchemy.create_engine(for_sqlalchemy(place.uri, sqlalchemy.__version__))
    with engine.connect() as connection:
        connection.exec_driver_sql("CREATE TABLE here (x)")
    engine.dispose()
    assert [path.relative_to(tmp_path) for path in tmp_path.rglob("*")] == [Path(name), Path(name, "mlflow.db")]


def test_an_older_sqlalchemy_decodes_no_path() -> None:
    address = sqlite_uri(Path("/work/a%2Fb/mlflow.db"))
    assert address == "sqlite:////work/a%252Fb/mlflow.db"
    assert for_sqlalchemy(address, "2.0.44") == "sqlite:////work/a%2Fb/mlflow.db"
    assert for_sqlalchemy(address, "2.1.0") == "sqlite+pysqlite:////work/a%252Fb/mlflow.db"
    assert for_sqlalchemy("sqlite:////work/mlflow.db", "2.1.0") == "sqlite:////work/mlflow.db"
    with pytest.raises(UsageError) as refused:
        for_sqlalchemy(sqlite_uri(Path("/work/q?/mlflow.db")), "2.0.44")
    assert refused.value.message == 'SQLAlchemy 2.0.44 cannot open /work/q?/mlflow.db: it takes no "?" in a path'
