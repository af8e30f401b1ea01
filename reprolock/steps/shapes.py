"""The record with each input's columns: read beside the command, at the commit, without a JVM."""

from __future__ import annotations

from posixpath import basename

from reprolock.errors import ReprolockError
from reprolock.lake.protocol import Lake
from reprolock.model.lock import DatasetPin
from reprolock.model.record import DatasetRecord, Record
from reprolock.steps.resolve import listing
from reprolock.tracker.columns import Gateway, read_shape


def with_shapes(record: Record, pins: tuple[DatasetPin, ...], lake: Lake | None, gateway: Gateway | None) -> Record:
    """`gateway` is a lakeFS server's S3 side. Columns that cannot be read are left out: the command will say why."""
    if lake is None:
        return record
    by_name = {pin.name: pin for pin in pins}
    datasets = tuple(_shaped(dataset, by_name[dataset.name], lake, gateway) for dataset in record.datasets)
    return record.model_copy(update={"datasets": datasets})


def _shaped(dataset: DatasetRecord, pin: DatasetPin, lake: Lake, gateway: Gateway | None) -> DatasetRecord:
    try:
        in_place = dataset.url.startswith("s3a://")
        sample = _first_data_object(pin, lake) if in_place and dataset.format != "delta" else None
        shape = read_shape(dataset.url, dataset.format, dataset.options, sample=sample, gateway=gateway if in_place else None)
    except ReprolockError:
        return dataset
    return dataset.model_copy(update={"columns": shape.columns, "table_version": shape.table_version})


def _first_data_object(pin: DatasetPin, lake: Lake) -> str | None:
    """Spark passes over names that start with "_" or "."."""
    place = pin.place
    for item in listing(lake, place, pin.glob):
        if item.size and not basename(item.path).startswith(("_", ".")):
            return lake.address(place._replace(path=item.path))
    return None
