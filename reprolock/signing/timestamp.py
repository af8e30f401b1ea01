"""RFC 3161 time stamps: asked of an authority, and verified with its root certificate alone."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import urllib3
from cryptography.x509 import Certificate as Certificate  # a name of this edge: others import it from here
from cryptography.x509 import load_pem_x509_certificates
from rfc3161_client import (
    HashAlgorithm,
    TimestampRequestBuilder,
    TimeStampResponse,
    VerificationError,
    VerifierBuilder,
    decode_timestamp_response,
)

from reprolock.errors import MachineError, ServiceError, UsageError
from reprolock.lake.proxies import proxy_for

_SECONDS = 10.0
_LARGEST = 1 << 20
_BEHIND = timedelta(seconds=2)
"""How far this machine's clock may be behind the authority's: a run would else seem to end before its rules were stamped."""
_AHEAD = timedelta(minutes=1)
"""And how far before it: a run would else seem to end after its result was stamped."""


def request_token(address: str, data: bytes, environ: Mapping[str, str], now: datetime) -> bytes:
    """The authority's answer (DER) that `data` existed at its time. ServiceError where it gives none; MachineError where
    this machine's clock, `now` in UTC, is behind it, or far ahead."""
    request = TimestampRequestBuilder().data(data).hash_algorithm(HashAlgorithm.SHA256).build()
    answer = _post(address, request.as_bytes(), environ)
    try:
        response = decode_timestamp_response(answer)
        info = response.tst_info
        fits = info.message_imprint.message == hashlib.sha256(data).digest() and info.nonce == request.nonce
    except ValueError:
        raise _no_token(address, "its answer is not a time stamp") from None
    if response.status != 0 or not fits:
        raise _no_token(address, "it refused, or stamped something else")
    behind = time_of(response) - now
    if behind > _BEHIND or behind < -_AHEAD:
        raise MachineError(
            f"this machine's clock is {abs(behind.total_seconds()):.0f} s {'behind' if behind > _BEHIND else 'ahead of'} that of {address} (evidence.timestamp)",
            hint="set the clock right (NTP): a time stamp is evidence only when this clock is right",
        )
    return answer


def verify_token(token: bytes, data: bytes, roots: Sequence[Certificate]) -> datetime:
    """The time, UTC, at which one of the authorities stamped `data`. ValueError where none of them did."""
    try:
        response = decode_timestamp_response(token)
        VerifierBuilder(roots=list(roots)).build().verify_message(response, data)
    except (ValueError, VerificationError) as error:
        raise ValueError(str(error)) from None
    return time_of(response)


def read_certificates(data: bytes, where: str) -> list[Certificate]:
    """The certificates in a PEM text. UsageError names `where` it stands."""
    try:
        return load_pem_x509_certificates(data)
    except ValueError as error:
        raise UsageError(
            f"{where} holds no certificate in PEM form", hint="name the authority's root certificate"
        ) from error


def time_of(response: TimeStampResponse) -> datetime:
    """The time that the authority states, UTC; not verified."""
    time: datetime = response.tst_info.gen_time
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)


def _post(address: str, body: bytes, environ: Mapping[str, str]) -> bytes:
    proxy = proxy_for(address, environ)
    pool: urllib3.PoolManager = urllib3.ProxyManager(proxy) if proxy else urllib3.PoolManager()
    headers = {"Content-Type": "application/timestamp-query", "Accept": "application/timestamp-reply"}
    try:
        answer = pool.request(
            "POST", address, body=body, headers=headers, timeout=_SECONDS, retries=2, preload_content=False
        )
        data = answer.read(_LARGEST)
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise _no_token(address, type(error).__name__) from error
    finally:
        pool.clear()
    if answer.status != 200:
        raise _no_token(address, f"it answered {answer.status}")
    return bytes(data)


def _no_token(address: str, why: str) -> ServiceError:
    return ServiceError(
        f"no time stamp from {address} (evidence.timestamp): {why}",
        hint="check the address; without `timestamp` in [evidence], time is the signer's word",
    )
