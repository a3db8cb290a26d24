"""What speaches does to events on its data channel (`src/speaches/routers/realtime_rtc.py`), undone.

Each event comes as base64 in an envelope, in several when it is longer than 900 characters, and has the names of the
beta interface:

    {"id": "event_1", "type": "full_message", "data": "eyJ0e..."}
    {"id": "event_2", "type": "partial_message", "data": "eyJ0e...", "fragment_index": 0, "total_fragments": 3}

What it takes are plain events with beta names.
"""

from __future__ import annotations

import binascii
import logging
from base64 import b64decode
from collections.abc import Callable

from rtcli.protocol import beta
from rtcli.protocol.codec import Json, JsonObject, NotJson, parse, text_of
from rtcli.transport.base import AudioSink, AudioSource, Deliver, Message, Peer, PeerStats, Signal


MOST = 2 << 20
"""Characters of fragments that wait for the rest, of all messages together."""
_KEPT = 100
"""Characters that keeping a fragment costs beside its own; an empty one is not free."""
MOST_FRAGMENTS = 4096
"""Of one message."""
_UNKNOWN = frozenset({"output_audio_buffer.clear"})
"""Events of the service that speaches refuses; its voice stops at `response.cancel`."""

MakePeer = Callable[[AudioSource, AudioSink, Deliver], Peer]
_log = logging.getLogger(__name__)


def speaking_speaches(make: MakePeer) -> MakePeer:
    """Peers as `make` makes them, which speak with speaches in the names of today."""

    def made(source: AudioSource, sink: AudioSink, deliver: Deliver) -> Peer:
        return SpeachesPeer(make(source, sink, unwrapping(deliver)))

    return made


def unwrapping(deliver: Deliver) -> Deliver:
    """Deliver events out of their envelopes and under their present names, everything else as it came."""
    envelopes = Envelopes()

    def take(signal: Signal) -> None:
        if not isinstance(signal, Message):
            deliver(signal)
            return
        event = envelopes.open(signal.data)
        if event is not None:
            deliver(Message(_modern(event)))

    return take


class Envelopes:
    """Opens envelopes and puts fragments together, in whatever order they come, within bounds."""

    def __init__(self) -> None:
        self._waiting: dict[str, dict[int, str]] = {}
        """Fragments by message and index, the message that began first in front."""
        self._size = 0

    def open(self, data: str | bytes) -> str | bytes | None:
        """What was inside; None while fragments are missing; `data` itself when it is no envelope, or a broken one."""
        match _parsed(data):
            case {"type": "full_message", "data": str(whole)}:
                return _decoded(whole, data)
            case {
                "type": "partial_message",
                "id": str(name),
                "data": str(part),
                "fragment_index": int(index),
                "total_fragments": int(total),
            } if 0 <= index < total <= MOST_FRAGMENTS:
                joined = self._add(name, part, index, total)
                return None if joined is None else _decoded(joined, data)
        return data

    def _add(self, name: str, part: str, index: int, total: int) -> str | None:
        """Keep a fragment; all of the message when it was the last one missing."""
        parts = self._waiting.setdefault(name, {})
        self._size += len(part) - len(parts[index]) if index in parts else len(part) + _KEPT
        parts[index] = part
        if len(parts) == total:
            self._forget(name)
            return "".join(parts[number] for number in sorted(parts))
        while self._size > MOST:
            _log.warning("a message that never became whole is dropped")
            self._forget(next(iter(self._waiting)))
        return None

    def _forget(self, name: str) -> None:
        self._size -= sum(len(part) + _KEPT for part in self._waiting.pop(name).values())


class SpeachesPeer:
    """A peer whose events go out under their beta names."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer

    async def offer(self) -> str:
        return await self._peer.offer()

    async def accept(self, answer: str, *, limit: float) -> None:
        await self._peer.accept(answer, limit=limit)

    async def answer(self, offer: str) -> str:
        return await self._peer.answer(offer)

    def send(self, text: str) -> None:
        event = _parsed(text)
        if event is None:
            self._peer.send(text)
        elif event.get("type") not in _UNKNOWN:
            self._peer.send(text_of(beta.old(event)))

    @property
    def buffered(self) -> int:
        return self._peer.buffered

    async def stats(self) -> PeerStats:
        return await self._peer.stats()

    async def close(self) -> None:
        await self._peer.close()


def _modern(data: str | bytes) -> str | bytes:
    """The event under its present names, as it came when it has them or is no event."""
    event = _parsed(data)
    if event is None:
        return data
    present = beta.modern(event)
    return data if present is event else text_of(present)


def _decoded(encoded: str, envelope: str | bytes) -> str | bytes:
    try:
        return b64decode(encoded, validate=True).decode()
    except (binascii.Error, ValueError):
        return envelope


def _parsed(data: str | bytes) -> JsonObject | None:
    try:
        value: Json = parse(data)
    except NotJson:
        return None
    return value if isinstance(value, dict) else None
