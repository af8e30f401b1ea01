"""Pages: they parse, they load nothing, they run nothing, and foreign text stays text."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from html_page import checked, chromium, layout
from project import Project

from reprolock.model.lineage import Lineage, Read, Write
from reprolock.model.record import DatasetRecord, Record
from reprolock.model.verdict import Comparison, not_replayable, verdict
from reprolock.steps.inspecting.report.html import refusal, report

HOSTILE = "</title></style></text><script>alert(1)</script><img src=x onerror='alert(1)'>\"\x00\x1b\u202e{{ 7 * 7 }}"


@pytest.fixture
def record(project: Project, cli) -> Record:
    project.add('\n[outputs.scores]\npath = "scores.csv"\n[params]\nmax_iter = 20\n')
    project.script("open('scores.csv', 'w').write('1')")
    assert cli("lock").code == 0
    assert cli("run").code == 0
    return project.record


def hostile(record: Record) -> Record:
    [dataset], [output] = record.datasets, record.outputs
    return record.model_copy(
        update={
            "project": HOSTILE,
            "run_name": HOSTILE,
            "command": (HOSTILE,),
            "params": {HOSTILE: HOSTILE, "items": 1},
            "metrics": {HOSTILE: float("nan")},
            "why": (HOSTILE,),
            "env": {HOSTILE: HOSTILE},
            "datasets": tuple(_named(dataset, index) for index in range(30)),
            "outputs": (output.model_copy(update={"name": HOSTILE, "path": HOSTILE, "problem": HOSTILE}),),
            "code": record.code.model_copy(
                update={"remote": "javascript:alert(1)", "commit": HOSTILE, "tree": {HOSTILE: HOSTILE}}
            ),
            "environment": record.environment.model_copy(
                update={"platform": HOSTILE, "packages": {HOSTILE: HOSTILE}, "locale": {HOSTILE: HOSTILE}}
            ),
            "lineage": Lineage(
                coverage=HOSTILE,
                observed=True,
                reads=(Read(uri=HOSTILE, kind="moving"),),
                writes=(Write(uri=HOSTILE, output=HOSTILE, columns={HOSTILE: (HOSTILE,) * 30}), Write(uri=HOSTILE)),
                unlocked=(HOSTILE,),
            ),
        }
    )


def _named(dataset: DatasetRecord, index: int) -> DatasetRecord:
    columns = ({"name": HOSTILE},)
    return dataset.model_copy(
        update={"name": f"{HOSTILE}{index}", "uri": HOSTILE, "resolved": HOSTILE, "digest": HOSTILE, "columns": columns}
    )


def test_a_page_says_what_the_record_says(record: Record) -> None:
    page = checked(report(record))
    text = " ".join(page.text.split())
    assert "✓ FINISHED exit code 0, after" in text
    for said in (
        record.run_id,
        record.datasets[0].resolved,
        record.outputs[0].compared,
        record.pinned.total,
        "max_iter 20",
        "1 object, 8 B",
    ):
        assert said in text
    assert text.index("FINISHED") < text.index("From data to outputs") < text.index("Digests")


def test_metrics_come_first_and_the_name_on_top(record: Record) -> None:
    named = record.model_copy(
        update={
            "run_name": "#435",
            "metrics": {"auc": 0.5, "loss": 2.0, "steps": 7.0},
            "rules": {**record.rules, "metrics.loss": {"rel": 0.0}},
        }
    )
    page = report(named)
    assert f"<title>FINISHED – run {record.run_id[:8]} (#435)</title>" in page
    text = " ".join(checked(page).text.split())
    assert f"run {record.run_id[:8]} (#435) ✓ FINISHED (#435) exit code 0" in text
    assert "Metrics Metric Value loss declared 2 auc 0.5 steps 7 " in text
    assert text.index("Metrics") < text.index("From data to outputs") < text.index("Data Dataset")


def test_digests_are_short_and_whole_for_who_asks(record: Record) -> None:
    text = " ".join(checked(report(record)).text.split())
    [output], digest = record.outputs, record.code.digest
    assert output.compared is not None
    scheme, _, digits = output.compared.rpartition(":")
    assert f" {scheme}:{digits[:16]}… {output.compared} " in text
    assert f"Digest {digest[:16]}… {digest} " in text


def test_foreign_text_stays_text(record: Record) -> None:
    bad = hostile(record)
    item = Comparison(
        name=HOSTILE,
        kind="output",
        how=HOSTILE,
        recorded="table:<b>",
        found="a",
        state="different",
        differences=(HOSTILE,),
    )
    found = verdict([item], [HOSTILE], [HOSTILE])
    for page in (
        report(bad),
        report(bad, replay=bad),
        report(bad, replay=bad, verdict=found),
        refusal(HOSTILE, found, (HOSTILE,), HOSTILE),
    ):
        checked(page)
        assert "<script" not in page and "onerror='" not in page
        assert not re.search("[\x00\x1b\u202e]", page)
        assert "{{ 7 * 7 }}" in page
    text = checked(report(bad)).text
    assert "21 more" in text  # of 30 datasets and one read that none declares ten are drawn
    assert "NaN" in text or "nan" in text


def test_the_verdict_comes_first(record: Record) -> None:
    item = Comparison(
        name="accuracy", kind="metric", how="±1e-6", recorded="0.9473", found="0.9472999", state="within tolerance"
    )
    text = " ".join(
        checked(report(record, replay=record, verdict=verdict([item], (), ["on Java 21, recorded 17"]))).text.split()
    )
    assert "✓ REPRODUCED 1 of 1 compared on Java 21, recorded 17" in text
    assert "accuracy metric ±1e-6 0.9473 0.9472999 ✓ within tolerance" in text
    refused = checked(refusal("3f9c2d1e", not_replayable("the code is gone"), ("code: x",), "get it again")).text
    assert "– NOT REPLAYABLE the code is gone code: x get it again" in " ".join(refused.split())


def test_what_was_observed(record: Record) -> None:
    [dataset] = record.datasets
    text = " ".join(checked(report(record)).text.split())
    assert "What was observed Plain file access was not observed. Data" in text
    many = {f"c{index:03}": (f"{dataset.resolved}#x",) for index in range(600)}
    lineage = Lineage(
        coverage="Spark was observed; plain file access was not observed",
        observed=True,
        sessions=1,
        reads=(
            Read(uri=dataset.resolved, kind="dataset", dataset="train"),
            Read(uri="file:/data/more.csv", kind="undeclared"),
        ),
        writes=(
            Write(
                uri="scores.csv", output="scores", columns={"total": (f"{dataset.resolved}#x", "file:/data/more.csv#y")}
            ),
            Write(uri="scratch", columns=many),
        ),
        unlocked=("jar mine.jar, not locked",),
    )
    text = " ".join(checked(report(record.model_copy(update={"lineage": lineage}))).text.split())
    assert "not declared read by Spark file:/data/more.csv" in text
    assert f"scores.csv bytes {record.outputs[0].compared[5:17]}, by Spark" in text
    assert (
        "What was observed Spark was observed; plain file access was not observed. What stands here is what Spark itself reported; it proves "
        "nothing about what it did not report. ⚠ Not declared, or not locked Spark read file:/data/more.csv, which no dataset declares outside the "
        "lock: jar mine.jar, not locked Output Written by Spark Column Made from scores scores.csv total train#x, file:/data/more.csv#y "
        "none scratch c000 train#x none scratch c001 train#x "
    ) in text
    assert "c498 train#x … and 101 more, in record.json Data" in text


def test_a_verdict_says_what_differs_whatever_it_is(record: Record) -> None:
    item = Comparison(name="accuracy", kind="metric", how="exact", recorded="1", found="1", state="identical")
    replay = record.model_copy(update={"why": ("pandas 2.2.0 → 2.3.0",)})
    text = " ".join(
        checked(
            report(record, replay=replay, verdict=verdict([item], ["packages"], ["on 64 cores, recorded on 2"]))
        ).text.split()
    )
    said = "What differs in the inputs and the observed environment: packages pandas 2.2.0 → 2.3.0 on 64 cores, recorded on 2"
    assert f"✓ REPRODUCED 1 of 1 compared {said} The recorded run was rebuilt" in text
    text = " ".join(checked(report(record, replay=replay, verdict=verdict([item]))).text.split())
    assert "✓ REPRODUCED 1 of 1 compared The recorded run was rebuilt" in text


def test_show_writes_a_page(record: Record, cli, tmp_path: Path) -> None:
    said = cli("show", "--html", str(tmp_path / "run.html"))
    assert (said.code, said.err) == (0, f"Wrote {tmp_path}/run.html\n")
    assert record.run_id in checked((tmp_path / "run.html").read_text()).text
    said = cli("show", "--lock", "--html", str(tmp_path / "lock.html"))
    assert (said.code, said.err.splitlines()[0]) == (
        2,
        "error: --html writes the page of a run, and nothing has run here yet",
    )
    assert not (tmp_path / "lock.html").exists()


def test_replay_writes_a_page(record: Record, project: Project, cli, tmp_path: Path) -> None:
    file = tmp_path / "replay.html"
    assert cli("replay", record.run_id, "--html", str(file)).code == 0
    text = " ".join(checked(file.read_text()).text.split())
    assert "✓ REPRODUCED 1 of 1 compared" in text
    assert f"of run {record.run_id[:8]}" in text
    folder = shutil.copytree(project.run_folder(record.run_id), tmp_path / "artifacts")
    (folder / "repro.lock").unlink()
    said = cli("replay", str(folder), "--html", str(file))
    assert said.code == 7
    text = " ".join(checked(file.read_text()).text.split())
    assert f"– NOT REPLAYABLE {said.err.splitlines()[1].removeprefix('error: ')}" in text


@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not on PATH")
@pytest.mark.parametrize("flags", [[], ["--blink-settings=preferredColorScheme=0"]], ids=["light", "dark"])
@pytest.mark.parametrize("of", ["run", "replay"])
def test_a_browser_shows_it(record: Record, tmp_path: Path, of: str, flags: list[str]) -> None:
    """Light and dark differ in the first pixel, and the hostile page ran nothing: its body is what was written."""
    bad = hostile(record)
    item = Comparison(
        name=HOSTILE,
        kind="output",
        how=HOSTILE,
        recorded="table:<b>",
        found="a",
        state="different",
        differences=(HOSTILE,),
    )
    page = report(bad) if of == "run" else report(bad, replay=bad, verdict=verdict([item], ["packages"], [HOSTILE]))
    (tmp_path / "page.html").write_text(page)
    address = (tmp_path / "page.html").as_uri()
    shown = chromium(tmp_path, *flags, "--dump-dom", address)
    assert "<script" not in shown and "From data to outputs" in shown
    assert ("✗ DIVERGED" in shown, "Results, compared" in shown) == (of == "replay", of == "replay")
    chromium(tmp_path, *flags, f"--screenshot={tmp_path / 'page.png'}", address)
    assert _corner(tmp_path / "page.png") == ((21, 24, 27) if flags else (251, 250, 248))


@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not on PATH")
@pytest.mark.parametrize("width", [400, 1280])
def test_nothing_scrolls_sideways(record: Record, tmp_path: Path, width: int) -> None:
    """Neither the page nor a part of it, whatever the record holds."""
    item = Comparison(
        name="predictions", kind="output", how="table", recorded="table:" + "a" * 64, found="table:" + "b" * 64, state="different",
        differences=("2 rows only recorded",),
    )  # fmt: skip
    long = record.model_copy(
        update={
            "metrics": {"training_mean_squared_error_of_all_folds": 1 / 3},
            "params": {"training_set_of_the_experiment_before": "x" * 200},
            "datasets": tuple(
                item.model_copy(update={"resolved": f"lakefs://a/{'c' * 64}/{'long-' * 40}"})
                for item in record.datasets
            ),
        }
    )
    for page in (report(long), report(long, replay=long, verdict=verdict([item])), report(long, replay=long)):
        assert layout(tmp_path, page, width) == {"page": width, "scrolling": []}


@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not on PATH")
def test_a_browser_prints_it(record: Record, tmp_path: Path) -> None:
    """On paper too: a few sheets with the verdict in the title, whatever colours the reader's screen has."""
    item = Comparison(name="accuracy", kind="metric", how="exact", recorded="1", found="1", state="identical")
    (tmp_path / "page.html").write_text(report(record, replay=record, verdict=verdict([item])))
    chromium(tmp_path, f"--print-to-pdf={tmp_path / 'page.pdf'}", (tmp_path / "page.html").as_uri())
    pdf = (tmp_path / "page.pdf").read_bytes()
    assert pdf.startswith(b"%PDF-")
    assert 1 < len(re.findall(rb"/Type /Page\b", pdf)) < 8
    title = re.search(rb"/Title <FEFF([0-9A-F]+)>", pdf)
    assert title is not None
    assert bytes.fromhex(title[1].decode()).decode("utf-16-be") == f"REPRODUCED – run {record.run_id[:8]}"


def _corner(png: Path) -> tuple[int, int, int]:
    from PIL import Image  # comes with MLflow's matplotlib

    with Image.open(png) as image:
        return image.convert("RGB").getpixel((0, 0))
