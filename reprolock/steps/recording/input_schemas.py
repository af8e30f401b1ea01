"""Add each input's columns and row count to the record: read while the command runs, at the commit, without a JVM."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from reprolock.lake.protocol import Lake
from reprolock.lake.s3_gateway import Gateway
from reprolock.lake.table_schema import MOST_FILES, DataObject, read_shape
from reprolock.model.lock import DatasetPin
from reprolock.model.record import DatasetRecord, Record
from reprolock.readers.files import is_hidden
from reprolock.steps.locking.datasets import listing


def with_shapes(record: Record, pins: tuple[DatasetPin, ...], lake: Lake | None, gateway: Gateway | None) -> Record:
    """`gateway` is a lakeFS server's S3 side. What cannot be read is left out: the command will say why."""
    by_name = {pin.name: pin for pin in pins}
    datasets = tuple(_add_schema(dataset, by_name[dataset.name], lake, gateway) for dataset in record.datasets)
    return record.replaced({"datasets": datasets})


def _add_schema(dataset: DatasetRecord, pin: DatasetPin, lake: Lake | None, gateway: Gateway | None) -> DatasetRecord:
    """The record with what was found out. Decoration ends no run: whatever is met, the columns are not known then."""
    try:
        if not dataset.url.startswith("s3a://"):
            shape = read_shape(dataset.url, dataset.format, dataset.options)
        elif lake is None:
            return dataset
        else:
            # Delta's log names its own files.
            objects = [] if dataset.format == "delta" else list(islice(_objects(pin, lake), MOST_FILES + 1))
            shape = read_shape(dataset.url, dataset.format, dataset.options, objects=objects, gateway=gateway)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:  # readers raise what they like; the panics of those in Rust are no Exception
        return dataset
    return dataset.replaced(shape._asdict())


def _objects(pin: DatasetPin, lake: Lake) -> Iterator[DataObject]:
    """Those that Spark does not pass over, relative to the dataset's address."""
    for item in listing(lake, pin.place, pin.glob, few=True):
        name = item.path.removeprefix(pin.place.path).removeprefix("/")
        if not is_hidden(*name.split("/")):
            yield DataObject(name, item.size)
