"""Every kind of data in one run, on both lakes: read by Spark and without it, and written back by Spark to the run's branch.

Datasets come from two repositories, from a branch, a tag and an older commit of the same repository.
"""

from __future__ import annotations

import io
import json
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import deltalake
import pandas
import pytest
import services
import sklearn.datasets
from command_line import Cli
from project import Project, lines_of
from spark_session import DELTA

from reprolock.lake.open import open_lake
from reprolock.lake.protocol import Lake

pytestmark = [pytest.mark.spark, pytest.mark.long]

FORMATS = ("delta", "parquet", "csv", "json", "orc", "avro", "text", "binary", "image")
FRAME = pandas.DataFrame({"a": [1, 2, 3], "b": ["x", "y", "ü"]})

SCRIPT = """
    import json

    import reprolock

    run = reprolock.current()
    rows = {name: run.dataset(name).spark().count() for name in run.datasets if name != "png"}
    tables = ("csv", "json", "parquet", "orc", "delta")
    found = {
        "rows": rows,
        "old": [row.b for row in run.dataset("old").spark().collect()],
        "height": run.dataset("image").spark().select("image.height").first()[0],
        "bytes": sorted(bytes(row.content).hex() for row in run.dataset("binary").spark().collect()),
        "pandas": {name: sorted(run.dataset(name).pandas()["b"]) for name in tables},
        "arrow": {name: sorted(run.dataset(name).arrow()["b"].to_pylist()) for name in tables},
        "text": run.dataset("text").pandas()["value"].tolist(),
        "open": run.dataset("binary").open("part.bin").read().hex(),
        "single": run.dataset("single").open().read().decode(),
        "globbed": sorted(file.name for file in run.dataset("globbed").path.rglob("*") if file.is_file()),
        "picture": run.dataset("image").open("china.jpg").read(3).hex(),
        "commits": {name: run.dataset(name).commit for name in run.datasets},
    }
    frame = run.dataset("parquet").spark()
    frame.write.parquet(run.output("table").url)
    frame.write.format("delta").save(run.output("versions").url)
    print("found", json.dumps(found))
"""


def avro(*numbers: int) -> bytes:
    """An Avro container of rows with one long, `id`, between -64 and 63."""
    schema = json.dumps({"type": "record", "name": "row", "fields": [{"name": "id", "type": "long"}]}).encode()

    def long(value: int) -> bytes:
        value = value << 1  # zigzag, of what is not negative
        return bytes([value]) if value < 128 else bytes([value & 127 | 128, value >> 7])

    sync, block = b"0123456789abcdef", b"".join(map(long, numbers))
    head = b"Obj\x01" + long(1) + long(11) + b"avro.schema" + long(len(schema)) + schema + long(0) + sync
    return head + long(len(numbers)) + long(len(block)) + block + sync


def fill(folder: Path) -> None:
    """Three rows in every format, a picture, and files that a glob tells apart."""
    for name in FORMATS:
        (folder / name).mkdir(parents=True)
    FRAME.to_csv(folder / "csv" / "part.csv", index=False)
    FRAME.to_parquet(folder / "parquet" / "part.parquet")
    FRAME.to_orc(folder / "orc" / "part.orc")
    FRAME.to_json(folder / "json" / "part.json", orient="records", lines=True)
    (folder / "text" / "part.txt").write_text("one\ntwo\nthree\n")
    (folder / "binary" / "part.bin").write_bytes(b"\0\1\2")
    (folder / "binary" / "other.bin").write_bytes(b"\3")
    (folder / "avro" / "part.avro").write_bytes(avro(1, 2, 3))
    shutil.copy(Path(sklearn.datasets.__file__).parent / "images" / "china.jpg", folder / "image")
    deltalake.write_deltalake(folder / "delta", FRAME.head(2))
    deltalake.write_deltalake(folder / "delta", FRAME.tail(1), mode="append")
    (folder / "mixed" / "deep").mkdir(parents=True)
    for name in ("one.csv", "two.csv", "three.txt"):
        (folder / "mixed" / name).write_text("n\n1\n")


class Scene(Project):
    """The project, and both repositories of its lake."""

    def __init__(self, root: Path, lake: Lake) -> None:
        self.root = root
        self.lake = lake
        self.ours, self.theirs = (f"{name}-{secrets.token_hex(3)}" for name in ("ours", "theirs"))
        storage = None if lake.kind == "git" else "s3://lake/"
        for repository in (self.ours, self.theirs):
            lake.create_repository(repository, storage=storage)
        lake.put(self.ours, "main", "csv/part.csv", io.BytesIO(b"a,b\n0,old\n"))
        self.old = lake.commit(self.ours, "main", "Old data").id
        fill(root / "source")
        files = [
            (file.relative_to(root / "source").as_posix(), file)
            for file in (root / "source").rglob("*")
            if file.is_file()
        ]
        assert len(list(lake.put_many(self.ours, "main", files))) == len(files)
        self.new = lake.commit(self.ours, "main", "New data").id
        lake.put(self.theirs, "main", "notes/read me.txt", io.BytesIO(b"theirs\n"))
        self.tagged = lake.commit(self.theirs, "main", "A note").id
        lake.create_tag(self.theirs, "v1.0", "main")
        lake.put(self.theirs, "main", "notes/read me.txt", io.BytesIO(b"later\n"))
        lake.commit(self.theirs, "main", "Another")

    def write(self) -> None:
        parts = ['[project]\nname = "kinds"\n']
        if self.lake.kind == "git":
            parts.append('[lake]\nendpoint = "file:lake"\n')
        places = {name: (f"{self.ours}/main/{name}/", name, "") for name in FORMATS}
        places["old"] = (f"{self.ours}/{self.old}/csv/", "csv", "")
        places["single"] = (f"{self.theirs}/v1.0/notes/read me.txt", "text", "")
        places["globbed"] = (f"{self.ours}/main/mixed/", "csv", 'glob = "*.csv"\n')
        for name, (place, form, more) in places.items():
            options = "options = { header = true }\n" if form == "csv" else ""
            parts.append(f'[datasets.{name}]\nuri = "lakefs://{place}"\nformat = "{form}"\n{options}{more}')
        conf = '{ "spark.ui.enabled" = "false", "spark.driver.memory" = "512m", "spark.sql.shuffle.partitions" = "2" }'
        parts.append(f'[spark]\nmaster = "local[2]"\npackages = ["{DELTA}"]\nconf = {conf}\n')
        parts.append('[run]\ncommand = ["python", "train.py"]\ncode = ["train.py"]\n')
        for name, compare in (("table", "parquet"), ("versions", "delta")):
            place = f'path = "out/{name}"\npublish = "lakefs://{self.theirs}/main/{name}/"\n'
            parts.append(f'[outputs.{name}]\n{place}compare = "table"\nformat = "{compare}"\n')
        (self.root / "repro.toml").write_text("\n".join(parts))
        (self.root / "train.py").write_text(dedent(SCRIPT))

    def published(self, commit: str, path: str) -> list[str]:
        return [item.path for item in self.lake.list(self.theirs, commit, path)]


@pytest.fixture(params=["git", pytest.param("lakefs", marks=pytest.mark.live)])
def scene(
    request: pytest.FixtureRequest, tmp_path: Path, bare: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Scene]:
    environ: dict[str, str] = {}
    if request.param == "lakefs":
        server: services.LakeFS = request.getfixturevalue("lakefs")
        environ = dict(server.lakectl)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    lake = open_lake("file:lake" if request.param == "git" else None, tmp_path, environ, tmp_path)
    made = Scene(tmp_path, lake)
    made.write()
    yield made
    lake.close()


def test_all_of_it_in_one_run(scene: Scene, cli: Cli) -> None:
    said = cli("lock")
    assert said.code == 0, said.err
    said = cli("run", "--merge", "--tag", "published")
    assert said.code == 0, said.err
    found = json.loads(lines_of(said.out, "found")[0].removeprefix("found "))

    assert found["rows"] == dict.fromkeys(FORMATS, 3) | {"binary": 2, "image": 1, "old": 1, "single": 1, "globbed": 2}
    assert (found["old"], found["single"]) == (["old"], "theirs\n")
    assert (
        found["pandas"] == found["arrow"] == dict.fromkeys(("csv", "json", "parquet", "orc", "delta"), ["x", "y", "ü"])
    )
    assert (found["text"], found["bytes"], found["open"]) == (["one", "two", "three"], ["000102", "03"], "000102")
    assert (found["height"], found["picture"]) == (427, "ffd8ff")
    # Of what Spark reads in place, one object that is opened comes alone.
    brought = sorted(file.name for file in (scene.root / ".reprolock" / "data").rglob("*.bin"))
    assert brought == (["part.bin"] if scene.lake.kind == "lakefs" else ["other.bin", "part.bin"])
    assert found["globbed"] == ["one.csv", "two.csv"]
    assert found["commits"] == dict.fromkeys((*FORMATS, "globbed"), scene.new) | {
        "old": scene.old,
        "single": scene.tagged,
    }

    record = scene.record
    assert {given.commit for given in record.datasets} == {scene.old, scene.new, scene.tagged}
    told = {given.name: given.rows for given in record.datasets if given.rows is not None}
    assert told == dict.fromkeys(("delta", "parquet", "orc"), 3)  # of all others reading alone would tell
    table, versions = record.published
    assert (table.commit, table.tag, table.problem) == (versions.commit, "published", None)
    assert scene.lake.resolve(scene.theirs, "published").id == table.commit
    assert any(path.endswith(".parquet") for path in scene.published("main", "table/"))
    assert "versions/_delta_log/00000000000000000000.json" in scene.published(str(table.commit), "versions/")
    assert not [name for name in scene.lake.branches(scene.theirs) if name.startswith("run-")]
    for output in record.outputs:
        assert (output.files > 0, output.table.rows, output.problem) == (True, 3, None)
        # On lakeFS Spark wrote to the run's branch, and nothing came by this disk.
        direct = scene.lake.kind == "lakefs"
        assert str(output.digest).startswith("lakefs-etag-1:" if direct else "folder:")
        assert (scene.root / output.path).exists() != direct
