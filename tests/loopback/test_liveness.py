"""A remote in another process that is killed, falls silent, or only seems to."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from rtcli.transport.base import Down
from rtcli.transport.liveness import LOST, TICK
from rtcli.transport.webrtc import WebRtcPeer
from tests.loopback.pair import LIMIT, Side, connected, until


@asynccontextmanager
async def call_to_a_process(
    side: Side, *arguments: str
) -> AsyncIterator[tuple[WebRtcPeer, asyncio.subprocess.Process]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.loopback.remote", *arguments, stdin=-1, stdout=-1
    )
    assert process.stdin
    assert process.stdout
    peer = side.peer()
    try:
        process.stdin.write(json.dumps(await peer.offer()).encode() + b"\n")
        answer = json.loads(await asyncio.wait_for(process.stdout.readline(), LIMIT))
        await peer.accept(answer, limit=LIMIT)
        yield peer, process
    finally:
        await peer.close()
        if process.returncode is None:
            process.kill()
        await process.wait()


def test_a_killed_remote_is_noticed_within_seconds() -> None:
    async def run() -> None:
        side = Side()
        async with call_to_a_process(side) as (_, process):
            await side.sink.wait_for(1)
            process.kill()
            killed = time.monotonic()
            assert await side.inbox.wait_for_down() == Down("nothing arrived for 4 s", orderly=False)
            # ICE consent alone takes half a minute.
            assert time.monotonic() - killed < 3 * LOST
            assert len(side.inbox.downs) == 1

    asyncio.run(run())


def test_a_remote_that_sends_nothing_of_itself_is_not_taken_for_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rtcli.transport.liveness.LOST", 2.5)

    async def run() -> None:
        side = Side()
        async with call_to_a_process(side, "mute"):
            await asyncio.sleep(3.5)
            assert side.inbox.downs == []
            assert side.sink.packets == []

    asyncio.run(run())


def test_a_loop_that_was_blocked_does_not_blame_the_remote(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rtcli.transport.liveness.LOST", 2.0)

    async def run() -> None:
        side = Side()
        async with call_to_a_process(side):
            time.sleep(2.5)  # noqa: ASYNC251 - the stall
            count = len(side.sink.packets)
            await side.sink.wait_for(count + 50)
            assert side.inbox.downs == []

    asyncio.run(run())


def test_a_network_that_is_gone_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rtcli.transport.liveness.LOST", 1.0)

    async def run() -> None:
        async with connected() as pair:
            assert pair.them._link
            for protocol in pair.them._link.ice._protocols:
                protocol.transport.abort()
            assert (await pair.ours.inbox.wait_for_down()).orderly is False

    asyncio.run(run())


def test_after_the_end_nothing_is_asked_any_more() -> None:
    async def run() -> None:
        async with connected() as pair:
            assert pair.us._link
            ice = pair.us._link.ice
            await until(lambda: ice.round_trip, "a round trip")
            pair.us._end("for a test", orderly=False)
            asked: list[object] = []
            ice._connection.build_request = lambda *_, **__: asked.append("asked")
            assert ice._liveness
            ice._liveness._asked = ice._liveness.heard = 0.0
            await asyncio.sleep(3 * TICK)
            assert asked == []
            assert len(pair.ours.inbox.downs) == 1

    asyncio.run(run())
