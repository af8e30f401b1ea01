"""Imports go one way, and heavy packages are wrapped by one module each. Read from the sources."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "reprolock"
LAYERS = [
    {"errors"},
    {"model"},
    {"files", "lake", "environment", "engine", "tracker", "standards", "signing"},
    {"steps"},
    {"stack"},
    {"cli", "__main__"},
]
HEAVY = {
    "pyspark": {"reprolock.script", "reprolock.engine.tables", "reprolock.engine.cluster.probe_task"},
    "mlflow": {"reprolock.tracker"},
    "lakefs_sdk": {"reprolock.lake"},
    "lakefs": {"reprolock.lake"},
    "pycurl": {"reprolock.lake.transfer.curl"},
    "pygit2": {"reprolock.lake"},
    "deltalake": {"reprolock.lake.table_schema", "reprolock.readers.delta"},
    "openlineage": {"reprolock.standards.openlineage"},
    "prov": {"reprolock.standards.prov"},
    "rocrate": {"reprolock.standards.ro_crate"},
    "securesystemslib": {"reprolock.signing"},
    "cryptography": {"reprolock.signing"},
    "rfc3161_client": {"reprolock.signing"},
    "sigstore": {"reprolock.signing.keyless"},
    "rich": {"reprolock.cli"},
    "click": {"reprolock.cli"},
}


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        yield name, ast.parse(path.read_text())


def imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def layer(module: str) -> int | None:
    part = (module.split(".") + [""])[1]
    return next((index for index, names in enumerate(LAYERS) if part in names), None)


def test_imports_go_one_way() -> None:
    backwards = [
        f"{name} imports {target}"
        for name, tree in modules()
        for target in imported(tree)
        if target.startswith("reprolock.")
        and layer(name) is not None
        and layer(target) is not None
        and layer(target) > layer(name)
    ]
    assert backwards == []


def test_heavy_packages_are_imported_by_their_edge_alone() -> None:
    strays = [
        f"{name} imports {target}"
        for name, tree in modules()
        for target in imported(tree)
        if (homes := HEAVY.get(target.split(".")[0])) and not any(name.startswith(home) for home in homes)
    ]
    assert strays == []


def test_every_module_says_what_it_is() -> None:
    assert [name for name, tree in modules() if not ast.get_docstring(tree)] == []


@pytest.mark.parametrize(
    "arguments",
    [["--version"], ["--help"], ["lock", "--help"], ["lock", "--check"]],
    ids=" ".join,
)
def test_light_commands_load_nothing_heavy(arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / "repro.toml").write_text('[project]\nname = "x"\n[run]\ncommand = ["true"]\n')
    (tmp_path / "repro.lock").write_text("version = 1\n")
    code = (
        "import atexit, sys; from reprolock.__main__ import main; sys.argv[0] = 'reprolock'\n"
        "heavy = {'mlflow', 'pyspark', 'lakefs', 'lakefs_sdk', 'pygit2', 'pyarrow', 'pandas', 'deltalake', 'rich', 'tomlkit'}\n"
        "atexit.register(lambda: print(sorted({name.split('.')[0] for name in sys.modules} & heavy)))\n"
        "main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_all_that_is_printed_goes_through_one_module() -> None:
    """It shows what others wrote, and lets nothing of it steer a terminal."""
    printing = []
    for name, tree in modules():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or not name.startswith(("reprolock.cli", "reprolock.steps")):
                continue
            called = ast.unparse(node.func)
            if called in ("print", "click.echo", "click.secho", "click.style", "sys.stdout.write", "sys.stderr.write"):
                printing.append(f"{name}:{node.lineno} {called}")
    assert [place for place in printing if not place.startswith("reprolock.cli.terminal:")] == []


def test_collecting_the_model_tests_loads_no_heavy_library() -> None:
    code = "import sys, pytest; pytest.main(['--collect-only', '-q', 'tests/model']); print(sorted({'mlflow', 'pyspark'} & {*sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[1], capture_output=True, text=True)
    assert " tests collected" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"
