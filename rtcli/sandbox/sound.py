"""The two sound buffers of a call, both pure: the user's waits to be recognised, the model's to be sent."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import field

from rtcli.audio.base import RATE
from rtcli.records import dataclass


BYTES_PER_MS = RATE * 2 // 1000


class InputBuffer:
    """The user's sound on the input's clock: milliseconds since the first packet.

    Holds at most `most_ms`; what is older is lost, and with it the beginning of a turn nobody ends.
    """

    def __init__(self, *, most_ms: int = 120_000) -> None:
        self._pcm = bytearray()
        self._start = 0
        self._most = most_ms * BYTES_PER_MS

    @property
    def clock_ms(self) -> int:
        return (self._start + len(self._pcm)) // BYTES_PER_MS

    def append(self, pcm: bytes) -> None:
        self._pcm += pcm
        self._drop(len(self._pcm) - self._most)

    def forget_before(self, ms: int) -> None:
        self._drop(ms * BYTES_PER_MS - self._start)

    def _drop(self, count: int) -> None:
        count = min(count, len(self._pcm))
        if count > 0:
            del self._pcm[:count]
            self._start += count

    def cut(self, start_ms: int, end_ms: int) -> bytes:
        """What is left of the sound between two points of the clock."""
        start = max(0, start_ms * BYTES_PER_MS - self._start)
        return bytes(self._pcm[start : max(start, end_ms * BYTES_PER_MS - self._start)])


@dataclass(slots=True)
class _Answer:
    """What of one response waits to be sent."""

    response_id: str
    pcm: deque[bytes] = field(default_factory=deque)
    waiting: int = 0
    """Bytes in `pcm`."""
    offset: int = 0
    """Bytes of the first piece that are sent."""
    sent: int = 0
    """Bytes."""
    ended: bool = False

    def take(self, count: int) -> bytes:
        """At most so many bytes."""
        taken = bytearray()
        while self.pcm and len(taken) < count:
            first = self.pcm[0]
            part = first[self.offset : self.offset + count - len(taken)]
            taken += part
            self.offset += len(part)
            if self.offset == len(first):
                self.pcm.popleft()
                self.offset = 0
        self.waiting -= len(taken)
        self.sent += len(taken)
        return bytes(taken)


class OutputBuffer:
    """The model's sound, response after response, taken a packet at a time.

    `started` is called when the first sample of a response is taken, `drained` when its last one is and no more will
    come. It bounds nothing itself: who fills it waits while `waiting_ms` is too much.
    """

    def __init__(self, *, started: Callable[[str], None], drained: Callable[[str], None]) -> None:
        self._answers: deque[_Answer] = deque()
        self._started = started
        self._drained = drained

    @property
    def waiting_ms(self) -> int:
        return sum(answer.waiting for answer in self._answers) // BYTES_PER_MS

    def put(self, response_id: str, pcm: bytes) -> None:
        answer = self._find(response_id)
        if answer is None:
            answer = _Answer(response_id)
            self._answers.append(answer)
        answer.pcm.append(pcm)
        answer.waiting += len(pcm)

    def end(self, response_id: str) -> None:
        """No more will come of this response."""
        answer = self._find(response_id)
        if answer is not None:
            answer.ended = True
            self._retire()

    def clear(self) -> list[tuple[str, int]]:
        """Drop everything; of each response the milliseconds that went out."""
        gone = [(answer.response_id, answer.sent // BYTES_PER_MS) for answer in self._answers]
        self._answers.clear()
        return gone

    def take(self, count: int) -> bytes | None:
        """The next `count` bytes, filled up with silence; None when there is nothing to send."""
        taken = bytearray()
        while len(taken) < count and self._answers:
            answer = self._answers[0]
            first = answer.sent == 0 and answer.waiting > 0
            taken += answer.take(count - len(taken))
            if first:
                self._started(answer.response_id)
            if not (answer.ended and answer.waiting == 0):
                break  # more of this one will come, or the packet is full
            self._retire()
        return bytes(taken.ljust(count, b"\0")) if taken else None

    def _retire(self) -> None:
        while self._answers and self._answers[0].ended and self._answers[0].waiting == 0:
            self._drained(self._answers.popleft().response_id)

    def _find(self, response_id: str) -> _Answer | None:
        return next((answer for answer in self._answers if answer.response_id == response_id), None)
