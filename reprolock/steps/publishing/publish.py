"""Publish outputs to the lake: upload them to the run's own branch, commit, tag and merge.

1. Every branch: the outputs that the command wrote to their paths are put there, and all is committed with the
   run's metadata.
2. `tag` tags the commits, `merge` merges them into the branches that the outputs are for; only when 1 is done for all.
3. A branch that is merged has done its work and goes. One that is not stays, and so does everything after a problem.

A target branch never shows half of an output: it changes by one merge or not at all.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from reprolock.errors import Interrupted, LakeRefused, NotFound, ReprolockError, ServiceError, UsageError
from reprolock.lake.protocol import Lake
from reprolock.model.outcome import Output
from reprolock.model.record import PublishedRecord, Record
from reprolock.model.uri import LakeURI
from reprolock.steps.data.put import put_tree
from reprolock.steps.project.progress import SILENT, Progress
from reprolock.steps.publishing.run_branches import Branch, Publication, discard

RECORD_KEY = "reprolock.record"
"""In a commit's metadata: the seal of the run's record, as it was before `published` stood in it."""


class Published(NamedTuple):
    """One record an output; `problem` is what kept some of them from being published, in a sentence that names them.

    A Ctrl-C is a problem like any other: what the lake has by then is recorded before the process ends by it.
    """

    records: tuple[PublishedRecord, ...]
    problem: ReprolockError | None = None


def run_metadata(record: Record) -> dict[str, str]:
    """What ties a commit to a run: MLflow's run ID, the digest of all that was pinned, the code's git commit."""
    git = {"git_commit": record.code.commit} if record.code.commit else {}
    return {"mlflow_run": record.run_id, "reprolock.pinned": record.pinned.total, **git}


def publish(
    publication: Publication,
    outputs: tuple[Output, ...],
    root: Path,
    record: Record,
    *,
    tag: str | None,
    merge: bool,
    progress: Progress = SILENT,
) -> Published:
    """Put, commit, tag and merge what a run that succeeded has left below `root`.

    A problem is an answer and no exception: the run itself has finished.
    """
    work = _Work(publication, record, root, {output.name: output for output in outputs}, progress)
    problem: ReprolockError | None = None
    try:
        for branch in publication.branches:
            work.check(branch)
        for branch in publication.branches:
            work.commit(branch)
        for branch in publication.branches if tag else ():
            work.tag(branch, tag or "")
        for branch in publication.branches if merge else ():
            work.merge(branch)
    except ReprolockError as error:
        problem = error
    except KeyboardInterrupt:
        problem = Interrupted("Ctrl-C", signal_number=signal.SIGINT)
    records = tuple(
        work.record(branch, name, tag, merge, problem) for branch in publication.branches for name in branch.places
    )
    if problem is None:
        return Published(records)
    if not any(item.problem for item in records):
        return Published(
            records, Interrupted("stopped by Ctrl-C, after everything was published", signal_number=signal.SIGINT)
        )
    left = [branch for branch in publication.branches if branch.name not in work.merges]
    if isinstance(problem, UsageError):  # found before anything was put
        with suppress(ReprolockError):
            left = list(discard(publication))
    return Published(records, _add_outputs(problem, [item.name for item in records if item.problem], left))


def _add_outputs(problem: ReprolockError, outputs: list[str], left: list[Branch]) -> ReprolockError:
    """The same error, said of the outputs."""
    subject = " and ".join(f"outputs.{name}" for name in outputs) + (" are" if len(outputs) > 1 else " is")
    where = " and ".join(f"lakefs://{branch.repository}/{branch.name}" for branch in left)
    hint = (
        f"what the run wrote stays on {where}; `reprolock data` shows, commits and merges it" if left else problem.hint
    )
    message = f"{subject} not published: {problem.message}"
    if isinstance(problem, Interrupted):
        return Interrupted(message, signal_number=signal.SIGINT, hint=hint)
    return type(problem)(message, hint=hint, problems=problem.problems)


class _Work:
    """How far each branch has come: `commits`, `tags` and `merges` by the branch's name."""

    def __init__(
        self, publication: Publication, record: Record, root: Path, outputs: Mapping[str, Output], progress: Progress
    ) -> None:
        self.commits: dict[str, str] = {}
        self.merges: dict[str, str] = {}
        self.tags: dict[str, str] = {}
        self._lake = publication.lake
        self._publication = publication
        self._root = root
        self._outputs = outputs
        self._progress = _Whole(progress)
        self._run = record.run_id[:8]
        self._message = f"{record.project}: run {self._run}"
        self._metadata = run_metadata(record) | {RECORD_KEY: _seal(record)}

    def check(self, branch: Branch) -> None:
        """UsageError where one file would take the place of a folder: all that stands in it would go."""
        for output, place in branch.places.items():
            file = self._root / self._outputs[output].path
            if self._publication.is_direct(self._outputs[output]) or place.path.endswith("/") or not file.is_file():
                continue
            with suppress(NotFound):
                if any(self._lake.list(branch.repository, branch.base, f"{place.path}/")):
                    address = place.at(branch.target)
                    raise UsageError(
                        f"{address} is a folder, and {self._outputs[output].path} is a file that would take its place",
                        hint=f'write publish = "{address}/" to put the file into the folder',
                    )

    def commit(self, branch: Branch) -> None:
        """Put the outputs on the branch and commit them; what stood on the target before is left where nothing differs."""
        lake, (repository, name) = self._lake, branch[:2]
        self._restore_folders(branch)
        for output, place in branch.places.items():
            if not self._publication.is_direct(self._outputs[output]):
                _put(lake, self._root / self._outputs[output].path, place, self._progress)

        def committed() -> str | None:
            head = lake.resolve(repository, name)
            return head.id if head.metadata.get(RECORD_KEY) == self._metadata[RECORD_KEY] else None

        if lake.uncommitted(repository, name):
            _certain(
                lambda: lake.commit(repository, name, self._message, self._metadata).id, committed, self.commits, name
            )
        else:
            self.commits[name] = lake.resolve(repository, name).id

    def _restore_folders(self, branch: Branch) -> None:
        """Bring back what was cleared of a folder that an output turns out to be one file of: as `cp` does, its neighbours stay."""
        lake, (repository, name) = self._lake, branch[:2]
        folders = [place for output, place in branch.places.items() if self._goes_into(output, place)]
        if folders and not any(self._publication.is_direct(self._outputs[output]) for output in branch.places):
            lake.delete_branch(repository, name)  # nothing is on it yet
            lake.create_branch(repository, name, branch.base)
            return
        for place in folders:
            with suppress(NotFound):
                for found in lake.list(repository, branch.base, place.path):
                    with lake.open(repository, branch.base, found.path) as stream:
                        lake.put(repository, name, found.path, stream)

    def _goes_into(self, output: str, place: LakeURI) -> bool:
        return place.path.endswith("/") and (self._root / self._outputs[output].path).is_file()

    def tag(self, branch: Branch, tag: str) -> None:
        """Tag the commit."""
        lake, commit = self._lake, self.commits[branch.name]

        def create() -> str:
            lake.create_tag(branch.repository, tag, commit)
            return tag

        def created() -> str | None:
            with suppress(NotFound):
                return tag if lake.resolve(branch.repository, tag).id == commit else None
            return None

        _certain(create, created, self.tags, branch.name)

    def merge(self, branch: Branch) -> None:
        """Merge the commit into the target, which is made where it was missing, and remove the branch."""
        lake, commit, (repository, name, target) = self._lake, self.commits[branch.name], branch[:3]
        if branch.missing and target not in lake.branches(repository):
            with suppress(LakeRefused):  # another run has made it meanwhile
                lake.create_branch(repository, target, branch.base)

        def merge() -> str:
            try:
                return lake.merge(repository, name, target, f"Merge run {self._run}", self._metadata).id
            except LakeRefused:
                if any(any(lake.diff(repository, target, name, place.path)) for place in branch.places.values()):
                    raise
                return lake.resolve(repository, target).id  # the very same was published already

        def merged() -> str | None:
            head = lake.resolve(repository, target)
            return head.id if commit in head.parents else None

        _certain(merge, merged, self.merges, name)
        with suppress(ReprolockError):  # it is published; a branch that stays does no harm
            lake.delete_branch(repository, name)

    def record(
        self, branch: Branch, output: str, tag: str | None, merge: bool, problem: ReprolockError | None
    ) -> PublishedRecord:
        """What became of one output."""
        commit, tagged, merged = (done.get(branch.name) for done in (self.commits, self.tags, self.merges))
        done = commit and (tagged or not tag) and (merged or not merge)
        return PublishedRecord(
            name=output,
            uri=str(branch.places[output].at(branch.target)),
            branch=branch.name,
            commit=commit,
            tag=tagged,
            merged=merged,
            problem=None
            if done or problem is None
            else ": ".join(filter(None, [problem.message, ", ".join(problem.problems)])),
        )


def _seal(record: Record) -> str:
    seal = record.sealed().seal
    assert seal is not None
    return seal.total


def _certain(act: Callable[[], str], found: Callable[[], str | None], answers: dict[str, str], name: str) -> None:
    """Keep what an act answers. Where its answer was lost, `found` looks whether it was done: if it was not, it is tried
    again, unless a Ctrl-C was what came in between."""
    try:
        answers[name] = act()
    except ServiceError:
        answers[name] = found() or act()
    except KeyboardInterrupt:
        with suppress(ReprolockError):
            if answer := found():
                answers[name] = answer
        raise


class _Whole:
    """One progress of all outputs, each of which says what it comes to when its turn has come."""

    def __init__(self, told: Progress) -> None:
        self._told = told
        self._expected = (0, 0)

    def expect(self, objects: int, bytes: int) -> None:
        self._expected = (self._expected[0] + objects, self._expected[1] + bytes)
        self._told.expect(*self._expected)

    def advance(self, objects: int, bytes: int) -> None:
        self._told.advance(objects, bytes)

    def step(self, what: str) -> None:
        self._told.step(what)


def _put(lake: Lake, source: Path, place: LakeURI, progress: Progress) -> None:
    """The output at its address, and nothing else there; a file whose address ends with "/" under its own name in that folder."""
    if source.is_file() and place.path.endswith("/"):
        place = place._replace(path=place.path + source.name)
    with suppress(NotFound):  # where the command wrote to both, its path counts
        lake.remove(*place)
    put_tree(lake, source, place, progress=progress)
