"""`data`: the lake by hand, the same on both kinds of lake. Addresses are written as lakectl writes them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import reprolock
from reprolock.cli.options import Settings, add_shared_options
from reprolock.cli.progress import progress
from reprolock.model.uri import SCHEME, LakeURI
from reprolock.model.words import counted, short, size

if TYPE_CHECKING:
    from reprolock.lake.protocol import Change, Commit, Lake


class Address(click.ParamType[LakeURI]):
    """`lakefs://REPO/REF/PATH`; `kind` says how much of it there has to be: repository, ref, place, or any. Of a repository alone
    the ref is ""."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        names = {"repository": "lakefs://REPO", "ref": "lakefs://REPO/REF", "any": "lakefs://REPO[/REF/PATH]"}
        self.name = names.get(kind, "lakefs://REPO/REF/PATH")

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> LakeURI:
        text = str(value)
        try:
            if self.kind in ("repository", "any") and text.startswith(SCHEME) and text.rstrip("/").count("/") == 2:
                return LakeURI.parse(text.rstrip("/") + "/main")._replace(ref="")
            place = LakeURI.parse(text)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if self.kind == "repository" or (self.kind == "ref" and place.path):
            self.fail(f'"{text}" is more than is needed here; write "{self.name}"', param, ctx)
        return place


REPOSITORY, REF, PLACE, ANY = Address("repository"), Address("ref"), Address("place"), Address("any")


@click.group()
def data() -> None:
    """Work with the lake by hand, the same on both kinds of lake.

    The lake is that of repro.toml, or --lake's; without either: the folder `lake`, or the lake that lakectl is set up for.
    """


def on_lake(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --lake and the shared options, opens the lake, hands it over and closes it."""

    @click.option(
        "--lake", "endpoint", metavar="ENDPOINT", help='The lake: "file:FOLDER", or the address of a lakeFS server.'
    )
    @add_shared_options
    @functools.wraps(function)
    def wrapper(settings: Settings, endpoint: str | None, **own: Any) -> None:
        from reprolock.steps.project.locate import open_the_lake  # the library is loaded when a command runs

        lake = open_the_lake(settings.root, endpoint)
        try:
            function(settings, lake, **own)
        finally:
            lake.close()

    return wrapper


@data.command()
@click.argument("repository", type=REPOSITORY)
@click.option("--storage", metavar="s3://BUCKET/PATH", help="Where a lakeFS server keeps the objects.")
@on_lake
def create(settings: Settings, lake: Lake, repository: LakeURI, storage: str | None) -> None:
    """Make a new, empty repository with a branch main."""
    lake.create_repository(repository.repository, storage=storage)
    settings.line(f"Created {SCHEME}{repository.repository} with branch main")
    settings.result({"repository": repository.repository, "branch": "main"})


@data.command()
@click.argument("uri", type=ANY, required=False)
@click.option("-r", "--recursive", is_flag=True, help="List every object below the address, not one level only.")
@on_lake
def ls(settings: Settings, lake: Lake, uri: LakeURI | None, recursive: bool) -> None:
    """List what is at an address, with sizes. Any branch, tag or commit will do.

    Of a repository alone (lakefs://REPO): its branches and tags. Without an address: the repositories.
    """
    from reprolock.steps.data.put import ls as listed

    if uri is None:
        return _list_repositories(settings, lake)
    if not uri.ref:
        return _list_refs(settings, lake, uri.repository)
    entries = []
    for entry in listed(lake, uri, recursive=recursive):
        entries.append(entry._asdict() if settings.json else None)
        what = counted(entry.objects, "object") if entry.is_folder else ""
        settings.line(f"{size(entry.bytes):>9}  {entry.path}" + (f"  {what}" if what else ""))
    settings.result({"uri": str(uri), "entries": entries})


def _list_repositories(settings: Settings, lake: Lake) -> None:
    found = list(lake.repositories())
    for name in found:
        settings.line(f"{SCHEME}{name}")
    if not found:
        settings.line(f"The lake {lake.endpoint} has no repository; `reprolock data create {SCHEME}NAME` makes one")
    settings.result({"lake": lake.endpoint, "repositories": found})


def _list_refs(settings: Settings, lake: Lake, repository: str) -> None:
    found = list(lake.refs(repository))
    width = max((len(ref.name) for ref in found), default=0)
    for ref in found:
        settings.line(f"{ref.kind:6}  {ref.name:{width}}  {short(ref.commit)}")
    if not found:
        settings.line(f"The repository {SCHEME}{repository} has no branch and no tag")
    settings.result({"repository": repository, "refs": [ref._asdict() for ref in found]})


@data.command()
@click.argument("uri", type=PLACE)
@on_lake
def status(settings: Settings, lake: Lake, uri: LakeURI) -> None:
    """List what is staged on a branch and not committed, all of it or what is below a path."""
    changes = _list_changes(settings, lake.staged(uri.repository, uri.ref, uri.path))
    branch = f"{SCHEME}{uri.repository}/{uri.ref}"
    if changes:
        commits = f"`reprolock data commit {branch} -m TEXT` commits {'it' if len(changes) == 1 else 'them'}"
        settings.line(f"{counted(len(changes), 'change')} staged; {commits}")
    else:
        settings.line(f"Nothing is staged at {uri}")
    settings.result({"uri": str(uri), "changes": changes})


def _list_changes(settings: Settings, changes: Iterable[Change]) -> list[dict[str, Any] | None]:
    """A line for each. The documents for --json; without it as many of None, for there may be millions."""
    found = []
    for change in changes:
        found.append(change._asdict() if settings.json else None)
        settings.line(f"{_SIGNS[change.kind]} {change.path}")
    return found


_SIGNS = {"added": "+", "removed": "-", "changed": "~"}


@data.command()
@click.argument("uri", type=PLACE)
@click.argument("dest", type=click.Path(path_type=Path))
@on_lake
def get(settings: Settings, lake: Lake, uri: LakeURI, dest: Path) -> None:
    """Get an object as a file, or a folder as a new folder.

    The files are read-only links into this user's cache: what is there already is not fetched again, and an interrupted
    get is resumed. To change them, copy them: `cp -r --no-preserve=mode`.
    """
    from reprolock.steps.data.get import get as fetched
    from reprolock.steps.maintenance.cache import object_cache
    from reprolock.steps.project.machine import Machine

    with progress(settings, "Getting") as bar:
        done = fetched(lake, uri, dest, object_cache(Machine.here()), progress=bar)
    unsure = f"; {done.unverified} checked by size alone" if done.unverified else ""
    settings.line(f"Wrote {done.dest}  ({counted(done.objects, 'object')}, {size(done.bytes)}, read-only{unsure})")
    settings.result({"uri": str(uri), **done._asdict()})


@data.command()
@click.argument("source", metavar="SRC", type=click.Path(path_type=Path))
@click.argument("uri", type=PLACE)
@on_lake
def put(settings: Settings, lake: Lake, source: Path, uri: LakeURI) -> None:
    """Stage a file, or every file of a folder, on a branch. `data commit` commits it."""
    from reprolock.steps.data.put import put_tree

    with progress(settings, "Putting") as bar:
        done = put_tree(lake, source, uri, progress=bar)
    there = f"; {done.unchanged} there already" if done.unchanged else ""
    settings.line(f"Staged {counted(done.objects, 'object')}, {size(done.bytes)}, at {uri}{there}")
    settings.result({"uri": str(uri), **done._asdict()})


@data.command()
@click.argument("uri", type=PLACE)
@on_lake
def rm(settings: Settings, lake: Lake, uri: LakeURI) -> None:
    """Stage the removal of an object, or of all below an address."""
    count = lake.remove(uri.repository, uri.ref, uri.path)
    settings.line(f"Staged the removal of {counted(count, 'object')} at {uri}")
    settings.result({"uri": str(uri), "objects": count})


@data.command()
@click.argument("uri", type=REF)
@click.argument("name", required=False)
@click.option("-d", "--delete", is_flag=True, help="Remove the branch URI, and what is staged on it; its commits stay.")
@on_lake
def branch(settings: Settings, lake: Lake, uri: LakeURI, name: str | None, delete: bool) -> None:
    """Make a branch NAME at a ref; no data is copied."""
    if delete == (name is not None):
        raise click.UsageError("write the NAME of a new branch, or --delete")
    if name is None:
        lake.delete_branch(uri.repository, uri.ref)
        settings.line(f"Removed branch {uri.ref} of {uri.repository}")
        settings.result({"repository": uri.repository, "removed": uri.ref})
        return
    lake.create_branch(uri.repository, name, uri.ref)
    settings.line(f"Created branch {name} of {uri.repository} at {uri.ref}")
    settings.result({"repository": uri.repository, "branch": name, "source": uri.ref})


@data.command()
@click.argument("source", metavar="URI", type=REF)
@click.argument("name", required=False)
@click.option("-d", "--delete", is_flag=True, help="Remove the tag URI; its commit stays.")
@on_lake
def tag(settings: Settings, lake: Lake, source: LakeURI, name: str | None, delete: bool) -> None:
    """Tag a ref."""
    if delete == (name is not None):
        raise click.UsageError("write the NAME of a new tag, or --delete")
    if name is None:
        lake.delete_tag(source.repository, source.ref)
        settings.line(f"Removed tag {source.ref} of {source.repository}")
        settings.result({"repository": source.repository, "removed": source.ref})
        return
    lake.create_tag(source.repository, name, source.ref)
    settings.line(f"Tagged {source.repository} {source.ref} as {name}")
    settings.result({"repository": source.repository, "tag": name, "ref": source.ref})


@data.command()
@click.argument("uri", type=REF)
@click.option("-m", "--message", required=True, help="The commit message.")
@click.option("--meta", metavar="K=V", multiple=True, help="Metadata; may be given several times.")
@click.option("--run", metavar="RUN", help="The recorded run that the commit belongs to; stored as metadata.")
@on_lake
def commit(settings: Settings, lake: Lake, uri: LakeURI, message: str, meta: tuple[str, ...], run: str | None) -> None:
    """Commit what is staged on a branch."""
    done = lake.commit(
        uri.repository, uri.ref, message, (_run_metadata(settings, run) if run else {}) | _metadata(meta)
    )
    _say_commit(settings, "Committed", uri, done)


@data.command()
@click.argument("source", type=REF)
@click.argument("dest", type=REF)
@click.option("-m", "--message", help="The message of the merge commit.")
@click.option("--meta", metavar="K=V", multiple=True, help="Metadata; may be given several times.")
@on_lake
def merge(
    settings: Settings, lake: Lake, source: LakeURI, dest: LakeURI, message: str | None, meta: tuple[str, ...]
) -> None:
    """Merge a ref into a branch, path by path. Conflicts are listed, and nothing is half-merged."""
    if source.repository != dest.repository:
        raise click.UsageError(f'cannot merge between two repositories: "{source.repository}" and "{dest.repository}"')
    text = message or f"Merge {source.ref} into {dest.ref}"
    done = lake.merge(dest.repository, source.ref, dest.ref, text, _metadata(meta))
    _say_commit(settings, f"Merged {source.ref} into", dest, done)


@data.command()
@click.argument("uri", type=REF)
@click.argument("ref")
@on_lake
def revert(settings: Settings, lake: Lake, uri: LakeURI, ref: str) -> None:
    """Undo the commit REF on a branch, by a new commit."""
    done = lake.revert(uri.repository, uri.ref, ref)
    _say_commit(settings, f"Undid {short(ref)} on", uri, done)


@data.command()
@click.argument("left", metavar="A", type=PLACE)
@click.argument("right", metavar="B", type=PLACE)
@on_lake
def diff(settings: Settings, lake: Lake, left: LakeURI, right: LakeURI) -> None:
    """List what changed from ref A to ref B. Both must be in one repository; if A has a path, only what is below it is listed."""
    if left.repository != right.repository:
        raise click.UsageError(f'cannot compare two repositories: "{left.repository}" and "{right.repository}"')
    changes = _list_changes(settings, lake.diff(left.repository, left.ref, right.ref, left.path))
    if not changes:
        settings.line(f"No difference between {left} and {right}; what is staged does not count")
    settings.result({"left": str(left), "right": str(right), "changes": changes})


@data.command()
@click.argument("uri", type=REF)
@click.option("-n", "--limit", type=click.IntRange(min=1), help="At most this many commits.")
@on_lake
def log(settings: Settings, lake: Lake, uri: LakeURI, limit: int | None) -> None:
    """List a ref's commits, newest first, along first parents."""
    commits = []
    for count, found in enumerate(lake.ancestors(uri.repository, uri.ref), 1):
        commits.append(_document(found) if settings.json else None)
        settings.line(f"{short(found.id)}  {found.time:%Y-%m-%d %H:%M:%S}Z  {_first_line(found.message)}")
        for name, value in sorted(found.metadata.items()) if settings.verbose else ():
            settings.line(f"              {name} = {value}")
        if count == limit:
            break
    settings.result({"uri": str(uri), "commits": commits})


def _first_line(text: str) -> str:
    return text.partition("\n")[0]


def _say_commit(settings: Settings, did: str, place: LakeURI, done: Commit) -> None:
    settings.line(f"{did} {place.repository}/{place.ref}: {short(done.id)}  {_first_line(done.message)}")
    settings.result({"repository": place.repository, "branch": place.ref, "commit": _document(done)})


def _document(found: Commit) -> dict[str, Any]:
    return {**found._asdict(), "time": found.time.isoformat(), "metadata": dict(found.metadata)}


def _run_metadata(settings: Settings, run: str) -> dict[str, str]:
    from reprolock.model.record import Record  # the library is loaded when a command runs
    from reprolock.steps.publishing.publish import run_metadata

    record = reprolock.show(settings.root, run)
    assert isinstance(record, Record), "a run was named"
    return run_metadata(record)


def _metadata(pairs: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise click.BadParameter(f'"{pair}" is not KEY=VALUE', param_hint="--meta")
        found[key] = value
    return found
