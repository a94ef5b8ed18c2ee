"""Which proxy to go through, by the rules kubectl follows (Go's `httpproxy`).

aiohttp's own reading of the environment sends loopback addresses to the proxy and knows no networks in NO_PROXY, so it
is not used: a simulator on 127.0.0.1 behind HTTP_PROXY would never be reached.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

NO_SOCKS = "SOCKS is not supported; use ssh -L or an http:// proxy"
"""HTTP spoken to a SOCKS port is never answered, and may hand it a token; another library for it would hold every credential."""


def speaks_http(proxy: str) -> bool:
    """Whether a proxy's URL is of one that we can go through."""
    return urlsplit(proxy).scheme.lower() in ("http", "https")


def proxy_for(server: str, environ: Mapping[str, str]) -> str | None:
    """The proxy that the environment names for `server`, or None. Loopback never goes through one."""
    parts = urlsplit(server)
    host = (parts.hostname or "").rstrip(".").lower()
    name = "HTTPS_PROXY" if parts.scheme == "https" else "HTTP_PROXY"
    proxy = environ.get(name) or environ.get(name.lower()) or ""
    if not proxy or _is_loopback(host):
        return None
    port = parts.port or (443 if parts.scheme == "https" else 80)
    excluded = environ.get("NO_PROXY") or environ.get("no_proxy") or ""
    if any(_excludes(each.strip().lower(), host, port) for each in excluded.split(",")):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _is_loopback(host: str) -> bool:
    address = _address(host)
    return host == "localhost" or (address is not None and address.is_loopback)


def _excludes(pattern: str, host: str, port: int) -> bool:
    if not pattern:
        return False
    if pattern == "*":
        return True
    address = _address(host)
    if "/" in pattern:
        try:
            return address is not None and address in ipaddress.ip_network(pattern, strict=False)
        except ValueError:
            return False
    if _address(pattern) is not None:
        return _address(pattern) == address
    name, _, wanted = pattern.rpartition(":") if pattern.rpartition(":")[2].isdigit() else (pattern, "", "")
    if wanted and int(wanted) != port:
        return False
    if address is not None:
        return _address(name.strip("[]")) == address
    bare = name.removeprefix("*").removeprefix(".")
    return host.endswith(f".{bare}") or (host == bare and not name.startswith(("*", ".")))


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
