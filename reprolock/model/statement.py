"""Statements about a run, as in-toto Statements v1: who says what of which bytes. Pure: no keys, no files, no clock.

Each statement names the line before it by its SHA-256 (`previous`), so that their order is signed too; two that were made at
the same time on two machines may name the same one. `signer` repeats the key, which an envelope itself leaves unsigned.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar, NamedTuple

from pydantic import Field, Strict, TypeAdapter

from reprolock.model.record import Digests
from reprolock.model.value import Value
from reprolock.model.verdict import Verdict

STATEMENT = "https://in-toto.io/Statement/v1"
PROVENANCE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "urn:reprolock:run:v1"


class Link(Value):
    """What every statement says of itself."""

    run: str = Field(description="ID of the run that the statement is about.")
    created: datetime = Field(description="When it was signed, UTC, by the signer's clock.")
    signer: str = Field(description="Key ID of the signer: SHA-256 of the public key's DER form.")
    previous: str | None = Field(description="SHA-256 of the statement's line before it; None: it is the first.")
    reprolock: str = Field(description="Version of reprolock.")


class Intent(Link):
    """Before the command starts: what will run, and how its results will be compared."""

    TYPE: ClassVar[str] = "urn:reprolock:intent:v1"

    project: str = Field(description="project.name in repro.toml.")
    pinned: Digests = Field(description="What the lock and the spec say, by section.")
    rules: dict[str, dict[str, Any]] = Field(description="How a replay compares, as record.json repeats it.")


class Host(Value):
    """The machine of a replay."""

    platform: str = Field(description="Operating system and processor.")
    python: str = Field(description="Exact version of the command's Python.")
    java: str | None = Field(None, description="Exact version and vendor of Java; None where Spark is not used.")
    cores: int | None = Field(None, description="Cores that the command may use.")


class ReplayVerdict(Link):
    """After a replay: whether it gave the same result."""

    TYPE: ClassVar[str] = "urn:reprolock:verdict:v1"

    replay: str = Field(description="ID of the replay's own run.")
    verdict: Verdict = Field(description="The kind, every comparison, and what was not locked.")
    observed: Digests = Field(description="What was found on the machine of the replay, by section.")
    host: Host = Field(description="That machine.")


class Review(Link):
    """A person's word on all that stands before it (21 CFR 11.50: name, time, meaning)."""

    TYPE: ClassVar[str] = "urn:reprolock:review:v1"

    name: str = Field(min_length=1, max_length=200, description="The signer's name, as the signer gives it.")
    meaning: str = Field(min_length=1, max_length=200, description="What the signature means, such as approved.")
    comment: str | None = Field(None, max_length=2000, description="What else the signer says.")


class HeldCommit(Value):
    """A pinned commit that a branch of the lake keeps."""

    repository: str
    commit: str
    branch: str
    until: datetime


class Hold(Link):
    """Pinned commits that are held in the lake."""

    TYPE: ClassVar[str] = "urn:reprolock:hold:v1"

    held: Annotated[tuple[HeldCommit, ...], Strict(False)]
    reason: str | None = None


Predicate = Intent | ReplayVerdict | Review | Hold


class Statement(NamedTuple):
    """A statement that was read. `subjects` is name → algorithm → hex; `predicate` None: SLSA provenance, which is `document`."""

    subjects: Mapping[str, Mapping[str, str]]
    link: Link
    predicate: Predicate | None
    document: Mapping[str, Any]


_PREDICATES: dict[str, TypeAdapter[Any]] = {
    kind.TYPE: TypeAdapter(kind) for kind in (Intent, ReplayVerdict, Review, Hold)
}


def statement(subjects: Mapping[str, Mapping[str, str]], predicate: Predicate) -> bytes:
    """The statement's bytes, as they are signed."""
    return encode(subjects, predicate.TYPE, predicate.model_dump(mode="json"))


def encode(subjects: Mapping[str, Mapping[str, str]], kind: str, predicate: Mapping[str, Any]) -> bytes:
    """An in-toto Statement v1 as JSON."""
    document = {
        "_type": STATEMENT,
        "subject": [{"name": name, "digest": dict(digest)} for name, digest in subjects.items()],
        "predicateType": kind,
        "predicate": predicate,
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def parse(payload: bytes) -> Statement:
    """Read a signed statement. ValueError says what is wrong with it; pydantic's is one."""
    try:
        document = json.loads(payload)
        if document["_type"] != STATEMENT:
            raise ValueError("it is not an in-toto Statement v1")
        subjects = {subject["name"]: dict(subject["digest"]) for subject in document["subject"]}
        if len(subjects) != len(document["subject"]):
            raise ValueError("it names a subject twice")
        kind, predicate = document["predicateType"], document["predicate"]
        if encode(subjects, kind, predicate) != payload:  # a key that stands twice is read otherwise elsewhere
            raise ValueError("its payload is not written as reprolock writes it")
        if kind == PROVENANCE:
            link = Link.model_validate_json(json.dumps(predicate["buildDefinition"]["internalParameters"]["reprolock"]))
            return Statement(subjects, link, None, document)
        if kind not in _PREDICATES:
            raise ValueError("it is a statement of a kind that this reprolock does not know")
        found: Predicate = _PREDICATES[kind].validate_json(json.dumps(predicate))
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError("it is not an in-toto Statement v1") from error
    return Statement(subjects, found, found, document)
