"""Keyless signatures: the edge to sigstore. A CI service vouches for who signs, Fulcio certifies a key that lives for one
signature, Rekor logs it. Signing asks these services; verifying needs the auditor's trusted root alone.

`REPROLOCK_SIGNING_KEY=sigstore:?identity=…&issuer=…` signs; `&config=FILE` names the client trust configuration of another
instance than the public one. The identity token stays in memory, and is asked for anew for each signature: a run is longer than it lives.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl

from securesystemslib.exceptions import UnverifiedSignatureError
from securesystemslib.signer import Key, Signature, SigstoreKey, SigstoreSigner

from reprolock.errors import ServiceError, UsageError
from reprolock.model.secrecy import SIGNING_KEY
from reprolock.parts import needed
from reprolock.signing.keys import PublicKey, SigningKey

if TYPE_CHECKING:
    from sigstore.models import ClientTrustConfig, TrustedRoot
    from sigstore.oidc import IdentityToken

_FORM = "sigstore:?identity=…&issuer=…"


class Root(NamedTuple):
    """A trusted root of sigstore, and the document that it was read from, where there is one."""

    whole: TrustedRoot
    document: Mapping[str, Any] | None = None

    def at(self, time: datetime) -> TrustedRoot:
        """What of it held at a time: sigstore's verifier takes certificates and keys after their end, too."""
        from sigstore.models import TrustedRoot

        if self.document is None:
            return self.whole
        with tempfile.TemporaryDirectory(prefix="reprolock-") as folder:
            path = Path(folder) / "trusted_root.json"
            path.write_text(json.dumps({name: _held(value, time) for name, value in self.document.items()}))
            return TrustedRoot.from_file(str(path))


def _held(value: Any, time: datetime) -> Any:
    """Of a list of authorities or logs those that held at a time."""
    if not isinstance(value, list):
        return value
    return [item for item in value if all(_covers(period, time) for period in _periods(item))]


def _periods(item: Mapping[str, Any]) -> Iterator[Mapping[str, str]]:
    for table in (item, item.get("publicKey") or item.get("public_key") or {}):
        if period := table.get("validFor") or table.get("valid_for"):
            yield period


def _begun(item: Mapping[str, Any]) -> bool:
    return all(_covers({**period, "end": ""}, datetime.now(UTC)) for period in _periods(item))


def _covers(period: Mapping[str, str], time: datetime) -> bool:
    start, end = (datetime.fromisoformat(period[name]) if period.get(name) else None for name in ("start", "end"))
    return (start is None or start <= time) and (end is None or time <= end)


class _Identity(SigstoreKey):
    """An identity and its issuer in the place of a key. Its ID follows from the two, as securesystemslib has it."""

    root: Root

    def verify_signature(self, signature: Signature, data: bytes) -> None:
        """UnverifiedSignatureError unless the bundle shows, by the trusted root, that this identity signed `data`."""
        from sigstore.models import Bundle
        from sigstore.verify import Verifier
        from sigstore.verify.policy import Identity

        document = signature.unrecognized_fields.get("bundle")
        try:
            bundle = Bundle.from_json(json.dumps(document))
            if json.loads(bundle.to_json()) != document or bundle.signature.hex() != signature.signature:
                raise ValueError("the bundle says more than was signed, or the signature beside it is another")
            policy = Identity(identity=self.keyval["identity"], issuer=self.keyval["issuer"])
            root = self.root.at(bundle.signing_certificate.not_valid_before_utc)
            Verifier(trusted_root=root).verify_artifact(data, bundle, policy)
        except Exception as error:  # foreign bytes: certificates, DER and JSON have errors of their own
            raise UnverifiedSignatureError("no signature of this identity") from error


class _Signer(SigstoreSigner):
    """Signs by an ambient credential, and takes no signature that the identity's own key would not verify."""

    def __init__(self, key: Key, config: ClientTrustConfig):
        super().__init__(None, key)
        self._config = config

    def sign(self, payload: bytes) -> Signature:
        """The signature with its bundle. ServiceError where the services give none, or one for somebody else."""
        from sigstore.sign import SigningContext

        token = _token()
        try:
            with SigningContext.from_trust_config(self._config).signer(token) as signer:
                bundle = signer.sign_artifact(payload)
        except Exception as error:  # each service has errors of its own; their texts may hold what was sent
            raise ServiceError(
                f"sigstore did not sign: {type(error).__name__}",
                hint="check that Fulcio and Rekor can be reached; a key file signs without them",
            ) from error
        made = Signature(self.public_key.keyid, bundle.signature.hex(), {"bundle": json.loads(bundle.to_json())})
        try:
            self.public_key.verify_signature(made, payload)
        except UnverifiedSignatureError as error:
            raise UsageError(
                f"sigstore signed for another identity than {SIGNING_KEY} names: {self.public_key.keyval['identity']}",
                hint="name identity and issuer as the certificate has them, which is how trust.toml names them too",
            ) from error
        return made


def identity_key(identity: str, issuer: str, root: Root) -> PublicKey:
    """An identity as a public key: what it signed is verified by `root`."""
    keyid = SigstoreSigner.import_(identity, issuer)[1].keyid
    key = _Identity(
        keyid, SigstoreKey.DEFAULT_KEY_TYPE, SigstoreKey.DEFAULT_SCHEME, {"identity": identity, "issuer": issuer}
    )
    key.root = root
    return PublicKey(keyid, f"sigstore identity {identity} of {issuer}", None, key)


def read_root(path: Path, where: str) -> Root:
    """The certificates and keys of Fulcio and Rekor in a trusted_root.json. UsageError names `where` it is asked for."""
    with needed("sigstore", where):
        from sigstore.models import TrustedRoot
        from sigstore.verify import Verifier
    try:
        document = json.loads(path.read_bytes())
        root = Root(TrustedRoot.from_file(str(path)), document)
        if document.get("tlogs") and not any(_begun(item) for item in document["tlogs"]):
            raise UsageError(
                f"{where}: {path} does not hold yet",
                hint="name the trusted_root.json of today; and is this machine's clock right?",
            )
        Verifier(trusted_root=root.whole)
    except FileNotFoundError:
        raise UsageError(f"{where}: {path} is not there", hint="a path is relative to trust.toml") from None
    except UsageError:
        raise
    except Exception as error:  # JSON, certificates and keys have errors of their own
        raise UsageError(
            f"{where}: {path} is not a trusted root of sigstore",
            hint="name a trusted_root.json; docs/guides/auditors.md says where to get one",
        ) from error
    return root


def open_identity(uri: str) -> SigningKey:
    """The signer of a `sigstore:` URI. UsageError where it names nobody, or nothing here vouches for who runs this;
    ServiceError where sigstore's trusted root cannot be fetched."""
    fields = dict(parse_qsl(uri.partition("?")[2].replace("+", "%2B")))
    if not fields.keys() <= {"identity", "issuer", "config"} or not {"identity", "issuer"} <= fields.keys():
        raise UsageError(
            f"{SIGNING_KEY} starts with sigstore:, and does not name an identity and its issuer",
            hint=f"write {_FORM}, as trust.toml names them",
        )
    with needed("sigstore", f"{SIGNING_KEY} (sigstore:)"):
        import sigstore.sign  # noqa: F401  # all that signing takes
    _token()
    config = _config(fields.get("config"))
    public = identity_key(fields["identity"], fields["issuer"], Root(config.trusted_root))
    return SigningKey(public, _Signer(public.key, config))


def _config(path: str | None) -> ClientTrustConfig:
    from sigstore.models import ClientTrustConfig

    try:
        return ClientTrustConfig.from_json(Path(path).read_text()) if path else ClientTrustConfig.production()
    except Exception as error:  # TUF, the network and JSON have errors of their own
        if path:
            raise UsageError(
                f"{SIGNING_KEY}: {path} is not a client trust configuration of sigstore", hint="check config= in it"
            ) from error
        raise ServiceError(
            f"no answer from sigstore's public service ({SIGNING_KEY})",
            hint="check the network; a key file signs without one",
        ) from error


def _token() -> IdentityToken:
    """What this machine's CI service vouches for, in memory alone."""
    from sigstore.oidc import IdentityToken, detect_credential

    try:
        credential = detect_credential()
        token = IdentityToken(credential) if credential else None
    except Exception as error:  # the text may hold what the service answered
        raise ServiceError(
            f"no identity token for {SIGNING_KEY} (sigstore:): {type(error).__name__}",
            hint="GitHub: `permissions: id-token: write`; GitLab: `id_tokens: SIGSTORE_ID_TOKEN: aud: sigstore`",
        ) from None
    if token is None:
        raise UsageError(
            f"{SIGNING_KEY} is sigstore:, and there is no CI service here that confirms the signer's identity",
            hint="sign in a CI job that may ask for an identity token, or with a key file",
        )
    return token
