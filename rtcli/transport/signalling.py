"""The ways in: how our offer reaches the other side and its answer comes back (OpenAI's WebRTC guide).

Each way is one class with `place`; the HTTP client is handed in. A new offer is needed for every try: a call that was
posted may exist although its answer never came.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from rtcli.errors import Step
from rtcli.protocol import rest
from rtcli.protocol.codec import JsonObject
from rtcli.protocol.rest import CallAnswer, Endpoint, HttpAnswer, HttpRequest
from rtcli.protocol.secret import Secret


StepBegins = Callable[[Step], None]


class Http(Protocol):
    """What is needed of an HTTP client."""

    async def ask(self, request: HttpRequest) -> HttpAnswer:
        """The answer, whatever its status. Raises RtcliError when there is none."""


@dataclass(frozen=True, slots=True)
class EphemeralKey:
    """The default: mint an ephemeral key with the API key, then post the bare offer with it."""

    http: Http
    endpoint: Endpoint
    key: Secret | None
    session: JsonObject
    expires_after: int | None = None
    """Seconds; None leaves it to the service."""

    async def place(self, offer: str, step: StepBegins) -> CallAnswer:
        step("token")
        request = rest.client_secret_request(self.endpoint, self.key, self.session, expires_after=self.expires_after)
        minted = rest.parse_client_secret(await self.http.ask(request))
        return await ReadyKey(self.http, self.endpoint, minted.value).place(offer, step)


@dataclass(frozen=True, slots=True)
class ReadyKey:
    """An ephemeral key that somebody else minted, or an API key where the service mints none."""

    http: Http
    endpoint: Endpoint
    key: Secret | None
    model: str | None = None
    """Only for dialects that name it with the call."""

    async def place(self, offer: str, step: StepBegins) -> CallAnswer:
        step("call")
        request = rest.call_request(self.endpoint, self.key, offer, model=self.model)
        return rest.parse_call(await self.http.ask(request))


@dataclass(frozen=True, slots=True)
class Direct:
    """The unified interface: offer and session in one request with the API key."""

    http: Http
    endpoint: Endpoint
    key: Secret | None
    session: JsonObject

    async def place(self, offer: str, step: StepBegins) -> CallAnswer:
        step("call")
        request = rest.direct_call_request(self.endpoint, self.key, offer, self.session)
        return rest.parse_call(await self.http.ask(request))


@dataclass(frozen=True, slots=True)
class ServerSession:
    """A configured server holds the key and passes the offer on (`POST /session`)."""

    http: Http
    server: str
    headers: Mapping[str, str | Secret] = field(default_factory=dict)

    async def place(self, offer: str, step: StepBegins) -> CallAnswer:
        step("call")
        return rest.parse_call(await self.http.ask(rest.server_session_request(self.server, offer, self.headers)))


@dataclass(frozen=True, slots=True)
class ServerToken:
    """A configured server mints the key (`GET /token`); the offer goes to the service itself."""

    http: Http
    server: str
    endpoint: Endpoint
    """Of the service; the server's own headers do not go there."""
    headers: Mapping[str, str | Secret] = field(default_factory=dict)

    async def place(self, offer: str, step: StepBegins) -> CallAnswer:
        step("token")
        minted = rest.parse_client_secret(await self.http.ask(rest.server_token_request(self.server, self.headers)))
        return await ReadyKey(self.http, replace(self.endpoint, headers={}), minted.value).place(offer, step)
