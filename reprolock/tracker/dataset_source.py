"""`LakeDatasetSource`: MLflow's plug-in for data in a lake at a commit (entry point `mlflow.dataset_source`).

In: the source that `input_of` wrote, or a "lakefs://…" address. Out, by `load`: the same objects again, as files.
MLflow itself imports this module, in any process that looks at a run's inputs; it loads the lake only in `load`.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from mlflow.data.filesystem_dataset_source import FileSystemDatasetSource

from reprolock.errors import PinError, UsageError
from reprolock.files.atomic_write import TEMPORARY
from reprolock.files.os_errors import cannot_write
from reprolock.model.content import Check, Meaning
from reprolock.model.digest import summarise
from reprolock.model.glob import is_glob, matches
from reprolock.model.uri import SCHEME, LakeURI, check_path, is_under
from reprolock.tracker.encoding.inputs import LAKE_SOURCE

if TYPE_CHECKING:
    from reprolock.lake.protocol import Lake, Object


class LakeDatasetSource(FileSystemDatasetSource):
    """A dataset in a lake. `uri` names the commit, so that loading it again gives the same bytes.

    The lake's address is not part of it: repro.toml in the current folder or above names the lake, else
    lakectl's configuration does, so that a run's record cannot make credentials go elsewhere.
    """

    def __init__(
        self,
        uri: str,
        kind: str = "lakefs",
        format: str | None = None,
        options: dict[str, str] | None = None,
        glob: str | None = None,
        digest: str | None = None,
        delta_table_version: int | None = None,
    ) -> None:
        """`digest` is the whole of reprolock's, SCHEME:SHA-256; `options` are those of Spark's reader."""
        self._place = LakeURI.parse(uri)
        self._kind = kind
        self.format = format
        self.options = dict(options or {})
        self.glob = glob
        self.digest = digest
        self.delta_table_version = delta_table_version

    @staticmethod
    def _get_source_type() -> str:
        return LAKE_SOURCE

    @property
    def uri(self) -> str:
        """`lakefs://REPOSITORY/COMMIT/PATH`."""
        return str(self._place)

    def load(self, dst_path: str | None = None, endpoint: str | None = None) -> str:
        """Copy the objects into a folder (a new one where none is named) and answer its path.

        `endpoint` names another lake than the project's, "file:FOLDER" or an http(s) address. Sizes, checksums
        and the listing's digest are compared: PinError where the lake holds something else by now.
        """
        folder = Path(dst_path or tempfile.mkdtemp(prefix="reprolock-data-"))
        folder.mkdir(parents=True, exist_ok=True)
        lake = self._open(endpoint)
        try:
            self._copy(lake, folder)
        finally:
            lake.close()
        return str(folder)

    @staticmethod
    def _can_resolve(raw_source: Any) -> bool:
        return isinstance(raw_source, str) and raw_source.startswith(SCHEME)

    @classmethod
    def _resolve(cls, raw_source: str) -> LakeDatasetSource:
        return cls(raw_source)

    def to_dict(self) -> dict[str, Any]:
        """What `from_dict` takes; what is not known is left out."""
        known = {
            "format": self.format,
            "options": self.options,
            "glob": self.glob,
            "digest": self.digest,
            "delta_table_version": self.delta_table_version,
        }
        return {
            "uri": self.uri,
            "kind": self._kind,
            **{name: value for name, value in known.items() if value not in (None, {})},
        }

    @classmethod
    def from_dict(cls, source_dict: dict[Any, Any]) -> LakeDatasetSource:
        """The source again; fields that a later reprolock may add are passed over."""
        known = ("uri", "kind", "format", "options", "glob", "digest", "delta_table_version")
        return cls(**{name: source_dict[name] for name in known if name in source_dict})

    def _open(self, endpoint: str | None) -> Lake:
        # The lake's library and the reader of repro.toml: for load alone, not for each look at a run.
        from reprolock.files.spec_file import NAME, read_spec
        from reprolock.lake.open import open_lake

        here = Path.cwd()
        root = next((folder for folder in (here, *here.parents) if (folder / NAME).exists()), None)
        if endpoint is None and root is not None:
            endpoint = read_spec(root).lake.endpoint
        if endpoint is None and self._kind == "git":
            raise UsageError(
                f"{self.uri} is in an embedded lake, and no {NAME} here says where",
                hint='call load in the project\'s folder, or with endpoint="file:FOLDER"',
            )
        declared_in = NAME if root else "endpoint"
        return open_lake(endpoint, root or here, dict(os.environ), Path.home(), declared_in=declared_in)

    def _copy(self, lake: Lake, folder: Path) -> None:
        # With the lake.
        from reprolock.lake.transfer.transfer import transfer

        if self.glob is not None and not is_glob(self.glob):  # it comes from MLflow
            raise UsageError(f"the source of {self.uri} has a glob that Hadoop does not take: {self.glob!r}")
        objects = [item for item in lake.list(*self._place) if matches(item.path, self.glob)]
        if self.digest is not None and self.digest.startswith(f"{lake.scheme}:"):
            found = summarise(objects, lake.scheme).digest
            if found != self.digest:
                raise PinError(
                    f"{self.uri} is not what the run read: its listing has changed", hint="ask the owner of the lake"
                )

        def receive(item: Object, meaning: Meaning) -> _CheckedFile:
            return _CheckedFile(folder / self._relative(item), Check(item.content(lake.scheme), meaning))

        for _ in transfer(lake, self._place, objects, receive):
            pass

    def _relative(self, item: Object) -> str:
        """The path below the dataset's own; a listing is foreign input, and may not leave the folder."""
        check_path(item.path)
        root = self._place.path.rstrip("/")
        return _name(item) if item.path == root or not is_under(item.path, root) else item.path[len(root) :].lstrip("/")


class _CheckedFile:
    """A file that an object's bytes are written to, checked against its checksum as they come; it appears whole.

    Its name until then is its own: a transfer that ended badly may still be writing when the next one has begun.
    """

    def __init__(self, path: Path, check: Check) -> None:
        self._path = path
        self._partial = path.with_name(f".{token_hex(8)}{TEMPORARY}")
        self._check = check
        with self._writing():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._partial.open("xb")

    def write(self, data: bytes) -> None:
        self._check.write(data)
        with self._writing():
            self._file.write(data)

    def end(self) -> None:
        self._check.finish()
        with self._writing():
            self._file.close()
            os.replace(self._partial, self._path)

    def drop(self) -> None:
        with suppress(OSError):
            self._file.close()
        with suppress(OSError):
            self._partial.unlink()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise cannot_write(self._path, error) from error


def _name(item: Object) -> str:
    return item.path.rpartition("/")[2]
