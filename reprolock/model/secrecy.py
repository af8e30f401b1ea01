"""Recognise secrets by the names of variables that hold them, and by the form of values.

Only unmistakable forms are here: a false alarm would refuse an honest repro.toml. The secrets that are
in use on this machine are looked for by value elsewhere (`reprolock.files.secrets`).
"""

from __future__ import annotations

import re

SIGNING_KEY = "REPROLOCK_SIGNING_KEY"
"""The variable that names the key of a run's evidence. It and all whose names start with it belong to reprolock alone."""
_IDENTITY_TOKENS = ("SIGSTORE_ID_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_TOKEN")
"""Who has one of these can sign by sigstore as the CI job."""

_NAME = re.compile(
    r"(?:^|[._-])(?:secret|passphrase|token|credentials?|api[._-]?key|access[._-]?key(?:[._-]?id)?"
    r"|secret[._-]?key|private[._-]?key|account[._-]?key)$"
    r"|(?:password|passwd)$"  # PGPASSWORD
    r"|[._-]pwd$"  # MYSQL_PWD; PWD alone is a folder
    r"|[._](?:account[._]key|client[._]secret|fixed[._]token)\.",  # Hadoop's Azure settings end with the account's name
    re.IGNORECASE,
)
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
"""Between the words of keyStorePassword."""
# Each form begins where it can begin only once in a run of its own characters, or has a length: foreign text of megabytes is
# looked through in time that grows with its size.
_VALUE = re.compile(
    r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"  # AWS and lakeFS key IDs
    r"|\bAKIAJ[0-9A-Z]{15}Q\b"
    # With the private key itself: source code that reads such files names the header alone.
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----(?:\s|\\[nr])+(?:[A-Za-z0-9+/]{16}|Proc-Type:)"
    r"(?s:.*?)(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
    r"|\bgh[pousr]_[A-Za-z0-9]{36,}"
    r"|\bhf_[A-Za-z0-9]{30,}"
    r"|(?<![\w-])eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}"
    r"|[?&](?:X-Amz-Signature|X-Amz-Credential|AWSAccessKeyId|Signature)=[\w%+/=.~-]{6,}"
)
_ANCHORS = (
    *("AKIA", "ASIA", "PRIVATE KEY-----", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "hf_", "eyJ"),
    *("Signature=", "X-Amz-Credential=", "AWSAccessKeyId="),
)
"""Every form carries one of these; looking for them first makes whole code trees cheap to scan."""
_SCHEME = re.compile(r"(?:[a-z][a-z0-9+.-]*:)?(?://)?", re.IGNORECASE)
_AUTHORITY = re.compile(r"[^/?#\\]*")
_HOST = re.compile(r"(?:\[[^\]]*\]|[^:\[\]]*)(?::\d*)?")
_SECRET_QUERY = re.compile(
    r"([?&;](?=[\w.-]*(?:password|passwd|pwd|secret|token|api_?key|access_?key|signature|credential))[\w.-]*=)[^&;#\s]+",
    re.IGNORECASE,
)


def signs(name: str) -> bool:
    """True for a variable that signs evidence, and is neither for the command of a run nor for what builds a package."""
    return name.startswith(SIGNING_KEY) or name in _IDENTITY_TOKENS


def is_secret_name(name: str) -> bool:
    """True for a setting or variable that holds a secret: `fs.s3a.secret.key`, `HF_TOKEN`, `keyPassword`; not `max_tokens`."""
    return _NAME.search(_HUMP.sub("_", name)) is not None


def looks_secret(text: str) -> bool:
    """True for text that contains an access key, a private key, a signed token or a pre-signed address."""
    return secret_at(text) is not None


def secret_at(text: str) -> int | None:
    """Where the first such secret starts in `text`, None where there is none."""
    if not any(anchor in text for anchor in _ANCHORS):
        return None
    match = _VALUE.search(text)
    return match.start() if match else None


def has_userinfo(address: str) -> bool:
    """True for `scheme://user:password@host`, and for a user name alone."""
    return "://" in address and not any(map(str.isspace, address)) and _userinfo_end(address) > 0


def without_userinfo(address: str) -> str:
    """An address without user name, password, and what its query says of secrets; also one that is misspelt.

    >>> without_userinfo("https://ann:secret@mlflow.example.com:5000/x?token=abc")
    'https://mlflow.example.com:5000/x?token=***'
    >>> without_userinfo("postgresql://ann:se/cr@et@db/mlflow")
    'postgresql://db/mlflow'
    """
    if end := _userinfo_end(address):
        scheme = _SCHEME.match(address)
        address = (scheme[0] if scheme else "") + address[end:]
    return _SECRET_QUERY.sub(r"\1***", address)


def _userinfo_end(address: str) -> int:
    """Where the host begins behind an "@"; 0 where the address has none."""
    scheme = _SCHEME.match(address)
    start = scheme.end() if scheme else 0
    authority = _AUTHORITY.match(address, start)
    text = authority[0] if authority else ""
    at = text.rfind("@")
    if at < 0 and not _HOST.fullmatch(text):  # a password with "/", "?" or "#" in it, which should be percent-encoded
        at = address[start:].rfind("@")
    return start + at + 1 if at >= 0 else 0


def redacted(text: str) -> str:
    """`text` with every unmistakable secret replaced by asterisks."""
    return _VALUE.sub("***", text)
