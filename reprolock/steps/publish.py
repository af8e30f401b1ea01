"""Outputs back into the lake: a branch of the run's own, a commit that names the run, a tag, a merge.

1. Before the command a branch is made at the target's head: one call, no copy. Spark may write to it directly.
2. After a run that succeeded its outputs are put there and committed with the run's metadata.
3. `--tag` tags the commit, `--merge` merges it into the target; then the branch has done its work and goes.

The target branch never shows half of an output: it changes by one merge or not at all. When anything
fails, the branch is left in place for whoever looks for the cause.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from reprolock.errors import NotFound, ReprolockError
from reprolock.lake.protocol import Lake
from reprolock.model.digest import summarise
from reprolock.model.outcome import Output
from reprolock.model.record import PublishedRecord, Record
from reprolock.model.spec import Spec
from reprolock.model.uri import LakeURI
from reprolock.steps.data import put_tree

Target = tuple[str, str]
"""A repository and the branch that outputs are published to."""


class Publication(NamedTuple):
    """What a run is to publish: outputs by name at their places on the run's own branches."""

    lake: Lake
    places: Mapping[str, LakeURI]
    targets: Mapping[str, LakeURI]

    def url(self, name: str) -> str | None:
        """Where Spark may write an output directly; None on an embedded lake, which takes files."""
        place = self.places.get(name)
        return self.lake.address(place) if place else None


def prepare(lake: Lake, spec: Spec, run_id: str) -> Publication | None:
    """Make the branches; None where no output is published. NotFound (exit 2) names the output whose target is not there."""
    targets = {name: LakeURI.parse(output.publish) for name, output in spec.outputs.items() if output.publish}
    if not targets:
        return None
    made: set[Target] = set()
    for name, target in targets.items():
        if target[:2] not in made:
            made.add(target[:2])
            try:
                lake.create_branch(target.repository, _own_branch(run_id, target), target.ref)
            except NotFound as error:
                raise NotFound(f"outputs.{name}.publish: {error.message}", hint=error.hint) from None
    return Publication(lake, {name: target.at(_own_branch(run_id, target)) for name, target in targets.items()}, targets)


def publish(
    publication: Publication,
    outputs: tuple[Output, ...],
    root: Path,
    record: Record,
    metadata: Mapping[str, str],
    *,
    tag: str | None,
    merge: bool,
) -> tuple[PublishedRecord, ...]:
    """Put, commit, tag and merge. One answer an output; a fault is data in it, and the run's branch stays."""
    lake = publication.lake
    answers: list[PublishedRecord] = []
    by_branch: dict[Target, list[str]] = {}
    for name, place in publication.places.items():
        by_branch.setdefault(place[:2], []).append(name)
    for (repository, branch), names in by_branch.items():
        target = publication.targets[names[0]].ref
        commit = fault = merged = None
        tagged = False
        try:
            for output in outputs:
                if output.name in names and not _written_directly(publication, output):
                    _put(publication, root / output.path, publication.places[output.name])
            if lake.uncommitted(repository, branch):
                commit = lake.commit(repository, branch, f"{record.project}: run {record.run_id[:8]}", metadata).id
            else:
                commit = lake.resolve(repository, branch).id  # the very same outputs are there already
            if tag is not None:
                lake.create_tag(repository, tag, commit)
                tagged = True
            if merge and commit == lake.resolve(repository, target).id:
                merged = commit
            elif merge:
                merged = lake.merge(repository, branch, target, f"Merge run {record.run_id[:8]}", metadata).id
            if merged is not None:
                lake.delete_branch(repository, branch)
        except ReprolockError as error:
            fault = error.message
        answers += [
            PublishedRecord(
                name=name,
                uri=str(publication.targets[name]),
                branch=branch,
                commit=commit,
                tag=tag if tagged else None,
                merged=merged,
                fault=fault,
            )
            for name in names
        ]
    return tuple(answers)


def directly_written(publication: Publication, output: Output) -> Output:
    """An output that the command wrote to its branch and not to its path: measured by its listing there."""
    place = publication.places.get(output.name)
    if place is None or not output.missing:
        return output
    try:
        found = summarise(publication.lake.list(*place), publication.lake.scheme)
    except NotFound:
        return output
    before = _summary_before(publication, output.name)
    if not found.objects or found.digest == before:
        return output
    return output._replace(files=found.objects, bytes=found.bytes, digest=found.digest)


def _summary_before(publication: Publication, name: str) -> str | None:
    """What stood there already when the branch was made: not this run's."""
    lake, place = publication.lake, publication.places[name]
    try:
        head = lake.resolve(place.repository, place.ref).id
        return summarise(lake.list(place.repository, head, place.path), lake.scheme).digest
    except NotFound:
        return None


def _written_directly(publication: Publication, output: Output) -> bool:
    return output.digest is not None and output.digest.startswith(f"{publication.lake.scheme}:")


def _put(publication: Publication, source: Path, place: LakeURI) -> None:
    """The output in the place of what an earlier run published there."""
    lake = publication.lake
    try:
        lake.remove(place.repository, place.ref, place.path)
    except NotFound:
        pass  # the first run that publishes here
    put_tree(lake, source, place)


def _own_branch(run_id: str, target: LakeURI) -> str:
    return f"run-{run_id[:12]}-{target.ref}"
