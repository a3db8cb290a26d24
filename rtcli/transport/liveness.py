"""Whether the other side is still there, told by what arrives. Pure: every moment is an argument.

ICE consent (RFC 7675) alone needs half a minute to notice that a process was killed. Here any packet counts (RTP,
RTCP, STUN, DTLS), silence is broken by STUN requests of our own, which any live ICE agent answers whether or not it has
anything to say, and a gap in our own clock is not held against the other side.
"""

from __future__ import annotations

from typing import Literal


TICK = 0.25
"""Seconds between two looks."""
QUIET = 1.0
"""Seconds without a packet after which we ask."""
PROBE_INTERVAL = 0.5
LOST = 4.0
"""Seconds without a packet after which the other side counts as gone."""
CONSENT_INTERVAL = 5.0
"""Seconds between requests while packets flow: they renew consent and keep address translators open."""
STALL = 1.0
"""Seconds by which a look may be late before we were the ones who were away (a blocked loop, a suspended machine)."""

Verdict = Literal["alive", "ask", "lost"]


class Liveness:
    def __init__(self, now: float) -> None:
        self.heard = now
        """When the last packet came; seconds on the monotonic clock. Set by the receiver for each datagram."""
        self._looked = now
        # The first request tells the round trip: it waits until the handshakes are through.
        self._asked = now - CONSENT_INTERVAL + TICK

    def look(self, now: float) -> Verdict:
        """Call each TICK. `ask`: send a STUN request now."""
        if now - self._looked > TICK + STALL:
            self.heard = max(self.heard, now)
        self._looked = now
        silence = now - self.heard
        if silence >= LOST:
            return "lost"
        if now - self._asked >= (PROBE_INTERVAL if silence >= QUIET else CONSENT_INTERVAL):
            self._asked = now
            return "ask"
        return "alive"
