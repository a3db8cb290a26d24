"""A service whose calls flood with numbered events of 300 bytes: `python -m tests.bench.flood COUNT PER_SECOND`.

Prints its base URL. Each event says when it was sent; PER_SECOND 0 is as fast as the channel takes them.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

from rtcli.transport.base import Opened, Signal
from tests.services import Call, Event, OpenAi


BEGIN = 3.0
"""Seconds after a call is up, for readers to attach."""
SIZE = 300
FULL = 500_000
"""Bytes that wait for the wire above which nothing is added."""


class Flooding(Call):
    count, per_second = 1000, 0.0

    def _take(self, signal: Signal) -> None:
        super()._take(signal)
        if isinstance(signal, Opened):
            self._flooding = asyncio.get_running_loop().create_task(self._flood())

    async def _flood(self) -> None:
        await asyncio.sleep(BEGIN)
        begun = time.monotonic()
        for number in range(1, self.count + 1):
            if self.per_second:
                await asyncio.sleep(max(0.0, begun + number / self.per_second - time.monotonic()))
            while self.peer.buffered > FULL:  # noqa: ASYNC110 - a peer tells when asked
                await asyncio.sleep(0.001)
            event = {"type": "test.event", "number": number, "sent": time.time(), "pad": ""}
            event["pad"] = "x" * (SIZE - len(json.dumps(event)))
            self.peer.send(json.dumps(event))
            if number % 16 == 0:
                await asyncio.sleep(0)


class Service(OpenAi):
    async def call(self, offer: bytes, session: Event | None = None, **how: Any) -> str:
        begun = Flooding({"type": "realtime", **(session or {})}, **how)
        self.calls.append(begun)
        return await begun.peer.answer(offer.decode())


if __name__ == "__main__":
    Flooding.count, Flooding.per_second = int(sys.argv[1]), float(sys.argv[2])
    with Service() as service:
        sys.stdout.write(f"{service.url}/v1\n")
        sys.stdout.flush()
        sys.stdin.read()
