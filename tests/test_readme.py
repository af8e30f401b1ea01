"""README.md holds: its sessions print what it shows, its tables are the models', its examples are valid."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from readme import README, blocks, executed, normal, sessions, table, tables

from reprolock import errors
from reprolock.cli.main import COMMANDS
from reprolock.cli.main import reprolock as command_line
from reprolock.engine.command_environment import PASSED
from reprolock.files.spec_file import parse_spec

TEXT = README.read_text()


@pytest.mark.parametrize("session", sessions(TEXT))
def test_a_session_prints_what_is_shown(session: str, tmp_path: Path) -> None:
    for block, step, output in executed(TEXT, session, tmp_path.resolve(), {}):
        assert normal(output) == normal(step.output), f"line {TEXT.count(chr(10), 0, block.start)}: $ {step.command}"


@pytest.mark.parametrize(
    ("module", "model", "shown"), tables(TEXT), ids=lambda value: value if len(value) < 40 else "table"
)
def test_a_table_is_that_of_its_model(module: str, model: str, shown: str) -> None:
    assert shown == table(module, model), "`python tests/readme.py` writes it anew"


def test_every_table_of_repro_toml_has_its_reference() -> None:
    shown = {model for _, model, _ in tables(TEXT)}
    assert shown == {
        "Project",
        "LakeSpec",
        "DatasetSpec",
        "EnvironmentSpec",
        "SparkSpec",
        "RunSpec",
        "OutputSpec",
        "MlflowSpec",
    }


@pytest.mark.parametrize(
    "text", [block.text for block in blocks(TEXT) if block.language == "toml"], ids=lambda text: text.partition("\n")[0]
)
def test_an_example_is_a_spec(text: str) -> None:
    for name, rest in (("project", '[project]\nname = "excerpt"\n'), ("run", '[run]\ncommand = ["true"]\n')):
        if f"[{name}]" not in text:
            text += rest
    parse_spec(text)


@pytest.mark.parametrize(
    "text",
    [block.text for block in blocks(TEXT) if block.language == "python"],
    ids=lambda text: text.splitlines()[-1][:40],
)
def test_a_script_is_python(text: str) -> None:
    compile(text, "README.md", "exec")


def _shown_commands() -> Iterator[str]:
    """Every `reprolock …` of a block or in a sentence."""
    for block in blocks(TEXT):
        if block.language == "console":
            yield from re.findall(r"^\$ (?:.*[;&] )?(reprolock .*?)(?:;.*|\s+#.*|\s*)$", block.text, re.M)
    yield from re.findall(r"`(reprolock [^`]+)`", TEXT)


@pytest.mark.parametrize("shown", sorted(set(_shown_commands())))
def test_a_command_that_is_shown_exists(shown: str) -> None:
    found: click.Command = command_line
    context = click.Context(found)
    for word in shlex.split(shown)[1:]:
        if isinstance(found, click.Group) and not word.startswith("-"):
            inner = found.get_command(context, word)
            assert inner is not None, f"there is no command {word}"
            found = inner
        elif word.startswith("-"):
            known = {option for parameter in found.params for option in parameter.opts} | {"--help", "-h"}
            assert word.partition("=")[0] in known, f"{found.name} has no option {word}"


def test_every_command_is_described() -> None:
    assert {name for name, entry in COMMANDS.items() if entry.group} <= set(re.findall(r"reprolock ([a-z-]+)", TEXT))


def test_every_exit_code_is_listed() -> None:
    def classes(base: type[errors.ReprolockError]) -> Iterator[type[errors.ReprolockError]]:
        yield base
        for inner in base.__subclasses__():
            yield from classes(inner)

    shown = {int(code) for row in re.findall(r"^\| ([\d, ]+) \|", TEXT, re.M) for code in row.split(",")}
    assert shown == {one.exit_code for one in classes(errors.ReprolockError)} | {0, 130, 143}


def test_every_variable_that_passes_is_named() -> None:
    [sentence] = re.findall(r"These pass from the caller: (.*?)\.\n", TEXT, re.S)
    on_windows = PASSED[PASSED.index("SYSTEMROOT") :]
    assert re.findall(r"`([^`]+)`", sentence) == [name for name in PASSED if name not in on_windows]


def test_every_link_leads_somewhere() -> None:
    headings = [
        re.sub(r"[^\w\- ]", "", line.lower()).replace(" ", "-")
        for line in re.findall(r"^#+ (.+)$", _without_blocks(), re.M)
    ]
    anchors = {
        f"{name}-{headings[:index].count(name)}" if name in headings[:index] else name
        for index, name in enumerate(headings)
    }
    for target in re.findall(r"\]\(([^)]+)\)", TEXT):
        if target.startswith("#"):
            assert target[1:] in anchors, target
        elif not target.startswith("https://"):
            assert (README.parent / target).exists(), target


def _without_blocks() -> str:
    return re.sub(r"^```.*?^```$", "", TEXT, flags=re.M | re.S)


def test_nothing_that_is_shown_is_a_bug() -> None:
    assert "has a bug" not in TEXT
