"""Search what a run leaves for secrets before it is written.

A secret that is there before the command starts is refused, since a user wrote it where it must not be. One that appears
later does not end the run: asterisks replace it in texts, and a metric or a kept output that holds it is left out. Sentences
for the user say what was changed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from reprolock.errors import UsageError
from reprolock.files.secrets import Scanner
from reprolock.model.record import OutputRecord, Record
from reprolock.model.spec import Spec
from reprolock.model.workspace import Workspace
from reprolock.steps.recording.kept_outputs import members

_REFERENCE = re.compile(r"\$\{env[.:](\w+)\}")


class Covered(NamedTuple):
    """A record without secrets, and remarks about what was removed."""

    record: Record
    remarks: tuple[str, ...]


def spark_secrets(workspace: Workspace) -> dict[str, str]:
    """The secrets among Spark's settings, which went into variables: setting → value."""
    conf = workspace.spark.conf if workspace.spark else {}
    found = {name: _REFERENCE.fullmatch(value) for name, value in conf.items()}
    return {
        name: workspace.environ[match[1]] for name, match in found.items() if match and match[1] in workspace.environ
    }


def check_spec(spec: Spec, scanner: Scanner) -> None:
    """UsageError (exit 2) names the setting that holds a secret in another form than its own, such as an escape of TOML's."""
    for place, text in _texts(spec.model_dump(mode="json")):
        scanner.check(text, f"{place} in repro.toml", lines=False)


def check_opening(record: Record, scanner: Scanner) -> None:
    """UsageError (exit 2) names the part of an opening record that contains a secret: repro.toml, git or Spark brought it.

    What `pass_env` lets through is not looked for here, but in repro.toml: it may be the project's own folder.
    """
    for place, text in _texts(record.model_dump(mode="json")):
        scanner.check(text, f"{place}, which would be recorded,", lines=False)


def redact_record(record: Record, checked: Record, scanner: Scanner) -> Covered:
    """The record as it may be written. What `checked` has too, which `check_opening` has passed, stays as it is, and so do
    the digests over it."""
    document, passed = record.model_dump(mode="json"), checked.model_dump(mode="json")
    remarks = []
    for name in list(document["metrics"]):
        if sentence := _problem(partial(scanner.check, name, "the name of a metric", lines=False)):
            del document["metrics"][name]  # asterisks are no name that MLflow takes
            remarks.append(f"{sentence}; it is not recorded")
    for place, text in _texts(document, passed):
        if sentence := _problem(partial(scanner.check, text, place, lines=False)):
            remarks.append(f"{sentence}; asterisks are recorded")
    if not remarks:
        return Covered(record, ())
    return Covered(Record.model_validate_json(json.dumps(_redact_value(document, passed, scanner))), tuple(remarks))


def without_secrets(
    outputs: tuple[OutputRecord, ...], kept: Mapping[str, Path], scanner: Scanner
) -> tuple[tuple[OutputRecord, ...], dict[str, Path], tuple[str, ...]]:
    """Outputs, their kept copies, and remarks: a copy that contains a secret is removed, and the output is not kept."""
    left, remarks = dict(kept), []
    answers = []
    for output in outputs:
        if output.kept in left and (sentence := _problem(partial(_check_kept, left[output.kept], scanner))):
            left.pop(output.kept).unlink(missing_ok=True)
            remarks.append(f"outputs.{output.name} is not kept beside the record: {sentence}")
            output = output.replaced({"kept": None})
        answers.append(output)
    return tuple(answers), left, tuple(remarks)


def _check_kept(file: Path, scanner: Scanner) -> None:
    for name, data in members(file.read_bytes()):
        scanner.check(name, "the name of a file in it", lines=False)
        scanner.check(data, name)


def _problem(check: Callable[[], None]) -> str | None:
    try:
        check()
    except UsageError as error:
        return error.message
    return None


def _texts(value: Any, passed: Any = None, place: str = "") -> Iterator[tuple[str, str]]:
    """(where, text) of every text in a document that `passed` does not have there: `params.model.names.1`. A name is said
    to be in its table."""
    if value == passed:
        return
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, Mapping):
        for name, item in value.items():
            before = passed.get(name) if isinstance(passed, Mapping) else None
            if before is None:
                yield f"a name in {place}" if place else "a name", name
            yield from _texts(item, before, f"{place}.{name}" if place else name)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _texts(item, _at(passed, index), f"{place}.{index}")


def _redact_value(value: Any, passed: Any, scanner: Scanner) -> Any:
    """The document with asterisks for the secrets in what `passed` does not have there."""
    if value == passed:
        return value
    if isinstance(value, str):
        return scanner.redact(value)
    if isinstance(value, dict):
        old = passed if isinstance(passed, dict) else {}
        return {
            name if name in old else scanner.redact(name): _redact_value(item, old.get(name), scanner)
            for name, item in value.items()
        }
    return (
        [_redact_value(item, _at(passed, index), scanner) for index, item in enumerate(value)]
        if isinstance(value, list)
        else value
    )


def _at(items: Any, index: int) -> Any:
    return items[index] if isinstance(items, list) and index < len(items) else None
