"""Clients that mean no good: the sandbox stays bounded, and others are answered meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import httpx
import pytest

from rtcli.sandbox.call import Limits
from rtcli.sandbox.engine.scripted import ScriptedEngine
from rtcli.transport.base import Down
from rtcli.transport.webrtc import WebRtcPeer
from tests.sandbox.test_whole_call import KEY, Client, Sandbox, calling


TEXT = {"type": "realtime", "output_modalities": ["text"]}
FLOOD = 4_000
JUNK = ('{"type":"nonsense"}', "not json", '{"type":"conversation.item.delete","item_id":"x"}', "[" * 1000)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    running = Sandbox(ScriptedEngine({"hello": "Hello to you."}), Limits(calls=8, connect=1.0))
    yield running
    running.server.stop()


async def turn(client: Client) -> str:
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hello"}]}
    client.send("conversation.item.create", item=item)
    client.send("response.create")
    said = await client.until("response.output_text.done")
    return str(said["text"])


async def flood(client: Client) -> None:
    """As fast as the channel takes them."""
    for number in range(FLOOD):
        if client.down is not None:
            return
        client.peer.send(JUNK[number % len(JUNK)])
        if number % 50 == 0:
            await asyncio.sleep(0)


def test_a_flood_of_junk_is_answered_or_ended_and_another_call_has_its_turn(sandbox: Sandbox) -> None:
    async def test() -> None:
        async with calling(sandbox.base, TEXT) as evil, calling(sandbox.base, TEXT) as good:
            flooding = asyncio.create_task(flood(evil))
            assert await turn(good) == "Hello to you."
            await flooding
            await evil.until_true(lambda: isinstance(evil.down, Down) or evil.types.count("error") == FLOOD)
            assert await turn(good) == "Hello to you."
        await sandbox.until_empty()

    asyncio.run(test())


def test_offers_whose_makers_never_come_are_bounded_and_forgotten(sandbox: Sandbox) -> None:
    async def test() -> None:
        peer = WebRtcPeer(source=None, sink=None, deliver=lambda _: None, loopback=True)
        offer = await peer.offer()
        headers = {**KEY, "Content-Type": "application/sdp"}
        async with httpx.AsyncClient(headers=headers) as http:
            answers = [await http.post(f"{sandbox.base}/realtime/calls", content=offer) for _ in range(10)]
        assert {answer.status_code for answer in answers} == {201, 503}
        assert sandbox.service.calls <= 8
        await sandbox.until_empty()
        async with calling(sandbox.base, TEXT) as client:
            assert await turn(client) == "Hello to you."
        await peer.close()

    asyncio.run(test())
