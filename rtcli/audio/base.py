"""What the call knows of audio: one PCM shape inside the house, and the parts that take or give it.

Inside, PCM is always 48 kHz, mono, s16le. A *block* is 10 ms of it (480 samples, 960 bytes).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from rtcli.records import dataclass


RATE = 48_000
"""Hertz."""
BLOCK = 480
"""Samples in a block: 10 ms."""
BLOCK_BYTES = BLOCK * 2
TAKEN = 240
"""Samples a loudspeaker takes at once: 5 ms. Half of it passes on average before a packet that came can be heard."""
SILENCE = bytes(BLOCK_BYTES)

Pull = Callable[[int], bytes]
"""`pull(samples)` gives exactly that many samples due at the loudspeaker now; never blocks, never raises."""


class Microphone(Protocol):
    """Where the user's sound comes from. `read` is called on the event loop and never waits."""

    name: str

    def start(self) -> None:
        """Open and begin. Raises DeviceError."""

    def read(self) -> bytes | None:
        """The oldest waiting block (960 bytes), or None when none has come."""

    @property
    def ended(self) -> bool:
        """A file that was read to its end; a device never ends."""

    def close(self) -> None: ...


class Speaker(Protocol):
    """Where the model's sound goes. Calls `pull` from a thread of its own, 5 ms at a time, in real time."""

    name: str

    def start(self, pull: Pull) -> None:
        """Open and begin. Raises DeviceError."""

    def close(self) -> None: ...


class Encoder(Protocol):
    def encode(self, pcm: bytes) -> bytes:
        """One Opus packet for 10, 20, 40 or 60 ms of PCM."""


class Decoder(Protocol):
    """Opus to PCM, one stream's state."""

    name: str
    """What stands behind it, for stats and doctor: `libopus (PyAV)`, `libopus (system)`, `PyAV`."""
    has_fec: bool

    def decode(self, payload: bytes) -> bytes: ...

    def recover(self, next_payload: bytes, samples: int) -> bytes | None:
        """The lost packet before `next_payload` from the in-band FEC that packet carries; None if it carries none."""

    def conceal(self, samples: int) -> bytes:
        """A guess for samples that never came (RFC 6716 section 4.4)."""


@dataclass(frozen=True, slots=True)
class Device:
    """One entry of the machine's device list."""

    index: int
    name: str
    host_api: str
    inputs: int
    """Channels; 0 when it has no microphone."""
    outputs: int
    """Channels; 0 when it has no loudspeaker."""
    default_rate: int
    """Hertz, as the host API says; not to be trusted under ALSA."""
    is_default_input: bool = False
    is_default_output: bool = False
