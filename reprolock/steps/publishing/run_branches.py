"""Make the branches that a run publishes to, one for each branch that outputs go to, before the command runs.

They form a `Publication`, which `publish` completes, or `discard` removes where there is nothing to publish. An address that an output is published to is the output's own: what an earlier run put
there is cleared from the run's branch, so that what stands there afterwards is this run's. Spark may
write there directly.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from typing import NamedTuple

from reprolock.errors import NotFound, ReprolockError, UsageError
from reprolock.lake import errors
from reprolock.lake.names import check_tag
from reprolock.lake.protocol import Lake
from reprolock.model.digest import summarise
from reprolock.model.lock import DatasetPin
from reprolock.model.outcome import Output
from reprolock.model.spec import Spec
from reprolock.model.uri import LakeURI
from reprolock.steps.publishing.addresses import fill_run_id


class Branch(NamedTuple):
    """A run's own branch: made from the commit `base` of the branch `target`, or of the data where that is `missing`, to be made
    when something is merged into it. `places` are outputs by name, at their addresses on it."""

    repository: str
    name: str
    target: str
    base: str
    places: Mapping[str, LakeURI]
    missing: bool = False


class Publication(NamedTuple):
    """The branches of one run, and the lake that they are in."""

    lake: Lake
    branches: tuple[Branch, ...]

    def url(self, output: str) -> str | None:
        """Where Spark may write an output directly; None for one that is not published, and on an embedded lake,
        which takes files."""
        place = self._place(output)
        return self.lake.address(place) if place else None

    def with_direct(self, output: Output) -> Output:
        """An output that the command wrote to the lake and not to its path: measured by its listing there."""
        place = self._place(output.name)
        if place is None or not output.missing:
            return output
        try:
            found = summarise(self.lake.list(*place), self.lake.scheme)
        except NotFound:
            return output
        return output._replace(files=found.objects, bytes=found.bytes, digest=found.digest)

    def direct(self, outputs: Iterable[Output]) -> dict[str, str]:
        """The addresses of those outputs that `with_direct` found in the lake."""
        return {output.name: self.url(output.name) or "" for output in outputs if self.is_direct(output)}

    def is_direct(self, output: Output) -> bool:
        """Whether `with_direct` found the output in the lake."""
        return output.digest is not None and output.digest.startswith(f"{self.lake.scheme}:")

    def _place(self, output: str) -> LakeURI | None:
        return next((branch.places[output] for branch in self.branches if output in branch.places), None)


def check_targets(lake: Lake, spec: Spec, tag: str | None, to_make: Collection[str] = ()) -> None:
    """Look before anything is recorded. NotFound (2) names the output whose repository or branch is not there;
    LakeRefused (9) where the tag cannot be made, UsageError where it would have to name two commits.

    The branches of the outputs `to_make` need not be there, where a dataset of the same repository says what they begin with.
    """
    targets = _targets(spec)
    of_data = {dataset.place.repository for dataset in spec.datasets.values()}
    for (repository, target), outputs in targets.items():
        try:
            made = repository in of_data and not outputs.keys().isdisjoint(to_make)
            if target not in (known := list(lake.branches(repository))) and not made:
                raise errors.no_branch(repository, target, known)
        except NotFound as error:
            raise NotFound(f"outputs.{next(iter(outputs))}.publish: {error.message}", hint=error.hint) from None
        if tag is not None:
            _check_tag(lake, repository, tag, known, [other for there, other in targets if there == repository])


def _check_tag(lake: Lake, repository: str, tag: str, branches: list[str], targets: list[str]) -> None:
    check_tag(tag)
    if len(targets) > 1:
        raise UsageError(
            f'--tag {tag}: outputs go to the branches {" and ".join(targets)} of "{repository}", and a tag names one commit',
            hint="publish them to one branch, or tag the commits with `reprolock data tag`",
        )
    with suppress(NotFound):
        if not lake.resolve(repository, tag).id.startswith(tag):  # a tag may look like a commit's ID
            raise errors.exists("branch" if tag in branches else "tag", tag, f'the repository "{repository}"')


def prepare(lake: Lake, spec: Spec, pins: Iterable[DatasetPin], run_id: str) -> Publication | None:
    """Make the run's own branches: one call each, no copy. None where no output is published. One whose target is yet to be
    made begins with the data that the run reads."""
    made: list[Branch] = []
    try:
        for (repository, target), places in _targets(fill_run_id(spec, run_id)).items():
            name = f"run-{run_id[:12]}-{target}"
            data = [pin.commit for pin in pins if pin.place.repository == repository]
            missing = bool(data) and target not in lake.branches(repository)
            base = data[0] if missing else lake.resolve(repository, target).id
            lake.create_branch(repository, name, base)
            made.append(
                Branch(
                    repository,
                    name,
                    target,
                    base,
                    {output: place.at(name) for output, place in places.items()},
                    missing,
                )
            )
            for place in made[-1].places.values():
                with suppress(NotFound):  # the first run that publishes there
                    lake.remove(*place)
    except BaseException:
        with suppress(ReprolockError):  # the first problem is the one to tell
            discard(Publication(lake, tuple(made)))
        raise
    return Publication(lake, tuple(made)) if made else None


def discard(publication: Publication) -> tuple[Branch, ...]:
    """Remove the branches that hold nothing of the run's; those that do are answered, and stay for a look."""
    lake, kept = publication.lake, []
    for branch in publication.branches:
        if lake.resolve(branch.repository, branch.name).id != branch.base or any(
            _holds(lake, place) for place in branch.places.values()
        ):
            kept.append(branch)
        else:
            lake.delete_branch(branch.repository, branch.name)
    return tuple(kept)


def _holds(lake: Lake, place: LakeURI) -> bool:
    try:
        return any(True for _ in lake.list(*place))
    except NotFound:
        return False


def _targets(spec: Spec) -> dict[tuple[str, str], dict[str, LakeURI]]:
    """(repository, branch) → the outputs that go there, at their addresses on it."""
    targets: dict[tuple[str, str], dict[str, LakeURI]] = {}
    for name, place in spec.published.items():
        targets.setdefault((place.repository, place.ref), {})[name] = place
    return targets
