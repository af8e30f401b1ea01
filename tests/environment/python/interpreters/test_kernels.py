"""Which Python a notebook's kernel is, whatever it is called."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reprolock.environment.python.interpreters.kernels import kernel_of, kernels_in, write_kernels


def test_every_kernel_that_is_asked_for_is_the_runs_python(tmp_path: Path) -> None:
    python = Path("/env/bin/python")
    variables = write_kernels(tmp_path, python, ["My-Env", "../outside", ".."])
    data = tmp_path / "data"
    assert variables == {
        "JUPYTER_PATH": str(data),
        "JUPYTER_DATA_DIR": str(data),
        "JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime"),
        "JUPYTER_CONFIG_DIR": str(tmp_path / "config"),
        "IPYTHONDIR": str(tmp_path / "ipython"),
    }
    written = {path.parent.name: json.loads(path.read_bytes())["argv"] for path in tmp_path.rglob("kernel.json")}
    argv = ["/env/bin/python", "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    assert written == {"my-env": argv, "python3": argv}


@pytest.mark.parametrize(
    ("metadata", "name"),
    [
        ({"kernelspec": {"name": "conda-env-x-py", "language": "python"}}, "conda-env-x-py"),
        ({"kernelspec": {"name": "mine", "display_name": "Mine"}}, "mine"),
        ({"kernelspec": {"name": "ir", "language": "R"}}, None),
        ({"kernelspec": {"name": 3}}, None),
        ({}, None),
        ([], None),
    ],
)
def test_the_kernel_that_a_notebook_names(metadata: object, name: str | None) -> None:
    assert kernel_of(json.dumps({"cells": [], "metadata": metadata}).encode()) == name


def test_a_notebook_that_is_no_json() -> None:
    assert kernel_of(b"<html>") is None


def test_the_kernels_of_a_command() -> None:
    papermill = ["papermill", "in.ipynb", "out.ipynb", "-k", "one", "--kernel", "two"]
    nbconvert = ["jupyter", "nbconvert", "--execute", "--ExecutePreprocessor.kernel_name=three", "nb.ipynb"]
    assert kernels_in(papermill) == {"one", "two"}
    assert kernels_in(nbconvert) == {"three"}
