"""Outputs that differ in a way that a reader of their format could see are never called identical; no JVM is started."""

from __future__ import annotations

import pytest
from command_line import Cli
from project import Project, lines_of


def test_no_difference_that_a_reader_sees_is_identical(
    project: Project, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAVA_HOME", "/nowhere")  # a Spark could not start
    project.edit("[run]", '[run]\npass_env = ["TURN"]')
    tables = {"jsonl": "json", "typed": "json", "rows": "parquet", "near": "parquet", "none": "csv", "zip": "csv"}
    for name, kind in tables.items():
        more = "rel = 1e-6\n" if name == "near" else ""
        project.add(
            f'[outputs.{name}]\npath = "out/{name}"\ncompare = "table"\nformat = "{kind}"\noptions = {{ header = true }}\n{more}'.replace(
                "options = { header = true }\n", "" if kind != "csv" else "options = { header = true }\n"
            )
        )
    for name in ("nothing", "name", "mode", "same", "empty"):
        project.add(f'[outputs.{name}]\npath = "out/{name}"\n')
    project.script("""
        import os
        from pathlib import Path
        import pyarrow, pyarrow.parquet

        again = os.environ["TURN"] == "2"
        out = Path("out")
        def folder(name):
            (out / name).mkdir(parents=True)
            return out / name
        (folder("jsonl") / "1.json").write_text('{"a":1} {"a":999}\\n' if again else '{"a":1}\\n')
        (folder("typed") / "1.json").write_text('{"a":"1"}\\n{"a":"x"}\\n' if again else '{"a":1}\\n{"a":"x"}\\n')
        pyarrow.parquet.write_table(pyarrow.table({"x": [2, 1] if again else [1, 2]}), folder("rows") / f"{again}.parquet")
        pyarrow.parquet.write_table(pyarrow.table({"x": [1 + 1e-9 * again]}), folder("near") / "1.parquet")
        (folder("none") / "1.csv").write_text("a\\n")
        (folder("zip/zip=1234" if again else "zip/zip=01234") / "1.csv").write_text("a\\n1\\n")
        folder("nothing/two" if again else "nothing/one")
        open(os.fsencode(folder("name")) + (b"/\\\\xff" if again else b"/\\xff"), "w").write("x")
        (folder("mode") / "f").write_text("x")
        (out / "mode" / "f").chmod(0o755 if again else 0o644)
        (folder("same") / "f").write_text("x")
        folder("empty")
    """)
    monkeypatch.setenv("TURN", "1")
    said = cli("lock")
    assert said.code == 0, said.err
    said = cli("run", "-q")
    assert said.code == 0, said.err
    monkeypatch.setenv("TURN", "2")
    said = cli("replay", project.record.run_id)
    names = [*tables, "nothing", "name", "mode", "same", "empty"]
    states = {line.split()[0]: line.split("  ")[-1].strip() for line in lines_of(said.out, *names)}
    assert states == {
        "jsonl": "missing", "typed": "different", "rows": "identical", "near": "within tolerance",
        "none": "identical, both empty", "zip": "different", "nothing": "different", "name": "different",
        "mode": "different", "same": "identical", "empty": "identical, both empty",
    }, said.out + said.err  # fmt: skip
    assert lines_of(said.out, "  jsonl:") == [
        "  jsonl: jsonl cannot be compared as a json table: 1.json, line 1: no JSON document: Extra data"
    ]
    assert said.code == 6


def test_a_table_that_no_engine_can_compare_is_refused_at_lock(project: Project, cli: Cli) -> None:
    project.add('[outputs.o]\npath = "o"\ncompare = "table"\nformat = "image"\n')
    assert cli("lock") == (
        2,
        "",
        'error: outputs.o: no engine can compare it as a table: image is not a format of tables; write compare = "bytes"\n'
        'hint: declare [spark], or write compare = "bytes"\n',
    )
