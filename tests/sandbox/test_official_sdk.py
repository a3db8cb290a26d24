"""The official Python SDK, unchanged, against the sandbox and through `rtcli serve`: it mints, calls, joins by id."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import openai
import pytest
from openai.types.realtime import RealtimeSessionCreateRequestParam

from rtcli.sandbox.engine.scripted import ScriptedEngine
from rtcli.transport.base import Message, Signal
from rtcli.transport.webrtc import WebRtcPeer
from rtcli.wiring import sandbox_server
from tests.program import start


SESSION: RealtimeSessionCreateRequestParam = {
    "type": "realtime",
    "model": "gpt-realtime-2",
    "output_modalities": ["text"],
    "instructions": "Be brief.",
}


@pytest.fixture
def base() -> Iterator[str]:
    server = sandbox_server(ScriptedEngine({"hello": "Hello to you."}))
    yield server.start()
    server.stop()


@pytest.fixture(params=["the sandbox", "rtcli serve"])
def either(request: pytest.FixtureRequest, base: str, tmp_path: Path) -> Iterator[str]:
    """A base URL of the sandbox itself, or of the app server in front of it."""
    if request.param == "the sandbox":
        yield base
        return
    serving = start("serve", "--port", "0", "--base-url", base, "--text", home=tmp_path)
    assert serving.stdout is not None
    try:
        yield serving.stdout.readline().decode().strip().rstrip("/") + "/v1"
    finally:
        serving.terminate()
        serving.communicate(timeout=20)


@asynccontextmanager
async def client(base: str, key: str = "sk-fake") -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(api_key=key, base_url=base, max_retries=0) as sdk:
        yield sdk


class Caller:
    """A real peer, and the types of what it heard."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.first = asyncio.Event()
        self.peer = WebRtcPeer(source=None, sink=None, deliver=self._take, loopback=True)

    def _take(self, signal: Signal) -> None:
        if isinstance(signal, Message):
            self.heard.append(str(signal.data))
            self.first.set()


@asynccontextmanager
async def calling(sdk: openai.AsyncOpenAI, **how: Any) -> AsyncIterator[str]:
    """A call made by the SDK: its id."""
    caller = Caller()
    try:
        made = await sdk.realtime.calls.create(sdp=await caller.peer.offer(), **how)
        await caller.peer.accept(made.text, limit=20)
        async with asyncio.timeout(20):
            await caller.first.wait()
        assert '"session.created"' in caller.heard[0]
        assert made.response.status_code == 201
        yield made.response.headers["location"].rpartition("/")[2]
    finally:
        await caller.peer.close()


def test_client_secrets_create_gives_a_key_and_the_session_it_is_for(either: str) -> None:
    async def test() -> None:
        async with client(either) as sdk:
            made = await sdk.realtime.client_secrets.create(
                expires_after={"anchor": "created_at", "seconds": 60}, session=SESSION
            )
        assert made.value.startswith("ek_")
        assert made.session.type == "realtime"
        assert made.session.instructions == "Be brief."

    asyncio.run(test())


def test_calls_create_with_a_session_opens_a_call_and_its_id_hangs_up(base: str, either: str) -> None:
    async def test() -> None:
        async with client(either) as sdk, calling(sdk, session=SESSION) as call_id, client(base) as trusted:
            assert call_id.startswith("rtc_")
            await trusted.realtime.calls.hangup(call_id)

    asyncio.run(test())


def test_calls_create_with_an_ephemeral_key_opens_the_session_of_the_key(either: str) -> None:
    async def test() -> None:
        async with client(either) as trusted:
            key = (await trusted.realtime.client_secrets.create(session=SESSION)).value
        async with client(either, key) as sdk, calling(sdk) as call_id:
            assert call_id.startswith("rtc_")

    asyncio.run(test())


def test_connect_joins_the_call_and_holds_a_turn_in_it(base: str) -> None:
    async def test() -> None:
        async with (
            client(base) as sdk,
            calling(sdk, session=SESSION) as call_id,
            sdk.realtime.connect(call_id=call_id) as connection,
        ):
            await connection.conversation.item.create(
                item={"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hello"}]}
            )
            await connection.response.create()
            words = ""
            async with asyncio.timeout(20):
                async for event in connection:
                    if event.type == "response.output_text.delta":
                        words += event.delta
                    if event.type == "response.done":
                        break
        assert words == "Hello to you."

    asyncio.run(test())


def test_a_refusal_reaches_the_sdk_as_its_own_exception(base: str) -> None:
    beta: Any = {"type": "realtime", "temperature": 1}

    async def test() -> None:
        async with client(base, "ek_expired") as sdk:
            with pytest.raises(openai.AuthenticationError):
                await sdk.realtime.calls.create(sdp="v=0")
        async with client(base) as sdk:
            with pytest.raises(openai.BadRequestError) as refused:
                await sdk.realtime.client_secrets.create(session=beta)
            assert refused.value.code == "unknown_parameter"
            assert refused.value.param == "session.temperature"

    asyncio.run(test())
