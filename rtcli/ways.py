"""The ways in: from settings and keys to what takes an offer to its other side.

The service, a server of the user, the sandbox in this process, or a ready key.

Part of the composition root beside `wiring`: heavy libraries are reached only inside functions.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rtcli import wiring
from rtcli.errors import AuthError, UsageError
from rtcli.protocol.hosts import host_of
from rtcli.sessions import NO_WISH, SessionWish, changes_for, session_for, speaks_of_session
from rtcli.settings import Settings


if TYPE_CHECKING:
    from rtcli.call import Call, Signalling
    from rtcli.keys import FoundKey
    from rtcli.protocol.codec import JsonObject
    from rtcli.protocol.conversation import Plan
    from rtcli.protocol.rest import ClientSecret, Endpoint, HttpRequest
    from rtcli.protocol.secret import Secret
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
    update: JsonObject | None = None
    """The session, where it can only follow as an event."""
    filtered: bool = False
    notices: tuple[str, ...] = ()


@asynccontextmanager
async def way_in(
    settings: Settings, *, sandbox: bool, ready_key: Secret | None = None, wish: SessionWish = NO_WISH
) -> AsyncIterator[WayIn]:
    """The way the settings ask for; what stands behind it is closed on leaving. Raises UsageError, AuthError."""
    http = wiring.http_client(settings)
    try:
        if sandbox:
            async with _sandbox_way(settings, http, wish) as way:
                yield way
        elif ready_key:
            yield _ready_key_way(settings, http, ready_key, wish)
        elif settings.server:
            yield _server_way(settings, http, settings.server, wish)
        else:
            yield await _service_way(settings, http, wish)
    finally:
        await http.close()


def ready_key(*, from_stdin: bool) -> Secret | None:
    """An ephemeral key that somebody else minted: one line of standard input, or RTCLI_EPHEMERAL_KEY."""
    from rtcli.keys import checked

    if from_stdin:
        text = "" if sys.stdin is None else sys.stdin.readline(_MAX_KEY)
        if not text.strip():
            raise AuthError("standard input holds no key")
        return checked(text, "standard input")
    text = os.environ.get("RTCLI_EPHEMERAL_KEY", "")
    return checked(text, "RTCLI_EPHEMERAL_KEY") if text.strip() else None


_MAX_KEY = 65_536
"""Characters; a gateway's key may be a long encrypted blob."""


@asynccontextmanager
async def _sandbox_way(settings: Settings, http: Http, wish: SessionWish) -> AsyncIterator[WayIn]:
    """The default way against the stand-in in this process, which never sees a real key."""
    from rtcli.keys import PLACEHOLDER
    from rtcli.protocol.rest import Endpoint
    from rtcli.sandbox.loopback import raise_loopback
    from rtcli.transport.signalling import EphemeralKey

    raised = raise_loopback()
    session = session_for(settings, wish)
    made = await asyncio.to_thread(wiring.make_engine, None)
    server = wiring.sandbox_server(made.engine)
    try:
        url = await asyncio.to_thread(server.start)
        notices = tuple(notice for notice in (raised, made.notice) if notice)
        signalling = EphemeralKey(http, Endpoint(url), PLACEHOLDER, session)
        yield WayIn(signalling, url, f"sandbox, {made.engine.name} (English only)", notices=notices)
    finally:
        await asyncio.to_thread(server.stop)
        made.engine.close()


def _ready_key_way(settings: Settings, http: Http, key: Secret, wish: SessionWish) -> WayIn:
    from rtcli.keys import refuse_plain_http
    from rtcli.transport.signalling import ReadyKey

    refuse_plain_http(settings.base_url)
    described = f"{host_of(settings.base_url)}, ready key"
    signalling = ReadyKey(http, endpoint(settings), key)
    return WayIn(
        signalling, settings.base_url, described, update=changes_for(settings, wish), filtered=_filtered(settings)
    )


def _server_way(settings: Settings, http: Http, server: str, wish: SessionWish) -> WayIn:
    from rtcli.transport.signalling import ServerSession, ServerToken

    headers = _headers(settings)
    if settings.server_mode == "token":
        token = ServerToken(http, server, endpoint(settings), headers)
        described = f"{host_of(server)} for the key, {host_of(settings.base_url)}"
        return WayIn(
            token, settings.base_url, described, update=changes_for(settings, wish), filtered=_filtered(settings)
        )
    return WayIn(ServerSession(http, server, headers), server, host_of(server), update=changes_for(settings, wish))


async def _service_way(settings: Settings, http: Http, wish: SessionWish) -> WayIn:
    from rtcli.transport.signalling import Direct, EphemeralKey, ReadyKey

    there = endpoint(settings)
    found = await asyncio.to_thread(_api_key, settings)
    key = found.secret if found else None
    session = session_for(settings, wish)
    model = session.get("model", settings.model)
    described = f"{host_of(settings.base_url)}, {model}"
    filtered = _filtered(settings)
    if settings.direct and there.dialect.multipart:
        return WayIn(Direct(http, there, key, session), settings.base_url, described, filtered=filtered)
    if there.dialect.mints:
        return WayIn(EphemeralKey(http, there, key, session), settings.base_url, described, filtered=filtered)
    signalling = ReadyKey(http, there, key, model=model)
    return WayIn(signalling, settings.base_url, described, update=session, filtered=filtered)


async def mint(settings: Settings, wish: SessionWish = NO_WISH, *, expires_after: int | None = None) -> ClientSecret:
    """An ephemeral key, from the service or from an app server. `expires_after`: seconds.

    Raises UsageError where there is none to be had, or where the server alone decides what was asked for.
    """
    from rtcli.protocol import rest

    async with wiring.http_client(settings) as http:
        if settings.server:
            if expires_after is not None or speaks_of_session(settings, wish):
                raise UsageError(f"{host_of(settings.server)} decides what its keys are for and how long they live")
            request = rest.server_token_request(settings.server, _headers(settings))
        else:
            request = await asyncio.to_thread(_mint_request, settings, wish, expires_after)
        return rest.parse_client_secret(await http.ask(request))


def _mint_request(settings: Settings, wish: SessionWish, expires_after: int | None) -> HttpRequest:
    from rtcli.protocol.rest import client_secret_request

    there = endpoint(settings)
    if not there.dialect.mints:
        raise UsageError(f"a service of the dialect {settings.dialect} mints no keys")
    session = session_for(settings, wish)
    found = _api_key(settings)
    return client_secret_request(there, found.secret if found else None, session, expires_after=expires_after)


def endpoint(settings: Settings) -> Endpoint:
    """The service, and what goes along with every request to it."""
    from rtcli.protocol.dialects import DIALECTS
    from rtcli.protocol.rest import Endpoint

    hashed = settings.safety_id_hash
    return Endpoint(
        settings.base_url,
        DIALECTS[settings.dialect],
        headers=_headers(settings),
        organization=os.environ.get("OPENAI_ORG_ID") or None,
        project=os.environ.get("OPENAI_PROJECT_ID") or None,
        safety_id=hashlib.sha256(hashed.encode()).hexdigest() if hashed else settings.safety_id,
    )


def _headers(settings: Settings) -> dict[str, str | Secret]:
    return {name: value.reveal(os.environ) for name, value in settings.headers.items()}


def _api_key(settings: Settings) -> FoundKey | None:
    from rtcli.keys import key_for

    return key_for(
        settings.base_url,
        settings.dialect,
        environ=os.environ,
        profile=settings.profile,
        has_terminal=wiring.stdin_is_terminal(),
    )


def _filtered(settings: Settings) -> bool:
    from rtcli.protocol.dialects import DIALECTS

    return DIALECTS[settings.dialect].only is not None


def make_call(way: WayIn, sound: Sound, plan: Plan, settings: Settings) -> Call:
    from rtcli.call import Call

    plan = replace(plan, update=way.update, filtered=way.filtered)
    return Call(
        wiring.call_parts(way.signalling, way.url, sound, settings), plan, connect_timeout=settings.connect_timeout
    )
