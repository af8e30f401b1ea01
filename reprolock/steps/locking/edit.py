"""`add` and `remove`: change repro.toml in place, then lock it. Where it cannot be locked, it is as it was before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from reprolock.errors import UsageError
from reprolock.files import spec_edit
from reprolock.files.atomic_write import guard, write_whole
from reprolock.files.containment import check_inside
from reprolock.files.spec_file import NAME, parse_spec, read_text
from reprolock.lake.open import open_lake
from reprolock.model.uri import LakeURI
from reprolock.steps.locking.lock import LockResult, lock
from reprolock.steps.locking.options import LockOptions
from reprolock.steps.locking.overrides import parse_param
from reprolock.steps.project.look_at_data import FoundData, look_at
from reprolock.steps.project.machine import Machine
from reprolock.steps.project.progress import SILENT, Progress


class Edited(NamedTuple):
    """What was added or removed, in words, and the lock; None where it was not asked for."""

    sentence: str
    locked: LockResult | None


class Editor:
    """Edits the repro.toml of one project. Each method is one change, which is locked unless `locking` is False."""

    def __init__(
        self, root: Path, *, locking: bool = True, progress: Progress = SILENT, machine: Machine | None = None
    ) -> None:
        self.root = root.resolve()
        self.locking = locking
        self.progress = progress
        self.machine = machine or Machine.here()

    def add_dataset(
        self, name: str, uri: str, *, format: str | None = None, options: Sequence[str] = (), glob: str | None = None
    ) -> Edited:
        """A dataset; without `format` the lake is asked which files are there."""
        values: dict[str, Any] = {"uri": uri, "format": format}
        given = dict(parse_param(text) for text in options)
        if format is None:
            found = self._look_at(uri)
            values["format"], given = found.format, {**found.options, **given}
        values |= {"options": given} if given else {}
        values |= {"glob": glob} if glob else {}
        return self._change(
            lambda text: spec_edit.add_table(text, "datasets", name, values),
            f"dataset {name}  {uri}  {values['format']}",
        )

    def add_output(self, name: str, path: str, **more: str | None) -> Edited:
        """An output: `compare`, `format` and `publish` as repro.toml has them."""
        values = {"path": path} | {key: value for key, value in more.items() if value is not None}
        return self._change(lambda text: spec_edit.add_table(text, "outputs", name, values), f"output {name}  {path}")

    def add_param(self, text: str) -> Edited:
        """A param by NAME=VALUE, or another value of one that is there."""
        name, value = parse_param(text)
        return self._change(lambda old: spec_edit.add_param(old, name, value), f"param {text}")

    def add_packages(self, requirements: Sequence[str]) -> Edited:
        """Requirements; one of a package that is there replaces it."""
        return self._change(lambda text: spec_edit.add_packages(text, requirements), ", ".join(requirements))

    def remove(self, kind: str, names: Sequence[str]) -> Edited:
        """What bears these names: `kind` is "dataset", "output", "param" or "package"."""

        def without(text: str) -> str:
            if kind == "package":
                return spec_edit.remove_packages(text, names)
            for name in names:
                text = (
                    spec_edit.remove_param(text, name)
                    if kind == "param"
                    else spec_edit.remove_table(text, f"{kind}s", name)
                )
            return text

        return self._change(without, f"{kind} {', '.join(names)}")

    def _change(self, edit: Callable[[str], str], sentence: str) -> Edited:
        check_inside(self.root, NAME)
        path = self.root / NAME
        read_text(path)  # before anything is made beside it
        with guard(path, f"writing {NAME}"):
            before = read_text(path)
            after = edit(before)
            self.machine.scanner().check(after, NAME)
            write_whole(path, after.encode())
        if not self.locking:
            return Edited(sentence, None)
        try:
            return Edited(sentence, lock(self.root, LockOptions(), self.machine, progress=self.progress))
        except BaseException:
            if read_text(path) == after:  # nobody has edited it meanwhile
                write_whole(path, before.encode())
            raise

    def _look_at(self, uri: str) -> FoundData:
        try:
            place = LakeURI.parse(uri)
        except ValueError as error:
            raise UsageError(str(error), hint='write "lakefs://REPOSITORY/REF/PATH"') from None
        endpoint = parse_spec(read_text(self.root / NAME)).lake.endpoint
        lake = open_lake(endpoint, self.root, self.machine.environ, self.machine.home)
        try:
            return look_at(lake, place)
        finally:
            lake.close()
