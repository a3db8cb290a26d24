"""PortAudio: the only file that knows sounddevice. Importing it costs 0.2 s and opens PortAudio, so it happens late.

One stream each for microphone and speaker, raw 16-bit, 10 ms blocks: a callback copies a block and hands it over, or
takes one from the playout; it never waits, logs or raises (an exception there is printed by cffi and lost).
48 kHz mono is asked for first; a device that refuses it is opened as it likes and converted here.
"""

from __future__ import annotations

import ctypes
import platform
import sys
from array import array
from collections import deque
from collections.abc import Iterator
from functools import cache
from typing import Any, Literal

from rtcli.audio.base import BLOCK, BLOCK_BYTES, RATE, Device, Pull
from rtcli.errors import DeviceError, UsageError


Kind = Literal["input", "output"]

LATENCY = 0.05
"""Seconds asked of PortAudio. "low" underruns as soon as the interpreter is busy."""
_BACKLOG = 20
"""Blocks kept between the microphone's callback and its reader: 200 ms, the oldest go first."""
_RATES = (48_000, 44_100, 32_000, 24_000, 16_000, 8_000)
_BUSY = -9985  # paDeviceUnavailable


def devices() -> list[Device]:
    """All inputs and outputs of this machine. Raises DeviceError when there is no PortAudio."""
    sd = _sounddevice()
    hosts = [host["name"] for host in sd.query_hostapis()]
    first_input, first_output = sd.default.device
    return [
        Device(
            index=index,
            name=entry["name"],
            host_api=hosts[entry["hostapi"]],
            inputs=entry["max_input_channels"],
            outputs=entry["max_output_channels"],
            default_rate=int(entry["default_samplerate"]),
            is_default_input=index == first_input,
            is_default_output=index == first_output,
        )
        for index, entry in enumerate(sd.query_devices())
    ]


def find(kind: Kind, spec: str) -> Device:
    """The one device meant by a number, a name, or a part of a name (case does not matter).

    Raises UsageError listing the candidates when several are meant, DeviceError when none is.
    """
    usable = [device for device in devices() if _channels(device, kind)]
    meant = _matching(usable, spec)
    if len(meant) == 1:
        return meant[0]
    if meant:
        raise UsageError(f"{spec!r} could be {_listed(meant)}")
    raise DeviceError(f"no {kind} device {spec!r}; there is {_listed(usable) or 'none at all'}")


def default(kind: Kind) -> Device:
    """The machine's default device. Raises DeviceError when there is none."""
    for device in devices():
        if device.is_default_input if kind == "input" else device.is_default_output:
            return device
    raise DeviceError(f"no {kind} device on this machine")


class DeviceMicrophone:
    def __init__(self, device: Device | None = None) -> None:
        """`device`: None for the machine's default."""
        self._device = device
        self.name = device.name if device else "default microphone"
        self.overflows = 0
        """Blocks dropped because nobody read them."""
        self._blocks: deque[bytes] = deque(maxlen=_BACKLOG)
        self._ready = bytearray()
        self._stream: Any = None
        self._convert: _Converter | None = None

    def start(self) -> None:
        device = self._device or default("input")
        self.name = device.name
        self._stream, rate, channels = _open(device, "input", self._captured)
        self._convert = None if (rate, channels) == (RATE, 1) else _Converter(rate, channels, RATE, 1)

    def read(self) -> bytes | None:
        while len(self._ready) < BLOCK_BYTES and self._blocks:
            raw = self._blocks.popleft()
            self._ready += self._convert(raw) if self._convert else raw
        if len(self._ready) < BLOCK_BYTES:
            return None
        block = bytes(self._ready[:BLOCK_BYTES])
        del self._ready[:BLOCK_BYTES]
        return block

    @property
    def ended(self) -> bool:
        return False

    def close(self) -> None:
        _close(self._stream)
        self._stream = None

    def _captured(self, data: Any, frames: int, time: Any, status: Any) -> None:
        del frames, time, status
        if len(self._blocks) == _BACKLOG:
            self.overflows += 1
        self._blocks.append(bytes(data))


class DeviceSpeaker:
    def __init__(self, device: Device | None = None) -> None:
        """`device`: None for the machine's default."""
        self._device = device
        self.name = device.name if device else "default speaker"
        self.underruns = 0
        """Times the device ran dry."""
        self._pull: Pull | None = None
        self._stream: Any = None
        self._convert: _Converter | None = None
        self._waiting = bytearray()

    def start(self, pull: Pull) -> None:
        device = self._device or default("output")
        self.name = device.name
        self._pull = pull
        self._stream, rate, channels = _open(device, "output", self._wanted)
        self._convert = None if (rate, channels) == (RATE, 1) else _Converter(RATE, 1, rate, channels)

    def close(self) -> None:
        _close(self._stream)
        self._stream = None

    def _wanted(self, data: Any, frames: int, time: Any, status: Any) -> None:
        del time
        if status.output_underflow:
            self.underruns += 1
        size = len(data)
        try:
            data[:] = self._direct(frames) if self._convert is None else self._converted(self._convert, size)
        except Exception:  # noqa: BLE001 - cffi would print it on the terminal and go on with noise
            data[:] = bytes(size)

    def _direct(self, frames: int) -> bytes:
        assert self._pull is not None
        return self._pull(frames)

    def _converted(self, convert: _Converter, size: int) -> bytes:
        assert self._pull is not None
        while len(self._waiting) < size:
            self._waiting += convert(self._pull(BLOCK))
        out = bytes(self._waiting[:size])
        del self._waiting[:size]
        return out


class _Converter:
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


def _channels(device: Device, kind: Kind) -> int:
    return device.inputs if kind == "input" else device.outputs


def _matching(usable: list[Device], spec: str) -> list[Device]:
    if spec.isdecimal():
        return [device for device in usable if device.index == int(spec)]
    wanted = spec.casefold()
    exact = [device for device in usable if device.name.casefold() == wanted]
    part = exact or [device for device in usable if wanted in device.name.casefold()]
    return _one_host(part)


def _one_host(meant: list[Device]) -> list[Device]:
    """Windows lists one device under several host APIs: of entries with one name, the first host's is taken."""
    names: dict[str, Device] = {}
    hosts: dict[str, set[str]] = {}
    for device in meant:
        names.setdefault(device.name, device)
        hosts.setdefault(device.name, set()).add(device.host_api)
    if len(names) == 1 and len(next(iter(hosts.values()))) == len(meant):
        return list(names.values())
    return meant


def _listed(meant: list[Device]) -> str:
    return ", ".join(f"{device.index}: {device.name} ({device.host_api})" for device in meant[:20])


def _shapes(device: Device, kind: Kind) -> Iterator[tuple[int, int]]:
    """(rate, channels) in the order worth trying. `default_rate` is often wrong, so it comes second."""
    most = _channels(device, kind)
    rates = dict.fromkeys((RATE, device.default_rate, *_RATES))
    for rate in rates:
        for channels in dict.fromkeys((1, min(2, most), most)):
            yield rate, channels


def _open(device: Device, kind: Kind, callback: Any) -> tuple[Any, int, int]:
    """A running stream, its rate and its channels. Raises DeviceError with what PortAudio said first."""
    sd = _sounddevice()
    make = sd.RawInputStream if kind == "input" else sd.RawOutputStream
    first: Exception | None = None
    for rate, channels in _shapes(device, kind):
        try:
            stream = make(
                samplerate=rate,
                blocksize=rate // 100,
                device=device.index,
                channels=channels,
                dtype="int16",
                latency=LATENCY,
                callback=callback,
            )
        except (sd.PortAudioError, ValueError) as error:
            first = first or error
            if _code(error) == _BUSY:
                break
            continue
        return _started(stream, device, kind), rate, channels
    raise DeviceError(f"the {kind} device {device.name!r} can not be opened: {_said(first)}")


def _started(stream: Any, device: Device, kind: Kind) -> Any:
    sd = _sounddevice()
    try:
        stream.start()
    except sd.PortAudioError as error:
        _close(stream)
        raise DeviceError(f"the {kind} device {device.name!r} does not start: {_said(error)}") from None
    return stream


def _close(stream: Any) -> None:
    if stream is None:
        return
    sd = _sounddevice()
    try:
        stream.close(ignore_errors=True)
    except sd.PortAudioError:
        return


def _code(error: Exception) -> int:
    """PortAudio's number of an error."""
    return error.args[1] if len(error.args) > 1 and isinstance(error.args[1], int) else 0


def _said(error: Exception | None) -> str:
    if error is None:
        return "it has no channels"
    if _code(error) == _BUSY:
        return "it is in use by another program, or gone"
    return str(error.args[0]) if error.args else str(error)


@cache
def _sounddevice() -> Any:
    """The module, imported once. Raises DeviceError when the library behind it is missing or does not start."""
    _hush()
    try:
        import sounddevice
    except OSError as error:
        raise DeviceError(f"PortAudio is not installed: {error}") from None
    except Exception as error:  # noqa: BLE001 - importing initialises PortAudio, whose errors have no class yet
        raise DeviceError(f"PortAudio does not start: {error}") from None
    return sounddevice


def _hush() -> None:
    """Keep the chatter of the C libraries (PortAudio, ALSA, JACK) off the terminal, where it would tear the prompt.

    They print through C's `stderr`; Python does not, it writes to file descriptor 2. So the C variable is pointed at
    the null device and the descriptor is left alone: redirecting that would eat what we ourselves say meanwhile.
    glibc and macOS let one assign it; musl does not, and there the chatter stays.
    """
    names = {"Linux": "stderr" if platform.libc_ver()[0] == "glibc" else "", "Darwin": "__stderrp"}
    symbol = names.get(platform.system(), "")
    if not symbol or sys.flags.dev_mode:
        return
    try:
        libc = ctypes.CDLL(None)
        variable = ctypes.c_void_p.in_dll(libc, symbol)
        libc.fopen.restype = ctypes.c_void_p
        null = libc.fopen(b"/dev/null", b"w")
    except (OSError, AttributeError, ValueError):
        return
    if null:
        variable.value = null
