"""`TrustPolicy`: trust.toml, which keys an auditor believes, in which roles, and how many of each must have signed."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, Strict, model_validator

from reprolock.model.value import Value
from reprolock.model.words import counted

Role = Literal["run", "replay", "review"]


class TrustedKey(Value):
    """`[keys.NAME]`: one public key, or one identity that sigstore vouches for."""

    public: str | None = Field(
        None, min_length=1, description="The public key: a PEM file relative to trust.toml, or the PEM text."
    )
    identity: str | None = Field(
        None,
        min_length=1,
        description="Instead of a key: who signs by sigstore, as the certificate has it (a workflow's address, a mail address).",
    )
    issuer: str | None = Field(
        None, min_length=1, description="With identity: the address of the identity provider that vouches for it."
    )
    roles: Annotated[tuple[Role, ...], Strict(False)] = Field(
        min_length=1,
        description="run: may sign what ran and what came out. replay: may sign verdicts. review: may sign approvals.",
    )
    owner: str | None = Field(
        None,
        min_length=1,
        description="Whose key it is, where one person has several: they count as one. None: its name.",
    )
    revoked: AwareDatetime | None = Field(
        None,
        description="Since when nobody should believe it any more, with an offset: what it signed counts if an authority of [timestamps] stamped it before that.",
    )

    @model_validator(mode="after")
    def _one_form(self) -> TrustedKey:
        if (self.public is None) == (self.identity is None) or (self.identity is None) != (self.issuer is None):
            raise ValueError("a key has either public, or identity and issuer")
        return self


class Sigstore(Value):
    """`[sigstore]`: whom an auditor believes who believes identities."""

    trusted_root: str = Field(
        min_length=1,
        description="The certificates and keys of Fulcio and Rekor: a trusted_root.json relative to trust.toml.",
    )


class Authority(Value):
    """`[timestamps.NAME]`: one time-stamping authority (RFC 3161)."""

    certificate: str = Field(
        min_length=1, description="Its root certificates: a PEM file relative to trust.toml, or the PEM text."
    )


class Require(Value):
    """`[require]`: what must be there. Left out: one of each role that a key has, and time stamps where an authority is named."""

    replay: int | None = Field(None, ge=0, description="Keys of the role replay that must have signed REPRODUCED.")
    review: int | None = Field(None, ge=0, description="Keys of the role review that must have signed.")
    timestamp: bool | None = Field(None, description="Whether the run's statements must be time-stamped.")


class TrustPolicy(Value):
    """The whole of trust.toml."""

    version: Literal[1] = Field(1, description="Version of this format.")
    keys: dict[str, TrustedKey] = Field(
        min_length=1, description="The keys that are believed, by the names of their owners."
    )
    sigstore: Sigstore | None = Field(None, description="What identities among the keys rest on.")
    timestamps: dict[str, Authority] = Field({}, description="The authorities whose time is believed, by name.")
    require: Require = Field(Require(), description="What must be there.")

    @model_validator(mode="after")
    def _can_be_met(self) -> TrustPolicy:
        if not self.named("run"):
            raise ValueError('no key has the role "run", so no run could be trusted')
        for role in ("replay", "review"):
            if (needed := self.needed(role)) > (there := len(self.owners(role))):
                raise ValueError(
                    f"require.{role} asks for {counted(needed, 'key')} with the role {role}, and {there or 'none'} {'has' if there == 1 else 'have'} it"
                )
        if any(key.identity for key in self.keys.values()) and self.sigstore is None:
            raise ValueError(
                "a key has an identity, and sigstore.trusted_root does not name the trusted_root.json to verify it by"
            )
        if self.require.timestamp and not self.timestamps:
            raise ValueError("require.timestamp asks for time stamps, and [timestamps] names no authority")
        return self

    def named(self, role: Role) -> tuple[str, ...]:
        """Names of the keys that have a role."""
        return tuple(name for name, key in self.keys.items() if role in key.roles)

    def owner(self, name: str) -> str:
        """Whose key that is."""
        return self.keys[name].owner or name

    def owners(self, role: Role) -> frozenset[str]:
        """Whose keys have a role: several of one owner count as one."""
        return frozenset(map(self.owner, self.named(role)))

    def needed(self, role: Literal["replay", "review"]) -> int:
        """How many keys of a role must have signed."""
        asked = self.require.replay if role == "replay" else self.require.review
        return asked if asked is not None else int(bool(self.named(role)))

    @property
    def stamped(self) -> bool:
        """Whether the run's statements must be time-stamped."""
        asked = self.require.timestamp
        return asked if asked is not None else bool(self.timestamps)
