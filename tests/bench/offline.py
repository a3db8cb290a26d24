"""rtcli's playout on the bench's networks without waiting: the same packets and fates, the speaker on a given clock.

Deterministic, some twenty times faster than the call it stands for, and deaf to whatever else the machine does; there
is no rival in it, libwebrtc runs in real time only.
"""

from __future__ import annotations

import random

from rtcli.audio.base import RATE, TAKEN
from rtcli.audio.opus import make_decoder
from rtcli.audio.playout import Playout
from rtcli.transport.base import RtpPacket

from .network import Network
from .peers import Heard, frame_end


NOISE = 0.0005
"""Mean seconds by which sockets and timers are late."""
AFTER = 0.6


def simulate(network: Network, payloads: list[bytes], half: int, seed: int) -> Heard:
    """One call on a clock that starts at zero with the first sample spoken."""
    chance = random.Random(seed)
    count = len(payloads)
    arrivals = []
    for number, (payload, fate) in enumerate(zip(payloads, network.fate(count, seed), strict=True)):
        if fate is not None:
            at = frame_end(number, half, network.ppm, network.pause) + fate + chance.expovariate(1 / NOISE)
            arrivals.append((at, RtpPacket(number & 0xFFFF, number * 960, 1, True, payload)))
    arrivals.sort(key=lambda arrival: arrival[0])
    heard = Heard()
    playout = Playout(make_decoder, played=lambda pcm, position, now: heard.blocks.append((now, pcm)))
    phase, next_one = chance.random() * TAKEN / RATE, 0
    end = frame_end(count, half, network.ppm, network.pause) + AFTER
    for block in range(int(end * RATE / TAKEN)):
        now = phase + block * TAKEN / RATE
        while next_one < len(arrivals) and arrivals[next_one][0] <= now:
            playout.add(arrivals[next_one][1], arrivals[next_one][0])
            next_one += 1
        playout.pull(TAKEN, now)
    stats = playout.stats()
    heard.concealed = stats.concealed_ms / max(1.0, stats.played_ms)
    heard.facts = {name: getattr(stats, name) for name in stats.__slots__}
    return heard
