"""WAV files in place of a microphone and a loudspeaker, and a loudspeaker that is none."""

from __future__ import annotations

import io
import os
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from rtcli.audio.base import BLOCK, BLOCK_BYTES, RATE, TAKEN, Pull
from rtcli.errors import UsageError


Clock = Callable[[], float]
_BLOCK_SECONDS = BLOCK / RATE
_TAKEN_SECONDS = TAKEN / RATE


class WavMicrophone:
    """A PCM WAV file of any rate, width and channel count, given out in real time.

    The file is decoded as it goes, so its length costs no memory. A file has no clock of its own: when the reader was
    held up, it goes on where it was, and not a block is lost.
    """

    _LATE = 4
    """Blocks given at once after the reader was held up."""

    def __init__(self, source: str | Path | bytes, *, clock: Clock = time.monotonic) -> None:
        """`source`: a path, or the file's bytes. Raises UsageError when it is not a WAV file that can be read."""
        self.name = "sample" if isinstance(source, bytes) else str(source)
        self._source = source
        self._clock = clock
        self._blocks: Iterator[bytes] | None = None
        self._ahead: bytes | None = None
        self._next_due = 0.0
        self._started = False
        self._open().close()

    def start(self) -> None:
        """Begin with the first sample."""
        self._blocks = _blocks(self._open())
        self._ahead = next(self._blocks, None)
        self._next_due = self._clock() + _BLOCK_SECONDS
        self._started = True

    def read(self) -> bytes | None:
        if self._ahead is None or self._blocks is None:
            return None
        now = self._clock()
        if now < self._next_due:
            return None
        self._next_due = max(self._next_due + _BLOCK_SECONDS, now - self._LATE * _BLOCK_SECONDS)
        block, self._ahead = self._ahead, next(self._blocks, None)
        return block

    @property
    def ended(self) -> bool:
        return self._started and self._ahead is None

    def close(self) -> None:
        self._ahead = None
        self._blocks = None

    def _open(self) -> Any:
        """The opened PyAV container, its one audio stream checked."""
        import av

        # The demuxer is named, so that no other of FFmpeg's formats is ever tried on a file from somewhere.
        source = io.BytesIO(self._source) if isinstance(self._source, bytes) else str(self._source)
        try:
            container = av.open(source, format="wav")
        except OSError as error:
            raise UsageError(f"{self.name}: {error.strerror or error}") from None
        except (av.FFmpegError, ValueError):
            raise UsageError(f"{self.name}: not a WAV file") from None
        if not container.streams.audio:
            container.close()
            raise UsageError(f"{self.name}: a WAV file without sound")
        return container


def _blocks(container: Any) -> Iterator[bytes]:
    """48 kHz mono blocks of a container, the last one filled up with silence. Ends early at data that is broken."""
    import av

    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
    waiting = bytearray()
    with container, suppress(av.FFmpegError):
        for frame in (*_frames(container), None):
            for out in resampler.resample(frame):
                waiting += bytes(out.planes[0])[: 2 * out.samples]
            while len(waiting) >= BLOCK_BYTES:
                yield bytes(waiting[:BLOCK_BYTES])
                del waiting[:BLOCK_BYTES]
    if waiting:
        yield bytes(waiting).ljust(BLOCK_BYTES, b"\0")


def _frames(container: Any) -> Iterator[Any]:
    yield from container.decode(audio=0)


class _PacedSpeaker:
    """Pulls 5 ms of sound every 5 ms in a thread of its own, by the monotonic clock and without drift."""

    name = "none"
    _CATCH_UP = 1.0
    """Seconds a held-up thread makes good at once; after more (a machine asleep) time starts anew."""

    def __init__(self) -> None:
        self._stopped = False
        self._thread: threading.Thread | None = None

    def start(self, pull: Pull) -> None:
        self._thread = threading.Thread(target=self._run, args=(pull,), name=f"speaker {self.name}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread; safe to repeat."""
        self._stopped = True
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(2.0)

    def _run(self, pull: Pull) -> None:
        due = time.monotonic()
        while not self._stopped:
            self._take(pull(TAKEN))
            due = max(due + _TAKEN_SECONDS, time.monotonic() - self._CATCH_UP)
            time.sleep(max(0.0, due - time.monotonic()))  # an event's wait costs several times as much
        self._finish()

    def _take(self, pcm: bytes) -> None:
        """A block was due."""

    def _finish(self) -> None:
        """The last block has been taken."""


class NullSpeaker(_PacedSpeaker):
    """No loudspeaker: real time goes on, so that a call without one still measures when it would have been heard."""


class WavSpeaker(_PacedSpeaker):
    """Writes what is played as a 48 kHz mono WAV file that only its owner may read.

    The sizes in the header are brought up to date every second, so that a crash costs at most that. An error of the
    disk ends the writing, not the call: `error` tells it, and `on_error` is called once, in the speaker's thread.
    """

    _UPDATE = 200
    """Blocks between two updates of the header; also how much is written at once, in tenths."""
    _MOST = 0xFFFFFFFF - 1000
    """Bytes: RIFF counts in 32 bits."""

    def __init__(self, path: str | Path, *, on_error: Callable[[str], None] | None = None) -> None:
        super().__init__()
        self.name = str(path)
        self.error: str | None = None
        self._on_error = on_error
        self._file: io.FileIO | None = None
        self._waiting = bytearray()
        self._written = 0
        self._blocks = 0

    def start(self, pull: Pull) -> None:
        """Create or overwrite the file. Raises UsageError when that fails."""
        try:
            number = os.open(self.name, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | getattr(os, "O_BINARY", 0), 0o600)
            self._file = io.FileIO(number, "w")
            self._file.write(_header(None))
        except OSError as error:
            self._close_file()
            raise UsageError(f"{self.name}: {error.strerror or error}") from None
        if hasattr(os, "fchmod") and self._file.seekable():
            with suppress(OSError):  # somebody else's file that we may write
                os.fchmod(number, 0o600)
        super().start(pull)

    def _take(self, pcm: bytes) -> None:
        if self._file is None:
            return
        self._waiting += pcm
        self._blocks += 1
        if self._blocks % (self._UPDATE // 10) == 0:
            self._guarded(self._flush)
        if self._blocks % self._UPDATE == 0:
            self._guarded(self._update)

    def _finish(self) -> None:
        self._guarded(self._flush)
        self._guarded(self._update)
        self._close_file()

    def _close_file(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            with suppress(OSError):
                file.close()

    def _guarded(self, action: Callable[[], None]) -> None:
        if self._file is None:
            return
        try:
            action()
        except OSError as error:
            self._fail(f"{self.name}: {error.strerror or error}")

    def _fail(self, message: str) -> None:
        self._close_file()
        self.error = message
        if self._on_error is not None:
            self._on_error(message)

    def _flush(self) -> None:
        assert self._file is not None
        if self._written + len(self._waiting) > self._MOST:
            self._fail(f"{self.name}: a WAV file can not be longer than 4 GiB")
            return
        view = memoryview(bytes(self._waiting))
        self._waiting.clear()
        while view:  # a disk that is nearly full takes a part
            taken = self._file.write(view)
            self._written += taken
            view = view[taken:]

    def _update(self) -> None:
        """Write the sizes; a pipe has no way back, and keeps those of a stream."""
        if self._file is None or not self._file.seekable():
            return
        self._file.seek(0)
        self._file.write(_header(self._written))
        self._file.seek(0, os.SEEK_END)


def _header(data: int | None) -> bytes:
    """RIFF header of 48 kHz mono s16le with `data` bytes; None: of unknown length, as streams have it."""
    size = 0xFFFFFFFF if data is None else data
    riff = min(size + 36, 0xFFFFFFFF)
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI", b"RIFF", riff, b"WAVE", b"fmt ", 16, 1, 1, RATE, RATE * 2, 2, 16, b"data", size
    )
