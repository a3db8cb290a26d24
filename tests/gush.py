"""A service whose calls pour out more than anybody keeps in memory, as fast as it is taken."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

from rtcli.commands.lanes import MOST_WAITING
from rtcli.transport.base import Down, Opened, Signal
from tests.services import Call, Event, OpenAi


SIZE = 200_000
"""Bytes of an event."""
COUNT = MOST_WAITING // SIZE + 10


class Gushing(Call):
    def _take(self, signal: Signal) -> None:
        super()._take(signal)
        if isinstance(signal, Opened):
            self._gushing = asyncio.get_running_loop().create_task(self._gush())
        elif isinstance(signal, Down):
            self._gushing.cancel()

    async def _gush(self) -> None:
        for number in range(COUNT):
            await self._until_below(1_000_000)
            self.peer.send(json.dumps({"type": "test.event", "number": number, "pad": "x" * SIZE}))
        await self._until_below(1)
        Gush.over.set()

    async def _until_below(self, most: int) -> None:
        while self.peer.buffered >= most:  # noqa: ASYNC110 - a peer tells when asked
            await asyncio.sleep(0.001)


class Gush(OpenAi):
    over = threading.Event()
    """Everything has been taken."""

    async def call(self, offer: bytes, session: Event | None = None, **how: Any) -> str:
        Gush.over.clear()
        begun = Gushing({"type": "realtime", **(session or {})}, **how)
        self.calls.append(begun)
        return await begun.peer.answer(offer.decode())
