"""The local socket of a live call: who gets in, who gets what, and that nobody holds up the call."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from rtcli.errors import UsageError
from rtcli.transport import attach, meeting
from rtcli.transport.attach import Hub


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "live"


class Owner:
    """A call's end without a call: happenings are numbers."""

    def __init__(self, folder: Path, name: str | None = None) -> None:
        self.taken: list[dict[str, Any]] = []
        self.room = True
        self.place = meeting.take(folder, name)
        self.hub = Hub[bytes](
            self.place,
            describe=lambda: {"name": self.place.name},
            lines_of=self._lines_of,
            size_of=len,
            take=self.taken.append,
            has_room=lambda: self.room,
        )

    @staticmethod
    def _lines_of(happening: bytes, wall: datetime) -> list[bytes]:
        return [happening[:-1] + b',"_rt":{"v":1,"seq":0,"t":"' + wall.isoformat().encode() + b'","dir":"in"}}\n']

    def tell(self, number: int, size: int = 0) -> None:
        self.hub.tell(json.dumps({"type": "x", "number": number, "pad": "x" * size}).encode())


@asynccontextmanager
async def owner(folder: Path, name: str | None = None) -> AsyncIterator[Owner]:
    made = Owner(folder, name)
    await made.hub.open()
    try:
        yield made
    finally:
        await made.hub.close()


async def wait_until(true: Any) -> None:
    until = time.monotonic() + 10
    while not true():
        assert time.monotonic() < until
        await asyncio.sleep(0.005)


async def numbers(attachment: attach.Attachment, upto: int) -> list[int]:
    """Until one says it is the last."""
    found: list[int] = []
    async with asyncio.timeout(20):
        async for raw in attachment.lines():
            said = json.loads(attach.line_of(raw).raw)
            if said["type"] == "x":
                found.append(said["number"])
                if said["number"] == upto:
                    return found
    return found


def test_the_folder_and_the_socket_are_the_users_alone(folder: Path) -> None:
    place = meeting.take(folder, None)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(place.path.stat().st_mode) == 0o600
    place.leave()
    assert not place.path.exists()


def test_a_folder_that_others_can_reach_is_refused(folder: Path) -> None:
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    with pytest.raises(OSError, match="open to others"):
        meeting.take(folder, None)


def test_a_link_in_the_place_of_the_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="not this user's own"):
        meeting.take(folder, None)


def test_names_are_the_smallest_free_number_and_a_taken_one_is_refused(folder: Path) -> None:
    places = [meeting.take(folder, None) for _ in range(3)]
    assert [place.name for place in places] == ["1", "2", "3"]
    places[1].leave()
    places[1] = meeting.take(folder, None)
    assert places[1].name == "2"
    with pytest.raises(UsageError, match="called 3 already"):
        meeting.take(folder, "3")
    for place in places:
        place.leave()


def test_what_a_killed_process_left_is_taken_away(folder: Path) -> None:
    place = meeting.take(folder, "alice")
    place.listening.close()  # as the system does for a killed process; the file stays
    assert asyncio.run(attach.live_calls(folder)) == []
    assert meeting.names(folder) == []
    meeting.take(folder, "alice").leave()


@pytest.mark.parametrize("name", ["", "../x", "a b", "-x", "x" * 33, "a/b"])
def test_a_name_that_is_no_file_name_is_refused(folder: Path, name: str) -> None:
    with pytest.raises(UsageError):
        meeting.take(folder, name)


def test_a_folder_deeper_than_an_address_is_long_works(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    deep.parent.mkdir()

    async def look() -> list[str]:
        async with owner(deep):
            return [live.described["name"] for live in await attach.live_calls(deep)]

    assert asyncio.run(look()) == ["1"]


def test_each_reader_gets_everything_in_order_and_one_with_history_what_was_before(folder: Path) -> None:
    async def run() -> tuple[list[int], list[int]]:
        async with owner(folder) as call:
            call.tell(0)
            first = await attach.attach(folder, "1")
            second = await attach.attach(folder, "1", history=True)
            await wait_until(lambda: sum(reader.listens for reader in call.hub._readers) == 2)
            for number in range(1, 2001):
                call.tell(number, 300)
                if number % 100 == 0:
                    await asyncio.sleep(0)
            got = await numbers(first, 2000), await numbers(second, 2000)
            await first.close()
            await second.close()
            return got

    first, second = asyncio.run(run())
    assert first == list(range(1, 2001))
    assert second == list(range(2001))


def test_a_reader_that_lags_loses_the_oldest_is_told_how_many_and_holds_up_nobody(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attach, "WAITING", 100)

    async def run() -> tuple[list[int], list[int], int, float]:
        async with owner(folder) as call:
            stopped = await attach.attach(folder, "1")
            stopped._reader._transport.pause_reading()  # type: ignore[attr-defined]  # as a stopped process does
            swift = await attach.attach(folder, "1")
            await wait_until(lambda: sum(reader.listens for reader in call.hub._readers) == 2)
            reading = asyncio.create_task(numbers(swift, 3000))
            longest = 0.0
            for number in range(3001):
                begun = time.perf_counter()
                call.tell(number, 1000)
                longest = max(longest, time.perf_counter() - begun)
                if number % 20 == 0:
                    await asyncio.sleep(0.001)
            swift_got = await reading
            stopped._reader._transport.resume_reading()  # type: ignore[attr-defined]  # and goes on
            lost, got = 0, []
            async for raw in stopped.lines():
                said = json.loads(attach.line_of(raw).raw)
                if said["type"] == "x":
                    got.append(said["number"])
                lost += said.get("lost", 0)
                if said.get("number") == 3000:
                    break
            for each in (stopped, swift):
                await each.close()
            return swift_got, got, lost, longest

    swift, slow, lost, longest = asyncio.run(run())
    assert swift == list(range(3001))
    assert lost > 0
    assert len(slow) + lost == 3001
    assert slow == sorted(slow)
    assert slow[-100:] == list(range(2901, 3001))
    assert longest < 1.0


def test_what_a_guest_writes_reaches_the_call_in_order_and_waits_while_there_is_no_room(folder: Path) -> None:
    async def run() -> tuple[int, list[int]]:
        async with owner(folder) as call:
            call.room = False
            guest = await attach.attach(folder, "1")
            await wait_until(lambda: any(reader.listens for reader in call.hub._readers))
            for number in range(20_000):
                guest.write(json.dumps({"type": "test", "number": number}))
            await asyncio.sleep(0.3)
            early = len(call.taken)
            call.room = True
            await wait_until(lambda: len(call.taken) == 20_000)
            await guest.close()
            return early, [event["number"] for event in call.taken]

    early, order = asyncio.run(run())
    assert early < 20_000, "it was not held back"
    assert order == list(range(20_000))


@pytest.mark.parametrize(
    "said", [b"\x00\x01\n", b"[]\n", b'{"no":"type"}\n', b"x" * (attach.LARGEST_EVENT + 70_000), b"\xff\xfe\n"]
)
def test_who_speaks_nonsense_is_shown_out_and_nobody_else_notices(folder: Path, said: bytes) -> None:
    async def run() -> list[dict[str, Any]]:
        async with owner(folder) as call:
            reader, writer = await asyncio.open_unix_connection(sock=(meeting.connect(folder, "1"))[0])
            await reader.readline()
            writer.write(said)
            async with asyncio.timeout(10):
                with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                    await reader.readexactly(1)
            writer.close()
            return call.taken

    assert asyncio.run(run()) == []


def test_a_call_that_is_stopped_is_listed_as_one_that_does_not_answer(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attach, "HELLO", 0.2)
    place = meeting.take(folder, None)  # listens, and nobody takes connections
    assert asyncio.run(attach.live_calls(folder)) == [attach.Live("1", {})]
    place.leave()


@pytest.mark.skipif(not hasattr(socket, "SO_PEERCRED"), reason="NOT RUN: this system does not say who connects")
def test_who_runs_as_another_user_is_not_let_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        async with owner(folder):
            connection, _ = meeting.connect(folder, "1")
            monkeypatch.setattr(os, "getuid", lambda: 12_345)
            reader, writer = await asyncio.open_unix_connection(sock=connection)
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await reader.readexactly(1)
            writer.close()
            monkeypatch.undo()

    asyncio.run(run())


def test_a_line_is_taken_apart_as_it_was_put_together() -> None:
    line = attach.line_of(
        b'{"type":"a","text":"x,\\"_rt\\":y","_rt":{"v":1,"seq":3,"dir":"out","t":"2026-01-31T12:00:00.5Z"}}\n'
    )
    assert (json.loads(line.raw), line.direction) == ({"type": "a", "text": 'x,"_rt":y'}, "out")
    assert line.wall is not None
    assert attach.line_of(b'{"type":"session.created"}').direction == "in"
    assert attach.line_of(b'{"type":"rtcli.turn"}').direction == "local"
