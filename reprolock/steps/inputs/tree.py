"""Build a tree of read-only files out of links into the cache. No lake is asked.

A file is as it was left while its size and its time are the cache's; a file that is not is replaced. A
file that is none of the tree's is never removed, and never passed over: a reader of the folder
would read it too. Files are read-only, folders are not, so that `rm -r` removes a tree as any other.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from reprolock.errors import MachineError, PinError
from reprolock.files.build_folder import scratch
from reprolock.files.object_cache import STAMP, ObjectCache
from reprolock.files.os_errors import cannot_read, cannot_write
from reprolock.lake.protocol import Object
from reprolock.model.content import Content
from reprolock.model.uri import LakeURI
from reprolock.model.words import counted
from reprolock.steps.inputs.portable_names import refuse_names

_BUILDING = "building"
_STRANGERS_SHOWN = 20


class LocalTree:
    """The tree of `place` (an address, at a commit where it is shared) at `path`, below `folder`.

    Built beside its path and renamed where nothing is yet. A shared tree is put right file by file where
    something does; one that is not shared has its path, which is free or an empty folder, for itself.
    """

    def __init__(
        self, folder: Path, path: Path, place: LakeURI, items: Sequence[Object], *, shared: bool = True
    ) -> None:
        below = place.path.rstrip("/")
        self.path = path
        self._folder = folder
        self._place = place
        self._shared = shared
        # Names are relative to `path`; an address that names an object has the one name "": `path` itself.
        self._start = len(below) + 1 if below else 0
        self._names = {item.path[self._start :]: item for item in items}
        self._top = str(path)
        self._new: str | None = None
        self._made: set[str] = set()
        self._checked = False

    def missing(self) -> list[Object]:
        """The objects whose files are not there as they were left, sorted. PinError names the files that are none of the tree's."""
        missing, strangers = dict(self._names), []
        try:
            for name, status in _files(str(self.path)):
                if name not in self._names:
                    strangers.append(name)
                elif _is_untouched(status, self._names[name].size):
                    del missing[name]
        except OSError as error:
            raise cannot_read(self.path, error) from error
        if strangers:
            raise PinError(
                f"{self.path} holds {counted(len(strangers), 'file')} that {self._place} does not have",
                hint="move them away, or remove the folder: it is made again",
                problems=tuple(sorted(strangers)[:_STRANGERS_SHOWN]),
            )
        return list(missing.values())

    def check(self) -> None:
        """UsageError for names that a folder here cannot hold, before anything is fetched for them."""
        with self._scratch() as empty, self._writing(empty):
            refuse_names([name or self.path.name for name in self._names], self._place, empty)
        self._checked = True

    @contextmanager
    def building(self) -> Iterator[None]:
        """While the body runs, `put` may be called; when it ends well, all that was put is at its path."""
        if not self._checked:
            self.check()
        with self._scratch() as beside:
            self._made.clear()
            if self._shared and os.path.lexists(self.path):
                self._top, self._new = str(self.path), f"{beside}/new"
            else:
                self._top, self._new = f"{beside}/tree", None
            yield
            if self._new is None:
                self._publish()

    def put(self, cache: ObjectCache, content: Content, item: Object) -> bool:
        """Make the file of an object out of the cache; False where the cache does not have it whole."""
        file = f"{self._top}/{item.path[self._start :]}".removesuffix("/")
        try:
            self._make_folder(file[: file.rindex("/")])
            if self._new is None:
                return cache.place(content, file)
            placed = cache.place(content, self._new)
            if placed:
                os.replace(self._new, file)
                with suppress(FileNotFoundError):  # POSIX leaves it where both names are links to the same file
                    os.unlink(self._new)
            return placed
        except OSError as error:
            raise self._problem(Path(file), error) from error

    def _publish(self) -> None:
        with self._writing(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if not self._shared and self.path.is_dir():
                # The folder itself stays: it may be a process's current folder.
                for entry in list(os.scandir(self._top)):
                    os.rename(entry.path, self.path / entry.name)
                return
            try:
                os.rename(self._top, self.path)
            except OSError as error:
                if not self._shared or error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
                # Another process made it, or a part of it, meanwhile: of the same commit, so of the same bytes.
                self._made.clear()
                for name in self._names:
                    self._make_folder(os.path.dirname(f"{self.path}/{name}"))
                    os.replace(f"{self._top}/{name}", f"{self.path}/{name}")

    @contextmanager
    def _scratch(self) -> Iterator[Path]:
        with ExitStack() as stack:
            with self._writing(self._folder):
                made = stack.enter_context(scratch(self._folder, _BUILDING if self._shared else self.path.name))
            yield made

    def _make_folder(self, folder: str) -> None:
        if folder not in self._made:
            os.makedirs(folder, exist_ok=True)
            self._made.add(folder)

    @contextmanager
    def _writing(self, path: Path) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._problem(path, error) from error

    def _problem(self, path: Path, error: OSError) -> MachineError:
        if error.errno != errno.ENAMETOOLONG:
            return cannot_write(path, error)
        return MachineError(
            f"{self._place} has a name that is too long for a file in {self._folder}: {path.name[:80]}…",
            hint="use a folder with a shorter path, or a glob that leaves the object out",
        )


def _files(top: str, below: str = "") -> Iterator[tuple[str, os.stat_result]]:
    """Every file under a folder (or the file itself, named ""), nothing where nothing is; links are not followed."""
    try:
        entries = os.scandir(f"{top}/{below}" if below else top)
    except FileNotFoundError:
        return
    except NotADirectoryError:
        if os.path.lexists(top):  # else a file stands where one of its folders should
            yield "", os.lstat(top)
        return
    with entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _files(top, f"{below}{entry.name}/")
            else:
                yield below + entry.name, entry.stat(follow_symlinks=False)


def _is_untouched(status: os.stat_result, size: int) -> bool:
    return stat.S_ISREG(status.st_mode) and status.st_size == size and status.st_mtime_ns == STAMP
