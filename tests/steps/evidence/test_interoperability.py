"""Our envelopes, statements and outputs, read by others: cosign, in-toto's own parser, SLSA's own schema, model-signing."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import services
from evidence import Case
from google.protobuf import json_format
from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement
from other_versions import environment

import reprolock
import reprolock.steps.evidence.attestations as attestations
from reprolock.steps.replaying.replay import ReplayOptions

COSIGN_ABSENT = "no `cosign` on PATH: `go install github.com/sigstore/cosign/v2/cmd/cosign@latest` gets it"


def payloads(case: Case) -> list[dict[str, Any]]:
    lines = attestations.read_lines(case.artifacts)
    return [json.loads(base64.b64decode(json.loads(line)["payload"])) for line in lines]


def test_cosign(case: Case, tmp_path: Path) -> None:
    if reason := services.missing("cosign", "cosign", COSIGN_ABSENT):
        pytest.skip(reason)
    services.used["cosign"] = ""
    checks = [
        (0, "ci", "urn:reprolock:intent:v1", "repro.toml"),
        (0, "ci", "urn:reprolock:intent:v1", "code.tar.gz"),
        (1, "ci", "slsaprovenance1", "record.json"),
        (2, "auditor", "urn:reprolock:verdict:v1", "record.json"),
    ]
    lines = attestations.read_lines(case.artifacts)
    for number, key, kind, name in checks:
        assert cosign(case, lines[number], key, kind, case.artifacts / name, tmp_path) == 0, (number, name)
    assert cosign(case, lines[0], "stranger", "urn:reprolock:intent:v1", case.artifacts / "repro.toml", tmp_path) != 0
    assert cosign(case, lines[0], "ci", "urn:reprolock:intent:v1", case.artifacts / "record.json", tmp_path) != 0
    report = tmp_path / "report.txt"  # a declared output of one file: its subject is plain SHA-256
    shutil.copy(case.project / "out" / "report.txt", report)
    assert cosign(case, lines[1], "ci", "slsaprovenance1", report, tmp_path) == 0


def cosign(case: Case, line: bytes, key: str, kind: str, blob: Path, place: Path) -> int:
    (place / "envelope.json").write_bytes(line)
    return subprocess.run(
        ["cosign", "verify-blob-attestation", "--key", case.keys / f"{key}.pem.pub", "--type", kind,
         "--signature", place / "envelope.json", "--insecure-ignore-tlog", blob],
        capture_output=True, env={"PATH": "/usr/bin:/bin:" + str(Path(shutil.which("cosign") or "").parent), "HOME": str(place)},
    ).returncode  # fmt: skip


def test_in_toto_reads_every_statement(case: Case) -> None:
    found = payloads(case)
    assert [document["predicateType"] for document in found] == [
        "urn:reprolock:intent:v1",
        "https://slsa.dev/provenance/v1",
        "urn:reprolock:verdict:v1",
        "urn:reprolock:review:v1",
    ]
    for document in found:
        Statement.copy_from_pb(json_format.ParseDict(document, statement_pb2.Statement())).validate()


def test_slsa_reads_the_run(case: Case) -> None:
    """An unknown field, or one of another type, makes the parser of SLSA's own schema fail."""
    found = json_format.ParseDict(payloads(case)[1]["predicate"], provenance_pb2.Provenance())
    assert found.build_definition.build_type == "urn:reprolock:run:v1"
    assert found.run_details.metadata.invocation_id == f"urn:reprolock:run:{case.record.run_id}"
    assert found.run_details.metadata.finished_on.ToSeconds() == int(case.record.ended.timestamp())  # type: ignore[union-attr]
    assert [item.name for item in found.build_definition.resolved_dependencies] == ["datasets/train", "code"]


def test_a_model_that_is_signed_elsewhere_verifies_as_it_was_replayed(case: Case, tmp_path: Path) -> None:
    """By model-signing, with our keys: the author signs what the run left, and a replay leaves the same bytes."""
    programs = environment("model-signing", "pyopenssl")

    def model_signing(command: str, folder: Path, *options: object) -> int:
        argv = [programs / "model_signing", command, "key", "--signature", tmp_path / "model.sig", *options, folder]
        return subprocess.run(
            argv, capture_output=True, env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
        ).returncode

    assert model_signing("sign", case.project / "out", "--private_key", case.keys / "ci.pem") == 0
    options = ReplayOptions(tracking_uri=case.tracking)
    again = reprolock.replay(case.project, case.record.run_id, options, machine=case.machine()).folder / "out"
    public = ("--public_key", case.keys / "ci.pem.pub")
    assert again != case.project / "out"
    assert model_signing("verify", again, *public) == 0
    (again / "report.txt").write_text("3 rows more")
    assert model_signing("verify", again, *public) != 0
