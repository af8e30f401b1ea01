"""Pin declared datasets: find the commit that each ref stands for, and list what is there at that commit.

Each repository and ref is resolved once, so two datasets on `main` are of one moment; the listings
are read side by side.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from reprolock.errors import NotFound, UsageError
from reprolock.lake.protocol import Commit, Lake, Object
from reprolock.model.digest import summarise
from reprolock.model.glob import matches
from reprolock.model.lock import DatasetPin
from reprolock.model.spec import DatasetSpec
from reprolock.model.uri import LakeURI
from reprolock.steps.locking.left_out import Folders

_LISTINGS_AT_ONCE = 8

Ref = tuple[str, str]


def resolve_datasets(
    lake: Lake, datasets: Mapping[str, DatasetSpec], *, as_of: datetime | None = None
) -> tuple[DatasetPin, ...]:
    """One pin a dataset, in the order given.

    NotFound (exit 2) names the dataset whose repository, ref or path is not in the lake, or that is empty.
    """
    commits = resolve_refs(lake, {name: dataset.place for name, dataset in datasets.items()}, as_of=as_of)
    with ThreadPoolExecutor(_LISTINGS_AT_ONCE) as pool:
        pins = [
            pool.submit(pin_dataset, lake, name, dataset, commits[dataset.place[:2]], head=as_of is None)
            for name, dataset in datasets.items()
        ]
        return tuple(pin.result() for pin in pins)


def resolve_refs(lake: Lake, places: Mapping[str, LakeURI], *, as_of: datetime | None = None) -> dict[Ref, Commit]:
    """The commit of each (repository, ref) among the addresses; errors name the dataset that asks."""
    askers: dict[Ref, str] = {}
    for name, place in places.items():
        askers.setdefault(place[:2], name)
    with ThreadPoolExecutor(_LISTINGS_AT_ONCE) as pool:
        commits = {ref: pool.submit(_resolve, lake, name, ref, as_of) for ref, name in askers.items()}
        return {ref: commit.result() for ref, commit in commits.items()}


def pin_dataset(lake: Lake, name: str, dataset: DatasetSpec, commit: Commit, *, head: bool = True) -> DatasetPin:
    """Read the listing at the commit and seal it. `head`: the commit is where the ref stands now, so that
    committing what is staged would move it. NotFound where nothing is at the commit; UsageError for a name that no
    reader takes, and for folders that the glob leaves out and Spark would take columns from.
    """
    place = dataset.place.at(commit.id)
    folders = Folders(dataset, place)
    try:
        objects = folders.matching(lake.list(place.repository, place.ref, place.path))
        summary = summarise(_readable(lake, name, objects), lake.scheme)
    except NotFound:
        summary = None
    if summary is None or not summary.objects:
        matching = f' matching "{dataset.glob}"' if dataset.glob else ""
        branch = f"lakefs://{place.repository}/{dataset.place.ref}"
        if head and is_staged(lake, dataset.place, dataset.glob):
            hint = f"commit what is staged there first: `reprolock data commit {branch} -m MESSAGE`"
        else:
            hint = f"see what is there with `reprolock data ls -r {branch}/`"
        raise NotFound(
            f"datasets.{name}.uri: nothing{matching} is at {dataset.uri} (commit {commit.id[:12]})", hint=hint
        )
    if dataset.glob is not None and lake.address(place) is not None:  # else Spark reads a tree, as all others do
        folders.check(name)
    return DatasetPin.sealed(
        name=name,
        kind=lake.kind,
        uri=dataset.uri,
        glob=dataset.glob,
        commit=commit.id,
        time=commit.time,
        resolved=str(place),
        objects=summary.objects,
        bytes=summary.bytes,
        digest=summary.digest,
    )


def _readable(lake: Lake, name: str, objects: Iterator[Object]) -> Iterator[Object]:
    """The same objects. Hadoop opens no file with ":" in its name, and an embedded lake's data is read from files."""
    for item in objects:
        if lake.kind == "git" and ":" in item.path:
            raise UsageError(
                f'datasets.{name}.uri: Spark cannot read {item.path!r} from an embedded lake, because its name has ":" in it',
                hint="put it into the lake under another name, or leave it out by `glob`",
            )
        yield item


def listing(lake: Lake, place: LakeURI, glob: str | None, *, few: bool = False) -> Iterator[Object]:
    """The objects of a dataset; `few` where only the first are read."""
    objects = lake.list(place.repository, place.ref, place.path, few=few)
    return objects if glob is None else (item for item in objects if matches(item.path, glob))


def is_staged(lake: Lake, place: LakeURI, glob: str | None) -> bool:
    """Whether the branch has staged changes to objects of the dataset. False for a tag or commit."""
    return any(matches(change.path, glob) for change in lake.staged(*place))


def _resolve(lake: Lake, name: str, ref: Ref, as_of: datetime | None) -> Commit:
    repository, branch = ref
    with _named(name):
        commit = lake.resolve(repository, branch)
        if as_of is None or commit.time <= as_of:
            return commit
        if branch in lake.branches(repository):
            for commit in lake.ancestors(repository, branch):
                if commit.time <= as_of:
                    return commit
    raise UsageError(
        f"datasets.{name}.uri: {branch} of {repository} has no commit made at or before {as_of.isoformat()}",
        hint="give a later --as-of",
    )


class _named:
    """Puts the dataset's key in front of what the lake says is not there."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, NotFound):
            raise NotFound(
                f"datasets.{self.name}.uri: {error.message}", hint=error.hint, problems=error.problems
            ) from None
