"""Recognition by Moonshine tiny-en: the only file that knows `moonshine_voice`.

The model lies inside the wheel of 0.1.0 (later ones download it); `get_model_for_language` is never called, because it
would look on the network. Moonshine's own voice activity is off (`vad_threshold` 0): with it on, a wrong first word
("You What time is it") came in most runs on an utterance that begins with silence.
"""

from __future__ import annotations

import numpy as np
from moonshine_voice import ModelArch, Transcriber
from moonshine_voice.utils import get_model_path

from rtcli.sandbox.engine.detector import FRAME, Silero
from rtcli.sandbox.engine.resample import EAR_RATE, Downsampler, Samples


_SPEECH = 0.4
"""Silero's score in at least one frame of what is worth recognising."""


class Recogniser:
    """Blocking; not to be used from two threads at once."""

    def __init__(self, silero: Silero) -> None:
        self._silero = silero
        self._model = Transcriber(str(get_model_path("tiny-en")), ModelArch.TINY, options={"vad_threshold": "0.0"})
        self._words(np.zeros(EAR_RATE, np.float32))  # the first run allocates: better now than in the first turn

    def recognise(self, pcm: bytes) -> str:
        sound = Downsampler().feed(pcm)
        return self._words(sound) if self._has_speech(sound) else ""

    def close(self) -> None:
        self._model.close()

    def _has_speech(self, sound: Samples) -> bool:
        """Asked first, because Moonshine writes "You" for silence. Usually over after a few frames."""
        listening = self._silero.listen()
        frames = (sound[at : at + FRAME] for at in range(0, len(sound) - FRAME + 1, FRAME))
        return any(listening.score(frame) >= _SPEECH for frame in frames)

    def _words(self, sound: Samples) -> str:
        lines = self._model.transcribe_without_streaming(sound.tolist(), EAR_RATE).lines
        return " ".join(" ".join(line.text for line in lines).split())
