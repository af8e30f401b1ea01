"""Connections to package registries, which all threads of this process share."""

from __future__ import annotations

import functools
import urllib.request
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    import urllib3


@functools.cache
def connections(url: str) -> urllib3.PoolManager:
    """Connections that all threads share, through the proxy that the environment names for this host."""
    import urllib3  # a run whose jars and packages are here needs no connection

    parts = urlsplit(url)
    proxy = urllib.request.getproxies().get(parts.scheme)
    if not proxy or urllib.request.proxy_bypass(parts.netloc):
        return urllib3.PoolManager(maxsize=8)
    user = urlsplit(proxy)
    keys = f"{unquote(user.username)}:{unquote(user.password or '')}" if user.username else None
    headers = urllib3.make_headers(proxy_basic_auth=keys) if keys else None
    return urllib3.ProxyManager(proxy, maxsize=8, proxy_headers=headers)
