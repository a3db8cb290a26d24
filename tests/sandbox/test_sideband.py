"""Further connections to a real call: real HTTP, a real WebSocket, a real peer whose call it is."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from rtcli.sandbox import sideband as sideband_module
from rtcli.sandbox.call import Limits
from rtcli.sandbox.engine.scripted import ScriptedEngine
from tests.sandbox.test_whole_call import KEY, Client, Sandbox, calling, run


TYPED = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hello"}]}
TEXT = {"output_modalities": ["text"]}


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    running = Sandbox(ScriptedEngine({"hello": "Hello to you."}), Limits(listeners=2))
    yield running
    running.server.stop()


def address(sandbox: Sandbox, call_id: str) -> str:
    return f"{sandbox.base.replace('http', 'ws')}/realtime?call_id={call_id}"


@asynccontextmanager
async def joined(sandbox: Sandbox, client: Client, **headers: str) -> AsyncIterator[ClientConnection]:
    call_id = client.location.rpartition("/")[2]
    async with connect(address(sandbox, call_id), additional_headers={**KEY, **headers}) as connection:
        yield connection


async def until(connection: ClientConnection, kind: str) -> list[dict[str, Any]]:
    """Events up to the first of this type."""
    events: list[dict[str, Any]] = []
    async with asyncio.timeout(20):
        while not events or events[-1]["type"] != kind:
            events.append(json.loads(await connection.recv()))
    return events


def test_who_joins_hears_the_session_first_and_then_what_the_client_hears(sandbox: Sandbox) -> None:
    async def test() -> None:
        async with calling(sandbox.base) as client, joined(sandbox, client) as connection:
            first = json.loads(await connection.recv())
            assert first["type"] == "session.created"
            assert first["session"]["id"] == client.events[0]["session"]["id"]
            before = len(client.events)
            client.send("conversation.item.create", item=TYPED)
            client.send("response.create", response=TEXT)
            events = await until(connection, "response.done")
            await client.until("response.done")
            assert events == client.events[before : before + len(events)]

    run(test)


def test_what_a_sideband_sends_counts_and_the_client_sees_it(sandbox: Sandbox) -> None:
    async def test() -> None:
        async with calling(sandbox.base) as client, joined(sandbox, client) as connection:
            update = {"type": "session.update", "session": {"type": "realtime", "instructions": "Rhyme."}}
            await connection.send(json.dumps(update))
            await connection.send(json.dumps({"type": "nonsense", "event_id": "mine"}).encode())
            assert (await client.until("session.updated"))["session"]["instructions"] == "Rhyme."
            assert (await client.until("error"))["error"]["event_id"] == "mine"
            assert [event["type"] for event in await until(connection, "error")][-2:] == ["session.updated", "error"]

    run(test)


def test_the_end_of_the_call_is_the_end_of_its_sidebands(sandbox: Sandbox) -> None:
    async def test() -> None:
        async with calling(sandbox.base) as client, joined(sandbox, client) as connection:
            await connection.recv()
            async with httpx.AsyncClient(headers=KEY) as http:
                url = f"{sandbox.base}/realtime/calls/{client.location.rpartition('/')[2]}/hangup"
                assert (await http.post(url)).status_code == 200
            with pytest.raises(ConnectionClosed) as closed:
                await until(connection, "never")
            assert closed.value.rcvd is not None
            assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1000, "The call has ended.")

    run(test)


def test_a_sideband_that_leaves_or_dies_takes_nothing_along(sandbox: Sandbox) -> None:
    async def test() -> None:
        async with calling(sandbox.base) as client:
            for _ in range(3):  # more than may listen at once
                async with joined(sandbox, client) as connection:
                    await connection.recv()
                async with joined(sandbox, client) as connection:
                    connection.transport.abort()
                await asyncio.sleep(0.05)
            client.send("conversation.item.create", item=TYPED)
            await client.until("conversation.item.done")

    run(test)


def test_a_sideband_that_takes_nothing_is_cut_off_and_the_call_goes_on(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sideband_module, "MOST_UNTAKEN", 300_000)

    async def test() -> None:
        async with calling(sandbox.base) as client, joined(sandbox, client) as connection:
            connection.transport.pause_reading()
            big = {**TYPED, "content": [{"type": "input_text", "text": "x" * 50_000}]}
            for _ in range(120):
                client.send("conversation.item.create", item=big)
                await asyncio.sleep(0)
            await client.until("conversation.item.done", times=120)
            connection.transport.resume_reading()
            with pytest.raises(ConnectionClosed) as closed:
                await until(connection, "never")
            assert closed.value.rcvd is None or closed.value.rcvd.code == 1008

    run(test)


@pytest.mark.parametrize(
    ("call_id", "headers", "host", "status"),
    [
        ("", {}, "127.0.0.1", 401),
        ("", {"Authorization": "Bearer ek_unknown"}, "127.0.0.1", 401),
        ("x", KEY, "127.0.0.1", 404),
        ("", {**KEY, "Origin": "https://evil.example"}, "127.0.0.1", 403),
        ("", KEY, "evil.example", 421),
    ],
)
def test_a_handshake_that_is_refused_says_why_as_every_other_request(
    sandbox: Sandbox, call_id: str, headers: dict[str, str], host: str, status: int
) -> None:
    async def test() -> None:
        async with calling(sandbox.base) as client:
            url = address(sandbox, client.location.rpartition("/")[2] + call_id)
            port = int(sandbox.base.rpartition(":")[2].partition("/")[0])
            named = url.replace("127.0.0.1", host)
            with pytest.raises(InvalidStatus) as refused:
                await connect(named, additional_headers=headers, host="127.0.0.1", port=port)
            assert refused.value.response.status_code == status
            assert json.loads(refused.value.response.body)["error"]["message"]

    run(test)


def test_a_call_has_so_many_sidebands_and_no_more(sandbox: Sandbox) -> None:
    async def test() -> None:
        async with calling(sandbox.base) as client, joined(sandbox, client), joined(sandbox, client):
            with pytest.raises(InvalidStatus) as refused:
                async with joined(sandbox, client):
                    pass
            assert refused.value.response.status_code == 429

    run(test)


def test_an_address_without_a_call_is_refused(sandbox: Sandbox) -> None:
    async def test() -> None:
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"{sandbox.base.replace('http', 'ws')}/realtime", additional_headers=KEY)
        assert refused.value.response.status_code == 400

    run(test)
