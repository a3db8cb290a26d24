"""Requests out, answers in: the only file that knows httpx.

What to ask and how to read the answer is `protocol.rest`, when to ask again `protocol.retry`; this file sends, within
limits, and turns every way a connection can fail into one line that names the host and no key. Redirects are followed
here and not by httpx, because httpx drops a known header on the way to another host and we refuse to go there.
"""

from __future__ import annotations

import asyncio
import errno
import random
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from functools import cached_property
from http import HTTPStatus
from typing import Self
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

from rtcli.errors import ConnectError, ServiceError, UsageError
from rtcli.protocol import hosts, retry
from rtcli.protocol.refusal import one_line
from rtcli.protocol.rest import HttpAnswer, HttpRequest
from rtcli.protocol.secret import Secret
from rtcli.records import dataclass


MAX_BODY = 1 << 20
"""Bytes of an answer. An SDP answer has about 2 kB, a session with a long prompt and tools perhaps 100 kB."""
MAX_REDIRECTS = 3
_BROKEN_OFF = ("Server disconnected", "peer closed connection")
"""How httpcore and h11 begin to tell of a connection that ended too early; other words are about what was said."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds."""

    connect: float = 10.0
    """For name, TCP and TLS."""
    silence: float = 30.0
    """Without a byte from the other side."""
    total: float = 60.0
    """For one try, whatever trickles in."""


class Http:
    """A client for one run of the program. Connections are kept from request to request."""

    def __init__(
        self,
        *,
        proxy: Secret | None = None,
        ca_bundle: str | None = None,
        limits: Limits | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Opens nothing yet.

        `proxy`: a URL; without it the environment's proxies are used. Neither is ever used for loopback.
        `ca_bundle`: a PEM file trusted instead of the default authorities.
        """
        self._proxy = proxy
        self._ca_bundle = ca_bundle
        self._limits = limits or Limits()
        self._sleep = sleep

    async def ask(self, request: HttpRequest) -> HttpAnswer:
        """The answer, whatever its status; a repeatable request is tried again as `protocol.retry` says.

        Raises ConnectError when there is none, ServiceError when it is too large or leads to another host, UsageError
        when a key would travel unencrypted or the proxy or CA file is unusable.
        """
        for attempt in range(retry.MAX_RETRIES if request.repeatable else 0):
            jitter = random.random()  # noqa: S311 - spreads load, hides nothing
            try:
                answer = await self._follow(request)
            except retry.ConnectionBroken:
                await self._sleep(retry.backoff(attempt, jitter=jitter))
                continue
            delay = retry.retry_after(answer, attempt, jitter=jitter)
            if delay is None:
                return answer
            await self._sleep(delay)
        return await self._follow(request)

    async def close(self) -> None:
        for name in ("_elsewhere", "_plain_loopback", "_encrypted_loopback"):
            client: httpx.AsyncClient | None = self.__dict__.pop(name, None)
            if client is not None:
                await client.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _follow(self, request: HttpRequest) -> HttpAnswer:
        for _ in range(1 + MAX_REDIRECTS):
            answer = await self._send(request)
            onward = _onward(request, answer)
            if onward is None:
                return answer
            request = onward
        raise ServiceError(f"{_place(request.url)} redirects more than {MAX_REDIRECTS} times")

    async def _send(self, request: HttpRequest) -> HttpAnswer:
        if request.secrets and not hosts.key_may_travel(request.url):
            raise UsageError(f"a key does not travel to {_place(request.url)} over plain http")
        try:
            async with asyncio.timeout(self._limits.total):
                return await self._exchange(request)
        except TimeoutError:
            raise ConnectError(
                request.step, f"{_place(request.url)} gave no whole answer within {self._limits.total:g} s"
            ) from None
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, UnicodeError) as error:
            # `from None`: httpx's exceptions hold the request, and with it the key.
            raise _failure(error, request, self._limits, self._first_hop(request.url)) from None

    async def _exchange(self, request: HttpRequest) -> HttpAnswer:
        headers = {name: v.reveal() if isinstance(v, Secret) else v for name, v in request.headers.items()}
        if request.content_type is not None:
            headers["Content-Type"] = request.content_type
        headers.setdefault("User-Agent", "rtcli")
        headers["Accept-Encoding"] = "identity"  # what is not compressed can not expand
        client, place = self._client(request.url), _place(request.url)
        async with client.stream(request.method, request.url, headers=headers, content=request.body) as response:
            encoding = response.headers.get("content-encoding", "identity")
            if encoding.lower() != "identity":
                raise ServiceError(
                    f"{place} answers in an encoding that was not asked for: {one_line(encoding, 40)}",
                    status=response.status_code,
                )
            body = bytearray()
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > MAX_BODY:
                    raise ServiceError(
                        f"the answer of {place} is larger than {MAX_BODY} bytes", status=response.status_code
                    )
            said = {name.lower(): value for name, value in response.headers.items()}
            return HttpAnswer(response.status_code, said, bytes(body), request.secrets)

    def _first_hop(self, url: str) -> str:
        """Whom we connect to for this URL, in words: errors of connecting are about them."""
        parts = urlsplit(url)
        host = parts.hostname or ""
        if hosts.is_loopback(host):
            return _place(url)
        named = getproxies()
        from_environment = (parts.scheme in named or "all" in named) and not proxy_bypass(host)
        return "the proxy" if self._proxy or from_environment else _place(url)

    def _client(self, url: str) -> httpx.AsyncClient:
        if not hosts.is_loopback(hosts.host_of(url)):
            return self._elsewhere
        return self._plain_loopback if urlsplit(url).scheme == "http" else self._encrypted_loopback

    @cached_property
    def _elsewhere(self) -> httpx.AsyncClient:
        try:
            return self._new(self._trust(), proxy=self._proxy.reveal() if self._proxy else None, trust_env=True)
        except ImportError:
            raise UsageError(
                "a SOCKS proxy needs the package socksio, which is not installed: `pip install socksio` beside rtcli, "
                "or name an HTTP proxy"
            ) from None
        except (ValueError, httpx.InvalidURL):
            raise UsageError("the proxy's URL can not be used") from None

    @cached_property
    def _plain_loopback(self) -> httpx.AsyncClient:
        # Reading the certificate authorities takes 20 ms that plain http does not need; this context trusts nobody.
        return self._new(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), proxy=None, trust_env=False)

    @cached_property
    def _encrypted_loopback(self) -> httpx.AsyncClient:
        return self._new(self._trust(), proxy=None, trust_env=False)

    def _trust(self) -> ssl.SSLContext:
        if self._ca_bundle is None:
            return httpx.create_ssl_context()
        try:
            return ssl.create_default_context(cafile=self._ca_bundle)
        except OSError as error:
            raise UsageError(f"the CA bundle {self._ca_bundle} can not be read: {error.strerror or error}") from None

    def _new(self, verify: ssl.SSLContext, *, proxy: str | None, trust_env: bool) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            verify=verify,
            proxy=proxy,
            trust_env=trust_env,
            timeout=httpx.Timeout(self._limits.silence, connect=self._limits.connect),
            limits=httpx.Limits(max_connections=8, keepalive_expiry=30.0),
        )


def _onward(request: HttpRequest, answer: HttpAnswer) -> HttpRequest | None:
    """The request a redirect asks for; None when the answer is no redirect.

    Raises ServiceError when it leads to another host, or would turn a POST into a GET (RFC 9110 section 15.4).
    """
    location = answer.headers.get("location")
    if answer.status not in {301, 302, 303, 307, 308} or location is None:
        return None
    target = hosts.redirect_target(request.url, location)
    if target is None:
        raise ServiceError(f"{_status(answer)}: leads nowhere", status=answer.status)
    if not hosts.same_server(request.url, target):
        raise ServiceError(
            f"{_status(answer)}: leads to another host, {_place(target)}, which was not asked for", status=answer.status
        )
    if request.method != "GET" and answer.status not in {307, 308}:
        raise ServiceError(
            f"{_status(answer)}: leads to {_place(target)}, and not for a {request.method}", status=answer.status
        )
    return replace(request, url=target)


def _failure(error: Exception, request: HttpRequest, limits: Limits, first_hop: str) -> ConnectError:
    place = _place(request.url)
    if isinstance(error, httpx.ConnectTimeout):
        return ConnectError(request.step, f"no connection to {first_hop} within {limits.connect:g} s")
    if isinstance(error, httpx.TimeoutException):
        return ConnectError(request.step, f"{place} said nothing for {limits.silence:g} s")
    if isinstance(error, httpx.ProxyError):
        return ConnectError(request.step, f"the proxy did not connect to {place}: {one_line(str(error), 100)}")
    for cause in _causes(error):
        fact = _fact(cause, place, first_hop)
        if fact is not None:
            return ConnectError(request.step, fact)
    if isinstance(error, httpx.RemoteProtocolError) and not str(error).startswith(_BROKEN_OFF):
        return ConnectError(request.step, f"what {place} answers is no valid HTTP")
    if isinstance(error, (httpx.NetworkError, httpx.RemoteProtocolError)) and not isinstance(error, httpx.ConnectError):
        return retry.ConnectionBroken(request.step, f"{place} closed the connection without an answer")
    # No text of the error: those of the local side quote headers and URLs.
    return ConnectError(request.step, f"no connection to {place} ({type(error).__name__})")


def _fact(cause: BaseException, place: str, first_hop: str) -> str | None:
    if isinstance(cause, socket.gaierror):
        return f"the name of {first_hop} can not be resolved"
    if isinstance(cause, ConnectionRefusedError):
        return f"{first_hop} refuses connections"
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"the certificate of {place} is not trusted: {one_line(cause.verify_message, 100)}"
    if isinstance(cause, ssl.SSLError):
        return f"no TLS with {place}: {one_line(cause.reason or 'broken off', 100)}"
    if isinstance(cause, OSError) and cause.errno in {errno.ENETUNREACH, errno.EHOSTUNREACH}:
        return f"no way to {first_hop}: the network is unreachable"
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The exceptions under one, groups (one member per address tried) opened."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        cause = waiting.pop()
        if cause is None or id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        if isinstance(cause, BaseExceptionGroup):
            waiting.extend(cause.exceptions)
        waiting += [cause.__cause__, cause.__context__]


def _place(url: str) -> str:
    """Host, and port where it is not the scheme's: a path or query may hold what must not be shown."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "a malformed address"
    return one_line(f"{parts.hostname}{port}", 100)


def _status(answer: HttpAnswer) -> str:
    return f"{answer.status} {HTTPStatus(answer.status).phrase}"
