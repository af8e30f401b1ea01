"""`impact` as a person sees it: which runs, replays and registered models read a place in the lake."""

from __future__ import annotations

import io
import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from mlflow.entities import Dataset, DatasetInput
from mlflow.tracking import MlflowClient
from project import Project

from reprolock.model.record import Record
from reprolock.tracker import open_tracker
from reprolock.tracker.tracking_uri import Place


def recorded(
    project: Project, record: Record, commit: str, *, path: str = "train/", ref: str = "main", **changes: object
) -> str:
    """One more recorded run that read a path at a commit; the record of a real one with that put in."""
    tracker = open_tracker(Place(project.database, "the test"), {}, Path("/nonexistent"))
    run_id = tracker.create("flights", None, datetime.now(UTC))
    place = {
        "uri": f"lakefs://example-repo/{ref}/{path}",
        "resolved": f"lakefs://example-repo/{commit}/{path}",
        "commit": commit,
    }
    glob = changes.pop("glob", None)
    dataset = record.datasets[0].model_copy(update={**place, "glob": glob})
    tracker.log(run_id, record.model_copy(update={"run_id": run_id, "datasets": (dataset,), **changes}), {})
    tracker.close()
    return run_id[:8]


@pytest.fixture
def first(project: Project, cli) -> Record:
    assert cli("lock").code == 0
    assert cli("run").code == 0
    return project.record


def readers(said) -> list[str]:
    """The beginnings of lines but the last: the runs' IDs."""
    assert said.code == 0, said.err
    return [line.split()[0] for line in said.out.splitlines()[:-1]]


def test_who_read_a_place(project: Project, cli, first: Record) -> None:
    run, commit = first.run_id[:8], first.datasets[0].commit
    later = project.commit("train/b.csv", b"x,y\n3,4\n")
    second = recorded(project, first, later)
    replay = recorded(project, first, commit, replay_of=first.run_id)
    other = recorded(project, first, later, path="training/")
    project.lake.create_branch("example-repo", "side", "main")
    project.lake.put("example-repo", "side", "train/a.csv", io.BytesIO(b"bad\n"))
    bad = project.lake.commit("example-repo", "side", "bad").id
    on_side = recorded(project, first, bad, ref="side")
    of_globs = recorded(project, first, commit, glob="b*.csv")
    client = MlflowClient(project.database)
    client.create_registered_model("delays")
    client.create_model_version("delays", f"runs:/{first.run_id}/model", first.run_id)
    experiment = client.get_run(first.run_id).info.experiment_id
    outer, inner = (client.create_run(experiment).info.run_id for _ in range(2))
    for run_id, parent in ((outer, first.run_id), (inner, outer)):
        client.set_tag(run_id, "mlflow.parentRunId", parent)
    client.create_model_version("delays", f"runs:/{inner}/model", inner)
    stranger = client.create_run(client.get_run(first.run_id).info.experiment_id, run_name="by hand")
    delta = json.dumps({"path": f"s3://example-repo/{later}/train"})
    bucket = json.dumps({"path": "s3://example-repo/main/train"})
    client.log_inputs(
        stranger.info.run_id,
        [DatasetInput(Dataset("t", "1", "delta_table", source)) for source in (delta, bucket, "{")],
    )
    by_hand = stranger.info.run_id[:8]

    said = cli("impact", "lakefs://example-repo")
    assert sorted(readers(said)) == sorted([run, second, replay, other, on_side, of_globs, by_hand])
    assert said.out.splitlines()[-1] == (
        "6 runs, 1 replay and 1 registered model read lakefs://example-repo (any commit of the repository)"
    )
    [line] = [line for line in said.out.splitlines() if line.startswith(run)]
    assert line.split("  ")[-1].strip() == "model delays version 1, model delays version 2"
    assert f"replay of {run}" in said.out and "run, not by reprolock" in said.out

    assert set(readers(cli("impact", "lakefs://example-repo/main"))) == {run, second, replay, other, of_globs, by_hand}
    assert set(readers(cli("impact", "lakefs://example-repo/side"))) == {
        run,
        second,
        replay,
        other,
        of_globs,
        by_hand,
        on_side,
    }
    said = cli("impact", f"lakefs://example-repo/{commit}/train/")
    assert set(readers(said)) == {run, replay, of_globs}
    assert said.out.splitlines()[-1] == (
        f"2 runs, 1 replay and 1 registered model read lakefs://example-repo/{commit}/train/ (the commit, under train/)"
    )
    assert set(readers(cli("impact", f"lakefs://example-repo/{commit}..main/train/"))) == {second, by_hand}
    assert set(readers(cli("impact", f"lakefs://example-repo/{commit[:12]}"))) == {run, replay, of_globs}
    assert readers(cli("impact", "lakefs://example-repo/main/training/")) == [other]

    # An object is its bytes: unchanged from the first commit to the second, changed on the side branch, outside of the glob.
    said = cli("impact", "lakefs://example-repo/main/train/a.csv")
    assert set(readers(said)) == {run, replay, second, by_hand}
    assert readers(cli("impact", "lakefs://example-repo/side/train/a.csv")) == [on_side]
    assert set(readers(cli("impact", "lakefs://example-repo/main/train/b.csv"))) == {second, by_hand, on_side}

    # A merge brings the side branch's commits into main.
    project.lake.merge("example-repo", "side", "main", "merged")
    assert on_side in readers(cli("impact", "lakefs://example-repo/main"))

    document = json.loads(cli("impact", f"lakefs://example-repo/{commit}/train/", "--json").out)
    by_id = {entry["run_id"][:8]: entry for entry in document["runs"]}
    assert by_id[run]["models"] == [{"name": "delays", "version": "1"}, {"name": "delays", "version": "2"}]
    assert by_id[replay]["replay_of"] == first.run_id
    assert by_id[run]["read"] == [{"name": "train", "place": first.datasets[0].resolved, "declared": "main"}]

    said = cli("impact", "lakefs://other-repo")
    assert (said.code, said.out) == (0, "No run in MLflow read lakefs://other-repo (any commit of the repository)\n")

    # The lake is away: names are compared, and that is said.
    said = cli("impact", "lakefs://example-repo/side", "--lake", "http://127.0.0.1:9")
    assert readers(said) == [on_side]
    assert said.out.splitlines()[-1] == '1 run read lakefs://example-repo/side (runs that name "side")'
    assert said.err == (
        "warning: compared by names only, because the lake was not asked: no credentials are known for the lakeFS at http://127.0.0.1:9 (--lake)\n"
    )
    shutil.rmtree(project.root / "lake")
    assert set(readers(cli("impact", f"lakefs://example-repo/{commit}/train/"))) == {run, replay, of_globs}


def test_an_object_that_is_there_no_more_or_never_was(project: Project, cli, first: Record) -> None:
    """A dataset around it is not a reader of it, unless it held it."""
    run, commit = first.run_id[:8], first.datasets[0].commit
    bad = project.commit("train/deep/bad.csv", b"x,y\n3,4\n")
    reader = recorded(project, first, bad)
    globbed = recorded(project, first, bad, glob="a*.csv")
    project.lake.remove("example-repo", "main", "train/deep/bad.csv")
    after = recorded(project, first, project.lake.commit("example-repo", "main", "Without it").id)
    for address in ("main/train/deep/bad.csv", f"{bad}/train/deep/bad.csv", "main/train/deep", f"{bad}/train/deep/"):
        said = cli("impact", f"lakefs://example-repo/{address}")
        assert readers(said) == [reader], said.out
    assert set(readers(cli("impact", "lakefs://example-repo/main/train/"))) == {run, reader, globbed, after}
    for address in ("main/train/deep/bda.csv", f"{commit}/train/deep/bad.csv"):
        said = cli("impact", f"lakefs://example-repo/{address}")
        ref = address.partition("/")[0]
        assert (said.code, said.out, said.err) == (
            2,
            "",
            f"error: nothing is at lakefs://example-repo/{address}, and nothing was there that a run has read\n"
            f"hint: see what is there with `reprolock data ls -r lakefs://example-repo/{ref}/`\n",
        )


def test_addresses_that_are_none(project: Project, cli) -> None:
    said = cli("impact", "example-repo/main")
    assert (said.code, said.err) == (
        2,
        'error: "example-repo/main" is not a lake address; write "lakefs://REPOSITORY/REF/PATH"\n'
        'hint: write "lakefs://REPO", "lakefs://REPO/REF" or "lakefs://REPO/REF/PATH"\n',
    )
    said = cli("impact", "lakefs://example-repo/nope/")
    assert (said.code, said.err) == (
        2,
        'error: no branch, tag or commit "nope" in the repository "example-repo"\n'
        "hint: see what is there with `reprolock data ls lakefs://example-repo`\n",
    )
