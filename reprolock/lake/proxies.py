"""Find the proxy for an address in the environment.

One rule for all that goes to a lake or to its object store: credentials and signed addresses take no other way than this one.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit


def proxy_for(endpoint: str, environ: Mapping[str, str]) -> str | None:
    """The proxy for an endpoint, by HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY; never for loopback."""
    # Only a project on a lakeFS server needs it, and it costs as much as all the rest of this module.
    from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]

    parts = urlsplit(endpoint)
    settings = {
        name.lower().removesuffix("_proxy"): value for name, value in environ.items() if name.lower().endswith("_proxy")
    }
    if _is_loopback(parts.hostname or "") or proxy_bypass_environment(parts.netloc, settings):
        return None
    return settings.get(parts.scheme) or settings.get("all") or None


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
