"""README.md and docs/ hold: sessions print what they show, examples are valid, commands exist, links lead somewhere."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import services
from readme import README, ROOT, blocks, documents, execute, normal, sessions

from reprolock.cli.main import COMMANDS
from reprolock.cli.main import reprolock as command_line
from reprolock.files.spec_file import parse_spec

TEXTS = {path.relative_to(ROOT).as_posix(): path.read_text() for path in documents()}
EXPERIMENTS = "docs/guides/experiments.md"
LONG = ("docs/guides/first-hour.md", "docs/guides/pandas-and-sklearn.md", EXPERIMENTS)
SESSIONS = [
    pytest.param(name, session, marks=pytest.mark.long if name in LONG else ())
    for name, text in TEXTS.items()
    for session in sessions(text)
]
BLOCKS = [(name, block) for name, text in TEXTS.items() for block in blocks(text)]


def _cases(language: str) -> list[object]:
    """The blocks of a language, each under the name of its document and its line."""
    return [
        pytest.param(block.text, id=f"{name}:{TEXTS[name].count(chr(10), 0, block.start)}")
        for name, block in BLOCKS
        if block.language == language
    ]


@pytest.mark.parametrize(("name", "session"), SESSIONS)
def test_a_session_prints_what_is_shown(name: str, session: str, tmp_path: Path) -> None:
    text = TEXTS[name]
    for block, step, output in execute(text, session, tmp_path.resolve(), {}):
        line = text.count(chr(10), 0, block.start)
        assert normal(output) == normal(step.output), f"{name}:{line}: $ {step.command}"


@pytest.mark.live
@pytest.mark.long
def test_the_experiments_are_the_same_on_a_lakefs(lakefs: services.LakeFS, tmp_path: Path) -> None:
    text = TEXTS[EXPERIMENTS].replace('[lake]\nendpoint = "file:lake"\n\n', "")
    create = "reprolock data create lakefs://homes"
    text = text.replace(f"$ {create}\n", f"$ {create} --storage {lakefs.storage}homes\n")
    for _, step, output in execute(text, "homes", tmp_path.resolve(), {}, lakefs.lakectl):
        assert normal(output) == normal(step.output), step.command


@pytest.mark.parametrize("text", _cases("toml"))
def test_an_example_is_valid(text: str) -> None:
    """A whole repro.toml, or a part of one; other TOML (a lock, trust.toml) is well-formed."""
    tables = set(tomllib.loads(text))
    if not tables <= {
        "project",
        "lake",
        "datasets",
        "params",
        "environment",
        "spark",
        "run",
        "outputs",
        "metrics",
        "mlflow",
    }:
        return
    for table, rest in (("project", '[project]\nname = "excerpt"\n'), ("run", '[run]\ncommand = ["true"]\n')):
        if table not in tables:
            text += "\n" + rest
        elif table == "run" and "command" not in tomllib.loads(text)["run"]:
            text = text.replace("[run]\n", rest)
    parse_spec(text)


@pytest.mark.parametrize("text", _cases("python"))
def test_a_script_is_python(text: str) -> None:
    compile(text, "document", "exec")


def _shown_commands() -> Iterator[str]:
    """Every `reprolock …` of a session or in a sentence."""
    for _, block in BLOCKS:
        if block.language == "console":
            yield from re.findall(r"^\$ (?:.*[;&] )?(reprolock .*?)(?:;.*|\s+#.*|\s*)$", block.text, re.M)
    for text in TEXTS.values():
        yield from re.findall(r"`(reprolock [^`\n]+)`", text)


@pytest.mark.parametrize("shown", sorted(set(_shown_commands())))
def test_a_command_that_is_shown_exists(shown: str) -> None:
    found: click.Command = command_line
    context = click.Context(found)
    for word in shlex.split(shown)[1:]:
        if isinstance(found, click.Group) and not word.startswith("-"):
            _, inner, _ = found.resolve_command(context, [word])
            assert inner is not None, f"there is no command {word}"
            found = inner
        elif word.startswith("-"):
            known = {option for parameter in found.params for option in parameter.opts} | {"--help", "-h"}
            assert word.partition("=")[0] in known, f"{found.name} has no option {word}"


def test_every_command_is_described() -> None:
    shown = set(re.findall(r"reprolock ([a-z-]+)", "".join(TEXTS.values())))
    assert {name for name, entry in COMMANDS.items() if entry.group} <= shown


def test_readme_is_short() -> None:
    assert len(README.read_bytes()) < 9_000


@pytest.mark.parametrize("name", TEXTS)
def test_every_link_leads_somewhere(name: str) -> None:
    page = ROOT / name
    for target, anchor in re.findall(r"\]\((?!https?://)([^)#\s]*)#?([^)\s]*)\)", _without_blocks(TEXTS[name])):
        other = (page.parent / target) if target else page
        assert other.exists(), target
        assert not anchor or anchor in _anchors(other.read_text()), f"{target}#{anchor}"


def _anchors(text: str) -> set[str]:
    """The anchors of a document's headings, as GitHub and MkDocs both make them."""
    headings = re.findall(r"^#+ (.+)$", _without_blocks(text), re.M)
    return {re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", heading.lower())).strip("-") for heading in headings}


def _without_blocks(text: str) -> str:
    return re.sub(r"^ *```.*?^ *```$", "", text, flags=re.M | re.S)


def test_nothing_that_is_shown_is_a_bug() -> None:
    assert not [name for name, text in TEXTS.items() if "reprolock has a bug: " in text]
