"""Look at a folder that is to become a project: its script, its packages, what other tools know of it. Nothing is executed."""

from __future__ import annotations

import os
import re
import shlex
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, count
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, TypeGuard

from reprolock.model.secrecy import is_secret_name, looks_secret, redacted
from reprolock.steps.project.script_arguments import Argument, Scalar, read_script

_CHECKOUT = ".lakefs_ref.yaml"
_LARGEST = 1_000_000
_LARGEST_YAML = 200_000
"""Reading it takes seconds."""
_DEEPEST_YAML = 100
"""PyYAML takes minutes for some thousands of brackets in one another."""
_NO_TEXT = re.compile("[\ud800-\udfff]")
_SHELL = re.compile(r"[|;&<>$`*?\n]")
_NO_SCRIPTS = re.compile(r"(?:test_.*|.*_test|setup|conftest|noxfile|tasks|__\w+__)\.py")
_TEMPLATE = re.compile(r"\$?\{([\w.]+)\}")
_NAME = re.compile(r"[A-Za-z_]\w*")
_OUTPUT = re.compile(r"(?:out|output)(?:_?(?:file|path|dir|folder))?")
"""What an option is called that says where a script writes to."""
_FILE = re.compile(
    r".+\.(?:csv|tsv|txt|jsonl?|ya?ml|toml|parquet|orc|avro|pkl|pickle|joblib|np[yz]|h5|pt|pth|onnx|bin|model|png|jpe?g|pdf|html|zip|gz)"
)


class FoundFolder(NamedTuple):
    """What repro.toml can begin with. `sources` are the files that say so, `remarks` what was left out of them and why.

    `outputs`: path → how a replay compares it. `checkout`: an address in the lake, and the folder that `lakectl local` keeps it in.
    """

    command: tuple[str, ...] = ()
    params: Mapping[str, Scalar] = {}
    environment: Mapping[str, str] = {}
    outputs: Mapping[str, str] = {}
    checkout: tuple[str, Path] | None = None
    spark: bool = False
    sources: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


class _Start(NamedTuple):
    """How the project is started, by one file."""

    source: str
    command: tuple[str, ...]
    params: Mapping[str, Scalar] = {}
    outputs: Mapping[str, str] = {}
    remarks: tuple[str, ...] = ()


def look_at_folder(root: Path) -> FoundFolder:
    """MLproject before dvc.yaml, and that before a script; what cannot be read is passed over."""
    start = _mlproject(root) or _dvc(root) or _script(root) or _Start("", ())
    environment, named = _environment(root)
    checkout = next(filter(None, map(_checked_out, (root, *_folders(root)))), None)
    spark = "pyspark" in named or any("pyspark" in read_script(_text(path)).imports for path in _scripts(root))
    sources = [start.source, *environment.values(), _CHECKOUT if checkout else ""]
    return FoundFolder(
        command=start.command,
        params=start.params,
        environment=environment,
        outputs=start.outputs,
        checkout=checkout,
        spark=spark,
        sources=tuple("pyproject.toml" if source == "." else source for source in sources if source),
        remarks=start.remarks,
    )


def _script(root: Path) -> _Start | None:
    scripts = _scripts(root)
    named = [path for name in ("train.py", "main.py", "run.py") for path in scripts if path.name == name]
    chosen = next(iter(named or (scripts if len(scripts) == 1 else [])), None)
    notebooks = sorted(root.glob("*.ipynb"))
    if chosen is None:
        if len(notebooks) != 1:
            return None
        name = notebooks[0].name
        execute = ("jupyter", "nbconvert", "--to", "notebook", "--execute", name, "--output-dir", "out")
        return _Start(name, execute, outputs={f"out/{name}": "none"})
    command, params, outputs, remarks = ["python", chosen.name], dict[str, Scalar](), dict[str, str](), []
    for argument in read_script(_text(chosen)).arguments:
        if not _is_param(argument.default):
            continue
        if is_secret_name(argument.name) or looks_secret(str(argument.default)):
            remarks.append(
                f"{argument.flag} of {chosen.name} is a secret by its name: pass its variable with run.pass_env"
            )
            continue
        if _is_output(root, argument):
            outputs[str(argument.default)] = "json" if str(argument.default).endswith(".json") else "bytes"
            command += [argument.flag, f"{{outputs.{output_names(outputs)[str(argument.default)]}.path}}"]
            continue
        if _is_path(root, argument.default) or not _NAME.fullmatch(argument.name):
            remarks.append(
                f"{argument.flag} {argument.default!r} of {chosen.name} looks like a path: name a dataset's or an output's path there, "
                "such as {datasets.NAME.path}"
            )
            continue
        params[argument.name] = argument.default
        command += [argument.flag, f"{{params.{argument.name}}}"]
    return _Start(chosen.name, tuple(command), params, outputs, tuple(remarks))


def output_names(paths: Iterable[str]) -> dict[str, str]:
    """A name for the output at each path: the file's, and its folders' too where another has that name."""
    named: dict[str, str] = {}
    for path in paths:
        short = _identifier(PurePosixPath(path).name.partition(".")[0])
        names = chain([short, _identifier(path)], (f"{short}_{number}" for number in count(2)))
        named[path] = next(name for name in names if name not in named.values())
    return named


def _identifier(text: str) -> str:
    name = "".join(character if character.isascii() and character.isalnum() else "_" for character in text)
    return name if name[:1].isidentifier() else f"output_{name}"


def _is_output(root: Path, argument: Argument) -> bool:
    """An option that is called so, with a path below the project that repro.toml can have."""
    return (
        _OUTPUT.fullmatch(argument.name) is not None
        and isinstance(argument.default, str)
        and (_is_path(root, argument.default) or bool(re.fullmatch(r"\w+", argument.default)))
        and not PurePosixPath(argument.default).is_absolute()
        and ".." not in PurePosixPath(argument.default).parts
    )


def _is_path(root: Path, default: Scalar) -> bool:
    return isinstance(default, str) and (
        "/" in default or _FILE.fullmatch(default) is not None or os.path.exists(root / default)
    )


def _mlproject(root: Path) -> _Start | None:
    document = _yaml(root / "MLproject")
    main = _table(_table(document.get("entry_points")).get("main"))
    defaults = {name: _table(value).get("default") for name, value in _table(main.get("parameters")).items()}
    return _from_line("MLproject", main.get("command"), defaults)


def _dvc(root: Path) -> _Start | None:
    stages = _table(_yaml(root / "dvc.yaml").get("stages"))
    stage = _table(stages.get("train", next(reversed(list(stages.values())), None)))
    declared = _yaml(root / "params.yaml")
    defaults = {}
    for item in _list(stage.get("params")):
        value: Any = declared
        for part in str(item).split("."):
            value = _table(value).get(part)
        defaults[str(item)] = value
    start = _from_line("dvc.yaml", stage.get("cmd"), defaults)
    if start is None:
        return None
    outputs = {path: "bytes" for path in _paths(stage.get("outs"))}
    outputs |= {path: "json" if path.endswith(".json") else "bytes" for path in _paths(stage.get("metrics"))}
    return start._replace(outputs=outputs)


def _from_line(source: str, line: object, defaults: Mapping[str, object]) -> _Start | None:
    """A command line of another tool as a list of arguments; one that needs a shell is left out."""
    if not isinstance(line, str):
        return None
    params = {name: value for name, value in defaults.items() if _is_param(value) and _NAME.fullmatch(name)}
    filled = _TEMPLATE.sub(lambda match: f"{{params.{match[1]}}}" if match[1] in params else match[0], line.strip())
    if _SHELL.search(filled):
        told = redacted(line.strip())
        return _Start(
            source, (), params, remarks=(f"the command of {source} needs a shell: {told!r}; write it in a script",)
        )
    try:
        command = tuple(shlex.split(filled))
    except ValueError:
        return None
    # What a line of dvc.yaml or MLproject has in braces and no value is there: repro.toml has no such placeholder.
    unknown = dict.fromkeys(name for name in _TEMPLATE.findall(line) if name not in params)
    remarks = tuple(
        f"{source} gives {{{name}}} no value: write a dataset's path in the command there, such as {{datasets.NAME.path}}, or a value"
        for name in unknown
    )
    return _Start(source, command, params, remarks=remarks) if command else None


def _environment(root: Path) -> tuple[dict[str, str], str]:
    """What `[environment]` begins with, and the text that names the packages."""
    text = _text(root / "requirements.txt")
    if text:
        return {"requirements": "requirements.txt"}, text
    text = _text(root / "pyproject.toml")
    try:
        has_project = "dependencies" in tomllib.loads(text).get("project", {})
    except (ValueError, RecursionError, TypeError):
        has_project = False
    return ({"pyproject": "."}, text) if has_project else ({}, "")


def _checked_out(folder: Path) -> tuple[str, Path] | None:
    src = _yaml(folder / _CHECKOUT).get("src")
    return (src, folder) if isinstance(src, str) and src.startswith("lakefs://") else None


def _scripts(root: Path) -> list[Path]:
    return [path for path in sorted(root.glob("*.py")) if not _NO_SCRIPTS.fullmatch(path.name)]


def _folders(root: Path) -> list[Path]:
    found = [path for path in sorted(root.iterdir()) if not path.name.startswith(".")]
    return [path for path in found if path.is_dir() and not path.is_symlink()]


def _paths(items: object) -> Iterator[str]:
    """dvc writes a path, or a table of one path with its settings."""
    for item in _list(items):
        yield from [item] if isinstance(item, str) else map(str, _table(item))


def _yaml(path: Path) -> Mapping[str, Any]:
    """Nothing of a file with aliases (a few lines of those stand for a billion values), nor of one that is nested too deep."""
    text = _text(path, _LARGEST_YAML)
    if not text:
        return {}
    import yaml  # only where such a file is there

    try:
        depth = 0
        for event in yaml.parse(text):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if isinstance(event, yaml.AliasEvent) or depth > _DEEPEST_YAML:
                return {}
        return _table(yaml.safe_load(text))
    except (yaml.YAMLError, RecursionError, ValueError, ArithmeticError, LookupError, AttributeError, TypeError):
        return {}  # PyYAML lets through what its constructors trip over


def _text(path: Path, largest: int = _LARGEST) -> str:
    """A file's text, "" for one that is not there, no file of this folder, or no text."""
    try:
        if path.is_symlink() or not path.is_file() or path.stat().st_size > largest:
            return ""
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def _is_param(value: object) -> TypeGuard[Scalar]:
    """Whether repro.toml can have it: text that can be written, an integer of 64 bits."""
    if isinstance(value, str):
        return _NO_TEXT.search(value) is None
    return isinstance(value, Scalar) and (not isinstance(value, int) or -(2**63) <= value < 2**63)


def _table(value: object) -> Mapping[str, Any]:
    return {str(key): inner for key, inner in value.items()} if isinstance(value, Mapping) else {}


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
