"""Who may ask: Host and Origin are checked before anything else, and CORS is answered.

A server on loopback is not alone: a page of any site can make a browser on this machine post to it, directly or by a
name that resolves to 127.0.0.1 (DNS rebinding).
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from typing import Protocol

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from rtcli.asgi.refusals import answer_of, refusal
from rtcli.errors import ServiceError


EXPOSED = "Location, x-request-id, Retry-After"
"""Answer headers that a page of another origin may read."""


class Policy(Protocol):
    """Whom a server lets in."""

    methods: str
    """For pages of other origins, as the preflight answer lists them."""

    def objection(self, headers: Headers, scope: Scope) -> ServiceError | None:
        """Why this request is refused, whatever it asks for; None: it is not."""

    def shares_with(self, origin: str, headers: Headers) -> bool:
        """Whether pages of this origin may read the answers."""


class Admission:
    """Middleware that asks the policy, answers preflights, and marks every answer with a request id."""

    def __init__(self, app: ASGIApp, policy: Policy) -> None:
        self._app = app
        self._policy = policy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        headers = Headers(scope=scope)
        if scope["type"] == "websocket":
            # Pages may open a WebSocket anywhere without asking first: the origin alone tells who they are.
            objection = self._policy.objection(headers, scope)
            if objection is not None:
                return await WebSocket(scope, receive, send).send_denial_response(answer_of(objection))
            return await self._app(scope, receive, send)
        answer = self._answer(headers, scope) or self._app
        return await answer(scope, receive, self._marking(send, headers))

    def _answer(self, headers: Headers, scope: Scope) -> Response | None:
        """What is said without asking the application."""
        objection = self._policy.objection(headers, scope)
        if objection is not None:
            return answer_of(objection)
        asks_leave = scope["method"] == "OPTIONS" and "access-control-request-method" in headers and "origin" in headers
        return self._preflight(headers) if asks_leave else None

    def _preflight(self, headers: Headers) -> Response:
        wanted = headers.get("access-control-request-headers", "authorization, content-type")
        allowed = {
            "Access-Control-Allow-Methods": self._policy.methods,
            "Access-Control-Allow-Headers": wanted,
            "Access-Control-Max-Age": "600",
        }
        if headers.get("access-control-request-private-network") == "true":
            allowed["Access-Control-Allow-Private-Network"] = "true"
        return Response(status_code=204, headers=allowed)

    def _marking(self, send: Send, asked: Headers) -> Callable[[Message], Awaitable[None]]:
        origin = asked.get("origin")
        shared = origin is not None and self._policy.shares_with(origin, asked)

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("x-request-id", f"req_{secrets.token_hex(16)}")
                headers.add_vary_header("Origin")
                if shared and origin is not None:
                    headers["Access-Control-Allow-Origin"] = origin
                    headers["Access-Control-Expose-Headers"] = EXPOSED
            await send(message)

        return marked


def host_refused() -> ServiceError:
    return refusal("This server does not answer to that name.", code="host_not_allowed", status=421)


def origin_refused() -> ServiceError:
    return refusal("This origin is not allowed.", code="origin_not_allowed", status=403)
