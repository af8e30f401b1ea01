"""`reprolock.current()` and all of it that needs no Spark; reading with Spark is tested in engine/test_spark.py."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import deltalake
import pandas
import pytest

import reprolock
from reprolock.errors import ReprolockError, ServiceError, UsageError
from reprolock.script import VARIABLE, Run

COMMIT = "6aa6b3436f5b" + "0" * 52
FRAME = pandas.DataFrame({"a": [1, 2, 3], "b": ["x", "y", "ü"]})


class Script:
    """What a run's command sees: a folder of data, and the context that names it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.data.mkdir()
        self.datasets: dict[str, Any] = {}
        self._monkeypatch = monkeypatch

    def dataset(self, name: str, form: str, **more: Any) -> None:
        """Declare a dataset in `data/`, or as `more` says."""
        common = {"url": self.data.as_uri(), "path": str(self.data), "format": form, "options": {}, "glob": None}
        common |= {
            "commit": COMMIT,
            "repository": "example-repo",
            "uri": "lakefs://example-repo/main/x/",
            "materialise": None,
        }
        self.datasets[name] = common | more

    def run(self, **more: Any) -> Run:
        """Write the context and ask for it as a script does."""
        document = {
            "version": 1,
            "run_id": "3f" * 16,
            "project": "flight-delays",
            "seed": 7,
            "params": {"max_iter": 20, "deep": {"x": [1]}},
        }
        outputs = {"predictions": {"path": str(self.folder / "out" / "predictions"), "url": None}}
        context = self.folder / "context.json"
        context.write_text(json.dumps(document | {"datasets": self.datasets, "outputs": outputs} | more))
        self._monkeypatch.setenv(VARIABLE, str(context))
        return reprolock.current()

    def pandas(self, form: str, **more: Any) -> pandas.DataFrame:
        """The one dataset, read by pandas."""
        self.dataset("train", form, **more)
        return self.run().dataset("train").pandas()

    def refusal(self, form: str, **more: Any) -> ReprolockError:
        with pytest.raises(UsageError) as caught:
            self.pandas(form, **more)
        return caught.value


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Script:
    return Script(tmp_path, monkeypatch)


# The run


def test_what_a_script_may_know(script: Script) -> None:
    script.dataset("train", "csv")
    run = script.run()
    assert (run.run_id, run.project, run.seed, run.params["max_iter"]) == ("3f" * 16, "flight-delays", 7, 20)
    train = run.dataset("train")
    assert (train.url, train.path, train.commit) == (script.data.as_uri(), script.data, COMMIT)
    assert (train.repository, train.uri, train.format) == ("example-repo", "lakefs://example-repo/main/x/", "csv")


def test_nothing_can_be_changed(script: Script) -> None:
    script.dataset("train", "csv")
    run = script.run()
    with pytest.raises(TypeError):
        run.params["max_iter"] = 50  # type: ignore[index]
    with pytest.raises(FrozenInstanceError):
        run.seed = 8  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        run.dataset("train").url = "x"  # type: ignore[misc]


def test_an_output_has_a_folder_to_be_written_in(script: Script) -> None:
    output = script.run().output("predictions")
    assert not (script.folder / "out").exists()
    assert output.path == script.folder / "out" / "predictions"
    assert (script.folder / "out").is_dir() and not output.path.exists()
    assert output.url is None


@pytest.mark.parametrize(
    ("ask", "message", "hint"),
    [
        ("trian", 'this run has no dataset "trian"', 'did you mean "train"? repro.toml declares test, train'),
        ("other", 'this run has no dataset "other"', "repro.toml declares test, train"),
    ],
)
def test_an_unknown_dataset(script: Script, ask: str, message: str, hint: str) -> None:
    script.dataset("train", "csv")
    script.dataset("test", "csv")
    with pytest.raises(UsageError) as caught:
        script.run().dataset(ask)
    assert (caught.value.message, caught.value.hint) == (message, hint)


def test_an_unknown_output(script: Script) -> None:
    with pytest.raises(UsageError) as caught:
        script.run().output("prediction")
    assert caught.value.message == 'this run has no output "prediction"'
    assert caught.value.hint == 'did you mean "predictions"? repro.toml declares predictions'


def test_outside_of_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(UsageError) as caught:
        reprolock.current()
    assert caught.value.message == "this process is not part of a run: REPROLOCK_CONTEXT is not set"
    assert caught.value.hint == "start the script with `reprolock run`"


@pytest.mark.parametrize(("text", "kind"), [("{", "JSONDecodeError"), ("{}", "KeyError"), ("[]", "TypeError")])
def test_a_file_that_is_no_context(text: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "context.json").write_text(text)
    monkeypatch.setenv(VARIABLE, str(tmp_path / "context.json"))
    with pytest.raises(UsageError) as caught:
        reprolock.current()
    assert (
        caught.value.message
        == f"REPROLOCK_CONTEXT names {tmp_path}/context.json, which is not a context of a run: {kind}"
    )


def test_a_context_of_a_newer_reprolock(script: Script) -> None:
    with pytest.raises(UsageError) as caught:
        script.run(version=2)
    assert caught.value.message == "REPROLOCK_CONTEXT is of version 2, and this reprolock reads version 1"
    assert caught.value.hint == "install the same reprolock beside the script as the one that runs it"


def test_it_needs_the_standard_library_alone(script: Script) -> None:
    script.dataset("train", "csv")
    script.run()
    code = (
        "import sys; bare = set(sys.modules); import reprolock; run = reprolock.current(); run.dataset('train').path\n"
        "loaded = {name.split('.')[0] for name in set(sys.modules) - bare}\n"
        "print(sorted(loaded - set(sys.stdlib_module_names) - {'reprolock'}))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


# .path


def test_a_path_is_made_once_when_it_is_asked_for(script: Script) -> None:
    counter = script.folder / "calls"
    made = script.folder / "made ü"
    code = f"open({str(counter)!r}, 'a').write('x'); print('fetching'); print({str(made)!r})"
    script.dataset("train", "csv", path=None, materialise=[sys.executable, "-X", "utf8", "-c", code])
    run = script.run()
    assert not counter.exists()
    assert run.dataset("train").path == made
    assert run.dataset("train").path == made
    assert counter.read_text() == "x"


def test_a_path_that_cannot_be_made(script: Script, capfd: pytest.CaptureFixture[str]) -> None:
    code = "import sys; print('error: no answer from lakeFS', file=sys.stderr); sys.exit(5)"
    script.dataset("train", "csv", path=None, materialise=[sys.executable, "-c", code])
    with pytest.raises(ServiceError) as caught:
        script.run().dataset("train").path  # noqa: B018 - a property that fails
    assert caught.value.message == 'dataset "train" could not be brought to this disk (exit 5)'
    assert capfd.readouterr().err == "error: no answer from lakeFS\n"


def test_a_dataset_without_local_files(script: Script) -> None:
    script.dataset("train", "csv", path=None, url="s3a://example-repo/abc/x/")
    with pytest.raises(UsageError) as caught:
        script.run().dataset("train").path  # noqa: B018 - a property that fails
    assert caught.value.message == 'dataset "train" has no local files in this run'
    assert caught.value.hint == "read s3a://example-repo/abc/x/ with Spark"


# .open()


def test_an_object_is_opened_by_its_name_or_because_it_is_the_only_one(script: Script) -> None:
    (script.data / "deep").mkdir()
    (script.data / "deep" / "ä b.bin").write_bytes(b"\0\1")
    script.dataset("train", "binary")
    script.dataset("one", "binary", path=str(script.data / "deep" / "ä b.bin"))
    run = script.run()
    for stream in (
        run.dataset("train").open("deep/ä b.bin"),
        run.dataset("train").open(),
        run.dataset("one").open(),
        run.dataset("one").open("ä b.bin"),
    ):
        with stream:
            assert stream.read() == b"\0\1"


def test_an_object_that_cannot_be_opened(script: Script) -> None:
    for name in ("a.csv", "b.csv"):
        (script.data / name).write_bytes(b"")
    (script.folder / "secret").write_bytes(b"")
    script.dataset("train", "csv")
    train = script.run().dataset("train")
    for name, message, hint in (
        (None, 'dataset "train" has 2 objects', 'name one of them: .open("a.csv")'),
        ("b.cvs", 'dataset "train" has no object "b.cvs"', 'one that it has: .open("b.csv")'),
        ("../secret", 'dataset "train" has no object "../secret"', 'one that it has: .open("a.csv")'),
        ("/etc/hostname", 'dataset "train" has no object "/etc/hostname"', 'one that it has: .open("a.csv")'),
    ):
        with pytest.raises(UsageError) as caught:
            train.open(name)
        assert (caught.value.message, caught.value.hint) == (message, hint)


def test_an_object_of_a_dataset_that_is_not_here_comes_alone(script: Script, capfd: pytest.CaptureFixture[str]) -> None:
    code = "import sys; from pathlib import Path; Path(sys.argv[2]).write_bytes(b'x'); print(sys.argv[2])"
    script.dataset("train", "csv", path=None, materialise=[sys.executable, "-X", "utf8", "-c", code])
    with script.run().dataset("train").open(str(script.folder / "ü.csv")) as stream:
        assert stream.read() == b"x"
    with pytest.raises(UsageError, match="has no object whose name has a NUL in it"):
        script.run().dataset("train").open("a\0b")
    refusing = 'import sys; print(\'error: dataset "train" has no object "y"\', file=sys.stderr); sys.exit(2)'
    script.dataset("train", "csv", path=None, materialise=[sys.executable, "-c", refusing])
    with pytest.raises(UsageError) as caught:
        script.run().dataset("train").open("y")
    assert (caught.value.message, caught.value.hint) == (
        'dataset "train" does not have what was asked for',
        "see the message above",
    )
    assert capfd.readouterr().err == 'error: dataset "train" has no object "y"\n'


# .pandas() and .arrow()


def test_csv_in_parts(script: Script) -> None:
    (script.data / "part-1.csv").write_text("a;b\n2;y\n")
    (script.data / "part-0.csv").write_text("a;b\n1;x\n")
    (script.data / "part-2.csv").write_text("")
    (script.data / "_SUCCESS").write_text("")
    (script.data / ".part-1.csv.crc").write_text("junk")
    frame = script.pandas("csv", options={"Header": "true", "sep": ";", "inferSchema": "true"})
    assert frame.to_dict("list") == {"a": [1, 2], "b": ["x", "y"]}


def test_text_as_arrow(script: Script) -> None:
    (script.data / "a.csv").write_text("a,b\n1,x\n2,y\n")
    script.dataset("train", "csv", options={"header": "true"})
    assert script.run().dataset("train").arrow().to_pydict() == {"a": ["1", "2"], "b": ["x", "y"]}
    script.dataset("train", "csv", options={"header": "true", "inferSchema": "true"})
    table = script.run().dataset("train").arrow()
    assert table.to_pydict() == {"a": [1, 2], "b": ["x", "y"]}
    assert str(table.schema.field("a").type) == "int32"


def test_csv_without_a_header_is_named_as_spark_names_it(script: Script) -> None:
    (script.data / "a.csv").write_text("1,x\nNA,y\n-,z\n")
    frame = script.pandas("csv", options={"nullValue": "-"})
    assert list(frame.columns) == ["_c0", "_c1"]
    assert frame["_c0"].isna().tolist() == [False, False, True]


def test_one_object_is_a_file(script: Script) -> None:
    (script.data / "a.csv").write_text("1\n")
    assert script.pandas("csv", path=str(script.data / "a.csv"))["_c0"].tolist() == ["1"]


def test_a_glob_is_held_against_the_name(script: Script) -> None:
    (script.data / "a.csv").write_text("1\n")
    (script.data / "a.txt").write_text("2\n")
    (script.data / "_b.csv").write_text("3\n")
    assert script.pandas("csv", glob="*.csv")["_c0"].tolist() == ["1"]
    assert script.pandas("csv", glob="[^b]*.{csv,txt}")["_c0"].tolist() == ["1", "2"]


def test_folders_below_are_read_when_that_is_asked_for(script: Script) -> None:
    (script.data / "below").mkdir()
    (script.data / "a.csv").write_text("1\n")
    (script.data / "below" / "b.csv").write_text("2\n")
    assert script.pandas("csv")["_c0"].tolist() == ["1"]
    assert script.pandas("csv", options={"recursiveFileLookup": "true"})["_c0"].tolist() == ["1", "2"]


def test_json_lines_and_json_documents(script: Script) -> None:
    (script.data / "a.json").write_text('{"a": 1}\n{"a": 2}\n')
    assert script.pandas("json")["a"].tolist() == [1, 2]
    (script.data / "a.json").write_text('[{"a": 1},\n {"a": 2}]')
    assert script.pandas("json", options={"multiLine": "true"})["a"].tolist() == [1, 2]


def test_json_text_stays_text(script: Script) -> None:
    (script.data / "a.json").write_text('{"id": "007", "made_at": "2026-01-01", "x": 0.1}\n')
    assert script.pandas("json").to_dict("list") == {"id": ["007"], "made_at": ["2026-01-01"], "x": [0.1]}


def test_text_by_lines_and_whole(script: Script) -> None:
    (script.data / "a.txt").write_bytes("one\r\ntwo ü\u2028x\n\n".encode())
    assert script.pandas("text")["value"].tolist() == ["one", "two ü\u2028x", ""]
    assert script.pandas("text", options={"wholetext": "true"})["value"].tolist() == ["one\r\ntwo ü\u2028x\n\n"]


@pytest.mark.parametrize("form", ["parquet", "orc"])
def test_columns_files_and_partitions(script: Script, form: str) -> None:
    for part in (2, 1):
        (script.data / f"part={part}").mkdir()
        getattr(FRAME, f"to_{form}")(script.data / f"part={part}" / f"x.{form}")
    frame = script.pandas(form)
    assert frame["a"].tolist() == [1, 2, 3, 1, 2, 3]
    assert frame["b"].tolist() == ["x", "y", "ü"] * 2
    assert frame["part"].tolist() == [1, 1, 1, 2, 2, 2]
    table = script.run().dataset("train").arrow()
    assert table.select(["a", "b"]).to_pydict() == {"a": [1, 2, 3] * 2, "b": ["x", "y", "ü"] * 2}


def test_delta_and_a_version_of_it(script: Script) -> None:
    deltalake.write_deltalake(script.data, FRAME)
    deltalake.write_deltalake(script.data, FRAME, mode="append")
    assert len(script.pandas("delta")) == 6
    assert script.pandas("delta", options={"versionAsOf": "0"}).to_dict("list") == FRAME.to_dict("list")
    assert script.run().dataset("train").arrow().to_pydict() == FRAME.to_dict("list")


@pytest.mark.parametrize("form", ["binary", "image"])
def test_formats_that_only_spark_reads(script: Script, form: str) -> None:
    error = script.refusal(form, path=None)
    assert error.message == f'dataset "train": .pandas() and .arrow() do not read the format {form}'
    assert error.hint == 'use run.dataset("train").spark(), or open the files below .path'


def test_an_option_that_only_spark_has(script: Script) -> None:
    error = script.refusal("csv", options={"header": "true", "locale": "de"})
    assert error.message == 'dataset "train": .pandas() and .arrow() do not read csv with the option "locale"'
    error = script.refusal("csv", options={"header": "yes"})
    assert (
        error.message == 'dataset "train": .pandas() and .arrow() do not read the option "header" with the value "yes"'
    )
    error = script.refusal("csv", options={"header": "true", "Header": "false"})
    assert error.message == 'datasets.train.options: "Header" is given twice'


@pytest.mark.parametrize("depth", [65, 900, 5000])
def test_json_that_is_nested_without_end(script: Script, depth: int) -> None:
    (script.data / "a.json").write_text('{"a":' + "[" * 63 + "]" * 63 + "}")
    assert len(script.pandas("json")) == 1
    (script.data / "a.json").write_text('{"a":' + "[" * depth + '"x"' + "]" * depth + "}")
    error = script.refusal("json")
    what = (
        "records that are nested so deeply" if depth > 1000 else "line 1 of a.json, which is nested more than 64 deep"
    )
    assert error.message == f'dataset "train": .pandas() and .arrow() do not read {what}'


def test_partitions_come_behind_the_columns(script: Script) -> None:
    (script.data / "day=1").mkdir()
    (script.data / "day=1" / "a.csv").write_text("x\n")
    assert script.pandas("csv").to_dict("list") == {"_c0": ["x"], "day": [1]}
    (script.data / "b.csv").write_text("y\n")
    error = script.refusal("csv")
    assert error.message == (
        'dataset "train": .pandas() and .arrow() do not read folders that do not all name the same partition columns'
    )


def test_a_session_whose_settings_change_what_is_read(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    (script.data / "a.csv").write_text("x\n")
    monkeypatch.setenv("SPARK_CONF_DIR", str(script.folder))
    conf = script.folder / "spark-defaults.conf"
    conf.write_text("spark.sql.session.timeZone UTC\nspark.sql.parquet.compression.codec zstd\n")
    assert script.pandas("csv")["_c0"].tolist() == ["x"]
    conf.write_text("spark.sql.session.timeZone Europe/Berlin\n")
    assert script.refusal("csv").message == (
        'dataset "train": .pandas() and .arrow() do not read as a Spark with spark.sql.session.timeZone = Europe/Berlin reads'
    )


def test_a_library_that_is_not_installed(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fastavro", None)
    monkeypatch.delitem(sys.modules, "reprolock.readers.avro", raising=False)
    error = script.refusal("avro")
    assert error.message == (
        'dataset "train": .pandas() and .arrow() need fastavro for avro, and it is not installed here'
    )
    assert error.hint == 'add "fastavro" to packages under [environment], or use run.dataset("train").spark()'


def test_only_folders(script: Script) -> None:
    (script.data / "below").mkdir()
    (script.data / "below" / "a.csv").write_text("1\n")
    error = script.refusal("csv")
    assert error.message == f'dataset "train" has no file directly below {script.data}'
    assert error.hint == "write options = { recursiveFileLookup = true } to read the folders below it as well"


@pytest.mark.parametrize("name", ["blank ünïcode", "br[ack]et", "{p,q}", "st*r?", "h#sh+&"])
def test_odd_names(script: Script, name: str) -> None:
    folder = script.data / name
    folder.mkdir()
    FRAME.to_parquet(folder / f"{name}.parquet")
    assert script.pandas("parquet", path=str(folder))["a"].tolist() == [1, 2, 3]


def test_a_percent_sign_in_a_delta_tables_path(script: Script) -> None:
    error = script.refusal("delta", path=str(script.data / "50%20"))
    assert error.message == 'dataset "train": .pandas() and .arrow() do not read a Delta table with "%" in its path'
