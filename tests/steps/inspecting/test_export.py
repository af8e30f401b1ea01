"""`export`, each format read back by that standard's own library."""

from __future__ import annotations

import json
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent
from openlineage.client.generated.base import EventType
from openlineage.client.serde import Serde
from project import Project
from prov.model import ProvActivity, ProvDocument, ProvEntity, ProvUsage
from rocrate.rocrate import ROCrate

from reprolock.model.record import Record
from reprolock.standards import openlineage, prov


@pytest.fixture
def record(project: Project, cli) -> Record:
    project.add('\n[outputs.scores]\npath = "scores.csv"\n[params]\nmax_iter = 20\n')
    project.script("open('scores.csv', 'w').write('1')")
    assert cli("lock").code == 0
    assert cli("run").code == 0
    return project.record


def event_of(line: str) -> RunEvent:
    """The event, made again by OpenLineage's own classes, which check IDs, times and addresses."""
    said = json.loads(line)
    run, job = said["run"], said["job"]
    return RunEvent(
        eventTime=said["eventTime"],
        eventType=EventType(said["eventType"]),
        producer=said["producer"],
        run=Run(run["runId"], run["facets"]),
        job=Job(job["namespace"], job["name"], job["facets"]),
        inputs=[InputDataset(**entry) for entry in said["inputs"]],
        outputs=[OutputDataset(**entry) for entry in said["outputs"]],
    )


def test_openlineage(record: Record, cli, tmp_path: Path) -> None:
    said = cli("export", record.run_id, "--format", "openlineage")
    assert said.code == 0, said.err
    lines = said.out.splitlines()
    start, end = map(event_of, lines)
    for event, line in zip((start, end), lines, strict=True):
        assert json.loads(Serde.to_json(event)) == json.loads(line)
    assert (start.eventType, end.eventType) == (EventType.START, EventType.COMPLETE)
    assert end.run.runId.replace("-", "") == record.run_id
    commit = record.datasets[0].commit
    [given], [written] = end.inputs, end.outputs
    assert (given.namespace, given.name) == ("lakefs://example-repo", "train")
    assert given.facets["version"]["datasetVersion"] == commit
    assert given.facets["symlinks"]["identifiers"] == [
        {"namespace": "s3://example-repo", "name": f"{commit}/train", "type": "LOCATION"}
    ]
    assert [field["name"] for field in given.facets["schema"]["fields"]] == ["x", "y"]
    assert (written.name, written.outputFacets["outputStatistics"]["size"]) == ("scores.csv", 1)
    assert written.facets["version"]["datasetVersion"] == record.outputs[0].compared
    assert end.run.facets["tags"]["_producer"] == "urn:reprolock"

    said = cli("export", record.run_id, "--format", "openlineage", "-o", str(tmp_path / "events.ndjson"))
    assert (said.code, said.out, said.err) == (0, "", f"Wrote {tmp_path}/events.ndjson\n")
    assert (tmp_path / "events.ndjson").read_text().splitlines() == lines


def test_openlineage_of_other_endings(record: Record) -> None:
    for status, kind in (("FAILED", EventType.FAIL), ("KILLED", EventType.ABORT)):
        ended = record.model_copy(
            update={"status": status, "ending": record.ending.model_copy(update={"reason": "exit code 3"})}
        )
        last = event_of(openlineage.events(ended).splitlines()[-1])
        assert (last.eventType, last.run.facets["errorMessage"]["message"]) == (kind, "exit code 3")
    running = record.model_copy(update={"status": "RUNNING", "ended": None})
    assert [event_of(line).eventType for line in openlineage.events(running).splitlines()] == [EventType.START]
    foreign = record.model_copy(
        update={"run_id": "no UUID", "code": record.code.model_copy(update={"remote": "git@host:x y"})}
    )
    assert len({event_of(line).run.runId for line in openlineage.events(foreign).splitlines()}) == 1


def test_prov(record: Record, cli) -> None:
    said = cli("export", record.run_id, "--format", "prov")
    assert said.code == 0, said.err
    document = ProvDocument.deserialize(StringIO(said.out), format="json")
    assert ProvDocument.deserialize(StringIO(document.serialize(format="json")), format="json") == document
    [run] = document.get_records(ProvActivity)
    assert run.identifier.uri == f"urn:reprolock:run:{record.run_id}"
    assert (run.get_startTime(), run.get_endTime()) == (record.started, record.ended)
    assert len(list(document.get_records(ProvUsage))) == 2  # the dataset and the code
    digests = {
        value
        for entity in document.get_records(ProvEntity)
        for name, value in entity.attributes
        if name.localpart == "digest"
    }
    assert digests == {record.datasets[0].digest, record.code.digest, record.outputs[0].compared}
    odd = record.model_copy(update={"run_id": 'a b:"%/', "replay_of": "other run"})
    again = ProvDocument.deserialize(StringIO(prov.document(odd)), format="json")
    assert len(list(again.get_records(ProvActivity))) == 2


def test_ro_crate(record: Record, cli, tmp_path: Path) -> None:
    folder = tmp_path / "crate"
    said = cli("export", record.run_id[:8], "--format", "ro-crate", "-o", str(folder))
    assert (said.code, said.out, said.err) == (0, "", f"Wrote {folder}\n")
    crate = ROCrate(folder)
    assert {item.id for item in crate.data_entities} == {"record.json", "repro.toml", "repro.lock", "code.tar.gz"}
    action = crate.root_dataset["mentions"][0]
    assert (action.type, action.id) == ("CreateAction", f"#run-{record.run_id}")
    [data, param] = action["object"]
    assert (data["value"], data["description"]) == (record.datasets[0].resolved, record.datasets[0].digest)
    assert (param["name"], param["value"]) == ("max_iter", "20")
    [result] = action["result"]
    assert (result["value"], result["description"]) == ("scores.csv", record.outputs[0].compared)
    assert crate.root_dataset["conformsTo"].id == "https://w3id.org/ro/wfrun/process/0.5"
    # The crate is what `replay` takes.
    assert cli("replay", str(folder), "--dry-run").code == 0
    said = cli("export", record.run_id, "--format", "ro-crate", "-o", str(folder))
    assert (said.code, said.err) == (2, f"error: {folder} is already there\nhint: name a new folder with --output\n")
    said = cli("export", record.run_id, "--format", "ro-crate")
    assert (said.code, said.err) == (
        2,
        "error: an RO-Crate is a folder, and none is named\nhint: name a new folder with --output\n",
    )


def test_a_standard_whose_library_is_not_there(record: Record, tmp_path: Path) -> None:
    """As in an installation without the extra: the folder of site-packages that has it is hidden from the interpreter."""
    code = (
        "import sys\n"
        "class Without:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'rocrate': raise ModuleNotFoundError(\"No module named 'rocrate'\", name='rocrate')\n"
        "sys.meta_path.insert(0, Without())\n"
        "from reprolock.__main__ import main\n"
        "sys.argv[0] = 'reprolock'; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "-C", str(tmp_path), "export", record.run_id, "--format", "ro-crate", "-o", "x"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (
        8,
        "error: --format ro-crate needs rocrate, which is not installed beside reprolock\n"
        'hint: run `pip install "reprolock[export]"`, or with uv `uv pip install "reprolock[export]"`\n',
    )
