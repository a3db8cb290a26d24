"""Recognition by Moonshine tiny-en: the only file that knows `moonshine_voice`.

The model lies inside the wheel of 0.1.0 (later ones download it); `get_model_for_language` is never called, because it
would look on the network. Moonshine's own voice activity is off (`vad_threshold` 0): with it on, a wrong first word
("You What time is it") came in most runs on an utterance that begins with silence.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
from collections.abc import Iterator
from typing import Final

import numpy as np
from moonshine_voice import ModelArch, Transcriber
from moonshine_voice.errors import check_error
from moonshine_voice.moonshine_api import TranscriptC
from moonshine_voice.utils import get_model_path

from rtcli.sandbox.engine.detector import FRAME, Silero
from rtcli.sandbox.engine.resample import EAR_RATE, Downsampler, Samples


_SPEECH: Final = 0.4
"""Silero's score in at least one frame of what is worth recognising."""
_LONGEST: Final = 12 * EAR_RATE // FRAME
_SHORTEST: Final = 6 * EAR_RATE // FRAME
"""Frames in one pass. Moonshine cuts at 15 s, through a word if need be, so longer speech is cut here, in a pause."""
_MARGINS: Final = (EAR_RATE // 5, EAR_RATE // 2)
"""Silence put before and after, in samples; on a sound that ends at once Moonshine says the last word twice."""
_ONE_THREAD: Final = "MOONSHINE_ORT_SINGLE_THREAD"
"""Read by its library when it loads a model. Its threads wait by spinning: a turn costs 0.25 s of CPU, here 0.1 s."""
_MOST_KNOWN: Final = 64
_DIGITS: Final = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


class Recogniser:
    """Blocking; not to be used from two threads at once."""

    def __init__(self, silero: Silero) -> None:
        self._silero = silero
        self._known: dict[bytes, str] = {}
        os.environ.setdefault(_ONE_THREAD, "1")
        self._model = Transcriber(str(get_model_path("tiny-en")), ModelArch.TINY, options={"vad_threshold": "0.0"})
        self._words(np.zeros(EAR_RATE, np.float32))  # the first run allocates: better now than in the first turn

    def recognise(self, pcm: bytes) -> str:
        """The words in 48 kHz s16le; empty when it holds no speech, for which Moonshine would write "You"."""
        sound = Downsampler().feed(pcm)
        return written(" ".join(self._once(part) for part in self._parts(sound)))

    def close(self) -> None:
        self._model.close()

    def _parts(self, sound: Samples) -> Iterator[Samples]:
        """The sound in lengths that one pass takes; those without speech are left out."""
        listening = self._silero.listen()
        scores = [listening.score(sound[at : at + FRAME]) for at in range(0, len(sound) - FRAME + 1, FRAME)]
        begin = 0
        while begin < len(scores):
            end = _cut(scores, begin)
            if max(scores[begin:end]) >= _SPEECH:
                yield sound[begin * FRAME : end * FRAME if end < len(scores) else None]
            begin = end

    def _once(self, part: Samples) -> str:
        """Remembered, because a turn is recognised again after each pause in it: only its last part is new then."""
        key = hashlib.blake2b(part.tobytes(), digest_size=16).digest()
        words = self._known.pop(key, None)
        self._known[key] = self._words(part) if words is None else words
        if len(self._known) > _MOST_KNOWN:
            del self._known[next(iter(self._known))]
        return self._known[key]

    def _words(self, sound: Samples) -> str:
        # By the library's own call: the package's `transcribe_without_streaming` turns samples into Python floats and
        # back under the interpreter's lock, which stops the whole process for 70 ms in 10 s of speech.
        found = ctypes.POINTER(TranscriptC)()
        samples = np.pad(sound, _MARGINS)
        pointer = samples.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
        run = self._model._lib.moonshine_transcribe_without_streaming  # noqa: SLF001 - 0.1.0 is pinned
        check_error(run(self._model._handle, pointer, len(samples), EAR_RATE, 0, ctypes.byref(found)))  # noqa: SLF001 - likewise
        lines = found.contents.lines[: found.contents.line_count] if found else []
        text = " ".join(ctypes.string_at(line.text).decode(errors="replace") for line in lines if line.text)
        return " ".join(text.split())


def written(words: str) -> str:
    """One way of writing: Moonshine gives "two plus three", "2 plus 3" and "2+3" for what differs by a little noise."""
    words = re.sub(r"(?<=\d)\s*\+\s*(?=\d)", " plus ", words)
    words = re.sub(r"(?<![\w$#.,:/+-])\d(?![\w%]|[.,:/+-]\d)", lambda digit: _DIGITS[int(digit[0])], words)
    words = words[:1].upper() + words[1:]
    return f"{words[:-1]}." if words.endswith(",") else words


def _cut(scores: list[float], begin: int) -> int:
    """Where the part that begins here ends: the end of the sound, or the least speech within reach."""
    if len(scores) - begin <= _LONGEST:
        return len(scores)
    window = range(begin + _SHORTEST, begin + _LONGEST)
    return min(window, key=lambda at: scores[at])
