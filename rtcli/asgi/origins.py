"""Which Host and Origin headers name this machine."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit


def is_loopback_host(host: str) -> bool:
    """A Host header, with or without a port."""
    return _is_loopback(f"//{host}")


def is_loopback_origin(origin: str) -> bool:
    """An Origin header: `http` or `https` on loopback. `null` (a file, a sandboxed frame) is nobody in particular."""
    return origin.startswith(("http://", "https://")) and _is_loopback(origin)


def _is_loopback(url: str) -> bool:
    try:
        parts = urlsplit(url)
        name, _port = parts.hostname or "", parts.port
    except ValueError:
        return False
    if parts.path or parts.query or parts.fragment or "@" in parts.netloc:
        return False
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
