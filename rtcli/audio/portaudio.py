"""PortAudio: the only file that knows sounddevice. Importing it costs 0.2 s and opens PortAudio, so it happens late.

One stream each for microphone and speaker, raw 16-bit, 10 ms at once from the one and 5 ms to the other: a callback
copies a block and hands it over, or takes one from the playout; it never waits, logs or raises (an exception there is
printed by cffi and lost).
48 kHz mono is asked for first; a device that refuses it is opened as it likes and converted here.

Over 400 lines because everything that knows sounddevice is here: choosing, opening, converting, watching, closing.
"""

from __future__ import annotations

import atexit
import ctypes
import platform
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from typing import Any

from rtcli.audio.base import BLOCK_BYTES, RATE, SILENCE, TAKEN, Device, Pull
from rtcli.audio.choice import Kind, channels, choose
from rtcli.audio.convert import Converter
from rtcli.audio.watch import Watch
from rtcli.errors import DeviceError


CAPTURE_LATENCY = 0.05
"""Seconds asked of PortAudio for the microphone: room for a busy interpreter, at no cost while it is not."""
LATENCIES = (0.02, 0.05, 0.1, 0.2)
"""Seconds asked for the speaker, the next when it runs dry."""
_BACKLOG = 20
"""Blocks kept between the microphone's callback and its reader: 200 ms, the oldest go first."""
_RATES = (48_000, 44_100, 32_000, 24_000, 16_000, 8_000)
_BUSY = -9985  # paDeviceUnavailable
_DEAD = 300
"""Blocks of exact zeros (3 s) after which a microphone is called dead: a live one has noise in its last bit."""
_WHY_ZEROS = {
    "darwin": "it is muted, or this terminal may not use the microphone (System Settings, Privacy, Microphone)",
    "win32": "it is muted, or apps may not use the microphone (Settings, Privacy, Microphone)",
    "linux": "it is muted, or not what the sound server records from",
}
_CHILD_LIMIT = 10.0
_CLOSE_LIMIT = 1.5

_OPENING = threading.RLock()
"""Held while streams open and while the library starts anew."""
_RUNNING: set[object] = set()
"""Our streams that are open."""
_HUNG: set[object] = set()
"""Those that would not close."""


def devices() -> list[Device]:
    """All inputs and outputs of this machine. Raises DeviceError when there is no PortAudio."""
    sd = _sounddevice()
    try:
        hosts, entries = sd.query_hostapis(), sd.query_devices()
    except sd.PortAudioError as error:
        raise DeviceError(f"PortAudio lists no devices: {_said(error)}") from None
    first_input, first_output = sd.default.device
    return [
        Device(
            index=index,
            name=entry["name"],
            host_api=hosts[entry["hostapi"]]["name"],
            inputs=entry["max_input_channels"],
            outputs=entry["max_output_channels"],
            default_rate=int(entry["default_samplerate"]),
            is_default_input=index == first_input,
            is_default_output=index == first_output,
        )
        for index, entry in enumerate(entries)
    ]


def find(kind: Kind, spec: str) -> Device:
    """The one device meant by a number, a name, or a part of a name (case does not matter).

    Raises UsageError listing the candidates when several are meant, DeviceError when none is.
    """
    return choose(devices(), kind, spec)


def default(kind: Kind) -> Device:
    """The machine's default device. Raises DeviceError when there is none."""
    for device in devices():
        if device.is_default_input if kind == "input" else device.is_default_output:
            return device
    raise DeviceError(f"no {kind} device on this machine")


class _DeviceStream:
    """One stream on one device, watched and opened again while it is wanted."""

    _kind: Kind

    def __init__(self, device: Device | None, on_event: Callable[[str], None] | None) -> None:
        self.name = device.name if device else f"default {'microphone' if self._kind == 'input' else 'speaker'}"
        self._device = device
        self._on_event = on_event
        self._stream: Any = None
        self._last = 0.0
        self._dry = 0
        self._latency = 0
        self._convert: Converter | None = None
        self._watch: Watch | None = None

    @property
    def latency(self) -> float:
        """Seconds asked of PortAudio; it grows when a speaker runs dry."""
        return LATENCIES[self._latency] if self._kind == "output" else CAPTURE_LATENCY

    def close(self) -> None:
        """Stop; safe to repeat. A stream that hangs in a hung server is left to its thread."""
        watch, self._watch = self._watch, None
        if watch is None or watch.stop():
            closing = threading.Thread(target=self.shut, name=f"close {self.name}", daemon=True)
            closing.start()
            closing.join(_CLOSE_LIMIT)
            if not closing.is_alive():
                return
        _HUNG.add(self)

    # For the watch

    def beat(self) -> float:
        stream = self._stream
        return self._last if stream is not None and stream.active else float("-inf")

    def shut(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            _RUNNING.discard(self)
            _close(stream)

    def reopen(self, *, other: bool) -> None:
        self._open(default(self._kind) if other else self._again())

    def renew(self) -> None:
        _renew()

    def underruns(self) -> int:
        return self._dry

    def back_off(self) -> bool:
        if self._latency + 1 >= len(LATENCIES):
            return False
        self._latency += 1
        return True

    def _begin(self) -> None:
        self._open(self._device or default(self._kind))
        self._watch = Watch(self, self._tell)
        self._watch.start()

    def _tell(self, line: str) -> None:
        if self._on_event is not None:
            self._on_event(line)

    def _again(self) -> Device:
        """The device by its name: after the library started anew its number may be another."""
        for device in devices():
            if device.name == self.name and channels(device, self._kind):
                return device
        raise DeviceError(f"no {self._kind} device {self.name!r}")

    def _open(self, device: Device) -> None:
        with _OPENING:
            stream, rate, width = _open(device, self._kind, self._called, self.latency)
            self._adapt(rate, width)
            self._last = time.monotonic()
            self._stream = stream
            _RUNNING.add(self)
            try:
                stream.start()
            except _sounddevice().PortAudioError as error:
                self.shut()
                raise DeviceError(f"the {self._kind} device {device.name!r} does not start: {_said(error)}") from None
        self.name = device.name

    def _adapt(self, rate: int, width: int) -> None:
        """Take the shape the device was opened with."""
        raise NotImplementedError

    def _called(self, data: Any, frames: int, moment: Any, status: Any) -> None:
        """PortAudio's callback."""
        raise NotImplementedError


class DeviceMicrophone(_DeviceStream):
    """A microphone. Goes on through unplugging, stalls and a dead sound server; `on_event` tells of it, in a thread."""

    _kind = "input"

    def __init__(self, device: Device | None = None, *, on_event: Callable[[str], None] | None = None) -> None:
        """`device`: None for the machine's default."""
        super().__init__(device, on_event)
        self.overflows = 0
        """Blocks dropped because nobody read them."""
        self._blocks: deque[bytes] = deque(maxlen=_BACKLOG)
        self._ready = bytearray()
        self._zeros = 0
        self._named_dead = False

    def start(self) -> None:
        self._begin()

    def read(self) -> bytes | None:
        while len(self._ready) < BLOCK_BYTES and self._blocks:
            raw = self._blocks.popleft()
            self._ready += self._convert(raw) if self._convert else raw
        if len(self._ready) < BLOCK_BYTES:
            return None
        block = bytes(self._ready[:BLOCK_BYTES])
        del self._ready[:BLOCK_BYTES]
        self._zeros = self._zeros + 1 if block == SILENCE else 0
        if self._zeros == _DEAD and not self._named_dead:
            # Once: a noise gate in the driver gives zeros in every pause.
            self._named_dead = True
            self._tell(f"{self.name} delivers nothing but zeros: {_WHY_ZEROS.get(sys.platform, 'it is muted')}")
        return block

    @property
    def ended(self) -> bool:
        return False

    def figures(self) -> dict[str, float]:
        """For stats."""
        return {"overflows": self.overflows}

    def _adapt(self, rate: int, width: int) -> None:
        self._blocks.clear()
        self._convert = None if (rate, width) == (RATE, 1) else Converter(rate, width, RATE, 1)

    def _called(self, data: Any, frames: int, moment: Any, status: Any) -> None:
        del frames, moment, status
        self._last = time.monotonic()
        if len(self._blocks) == _BACKLOG:
            self.overflows += 1
        self._blocks.append(bytes(data))


class DeviceSpeaker(_DeviceStream):
    """A loudspeaker. Goes on as a microphone does; begins with little latency and takes more when it runs dry."""

    _kind = "output"

    def __init__(self, device: Device | None = None, *, on_event: Callable[[str], None] | None = None) -> None:
        """`device`: None for the machine's default."""
        super().__init__(device, on_event)
        self._pull: Pull | None = None
        self._waiting = bytearray()

    @property
    def underrun_count(self) -> int:
        """Times the device ran dry."""
        return self._dry

    def figures(self) -> dict[str, float]:
        """For stats: the latency asked for, which grows when the device runs dry, and how often it did."""
        return {"latency_ms": 1000 * self.latency, "underruns": self._dry}

    def start(self, pull: Pull) -> None:
        self._pull = pull
        self._begin()

    def _adapt(self, rate: int, width: int) -> None:
        self._waiting.clear()
        self._convert = None if (rate, width) == (RATE, 1) else Converter(RATE, 1, rate, width)

    def _called(self, data: Any, frames: int, moment: Any, status: Any) -> None:
        del moment
        self._last = time.monotonic()
        if status.output_underflow:
            self._dry += 1
        size = len(data)
        try:
            data[:] = self._direct(frames) if self._convert is None else self._converted(self._convert, size)
        except Exception:  # noqa: BLE001 - cffi would print it on the terminal and go on with noise
            data[:] = bytes(size)

    def _direct(self, frames: int) -> bytes:
        assert self._pull is not None
        return self._pull(frames)

    def _converted(self, convert: Converter, size: int) -> bytes:
        assert self._pull is not None
        while len(self._waiting) < size:
            self._waiting += convert(self._pull(TAKEN))
        out = bytes(self._waiting[:size])
        del self._waiting[:size]
        return out


def _shapes(device: Device, kind: Kind) -> Iterator[tuple[int, int]]:
    """(rate, channels) in the order worth trying. `default_rate` is often wrong, so it comes second."""
    most = channels(device, kind)
    rates = dict.fromkeys((RATE, device.default_rate, *_RATES))
    for rate in rates:
        for width in dict.fromkeys((1, min(2, most), most)):
            yield rate, width


def _open(device: Device, kind: Kind, callback: Any, latency: float) -> tuple[Any, int, int]:
    """An open stream, its rate and its channels. Raises DeviceError with what PortAudio said first."""
    sd = _sounddevice()
    make = sd.RawInputStream if kind == "input" else sd.RawOutputStream
    first: Exception | None = None
    for rate, width in _shapes(device, kind):
        try:
            stream = make(
                samplerate=rate,
                blocksize=rate // (100 if kind == "input" else RATE // TAKEN),
                device=device.index,
                channels=width,
                dtype="int16",
                latency=latency,
                callback=callback,
            )
        except (sd.PortAudioError, ValueError) as error:
            first = first or error
            if _code(error) == _BUSY:
                break
            continue
        return stream, rate, width
    raise DeviceError(f"the {kind} device {device.name!r} can not be opened: {_said(first)}")


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


def _renew() -> None:
    """Start PortAudio anew: the only way to a new list of devices. It ends all streams, so only when none is open.

    Where the sound server is gone this has been seen to abort the process (PortAudio on Linux): a child goes first.
    """
    sd = _sounddevice()
    with _OPENING:
        if _RUNNING or not _survived_by_a_child():
            return
        with suppress(sd.PortAudioError):
            sd._terminate()  # noqa: SLF001 - sounddevice documents these two as the way to refresh the list
        with suppress(sd.PortAudioError):
            sd._initialize()  # noqa: SLF001


def _survived_by_a_child() -> bool:
    try:
        done = subprocess.run(
            [sys.executable, "-c", "import sounddevice"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_CHILD_LIMIT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


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
    # Its farewell is needed (JACK's threads outlive the interpreter without it), but on a hung server it hangs too.
    farewell = sounddevice._exit_handler  # noqa: SLF001 - the version is pinned to 0.5
    atexit.unregister(farewell)
    atexit.register(lambda: None if _HUNG else farewell())
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
