"""How often something may be asked for."""

from __future__ import annotations

import time
from collections.abc import Callable

from rtcli.errors import ServiceError


class Bucket:
    """`at_once` tokens, refilled `a_second`; lives on one event loop."""

    def __init__(self, *, a_second: float, at_once: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._a_second = a_second
        self._most = float(at_once)
        self._left = self._most
        self._clock = clock
        self._at = clock()

    def take(self) -> None:
        """Raises ServiceError (429) that says when there will be one."""
        now = self._clock()
        self._left = min(self._most, self._left + (now - self._at) * self._a_second)
        self._at = now
        if self._left < 1:
            raise ServiceError(
                "Too many keys and calls were asked for.",
                status=429,
                code="rate_limit_exceeded",
                kind="rate_limit_error",
                retry_after=max(1.0, (1 - self._left) / self._a_second),
            )
        self._left -= 1
