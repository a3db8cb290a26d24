"""The sandbox over HTTP: the paths, bodies and errors of the service, for clients on this machine only."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import Scope
from starlette.websockets import WebSocket

from rtcli.asgi.admission import Admission, host_refused, origin_refused
from rtcli.asgi.bodies import content_type, json_object, parts_of, read_body, text_of, unsupported
from rtcli.asgi.origins import is_loopback_host, is_loopback_origin
from rtcli.asgi.refusals import HANDLERS, answer_of
from rtcli.errors import ServiceError
from rtcli.sandbox.faults import Status, malformed
from rtcli.sandbox.refusal import Refusal
from rtcli.sandbox.service import Service
from rtcli.sandbox.sideband import Sideband


_NO_KEYS = {"sdp", "localai", "speaches"}
"""Dialects of servers that mint no keys and ask for none."""
_MISSING = "missing_required_parameter"


def create_app(service: Service) -> Starlette:
    """The ASGI application around one service."""
    endpoints = _Endpoints(service)
    return Starlette(
        routes=[
            Route("/v1/realtime/client_secrets", endpoints.client_secrets, methods=["POST"]),
            Route("/v1/realtime/calls", endpoints.calls, methods=["POST"]),
            Route("/v1/realtime/calls/{call_id}/hangup", endpoints.hangup, methods=["POST"]),
            Route("/v1/realtime/calls/{call_id}", endpoints.delete, methods=["DELETE"]),
            Route("/v1/realtime", endpoints.beta_call, methods=["POST"]),
            WebSocketRoute("/v1/realtime", endpoints.sideband),
        ],
        middleware=[Middleware(Admission, policy=_LoopbackOnly())],
        exception_handlers=HANDLERS,
    )


class _Endpoints:
    def __init__(self, service: Service) -> None:
        self._service = service
        self._faults = service.faults

    async def client_secrets(self, request: Request) -> Response:
        await self._fail(self._faults.secrets)
        if self._faults.dialect in _NO_KEYS:
            raise HTTPException(404)
        self._authorise(request)
        if content_type(request) not in {"application/json", ""}:
            raise unsupported(request, "'application/json'")
        return JSONResponse(self._service.mint(json_object(await read_body(request) or b"{}")))

    async def calls(self, request: Request) -> Response:
        await self._fail(self._faults.calls)
        match self._faults.dialect:
            case "sdp" if content_type(request) != "application/sdp":
                return Response("Unsupported Media Type", status_code=415, media_type="text/plain")
            case "localai":
                return await self._local_call(request)
        key = self._authorise(request)
        if "model" in request.query_params:
            # Seen at the service since the beta ended: the model belongs to the key or the session.
            raise Refusal("Unknown parameter: 'model'.", code="unknown_parameter", param="model")
        offer, session = await _offer(request)
        call_id, answer = await self._service.call(offer, key, session)
        media_type = "application/sdp"
        if self._faults.body is not None:
            media_type, answer = malformed(self._faults.body, answer)
        location = {"Location": f"/v1/realtime/calls/{call_id}"}
        return Response(answer, status_code=201, media_type=media_type, headers=location)

    async def _fail(self, how: Status | None) -> None:
        """Be late, or refuse, where the sandbox was told to. Raises Refusal."""
        await asyncio.sleep(self._faults.slow)
        if how is not None:
            raise how.refusal()

    async def _local_call(self, request: Request) -> Response:
        """As LocalAI answers: JSON both ways, errors as text."""
        try:
            asked = json_object(await read_body(request))
            if not isinstance(asked.get("sdp"), str) or not asked.get("model"):
                return JSONResponse({"error": "sdp and model are required"}, status_code=400)
            _, answer = await self._service.call(asked["sdp"], "", {"type": "realtime", "model": str(asked["model"])})
        except ServiceError as error:
            return JSONResponse({"error": str(error)}, status_code=error.status or 500)
        return JSONResponse({"sdp": answer, "session_id": "sess_local"}, status_code=201)

    async def beta_call(self, request: Request) -> Response:
        """As speaches answers: the model in the query, the SDP as text."""
        if self._faults.dialect != "speaches":
            raise HTTPException(404)
        session = {"type": "realtime", "model": request.query_params.get("model", "")}
        _, answer = await self._service.call(text_of(await read_body(request)), "", session)
        return Response(answer, media_type="text/plain")

    async def delete(self, request: Request) -> Response:
        """Hangs up at servers that take SDP and nothing else."""
        if self._faults.dialect != "sdp":
            raise HTTPException(405)
        return await self.hangup(request)

    async def hangup(self, request: Request) -> Response:
        self._authorise(request)
        await self._service.hang_up(request.path_params["call_id"])
        return Response(status_code=200)

    async def sideband(self, websocket: WebSocket) -> None:
        try:
            self._authorise(websocket)
            await Sideband(websocket).serve(self._service.find(_call_id(websocket)))
        except Refusal as no:
            await websocket.send_denial_response(answer_of(no))

    def _authorise(self, request: HTTPConnection) -> str:
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        key = key.strip() if scheme.lower() == "bearer" else ""
        if self._faults.dialect in _NO_KEYS:
            return key
        if self._faults.dialect == "azure":
            key = key or request.headers.get("api-key", "")
        self._service.check_key(key)
        return key


def _call_id(websocket: WebSocket) -> str:
    """Raises Refusal. A WebSocket of its own, without a call, is not offered here."""
    call_id = websocket.query_params.get("call_id")
    if call_id is None:
        raise Refusal("Missing required parameter: 'call_id'.", code=_MISSING, param="call_id")
    return call_id


# --- reading --------------------------------------------------------------------------------------------------------


async def _offer(request: Request) -> tuple[str, dict[str, Any] | None]:
    """The offer and the session that came with it, in either form. Raises Refusal."""
    match content_type(request):
        case "application/sdp":
            return text_of(await read_body(request)), None
        case "multipart/form-data":
            parts = await parts_of(request.headers, await read_body(request))
            if "sdp" not in parts:
                raise Refusal("Missing required parameter: 'sdp'.", code=_MISSING, param="sdp")
            return parts["sdp"], json_object(parts["session"]) if "session" in parts else None
        case _:
            raise unsupported(request, "'application/sdp' and 'multipart/form-data'")


# --- who may ask ----------------------------------------------------------------------------------------------------


class _LoopbackOnly:
    """Pages served from loopback are developers' own and are let in; no other name or origin is."""

    methods = "POST"

    def objection(self, headers: Headers, scope: Scope) -> ServiceError | None:  # noqa: ARG002 - the same everywhere
        if not is_loopback_host(headers.get("host", "")):
            return host_refused()
        origin = headers.get("origin")
        return origin_refused() if origin is not None and not is_loopback_origin(origin) else None

    def shares_with(self, origin: str, headers: Headers) -> bool:  # noqa: ARG002 - whatever else it says
        return is_loopback_origin(origin)
