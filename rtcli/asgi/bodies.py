"""Reading what a request brings, within bounds of size and time. Everything here raises ServiceError."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from rtcli.asgi.refusals import refusal
from rtcli.errors import ServiceError


MOST_BYTES = 1 << 20
BODY_LIMIT = 10.0
"""Seconds for a body to arrive."""


async def read_body(request: Request) -> bytes:
    """The whole body."""
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_LIMIT):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MOST_BYTES:
                    raise refusal(f"The body is larger than {MOST_BYTES} bytes.", code="body_too_large", status=413)
    except TimeoutError as error:
        raise refusal("The body did not arrive in time.", code="request_timeout", status=408) from error
    except ClientDisconnect as error:
        raise refusal("The body was cut short.") from error
    return bytes(body)


def content_type(request: Request) -> str:
    """Without its parameters, in lower case; "" when there is none."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def unsupported(request: Request, wanted: str) -> ServiceError:
    given = content_type(request)[:64]
    return refusal(
        f"Unsupported content type: '{given}'. This endpoint takes {wanted}.", code="unsupported_content_type"
    )


def json_object(body: bytes | str) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise refusal("The body is not valid JSON.", code="invalid_json") from error
    if not isinstance(value, dict):
        raise refusal("The body must be a JSON object.", code="invalid_type")
    return value


async def parts_of(headers: Headers, body: bytes) -> dict[str, str]:
    """The parts of a multipart body by name, whether they came with a type or a file name of their own or not."""

    async def whole() -> AsyncGenerator[bytes, None]:
        yield body

    try:
        parser = MultiPartParser(headers, whole(), max_files=4, max_fields=4, max_part_size=MOST_BYTES)
        form = await parser.parse()
        try:
            return {
                name: text_of(await value.read()) if isinstance(value, UploadFile) else value
                for name, value in form.multi_items()
            }
        finally:
            await form.close()
    except (MultiPartException, KeyError, ValueError) as error:
        raise refusal("The multipart body can not be read.", code="invalid_multipart") from error


def text_of(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise refusal("The text is not UTF-8.", code="invalid_value") from error
