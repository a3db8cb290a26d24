"""What an app server is set up with: by `rtcli serve`, by a program, or from the environment under any ASGI host."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import field
from http.cookies import CookieError, SimpleCookie
from typing import Literal
from urllib.parse import urlsplit

from rtcli import services
from rtcli.errors import UsageError
from rtcli.protocol.codec import JsonObject
from rtcli.protocol.hosts import check_url
from rtcli.protocol.rest import Endpoint
from rtcli.protocol.secret import Secret
from rtcli.records import dataclass
from rtcli.sessions import session_for
from rtcli.settings import config_path, resolve
from rtcli.transport.http import Http


ALLOW_ORIGIN, SECRET, SAFETY_ID_FROM = "RTCLI_ALLOW_ORIGIN", "RTCLI_SERVE_SECRET", "RTCLI_SAFETY_ID_FROM"
_SHORTEST_SECRET = 16
"""Characters."""


@dataclass(frozen=True, slots=True)
class SafetyFrom:
    """Where a request says whom it is made for: a header that a proxy in front sets, or a cookie of the application."""

    kind: Literal["header", "cookie"]
    name: str

    @classmethod
    def parsed(cls, text: str) -> SafetyFrom:
        """`header:NAME` or `cookie:NAME`. Raises UsageError."""
        kind, _, name = text.partition(":")
        if not name or not name.isascii() or not name.isprintable():
            raise UsageError(f"not header:NAME or cookie:NAME: {text[:80]!r}")
        match kind:
            case "header" | "cookie":
                return cls(kind, name)
            case _:
                raise UsageError(f"not header:NAME or cookie:NAME: {text[:80]!r}")

    def identifier(self, headers: Mapping[str, str]) -> str | None:
        """The SHA-256 of what it says, in hex: stable, and no name. None: it says nothing."""
        value = headers.get(self.name) if self.kind == "header" else _cookies(headers).get(self.name)
        return hashlib.sha256(value.encode()).hexdigest() if value else None


def _cookies(headers: Mapping[str, str]) -> dict[str, str]:
    try:
        parsed = SimpleCookie(headers.get("cookie", ""))
    except CookieError:
        return {}
    return {name: morsel.value for name, morsel in parsed.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    endpoint: Endpoint
    """The service behind this server."""
    key: Secret | None
    """Its API key."""
    session: JsonObject = field(repr=False)
    """Of every call that does not bring one."""
    http: Http
    origins: frozenset[str] = frozenset()
    """Of pages elsewhere that may ask: `http://localhost:5173`."""
    secret: Secret | None = None
    """What a request must show. Without one only this machine is answered."""
    safety_from: SafetyFrom | None = None
    mints_a_second: float = 5.0
    """Keys and calls, together, of one worker."""
    mints_at_once: int = 20
    relays_calls: bool = False
    """The page posts its calls here even with a key of its own, so that each of them is seen."""
    on_call: Callable[[str], Awaitable[None]] | None = None
    """Gets the id of every call that goes through here; its answer is passed on afterwards."""

    async def close(self) -> None:
        """Connections to the service are kept until then."""
        await self.http.close()

    @property
    def calls_url(self) -> str:
        """Where a page posts its offer with an ephemeral key."""
        return "/v1/realtime/calls" if self.relays_calls else self.endpoint.calls_url


def parsed_origin(text: str) -> str:
    """`http://localhost:5173` as browsers write it. Raises UsageError."""
    url = check_url(text)
    parts = urlsplit(url)
    if parts.path or parts.query:
        raise UsageError(f"an origin is scheme, host and port, without a path: {text[:200]!r}")
    default = {"http": ":80", "https": ":443"}[parts.scheme]
    return f"{parts.scheme}://{parts.netloc.lower().removesuffix(default)}"


def checked_secret(text: str) -> Secret:
    """Raises UsageError when it can not be sent or can be guessed."""
    if len(text) < _SHORTEST_SECRET or not all(
        "!" <= character <= "~" and character not in ';,"\\' for character in text
    ):
        raise UsageError(f"{SECRET} needs {_SHORTEST_SECRET} or more letters and figures")
    return Secret(text)


def own_options(environ: Mapping[str, str]) -> tuple[frozenset[str], Secret | None, SafetyFrom | None]:
    """Origins, secret and the source of the safety identifier, as the environment has them. Raises UsageError."""
    origins = frozenset(map(parsed_origin, environ.get(ALLOW_ORIGIN, "").split()))
    secret = environ.get(SECRET, "").strip()
    source = environ.get(SAFETY_ID_FROM, "").strip()
    return origins, checked_secret(secret) if secret else None, SafetyFrom.parsed(source) if source else None


def from_environment() -> Config:
    """For ASGI hosts: `RTCLI_*` and the configuration file say what `rtcli serve` takes as options.

    Raises UsageError, AuthError.
    """
    settings = resolve({}, environ=os.environ, config_file=config_path(os.environ), profile=None)
    endpoint, key = services.with_key_now(settings, has_terminal=False)
    origins, secret, source = own_options(os.environ)
    return Config(
        endpoint=endpoint,
        key=key,
        session=session_for(settings),
        http=services.http_client(settings),
        origins=origins,
        secret=secret,
        safety_from=source,
    )
