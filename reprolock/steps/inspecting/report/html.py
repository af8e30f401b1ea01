"""Write a record, with its verdict where there is one, as one HTML page that needs no other file.

The page loads nothing and runs nothing. Records are foreign input: Jinja escapes whatever stands in one, no
text of one becomes an address that could be followed, and a policy in the page forbids what it has no use for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from reprolock import __version__
from reprolock.files.atomic_write import write_whole
from reprolock.model.changes import flattened
from reprolock.model.claims import Audit
from reprolock.model.demands import Answers
from reprolock.model.history import varying
from reprolock.model.lineage import Lineage
from reprolock.model.record import Record
from reprolock.model.verdict import Verdict
from reprolock.model.words import counted, size
from reprolock.steps.inspecting.read_curves import Curves
from reprolock.steps.inspecting.report.chart import HEIGHT as CHART_HEIGHT
from reprolock.steps.inspecting.report.chart import WIDTH as CHART_WIDTH
from reprolock.steps.inspecting.report.chart import Chart
from reprolock.steps.inspecting.report.curves import CurveChart, Series, curve_chart
from reprolock.steps.inspecting.report.lineage_graph import HEIGHT, WIDTH, picture
from reprolock.steps.inspecting.runs import History
from reprolock.steps.project.machine import Machine

_TEMPLATE = "report.html.jinja"
_MOST = 500
"""Packages, files of code and columns that are named; how many more there are is said."""
_MOST_SOURCES = 20
_KINDS = 8
"""How many lines of one picture look different from one another."""
_HEX = re.compile(r"[0-9a-f]{64}")
# What HTML has no character for, and what turns the direction of the text around it.
_UNSHOWN = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)


def report(record: Record, *, replay: Record | None = None, verdict: Verdict | None = None, curves: Curves = {}) -> str:
    """The page of a run, or of its replay; without a verdict a replay is a what-if, and the page a comparison. `curves` are of the
    run and of those that its command started beside it."""
    names = {child.run_id: child.name or child.run_id[:8] for child in record.children}
    names[record.run_id] = record.run_name or record.run_id[:8]
    return _page(
        _TEMPLATE,
        record=record,
        replay=replay,
        verdict=verdict,
        picture=picture(record),
        metrics=_metrics(record, replay),
        refused=None,
        problems=(),
        hint=None,
        charts=_curve_charts(curves, names),
    )


def refusal(run: str, verdict: Verdict, problems: tuple[str, ...] = (), hint: str | None = None) -> str:
    """The page of a run that could not even be tried; `problems` and `hint` as errors have them."""
    return _page(
        _TEMPLATE,
        record=None,
        replay=None,
        verdict=verdict,
        picture=None,
        metrics=[],
        refused=run,
        problems=problems,
        hint=hint,
        charts=[],
    )


def audit_page(audit: Audit) -> str:
    """The page of an audit, for a reader who never saw the project."""
    return _page("audit.html.jinja", audit=audit)


def demands_page(answers: Answers) -> str:
    """The page of what a regulation asks for."""
    return _page("demands.html.jinja", answers=answers)


def demands_text(answers: Answers) -> str:
    """The same as Markdown: what is foreign in it starts no cell, link, picture or tag."""
    template = _environment().overlay(autoescape=False).get_template("demands.md.jinja")
    return template.render(answers=answers) + "\n"


def sweep_page(
    title: str,
    parent: str,
    head: Sequence[str],
    rows: Sequence[tuple[Sequence[str], bool]],
    metric: str | None,
    charts: Sequence[Chart],
) -> str:
    """The page of a sweep: a table, of whose rows one may be the best, and its pictures."""
    return _page(
        "sweep.html.jinja",
        title=title,
        parent=parent,
        head=head,
        rows=[{"cells": cells, "best": best} for cells, best in rows],
        metric=metric,
        charts=charts,
    )


def runs_page(title: str, history: History, curves: Curves) -> str:
    """The page of past runs: a picture of each metric, and a table that is a list of cards where it is narrow."""
    return _page(
        "runs.html.jinja",
        title=title,
        runs=history.runs,
        params=varying(history.runs),
        metrics=history.shown_metrics,
        charts=_curve_charts(curves, {run.run_id: run.name or run.run_id[:8] for run in history.runs}),
    )


def _curve_charts(curves: Curves, names: Mapping[str, str]) -> list[CurveChart]:
    """A picture of each metric, its runs in the order of `names`, by which they are called."""
    charts = [
        curve_chart(metric, [Series(told, found[run]) for run, told in names.items() if run in found], _KINDS)
        for metric, found in curves.items()
    ]
    return [chart for chart in charts if chart]


def write_report(path: Path, page: str, machine: Machine) -> None:
    """Write a page whole. UsageError where it contains a secret that is in use here, MachineError where it cannot be written."""
    machine.scanner().check(page, path.name)
    write_whole(path, page.encode())


def _page(template: str, **values: Any) -> str:
    return _environment().get_template(template).render(**values).lstrip()


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("reprolock.steps.inspecting.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: _UNSHOWN.sub("\ufffd", value) if type(value) is str else value,
    )
    environment.globals |= {
        "version": __version__,
        "most": _MOST,
        "width": CHART_WIDTH,
        "height": CHART_HEIGHT,
        "box_width": WIDTH,
        "box_height": HEIGHT,
    }
    environment.filters |= {
        "size": size,
        "number": _number,
        "counted": counted,
        "brief": _brief,
        "time": _time,
        "flattened": flattened,
        "cell": _cell,
    }
    environment.filters |= {"warnings": _warnings, "made_from": _made_from}
    return environment


def _metrics(record: Record, replay: Record | None) -> list[tuple[str, bool]]:
    """The name of each, those of `[metrics]` first, and whether it is one of them."""
    names = sorted({*record.metrics, *(replay.metrics if replay else ())})
    return sorted(
        ((name, f"metrics.{name}" in record.rules) for name in names), key=lambda metric: metric[1], reverse=True
    )


def _cell(text: str) -> str:
    """Text in a cell of a Markdown table, every mark of Markdown's taken as it is."""
    return re.sub(r"([\\`*_\[\]<>|!#~&])", r"\\\1", text.replace("\n", " "))


def _warnings(lineage: Lineage) -> list[str]:
    """What was not declared or not locked, one sentence each."""
    return [
        *(read.sentence for read in lineage.undeclared),
        *(f"outside the lock: {sentence}" for sentence in lineage.unlocked),
    ]


def _made_from(lineage: Lineage) -> list[tuple[str, str, str, str]]:
    """What Spark wrote, column by column: the output, where, the column, and what that was made from, by datasets' names."""
    names = {read.uri: read.dataset for read in lineage.reads if read.dataset}
    rows = []
    for write in lineage.writes:
        where = (write.output or "none", write.uri)
        for column, sources in sorted(write.columns.items()):
            said = [
                f"{names.get(uri, uri)}#{name}"
                for uri, _, name in (source.rpartition("#") for source in sources[:_MOST_SOURCES])
            ]
            more = [f"{len(sources) - _MOST_SOURCES} more"] if len(sources) > _MOST_SOURCES else []
            rows.append((*where, column, ", ".join([*said, *more])))
        if not write.columns:
            rows.append((*where, "–", "not reported"))
    return rows


def _brief(value: str | None) -> str:
    """A digest by its scheme and its first digits: both of a pair are to be seen at one glance."""
    if value is None:
        return "–"
    scheme, colon, digits = value.rpartition(":")
    return f"{scheme}{colon}{digits[:16]}" if colon or _HEX.fullmatch(digits) else value


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
