"""What one task reads, in the order it came: from the loop, or posted from any thread.

`asyncio.Queue` does the same for many readers and for writers that wait; an event's way through a call has two of them,
and there they take a tenth of its time.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import Generic, TypeVar


T = TypeVar("T")


class Mailbox(Generic[T]):
    """Belongs to the loop that runs when it is made. Has no bound of its own: whoever reads looks at its length."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[T] = deque()
        self._reader: asyncio.Future[None] | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, thing: T) -> None:
        """On the loop."""
        self._waiting.append(thing)
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    def post(self, thing: T) -> None:
        """From any thread."""
        with suppress(RuntimeError):  # the loop is closed: nobody reads any more
            self._loop.call_soon_threadsafe(self.put, thing)

    async def take(self) -> T:
        """The oldest. Waits when there is none, and only then."""
        while not self._waiting:
            self._reader = self._loop.create_future()
            await self._reader
        return self._waiting.popleft()
