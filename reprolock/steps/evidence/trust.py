"""Read trust.toml: the keys and authorities that an auditor trusts, each with its name."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pydantic import ValidationError

from reprolock.errors import UsageError
from reprolock.files.os_errors import cannot_read
from reprolock.files.spec_file import read_text
from reprolock.model.trust import Role, TrustPolicy

if TYPE_CHECKING:
    from reprolock.signing.keys import PublicKey
    from reprolock.signing.timestamp import Certificate


class Trust(NamedTuple):
    """The policy, its keys by their IDs with the names of their owners, and the authorities' root certificates."""

    policy: TrustPolicy
    keys: Mapping[str, tuple[str, PublicKey]]
    roots: tuple[Certificate, ...]

    def owner(self, key_id: str) -> str:
        """Whose key that is; of one that trust.toml does not name, nobody's but its own."""
        return self.policy.owner(self.keys[key_id][0]) if key_id in self.keys else key_id

    def has_role(self, key_id: str, role: Role) -> bool:
        """Whether the key of that ID is believed in a role."""
        return key_id in self.keys and role in self.policy.keys[self.keys[key_id][0]].roles


def read_trust(path: Path) -> Trust:
    """Read trust.toml and the files that it names. UsageError names the file, the line and the key at fault."""
    if not path.is_file():
        raise UsageError(f"--trust {path}: no such file", hint="docs/guides/auditors.md shows how to write trust.toml")
    text = read_text(path)
    policy = parse_trust(text, path.name)
    from reprolock.signing.keys import parse_public  # heavy: loaded only where something is verified
    from reprolock.signing.timestamp import read_certificates

    keys: dict[str, tuple[str, PublicKey]] = {}
    identities = _identities(policy, path)
    for name, trusted in policy.keys.items():
        where = f"{path.name}: keys.{name}"
        if trusted.public is not None:
            where += ".public"
            key = parse_public(_pem(trusted.public, path, where), where)
        else:
            key = identities[name]
        if key.id in keys:
            raise UsageError(
                f"{where} is the key of {keys[key.id][0]} too", hint="give one key one name, with all of its roles"
            )
        keys[key.id] = name, key
    roots: list[Certificate] = []
    for name, authority in policy.timestamps.items():
        where = f"{path.name}: timestamps.{name}.certificate"
        roots += read_certificates(_pem(authority.certificate, path, where), where)
    return Trust(policy, keys, tuple(roots))


def parse_trust(text: str, name: str) -> TrustPolicy:
    """The policy that a text declares; `name` is what errors call the file."""
    try:
        tables = tomllib.loads(text)
        return TrustPolicy.model_validate(tables)
    except ValidationError as error:
        from reprolock.files.validation_errors import sentences  # a parser with positions: only once there is a fault

        first, *others = sentences(error, TrustPolicy, text, name)
        raise UsageError(
            first, problems=tuple(others), hint=f"correct {name}; schemas/trust.schema.json has every key"
        ) from None
    except ValueError as error:  # a number of thousands of digits, too
        raise UsageError(
            f"{name} is not valid TOML: {str(error)[:1].lower()}{str(error)[1:]}",
            hint=f"correct {name}; schemas/trust.schema.json has every key",
        ) from None


def _identities(policy: TrustPolicy, path: Path) -> dict[str, PublicKey]:
    """The keys that are identities, which sigstore's trusted root verifies."""
    if policy.sigstore is None:
        return {}
    from reprolock.signing.keyless import identity_key, read_root  # an extra: loaded only where trust.toml asks for it

    root = read_root(path.parent / policy.sigstore.trusted_root, f"{path.name}: sigstore.trusted_root")
    return {
        name: identity_key(key.identity, key.issuer, root)
        for name, key in policy.keys.items()
        if key.identity is not None and key.issuer is not None
    }


def _pem(value: str, beside: Path, where: str) -> bytes:
    if "-----BEGIN" in value:
        return value.encode()
    path = beside.parent / value
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise UsageError(f"{where}: {path} is not there", hint="a path is relative to trust.toml") from None
    except OSError as error:
        raise UsageError(
            f"{where}: {cannot_read(path, error).message}", hint="make it readable, or write the PEM text itself"
        ) from error
