"""Calls with a browser's engine: events and sound both ways, and its goodbye."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import sys
from asyncio.subprocess import Process

import ifaddr
import pytest

from rtcli.transport.base import Down, Message, Opened
from tests.loopback.pair import LIMIT, Side


def _check_possible() -> None:
    addresses = {address.ip for adapter in ifaddr.get_adapters() for address in adapter.ips if address.is_IPv4}
    if not addresses - {"127.0.0.1"}:
        pytest.skip("NOT TESTED WITH LIBWEBRTC: it uses no loopback address, and this machine has no other")
    if importlib.util.find_spec("webrtc") is None:
        message = "NOT TESTED WITH LIBWEBRTC: the package `wrtc` is not installed"
        if os.environ.get("RTCLI_REQUIRE_ALL") == "1":
            pytest.fail(message)
        pytest.skip(message)


@pytest.fixture
def _bare_peers_use_loopback() -> None:
    """Not here: libwebrtc names this machine's other addresses only."""
    _check_possible()


async def told(process: Process) -> str:
    assert process.stdout
    return str(json.loads(await asyncio.wait_for(process.stdout.readline(), LIMIT)))


def tell(process: Process, text: str) -> None:
    assert process.stdin
    process.stdin.write(json.dumps(text).encode() + b"\n")


@pytest.mark.parametrize("role", ["offer", "answer"])
def test_libwebrtc_and_we_hear_each_other(role: str) -> None:
    async def run() -> None:
        side = Side()
        peer = side.peer()
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.loopback.libwebrtc", role, stdin=-1, stdout=-1
        )
        try:
            if role == "offer":
                tell(process, await peer.answer(await told(process)))
            else:
                tell(process, await peer.offer())
                await peer.accept(await told(process), limit=LIMIT)
            await side.inbox.wait_for(Opened())
            peer.send("hello")
            await side.inbox.wait_for(Message("echo hello"))
            await side.sink.wait_for(50)
            assert await told(process) == "heard"
            assert process.stdin
            process.stdin.write_eof()
            assert await side.inbox.wait_for_down() == Down("the other side closed the call", orderly=True)
        finally:
            await peer.close()
            if process.returncode is None:
                process.kill()
            await process.wait()

    asyncio.run(run())
