"""Opus, both ways: what a payload says of itself, and the codec behind `Decoder` and `Encoder`.

The codec is libopus itself, by ctypes: FFmpeg (and so PyAV and aiortc) never asks it for the in-band FEC a packet
carries about the one before it, and that FEC is what saves words at 5 to 20 % loss. PyAV's wheel carries a libopus;
its place in the wheel is private, so the system's copy comes next, and PyAV's own decoder last, which conceals by
decoding a bare table-of-contents byte but rebuilds nothing from FEC.

Payloads are hostile input: nothing here raises on one.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import fractions
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Literal

from rtcli.audio.base import RATE, Decoder, Encoder


LONGEST = 5760
"""Samples of the longest packet: 120 ms (RFC 6716 section 3.2.5)."""
_LARGEST = 48 * 1275 + 100
"""Bytes. 48 frames of the largest frame size, and their headers: what is longer is no Opus."""
_FRAME_STEP = 120
"""libopus conceals multiples of 2.5 ms only."""
_OUT_BYTES = 1500
"""Room for one encoded packet: at our rates it has some 70 bytes."""

BITRATE = 28_000
"""Bit/s: where voice is transparent in mono and SILK still carries FEC (hybrid mode)."""
LOSS_HINT = 10
"""Percent of loss the encoder prepares for; below about 5 libopus leaves the FEC out."""

# opus_defines.h
_APPLICATION_VOIP = 2048
_SET_BITRATE = 4002
_SET_COMPLEXITY = 4010
_SET_INBAND_FEC = 4012
_SET_PACKET_LOSS_PERC = 4014
_SET_SIGNAL = 4024
_SIGNAL_VOICE = 3001


def packet_samples(payload: bytes) -> int:
    """Duration of a packet in samples at 48 kHz from its first two bytes (RFC 6716 section 3.1); 0 when malformed."""
    if not 0 < len(payload) <= _LARGEST:
        return 0
    frames = _frame_count(payload)
    samples = frames * _frame_samples(payload[0] >> 3)
    return samples if samples <= LONGEST else 0


def carries_fec(payload: bytes) -> bool:
    """Whether the packet carries a copy of the one before it: the LBRR flag of its first SILK frame.

    RFC 6716 section 4.2.3: the frame opens with one VAD flag for every 20 ms, then the LBRR flag; each is coded with
    probability one half, so they are the first bits of the first byte. Stereo repeats both for the side channel.
    """
    if not packet_samples(payload) or payload[0] >> 3 >= 16:  # 16 and up are CELT only
        return False
    start = _first_frame(payload)
    if start >= len(payload):
        return False
    flags = max(1, _frame_samples(payload[0] >> 3) // 960)
    first = payload[start]
    mid = first >> (7 - flags) & 1
    side = first >> (6 - 2 * flags) & 1 if payload[0] & 4 and flags <= 3 else 0
    return bool(mid or side)


def make_decoder() -> Decoder:
    """A decoder for one stream, with FEC where a libopus can be reached."""
    library, origin = _libopus()
    if library is None:
        return _AvDecoder()
    return _LibopusDecoder(library, f"libopus ({origin})")


def make_encoder(frame_ms: int = 20, *, complexity: int = 10) -> Encoder:
    """A voice encoder: mono, FEC on. `frame_ms` is 10, 20, 40 or 60 and fixes the length `encode` takes.

    `complexity`, 0 to 10: what quality may cost; 1 takes a third of the time of 10.
    """
    if frame_ms not in {10, 20, 40, 60}:
        raise ValueError(f"no Opus frame of {frame_ms} ms")
    library, _ = _libopus()
    return _AvEncoder(frame_ms, complexity) if library is None else _LibopusEncoder(library, frame_ms, complexity)


def _frame_samples(config: int) -> int:
    """Samples of one frame by the configuration number of RFC 6716 table 2."""
    if config < 12:  # SILK
        return (480, 960, 1920, 2880)[config & 3]
    if config < 16:  # hybrid
        return (480, 960)[config & 1]
    return (120, 240, 480, 960)[config & 3]  # CELT


def _frame_count(payload: bytes) -> int:
    code = payload[0] & 3
    if code == 0:
        return 1
    if code in {1, 2}:
        return 2
    return payload[1] & 0x3F if len(payload) > 1 else 0


def _first_frame(payload: bytes) -> int:
    """Offset of the first frame's first byte (RFC 6716 section 3.2)."""
    code = payload[0] & 3
    if code < 2:
        return 1
    if code == 2:
        return 1 + _size_bytes(payload, 1)
    position = 2
    if payload[1] & 0x40:
        while position < len(payload) and payload[position] == 255:
            position += 1
        position += 1
    if payload[1] & 0x80:
        for _ in range((payload[1] & 0x3F) - 1):
            position += _size_bytes(payload, position)
    return position


def _size_bytes(payload: bytes, position: int) -> int:
    return 2 if position < len(payload) and payload[position] >= 252 else 1


def _bundled() -> Iterator[str]:
    """Places where PyAV's wheels keep libopus: auditwheel, delocate and delvewheel each have their own."""
    import av

    home = Path(av.__file__).parent
    for folder, pattern in ((home.parent / "av.libs", "*opus*"), (home / ".dylibs", "libopus*.dylib")):
        if folder.is_dir():
            yield from sorted(str(path) for path in folder.glob(pattern))


@cache
def _libopus() -> tuple[ctypes.CDLL | None, str]:
    """The first libopus that loads and has what we call, and whose it is."""
    for path in _bundled():
        library = _load(path)
        if library is not None:
            return library, "PyAV"
    found = ctypes.util.find_library("opus") or ("libopus.so.0" if sys.platform == "linux" else None)
    return (_load(found), "system") if found else (None, "")


def _load(path: str) -> ctypes.CDLL | None:
    try:
        library = ctypes.CDLL(path)
        _declare(library)
    except (OSError, AttributeError):
        return None
    return library


def _declare(library: ctypes.CDLL) -> None:
    """Types of the calls. The `ctl`s are variadic: only their fixed part is declared, as Apple's arm64 needs it."""
    pointer, number = ctypes.c_void_p, ctypes.c_int
    library.opus_decoder_create.restype = pointer
    library.opus_decoder_create.argtypes = [ctypes.c_int32, number, ctypes.POINTER(number)]
    library.opus_decoder_destroy.restype = None
    library.opus_decoder_destroy.argtypes = [pointer]
    library.opus_decode.restype = number
    library.opus_decode.argtypes = [pointer, ctypes.c_char_p, ctypes.c_int32, pointer, number, number]
    library.opus_encoder_create.restype = pointer
    library.opus_encoder_create.argtypes = [ctypes.c_int32, number, number, ctypes.POINTER(number)]
    library.opus_encoder_destroy.restype = None
    library.opus_encoder_destroy.argtypes = [pointer]
    library.opus_encoder_ctl.restype = number
    library.opus_encoder_ctl.argtypes = [pointer, number]
    library.opus_encode.restype = ctypes.c_int32
    library.opus_encode.argtypes = [pointer, ctypes.c_char_p, number, pointer, ctypes.c_int32]


class _LibopusDecoder:
    """A mono decoder: libopus folds stereo payloads down by itself."""

    has_fec = True

    def __init__(self, library: ctypes.CDLL, name: str) -> None:
        self.name = name
        self._library = library
        error = ctypes.c_int()
        self._state = ctypes.c_void_p(library.opus_decoder_create(RATE, 1, ctypes.byref(error)))
        if self._state.value is None:
            raise MemoryError(f"libopus made no decoder (error {error.value})")
        self._pcm = (ctypes.c_int16 * LONGEST)()
        self._bytes = memoryview(self._pcm).cast("B")

    def __del__(self) -> None:
        state = getattr(self, "_state", None)
        if state:
            self._library.opus_decoder_destroy(state)

    def decode(self, payload: bytes) -> bytes:
        """PCM of the payload; a concealment as long as it claims to be when it does not decode; empty for nonsense."""
        samples = packet_samples(payload)
        if not samples:
            return b""
        got = self._library.opus_decode(self._state, payload, len(payload), self._pcm, LONGEST, 0)
        return bytes(self._bytes[: 2 * got]) if got > 0 else self.conceal(samples)

    def recover(self, next_payload: bytes, samples: int) -> bytes | None:
        if not carries_fec(next_payload):
            return None
        wanted = _whole(samples)
        got = self._library.opus_decode(self._state, next_payload, len(next_payload), self._pcm, wanted, 1)
        return bytes(self._bytes[: 2 * min(got, samples)]) if got > 0 else None

    def conceal(self, samples: int) -> bytes:
        got = self._library.opus_decode(self._state, None, 0, self._pcm, _whole(samples), 0)
        return bytes(self._bytes[: 2 * samples]) if got >= samples else bytes(2 * samples)


def _whole(samples: int) -> int:
    """`samples` rounded up to what libopus conceals at once."""
    return min(LONGEST, -(-samples // _FRAME_STEP) * _FRAME_STEP)


class _AvDecoder:
    """PyAV's decoder. Conceals by a bare TOC byte: an Opus packet of no bytes asks libopus for concealment."""

    name = "PyAV"
    has_fec = False

    def __init__(self) -> None:
        self._codec = _av_codec("r")
        self._toc = 0xF8  # CELT, 20 ms, mono
        self._frame = 960

    def decode(self, payload: bytes) -> bytes:
        samples = packet_samples(payload)
        if not samples:
            return b""
        pcm = self._run(payload)
        self._toc = payload[0] & 0xFC  # one frame, same mode
        self._frame = _frame_samples(payload[0] >> 3)
        return pcm or self.conceal(samples)

    def recover(self, next_payload: bytes, samples: int) -> bytes | None:
        del next_payload, samples
        return None

    def conceal(self, samples: int) -> bytes:
        pcm = b""
        while len(pcm) < 2 * samples:
            pcm += self._run(bytes([self._toc])) or bytes(2 * self._frame)
        return pcm[: 2 * samples]

    def _run(self, payload: bytes) -> bytes:
        import av

        try:
            frames = self._codec.decode(av.Packet(payload))
        except av.FFmpegError:
            return b""
        return b"".join(bytes(frame.planes[0])[: 2 * frame.samples] for frame in frames)


class _LibopusEncoder:
    def __init__(self, library: ctypes.CDLL, frame_ms: int, complexity: int) -> None:
        self._library = library
        self._samples = frame_ms * RATE // 1000
        error = ctypes.c_int()
        self._state = ctypes.c_void_p(library.opus_encoder_create(RATE, 1, _APPLICATION_VOIP, ctypes.byref(error)))
        if self._state.value is None:
            raise MemoryError(f"libopus made no encoder (error {error.value})")
        self._out = ctypes.create_string_buffer(_OUT_BYTES)
        for request, value in (
            (_SET_BITRATE, BITRATE),
            (_SET_COMPLEXITY, complexity),
            (_SET_INBAND_FEC, 1),
            (_SET_PACKET_LOSS_PERC, LOSS_HINT),
            (_SET_SIGNAL, _SIGNAL_VOICE),
        ):
            library.opus_encoder_ctl(self._state, request, ctypes.c_int(value))

    def __del__(self) -> None:
        state = getattr(self, "_state", None)
        if state:
            self._library.opus_encoder_destroy(state)

    def encode(self, pcm: bytes) -> bytes:
        """`pcm`: one frame of the length the encoder was made for; anything else raises ValueError."""
        if len(pcm) != 2 * self._samples:
            raise ValueError(f"{len(pcm)} bytes of PCM, expected {2 * self._samples}")
        size = self._library.opus_encode(self._state, pcm, self._samples, self._out, _OUT_BYTES)
        if size <= 0:
            raise RuntimeError(f"libopus did not encode (error {size})")
        return self._out.raw[:size]


class _AvEncoder:
    """PyAV's encoder with the same settings."""

    def __init__(self, frame_ms: int, complexity: int) -> None:
        self._samples = frame_ms * RATE // 1000
        self._pts = 0
        self._codec = _av_codec("w")
        self._codec.bit_rate = BITRATE
        self._codec.options = {
            "application": "voip",
            "frame_duration": str(frame_ms),
            "fec": "1",
            "packet_loss": str(LOSS_HINT),
            "compression_level": str(complexity),
        }

    def encode(self, pcm: bytes) -> bytes:
        import av

        if len(pcm) != 2 * self._samples:
            raise ValueError(f"{len(pcm)} bytes of PCM, expected {2 * self._samples}")
        frame = av.AudioFrame(format="s16", layout="mono", samples=self._samples)
        frame.planes[0].update(pcm)
        frame.sample_rate = RATE
        frame.time_base = fractions.Fraction(1, RATE)
        frame.pts = self._pts
        self._pts += self._samples
        packets = [bytes(packet) for packet in self._codec.encode(frame)]
        if len(packets) != 1:
            raise RuntimeError(f"PyAV made {len(packets)} packets of one frame")
        return packets[0]


def _av_codec(mode: Literal["r", "w"]) -> Any:
    import av

    codec: Any = av.CodecContext.create("libopus", mode)
    codec.format = "s16"
    codec.layout = "mono"
    codec.sample_rate = RATE
    if mode == "w":
        codec.time_base = fractions.Fraction(1, RATE)
    return codec
