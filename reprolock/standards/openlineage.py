"""A record as OpenLineage run events: START, and how it ended, one JSON document a line.

A dataset is named `lakefs://REPO` and its path, its version is the commit; a symlink names it as Spark's
own listener does (`s3://REPO`, `COMMIT/PATH`), so that both meet in a catalogue. Spec: openlineage.io, RunEvent 2.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime

from openlineage.client import OpenLineageClient
from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent
from openlineage.client.facet_v2 import (
    DatasetFacet,
    JobFacet,
    RunFacet,
    dataset_version_dataset,
    error_message_run,
    job_type_job,
    output_statistics_output_dataset,
    processing_engine_run,
    schema_dataset,
    set_producer,
    source_code_location_job,
    symlinks_dataset,
    tags_run,
)
from openlineage.client.generated.base import EventType
from openlineage.client.serde import Serde
from openlineage.client.transport import Transport

from reprolock.model.record import DatasetRecord, OutputRecord, Record, run_uuid
from reprolock.model.uri import LakeURI

PRODUCER = "urn:reprolock"
"""The producer named in every event and facet; the library would name itself."""
set_producer(PRODUCER)

_ENDINGS = {"FINISHED": EventType.COMPLETE, "FAILED": EventType.FAIL, "KILLED": EventType.ABORT}


def events(record: Record) -> str:
    """One line an event. A run that has not ended has its START alone."""
    found = [_event(record, EventType.START, record.started)]
    if record.ended is not None and record.status in _ENDINGS:
        found.append(_event(record, _ENDINGS[record.status], record.ended))
    return "".join(f"{json.dumps(json.loads(Serde.to_json(event)), sort_keys=True)}\n" for event in found)


def sender(url: str | None) -> Transport:
    """Where OpenLineage's own settings (OPENLINEAGE_*, openlineage.yml) send events; `url` instead of theirs.

    Of those settings the key, OPENLINEAGE_API_KEY, goes with `url` too.
    """
    key = os.environ.get("OPENLINEAGE_API_KEY")
    auth = {"auth": {"type": "api_key", "apiKey": key}} if key else {}
    config = {"transport": {"type": "http", "url": url, **auth}} if url else None
    with _environment_kept():
        return OpenLineageClient(config=config).transport


@contextmanager
def _environment_kept() -> Iterator[None]:
    """The client copies address and key into variables of other names, which every later process would be given."""
    before = dict(os.environ)
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]


def send(record: Record, seen: Iterable[str], transport: Transport) -> None:
    """Send the run's START, what Spark's listener wrote (a line an event), and the run's end, in this order.

    What goes wrong has no common class: it is the transport's.
    """
    start, *end = events(record).splitlines()
    for line in (start, *seen, *end):
        transport.emit(json.loads(line))  # what a transport takes, it writes as JSON: a dict is as good as an event
    transport.close()


def _event(record: Record, kind: EventType, time: datetime) -> RunEvent:
    written = [] if kind is EventType.START else [_output(item) for item in record.outputs if item.digest]
    return RunEvent(
        eventType=kind,
        eventTime=time.isoformat(),
        producer=PRODUCER,
        run=Run(run_uuid(record.run_id), _run_facets(record, kind)),
        job=Job("reprolock", record.project, _job_facets(record)),
        inputs=[_input(item) for item in record.datasets],
        outputs=written,
    )


def _run_facets(record: Record, kind: EventType) -> dict[str, RunFacet]:
    tags = {"pinned": record.pinned.total, "observed": record.observed.total, "replay_of": record.replay_of or ""}
    fields = [
        tags_run.TagsRunFacetFields(key=f"reprolock.{name}", value=value, source="reprolock")
        for name, value in tags.items()
        if value
    ]
    facets: dict[str, RunFacet] = {"tags": tags_run.TagsRunFacet(tags=fields)}
    if record.spark:
        facets["processing_engine"] = processing_engine_run.ProcessingEngineRunFacet(
            version=record.spark.version, name="spark"
        )
    if kind in (EventType.FAIL, EventType.ABORT) and record.ending:
        facets["errorMessage"] = error_message_run.ErrorMessageRunFacet(
            message=record.ending.reason, programmingLanguage="python"
        )
    return facets


def _job_facets(record: Record) -> dict[str, JobFacet]:
    facets: dict[str, JobFacet] = {
        "jobType": job_type_job.JobTypeJobFacet(processingType="BATCH", integration="REPROLOCK", jobType="COMMAND")
    }
    code = record.code
    if code.remote and code.remote.startswith(("https://", "http://", "ssh://")):
        facets["sourceCodeLocation"] = source_code_location_job.SourceCodeLocationJobFacet(
            type="git", url=code.remote, repoUrl=code.remote, version=code.commit, branch=code.branch
        )
    return facets


def _input(item: DatasetRecord) -> InputDataset:
    place = LakeURI.parse(item.resolved)
    link = symlinks_dataset.Identifier(
        namespace=f"s3://{place.repository}", name=f"{item.commit}/{place.path}".rstrip("/"), type="LOCATION"
    )
    facets: dict[str, DatasetFacet] = {
        "version": dataset_version_dataset.DatasetVersionDatasetFacet(datasetVersion=item.commit),
        "symlinks": symlinks_dataset.SymlinksDatasetFacet(identifiers=[link]),
    }
    if item.columns is not None:
        fields = [
            schema_dataset.SchemaDatasetFacetFields(name=str(column.get("name")), type=_type(column.get("type")))
            for column in item.columns
        ]
        facets["schema"] = schema_dataset.SchemaDatasetFacet(fields=fields)
    return InputDataset(namespace=f"lakefs://{place.repository}", name=place.path.rstrip("/") or "/", facets=facets)


def _type(spark: object) -> str:
    return spark if isinstance(spark, str) else json.dumps(spark, sort_keys=True)


def _output(item: OutputRecord) -> OutputDataset:
    digest = item.decisive or ""
    statistics = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
        rowCount=item.table.rows if item.table else None, size=item.bytes, fileCount=item.files
    )
    return OutputDataset(
        namespace="file",
        name=item.path,
        facets={"version": dataset_version_dataset.DatasetVersionDatasetFacet(datasetVersion=digest)},
        outputFacets={"outputStatistics": statistics},
    )
