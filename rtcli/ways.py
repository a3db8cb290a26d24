"""The ways in: from settings and keys to what takes an offer to its other side.

The service, a server of the user, the sandbox in this process, or a ready key.

Part of the composition root beside `wiring`: heavy libraries are reached only inside functions.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import field, replace
from typing import TYPE_CHECKING

from rtcli import services, wiring
from rtcli.errors import AuthError, UsageError
from rtcli.protocol.hosts import host_of
from rtcli.records import dataclass
from rtcli.sessions import NO_WISH, SessionWish, changes_for, session_for, speaks_of_session
from rtcli.settings import Settings


if TYPE_CHECKING:
    from rtcli.call import Call, Signalling
    from rtcli.joined import JoinedCall
    from rtcli.keys import FoundKey
    from rtcli.protocol.codec import JsonObject
    from rtcli.protocol.conversation import Plan
    from rtcli.protocol.dialects import Dialect
    from rtcli.protocol.rest import ClientSecret, Endpoint
    from rtcli.protocol.secret import Secret
    from rtcli.protocol.usage import Price
    from rtcli.transport.http import Http
    from rtcli.wiring import Sound


@dataclass(frozen=True, slots=True)
class WayIn:
    """How a call reaches its other side, and what that means for its session."""

    signalling: Signalling
    url: str
    """Where the offer goes."""
    described: str
    """A fragment for people."""
    dialect: Dialect
    """Of the events on the channel."""
    update: JsonObject | None = None
    """The session, where it can only follow as an event."""
    notices: tuple[str, ...] = ()
    session: JsonObject = field(default_factory=dict)
    """What is asked for, as far as it is decided here."""


@asynccontextmanager
async def way_in(
    settings: Settings, *, sandbox: bool, ready_key: FoundKey | None = None, wish: SessionWish = NO_WISH
) -> AsyncIterator[WayIn]:
    """The way the settings ask for; what stands behind it is closed on leaving. Raises UsageError, AuthError."""
    ready_key = _one_way(settings, sandbox=sandbox, ready_key=ready_key)
    http = services.http_client(settings)
    try:
        if sandbox:
            async with _sandbox_way(settings, http, wish) as way:
                yield way
        elif ready_key:
            yield _ready_key_way(settings, http, ready_key.secret, wish)
        elif settings.server:
            yield _server_way(settings, http, settings.server, wish)
        else:
            yield await _service_way(settings, http, wish)
    finally:
        await http.close()


def ready_key(*, from_stdin: bool) -> FoundKey | None:
    """An ephemeral key that somebody else minted: one line of standard input, or RTCLI_EPHEMERAL_KEY.

    Raises AuthError when there is none or it can not be one, UsageError when it would be typed for all to see.
    """
    from rtcli.keys import FoundKey, checked

    if from_stdin:
        if wiring.stdin_is_terminal():
            raise UsageError("--token-stdin reads a pipe, and standard input is a terminal")
        text = "" if sys.stdin is None else sys.stdin.readline(_MAX_KEY)
        if not text.strip():
            raise AuthError("standard input holds no key")
        return FoundKey(checked(text, _STDIN), _STDIN)
    text = os.environ.get(_VARIABLE, "")
    return FoundKey(checked(text, _VARIABLE), _VARIABLE) if text.strip() else None


_MAX_KEY = 65_536
"""Characters; a gateway's key may be a long encrypted blob."""
_STDIN = "standard input"
_VARIABLE = "RTCLI_EPHEMERAL_KEY"
_OTHER_WAYS = {"direct": "--direct", "server": "--server"}
_OTHER_SERVICES = {"base_url": "--base-url", "dialect": "--dialect"}


def _one_way(settings: Settings, *, sandbox: bool, ready_key: FoundKey | None) -> FoundKey | None:
    """The ready key, if it is what counts: the command line wins against the environment, that against the file.

    Raises UsageError when two ways are asked for in the same place.
    """

    def refuse(way: str, others: dict[str, str]) -> None:
        named = [option for name, option in others.items() if settings.origin(name) == "flag"]
        if named:
            raise UsageError(f"{way} and {named[0]} exclude one another")

    piped = ready_key is not None and ready_key.origin == _STDIN
    if sandbox:
        refuse("--sandbox", _OTHER_WAYS | _OTHER_SERVICES)
        if piped:
            raise UsageError("--sandbox and --token-stdin exclude one another")
        return None
    if piped:
        refuse("--token-stdin", _OTHER_WAYS)
        return ready_key
    origins = {settings.origin(name) for name in _OTHER_WAYS}
    variables = sorted(origin for origin in origins if origin.startswith("RTCLI_"))
    if ready_key is not None and "flag" not in origins and variables:
        raise UsageError(f"{_VARIABLE} and {variables[0]} exclude one another")
    return None if "flag" in origins else ready_key


@asynccontextmanager
async def _sandbox_way(settings: Settings, http: Http, wish: SessionWish) -> AsyncIterator[WayIn]:
    """The default way against the stand-in in this process, which never sees a real key."""
    from rtcli.keys import PLACEHOLDER
    from rtcli.protocol.dialects import OPENAI
    from rtcli.protocol.rest import Endpoint
    from rtcli.sandbox.loopback import raise_loopback
    from rtcli.transport.signalling import EphemeralKey

    raised = raise_loopback()
    session = session_for(replace(settings, dialect=OPENAI.name), wish)
    made, _ = await asyncio.gather(asyncio.to_thread(wiring.make_engine, None), wiring.load_webrtc())
    server = wiring.sandbox_server(made.engine)
    try:
        url = await asyncio.to_thread(server.start)
        notices = tuple(notice for notice in (raised, made.notice) if notice)
        signalling = EphemeralKey(http, Endpoint(url), PLACEHOLDER, session)
        described = f"sandbox, {made.engine.name} (English only)"
        yield WayIn(signalling, url, described, OPENAI, notices=notices, session=session)
    finally:
        await asyncio.to_thread(server.stop)
        made.engine.close()


def _ready_key_way(settings: Settings, http: Http, key: Secret, wish: SessionWish) -> WayIn:
    from rtcli.keys import refuse_plain_http
    from rtcli.transport.signalling import ReadyKey

    there = _minting(settings)
    refuse_plain_http(settings.base_url)
    described = f"{host_of(settings.base_url)}, ready key"
    update = changes_for(settings, wish)
    return WayIn(ReadyKey(http, there, key), settings.base_url, described, there.dialect, update)


def _server_way(settings: Settings, http: Http, server: str, wish: SessionWish) -> WayIn:
    from rtcli.keys import refuse_plain_http
    from rtcli.transport.signalling import ServerSession, ServerToken

    headers, update = services.own_headers(settings), changes_for(settings, wish)
    if settings.server_mode != "token":
        dialect = services.endpoint(settings).dialect
        return WayIn(ServerSession(http, server, headers), server, host_of(server), dialect, update)
    there = _minting(settings)
    for url in (server, settings.base_url):
        refuse_plain_http(url)
    described = f"{host_of(server)} for the key, {host_of(settings.base_url)}"
    return WayIn(ServerToken(http, server, there, headers), settings.base_url, described, there.dialect, update)


async def _service_way(settings: Settings, http: Http, wish: SessionWish) -> WayIn:
    from rtcli.keys import refuse_plain_http
    from rtcli.transport.signalling import Direct, EphemeralKey

    session = session_for(settings, wish)
    there = services.endpoint(settings)
    if not there.dialect.mints:
        return await _keyless_way(settings, http, there, session)
    if not settings.direct:
        refuse_plain_http(settings.base_url)
    there, key = await services.with_key(settings, has_terminal=wiring.stdin_is_terminal())
    signalling = (Direct if settings.direct else EphemeralKey)(http, there, key, session)
    model = session.get("model", settings.model)
    described = f"{host_of(settings.base_url)}, {model}"
    notices = _unwritten(there.dialect, session)
    return WayIn(signalling, settings.base_url, described, there.dialect, notices=notices, session=session)


async def _keyless_way(settings: Settings, http: Http, there: Endpoint, session: JsonObject) -> WayIn:
    """A service without ephemeral keys: the offer goes with the API key, if any, and the session follows it."""
    from rtcli.transport.signalling import ReadyKey

    if settings.origin("model") == "flag" and not there.dialect.names_model:
        raise UsageError(f"--model can not be chosen here: in the dialect {there.dialect.name} the server has its own")
    model = session.get("model", settings.model) if there.dialect.names_model else None
    described = ", ".join(filter(None, (host_of(settings.base_url), model)))
    said = {name: value for name, value in session.items() if name != "model"}
    there, key = await services.with_key(settings, has_terminal=wiring.stdin_is_terminal())
    update = said if said.keys() - {"type"} else None
    signalling = ReadyKey(http, there, key, model)
    return WayIn(signalling, settings.base_url, described, there.dialect, update, session=session)


def _unwritten(dialect: Dialect, session: JsonObject) -> tuple[str, ...]:
    """What a user of Azure should know who speaks and sees only the answers."""
    from rtcli.protocol.session_config import value_at

    silent = session.get("output_modalities") == ["text"] or value_at(session, "audio.input.transcription")
    if not dialect.foreign or silent:
        return ()
    return ("what you say will not be written down: --transcribe names the deployment that does it",)


async def mint(settings: Settings, wish: SessionWish = NO_WISH, *, expires_after: int | None = None) -> ClientSecret:
    """An ephemeral key, from the service or from an app server. `expires_after`: seconds.

    Raises UsageError where there is none to be had, or where the server alone decides what was asked for.
    """
    from rtcli.keys import refuse_plain_http
    from rtcli.protocol import rest

    refuse_plain_http(settings.server or settings.base_url)
    async with services.http_client(settings) as http:
        if settings.server:
            if expires_after is not None or speaks_of_session(settings, wish):
                raise UsageError(f"{host_of(settings.server)} decides what its keys are for and how long they live")
            request = rest.server_token_request(settings.server, services.own_headers(settings))
        else:
            _minting(settings)
            session = session_for(settings, wish)
            there, key = await services.with_key(settings, has_terminal=wiring.stdin_is_terminal())
            request = rest.client_secret_request(there, key, session, expires_after=expires_after)
        return rest.parse_client_secret(await http.ask(request))


def _minting(settings: Settings) -> Endpoint:
    """The service, if it has ephemeral keys. Raises UsageError."""
    there = services.endpoint(settings)
    if not there.dialect.mints:
        raise UsageError(f"a service of the dialect {there.dialect.name} mints no keys")
    return there


def make_call(way: WayIn, sound: Sound, plan: Plan, settings: Settings, *, name: str = "1") -> Call:
    from rtcli.call import Call

    parts = wiring.call_parts(way.signalling, way.url, sound, settings)
    if way.dialect.beta:
        from rtcli.transport.speaches import speaking_speaches

        parts = replace(parts, peer=speaking_speaches(parts.peer))
    plan = replace(plan, update=way.update, filtered=way.dialect.only is not None)
    return Call(parts, plan, name=name, connect_timeout=settings.connect_timeout)


@asynccontextmanager
async def sideband_call(
    settings: Settings,
    call_id: str,
    *,
    answers_functions: bool = False,
    prices: Mapping[str, Price] | None = None,
    ends_call: bool = False,
) -> AsyncIterator[JoinedCall]:
    """A call that somebody else opened, joined by its id over the service's WebSocket. Raises UsageError, AuthError.

    The options are a `JoinedCall`'s.
    """
    from rtcli.joined import JoinedCall
    from rtcli.keys import refuse_plain_http
    from rtcli.protocol import rest

    rest.checked_call_id(call_id)
    refuse_plain_http(settings.base_url)
    there, key = await services.with_key(settings, has_terminal=wiring.stdin_is_terminal())
    async with services.http_client(settings) as http:

        async def hang_up() -> None:
            request = rest.hangup_request(there, key, call_id)
            if request is None:
                raise UsageError(f"a service of the dialect {there.dialect.name} ends no call by its id")
            answer = await http.ask(request)
            if not 200 <= answer.status < 300:
                raise rest.parse_error(answer)

        channel = wiring.sideband(rest.sideband_request(there, key, call_id), call_id, hang_up, settings)
        yield JoinedCall(
            channel,
            connect_timeout=settings.connect_timeout,
            answers_functions=answers_functions,
            prices=prices,
            ends_call=ends_call,
        )


def followed_call(there: Endpoint, key: Secret | None, call_id: str, settings: Settings) -> JoinedCall:
    """A call that was opened under this key, to be looked at and left as it is. Called on the loop it lives on."""
    from rtcli.joined import JoinedCall
    from rtcli.protocol import rest

    async def hang_up() -> None:
        raise UsageError("a call that is only followed is not ended")

    request = rest.sideband_request(there, key, rest.checked_call_id(call_id))
    return JoinedCall(wiring.sideband(request, call_id, hang_up, settings), connect_timeout=settings.connect_timeout)
