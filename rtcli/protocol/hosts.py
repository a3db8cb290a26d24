"""Where a request may go, and what it may carry there."""

from __future__ import annotations

import re
from ipaddress import IPv6Address, ip_address
from urllib.parse import SplitResult, urlencode, urljoin, urlsplit, urlunsplit

from rtcli.errors import UsageError


DEFAULT_BASE_URL = "https://api.openai.com/v1"
_HOST = re.compile(r"[\w.:%-]+")
"""Anything else, a backslash above all, is read as another host by another reader of URLs."""
_PORTS = {"http": 80, "https": 443}
_KEY_HOSTS = ("api.openai.com", ".openai.azure.com", ".cognitiveservices.azure.com", ".services.ai.azure.com")


def check_url(url: str) -> str:
    """The URL without fragment and trailing slash. Raises UsageError when no HTTP request can go there.

    A name and password in the URL are refused: they would show up wherever the URL does.
    """
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise UsageError("not a URL: the host or the port is malformed") from None
    if "@" in parts.netloc:
        raise UsageError(f"the URL of {host} holds a name or a password")
    if parts.scheme not in _PORTS or not _HOST.fullmatch(host) or port == 0:
        raise UsageError(f"not an http or https URL: {url.strip()[:200]!r}")
    return urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/"), parts.query, ""))


def join(base_url: str, path: str, query: dict[str, str] | None = None) -> str:
    """`base_url` with `path` (and `query`) appended; a query the base has stays."""
    parts = urlsplit(base_url)
    pairs = "&".join(filter(None, (parts.query, urlencode(query or {}))))
    return urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/") + path, pairs, ""))


def host_of(url: str) -> str:
    return urlsplit(url).hostname or ""


def is_loopback(host: str) -> bool:
    """Whether this is surely this machine: `localhost` or a loopback address; another name would need a lookup."""
    if host.lower() == "localhost":
        return True
    try:
        address = ip_address(host.strip("[]"))
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback


def key_may_travel(url: str) -> bool:
    """Whether a key may be sent there: encrypted, or not leaving this machine."""
    parts = urlsplit(url)
    return parts.scheme == "https" or is_loopback(parts.hostname or "")


def key_demanded(base_url: str) -> bool:
    """Whether a call there is pointless without a key: OpenAI and Azure."""
    host = host_of(base_url)
    return any(host == known or (known[0] == "." and host.endswith(known)) for known in _KEY_HOSTS)


def redirect_target(url: str, location: str) -> str | None:
    """Where a redirect leads, or None when it does not lead to an HTTP server."""
    try:
        target = urlsplit(urljoin(url, location))
        named = bool(_HOST.fullmatch(target.hostname or "")) and "@" not in target.netloc
        usable = target.scheme in _PORTS and named and target.port != 0
    except ValueError:
        return None
    return urlunsplit(target._replace(fragment="")) if usable else None


def same_server(url: str, target: str) -> bool:
    """Whether what was sent to `url` may go on to `target`: the same host and port, or its encrypted twin."""
    old, new = urlsplit(url), urlsplit(target)
    if old.hostname != new.hostname:
        return False
    same = (old.scheme, _port(old)) == (new.scheme, _port(new))
    upgraded = (old.scheme, _port(old), new.scheme, _port(new)) == ("http", 80, "https", 443)
    return same or upgraded


def _port(parts: SplitResult) -> int:
    return parts.port or _PORTS.get(parts.scheme, 0)
