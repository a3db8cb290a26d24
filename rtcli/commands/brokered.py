"""Follows calls that a server brokered, in a thread with a loop of its own: a slow terminal holds up no request."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Protocol

from rtcli.protocol.updates import Update
from rtcli.terminal.calls import CallsFace


MOST = 64
"""Calls followed at once."""
LONGEST_JOIN = 2.0
"""Seconds."""


class _Followed(Protocol):
    def run(self) -> AsyncIterator[Update]: ...


class Follower:
    """`start` once, `stop` once; `follow` on any other loop."""

    def __init__(self, join: Callable[[str], _Followed], face: CallsFace) -> None:
        """`join` makes the guest of a call by its id, on the follower's loop."""
        self._join = join
        self._face = face
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="follower", daemon=True)
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        self._thread.start()

    async def follow(self, call_id: str) -> None:
        """Returns when the call is joined, or could not be, or that took too long.

        Until then its answer has to wait, or a short call would be over before anybody looks.
        """
        joined: Future[None] = Future()
        with suppress(RuntimeError):  # the loop is closed: the server ends
            self._loop.call_soon_threadsafe(self._begin, call_id, joined)
            await asyncio.wait({asyncio.wrap_future(joined)}, timeout=LONGEST_JOIN)

    def stop(self) -> None:
        """Leave every call; takes at most 2 s."""
        leaving = asyncio.run_coroutine_threadsafe(self._leave(), self._loop)
        with suppress(TimeoutError):
            leaving.result(2.0)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(2.0)
        if not self._thread.is_alive():
            self._loop.close()

    def _begin(self, call_id: str, joined: Future[None]) -> None:
        if len(self._tasks) >= MOST:
            joined.set_result(None)
            return
        task = self._loop.create_task(self._show(call_id, joined))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _show(self, call_id: str, joined: Future[None]) -> None:
        try:
            with suppress(BrokenPipeError):  # nobody reads any more; the server goes on
                async for update in self._join(call_id).run():
                    if not joined.done():
                        joined.set_result(None)
                    self._face.show(call_id, update, time.monotonic())
        finally:
            if not joined.done():
                joined.set_result(None)

    async def _leave(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
