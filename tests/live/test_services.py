"""The servers of the tests are what they claim to be."""

from __future__ import annotations

import urllib.request

import services


def test_mlflow_server_answers(mlflow_server: services.Server) -> None:
    with urllib.request.urlopen(f"{mlflow_server.endpoint}/version") as answer:
        assert answer.read().decode() == services.used["MLflow server"]


def test_keys_are_not_in_the_process_list(lakefs: services.LakeFS, object_store: services.ObjectStore) -> None:
    listed = " ".join([*lakefs.server.argv, *object_store.server.argv])
    assert lakefs.secret_access_key not in listed
    assert object_store.secret_key not in listed
