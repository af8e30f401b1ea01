"""Keys are found in every form, and never shown."""

from __future__ import annotations

import base64
import html
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reprolock.errors import UsageError
from reprolock.files.secrets import Scanner, keys_in

KEY = 'wJalr/XUtn+FEMI"K7MDENG<b&x>ü\\end'
SCANNER = Scanner({"LAKECTL_CREDENTIALS_SECRET_ACCESS_KEY": KEY, "HF_TOKEN": "another-value-1"})
HINT = "remove it, and read it from a variable (run.pass_env passes one to the command)"

FORMS = {
    "plain": KEY,
    "json": json.dumps({"x": KEY}),
    "json, not ASCII": json.dumps(KEY, ensure_ascii=False),
    "json with escaped slashes": json.dumps(KEY).replace("/", "\\/"),
    "percent-encoded": f"http://host/?key={quote(KEY, safe='')}",
    "form-encoded": quote_plus(KEY),
    "html": f"<td>{html.escape(KEY)}</td>",
    "basic authorization": "Basic " + base64.b64encode(f"AB:{KEY}".encode()).decode(),
}


@pytest.mark.parametrize("text", FORMS.values(), ids=FORMS.keys())
def test_a_key_in_use_is_found_in_every_form_and_named_by_its_variable(text: str) -> None:
    with pytest.raises(UsageError) as error:
        SCANNER.check(f"one\ntwo\n  {text} \n", "record.json")
    assert error.value.message == "record.json:3 carries the value of LAKECTL_CREDENTIALS_SECRET_ACCESS_KEY"
    assert error.value.hint == HINT
    assert error.value.exit_code == 2
    shown = SCANNER.redact(f"see {text} there")
    assert "***" in shown and shown.startswith("see ") and shown.endswith(" there")
    SCANNER.check(shown, "shown")  # nothing is left to be found


characters = st.characters(exclude_categories=["Cs"])


@given(before=st.binary(max_size=7), after=st.binary(max_size=7), key=st.text(characters, min_size=10, max_size=40))
def test_base64_hides_no_key_wherever_it_starts(before: bytes, after: bytes, key: str) -> None:
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        with pytest.raises(UsageError, match=r"^cassette(:1)? carries the value of TOKEN\nhint: "):
            Scanner({"TOKEN": key}).check(encode(before + key.encode() + after), "cassette")


@pytest.mark.parametrize(
    "text",
    [
        "AKIAIOSFODNN7ABCDEFG",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEAx1\n-----END RSA PRIVATE KEY-----",
        '{"private_key": "-----BEGIN PRIVATE KEY-----\\nMIIEvQIBADANBgkqhk\\n"}',
        "https://minio/lake/x?X-Amz-Credential=a&X-Amz-Signature=0123456789abcdef",
        "hf_" + "a1B2" * 9,
    ],
)
def test_what_is_unmistakably_a_key_needs_no_variable(text: str) -> None:
    with pytest.raises(UsageError) as error:
        Scanner({}).check(b"x = 1\n" + text.encode() + b"\n", "src/helper.py")
    assert error.value.message == (
        "src/helper.py:2 contains a secret: an access key, a token, a private key or a signed address"
    )
    assert text not in Scanner({}).redact(text)


def test_the_body_of_a_private_key_is_redacted_too() -> None:
    pem = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhk\nsecondline\n-----END PRIVATE KEY-----"
    assert Scanner({}).redact(f"<{pem}>") == "<***>"


@pytest.mark.parametrize(
    "text",
    [
        'header = "-----BEGIN PRIVATE KEY-----"',
        'url = f"{base}?a=1&X-Amz-Signature={signature}"',
        "max_tokens = 5",
        "admin",
    ],
)
def test_honest_text_passes_as_it_is(text: str) -> None:
    scanner = Scanner({"MINIO_ROOT_USER": "admin", "HF_TOKEN": "a-long-secret-value"})
    scanner.check(text, "train.py")
    assert scanner.redact(text) == text


def test_bytes_that_are_no_text_are_named_without_a_line() -> None:
    with pytest.raises(UsageError) as error:
        SCANNER.check(b"\0\1\nanother-value-1", "model.bin")
    assert error.value.message == "model.bin carries the value of HF_TOKEN"


def test_keys_are_known_by_their_variables_by_pass_env_and_by_addresses() -> None:
    environ = {
        "LAKECTL_CREDENTIALS_ACCESS_KEY_ID": "id-of-a-key",
        "LAKECTL_SERVER_ENDPOINT_URL": "http://127.0.0.1:8000",
        "https_proxy": "http://me:pass%20word@proxy:3128",
        "LICENSE_SERVER": "passed-on",
        "HOME": "/home/me",
    }
    assert keys_in(environ, ["LICENSE_SERVER"]) == {
        "LAKECTL_CREDENTIALS_ACCESS_KEY_ID": "id-of-a-key",
        "https_proxy": "pass word",
        "LICENSE_SERVER": "passed-on",
    }


def test_a_key_of_several_lines_is_redacted_line_by_line() -> None:
    scanner = Scanner({"MY_KEY": "the-first-line\n  and-the-second-one\n}\n"})
    assert [scanner.redact(line) for line in ("a the-first-line\n", "and-the-second-one }\n")] == ["a ***\n", "*** }\n"]
