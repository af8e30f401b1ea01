"""Signatures and time stamps: the edge to securesystemslib, cryptography and rfc3161-client. Loaded only where something is signed or verified."""

from __future__ import annotations

import os
import sys

from reprolock.model.secrecy import SIGNING_KEY


def _load_securesystemslib() -> None:
    """Load securesystemslib without boto3, unless the signing key is one of AWS.

    It loads the client of every key service that is installed, and boto3, which `reprolock stack` needs, takes longer
    to load than everything else that signs.
    """
    hidden = "boto3" not in sys.modules and not os.environ.get(SIGNING_KEY, "").lower().startswith("awskms:")
    if hidden:
        sys.modules["boto3"] = None  # type: ignore[assignment]  # how Python is told that a package is not there
    try:
        import securesystemslib.signer  # noqa: F401
    finally:
        if hidden:
            del sys.modules["boto3"]


_load_securesystemslib()
