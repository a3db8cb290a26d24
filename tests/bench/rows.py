"""The rows of the table: what is done to the packets on their way."""

from __future__ import annotations

from .network import Network


ROWS = {
    "clean": Network(),
    "one lost": Network(drop=(400,)),
    "1 %": Network(loss=0.01),
    "5 %": Network(loss=0.05),
    "10 %": Network(loss=0.10),
    "20 %": Network(loss=0.20),
    "bursts of 3, 10 %": Network(loss=0.10, burst=3),
    "jitter 20": Network(delay=0.02, jitter=0.02),
    "jitter 60": Network(delay=0.02, jitter=0.06),
    "jitter 60, 5 %": Network(delay=0.02, jitter=0.06, loss=0.05),
    "spikes": Network(delay=0.02, jitter=0.01, spikes=0.01),
    "drift +1000 ppm": Network(ppm=1000),
    "drift -1000 ppm": Network(ppm=-1000),
    "pause of 2 s": Network(pause=2.0),
}
LANES = ("rtcli", "aiortc", "libwebrtc")
SEED = 7
"""Of the first round; each further one has the next."""
