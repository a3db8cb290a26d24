"""Saying no over HTTP, in the shape of the service: `{"error": {"message", "type", "code", "param"}}`."""

from __future__ import annotations

import logging

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ExceptionHandler

from rtcli.errors import ServiceError


_log = logging.getLogger(__name__)

_RETRY_AFTER = "1"
"""Seconds, of a 503 that names none."""


def refusal(
    message: str, *, code: str | None = None, status: int = 400, kind: str = "invalid_request_error"
) -> ServiceError:
    """Something a client asked for that will not be done."""
    return ServiceError(message, status=status, code=code, kind=kind)


def answer_of(no: ServiceError) -> JSONResponse:
    """The answer that says so."""
    status = no.status or 500
    body = {"type": no.kind, "code": no.code, "message": str(no), "param": no.param}
    answer = JSONResponse({"error": body}, status_code=status)
    if no.retry_after is not None:
        answer.headers["Retry-After"] = f"{no.retry_after:.0f}"
    elif status == 503:
        answer.headers["Retry-After"] = _RETRY_AFTER
    return answer


def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ServiceError)
    return answer_of(error)


def _no_such_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    where = f"{request.method} {request.url.path[:128]}"
    message = f"Invalid URL ({where})" if error.status_code == 404 else f"{error.detail} ({where})"
    return answer_of(refusal(message, status=error.status_code))


def _broken(_request: Request, error: Exception) -> Response:
    _log.error("a request failed", exc_info=error)
    return answer_of(refusal("The server had an error.", kind="server_error", status=500))


HANDLERS: dict[type[Exception], ExceptionHandler] = {
    ServiceError: _refused,
    HTTPException: _no_such_route,
    Exception: _broken,
}
"""For Starlette: whatever goes wrong is told in that shape, and a traceback to the log alone."""
