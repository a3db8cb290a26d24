"""What a peer of the sandbox is given for a loudspeaker and for a microphone."""

from __future__ import annotations

import asyncio
from typing import Protocol

from rtcli.audio.base import RATE, Encoder
from rtcli.sandbox.sound import OutputBuffer
from rtcli.transport.base import FRAME_MS, RtpPacket


FRAME = RATE * FRAME_MS // 1000
"""Samples pulled at once and sent at once."""
_SETTLED = 10
"""Packets of silence after which the encoder has nothing left to say and its last packet is repeated."""


class Playout(Protocol):
    """What stands between arriving packets and the detector."""

    def add(self, packet: RtpPacket, now: float) -> None: ...

    def pull(self, samples: int, now: float) -> bytes: ...


class Ear:
    """The peer's sink."""

    def __init__(self, playout: Playout) -> None:
        self.playout = playout
        self.first = asyncio.Event()

    def add(self, packet: RtpPacket, now: float) -> None:
        self.playout.add(packet, now)
        self.first.set()


class Mouth:
    """The peer's source: the output buffer's sound, or silence."""

    def __init__(self, output: OutputBuffer, encoder: Encoder) -> None:
        self.sent = asyncio.Event()
        """Set at each packet of sound: there is room again."""
        self._output = output
        self._encoder = encoder
        self._silent = 0
        self._silence = b""

    def next_packet(self) -> bytes:
        pcm = self._output.take(FRAME * 2)
        if pcm is not None:
            self._silent = 0
            self.sent.set()
            self.sent.clear()
            return self._encoder.encode(pcm)
        if self._silent < _SETTLED:
            self._silent += 1
            self._silence = self._encoder.encode(bytes(FRAME * 2))
        return self._silence
