"""A sigstore instance of its own: Fulcio (a CA with a CT log's key) and Rekor (a log of one entry) behind a loopback address.

The certificate is for the `sub` and `iss` of the identity token, which nobody checks here. What it answers is verified by
sigstore's own client, when signing and when verifying.
"""

from __future__ import annotations

import base64
import hashlib
import json
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import rfc8785
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_ISSUER = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
_SCTS = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
_SINCE = {"start": "2020-01-01T00:00:00Z"}


class Sigstore(NamedTuple):
    """Its trusted root, for auditors, and its client trust configuration, for signers."""

    root: Path
    config: Path


def token(identity: str, issuer: str) -> str:
    """An identity token as a CI service gives it, signed by nobody."""
    now = int(time.time())
    claims = {"aud": "sigstore", "sub": identity, "iss": issuer, "iat": now, "exp": now + 600}
    parts = [json.dumps(part).encode() for part in ({"alg": "HS256", "typ": "JWT"}, claims)] + [b"none"]
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


@contextmanager
def sigstore(folder: Path) -> Iterator[Sigstore]:
    """Make keys and files, and answer requests until the end."""
    folder.mkdir(parents=True, exist_ok=True)
    ca, ct, rekor = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
    root = _root_certificate(ca)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path == "/api/v2/signingCert":
                leaf = _leaf(json.loads(asked), self.headers["Authorization"], root, ca, ct)
                chain = [each.public_bytes(Encoding.PEM).decode() for each in (leaf, root)]
                answer: dict[str, Any] = {"signedCertificateEmbeddedSct": {"chain": {"certificates": chain}}}
            else:
                answer = {"0" * 64: _entry(asked, rekor)}
            self.send_response(201)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *_: object) -> None:
            """Nothing is printed."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield _files(folder, f"http://127.0.0.1:{server.server_port}", root, ct, rekor)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _files(
    folder: Path,
    address: str,
    root: x509.Certificate,
    ct: ec.EllipticCurvePrivateKey,
    rekor: ec.EllipticCurvePrivateKey,
) -> Sigstore:
    trusted = {
        "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
        "tlogs": [_log(address, rekor)],
        "ctlogs": [_log(address, ct)],
        "certificateAuthorities": [
            {
                "subject": {"organization": "test", "commonName": "test"},
                "uri": address,
                "certChain": {"certificates": [{"rawBytes": _text(root.public_bytes(Encoding.DER))}]},
                "validFor": _SINCE,
            }
        ],
    }
    service = [{"url": address, "majorApiVersion": 1, "validFor": _SINCE, "operator": "test"}]
    signing = {
        "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
        "caUrls": service,
        "oidcUrls": service,
        "rekorTlogUrls": service,
        "rekorTlogConfig": {"selector": "ANY"},
        "tsaUrls": [],
        "tsaConfig": {"selector": "ANY"},
    }
    kind = "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json"
    (folder / "trusted_root.json").write_text(json.dumps(trusted))
    (folder / "config.json").write_text(
        json.dumps({"mediaType": kind, "trustedRoot": trusted, "signingConfig": signing})
    )
    return Sigstore(folder / "trusted_root.json", folder / "config.json")


def _log(address: str, key: ec.EllipticCurvePrivateKey) -> dict[str, Any]:
    public = {"rawBytes": _text(_der(key)), "keyDetails": "PKIX_ECDSA_P256_SHA_256", "validFor": _SINCE}
    return {"baseUrl": address, "hashAlgorithm": "SHA2_256", "publicKey": public, "logId": {"keyId": _text(_id(key))}}


def _root_certificate(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .add_extension(usage, True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .sign(key, hashes.SHA256())
    )


def _leaf(
    asked: dict[str, str],
    authorization: str,
    root: x509.Certificate,
    ca: ec.EllipticCurvePrivateKey,
    ct: ec.EllipticCurvePrivateKey,
) -> x509.Certificate:
    request = x509.load_pem_x509_csr(base64.b64decode(asked["certificateSigningRequest"]))
    claims = json.loads(base64.urlsafe_b64decode(authorization.split(".")[1] + "=="))
    usage = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(root.subject)
        .public_key(request.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(minutes=10))
        .add_extension(usage, True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.public_key()), False)
        .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(claims["sub"])]), True)
        .add_extension(x509.UnrecognizedExtension(_ISSUER, claims["iss"].encode()), False)
    )
    before = builder.sign(ca, hashes.SHA256()).tbs_certificate_bytes
    stamp = int(time.time() * 1000)
    # RFC 6962, 3.2: what the log signs of a certificate that has no such signature in it yet.
    entry = _id(ca) + len(before).to_bytes(3, "big") + before
    signature = ct.sign(struct.pack("!BBQH", 0, 0, stamp, 1) + entry + b"\0\0", ec.ECDSA(hashes.SHA256()))
    sct = struct.pack("!B32sQHBBH", 0, _id(ct), stamp, 0, 4, 3, len(signature)) + signature
    listed = struct.pack("!HH", len(sct) + 2, len(sct)) + sct
    value = (b"\x04" + bytes([len(listed)]) if len(listed) < 128 else b"\x04\x81" + bytes([len(listed)])) + listed
    return builder.add_extension(x509.UnrecognizedExtension(_SCTS, value), False).sign(ca, hashes.SHA256())


def _entry(body: bytes, key: ec.EllipticCurvePrivateKey) -> dict[str, Any]:
    """A log with one entry: the root of its tree is the hash of the leaf."""
    root = hashlib.sha256(b"\0" + body).digest()
    note = f"test - 1\n1\n{_text(root)}\n"
    signed = _text(_id(key)[:4] + key.sign(note.encode(), ec.ECDSA(hashes.SHA256())))
    entry = {"body": _text(body), "integratedTime": int(time.time()), "logID": _id(key).hex(), "logIndex": 0}
    promise = _text(key.sign(rfc8785.dumps(entry), ec.ECDSA(hashes.SHA256())))
    proof = {
        "logIndex": 0,
        "rootHash": root.hex(),
        "treeSize": 1,
        "hashes": [],
        "checkpoint": f"{note}\n— test {signed}\n",
    }
    return {**entry, "verification": {"inclusionProof": proof, "signedEntryTimestamp": promise}}


def _der(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _id(key: ec.EllipticCurvePrivateKey) -> bytes:
    return hashlib.sha256(_der(key)).digest()


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
