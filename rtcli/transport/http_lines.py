"""An answer over HTTP that comes line by line: what a chat server streams."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx

from rtcli.errors import ConnectError, ServiceError


_CONNECT, _SILENCE = 5.0, 60.0
"""Seconds."""
_MOST_BYTES = 4 << 20
_SHOWN = 200


class Lines:
    """A client of one server; `transport` stands in for the network in tests."""

    def __init__(self, base: str, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._base = base.rstrip("/")
        limits = httpx.Timeout(_SILENCE, connect=_CONNECT)
        self._client = httpx.AsyncClient(transport=transport, timeout=limits, trust_env=False)

    async def get(self, path: str) -> Any:
        """A whole JSON document. Raises ConnectError, ServiceError."""
        try:
            async with self._client.stream("GET", self._base + path) as answer:
                answer.raise_for_status()
                return json.loads("\n".join([line async for line in _lines(answer)]))
        except httpx.HTTPStatusError as error:
            raise ServiceError(f"it answers {error.response.status_code}", status=error.response.status_code) from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ConnectError("call", str(error) or type(error).__name__) from None
        except ValueError:
            raise ServiceError("its answer is not JSON") from None

    async def post(self, path: str, body: Mapping[str, Any]) -> AsyncIterator[str]:
        """The lines of the answer as they come. Raises ConnectError, ServiceError."""
        try:
            async with self._client.stream("POST", self._base + path, json=body) as answer:
                if answer.status_code >= 400:
                    text = "\n".join([line async for line in _lines(answer)])[:_SHOWN]
                    raise ServiceError(f"it answers {answer.status_code}: {text}", status=answer.status_code)
                async for line in _lines(answer):
                    yield line
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ConnectError("call", str(error) or type(error).__name__) from None


async def _lines(answer: httpx.Response) -> AsyncIterator[str]:
    """Raises ServiceError; httpx's own keeps a line without an end for as long as it grows."""
    read, rest = 0, ""
    async for text in answer.aiter_text():
        read += len(text)
        if read > _MOST_BYTES:
            raise ServiceError(f"its answer is larger than {_MOST_BYTES} bytes")
        *whole, rest = (rest + text).split("\n")
        for line in whole:
            yield line.removesuffix("\r")
    if rest:
        yield rest
