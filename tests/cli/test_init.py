"""`init` in a folder that holds something: what it takes from there, and what it leaves out and says so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import Cli

from reprolock.files.spec_file import read_spec

ARGPARSE = """
import argparse
import missing_package

raise SystemExit("this was executed")
parser = argparse.ArgumentParser()
parser.add_argument("-n", "--max-iter", type=int, default=20, help="how often")
parser.add_argument("--rate", type=float, default=0.1)
parser.add_argument("--kind", default="l2")
parser.add_argument("--verbose", action="store_true")
parser.add_argument("--data", default="data/train.csv")
parser.add_argument("--table", default="visits.parquet")
parser.add_argument("--out", default="model.json")
parser.add_argument("--output-dir", default="plots")
parser.add_argument("--api-token", default="t0ken-of-somebody")
parser.add_argument("--computed", default=1 + len("x"))
"""


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LAKECTL_SERVER_ENDPOINT_URL", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))


def test_a_script_and_its_options(tmp_path: Path, cli: Cli) -> None:
    (tmp_path / "train.py").write_text(ARGPARSE)
    (tmp_path / "test_train.py").write_text("import pyspark\n")
    (tmp_path / "requirements.txt").write_text("numpy\n")
    said = cli("init")
    assert said == (
        0,
        "Wrote repro.toml\nTaken from train.py, requirements.txt\n"
        "Next: reprolock add dataset NAME lakefs://REPOSITORY/BRANCH/PATH/, or reprolock lock without data\n",
        "warning: --data 'data/train.csv' of train.py looks like a path: name a dataset's or an output's path there, such as "
        "{datasets.NAME.path}\n"
        "warning: --table 'visits.parquet' of train.py looks like a path: name a dataset's or an output's path there, such as "
        "{datasets.NAME.path}\n"
        "warning: --api-token of train.py is a secret by its name: pass its variable with run.pass_env\n",
    )
    assert (
        (tmp_path / "repro.toml").read_text()
        == f"""\
#:schema ./.reprolock/schemas/repro.toml.schema.json
[project]
name = "{tmp_path.name}"

[lake]
endpoint = "file:lake"

[params]
max_iter = 20
rate = 0.1
kind = "l2"

[environment]
requirements = "requirements.txt"

[run]
command = ["python", "train.py", "--max-iter", "{{params.max_iter}}", "--rate", "{{params.rate}}", "--kind", "{{params.kind}}", "--out", "{{outputs.model.path}}", "--output-dir", "{{outputs.plots.path}}"]
# seed = 7

[outputs.model]
path = "model.json"
compare = "json"

[outputs.plots]
path = "plots"
compare = "bytes"
"""
    )
    schema = json.loads((tmp_path / ".reprolock" / "schemas" / "repro.toml.schema.json").read_text())
    assert schema["title"] == "repro.toml"


def test_click_and_spark(tmp_path: Path, cli: Cli) -> None:
    (tmp_path / "fit.py").write_text(
        "import click\nfrom pyspark.sql import SparkSession\n@click.command()\n@click.option('--depth', default=3)\n"
        "@click.option('--fast', is_flag=True, default=False)\ndef main(depth, fast): ...\n"
    )
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\nversion = "1"\ndependencies = ["pyspark"]\n')
    assert cli("init").code == 0
    spec = read_spec(tmp_path)
    assert spec.run.command == ("python", "fit.py", "--depth", "{params.depth}")
    assert (spec.params, spec.environment.pyproject, spec.spark is not None) == ({"depth": 3}, ".", True)


def test_an_mlproject(tmp_path: Path, cli: Cli) -> None:
    (tmp_path / "train.py").write_text(ARGPARSE)
    (tmp_path / "MLproject").write_text(
        "name: wine\nentry_points:\n  main:\n    parameters:\n      alpha: {type: float, default: 0.5}\n"
        '      path: path\n    command: "python train.py --rate {alpha}"\n'
    )
    said = cli("init")
    assert (said.code, "Taken from MLproject\n" in said.out) == (0, True)
    spec = read_spec(tmp_path)
    assert (spec.run.command, spec.params) == (("python", "train.py", "--rate", "{params.alpha}"), {"alpha": 0.5})


def test_an_mlproject_whose_path_has_no_value(tmp_path: Path, cli: Cli) -> None:
    (tmp_path / "MLproject").write_text(
        "entry_points:\n  main:\n    parameters:\n      data: path\n    command: python train.py --data {data}\n"
    )
    said = cli("init")
    assert (said.code, said.err) == (
        0,
        "warning: MLproject gives {data} no value: write a dataset's path in the command there, such as {datasets.NAME.path}, "
        "or a value\n",
    )


def test_a_dvc_pipeline(tmp_path: Path, cli: Cli) -> None:
    (tmp_path / "dvc.yaml").write_text(
        "stages:\n  train:\n    cmd: python train.py ${depth}\n    deps: [train.py]\n    params: [depth, other]\n"
        "    outs:\n    - out/model.pkl\n    metrics:\n    - out/scores.json: {cache: false}\n"
    )
    (tmp_path / "params.yaml").write_text("depth: 4\nunused: 1\n")
    assert cli("init").code == 0
    spec = read_spec(tmp_path)
    assert (spec.run.command, spec.params) == (("python", "train.py", "{params.depth}"), {"depth": 4})
    assert {(name, item.path, item.compare) for name, item in spec.outputs.items()} == {
        ("model", "out/model.pkl", "bytes"),
        ("scores", "out/scores.json", "json"),
    }


def test_a_command_that_needs_a_shell(tmp_path: Path, cli: Cli) -> None:
    (tmp_path / "dvc.yaml").write_text("stages:\n  train:\n    cmd: cat a | python train.py > out\n")
    said = cli("init")
    assert said.err == (
        "warning: the command of dvc.yaml needs a shell: 'cat a | python train.py > out'; write it in a script\n"
    )
    assert read_spec(tmp_path).run.command == ("python", "train.py")


def test_a_checkout_of_lakectl_local(tmp_path: Path, cli: Cli) -> None:
    """No lake is asked: the files are here."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.parquet").write_bytes(b"PAR1")
    (tmp_path / "data" / ".lakefs_ref.yaml").write_text("src: lakefs://shop/main/visits/\nat_head: abc\n")
    said = cli("init")
    assert (said.code, said.out.splitlines()[0]) == (0, 'Wrote repro.toml  (dataset "visits", parquet)')
    dataset = read_spec(tmp_path).datasets["visits"]
    assert (dataset.uri, dataset.format) == ("lakefs://shop/main/visits/", "parquet")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("train.py", "def broken(:\n"),
        ("train.py", "(" * 5000),
        ("dvc.yaml", "stages: [\n"),
        ("MLproject", "entry_points: 7\n"),
        ("dvc.yaml", "stages:\n  train:\n    cmd: python train.py\n    outs: [../up]\n"),
        (".lakefs_ref.yaml", "src: lakefs://x\n"),
        ("pyproject.toml", "project = 3\n"),
    ],
)
def test_what_cannot_be_read_is_passed_over(tmp_path: Path, cli: Cli, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    assert cli("init").code == 0
    assert read_spec(tmp_path).datasets == {}


def test_a_notebook(tmp_path: Path, cli: Cli) -> None:
    (tmp_path / "explore.ipynb").write_text("{}")
    assert cli("init").code == 0
    spec = read_spec(tmp_path)
    assert spec.run.command[:2] == ("jupyter", "nbconvert") and spec.outputs["explore"].path == "out/explore.ipynb"


_BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40))
_STARTED = "entry_points:\n  main:\n    parameters:\n      a: {default: 1}\n    command: python x\n"
_MERGES = "a0: &a0 {k: 1}\n" + "".join(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}\n" for n in range(1, 40))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("train.py", f"parser.add_argument('--big', default=0x{'f' * 6000})\n"),
        ("train.py", "parser.add_argument('--half', default='\\ud800')\n"),
        ("dvc.yaml", f"{_BOMB}stages:\n  train:\n    cmd: python x.py\n    params: [*a39]\n    outs: [*a39]\n"),
        ("MLproject", _MERGES),
        ("MLproject", f"{_STARTED}x: {'[' * 100}{']' * 100}\n"),
        ("dvc.yaml", f"stages:\n  train:\n    cmd: python x.py --a 1\n    meta: {'{a: ' * 101}1{'}' * 101}\n"),
        *(
            (
                "MLproject",
                f"entry_points:\n  main:\n    parameters:\n      a: {{default: {value}}}\n    command: python x\n",
            )
            for value in ("!!int ''", "!!bool x", "!!timestamp x", f"!!float {'1:' * 300}0.5", f"0x{'f' * 6000}")
        ),
    ],
)
def test_what_repro_toml_cannot_have_is_passed_over(tmp_path: Path, cli: Cli, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    said = cli("init")
    assert (said.code, said.err) == (0, "")
    assert read_spec(tmp_path).params == {}


def test_a_long_text_and_a_folder_elsewhere(tmp_path: Path, cli: Cli, tmp_path_factory: pytest.TempPathFactory) -> None:
    (tmp_path / "train.py").write_text(f"parser.add_argument('--prompt', default='{'x' * 5000}')\n")
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / ".lakefs_ref.yaml").write_text("src: lakefs://example-repo/main/train/\n")
    (tmp_path / "data").symlink_to(elsewhere)
    assert cli("init").code == 0
    spec = read_spec(tmp_path)
    assert (spec.params, spec.datasets) == ({"prompt": "x" * 5000}, {})


def test_outputs_of_one_name_and_what_is_left_out(tmp_path: Path, cli: Cli) -> None:
    stage = "stages:\n  train:\n    cmd: python x.py\n    outs: [a/m.pkl, b/m.pkl, b_m.pkl]\n"
    (tmp_path / "dvc.yaml").write_text(stage)
    assert cli("init").code == 0
    assert {name: output.path for name, output in read_spec(tmp_path).outputs.items()} == {
        "m": "a/m.pkl",
        "b_m_pkl": "b/m.pkl",
        "b_m": "b_m.pkl",
    }
    (tmp_path / "repro.toml").unlink()
    (tmp_path / "dvc.yaml").write_text(stage.replace("b_m.pkl", "../m, /m"))
    said = cli("init")
    assert said.err.startswith(
        "warning: what was found in the folder is left out: repro.toml has 2 problems; repro.toml:"
    )
    (tmp_path / "repro.toml").unlink()
    (tmp_path / "dvc.yaml").write_text(
        "stages:\n  train:\n    cmd: curl https://x/?X-Amz-Signature=0123456789abcdef | sh\n"
    )
    assert cli("init").err == (
        "warning: the command of dvc.yaml needs a shell: 'curl https://x/*** | sh'; write it in a script\n"
    )
