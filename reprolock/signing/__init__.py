"""Signatures and time stamps: the edge to securesystemslib, cryptography and rfc3161-client. Loaded only where something is signed or verified."""
