"""Folders that name partitions (`day=1/`) and of which a glob leaves out all files: Spark types columns by them where it reads
the lake, and not where it reads a tree of the files that match. A dataset that would be read in two ways is refused."""

from __future__ import annotations

from collections.abc import Iterator

from reprolock.errors import UsageError
from reprolock.lake.protocol import Object
from reprolock.model.glob import matches
from reprolock.model.spec import DatasetSpec
from reprolock.model.uri import LakeURI
from reprolock.readers.files import is_hidden
from reprolock.readers.partition_types import partition_of, partition_type


class Folders:
    """The folders of a dataset's files, filled as its listing goes by."""

    def __init__(self, dataset: DatasetSpec, place: LakeURI) -> None:
        self._glob = dataset.glob
        self._begin = len(place.path.rstrip("/")) + 1 if place.path.rstrip("/") else 0
        options = {name.lower(): value for name, value in dataset.options.items()}
        everywhere = str(options.get("recursivefilelookup", "")).lower() == "true"
        self._counts = self._glob is not None and not everywhere and dataset.format != "delta"
        self._read: set[tuple[str, ...]] = set()
        self._left_out: set[tuple[str, ...]] = set()

    def matching(self, objects: Iterator[Object]) -> Iterator[Object]:
        """Those of the objects that the glob matches; the folders of all are noted."""
        for item in objects:
            found = matches(item.path, self._glob)
            if self._counts:
                *folders, name = item.path[self._begin :].split("/")
                if folders and not is_hidden(*folders, name):
                    (self._read if found else self._left_out).add(tuple(folders))
            if found:
                yield item

    def check(self, name: str) -> None:
        """UsageError where the folders without a match change the columns that the others name, or their types."""
        read = [values for folders in self._read if (values := dict(partition_of(folders)))]
        left_out = {
            folders: values
            for folders in sorted(self._left_out - self._read)
            if (values := dict(partition_of(folders)))
        }
        for folders, values in left_out.items():
            if not read:
                raise self._refusal(name, "for which Spark, in the lake, reads no file beside them", folders)
            if read and list(values) != list(read[0]):
                raise self._refusal(name, f"whose columns are not {', '.join(read[0])}", folders)
        for column in read[0] if read else ():
            known = [values[column] for values in read if column in values]
            kind = partition_type(known)
            if partition_type([*known, *(values[column] for values in left_out.values())]) != kind:
                odd = [
                    folders for folders, values in left_out.items() if partition_type([*known, values[column]]) != kind
                ]
                raise self._refusal(name, f"by which Spark, in the lake, types the column {column} otherwise", odd[0])

    def _refusal(self, name: str, what: str, folders: tuple[str, ...]) -> UsageError:
        return UsageError(
            f'datasets.{name}.glob: "{self._glob}" leaves out all of {"/".join(folders)}/, {what}',
            hint="move that folder out of the dataset, or write options = { recursiveFileLookup = true } to read no columns from folders",
        )
