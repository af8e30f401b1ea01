"""Keys: made, read and shown. Private keys stay in memory; errors name the file or the variable, never what is in it.

`REPROLOCK_SIGNING_KEY` is a PEM file, or a signer URI of securesystemslib (KMS, PKCS#11, Vault), whose public key
stands in the PEM file that `REPROLOCK_SIGNING_KEY_PUBLIC` names; `sigstore:` needs none (see `keyless`).
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from securesystemslib.exceptions import UnsupportedLibraryError
from securesystemslib.signer import CryptoSigner, Key, Signature, Signer, SSlibKey

from reprolock.errors import MachineError, ReprolockError, ServiceError, UsageError
from reprolock.files.atomic_write import write_new
from reprolock.files.os_errors import cannot_read
from reprolock.model.secrecy import SIGNING_KEY

PASSPHRASE = f"{SIGNING_KEY}_PASSPHRASE"
PUBLIC = f"{SIGNING_KEY}_PUBLIC"

Kind = Literal["ecdsa", "ed25519", "rsa"]
_RSA_BITS = 3072
_LEAST_RSA_BITS = 2048
_LARGEST = 1 << 16
"""A PEM file of one key is smaller by far."""
_URI = re.compile(r"[a-z][a-z0-9+.-]+:", re.IGNORECASE)
_ACCEPTED = "ECDSA P-256, Ed25519 and RSA keys of 2048 bits or more are accepted"


class PublicKey(NamedTuple):
    """A public key. `id` is the SHA-256 of its DER form (SubjectPublicKeyInfo), as
    `openssl pkey -pubin -outform DER | sha256sum` prints it; `kind` is for people; an identity of sigstore has no `pem`."""

    id: str
    kind: str
    pem: str | None
    key: Key


class SigningKey(NamedTuple):
    """A private key, or a service that has one, ready to sign."""

    public: PublicKey
    signer: Signer

    def sign(self, data: bytes) -> Signature:
        """The signature over `data`. ServiceError where a key service does not give it."""
        try:
            return self.signer.sign(data)
        except ReprolockError:
            raise
        except Exception as error:  # each key service has errors of its own
            raise ServiceError(
                f"the signer of {SIGNING_KEY} did not sign: {type(error).__name__}",
                hint="check that the key service is up and that this account may use the key",
            ) from error


def new_key(path: Path, kind: Kind = "ecdsa", passphrase: str | None = None) -> PublicKey:
    """Make a pair: the private key in `path` (mode 0600), the public one beside it in `path`.pub.

    UsageError where one of the files is there already; then nothing is written.
    """
    public_path = public_file(path)
    for taken in (path, public_path):
        if os.path.lexists(taken):
            raise UsageError(
                f"{taken} is already there, and a key is never written over a file", hint="name a new file"
            )
    key = _generated(kind)
    encryption: KeySerializationEncryption = (
        BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    )
    public = public_key(key.public_key(), str(path))
    assert public.pem is not None
    write_new(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption), 0o600)
    try:
        write_new(public_path, public.pem.encode(), 0o644)
    except ReprolockError:
        path.unlink()
        raise
    return public


def public_file(path: Path) -> Path:
    """Where the public key of a pair stands."""
    return path.with_name(f"{path.name}.pub")


def read_public(path: Path) -> PublicKey:
    """The public key in a PEM file; of a file with a private key UsageError, for that is no file to hand on."""
    return parse_public(_read(path, "the public key"), str(path))


def parse_public(data: bytes, where: str) -> PublicKey:
    """The public key in a PEM text. `where` names it in errors."""
    if b"PRIVATE KEY-----" in data:
        raise UsageError(f"{where} holds a private key, where a public one is needed", hint="name the .pub file")
    try:
        return public_key(load_pem_public_key(data), where)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UsageError(f"{where} holds no public key in PEM form", hint="name the .pub file of a pair") from error


def read_private(path: Path, passphrase: str | None, where: str) -> SigningKey:
    """The private key in a PEM file. UsageError says what is wrong with it: missing, open to others, no key, another passphrase.

    A pipe (/dev/fd/3) is taken as well: it is read once, and nothing of the key is on a disk.
    """
    data = _read(path, where, private=True)
    if b"PUBLIC KEY-----" in data and b"PRIVATE KEY-----" not in data:
        raise UsageError(
            f"{where} is a public key, and a private one signs", hint=f"name the file without .pub in {SIGNING_KEY}"
        )
    key = _parsed(data, passphrase, where)
    public = public_key(key.public_key(), where)
    assert isinstance(public.key, SSlibKey)  # as every key that is no identity
    return SigningKey(public, CryptoSigner(key, public.key))


def open_key(environ: Mapping[str, str]) -> SigningKey | None:
    """The key that `REPROLOCK_SIGNING_KEY` names; None where it is not set. UsageError where it cannot sign."""
    named = environ.get(SIGNING_KEY, "")
    if not named:
        return None
    if "-----BEGIN" in named:
        raise UsageError(
            f"{SIGNING_KEY} contains a key itself; it must name a file or a signer URI",
            hint="write the key to a file of mode 0600, and name that",
        )
    if _URI.match(named) and not Path(named).exists():
        return _by_uri(named, environ)
    return read_private(Path(named), environ.get(PASSPHRASE) or None, f"{named} ({SIGNING_KEY})")


def public_key(key: PublicKeyTypes, where: str) -> PublicKey:
    """A key of `cryptography` as reprolock names it. UsageError for a kind that is not taken."""
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        kind, scheme = "ECDSA P-256", "ecdsa-sha2-nistp256"
    elif isinstance(key, ed25519.Ed25519PublicKey):
        kind, scheme = "Ed25519", "ed25519"
    elif isinstance(key, rsa.RSAPublicKey) and key.key_size >= _LEAST_RSA_BITS:
        kind, scheme = f"RSA-PSS {key.key_size}", "rsassa-pss-sha256"
    else:
        raise UsageError(f"{where} is a key of another kind: {_ACCEPTED}", hint="`reprolock key new FILE` makes one")
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    identity = hashlib.sha256(der).hexdigest()
    return PublicKey(identity, kind, pem, SSlibKey.from_crypto(key, identity, scheme))


def _generated(kind: Kind) -> ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey:
    match kind:
        case "ecdsa":
            return ec.generate_private_key(ec.SECP256R1())
        case "ed25519":
            return ed25519.Ed25519PrivateKey.generate()
        case "rsa":
            return rsa.generate_private_key(65537, _RSA_BITS)


def _parsed(data: bytes, passphrase: str | None, where: str) -> PrivateKeyTypes:
    encrypted = b"ENCRYPTED" in data
    if encrypted and passphrase is None:
        raise UsageError(f"{where} needs a passphrase, and {PASSPHRASE} is not set", hint=f"set {PASSPHRASE}")
    try:
        return load_pem_private_key(data, passphrase.encode() if encrypted and passphrase else None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        if encrypted:
            raise UsageError(
                f"{where} does not open with the passphrase in {PASSPHRASE}", hint=f"check {PASSPHRASE}"
            ) from error
        raise UsageError(
            f"{where} holds no private key in PEM form", hint="`reprolock key new FILE` makes one"
        ) from error


def _read(path: Path, where: str, *, private: bool = False) -> bytes:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if private and os.name == "posix" and stat.S_ISREG(mode) and mode & 0o077:
                raise UsageError(
                    f"{where} can be read by other users than its owner (mode {stat.S_IMODE(mode):04o})",
                    hint=f"`chmod 600 {path}`, and make a new key if others may have read it",
                )
            return file.read(_LARGEST)
    except FileNotFoundError:
        raise UsageError(
            f"{where} is not there" if private else f"{path} is not there", hint="`reprolock key new FILE` makes a pair"
        ) from None
    except OSError as error:
        failed: ReprolockError = cannot_read(path, error)
        raise UsageError(f"{where}: {failed.message}", hint=failed.hint) from error


def _by_uri(uri: str, environ: Mapping[str, str]) -> SigningKey:
    scheme = uri.partition(":")[0]
    if scheme == "sigstore":
        from reprolock.signing.keyless import open_identity  # loaded where an identity signs

        return open_identity(uri)
    if not (public_path := environ.get(PUBLIC)):
        raise UsageError(
            f"{SIGNING_KEY} is a signer URI ({scheme}:…), and {PUBLIC} does not name its public key",
            hint=f"set {PUBLIC} to a PEM file of the public key",
        )
    public = read_public(Path(public_path))
    try:
        return SigningKey(public, Signer.from_priv_key_uri(uri, public.key))
    except ValueError as error:
        raise UsageError(
            f"{SIGNING_KEY} names no signer that securesystemslib has: {scheme}:…",
            hint="its documentation lists the URIs",
        ) from error
    except (ImportError, UnsupportedLibraryError) as error:
        raise MachineError(
            f"the signer of {SIGNING_KEY} ({scheme}:…) needs a library that is not installed",
            hint="install securesystemslib with its extra for this key service",
        ) from error
    except Exception as error:  # each key service has errors of its own
        raise UsageError(
            f"the signer of {SIGNING_KEY} ({scheme}:…) cannot be opened: {type(error).__name__}",
            hint="check the URI and the account of the key service",
        ) from error
