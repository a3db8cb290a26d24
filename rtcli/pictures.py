"""Pictures small enough for the data channel. Importing it loads PyAV, so it happens late."""

from __future__ import annotations

import base64
import io
from fractions import Fraction

import av
from av.video.frame import VideoFrame

from rtcli.errors import UsageError


LONGEST_SIDE = 1536
"""Pixels from which a picture that does not fit is made smaller; a vision model sees no more anyway."""
SMALLEST_SIDE = 64
STEP = 0.8
"""From one try to the next."""
MOST_PIXELS = 100_000_000
"""A picture with more is no picture: some bombs have a few hundred bytes."""
_KINDS = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg"}


def fitting(raw: bytes, limit: int) -> str:
    """The picture (PNG or JPEG) as a data URI of at most `limit` bytes; as JPEG, and smaller, where it must be.

    Raises UsageError when it is neither, broken, or can not be made small enough.
    """
    kind = next((kind for magic, kind in _KINDS.items() if raw.startswith(magic)), None)
    if kind is None:
        raise UsageError("neither PNG nor JPEG")
    frame = _decoded(raw)  # one that is broken is refused here, and not by the service in the middle of a call
    uri = _uri(kind, raw)
    if len(uri) <= limit:
        return uri
    side = min(float(LONGEST_SIDE), float(max(frame.width, frame.height)))
    while side >= SMALLEST_SIDE:
        uri = _uri("image/jpeg", _jpeg(frame, side / max(frame.width, frame.height)))
        if len(uri) <= limit:
            return uri
        side *= STEP
    raise UsageError(f"the smallest version has {len(uri)} bytes, the other side takes at most {limit}")


def _uri(kind: str, raw: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(raw).decode()}"


def _decoded(raw: bytes) -> VideoFrame:
    try:
        with av.open(io.BytesIO(raw), "r") as container:
            stream = container.streams.video[0]
            if stream.width * stream.height > MOST_PIXELS:
                raise UsageError(f"{stream.width} x {stream.height} pixels are too many")
            return next(container.decode(stream))
    except (av.FFmpegError, StopIteration, IndexError) as error:
        problem = error.strerror if isinstance(error, av.FFmpegError) else "there is no picture in it"
        raise UsageError(f"the picture is broken ({problem})") from None


def _jpeg(frame: VideoFrame, scale: float) -> bytes:
    """At `scale`, quality 4 of FFmpeg's 2 (best) to 31."""
    encoder = av.CodecContext.create("mjpeg", "w")
    encoder.width = max(2, round(frame.width * scale) // 2 * 2)
    encoder.height = max(2, round(frame.height * scale) // 2 * 2)
    encoder.pix_fmt = "yuvj420p"
    encoder.time_base = Fraction(1)
    encoder.options = {"qmin": "4", "qmax": "4"}
    small = frame.reformat(width=encoder.width, height=encoder.height, format="yuvj420p", interpolation="AREA")
    small.pts = 0
    return b"".join(bytes(packet) for packet in (*encoder.encode(small), *encoder.encode(None)))
