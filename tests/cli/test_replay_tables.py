"""A table that is written in other files every time is the same table. One Spark digests it in the run, one in the replay."""

from __future__ import annotations

import pytest
from command_line import Cli
from project import Project, lines_of

pytestmark = pytest.mark.spark


@pytest.mark.long
def test_other_part_files_row_order_and_compression(
    project: Project, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.edit("[run]", '[run]\npass_env = ["TURN"]')
    project.add("""
        [spark]
        master = "local[2]"
        conf = { "spark.ui.enabled" = "false", "spark.driver.memory" = "512m" }

        [outputs.scores]
        path = "out/scores"
        compare = "table"
        format = "parquet"

        [outputs.wobbling]
        path = "out/wobbling"
        compare = "table"
        format = "parquet"
        rel = 1e-6

        [outputs.changed]
        path = "out/changed"
        compare = "table"
        format = "parquet"
    """)
    project.script("""
        import os
        from pathlib import Path
        import pyarrow
        import pyarrow.parquet

        again = os.environ["TURN"] == "2"
        rows = [(name, None if i % 7 == 0 else i / 7) for i in range(40) for name in ("a", "ü", None)]
        rows += rows[:5]

        def write(folder, rows):
            parts = [rows[:50], rows[50:]] if again else [rows[i::5] for i in range(5)]
            if again:
                parts = [list(reversed(part)) for part in parts]
            Path(folder).mkdir(parents=True)
            for number, part in enumerate(parts):
                table = pyarrow.table({"name": [row[0] for row in part], "score": pyarrow.array([row[1] for row in part], pyarrow.float64())})
                name = f"part-{os.urandom(8).hex()}.{'zstd' if again else 'snappy'}.parquet"
                pyarrow.parquet.write_table(table, f"{folder}/{name}", compression="zstd" if again else "snappy")

        write("out/scores", rows)
        write("out/wobbling", [(name, score and score * (1 + 1e-8 * again)) for name, score in rows])
        write("out/changed", rows[:-1] + [("ü", 0.5)] if again else rows)
    """)
    monkeypatch.setenv("TURN", "1")
    said = cli("lock")
    assert said.code == 0, said.err
    said = cli("run", "-q")
    assert said.code == 0, said.err
    recorded = {output.name: output for output in project.record.outputs}
    assert (recorded["scores"].table.rows, recorded["scores"].files) == (125, 5)
    monkeypatch.setenv("TURN", "2")
    said = cli("replay", project.record.run_id)
    states = {
        line.split()[0]: line.split("  ")[-1].strip() for line in lines_of(said.out, "scores", "wobbling", "changed")
    }
    assert states == {"scores": "identical", "wobbling": "within tolerance", "changed": "different"}, (
        said.out + said.err
    )
    assert lines_of(said.out, "  changed:") == ['  changed: column "score" holds other values'], said.out
    assert lines_of(said.out, "DIVERGED") == [
        "DIVERGED   1 of 3 differ: changed   packages not locked, none differ   TURN passed through, with values that are not recorded"
    ]
    assert said.code == 6


def test_other_files_of_the_same_table_are_reproduced_and_a_java_that_fails_proves_nothing(
    project: Project, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.edit("[run]", '[run]\npass_env = ["TURN", "JAVA_TOOL_OPTIONS"]')
    project.add("""
        [spark]
        master = "local[2]"
        conf = { "spark.ui.enabled" = "false", "spark.driver.memory" = "512m" }

        [outputs.scores]
        path = "out/scores"
        compare = "table"
        format = "parquet"
    """)
    project.script("""
        import os
        from pathlib import Path
        import pyarrow
        import pyarrow.parquet

        again = os.environ["TURN"] == "2"
        rows = list(range(40))
        Path("out/scores").mkdir(parents=True)
        for number, part in enumerate([rows[30:][::-1], rows[:30]] if again else [rows[i::5] for i in range(5)]):
            name = f"out/scores/part-{number}-{os.urandom(4).hex()}.parquet"
            pyarrow.parquet.write_table(pyarrow.table({"score": part}), name, compression="zstd" if again else "snappy")
    """)
    monkeypatch.setenv("TURN", "1")
    assert cli("lock").code == 0
    said = cli("run", "-q")
    assert said.code == 0, said.err
    run = project.record
    digest = run.outputs[0].compared.partition(":")[2][:8]
    remarks = "packages not locked, none differ   TURN passed through, with values that are not recorded   JAVA_TOOL_OPTIONS not set here"
    monkeypatch.setenv("TURN", "2")
    said = cli("replay", run.run_id)
    assert (said.code, said.out.splitlines()[:-1]) == (
        0,
        [f"scores  table  {digest}  {digest}  identical", "─" * 64, f"REPRODUCED   1 of 1 compared   {remarks}"],
    )
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-XX:+NoSuchOption")
    said = cli("replay", run.run_id)
    why = "Spark could not compute digests of tables: Java gateway process exited before sending its port number"
    remarks = (
        "packages not locked, none differ   TURN, JAVA_TOOL_OPTIONS passed through, with values that are not recorded"
    )
    [folder] = (project.root / ".reprolock" / "replays").glob("*-2")
    assert (said.code, said.out.splitlines()[:-1]) == (
        7,
        [
            f"scores  table  {digest}  -  missing",
            f"  scores: {why}",
            "─" * 64,
            f'NOT REPLAYABLE   output "scores" could not be compared: {why}   {remarks}',
        ],
    )
    assert lines_of(said.err, "error", "hint") == [
        f'error: run {run.run_id[:8]} is not replayable: output "scores" could not be compared: {why}',
        f"hint: what was found is in {folder}/project",
    ]
