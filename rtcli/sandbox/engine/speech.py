"""The engine `speech`: real voice activity, recognition and a voice, offline and in English (extra `sandbox`).

Nothing heavy is imported with this file: `missing` looks for the parts without loading them, `SpeechEngine.load` loads
them (1.3 s of CPU, to be called in a thread).
"""

from __future__ import annotations

import asyncio
import platform
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from rtcli.errors import RtcliError
from rtcli.sandbox.engine.base import Piece, Prompt, VoiceDetector
from rtcli.sandbox.engine.reply import answer


if TYPE_CHECKING:
    from rtcli.sandbox.engine.detector import Silero
    from rtcli.sandbox.engine.recogniser import Recogniser
    from rtcli.sandbox.engine.voice import Speaker


_PARTS: Final = {
    "numpy": (),
    "onnxruntime": (),
    "hibari": ("assets/hibari.onnx",),
    "moonshine_voice": (
        "assets/tiny-en/encoder_model.ort",
        "assets/tiny-en/decoder_model_merged.ort",
        "assets/tiny-en/tokenizer.bin",
    ),
}
"""Each package with the model files that must lie in it."""
_PLATFORMS: Final = {
    ("Linux", "x86_64"),
    ("Linux", "aarch64"),
    ("Windows", "AMD64"),
    ("Darwin", "arm64"),
}
"""For which there is a wheel of moonshine-voice 0.1.0, the last one with the model inside."""


def missing() -> str | None:
    """What stands between this machine and real speech, in one phrase; None when nothing does."""
    for package, files in _PARTS.items():
        spec = find_spec(package)
        if spec is None or spec.origin is None:
            return _why_not_installed(package)
        if absent := [name for name in files if not Path(spec.origin).parent.joinpath(name).exists()]:
            return f"{package} has no model file {absent[0]}"
    if not Path(__file__).with_name("silero_vad_16k.onnx").exists():
        return "the voice activity model silero_vad_16k.onnx is missing"
    return None


def _why_not_installed(package: str) -> str:
    here = platform.system(), platform.machine()
    if package == "moonshine_voice" and here not in _PLATFORMS:
        return f"there is no speech recognition for {' '.join(here)}"
    return f"{package} is not installed"


class SpeechEngine:
    """`Engine` with real parts. Recognition and voice have a thread each, so that neither waits for the other."""

    name = "speech"

    def __init__(
        self, silero: Silero, recogniser: Recogniser, speaker: Speaker, *, clock: Callable[[], datetime]
    ) -> None:
        self._silero = silero
        self._recogniser = recogniser
        self._speaker = speaker
        self._clock = clock
        self._ears = ThreadPoolExecutor(1, thread_name_prefix="rtcli-ears")
        self._mouth = ThreadPoolExecutor(1, thread_name_prefix="rtcli-mouth")

    @classmethod
    def load(cls, *, clock: Callable[[], datetime] = datetime.now) -> Self:
        """Load the models and warm them up; blocks for about 1.4 s. `clock` is what the head tells the time by.

        Raises RtcliError when a part that is there can not be loaded: a C library too old, a file cut short.
        """
        try:
            silero, recogniser, speaker = _parts()
        except Exception as error:  # whatever the foreign libraries raise
            raise RtcliError(f"the speech engine can not be loaded: {' '.join(str(error).split())[:300]}") from error
        return cls(silero, recogniser, speaker, clock=clock)

    def detector(self, *, threshold: float, silence_ms: int) -> VoiceDetector:
        from rtcli.sandbox.engine.detector import SileroDetector

        return SileroDetector(self._silero, threshold=threshold, silence_ms=silence_ms)

    async def transcribe(self, pcm: bytes) -> str:
        return await asyncio.get_running_loop().run_in_executor(self._ears, self._recogniser.recognise, pcm)

    async def reply(self, prompt: Prompt) -> AsyncIterator[Piece]:
        for part in answer(prompt, now=self._clock()):
            yield part

    async def speak(self, text: str, *, voice: str, speed: float) -> AsyncIterator[bytes]:
        pieces = self._speaker.say(text, voice=voice, speed=speed)
        loop = asyncio.get_running_loop()
        while piece := await loop.run_in_executor(self._mouth, _next, pieces):
            yield piece

    def close(self) -> None:
        """Give the threads back; a recognition that runs is finished, one that waits is not begun."""
        self._mouth.shutdown(cancel_futures=True)
        self._ears.shutdown(cancel_futures=True)
        self._recogniser.close()


def _parts() -> tuple[Silero, Recogniser, Speaker]:
    """Ears and mouth at the same time: half of the work is done outside of the interpreter."""
    from rtcli.sandbox.engine.detector import Silero
    from rtcli.sandbox.engine.recogniser import Recogniser
    from rtcli.sandbox.engine.voice import Speaker

    silero = Silero()
    with ThreadPoolExecutor(1) as other:
        speaker = other.submit(Speaker)
        return silero, Recogniser(silero), speaker.result()


def _next(pieces: Iterator[bytes]) -> bytes:
    return next(pieces, b"")
