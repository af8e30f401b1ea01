"""A real time-stamping authority (RFC 3161): `openssl ts` behind a loopback address, with a root certificate of its own."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

_CONFIG = """\
[tsa]
default_tsa = main
[main]
serial = {folder}/serial
crypto_device = builtin
signer_cert = {folder}/tsa.pem
signer_key = {folder}/tsa.key
default_policy = 1.2.3.4.1
signer_digest = sha256
digests = sha256
accuracy = secs:1
ordering = yes
tsa_name = yes
ess_cert_id_chain = no
"""


class Authority(NamedTuple):
    """Its address and the root certificate that vouches for it."""

    address: str
    root: Path


@contextmanager
def authority(folder: Path) -> Iterator[Authority]:
    """Make certificates, and answer requests until the end."""
    folder.mkdir(parents=True, exist_ok=True)
    _certificates(folder)
    (folder / "ts.cnf").write_text(_CONFIG.format(folder=folder))
    (folder / "serial").write_text("01\n")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = folder / "query.tsq"
            query.write_bytes(self.rfile.read(int(self.headers["Content-Length"])))
            made = subprocess.run(
                ["openssl", "ts", "-reply", "-config", folder / "ts.cnf", "-queryfile", query],
                capture_output=True,
            )
            self.send_response(200 if made.returncode == 0 else 500)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.end_headers()
            self.wfile.write(made.stdout)

        def log_message(self, *_: object) -> None:
            """Nothing is printed."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield Authority(f"http://127.0.0.1:{server.server_port}/tsa", folder / "root.pem")
    finally:
        server.shutdown()
        server.server_close()


def certify(folder: Path, name: str, since: datetime, until: datetime) -> None:
    """The certificate of the authority ("tsa") or its root made anew, valid from and until these times."""
    file = folder / f"{name}.pem"
    old = x509.load_pem_x509_certificate(file.read_bytes())
    key = serialization.load_pem_private_key((folder / "root.key").read_bytes(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    made = x509.CertificateBuilder(
        old.issuer, old.subject, old.public_key(), old.serial_number, since, until, list(old.extensions)
    )
    file.write_bytes(made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))


def _certificates(folder: Path) -> None:
    def openssl(*arguments: object) -> None:
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)

    for name in ("root", "tsa"):
        openssl("genrsa", "-out", folder / f"{name}.key", "2048")
    (folder / "root.cnf").write_text("basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n")
    (folder / "leaf.cnf").write_text("extendedKeyUsage=critical,timeStamping\nkeyUsage=critical,digitalSignature\n")
    openssl("req", "-new", "-key", folder / "root.key", "-subj", "/CN=Test root", "-out", folder / "root.csr")
    openssl("x509", "-req", "-in", folder / "root.csr", "-signkey", folder / "root.key", "-days", "3650",
            "-extfile", folder / "root.cnf", "-out", folder / "root.pem")  # fmt: skip
    openssl("req", "-new", "-key", folder / "tsa.key", "-subj", "/CN=Test TSA", "-out", folder / "tsa.csr")
    openssl("x509", "-req", "-in", folder / "tsa.csr", "-CA", folder / "root.pem", "-CAkey", folder / "root.key",
            "-CAcreateserial", "-days", "3650", "-extfile", folder / "leaf.cnf", "-out", folder / "tsa.pem")  # fmt: skip
