"""The page's files, read once: no path of a request ever reaches the file system."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from urllib.parse import urlsplit

from starlette.responses import Response

from rtcli.server.config import Config


_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}


def page_files(config: Config) -> dict[str, Response]:
    """By name. The page may load what is here, and connect to us and to where its offers go."""
    calls = urlsplit(config.calls_url)
    connects = " ".join(filter(None, ("'self'", f"{calls.scheme}://{calls.netloc}" if calls.netloc else "")))
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; "
        f"connect-src {connects}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    headers = {
        "Content-Security-Policy": policy,
        "Cache-Control": "no-cache",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "microphone=(self), speaker-selection=(self), camera=(), geolocation=()",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
    return {name: Response(body, media_type=_type(name), headers=headers) for name, body in _contents().items()}


def _type(name: str) -> str:
    return _TYPES[name.rpartition(".")[2]]


@cache
def _contents() -> dict[str, bytes]:
    folder = files("rtcli.server").joinpath("page")
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.name.rpartition(".")[2] in _TYPES}
