"""The app server of OpenAI's WebRTC guide as an ASGI application, and the page that is built on it.

    GET  /token                        an ephemeral key for the session of this server
    POST /session                      an offer (application/sdp or text/plain); the answer comes back
    GET  /config                       where a page posts its offers, and the session in use
    POST /v1/realtime/client_secrets   the service's own paths, so that official SDKs take this server as base URL
    POST /v1/realtime/calls
    GET  /                             the page

What the service answers is passed on: status, body, `Location`, `Retry-After`. Its API key never is. Nothing is kept
from request to request but the count of what was minted, so any number of workers may serve:

    uvicorn --factory rtcli.server.app:create_app --workers 2
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from rtcli.asgi.admission import Admission
from rtcli.asgi.bodies import content_type, json_object, parts_of, read_body, text_of, unsupported
from rtcli.asgi.refusals import HANDLERS, refusal
from rtcli.errors import RtcliError
from rtcli.protocol import rest
from rtcli.protocol.codec import JsonObject
from rtcli.protocol.refusal import one_line
from rtcli.protocol.rest import HttpAnswer
from rtcli.protocol.secret import Secret
from rtcli.server.access import AccessLog, Log, to_stderr
from rtcli.server.admittance import COOKIE, Door, bearer_of, check_secret, is_secret
from rtcli.server.config import Config, from_environment
from rtcli.server.files import page_files
from rtcli.server.rate import Bucket
from rtcli.server.upstream import Upstream, passed_on


_PRIVATE = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


def create_app(config: Config | None = None, *, log: Log = to_stderr) -> ASGIApp:
    """The application; without a `config` the environment says what holds (`rtcli.server.config.from_environment`).

    What is wrong with the environment is told to the ASGI host when it starts the application (`Misconfigured`).
    `log` gets one line a request.
    """
    if config is None:
        try:
            config = from_environment()
        except RtcliError as error:
            return Misconfigured(error)
    return _application(config, log)


def _application(config: Config, log: Log) -> Starlette:
    endpoints = _Endpoints(config)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        await config.close()

    return Starlette(
        routes=[
            Route("/", endpoints.page),
            *(Route(f"/{name}", partial(_file, answer)) for name, answer in page_files(config).items()),
            Route("/config", endpoints.config),
            Route("/token", endpoints.token),
            Route("/session", endpoints.session, methods=["POST"]),
            Route("/v1/realtime/client_secrets", endpoints.client_secrets, methods=["POST"]),
            Route("/v1/realtime/calls", endpoints.calls, methods=["POST"]),
        ],
        middleware=[
            Middleware(AccessLog, log=log),
            Middleware(Admission, policy=Door(config.origins, open_to_others=config.secret is not None)),
        ],
        exception_handlers=HANDLERS,
        lifespan=lifespan,
    )


class Misconfigured:
    """An application that can not start, and says why in one line.

    An exception of the factory would be a traceback, and under uvicorn with several workers one after another for ever:
    only a start that failed the way ASGI has it ends them.
    """

    def __init__(self, error: RtcliError) -> None:
        self._error = error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises the error to a host that does not ask whether the application started."""
        if scope["type"] != "lifespan":
            raise self._error
        await receive()
        await send({"type": "lifespan.startup.failed", "message": f"rtcli: {one_line(str(self._error), 500)}"})


class _Endpoints:
    def __init__(self, config: Config) -> None:
        self._config = config
        self._upstream = Upstream(config.http, config.endpoint, config.key)
        self._mints = Bucket(a_second=config.mints_a_second, at_once=config.mints_at_once)
        self._page = page_files(config)["index.html"]

    # --- the guide's --------------------------------------------------------------------------------------------------

    async def token(self, request: Request) -> Response:
        self._admit(request)
        return self._told(await self._upstream.mint({"session": self._config.session}, self._safety_id(request)))

    async def session(self, request: Request) -> Response:
        self._admit(request)
        if content_type(request) not in {"application/sdp", "text/plain"}:
            raise unsupported(request, "'application/sdp' and 'text/plain'")
        offer = text_of(await read_body(request))
        return await self._call_told(await self._upstream.call(offer, self._config.session, self._safety_id(request)))

    async def config(self, request: Request) -> Response:
        check_secret(self._config.secret, request.headers)
        ways = ["session", "token"] if self._config.endpoint.dialect.mints else ["session"]
        shown = {
            "calls_url": self._config.calls_url,
            "ways": ways,
            "session": _without_credentials(self._config.session),
        }
        return JSONResponse(shown, headers=_PRIVATE)

    # --- the service's own paths --------------------------------------------------------------------------------------

    async def client_secrets(self, request: Request) -> Response:
        self._admit(request)
        if content_type(request) not in {"application/json", ""}:
            raise unsupported(request, "'application/json'")
        asked = {"session": self._config.session, **json_object(await read_body(request) or b"{}")}
        return self._told(await self._upstream.mint(asked, self._safety_id(request)))

    async def calls(self, request: Request) -> Response:
        bearer = bearer_of(request.headers)
        # An ephemeral key was minted by somebody who was let in, and it pays for this call: no secret beside it.
        relayed = bearer.startswith("ek_") and content_type(request) == "application/sdp"
        if relayed:
            self._mints.take()
        else:
            self._admit(request)
        offer, session = await self._offer(request)
        if relayed:
            return await self._call_told(await self._upstream.relay(offer, Secret(bearer)))
        return await self._call_told(await self._upstream.call(offer, session, self._safety_id(request)))

    async def _offer(self, request: Request) -> tuple[str, JsonObject]:
        """In either form; the session is this server's where none came. Raises ServiceError."""
        match content_type(request):
            case "application/sdp":
                return text_of(await read_body(request)), self._config.session
            case "multipart/form-data":
                parts = await parts_of(request.headers, await read_body(request))
                if "sdp" not in parts:
                    raise refusal("Missing required parameter: 'sdp'.", code="missing_required_parameter")
                session = json_object(parts["session"]) if "session" in parts else self._config.session
                return parts["sdp"], session
            case _:
                raise unsupported(request, "'application/sdp' and 'multipart/form-data'")

    # --- the page -----------------------------------------------------------------------------------------------------

    async def page(self, request: Request) -> Response:
        """The page. A link with the secret becomes a cookie, so that the secret does not stay in the address bar."""
        shown, secret = request.query_params.get("secret"), self._config.secret
        if shown is None or secret is None or not is_secret(secret, shown):
            return self._page
        answer = RedirectResponse("/", status_code=303, headers=_PRIVATE)
        answer.set_cookie(COOKIE, shown, httponly=True, samesite="strict", secure=request.url.scheme == "https")
        return answer

    # --- what they share ----------------------------------------------------------------------------------------------

    def _admit(self, request: Request) -> None:
        """Before the body is read. Raises ServiceError."""
        check_secret(self._config.secret, request.headers)
        self._mints.take()

    def _safety_id(self, request: Request) -> str | None:
        """From our side alone: what the browser sends under the service's header name goes nowhere."""
        source = self._config.safety_from
        return source.identifier(request.headers) if source else None

    def _told(self, answer: HttpAnswer) -> Response:
        response = passed_on(answer, self._config.key)
        response.headers.update(_PRIVATE)
        return response

    async def _call_told(self, answer: HttpAnswer) -> Response:
        if self._config.on_call is not None:
            call_id = _call_id(answer)
            if call_id is not None:
                await self._config.on_call(call_id)
        return self._told(answer)


def _call_id(answer: HttpAnswer) -> str | None:
    try:
        return rest.parse_call(answer).call_id
    except RtcliError:
        return None


def _without_credentials(session: JsonObject) -> JsonObject:
    """What a page may know of the session: MCP tools carry keys of other services."""
    tools = session.get("tools")
    if not isinstance(tools, list):
        return session
    hidden = {"authorization", "headers"}
    shown = [{k: v for k, v in tool.items() if k not in hidden} if isinstance(tool, dict) else tool for tool in tools]
    return {**session, "tools": shown}


async def _file(answer: Response, _: Request) -> Response:
    return answer
