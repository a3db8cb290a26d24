"""A peer of the sandbox that does wrong what it was told to (`faults`)."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable
from typing import Protocol

from rtcli.sandbox.faults import Faults, sample_like, understood
from rtcli.transport.base import Deliver, Message, Peer, PeerStats, Signal


Fate = Callable[[], float | None]


class Mortal(Peer, Protocol):
    def cut(self) -> None:
        """Vanish without a word."""


class MakeMortal(Protocol):
    def __call__(self, deliver: Deliver, fate: Fate) -> Mortal: ...


class FaultyPeer:
    """`Peer`, with something wrong."""

    def __init__(self, faults: Faults, make: MakeMortal, deliver: Deliver, *, seed: int | None) -> None:
        self._faults = faults
        self._chance = random.Random(seed)  # noqa: S311 - a bad network, no secret
        self._deliver = deliver
        self._frozen = False
        self._timers: list[asyncio.TimerHandle] = []
        self._messages = faults.messages()
        self._peer = make(self._take, self._fate)

    def _fate(self) -> float | None:
        return None if self._frozen else self._faults.fate(self._chance)

    def _take(self, signal: Signal) -> None:
        if isinstance(signal, Message) and self._faults.dialect == "speaches":
            signal = Message(understood(signal.data))
        self._deliver(signal)

    def _freeze(self) -> None:
        self._frozen = True

    async def answer(self, offer: str) -> str:
        answer = await self._peer.answer(offer)
        loop = asyncio.get_running_loop()
        for moment, deed in ((self._faults.freeze, self._freeze), (self._faults.death, self._peer.cut)):
            if moment is not None:
                self._timers.append(loop.call_later(moment, deed))
        return sample_like(answer) if self._faults.sample_sdp else answer

    def send(self, text: str) -> None:
        if self._frozen:
            return
        for message in self._messages(str(json.loads(text)["type"]), text):
            self._peer.send(message)

    @property
    def buffered(self) -> int:
        return self._peer.buffered

    async def stats(self) -> PeerStats:
        return await self._peer.stats()

    async def offer(self) -> str:
        return await self._peer.offer()

    async def accept(self, answer: str, *, limit: float) -> None:
        await self._peer.accept(answer, limit=limit)

    async def close(self) -> None:
        for timer in self._timers:
            timer.cancel()
        await self._peer.close()
