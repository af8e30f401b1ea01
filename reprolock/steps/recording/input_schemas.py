"""Add each input's columns and row count to the record: read while the command runs, at the commit, without a JVM."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from reprolock.lake.protocol import Lake
from reprolock.lake.table_schema import MOST_FOOTERS, Gateway, passed_over, read_shape
from reprolock.model.lock import DatasetPin
from reprolock.model.record import DatasetRecord, Record
from reprolock.steps.locking.datasets import listing


def with_shapes(record: Record, pins: tuple[DatasetPin, ...], lake: Lake | None, gateway: Gateway | None) -> Record:
    """`gateway` is a lakeFS server's S3 side. What cannot be read is left out: the command will say why."""
    by_name = {pin.name: pin for pin in pins}
    datasets = tuple(_add_schema(dataset, by_name[dataset.name], lake, gateway) for dataset in record.datasets)
    return record.replaced({"datasets": datasets})


def _add_schema(dataset: DatasetRecord, pin: DatasetPin, lake: Lake | None, gateway: Gateway | None) -> DatasetRecord:
    """The record with what was found out. Decoration ends no run: whatever is met, the columns are not known then."""
    try:
        if dataset.url.startswith("s3a://"):
            if lake is None:
                return dataset
            # Of formats with footers alone more than one file is looked into; Delta's log names its own.
            most = {"delta": 0, "parquet": MOST_FOOTERS + 1, "orc": MOST_FOOTERS + 1}.get(dataset.format, 1)
            files = list(islice(_data_objects(pin, lake), most))
            shape = read_shape(dataset.url, dataset.format, dataset.options, files=files, gateway=gateway)
        else:
            shape = read_shape(dataset.url, dataset.format, dataset.options)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:  # readers raise what they like; the panics of those in Rust are no Exception
        return dataset
    return dataset.replaced(shape._asdict())


def _data_objects(pin: DatasetPin, lake: Lake) -> Iterator[str]:
    """Addresses of the objects that Spark would read."""
    place = pin.place
    for item in listing(lake, place, pin.glob, few=True):
        address = lake.address(place._replace(path=item.path))
        if item.size and address is not None and not passed_over(item.path.removeprefix(place.path)):
            yield address
