"""Runs signed by an identity of sigstore, and their audits.

The instance is made in the test and answers sigstore's own client (see `sigstore_service`). What cannot be tried without a network
and a CI identity: a signing against the public service.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import Cli
from evidence import make_case
from project import Project
from sigstore_service import Sigstore, sigstore, token

import reprolock
from reprolock.errors import MachineError, ServiceError, UsageError
from reprolock.model.claims import Audit
from reprolock.model.record import Record
from reprolock.signing.envelope import is_signed_by, open_line, seal
from reprolock.signing.keyless import identity_key, read_root
from reprolock.signing.keys import open_key
from reprolock.steps.evidence.attest import Attestor
from reprolock.steps.evidence.attestations import read_lines, write_lines
from reprolock.steps.project.machine import Machine

JOB = "https://ci.example/clinic/train.yml@refs/heads/main"
ISSUER = "https://token.ci.example"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sigstore]:
    with sigstore(tmp_path_factory.mktemp("sigstore")) as found:
        yield found


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITLAB_CI", "true")
    monkeypatch.setenv("SIGSTORE_ID_TOKEN", token(JOB, ISSUER))


def uri(service: Sigstore, identity: str = JOB, issuer: str = ISSUER) -> str:
    return f"sigstore:?identity={identity}&issuer={issuer}&config={service.config}"


def trust(folder: Path, root: Path, identity: str = JOB, issuer: str = ISSUER) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "trust.toml"
    path.write_text(
        f'[keys.ci]\nidentity = "{identity}"\nissuer = "{issuer}"\nroles = ["run"]\n[sigstore]\ntrusted_root = "{root}"\n'
    )
    return path


def _root_with(service: Sigstore, path: Path, part: str, **period: str) -> Path:
    """The trusted root with another time in which the certificates or keys of one part hold."""
    root = json.loads(service.root.read_text())
    for item in root[part]:
        holder = item if part == "certificateAuthorities" else item["publicKey"]
        holder["validFor"] = {**holder["validFor"], **period}
    path.write_text(json.dumps(root))
    return path


def test_an_audit_says_which_identity_signed(tmp_path: Path, empty_mlflow: Path, service: Sigstore, job: None) -> None:
    case = make_case(tmp_path / "case", empty_mlflow)
    folder = case.copy(tmp_path / "run")
    key = open_key({"REPROLOCK_SIGNING_KEY": uri(service)})
    assert key is not None
    attestor = Attestor(key, None, Machine.here().now, {})
    record = Record.model_validate_json((folder / "record.json").read_bytes())
    intent = attestor.intent(record)
    write_lines(folder, [intent, attestor.run(record, None, None, [intent])])

    def look(name: str, *told: str, root: Path = service.root) -> tuple[str, ...]:
        return audit(trust(tmp_path / name, root, *told)).reasons

    def audit(path: Path) -> Audit:
        return reprolock.audit(tmp_path, str(folder), path, machine=case.machine())

    found = audit(trust(tmp_path / "a", service.root))
    assert found.outcome == "TRUSTED", found.reasons
    assert [claim.by for claim in found.claims if claim.topic in ("rules", "result")] == [
        "signed by ci",
        "signed by ci after the command ended",
    ]
    unknown = f"the unknown key {key.public.id[:12]}, which is not in trust.toml"
    strangers = (f"what was signed before the run is by {unknown}", f"what was signed after the run is by {unknown}")
    assert look("b", "https://ci.example/other") == strangers
    assert look("c", JOB, "https://other.example") == strangers

    with sigstore(tmp_path / "other") as other:
        reasons = look("d", root=other.root)
    shown = "its bundle does not show, by what held then of sigstore.trusted_root, that ci signed it"
    assert [reason for reason in reasons if shown in reason] == [
        f"line {number} of attestations.jsonl: {shown}" for number in (1, 2)
    ]

    # A trusted root of which a part had expired before: sigstore's own verifier would take it.
    for part in ("certificateAuthorities", "tlogs", "ctlogs"):
        old = _root_with(service, tmp_path / f"{part}.json", part, end="2024-01-01T00:00:00Z")
        assert look(part, root=old)[0] == f"line 1 of attestations.jsonl: {shown}", part
    later = _root_with(service, tmp_path / "later.json", "tlogs", end="2100-01-01T00:00:00.999Z")
    assert look("f", root=later) == ()
    early = _root_with(service, tmp_path / "early.json", "tlogs", start="2100-01-01T00:00:00Z")
    with pytest.raises(UsageError) as caught:
        look("g", root=early)
    assert caught.value.message == f"trust.toml: sigstore.trusted_root: {early} does not hold yet"

    first, second = (json.loads(line) for line in read_lines(folder))
    second["signatures"][0]["bundle"] = first["signatures"][0]["bundle"]  # that of another statement
    write_lines(folder, [intent, json.dumps(second, separators=(",", ":")).encode()])
    assert look("e")[0] == f"line 2 of attestations.jsonl: {shown}"


def test_a_signature_is_for_these_bytes_and_this_identity(service: Sigstore, job: None) -> None:
    key = open_key({"REPROLOCK_SIGNING_KEY": uri(service)})
    assert key is not None
    line = seal(b'{"a":1}', key)
    signed = open_line(line)
    assert is_signed_by(signed, identity_key(JOB, ISSUER, read_root(service.root, "root")))
    assert not is_signed_by(signed._replace(payload=b'{"a":2}'), key.public)
    assert not is_signed_by(signed._replace(signature=signed.signature[:-1] + b"x"), key.public)
    assert signed.bundle is not None
    for changed in (None, {}, {**signed.bundle, "more": 1}):
        assert not is_signed_by(signed._replace(bundle=changed), key.public)
    for told in (("https://ci.example/other", ISSUER), (JOB, "https://other.example")):
        assert not is_signed_by(signed, identity_key(*told, read_root(service.root, "root")))
    assert token(JOB, ISSUER).split(".")[1][:40].encode() not in line


def test_a_certificate_for_somebody_else(service: Sigstore, job: None) -> None:
    key = open_key({"REPROLOCK_SIGNING_KEY": uri(service, "https://ci.example/other")})
    assert key is not None
    with pytest.raises(UsageError) as caught:
        seal(b"{}", key)
    assert str(caught.value) == (
        "sigstore signed for another identity than REPROLOCK_SIGNING_KEY names: https://ci.example/other"
    )


def test_what_is_said_before_a_run_starts(
    project: Project, cli: Cli, monkeypatch: pytest.MonkeyPatch, service: Sigstore
) -> None:
    project.script("open('executed', 'w')")
    assert cli("lock").code == 0

    def run(named: str, *options: str) -> tuple[int, str]:
        monkeypatch.setenv("REPROLOCK_SIGNING_KEY", named)
        said = cli("run", *options)
        assert not list(project.root.rglob("executed"))
        assert "eyJ" not in said.out + said.err
        return said.code, said.err[said.err.index("error: ") :]

    assert run("sigstore:") == (
        2,
        "error: REPROLOCK_SIGNING_KEY starts with sigstore:, and does not name an identity and its issuer\n"
        "hint: write sigstore:?identity=…&issuer=…, as trust.toml names them\n",
    )
    assert run(uri(service)) == (
        2,
        "error: REPROLOCK_SIGNING_KEY is sigstore:, and there is no CI service here that confirms the signer's identity\n"
        "hint: sign in a CI job that may ask for an identity token, or with a key file\n",
    )
    monkeypatch.setenv("GITLAB_CI", "true")
    monkeypatch.setenv("SIGSTORE_ID_TOKEN", token(JOB, ISSUER))
    assert run(uri(service), "--offline") == (
        2,
        "error: REPROLOCK_SIGNING_KEY is sigstore:, which needs its services, and --offline contacts none\n"
        "hint: sign with a key file, or leave --offline out\n",
    )
    gone = project.root.parent / "gone.json"
    address = json.loads(service.config.read_text())["signingConfig"]["caUrls"][0]["url"]
    gone.write_text(service.config.read_text().replace(address, "http://127.0.0.1:9"))
    assert run(f"sigstore:?identity={JOB}&issuer={ISSUER}&config={gone}") == (
        5,
        "error: sigstore did not sign: ConnectionError\n"
        "hint: check that Fulcio and Rekor can be reached; a key file signs without them\n",
    )
    monkeypatch.setenv("SIGSTORE_ID_TOKEN", "no token")
    with pytest.raises(ServiceError) as caught:
        open_key({"REPROLOCK_SIGNING_KEY": uri(service)})
    assert str(caught.value) == ("no identity token for REPROLOCK_SIGNING_KEY (sigstore:): IdentityError")


def test_the_extra_is_not_installed(service: Sigstore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    for name in [name for name in sys.modules if name.partition(".")[0] == "sigstore"]:
        monkeypatch.delitem(sys.modules, name)

    class Nowhere:
        def find_spec(self, name: str, *_: object) -> None:
            if name.partition(".")[0] == "sigstore":
                raise ModuleNotFoundError(f"No module named {name!r}", name="sigstore")

    monkeypatch.setattr(sys, "meta_path", [Nowhere(), *sys.meta_path])
    with pytest.raises(MachineError) as caught:
        open_key({"REPROLOCK_SIGNING_KEY": uri(service)})
    assert str(caught.value) == (
        "REPROLOCK_SIGNING_KEY (sigstore:) needs sigstore, which is not installed beside reprolock"
    )
    assert caught.value.hint is not None and 'pip install "reprolock[sigstore]"' in caught.value.hint


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('identity = "a"', "a key has either public, or identity and issuer"),
        ('public = "a"\nidentity = "a"\nissuer = "b"', "a key has either public, or identity and issuer"),
        ("", "a key has either public, or identity and issuer"),
        (
            'identity = "a"\nissuer = "b"',
            "a key has an identity, and sigstore.trusted_root does not name the trusted_root.json to verify it by",
        ),
        (
            'identity = "a"\nissuer = "b"\n[sigstore]\ntrusted_root = "no.json"',
            "trust.toml: sigstore.trusted_root: {folder}/no.json is not there",
        ),
        (
            'identity = "a"\nissuer = "b"\n[sigstore]\ntrusted_root = "trust.toml"',
            "trust.toml: sigstore.trusted_root: {folder}/trust.toml is not a trusted root of sigstore",
        ),
    ],
)
def test_a_faulty_trust(tmp_path: Path, text: str, said: str) -> None:
    from reprolock.steps.evidence.trust import read_trust

    (tmp_path / "trust.toml").write_text(f'[keys.ci]\nroles = ["run"]\n{text}\n')
    with pytest.raises(UsageError) as caught:
        read_trust(tmp_path / "trust.toml")
    assert str(caught.value).endswith(said.format(folder=tmp_path))


def test_an_identity_under_two_names(tmp_path: Path, service: Sigstore) -> None:
    from reprolock.steps.evidence.trust import read_trust

    path = trust(tmp_path, service.root)
    path.write_text(path.read_text() + f'[keys.b]\nidentity = "{JOB}"\nissuer = "{ISSUER}"\nroles = ["replay"]\n')
    with pytest.raises(UsageError) as caught:
        read_trust(path)
    assert str(caught.value) == "trust.toml: keys.b is the key of ci too"
