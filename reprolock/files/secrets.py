"""Search everything for the secrets in use on this machine before it is written.

The secrets are known by the name of the variable or setting that they came from. An error names the file or field
and the variable, never the value. Keys are also found base64-coded,
percent-encoded and escaped as JSON and HTML write them.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import quote, quote_plus, unquote, urlsplit

from reprolock.errors import UsageError
from reprolock.model.secrecy import has_userinfo, is_secret_name, redacted, secret_at

SHORTEST = 8
"""Shorter values are not looked for: "1" or "admin" would be found everywhere."""

_HINT = "remove it, and read it from a variable (run.pass_env passes one to the command)"
_NEWLINE = b"\n"


def keys_in(environ: Mapping[str, str], names: Iterable[str] = ()) -> dict[str, str]:
    """The secrets that an environment holds: variables whose name says so, those named, and passwords in addresses."""
    named = set(names)
    keys = {name: value for name, value in environ.items() if name in named or is_secret_name(name)}
    for name, value in environ.items():
        if has_userinfo(value) and (password := _password(value)):
            keys[name] = password
    return keys


class Scanner:
    """Looks for secrets: `check` before anything is written, `redact` before anything is shown."""

    def __init__(self, keys: Mapping[str, str]) -> None:
        """`keys`: name of a variable or setting → the value that must appear nowhere."""
        self._needles = sorted(
            ((needle, name) for name, key in keys.items() if len(key) >= SHORTEST for needle in set(_forms(key))),
            key=lambda pair: (-len(pair[0]), pair),
        )
        lines = {line.strip() for key in keys.values() if "\n" in key for line in key.splitlines()}
        self._lines = sorted((line for line in lines if len(line) >= SHORTEST), key=lambda line: (-len(line), line))

    def check(self, data: bytes | str, where: str, *, lines: bool = True) -> None:
        """UsageError when `data` contains a secret in use, or text that is unmistakably a secret. `where` names the file, or
        with `lines=False` something that has no lines, such as an option."""
        content = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
        for needle, name in self._needles:
            if (position := content.find(needle)) >= 0:
                raise UsageError(
                    f"{_place(where, content, position) if lines else where} carries the value of {name}", hint=_HINT
                )
        if (found := secret_at(content.decode("latin-1"))) is not None:
            place = _place(where, content, found) if lines else where
            raise UsageError(
                f"{place} contains a secret: an access key, a token, a private key or a signed address", hint=_HINT
            )

    def redact(self, text: str) -> str:
        """`text` with asterisks for every secret in use, in any of its forms, and for all that looks like one; also for the
        single lines of a secret that has several: what is printed comes line by line."""
        for needle, _ in self._needles:
            text = text.replace(needle.decode("utf-8", "surrogatepass"), "***")
        for line in self._lines:
            text = text.replace(line, "***")
        return redacted(text)


def _place(where: str, content: bytes, position: int) -> str:
    """`train.py:12` in a text; the name alone where lines mean nothing."""
    return where if b"\0" in content else f"{where}:{content.count(_NEWLINE, 0, position) + 1}"


def _password(address: str) -> str | None:
    try:
        password = urlsplit(address).password
    except ValueError:
        return None
    return unquote(password) if password else None


def _forms(key: str) -> Iterator[bytes]:
    """The secret as it is, and in the encodings that records and logs use."""
    raw = key.encode("utf-8", "surrogatepass")
    quoted = json.dumps(key)[1:-1], json.dumps(key, ensure_ascii=False)[1:-1]
    texts = [key, *quoted, *(text.replace("/", "\\/") for text in quoted), html.escape(key)]
    for encode in (quote, quote_plus):
        encoded = encode(raw, safe="")
        texts += [encoded, re.sub("%..", lambda match: match[0].lower(), encoded)]
    yield from (text.encode("utf-8", "surrogatepass") for text in texts)
    for before in range(3):
        # Inside a longer text the secret starts at one of three positions in base64's groups of three
        # bytes; the characters that neighbours have a part in are cut off at both ends.
        first = (0, 2, 3)[before]
        last = (before + len(raw)) * 8 // 6
        for encode_base64 in (base64.b64encode, base64.urlsafe_b64encode):
            form = encode_base64(b"\0" * before + raw)[first:last]
            if len(form) >= SHORTEST:
                yield form
