"""Outputs back into the lake, on both lakes: whole or not at all, and whoever is kept from it is told why."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import services
from command_line import Cli
from project import Project, in_background, wait_for
from publishing import SCRIPT, WHOLE, Site, meanwhile

from reprolock.files.spec_file import read_spec
from reprolock.lake.git.lake import GitLake
from reprolock.lake.open import open_lake
from reprolock.lake.protocol import Lake
from reprolock.model.outcome import Output
from reprolock.steps.publishing.publish import Published, publish
from reprolock.steps.publishing.run_branches import prepare


@pytest.fixture(params=["git", pytest.param("lakefs", marks=pytest.mark.live)])
def site(request: pytest.FixtureRequest, project: Project, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    if request.param == "git":
        lake: Lake = GitLake(project.root / "lake", "file:lake")
    else:
        server: services.LakeFS = request.getfixturevalue("lakefs")
        for name, value in server.lakectl.items():
            monkeypatch.setenv(name, value)
        lake = open_lake(None, project.root, server.lakectl, project.root)
    yield Site(project, lake, request.node.originalname + request.node.callspec.params.get("act", ""), cli)
    lake.close()


def test_a_run_that_succeeded_stands_on_a_branch_of_its_own(site: Site) -> None:
    before = site.head()
    said = site.run()
    assert said.code == 0, said.err
    record = site.project.record
    [item] = record.published
    name = f"run-{record.run_id[:12]}-main"
    assert (item.name, item.uri, item.branch) == ("predictions", f"lakefs://{site.repository}/main/predictions/", name)
    assert (item.tag, item.merged, item.problem) == (None, None, None)
    assert (site.head(), site.shown()) == (before, {"README": b"about"})
    assert site.shown(name) == site.shown(str(item.commit)) == WHOLE
    assert f"commit {str(item.commit)[:12]}  on {name}\n" in said.err
    assert site.project.stored().data.tags["reprolock.published.predictions"] == item.commit
    assert site.project.stored_record(record.run_id) == record


def test_the_commit_names_its_run(site: Site) -> None:
    site.run()
    record = site.project.record
    commit = site.lake.resolve(site.repository, str(record.published[0].commit))
    assert commit.message == f"flights: run {record.run_id[:8]}"
    assert commit.metadata == {
        "mlflow_run": record.run_id,
        "reprolock.pinned": record.pinned.total,
        "reprolock.record": record.model_copy(update={"published": ()}).sealed().seal.total,
    }


def test_tag_and_merge(site: Site) -> None:
    before = site.head()
    said = site.run("--tag", "v1", "--merge")
    assert said.code == 0, said.err
    [item] = site.project.record.published
    assert (item.tag, item.merged, item.problem) == ("v1", site.head(), None)
    assert (site.shown(), site.shown("v1")) == (WHOLE, WHOLE)
    assert site.head("v1") == item.commit
    merge = site.lake.resolve(site.repository, "main")
    assert set(merge.parents) == {before, item.commit}
    assert merge.metadata["mlflow_run"] == site.project.record.run_id
    assert site.own_branches == []
    assert f"commit {str(item.commit)[:12]}  tagged v1, merged in {str(item.merged)[:12]}\n" in said.err


def test_what_was_published_before_is_replaced(site: Site) -> None:
    site.put("predictions/old.csv", b"old")
    site.put("predictions/a.csv", b"old")
    site.put("predictions-of-others/a.csv", b"theirs")
    assert site.run("--merge").code == 0
    assert site.shown() == WHOLE | {"predictions-of-others/a.csv": b"theirs"}


def test_the_very_same_outputs_again(site: Site) -> None:
    assert site.run("--merge").code == 0
    first = site.head()
    said = site.run("--merge", "--tag", "again")
    assert said.code == 0, said.err
    [item] = site.project.record.published
    assert (item.commit, item.merged, item.tag) == (first, first, "again")
    assert site.own_branches == []


def test_a_file_and_several_outputs_are_one_commit(site: Site) -> None:
    site.spec(
        f'\n[outputs.model]\npath = "out/model.bin"\npublish = "lakefs://{site.repository}/main/models/flights.bin"\n'
        '\n[outputs.notes]\npath = "out/notes"\n'
    )
    site.project.script(SCRIPT + '\nfor name in ("model.bin", "notes"):\n    Path("out", name).write_text(name)\n')
    site.put("models/others.bin", b"theirs")
    site.lock()
    assert site.run("--merge").code == 0
    one, other = site.project.record.published
    assert (one.name, other.name) == ("predictions", "model")
    assert (one.commit, one.branch) == (other.commit, other.branch)
    assert site.shown() == WHOLE | {"models/others.bin": b"theirs", "models/flights.bin": b"model.bin"}


def test_two_targets(site: Site) -> None:
    site.lake.create_branch(site.repository, "features", "main")
    site.spec(f'\n[outputs.features]\npath = "out/f"\npublish = "lakefs://{site.repository}/features/f"\n')
    site.project.script(SCRIPT + '\nPath("out/f").write_text("f")\n')
    site.lock()
    said = site.run("--tag", "v1")
    assert said.err == (
        f'error: --tag v1: outputs go to the branches main and features of "{site.repository}", and a tag names one commit\n'
        "hint: publish them to one branch, or tag the commits with `reprolock data tag`\n"
    )
    assert said.code == 2
    assert site.run("--merge").code == 0
    assert site.shown() == WHOLE
    assert site.shown("features") == {"README": b"about", "f": b"f"}


def test_a_file_goes_into_the_folder_that_its_address_names(site: Site) -> None:
    site.put("predictions/others.csv", b"theirs")
    site.put("predictions/predictions", b"old")
    site.project.script('from pathlib import Path\nPath("out/predictions").write_text("a file")')
    said = site.run("--merge")
    assert said.code == 0, said.err
    kept = {"README": b"about", "predictions/others.csv": b"theirs"}
    assert site.shown() == kept | {"predictions/predictions": b"a file"}


# What is refused before anything runs


def nothing_ran(site: Site) -> bool:
    return site.project.all_stored() == [] and site.own_branches == []


def test_a_target_that_is_not_there(site: Site) -> None:
    site.project.edit("/main/predictions/", "/mian/predictions/")
    said = site.run()
    assert said.err == (
        f'error: outputs.predictions.publish: no branch "mian" in the repository "{site.repository}"\nhint: did you mean "main"?\n'
    )
    assert said.code == 2
    assert nothing_ran(site)


def test_a_target_that_is_no_branch(site: Site) -> None:
    site.lake.create_tag(site.repository, "v1", "main")
    site.project.edit("/main/predictions/", "/v1/predictions/")
    said = site.run("--merge")
    assert said.err.startswith(
        f'error: outputs.predictions.publish: no branch "v1" in the repository "{site.repository}"\n'
    )
    assert said.code == 2
    assert nothing_ran(site)


def test_a_tag_that_cannot_be_made(site: Site) -> None:
    site.lake.create_tag(site.repository, "taken", "main")
    rule = 'it must have letters, digits, "_", "-" and single "." between them only, and not end with ".lock"'
    for tag, kind, message in (
        ("taken", "tag", f'the tag "taken" is already in the repository "{site.repository}"'),
        ("main", "branch", f'the branch "main" is already in the repository "{site.repository}"'),
        ("a/b", "tag", f'"a/b" cannot be the name of a tag: {rule}'),
    ):
        said = site.run("--tag", tag)
        assert said.err == f"error: {message}\nhint: choose another name for the {kind}\n"
        assert said.code == 9
    assert nothing_ran(site)


def test_a_tag_that_looks_like_a_commit(site: Site) -> None:
    assert site.run("--tag", site.head()[:8]).code == 0
    assert site.project.record.published[0].tag == site.head()[:8]


def test_tag_and_merge_where_nothing_is_published(site: Site) -> None:
    site.project.edit("publish", "# publish")
    said = site.run("--merge")
    assert said.err == (
        "error: --tag, --merge and --publish-to need an output with publish, and there is none\n"
        'hint: write publish = "lakefs://…" under an output\n'
    )
    assert said.code == 2


def test_offline(site: Site) -> None:
    said = site.run("--offline", "--merge")
    if site.lake.kind == "git":  # no service is asked
        assert (said.code, site.shown()) == (0, WHOLE)
        return
    assert (
        said.err
        == "error: --tag, --merge and --publish-to need the lake, and --offline contacts no service\nhint: leave out --offline\n"
    )
    assert said.code == 2
    said = site.run("--offline")
    assert said.code == 0, said.err
    assert said.err.startswith("warning: outputs are not published: --offline contacts no service\n")
    assert (site.own_branches, site.project.record.published) == ([], ())


def test_a_dry_run_makes_no_branch(site: Site) -> None:
    assert site.run("--dry-run", "--merge").code == 0
    assert site.own_branches == []


# What goes wrong


def test_a_command_that_cannot_start_leaves_no_branch(site: Site) -> None:
    site.project.edit('"python", ', '"no-such-program", ')
    assert site.run("--merge").code == 2
    assert site.own_branches == []


def test_a_file_does_not_take_the_place_of_a_folder(site: Site) -> None:
    """What stands in the folder would be gone from the target, and nothing would say so."""
    address = f"lakefs://{site.repository}/main/models"
    site.spec(f'\n[outputs.model]\npath = "out/model.bin"\npublish = "{address}"\n')
    site.project.script(SCRIPT + '\nPath("out", "model.bin").write_text("model")\n')
    site.put("models/others.bin", b"theirs")
    site.lock()
    before = site.head()
    said = site.run("--merge")
    assert said.code == 2
    assert said.err.endswith(
        f"error: outputs.predictions and outputs.model are not published: {address} is a folder, and out/model.bin is a file "
        f'that would take its place\nhint: write publish = "{address}/" to put the file into the folder\n'
    )
    assert (site.head(), site.own_branches) == (before, [])
    assert site.shown() == {"README": b"about", "models/others.bin": b"theirs"}
    assert (site.project.root / "out" / "model.bin").read_text() == "model"
    site.project.edit(f'"{address}"', f'"{address}/"')
    assert site.run("--merge").code == 0
    assert site.shown() == WHOLE | {"models/others.bin": b"theirs", "models/model.bin": b"model"}


def test_a_run_that_fails_publishes_nothing_and_leaves_no_branch(site: Site) -> None:
    site.put("predictions/a.csv", b"old")
    before = site.head()
    site.project.script(SCRIPT + "\nsys.exit(3)\n")
    said = site.run("--tag", "v1", "--merge")
    assert said.code == 1
    assert (site.head(), site.own_branches) == (before, [])
    assert site.project.record.published == ()
    assert "warning" not in said.err


def test_an_output_that_is_not_written_is_not_published_from_before(site: Site) -> None:
    assert site.run("--merge").code == 0
    before = site.head()
    site.project.script("print('nothing')")
    assert site.run("--merge").code == 1
    assert (site.head(), site.own_branches) == (before, [])


def test_a_conflict_leaves_the_target_and_the_branch_as_they_are(site: Site) -> None:
    site.put("predictions/a.csv", b"old")
    with meanwhile(site, lambda: site.put("predictions/a.csv", b"theirs")):
        said = site.run("--merge")
    [item] = site.project.record.published
    name = item.branch
    assert said.err.endswith(
        f'error: outputs.predictions is not published: "{name}" and the branch "main" of the repository "{site.repository}" '
        "both changed 1 path\n"
        "  predictions/a.csv\n"
        f"hint: what the run wrote stays on lakefs://{site.repository}/{name}; `reprolock data` shows, commits and merges it\n"
    )
    assert said.code == 9
    assert site.shown() == {"README": b"about", "predictions/a.csv": b"theirs"}
    assert site.shown(name) == WHOLE
    assert (item.commit, item.merged) == (site.head(name), None)
    assert str(item.problem).endswith("both changed 1 path: predictions/a.csv")
    assert site.project.record.status == site.project.stored().info.status == "FINISHED"


def test_the_target_moved_on_elsewhere(site: Site) -> None:
    with meanwhile(site, lambda: site.put("README", b"about more")):
        said = site.run("--merge")
    assert said.code == 0, said.err
    assert site.shown() == WHOLE | {"README": b"about more"}


def test_the_target_is_deleted_under_the_run(site: Site) -> None:
    site.lake.create_branch(site.repository, "target", "main")
    site.project.edit("/main/predictions/", "/target/predictions/")
    with meanwhile(site, lambda: site.lake.delete_branch(site.repository, "target")):
        said = site.run("--merge", "--tag", "v1")
    [item] = site.project.record.published
    assert said.err.endswith(
        f'error: outputs.predictions is not published: no branch "target" in the repository "{site.repository}"\n'
        f"hint: what the run wrote stays on lakefs://{site.repository}/{item.branch}; `reprolock data` shows, commits and merges it\n"
    )
    assert said.code == 2
    assert (item.tag, item.commit, item.merged) == ("v1", site.head("v1"), None)
    assert item.problem == f'no branch "target" in the repository "{site.repository}"'
    assert site.shown(item.branch) == WHOLE


def test_the_target_has_staged_changes(site: Site) -> None:
    with meanwhile(site, lambda: site.lake.put(site.repository, "main", "half", io.BytesIO(b"half"))):
        said = site.run("--merge")
    assert (
        f'error: outputs.predictions is not published: the branch "main" of the repository "{site.repository}" has staged changes\n'
        in said.err
    )
    assert said.code == 9
    assert site.shown("main~0") == {"README": b"about"}


def test_the_tag_is_taken_under_the_run(site: Site) -> None:
    with meanwhile(site, lambda: site.lake.create_tag(site.repository, "v1", "main")):
        said = site.run("--merge", "--tag", "v1")
    assert (
        f'error: outputs.predictions is not published: the tag "v1" is already in the repository "{site.repository}"\n'
        in said.err
    )
    assert said.code == 9
    assert site.shown() == {"README": b"about"}  # not merged, either: what is merged is tagged
    [item] = site.project.record.published
    assert (item.tag, item.merged) == (None, None)
    assert site.shown(str(item.commit)) == WHOLE


@pytest.mark.parametrize(("act", "done"), [("commit", 0), ("create_tag", 1), ("merge", 2)])
def test_a_ctrl_c_while_it_is_published(site: Site, monkeypatch: pytest.MonkeyPatch, act: str, done: int) -> None:
    """What the lake did before anybody could say so is recorded all the same."""
    real = getattr(type(site.lake), act)

    def interrupted(lake: Lake, *arguments: object, **named: object) -> None:
        real(lake, *arguments, **named)
        raise KeyboardInterrupt

    monkeypatch.setattr(type(site.lake), act, interrupted)
    said = site.run("--tag", "v1", "--merge")
    monkeypatch.undo()
    assert said.code == 130, said.err
    record = site.project.record
    [item] = record.published
    name = f"run-{record.run_id[:12]}-main"
    assert item.commit == site.head(name) or (done == 2 and item.commit == site.head("v1"))
    assert (item.tag, item.merged) == ("v1" if done >= 1 else None, site.head() if done == 2 else None)
    assert item.problem == (None if done == 2 else "Ctrl-C")
    told = [line for line in said.err.splitlines() if line.startswith(("error:", "hint:"))]
    assert told == (
        ["error: stopped by Ctrl-C, after everything was published"]
        if done == 2
        else [
            "error: outputs.predictions is not published: Ctrl-C",
            f"hint: what the run wrote stays on lakefs://{site.repository}/{name}; `reprolock data` shows, commits and merges it",
        ]
    )
    assert (site.project.root / "out" / "predictions").is_dir()
    assert record.status == "FINISHED"
    assert site.project.stored_record(record.run_id) == record
    assert site.project.stored().info.status == "FINISHED"
    assert site.shown() == (WHOLE if done == 2 else {"README": b"about"})


def test_a_ctrl_c_before_the_lake_has_acted(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: object, **named: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(type(site.lake), "merge", interrupted)
    assert site.run("--merge").code == 130
    [item] = site.project.record.published
    assert (item.commit, item.merged, item.problem) == (site.head(str(item.branch)), None, "Ctrl-C")


def test_a_problem_shows_later(site: Site, cli: Cli) -> None:
    with meanwhile(site, lambda: site.lake.create_tag(site.repository, "v1", "main")):
        site.run("--tag", "v1")
    shown = cli("show").out
    assert f'Unpublished  predictions  the tag "v1" is already in the repository "{site.repository}"\n' in shown


# Several at once


def test_many_runs_publish_at_once(site: Site) -> None:
    site.run()
    record, root = site.project.record, site.project.root
    endpoint = "file:lake" if site.lake.kind == "git" else None

    def one(number: int) -> Published:
        """A run that publishes to a place of its own."""
        lake = open_lake(endpoint, root, os.environ, root)
        try:
            place = f"lakefs://{site.repository}/main/runs/{number}/"
            spec = read_spec(root)
            output = spec.outputs["predictions"].model_copy(update={"publish": place})
            publication = prepare(lake, spec.replaced({"outputs": {"predictions": output}}), (), f"{number}" * 32)
            assert publication is not None
            together.wait(30)
            left = record.model_copy(update={"run_id": f"{number}" * 32})
            return publish(publication, (outcome,), root, left, tag=f"run{number}", merge=True)
        finally:
            lake.close()

    count = 6
    together = threading.Barrier(count)
    written = record.outputs[0]
    outcome = Output(written.name, written.path, written.files, written.bytes, written.digest)
    with ThreadPoolExecutor(count) as pool:
        answers = list(pool.map(one, range(1, count + 1)))
    assert [answer.problem for answer in answers] == [None] * count
    files = {name.removeprefix("predictions"): data for name, data in WHOLE.items() if name != "README"}
    expected = {f"runs/{number}{name}": data for number in range(1, count + 1) for name, data in files.items()}
    assert site.shown() == {"README": b"about"} | expected


def test_two_runs_of_one_project(site: Site) -> None:
    """Each a process of its own; the second to merge is told what it would have to overwrite."""
    gate = site.project.root / "gate"
    wait = f"import time\nfrom pathlib import Path\nwhile not Path({str(gate)!r}).exists():\n    time.sleep(0.05)\n"
    site.project.script(wait + SCRIPT)
    site.put("predictions/a.csv", b"old")
    with (
        in_background(site.project.root, "run", "--merge", "--set", "text=left") as left,
        in_background(site.project.root, "run", "--merge", "--set", "text=right") as right,
    ):
        wait_for(lambda: len(site.own_branches) == 2)
        gate.touch()
        said = [left.communicate()[1], right.communicate()[1]]
    codes = [left.returncode, right.returncode]
    assert sorted(codes) == [0, 9], said
    winner = (b"left", b"right")[codes.index(0)]
    assert site.shown() == WHOLE | {"predictions/a.csv": winner}
    assert "both changed 1 path\n  predictions/a.csv\n" in said[codes.index(9)]


def test_something_else_stands_where_the_outputs_go(site: Site) -> None:
    """The lake has what the record says it has; the outputs wait in the run's folder, and the exit code tells."""
    (site.project.root / "out").write_text("mine")
    said = site.run("--merge")
    record = site.project.record
    work = site.project.run_folder(record.run_id) / "work"
    assert said.err.endswith(
        f"error: the outputs could not be moved to their paths: {site.project.root}/out/predictions cannot be written: another file or folder has its name\n"
        f"hint: what the run wrote is in {work}; make room for it, and move it from there\n"
    )
    assert said.code == 8
    assert (record.status, record.ending.exit_code, [output.files for output in record.outputs]) == ("FINISHED", 0, [2])
    [item] = record.published
    assert (item.merged, item.problem) == (site.head(), None)
    assert site.shown() == WHOLE
    assert site.project.stored_record(record.run_id) == record
    assert site.project.stored().info.status == "FINISHED"
    assert ((site.project.root / "out").read_text(), (work / "out/predictions/a.csv").read_text()) == ("mine", "one")
    assert not list((site.project.root / ".reprolock/open").glob("*.json"))
    said = site.run("--if-changed")  # nothing to skip: the outputs are not where they belong
    assert (said.code, len(site.project.all_stored())) == (8, 2)


def test_neither_the_project_nor_the_lake_takes_the_outputs(site: Site) -> None:
    (site.project.root / "out").write_text("mine")
    with meanwhile(site, lambda: site.put("predictions/a.csv", b"theirs")):
        said = site.run("--merge")
    record = site.project.record
    assert said.code == 8
    assert said.err.splitlines()[-4:] == [
        f"error: the outputs could not be moved to their paths: {site.project.root}/out/predictions cannot be written: another file or folder has its name",
        f'  outputs.predictions is not published: "{record.published[0].branch}" and the branch "main" '
        f'of the repository "{site.repository}" both changed 1 path',
        "  predictions/a.csv",
        f"hint: what the run wrote is in {site.project.run_folder(record.run_id)}/work; make room for it, and move it from there",
    ]
    assert record.status == site.project.stored().info.status == "FINISHED"


EXPERIMENT = """
[datasets.train]
uri = "lakefs://{repository}/main/data/"
format = "csv"

[outputs.report]
path = "out/report.csv"
publish = "lakefs://{repository}/{{datasets.train.branch}}-{{params.text}}/of/{{run_id}}/"
"""


def test_the_branch_and_the_path_by_what_the_run_was_given(site: Site) -> None:
    """The branch of an experiment is made by the first merge into it, and begins with the data that the run read."""
    site.put("data/a.csv", b"x\n1\n")
    site.lake.create_branch(site.repository, "exp", site.head())
    site.put("data/a.csv", b"x\n2\n", "exp")
    site.spec(EXPERIMENT.format(repository=site.repository))
    site.project.edit('publish = "lakefs://' + site.repository + '/main/predictions/"\n', "")
    site.project.script(SCRIPT + '(folder.parent / "report.csv").write_text("r")\n')
    site.lock()
    said = site.run("--data", "train=exp", "--set", "text=two", "--merge")
    assert said.code == 0, said.err
    record = site.project.record
    [item] = record.published
    assert item.uri == f"lakefs://{site.repository}/exp-two/of/{record.run_id}/"
    assert site.shown("exp-two") == {
        "README": b"about",
        "data/a.csv": b"x\n2\n",
        f"of/{record.run_id}/report.csv": b"r",
    }
    assert site.head("exp-two") == item.merged
    said = site.run("--set", "text=a/b")
    assert (said.code, said.err) == (
        2,
        "error: outputs.report.publish: {params.text} is 'a/b', which is not a single part of an address\n"
        "hint: name another param there, or write the address out\n",
    )


def test_other_data_is_never_published_where_the_declared_datas_results_are(site: Site) -> None:
    site.put("data/a.csv", b"x\n1\n")
    site.lake.create_branch(site.repository, "exp", site.head())
    site.spec(EXPERIMENT.format(repository=site.repository).partition("[outputs")[0])
    site.lock()
    said = site.run("--data", "train=exp")
    assert (said.code, said.err) == (
        2,
        f"error: --data train=exp: outputs.predictions is published to lakefs://{site.repository}/main/predictions/, "
        "which is for the results of other data\n"
        'hint: write "{datasets.train.branch}" in outputs.predictions.publish, or name a branch with --publish-to\n',
    )
    before = site.head()
    said = site.run("--data", "train=exp", "--publish-to", "exp", "--merge")
    assert said.code == 0, said.err
    assert site.shown("exp") == WHOLE | {"data/a.csv": b"x\n1\n"}
    assert site.head() == before
    assert site.run("--publish-to", "yet-to-be-made", "--merge").code == 0
    assert site.shown("yet-to-be-made") == WHOLE | {"data/a.csv": b"x\n1\n"}


def test_a_placeholder_that_names_nothing(site: Site) -> None:
    site.spec(
        f'\n[outputs.report]\npath = "out/r"\npublish = "lakefs://{site.repository}/main/{{params.nope}}/{{datasets.train.branch}}"\n'
    )
    said = site.run()
    assert said.code == 2
    assert "publish: {params.nope} names nothing: [params] declares text" in said.err
    assert "publish: {datasets.train.branch} names nothing: [datasets] is empty" in said.err
