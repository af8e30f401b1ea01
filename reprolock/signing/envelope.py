"""DSSE envelopes: one statement, one signature, one line of JSON. Bytes and a key in, a line out; and back.

A line has one form only: what is not byte for byte as `seal` writes it is refused, so that a change of what no
signature covers (blanks, the order of fields, the ends of base64) is found as well.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import UnverifiedSignatureError, VerificationError
from securesystemslib.signer import Signature

from reprolock.signing.keys import PublicKey, SigningKey

PAYLOAD_TYPE = "application/vnd.in-toto+json"


class Signed(NamedTuple):
    """One line taken apart; nothing of it is verified. `token`: the answer of a time-stamping authority to the signature, DER.
    `bundle`: what sigstore says of a signature by an identity."""

    payload: bytes
    key_id: str
    signature: bytes
    token: bytes | None
    bundle: Mapping[str, Any] | None = None


def seal(payload: bytes, key: SigningKey, stamp: Callable[[bytes], bytes] | None = None) -> bytes:
    """The envelope over a payload, as a line without its end. `stamp` gets a time stamp for the signature."""
    made = key.sign(_envelope(payload).pae())
    signature = bytes.fromhex(made.signature)
    token = stamp(signature) if stamp else None
    return _line(Signed(payload, key.public.id, signature, token, made.unrecognized_fields.get("bundle")))


def open_line(line: bytes) -> Signed:
    """Take a line apart. ValueError says what is wrong with it."""
    try:
        document: Any = json.loads(line)
        if document["payloadType"] != PAYLOAD_TYPE:
            raise ValueError(f"its payload is of the type {document['payloadType']!r:.60}")
        if len(document["signatures"]) != 1:
            raise ValueError("it does not have exactly one signature")
        signature = document["signatures"][0]
        token = base64.b64decode(document["timestamp"], validate=True) if "timestamp" in document else None
        found = Signed(
            base64.b64decode(document["payload"], validate=True),
            str(signature["keyid"]),
            base64.b64decode(signature["sig"], validate=True),
            token,
            signature.get("bundle"),
        )
    except (KeyError, TypeError, AttributeError, UnicodeDecodeError, RecursionError, binascii.Error) as error:
        raise ValueError("it is not a DSSE envelope with one signature") from error
    except json.JSONDecodeError as error:
        raise ValueError("it is not JSON") from error
    if _line(found) != line:
        raise ValueError("it is not written as reprolock writes it")
    return found


def is_signed_by(signed: Signed, key: PublicKey) -> bool:
    """Whether the signature is that key's over this payload."""
    envelope = _envelope(signed.payload)
    envelope.signatures[key.id] = Signature(key.id, signed.signature.hex(), {"bundle": signed.bundle})
    try:
        envelope.verify([key.key], 1)
    except (VerificationError, UnverifiedSignatureError):
        return False
    return True


def _envelope(payload: bytes) -> Envelope:
    return Envelope(payload, PAYLOAD_TYPE, {})


def _line(signed: Signed) -> bytes:
    signature: dict[str, Any] = {"keyid": signed.key_id, "sig": _text(signed.signature)}
    if signed.bundle is not None:
        signature["bundle"] = signed.bundle
    document: dict[str, Any] = {
        "payload": _text(signed.payload),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [signature],
    }
    if signed.token is not None:
        document["timestamp"] = _text(signed.token)
    return json.dumps(document, separators=(",", ":")).encode()


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
