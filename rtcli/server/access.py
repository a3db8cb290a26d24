"""The access log: one line a request, without bodies, queries and keys."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rtcli.protocol.refusal import one_line


Log = Callable[[str], None]
_LONGEST = 200
"""Characters of a path or an origin."""


def to_stderr(line: str) -> None:
    """A log that nobody reads any more ends nothing."""
    with suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()


def malformed(log: Log, client: str) -> None:
    """What the application never saw."""
    log(f"{_now()} {one_line(client, _LONGEST)} malformed request 400")


class AccessLog:
    """Middleware, outermost: what is refused is logged too."""

    def __init__(self, app: ASGIApp, log: Log) -> None:
        self._app = app
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        begun = time.monotonic()
        status: int | None = None
        told = False

        def tell() -> None:
            nonlocal told
            if not told:
                told = True
                self._log(_line(scope, status, time.monotonic() - begun))

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            elif message["type"] == "http.response.body" and not message.get("more_body", False):
                tell()  # before it is sent: whoever has the answer finds it in the log
            await send(message)

        try:
            await self._app(scope, receive, noted)
        finally:
            tell()


def _line(scope: Scope, status: int | None, seconds: float) -> str:
    client: Any = scope.get("client") or ("-",)
    path = one_line(scope["path"], _LONGEST)
    # The address may be what a proxy's header says, and anybody on this machine is believed to be a proxy.
    parts = [_now(), one_line(str(client[0]), _LONGEST), scope["method"], path]
    parts += ["no answer" if status is None else str(status), f"{seconds * 1000:.0f} ms"]
    if status in {403, 421}:
        headers = Headers(scope=scope)
        claims = {"host": headers.get("host"), "origin": headers.get("origin")}
        parts += [f"{name} {one_line(value, _LONGEST)}" for name, value in claims.items() if value]
    return " ".join(parts)


def _now() -> str:
    return f"{datetime.now().astimezone():%H:%M:%S}"
