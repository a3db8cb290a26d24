"""A sender, a network and a speaker in simulated time: what the playout's tests drive it with."""

from __future__ import annotations

import ctypes
import fractions
import math
import random
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from rtcli.audio import opus
from rtcli.audio.playout import Playout
from rtcli.transport.base import RtpPacket


STEP = 0.01
"""Seconds between two pulls."""


@cache
def voiced(count: int, samples: int = 960) -> tuple[bytes, ...]:
    """Opus packets of a steady voice-like sound."""
    encoder = opus.make_encoder(samples // 48)
    wave = babble() * 2
    return tuple(encoder.encode(wave[2 * (i * samples % 48_000) :][: 2 * samples]) for i in range(count))


@cache
def babble() -> bytes:
    """A second of harmonics in syllables, pitch gliding: enough of a voice for SILK to see speech and send FEC."""
    out = array("h")
    for i in range(48_000):
        t = i / 48_000
        phase = 2 * math.pi * (140 * t + 1.5 * math.sin(2 * math.pi * 2 * t))
        syllable = 0.25 + 0.75 * max(0.0, math.sin(2 * math.pi * 3 * t)) ** 0.5
        out.append(int(3500 * syllable * sum(math.sin(k * phase) / k for k in range(1, 10))))
    return out.tobytes()


@cache
def discontinuous(talk: int, pause: int) -> tuple[bytes, ...]:
    """Talk, a pause, talk, from an encoder with DTX: in the pause most packets are of one or two bytes, not sent."""
    library, _ = opus._libopus()
    encoder = opus.make_encoder()
    assert library is not None
    assert isinstance(encoder, opus._LibopusEncoder)
    library.opus_encoder_ctl(encoder._state, 4016, ctypes.c_int(1))  # OPUS_SET_DTX
    voice = babble() * (talk * 960 // 48_000 + 1)
    frames = [voice[1920 * i :][:1920] for i in range(talk)]
    return tuple(encoder.encode(pcm) for pcm in (*frames, *[bytes(1920)] * pause, *frames))


@cache
def stereo(count: int) -> tuple[bytes, ...]:
    """The same voice in two channels, the right one turned over and half as loud, as 20 ms packets."""
    import av

    codec: Any = av.CodecContext.create("libopus", "w")
    codec.format, codec.layout, codec.sample_rate, codec.bit_rate = "s16", "stereo", 48_000, 64_000
    wave, packets = array("h", babble()), []
    for number in range(count):
        frame = av.AudioFrame(format="s16", layout="stereo", samples=960)
        mono = wave[number * 960 % 48_000 :][:960]
        frame.planes[0].update(array("h", [s for one in mono for s in (one, -one // 2)]).tobytes())
        frame.sample_rate, frame.pts, frame.time_base = 48_000, number * 960, fractions.Fraction(1, 48_000)
        packets += [bytes(packet) for packet in codec.encode(frame)]
    return tuple(packets)


@cache
def syllable(talk: int, pause: int) -> tuple[bytes, ...]:
    """Talk, silence, talk, all sent: no DTX."""
    encoder = opus.make_encoder()
    voice = babble() * (talk * 960 // 48_000 + 1)
    frames = [voice[1920 * i :][:1920] for i in range(talk)]
    return tuple(encoder.encode(pcm) for pcm in (*frames, *[bytes(1920)] * pause, *frames))


@cache
def silent(count: int) -> tuple[bytes, ...]:
    encoder = opus.make_encoder()
    return tuple(encoder.encode(bytes(1920)) for _ in range(count))


def packet(index: int, payload: bytes, *, ssrc: int = 1, start: int = 0, samples: int = 960) -> RtpPacket:
    return RtpPacket(index & 0xFFFF, (start + index * samples) & 0xFFFFFFFF, ssrc, False, payload)


@dataclass
class Run:
    """What came out of a simulated call."""

    playout: Playout
    blocks: list[tuple[float, bytes]] = field(default_factory=list)

    @property
    def pcm(self) -> array[int]:
        return array("h", b"".join(block for _, block in self.blocks))

    def sound(self, start: float = 0.0, end: float = math.inf) -> array[int]:
        return array("h", b"".join(block for now, block in self.blocks if start <= now < end))

    def delay(self) -> float:
        """Seconds between the newest sample that came and the one handed out last."""
        return self.playout.stats().depth_ms / 1000


def play(
    arrivals: Sequence[tuple[float, RtpPacket]],
    *,
    until: float,
    actions: Sequence[tuple[float, Callable[[Playout, float], None]]] = (),
    pulls: Callable[[float], bool] = lambda _: True,
    samples: int = 480,
) -> Run:
    """Pull every 10 ms until `until`; `pulls(now)` false: the speaker stalls then."""
    run = Run(Playout(opus.make_decoder))
    pending = sorted(arrivals, key=lambda item: item[0])
    orders = sorted(actions, key=lambda item: item[0])
    at = due = 0
    for tick in range(int(until / STEP)):
        now = tick * STEP
        while at < len(pending) and pending[at][0] <= now:
            run.playout.add(pending[at][1], pending[at][0])
            at += 1
        while due < len(orders) and orders[due][0] <= now:
            orders[due][1](run.playout, now)
            due += 1
        if pulls(now):
            run.blocks.append((now, run.playout.pull(samples, now)))
    return run


def sent(
    payloads: Sequence[bytes],
    *,
    jitter: float = 0.0,
    loss: float = 0.0,
    seed: int = 1,
    start: float = 0.0,
    ppm: float = 0.0,
    samples: int = 960,
    timestamp: int = 0,
    ssrc: int = 1,
) -> list[tuple[float, RtpPacket]]:
    """(arrival, packet) of a stream through a network."""
    chance = random.Random(seed)
    arrivals = []
    for i, payload in enumerate(payloads):
        delay = 0.005 + jitter * chance.random()
        if chance.random() >= loss:
            due = start + (i + 1) * samples / 48_000 * (1 - ppm * 1e-6)
            arrivals.append((due + delay, packet(i, payload, ssrc=ssrc, start=timestamp, samples=samples)))
    return arrivals
