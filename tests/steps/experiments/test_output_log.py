"""What a run of a sweep printed, in a file and without secrets."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reprolock.files.secrets import Scanner
from reprolock.steps.experiments.output_log import output_kept_in

SECRET = "s3cr3t-t0ken-\u00fc-of-mine"


@pytest.mark.parametrize("at", [0, 5, (1 << 20) - 5, (1 << 20) - 14, (1 << 20) - 1, 1 << 20, (2 << 20) - 7])
def test_a_secret_on_the_border_of_what_is_read_at_once(tmp_path: Path, at: int) -> None:
    log = tmp_path / "1.log"
    line = b"x" * at + SECRET.encode() + b"y" * (3 << 20)
    with output_kept_in(log, Scanner({"TOKEN": SECRET}).redact) as output:
        written = 0
        while written < len(line):
            written += os.write(output, line[written : written + (1 << 16)])
    found = log.read_bytes()
    assert found.startswith(b"x" * at + b"***") and found.endswith(b"y" * (3 << 20))
    assert SECRET.encode() not in found and len(found) == at + 3 + (3 << 20)
