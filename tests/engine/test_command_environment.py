"""What the command's environment holds, and what it does not."""

from __future__ import annotations

import pytest

from reprolock.engine.command_environment import SYSTEM_PATH, passes, variables

CALLER = {
    "HOME": "/home/me",
    "LC_ALL": "C.UTF-8",
    "https_proxy": "http://proxy:3128",
    "LAKECTL_SERVER_ENDPOINT_URL": "http://127.0.0.1:8000",
    "MLFLOW_TRACKING_URI": "sqlite:///relative.db",
    "JAVA_HOME": "/java",
    "PATH": "/home/me/bin:/usr/bin",
    "TZ": "Europe/Berlin",
    "HF_TOKEN": "value",
    "PYTHONPATH": "/home/me/lib",
}
SYSTEM = ":".join(SYSTEM_PATH)


def test_the_short_list_passes_and_all_else_is_dropped() -> None:
    assert variables(CALLER, programs=["/env/bin"]).environ == {
        "HOME": "/home/me",
        "LC_ALL": "C.UTF-8",
        "https_proxy": "http://proxy:3128",
        "LAKECTL_SERVER_ENDPOINT_URL": "http://127.0.0.1:8000",
        "MLFLOW_TRACKING_URI": "sqlite:///relative.db",
        "JAVA_HOME": "/java",
        "PATH": f"/env/bin:{SYSTEM}",
        "TZ": "UTC",
        "PYTHONHASHSEED": "0",
    }


@pytest.mark.parametrize(
    "name",
    [
        "PYTHONPATH",
        "PYTHONHOME",
        "PYTHONSTARTUP",
        "PYTHONHASHSEED",
        "VIRTUAL_ENV",
        "CONDA_PREFIX",
        "SPARK_HOME",
        "SPARK_CONF_DIR",
        "PYSPARK_PYTHON",
        "PYSPARK_SUBMIT_ARGS",
        "JAVA_TOOL_OPTIONS",
        "_JAVA_OPTIONS",
        "JDK_JAVA_OPTIONS",
        "AWS_ENDPOINT_URL",
        "AWS_ACCESS_KEY_ID",
        "AWS_PROFILE",
        "HADOOP_CONF_DIR",
        "OMP_NUM_THREADS",
        "CUDA_VISIBLE_DEVICES",
        "LD_PRELOAD",
        "LD_LIBRARY_PATH",
        "HOMEBREW",
        "XLANG",
        "LANGUAGES",
    ],
)
def test_what_can_change_a_result_is_dropped(name: str) -> None:
    assert not passes(name)
    assert name not in variables({name: "x"}, programs=[]).environ.keys() - {"PYTHONHASHSEED"}


def test_a_later_source_wins() -> None:
    found = variables(
        CALLER,
        programs=["/env/bin", "/java/bin"],
        seed=7,
        pass_env=["HF_TOKEN", "NOT_SET", "TZ"],
        set_env={"OMP_NUM_THREADS": "2", "HOME": "/set"},
        extra={"MLFLOW_TRACKING_URI": "sqlite:////absolute.db", "HOME": "/extra"},
    )
    assert found.environ["TZ"] == "Europe/Berlin"  # asked for by name
    assert found.environ["HF_TOKEN"] == "value"
    assert found.environ["OMP_NUM_THREADS"] == "2"
    assert found.environ["HOME"] == "/extra"
    assert found.environ["MLFLOW_TRACKING_URI"] == "sqlite:////absolute.db"
    assert found.environ["PATH"] == f"/env/bin:/java/bin:{SYSTEM}"
    assert found.missing == ("NOT_SET",)
    assert "NOT_SET" not in found.environ


def test_a_path_that_is_asked_for_stands_behind_the_environments_own() -> None:
    assert (
        variables(CALLER, programs=["/env/bin"], pass_env=["PATH"]).environ["PATH"] == "/env/bin:/home/me/bin:/usr/bin"
    )
    assert variables(CALLER, programs=["/env/bin"], set_env={"PATH": "/opt/x"}).environ["PATH"] == "/env/bin:/opt/x"


def test_a_pythonpath_that_is_asked_for_stands_behind_reprolocks_own() -> None:
    assert variables(CALLER, programs=[], modules="/rt").environ["PYTHONPATH"] == "/rt"
    assert (
        variables(CALLER, programs=[], modules="/rt", pass_env=["PYTHONPATH"]).environ["PYTHONPATH"]
        == "/rt:/home/me/lib"
    )
    assert (
        variables(CALLER, programs=[], modules="/rt", set_env={"PYTHONPATH": "src"}).environ["PYTHONPATH"] == "/rt:src"
    )
    assert variables(CALLER, programs=[], set_env={"PYTHONPATH": ""}).environ["PYTHONPATH"] == ""


@pytest.mark.parametrize(("seed", "hash_seed"), [(7, "7"), (2**32 + 5, "5"), (-1, "4294967295"), (0, "0")])
def test_the_seed_is_python_s_hash_seed_too(seed: int, hash_seed: str) -> None:
    environ = variables({}, programs=[], seed=seed).environ
    assert (environ["REPROLOCK_SEED"], environ["PYTHONHASHSEED"]) == (str(seed), hash_seed)


def test_nothing_handed_in_is_changed() -> None:
    caller, set_env = dict(CALLER), {"A": "1"}
    variables(caller, programs=[], set_env=set_env, extra={"B": "2"})
    assert (caller, set_env) == (CALLER, {"A": "1"})


def test_without_a_locale_names_of_files_are_still_utf_8() -> None:
    assert variables({}, programs=[]).environ["LANG"] == "C.UTF-8"
    assert variables({"LANG": "de_DE.UTF-8"}, programs=[]).environ["LANG"] == "de_DE.UTF-8"
    assert "LANG" not in variables({"LC_ALL": "C"}, programs=[]).environ
