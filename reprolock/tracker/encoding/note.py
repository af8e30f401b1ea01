"""The description of a run on MLflow's page: three lines of Markdown, made from its record."""

from __future__ import annotations

from reprolock.model.record import Record
from reprolock.model.uri import LakeURI
from reprolock.model.words import counted, plain, size

NOTE_TAG = "mlflow.note.content"
"""MLflow's tag of a run's description."""
NOTE_BEGINNING = "**Data**"
"""How ours begins: another one is the command's own, and stays."""

_MOST = 8
"""How many datasets, outputs or metrics are named."""


def note_of(record: Record) -> str:
    """Data at its commits, the result, and how to replay it."""
    interactive = record.mode == "interactive"
    replay = "never: an interactive session" if interactive else f"`reprolock replay {record.run_id[:12]}`"
    parts = ((NOTE_BEGINNING, _data(record)), ("**Result**", _result(record)), ("**Replay**", replay))
    # Two blanks at the end of a line break it in Markdown.
    return "  \n".join(f"{title} {text}" for title, text in parts)


def _data(record: Record) -> str:
    named = []
    for item in record.datasets[:_MOST]:
        place = LakeURI.parse(item.uri)
        extent = f"{counted(item.objects, 'object')}, {size(item.bytes)}"
        named.append(
            f"{item.name} from {_code(f'{place.repository}/{place.ref}')} at {_code(item.commit[:12])} ({extent})"
        )
    return _joined(named, len(record.datasets)) or "none is declared"


def _result(record: Record) -> str:
    if record.ending is None:
        return "the command is running"
    if record.status != "FINISHED":
        return f"{record.status.lower()}: {_code(record.ending.reason)}"
    declared = [name for name in record.metrics if f"metrics.{name}" in record.rules] or list(record.metrics)
    values = [f"{_code(name)} {record.metrics[name]:.6g}" for name in declared]
    outputs = [f"{item.name} ({counted(item.files, 'file')}, {size(item.bytes)})" for item in record.outputs]
    return _joined([*values, *outputs][:_MOST], len(values) + len(outputs)) or "finished"


def _joined(named: list[str], count: int) -> str:
    return ", ".join(named) + (f" and {count - _MOST} more" if count > _MOST else "")


def _code(text: str) -> str:
    """A foreign text as Markdown shows it and obeys nothing in it: a span of code on one line."""
    return "`" + plain(text).replace("`", "'") + "`"
