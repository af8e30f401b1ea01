"""`run --if-changed` as a person sees it: when a run is skipped, when it is not, and what a skipped run costs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from project import Project
from wheelhouse import wheel

from reprolock.lake.git.lake import GitLake

TRAIN = """
    import pathlib
    pathlib.Path("out").mkdir(exist_ok=True)
    pathlib.Path("out/scores.csv").write_text("score\\n1\\n")
    print("trained")
"""
SPEC = """
    [params]
    max_iter = 20

    [outputs.scores]
    path = "out/scores.csv"
"""


@pytest.fixture
def trained(project: Project, cli) -> Project:
    """A project that has run once, with `--if-changed`."""
    project.edit(
        'command = ["python", "train.py"]', 'command = ["python", "train.py"]\nseed = 7\nenv = { MODE = "fast" }'
    )
    project.add(SPEC)
    project.script(TRAIN)
    assert cli("lock").code == 0
    said = cli("run", "--if-changed")
    assert (said.code, said.out) == (0, "trained\n")
    return project


def skipped(project: Project, run_id: str | None = None) -> str:
    run_id = run_id or project.record.run_id
    return f"Skipped: run {run_id[:8]} has finished with the same inputs, and its outputs are as it left them\n"


def runs(project: Project) -> int:
    return len(list((project.root / ".reprolock" / "runs").glob("*/record.json")))


# Skipped


def test_a_second_run_is_skipped_and_names_the_first(trained: Project, cli) -> None:
    said = cli("run", "--if-changed")
    assert said == (0, "", skipped(trained))
    assert runs(trained) == len(trained.all_stored()) == 1
    document = json.loads(cli("run", "--if-changed", "--json").out)
    assert (document["skipped"], document["run_id"]) == (True, trained.record.run_id)
    assert cli("run", "--if-changed", "-q") == (0, "", "")


def test_what_decides_no_result_changes_nothing(trained: Project, cli) -> None:
    trained.commit("train/b.csv", b"x,y\n3,4\n")  # the branch moved on; the pin did not
    trained.edit("[outputs.scores]", '[outputs.scores]\ncompare = "none"')
    trained.add("[metrics]\naccuracy = { rel = 1e-6 }\n")
    trained.edit("[run]", '# a remark\n[run]\ntimeout = "2h"')
    (trained.root / ".reprolock" / "note").write_text("reprolock's own")
    assert cli("run", "--if-changed").err == skipped(trained)


def test_a_run_that_was_made_without_asking_is_known_too(trained: Project, cli) -> None:
    assert cli("run", "--set", "max_iter=50", "-q").code == 0
    assert cli("run", "--if-changed", "--set", "max_iter=50").err == skipped(trained)
    first = json.loads(cli("run", "--if-changed", "--json").out)
    assert first["skipped"] and first["run_id"] != trained.record.run_id
    assert first["params"] == {"max_iter": 20}


def test_no_service_is_asked(trained: Project, cli) -> None:
    shutil.rmtree(trained.root / "lake")
    (trained.root / "mlflow.db").unlink()
    shutil.rmtree(trained.root / ".reprolock" / "data")
    assert cli("run", "--if-changed").err == skipped(trained)
    assert cli("run", "--if-changed", "--offline").err == skipped(trained)
    assert not (trained.root / "mlflow.db").exists()


def test_a_skipped_run_loads_neither_mlflow_nor_a_lake_nor_spark(trained: Project) -> None:
    code = (
        "import sys; from reprolock.cli.main import run_command_line; "
        f"code = run_command_line(['-C', {str(trained.root)!r}, 'run', '--if-changed']); "
        "print(code, sorted(sys.modules.keys() & {'mlflow', 'lakefs', 'lakefs_sdk', 'pyspark', 'pygit2', 'pandas', 'pyarrow', 'deltalake', 'rich'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("0 []\n", skipped(trained))


def test_params_that_json_does_not_have_as_they_are(trained: Project, cli) -> None:
    trained.edit("max_iter = 20", "max_iter = 20\nlost = nan\nfar = -inf\nlong = 1152921504606846977\nday = 2026-01-01")
    assert cli("run", "--if-changed").out == "trained\n"
    assert cli("run", "--if-changed").err == skipped(trained)
    assert json.loads(cli("run", "--if-changed", "--json").out)["params"]["long"] == 2**60 + 1
    for option, why in (
        ("lost=1.5", "params.lost NaN → 1.5"),
        ("far=inf", "params.far -Infinity → Infinity; params.lost 1.5 → NaN"),
        (
            "long=1152921504606846976",
            "params.far Infinity → -Infinity; params.long 1152921504606846977 → 1152921504606846976",
        ),
    ):
        assert f"Why     {why}\n" in cli("run", "--if-changed", "--set", option).err


def test_in_place_runs_are_told_apart(trained: Project, cli) -> None:
    assert cli("run", "--if-changed", "--in-place").out == "trained\n"
    assert trained.record.mode == "in-place"
    assert cli("run", "--if-changed", "--in-place").err == skipped(trained)
    assert cli("run", "--if-changed").out == "trained\n"


# Not skipped


def edit_param(project: Project) -> None:
    project.edit("max_iter = 20", "max_iter = 20.0")


def edit_seed(project: Project) -> None:
    project.edit("seed = 7", "seed = 8")


def edit_variable(project: Project) -> None:
    project.edit('"fast"', '"slow"')


def edit_command(project: Project) -> None:
    project.edit('"train.py"]', '"train.py", "-v"]')


def edit_code(project: Project) -> None:
    project.script(TRAIN + "    # another line")


def add_code(project: Project) -> None:
    project.script("x = 1", "helper.py")


def edit_options(project: Project) -> None:
    project.edit("header = true", "header = false")


def add_output(project: Project) -> None:
    project.add('[outputs.folder]\npath = "out/more"\n')
    project.script(TRAIN + "    pathlib.Path('out/more').mkdir()")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (edit_param, "params.max_iter 20 → 20.0"),
        (edit_seed, "seed 7 → 8"),
        (edit_variable, "env.MODE fast → slow"),
        (edit_command, "command python train.py → python train.py -v"),
        (edit_code, "code: train.py"),
        (add_code, "code: helper.py"),
        (edit_options, "datasets.train.options.header true → false"),
        (add_output, "code: train.py; the declared outputs"),
    ],
)
def test_a_change_is_run(trained: Project, cli, change: Callable[[Project], None], why: str) -> None:
    change(trained)
    said = cli("run", "--if-changed")
    assert (said.code, said.out) == (0, "trained\n")
    assert f"Why     {why}\n" in said.err
    assert cli("run", "--if-changed").err == skipped(trained)


def test_new_data_is_run_once_it_is_pinned(trained: Project, cli) -> None:
    old = trained.record.datasets[0].commit
    new = trained.commit("train/b.csv", b"x,y\n3,4\n")
    assert cli("lock", "--upgrade").code == 0
    assert f"Why     train {old[:12]} → {new[:12]}\n" in cli("run", "--if-changed").err
    assert cli("run", "--if-changed").err == skipped(trained)


def test_a_dataset_at_another_ref_is_run(trained: Project, cli) -> None:
    assert cli("run", "--if-changed", "--data", "train=main").out == "trained\n"


def delete_output(project: Project) -> None:
    (project.root / "out/scores.csv").unlink()


def edit_output(project: Project) -> None:
    (project.root / "out/scores.csv").write_text("score\n2\n")


def replace_output(project: Project) -> None:
    delete_output(project)
    (project.root / "out/scores.csv").mkdir()


@pytest.mark.parametrize("change", [delete_output, edit_output, replace_output])
def test_an_output_that_does_not_match_any_more_is_made_again(
    trained: Project, cli, change: Callable[[Project], None]
) -> None:
    change(trained)
    said = cli("run", "--if-changed")
    assert (said.code, said.out) == (0, "trained\n")
    assert f"Why     nothing changed since run {trained.all_stored()[1].info.run_id[:8]}\n" in said.err
    assert (trained.root / "out/scores.csv").read_text() == "score\n1\n"


def test_outputs_of_another_run_in_their_place_do_not_match(trained: Project, cli) -> None:
    trained.edit('"train.py"]', '"train.py", "{params.max_iter}"]')
    trained.script(TRAIN.replace('"score\\n1\\n"', "__import__('sys').argv[1]"))
    assert cli("run", "--if-changed").out == cli("run", "--if-changed", "--set", "max_iter=50").out == "trained\n"
    assert (trained.root / "out/scores.csv").read_text() == "50"
    assert cli("run", "--if-changed").out == "trained\n"
    assert (trained.root / "out/scores.csv").read_text() == "20"


def test_a_run_that_failed_is_no_equal(trained: Project, cli) -> None:
    trained.script(TRAIN + "    raise SystemExit(3)")
    assert cli("run", "--if-changed").code == 1
    assert cli("run", "--if-changed").code == 1


def test_a_record_that_is_gone_or_damaged_is_no_equal(trained: Project, cli) -> None:
    record = trained.run_folder(trained.record.run_id) / "record.json"
    record.write_bytes(record.read_bytes()[:-20])
    assert cli("run", "--if-changed").out == "trained\n"
    shutil.rmtree(trained.run_folder(trained.record.run_id))
    assert cli("run", "--if-changed").out == "trained\n"


def test_what_is_to_be_published_and_is_not_yet_is_run(trained: Project, cli) -> None:
    trained.edit(
        'path = "out/scores.csv"', 'path = "out/scores.csv"\npublish = "lakefs://example-repo/main/scores.csv"'
    )
    assert cli("run", "--if-changed").out == "trained\n"
    assert trained.record.published[0].commit
    assert cli("run", "--if-changed").err == skipped(trained)
    GitLake(trained.root / "lake", "file:lake").create_branch("example-repo", "other", "main")
    trained.edit("main/scores.csv", "other/scores.csv")
    assert cli("run", "--if-changed").out == "trained\n"


# The environment


@pytest.fixture
def locked(project: Project, house: Path, cli) -> Project:
    """A project with a locked environment of one package."""
    wheel(house, "tool"), wheel(house, "tool", "2.0")
    project.add('[environment]\npackages = ["tool<2"]\n')
    project.script("import tool; print('trained')")
    assert cli("lock").code == 0
    return project


def test_an_environment_that_is_not_here_is_built(locked: Project, cli) -> None:
    assert cli("run", "--if-changed").out == "trained\n"
    assert cli("run", "--if-changed").err == skipped(locked)
    shutil.rmtree(Path(os.environ["REPROLOCK_CACHE_DIR"]) / "envs")
    shutil.rmtree(os.environ["UV_CACHE_DIR"])
    assert cli("run", "--if-changed").out == "trained\n"


def test_another_package_is_run(locked: Project, cli) -> None:
    assert cli("run", "--if-changed").out == "trained\n"
    locked.edit("tool<2", "tool")
    said = cli("run", "--if-changed")
    assert (said.code, said.err) == (
        3,
        'error: repro.lock is out of date: [environment] declares "tool", pinned for "tool<2"\n'
        "hint: run `reprolock lock` and commit repro.lock\n",
    )
    assert cli("run", "--if-changed", "--relock").err == skipped(
        locked
    )  # the version stays, and what was asked for is not an input
    assert cli("lock", "--upgrade-package", "tool").code == 0
    assert "Why     packages: tool 1.0 → 2.0\n" in cli("run", "--if-changed").err


def test_an_environment_that_was_changed_is_built_again_and_not_skipped(locked: Project, cli) -> None:
    assert cli("run", "--if-changed").out == "trained\n"
    [module] = Path(os.environ["REPROLOCK_CACHE_DIR"]).glob("envs/*/lib/*/site-packages/tool.py")
    module.unlink()
    module.write_text("x = 2\n")
    said = cli("run", "--if-changed")
    assert f"is not as it was built: {module.relative_to(module.parents[3])} was edited" in said.err
    assert (said.code, said.out) == (0, "trained\n")
    assert module.read_text() != "x = 2\n"


def test_another_n_or_setting_of_spark_is_run(project: Project, cli, monkeypatch: pytest.MonkeyPatch) -> None:
    project.edit("[run]", "[spark]\n[run]")
    project.script("print('trained')")  # what it is given counts, not what it does with it
    assert cli("lock").code == 0
    assert cli("run", "--if-changed").out == "trained\n"
    assert cli("run", "--if-changed").err == skipped(project)
    cores = os.cpu_count()
    monkeypatch.setattr(os, "cpu_count", lambda: cores + 1)
    assert f"Why     spark: master local[{cores}] → local[{cores + 1}]\n" in cli("run", "--if-changed").err
    conf = project.root / ".reprolock" / "conf"
    conf.mkdir()
    (conf / "spark-defaults.conf").write_text("spark.sql.legacy.something true\n")
    monkeypatch.setenv("SPARK_CONF_DIR", str(conf))
    assert "Why     spark: spark.sql.legacy.something is new\n" in cli("run", "--if-changed").err
    assert cli("run", "--if-changed").err == skipped(project)


# Refused


@pytest.mark.parametrize("options", [("--tag", "v1"), ("--merge",), ("--name", "best")])
def test_options_that_a_skipped_run_could_not_keep(trained: Project, cli, options: tuple[str, ...]) -> None:
    said = cli("run", "--if-changed", *options)
    assert (said.code, said.err) == (
        2, f"error: --if-changed and {options[0]} cannot be used together: a skipped run would ignore {options[0]}\nhint: use one of them\n"
    )  # fmt: skip


def test_a_stale_lock_is_no_skip(trained: Project, cli) -> None:
    trained.edit("main/train/", "main/trains/")
    assert cli("run", "--if-changed").code == 3
