"""The official Python SDK, unchanged, with the app server as its base URL."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from rtcli.asgi.serving import Served, ThreadedServer
from rtcli.keys import PLACEHOLDER
from rtcli.protocol.rest import Endpoint
from rtcli.sandbox.engine.scripted import ScriptedEngine
from rtcli.server.app import create_app
from rtcli.server.config import Config
from rtcli.transport.http import Http
from rtcli.wiring import sandbox_server
from tests.sandbox.test_official_sdk import SESSION, calling, client


@pytest.fixture
def base() -> Iterator[str]:
    """Of the app server, with a real sandbox behind it."""
    sandbox = sandbox_server(ScriptedEngine())
    config = Config(endpoint=Endpoint(sandbox.start()), key=PLACEHOLDER, session={**SESSION}, http=Http())
    server = ThreadedServer(lambda: Served(create_app(config, log=lambda _: None), config.close), name="serve")
    yield f"{server.start()}/v1"
    server.stop()
    sandbox.stop()


def test_client_secrets_create_gives_a_key_that_opens_a_call(base: str) -> None:
    async def test() -> None:
        async with client(base) as sdk:
            made = await sdk.realtime.client_secrets.create(session=SESSION)
            assert made.session.type == "realtime"
            assert made.session.instructions == "Be brief."
        async with client(base, made.value) as sdk, calling(sdk) as call_id:
            assert call_id.startswith("rtc_")

    asyncio.run(test())


def test_calls_create_opens_a_call_with_a_session_and_without(base: str) -> None:
    async def test() -> None:
        async with client(base, "sk-not-the-servers") as sdk:
            async with calling(sdk, session=SESSION) as call_id:
                assert call_id.startswith("rtc_")
            async with calling(sdk) as call_id:
                assert call_id.startswith("rtc_")

    asyncio.run(test())
