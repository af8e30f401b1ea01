"""A line of attestations.jsonl has one form: whatever is changed in it is found, also what no signature covers."""

from __future__ import annotations

import json

import pytest

from reprolock.signing.envelope import is_signed_by, open_line, seal
from reprolock.signing.keys import SigningKey, new_key, open_key


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> SigningKey:
    path = tmp_path_factory.mktemp("key") / "a.pem"
    new_key(path, "ed25519")
    found = open_key({"REPROLOCK_SIGNING_KEY": str(path)})
    assert found is not None
    return found


def test_every_byte_counts(key: SigningKey) -> None:
    line = seal(b'{"a":1}', key)
    for position in range(len(line)):
        for flipped in (line[position] ^ 1, line[position] ^ 32):
            changed = line[:position] + bytes([flipped]) + line[position + 1 :]
            try:
                found = open_line(changed)
            except ValueError:
                continue
            assert found.key_id != key.public.id or not is_signed_by(found, key.public), changed


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"", "it is not JSON"),
        (b"\xff", "it is not a DSSE envelope with one signature"),
        (b"[]", "it is not a DSSE envelope with one signature"),
        (b"[" * 100_000, "it is not a DSSE envelope with one signature"),
        (b'{"payload":"","payloadType":"text","signatures":[]}', "its payload is of the type 'text'"),
        (
            b'{"payload":"","payloadType":"application/vnd.in-toto+json","signatures":[]}',
            "it does not have exactly one signature",
        ),
    ],
)
def test_what_is_no_line(line: bytes, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        open_line(line)
    assert str(caught.value) == message


def test_another_way_of_writing_it(key: SigningKey) -> None:
    line = seal(b"{}", key)
    for other in (json.dumps(json.loads(line)).encode(), line + b" ", line.replace(b'"sig"', b'"x":1,"sig"')):
        with pytest.raises(ValueError, match="it is not written as reprolock writes it"):
            open_line(other)
