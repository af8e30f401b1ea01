"""Where `run` says that a run can be looked at in MLflow."""

from __future__ import annotations

import pytest

from reprolock.cli.run import _mlflow_page


@pytest.mark.parametrize(
    ("tracking", "said"),
    [
        ("sqlite:////home/ann/shop/mlflow.db", "mlflow ui --backend-store-uri sqlite:////home/ann/shop/mlflow.db"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("https://mlflow.example.com/team", "https://mlflow.example.com/team"),
    ],
)
def test_a_server_has_a_page_already(tracking: str, said: str) -> None:
    assert _mlflow_page(tracking) == said
