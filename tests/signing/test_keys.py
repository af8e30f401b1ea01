"""Keys: made once, never over a file, and refused with one sentence where they cannot sign."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from reprolock.errors import MachineError, ReprolockError, UsageError
from reprolock.signing.envelope import is_signed_by, open_line, seal
from reprolock.signing.keys import Kind, new_key, open_key, read_public


@pytest.mark.parametrize(("kind", "shown"), [("ecdsa", "ECDSA P-256"), ("ed25519", "Ed25519"), ("rsa", "RSA-PSS 3072")])
def test_a_pair(kind: Kind, shown: str, tmp_path: Path) -> None:
    made = new_key(tmp_path / "a.pem", kind)
    assert made.kind == shown
    assert oct((tmp_path / "a.pem").stat().st_mode)[-3:] == "600"
    der = subprocess.run(
        ["openssl", "pkey", "-pubin", "-in", tmp_path / "a.pem.pub", "-outform", "DER"], capture_output=True, check=True
    )
    assert made.id == hashlib.sha256(der.stdout).hexdigest()
    found = open_key({"REPROLOCK_SIGNING_KEY": str(tmp_path / "a.pem")})
    assert found is not None and found.public.id == read_public(tmp_path / "a.pem.pub").id == made.id
    line = seal(b"{}", found)
    assert is_signed_by(open_line(line), made)
    assert not is_signed_by(open_line(line)._replace(payload=b"{ }"), made)


def test_never_over_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.pem.pub").write_text("mine")
    with pytest.raises(UsageError, match=r"a\.pem\.pub is already there, and a key is never written over a file"):
        new_key(tmp_path / "a.pem")
    assert [path.name for path in tmp_path.iterdir()] == ["a.pem.pub"]


def test_a_passphrase(tmp_path: Path) -> None:
    made = new_key(tmp_path / "a.pem", passphrase="correct horse")
    where = {"REPROLOCK_SIGNING_KEY": str(tmp_path / "a.pem")}
    found = open_key({**where, "REPROLOCK_SIGNING_KEY_PASSPHRASE": "correct horse"})
    assert found is not None and found.public.id == made.id
    for given, message in (
        ({}, "needs a passphrase, and REPROLOCK_SIGNING_KEY_PASSPHRASE is not set"),
        (
            {"REPROLOCK_SIGNING_KEY_PASSPHRASE": "wrong"},
            "does not open with the passphrase in REPROLOCK_SIGNING_KEY_PASSPHRASE",
        ),
    ):
        with pytest.raises(UsageError) as caught:
            open_key({**where, **given})
        assert caught.value.message == f"{tmp_path}/a.pem (REPROLOCK_SIGNING_KEY) {message}"


def test_faulty_keys(tmp_path: Path) -> None:
    new_key(tmp_path / "good.pem")
    (tmp_path / "open.pem").write_bytes((tmp_path / "good.pem").read_bytes())
    os.chmod(tmp_path / "open.pem", 0o644)
    (tmp_path / "junk.pem").write_text("no key at all")
    os.chmod(tmp_path / "junk.pem", 0o600)
    for arguments, name in (
        (["ecparam", "-name", "secp384r1", "-genkey", "-noout"], "p384.pem"),
        (["genrsa", "1024"], "small.pem"),
    ):
        made = subprocess.run(["openssl", *arguments], capture_output=True, check=True)
        (tmp_path / name).write_bytes(made.stdout)
        os.chmod(tmp_path / name, 0o600)
    kinds = "is a key of another kind: ECDSA P-256, Ed25519 and RSA keys of 2048 bits or more are accepted"
    expected = {
        "missing.pem": "is not there",
        "open.pem": "can be read by other users than its owner (mode 0644)",
        "junk.pem": "holds no private key in PEM form",
        "p384.pem": kinds,
        "small.pem": kinds,
        "good.pem.pub": "is a public key, and a private one signs",
    }
    os.chmod(tmp_path / "good.pem.pub", 0o600)
    for name, message in expected.items():
        with pytest.raises(UsageError) as caught:
            open_key({"REPROLOCK_SIGNING_KEY": str(tmp_path / name)})
        assert caught.value.message == f"{tmp_path / name} (REPROLOCK_SIGNING_KEY) {message}"


def test_the_key_itself_in_the_variable_is_not_repeated(tmp_path: Path) -> None:
    new_key(tmp_path / "a.pem")
    with pytest.raises(UsageError) as caught:
        open_key({"REPROLOCK_SIGNING_KEY": (tmp_path / "a.pem").read_text()})
    assert str(caught.value) == "REPROLOCK_SIGNING_KEY contains a key itself; it must name a file or a signer URI"


def test_a_pipe_leaves_nothing_on_a_disk(tmp_path: Path) -> None:
    made = new_key(tmp_path / "a.pem")
    reading, writing = os.pipe()
    os.write(writing, (tmp_path / "a.pem").read_bytes())
    os.close(writing)
    found = open_key({"REPROLOCK_SIGNING_KEY": f"/dev/fd/{reading}"})
    assert found is not None and found.public.id == made.id


def test_signer_uris(tmp_path: Path) -> None:
    made = new_key(tmp_path / "a.pem")
    uri = f"file2:{tmp_path / 'a.pem'}"
    with pytest.raises(UsageError) as caught:
        open_key({"REPROLOCK_SIGNING_KEY": uri})
    assert str(caught.value) == (
        "REPROLOCK_SIGNING_KEY is a signer URI (file2:…), and REPROLOCK_SIGNING_KEY_PUBLIC does not name its public key"
    )
    public = {"REPROLOCK_SIGNING_KEY_PUBLIC": str(tmp_path / "a.pem.pub")}
    found = open_key({"REPROLOCK_SIGNING_KEY": uri, **public})
    assert found is not None and is_signed_by(open_line(seal(b"{}", found)), made)
    with pytest.raises(ReprolockError) as caught:
        open_key({"REPROLOCK_SIGNING_KEY": "nowhere:x", **public})
    assert str(caught.value) == "REPROLOCK_SIGNING_KEY names no signer that securesystemslib has: nowhere:…"


def test_a_signer_whose_library_is_missing(tmp_path: Path) -> None:
    new_key(tmp_path / "a.pem")
    uri = {"REPROLOCK_SIGNING_KEY": "gcpkms:projects/p", "REPROLOCK_SIGNING_KEY_PUBLIC": str(tmp_path / "a.pem.pub")}
    with pytest.raises(MachineError) as caught:
        open_key(uri)
    assert str(caught.value) == "the signer of REPROLOCK_SIGNING_KEY (gcpkms:…) needs a library that is not installed"
    assert caught.value.hint == "install securesystemslib with its extra for this key service"


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ("a.pem", "not loaded"),
        ("awskms:alias/a", "the signer of REPROLOCK_SIGNING_KEY (awskms:…) cannot be opened: NoRegionError"),
    ],
)
def test_the_library_of_aws_is_loaded_for_its_keys_alone(key: str, shown: str, tmp_path: Path) -> None:
    new_key(tmp_path / "a.pem")
    script = """
import os
import sys
from reprolock.signing.keys import open_key
try:
    open_key(os.environ)
except Exception as error:
    print(error)
else:
    print("loaded" if "boto3" in sys.modules else "not loaded")
import boto3
"""
    variables = {"HOME": str(tmp_path), "REPROLOCK_SIGNING_KEY_PUBLIC": "a.pem.pub", "REPROLOCK_SIGNING_KEY": key}
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=variables, capture_output=True, text=True)
    assert (done.stdout, done.returncode) == (f"{shown}\n", 0), done.stderr


def test_no_key_named_is_no_error() -> None:
    assert open_key({}) is None
