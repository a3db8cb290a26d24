"""The sandbox over HTTP: the paths, bodies and errors of the service, for clients on this machine only."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from rtcli.sandbox.origins import is_loopback_host, is_loopback_origin
from rtcli.sandbox.refusal import Refusal
from rtcli.sandbox.service import Service
from rtcli.sandbox.sideband import Sideband


_log = logging.getLogger(__name__)

_MOST_BYTES = 1 << 20
_BODY_LIMIT = 10.0
"""Seconds for a body to arrive."""
_RETRY_AFTER = "1"
_MISSING = "missing_required_parameter"


def create_app(service: Service) -> Starlette:
    """The ASGI application around one service."""
    endpoints = _Endpoints(service)
    return Starlette(
        routes=[
            Route("/v1/realtime/client_secrets", endpoints.client_secrets, methods=["POST"]),
            Route("/v1/realtime/calls", endpoints.calls, methods=["POST"]),
            Route("/v1/realtime/calls/{call_id}/hangup", endpoints.hangup, methods=["POST"]),
            WebSocketRoute("/v1/realtime", endpoints.sideband),
        ],
        middleware=[Middleware(_LoopbackOnly)],
        exception_handlers={
            Refusal: _refused,
            HTTPException: _no_such_route,
            Exception: _broken,
        },
    )


class _Endpoints:
    def __init__(self, service: Service) -> None:
        self._service = service

    async def client_secrets(self, request: Request) -> Response:
        self._authorise(request)
        if _content_type(request) not in {"application/json", ""}:
            raise _unsupported(request, "'application/json'")
        return JSONResponse(self._service.mint(_json_object(await _body(request) or b"{}")))

    async def calls(self, request: Request) -> Response:
        key = self._authorise(request)
        if "model" in request.query_params:
            # Seen at the service since the beta ended: the model belongs to the key or the session.
            raise Refusal("Unknown parameter: 'model'.", code="unknown_parameter", param="model")
        offer, session = await _offer(request)
        call_id, answer = await self._service.call(offer, key, session)
        return Response(
            answer,
            status_code=201,
            media_type="application/sdp",
            headers={"Location": f"/v1/realtime/calls/{call_id}"},
        )

    async def hangup(self, request: Request) -> Response:
        self._authorise(request)
        await self._service.hang_up(request.path_params["call_id"])
        return Response(status_code=200)

    async def sideband(self, websocket: WebSocket) -> None:
        try:
            self._authorise(websocket)
            await Sideband(websocket).serve(self._service.find(_call_id(websocket)))
        except Refusal as no:
            await websocket.send_denial_response(_error(no))

    def _authorise(self, request: HTTPConnection) -> str:
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        key = key.strip() if scheme.lower() == "bearer" else ""
        self._service.check_key(key)
        return key


def _call_id(websocket: WebSocket) -> str:
    """Raises Refusal. A WebSocket of its own, without a call, is not offered here."""
    call_id = websocket.query_params.get("call_id")
    if call_id is None:
        raise Refusal("Missing required parameter: 'call_id'.", code=_MISSING, param="call_id")
    return call_id


# --- reading --------------------------------------------------------------------------------------------------------


async def _body(request: Request) -> bytes:
    """The whole body, within bounds of size and time. Raises Refusal."""
    body = bytearray()
    try:
        async with asyncio.timeout(_BODY_LIMIT):
            async for chunk in request.stream():
                body += chunk
                if len(body) > _MOST_BYTES:
                    raise Refusal(f"The body is larger than {_MOST_BYTES} bytes.", code="body_too_large", status=413)
    except TimeoutError as error:
        raise Refusal("The body did not arrive in time.", code="request_timeout", status=408) from error
    except ClientDisconnect as error:
        raise Refusal("The body was cut short.", status=400) from error
    return bytes(body)


def _content_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _unsupported(request: Request, wanted: str) -> Refusal:
    given = _content_type(request)[:64]
    return Refusal(
        f"Unsupported content type: '{given}'. This endpoint takes {wanted}.", code="unsupported_content_type"
    )


def _json_object(body: bytes | str) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Refusal("The body is not valid JSON.", code="invalid_json") from error
    if not isinstance(value, dict):
        raise Refusal("The body must be a JSON object.", code="invalid_type")
    return value


async def _offer(request: Request) -> tuple[str, dict[str, Any] | None]:
    """The offer and the session that came with it, in either form. Raises Refusal."""
    match _content_type(request):
        case "application/sdp":
            return _text(await _body(request)), None
        case "multipart/form-data":
            parts = await _parts(request.headers, await _body(request))
            if "sdp" not in parts:
                raise Refusal("Missing required parameter: 'sdp'.", code=_MISSING, param="sdp")
            return parts["sdp"], _json_object(parts["session"]) if "session" in parts else None
        case _:
            raise _unsupported(request, "'application/sdp' and 'multipart/form-data'")


async def _parts(headers: Headers, body: bytes) -> dict[str, str]:
    """The parts of a multipart body by name, whether they came with a type or a file name of their own or not."""

    async def whole() -> AsyncGenerator[bytes, None]:
        yield body

    try:
        parser = MultiPartParser(headers, whole(), max_files=4, max_fields=4, max_part_size=_MOST_BYTES)
        form = await parser.parse()
        try:
            return {
                name: _text(await value.read()) if isinstance(value, UploadFile) else value
                for name, value in form.multi_items()
            }
        finally:
            await form.close()
    except (MultiPartException, KeyError, ValueError) as error:
        raise Refusal("The multipart body can not be read.", code="invalid_multipart") from error


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise Refusal("The text is not UTF-8.", code="invalid_value") from error


# --- refusing -------------------------------------------------------------------------------------------------------


def _error(no: Refusal) -> JSONResponse:
    headers = {"Retry-After": _RETRY_AFTER} if no.status == 503 else None
    return JSONResponse({"error": no.body()}, status_code=no.status, headers=headers)


def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return _error(error)


def _no_such_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    where = f"{request.method} {request.url.path[:128]}"
    message = f"Invalid URL ({where})" if error.status_code == 404 else f"{error.detail} ({where})"
    return _error(Refusal(message, status=error.status_code))


def _broken(_request: Request, error: Exception) -> Response:
    _log.error("a request failed", exc_info=error)
    return _error(Refusal("The server had an error.", kind="server_error", status=500))


# --- who may ask ----------------------------------------------------------------------------------------------------


class _LoopbackOnly:
    """Host and Origin are checked before anything else, and CORS is answered.

    The sandbox is bound to loopback, but a page of any site can make a browser on this machine post to it, directly or
    by a name that resolves to 127.0.0.1. Pages served from loopback are developers' own and are let in.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        if scope["type"] == "websocket":
            # Pages may open a WebSocket anywhere without asking first: the origin alone tells who they are.
            denied = self._answer(headers, origin, "GET")
            if denied is not None:
                return await WebSocket(scope, receive, send).send_denial_response(denied)
            return await self._app(scope, receive, send)
        answer = self._answer(headers, origin, scope.get("method", "")) or self._app
        return await answer(scope, receive, _marking(send, origin))

    @staticmethod
    def _answer(headers: Headers, origin: str | None, method: str) -> Response | None:
        """What is said without asking the application."""
        if not is_loopback_host(headers.get("host", "")):
            return _error(Refusal("This server answers to loopback names only.", code="host_not_allowed", status=421))
        if origin is not None and not is_loopback_origin(origin):
            return _error(Refusal("This origin is not allowed.", code="origin_not_allowed", status=403))
        if origin is not None and method == "OPTIONS" and "access-control-request-method" in headers:
            return _preflight(headers)
        return None


def _preflight(headers: Headers) -> Response:
    allowed = {
        "Access-Control-Allow-Methods": "POST",
        "Access-Control-Allow-Headers": headers.get("access-control-request-headers", "authorization, content-type"),
        "Access-Control-Max-Age": "600",
    }
    if headers.get("access-control-request-private-network") == "true":
        allowed["Access-Control-Allow-Private-Network"] = "true"
    return Response(status_code=204, headers=allowed)


def _marking(send: Send, origin: str | None) -> Callable[[Message], Awaitable[None]]:
    """Add to every answer what all of them carry: a request id, and leave to read it for an allowed origin."""

    async def marked(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["x-request-id"] = f"req_{secrets.token_hex(16)}"
            headers.add_vary_header("Origin")
            if origin is not None and is_loopback_origin(origin):
                headers["Access-Control-Allow-Origin"] = origin
                headers["Access-Control-Expose-Headers"] = "Location, x-request-id, Retry-After"
        await send(message)

    return marked
