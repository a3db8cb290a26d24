"""Voice activity by Silero VAD on onnxruntime: the only file that knows the model.

`silero_vad_16k.onnx` is `silero_vad/data/silero_vad_16k_op15.onnx` of the package silero-vad 6.2.3 (Silero VAD v6,
https://github.com/snakers4/silero-vad, MIT, see `LICENSE.silero-vad`), unchanged: SHA-256
7ed98ddbad84ccac4cd0aeb3099049280713df825c610a8ed34543318f1b2c49. It stands here because that package requires torch.
One call of it takes 512 new samples at 16 kHz with the 64 before them and a state, and says how likely they hold
speech (`OnnxWrapper` in that package's `utils_vad.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import onnxruntime

from rtcli.sandbox.engine.activity import TurnRules
from rtcli.sandbox.engine.base import VoiceActivity
from rtcli.sandbox.engine.resample import EAR_RATE, Downsampler, Samples


MODEL: Final = Path(__file__).with_name("silero_vad_16k.onnx")
FRAME: Final = 512
"""Samples at 16 kHz in one judgement."""
FRAME_MS: Final = 32
LAG_MS: Final = 32
"""How long the model goes on hearing speech: its last frame ends 55 ms (median) after the last sound."""
_CONTEXT: Final = 64
_STEP: Final = 960
"""Bytes taken at once (10 ms), so that the events of a long piece are those of its parts."""


class Silero:
    """The loaded model; shared by all calls, since what it remembers is kept outside of it."""

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(str(MODEL), options, providers=["CPUExecutionProvider"])

    def listen(self) -> Listening:
        return Listening(self)


class Listening:
    """The model on one stream of sound."""

    _RATE = np.array(EAR_RATE, np.int64)

    def __init__(self, model: Silero) -> None:
        self._session = model.session
        self._state = np.zeros((2, 1, 128), np.float32)
        self._context = np.zeros(_CONTEXT, np.float32)

    def score(self, frame: Samples) -> float:
        """How likely these 512 samples hold speech, 0 to 1."""
        window = np.concatenate((self._context, frame))
        feeds = {"input": window[None], "state": self._state, "sr": self._RATE}
        likely, self._state = self._session.run(None, feeds)
        self._context = window[-_CONTEXT:]
        return float(likely[0, 0])


class SileroDetector:
    """`VoiceDetector` of one call. 0.12 ms of work for 32 ms of sound, so it runs where it is called."""

    def __init__(self, model: Silero, *, threshold: float, silence_ms: int) -> None:
        self._listening = model.listen()
        self._rules = TurnRules(threshold=threshold, silence_ms=silence_ms, frame_ms=FRAME_MS, lag_ms=LAG_MS)
        self._down = Downsampler()
        self._waiting = np.zeros(0, np.float32)
        self._heard = 0

    def feed(self, pcm: bytes) -> list[VoiceActivity]:
        return [event for at in range(0, len(pcm), _STEP) for event in self._step(pcm[at : at + _STEP])]

    def _step(self, pcm: bytes) -> Iterator[VoiceActivity]:
        new = self._down.feed(pcm)
        self._heard += len(new)
        self._waiting = np.concatenate((self._waiting, new))
        while len(self._waiting) >= FRAME:
            frame, self._waiting = self._waiting[:FRAME], self._waiting[FRAME:]
            if event := self._rules.push(self._listening.score(frame)):
                yield event
        if event := self._rules.wait(self._heard * 1000 // EAR_RATE):
            yield event
