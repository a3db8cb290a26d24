"""The app server on a real socket, with a service behind it that answers as it is told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import httpx

from rtcli.asgi.serving import Served, ThreadedServer
from rtcli.protocol.dialects import OPENAI, Dialect
from rtcli.protocol.rest import Endpoint
from rtcli.protocol.secret import Secret
from rtcli.server.access import malformed
from rtcli.server.app import create_app
from rtcli.server.config import Config
from rtcli.transport.http import Http
from tests.services import Asked, Said, Scripted


KEY = "sk-of-the-developer"
OFFER = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\n"
ANSWER = Said(201, b"v=0\r\nanswer", "application/sdp", {"Location": "/v1/realtime/calls/rtc_1"})
SESSION: dict[str, Any] = {"type": "realtime", "model": "gpt-realtime-2", "instructions": "Be brief."}


@dataclass
class House:
    url: str
    service: Scripted
    log: list[str]
    http: httpx.Client

    @property
    def asked(self) -> list[Asked]:
        """Of the service behind."""
        return self.service.asked

    def post_offer(self, path: str = "/session", **headers: str) -> httpx.Response:
        return self.http.post(path, content=OFFER, headers={"Content-Type": "application/sdp", **headers})


@contextmanager
def house(*said: Said, dialect: Dialect = OPENAI, **more: Any) -> Iterator[House]:
    """`said`: what the service answers; `more`: fields of the configuration."""
    log: list[str] = []
    with Scripted(*(said or (ANSWER,))) as service:
        endpoint = Endpoint(f"{service.url}/v1", dialect)
        config = Config(endpoint=endpoint, key=Secret(KEY), session=SESSION, http=Http())
        config = replace(config, **more)

        def make() -> Served:
            return Served(create_app(config, log=log.append), config.close, partial(malformed, log.append))

        server = ThreadedServer(make, name="serve")
        url = server.start()
        try:
            with httpx.Client(base_url=url, timeout=30) as http:
                yield House(url, service, log, http)
        finally:
            server.stop()
