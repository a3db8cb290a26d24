"""The ways in: how our offer reaches the other side and its answer comes back (OpenAI's WebRTC guide).

Each way is one class with `place` and `withdraw`; the HTTP client is handed in. Nothing is asked twice here: what may
be tried again is raised as TryAgain, because a call that was posted may exist although its answer never came, so every
try needs an offer of its own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import field, replace
from typing import Protocol

from rtcli.errors import AuthError, ServerAuthError, Step
from rtcli.protocol import rest, retry
from rtcli.protocol.codec import JsonObject
from rtcli.protocol.refusal import told_delay
from rtcli.protocol.rest import CallAnswer, Endpoint, HttpAnswer, HttpRequest
from rtcli.protocol.secret import Secret
from rtcli.records import dataclass


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

    async def place(self, offer: Awaitable[str], step: StepBegins) -> CallAnswer:
        step("token")
        request = rest.client_secret_request(self.endpoint, self.key, self.session, expires_after=self.expires_after)
        minted = rest.parse_client_secret(await _ask(self.http, request))
        return await ReadyKey(self.http, self.endpoint, minted.value).place(offer, step)

    async def withdraw(self, call_id: str) -> None:
        await _hang_up(self.http, self.endpoint, self.key, call_id)


@dataclass(frozen=True, slots=True)
class ReadyKey:
    """An ephemeral key that somebody else minted, or an API key where the service mints none."""

    http: Http
    endpoint: Endpoint
    key: Secret | None
    model: str | None = None
    """Only for dialects that name it with the call."""

    async def place(self, offer: Awaitable[str], step: StepBegins) -> CallAnswer:
        text = await offer
        step("call")
        request = rest.call_request(self.endpoint, self.key, text, model=self.model)
        return rest.parse_call(await _ask(self.http, request))

    async def withdraw(self, call_id: str) -> None:
        await _hang_up(self.http, self.endpoint, self.key, call_id)


@dataclass(frozen=True, slots=True)
class Direct:
    """The unified interface: offer and session in one request with the API key."""

    http: Http
    endpoint: Endpoint
    key: Secret | None
    session: JsonObject

    async def place(self, offer: Awaitable[str], step: StepBegins) -> CallAnswer:
        text = await offer
        step("call")
        request = rest.direct_call_request(self.endpoint, self.key, text, self.session)
        return rest.parse_call(await _ask(self.http, request))

    async def withdraw(self, call_id: str) -> None:
        await _hang_up(self.http, self.endpoint, self.key, call_id)


@dataclass(frozen=True, slots=True)
class ServerSession:
    """A configured server holds the key and passes the offer on (`POST /session`)."""

    http: Http
    server: str
    headers: Mapping[str, str | Secret] = field(default_factory=dict)

    async def place(self, offer: Awaitable[str], step: StepBegins) -> CallAnswer:
        text = await offer
        step("call")
        with _of_server():
            return rest.parse_call(await _ask(self.http, rest.server_session_request(self.server, text, self.headers)))

    async def withdraw(self, call_id: str) -> None:
        """Only the server could, and the guide's has no request for it."""


@dataclass(frozen=True, slots=True)
class ServerToken:
    """A configured server mints the key (`GET /token`); the offer goes to the service itself."""

    http: Http
    server: str
    endpoint: Endpoint
    """Of the service; the server's own headers do not go there."""
    headers: Mapping[str, str | Secret] = field(default_factory=dict)

    async def place(self, offer: Awaitable[str], step: StepBegins) -> CallAnswer:
        step("token")
        with _of_server():
            answer = await _ask(self.http, rest.server_token_request(self.server, self.headers))
            minted = rest.parse_client_secret(answer)
        return await ReadyKey(self.http, replace(self.endpoint, headers={}), minted.value).place(offer, step)

    async def withdraw(self, call_id: str) -> None:
        """The server has the key that could; the one it minted may be good for one call only."""


@contextmanager
def _of_server() -> Iterator[None]:
    try:
        yield
    except AuthError as error:
        raise ServerAuthError(str(error)) from None


async def _ask(http: Http, request: HttpRequest) -> HttpAnswer:
    """One try. Raises TryAgain where the official SDK would try again, else RtcliError."""
    try:
        answer = await http.ask(replace(request, repeatable=False))
    except retry.ConnectionBroken as error:
        raise retry.TryAgain(error) from None
    if retry.worth_retrying(answer):
        raise retry.TryAgain(rest.parse_error(answer), told_delay(answer.headers))
    return answer


async def _hang_up(http: Http, endpoint: Endpoint, key: Secret | None, call_id: str) -> None:
    request = rest.hangup_request(endpoint, key, call_id)
    if request is not None:
        await http.ask(replace(request, repeatable=False))
