"""Makes `rtcli/sandbox/engine/sample_question.wav`, the spoken question of a first run without a microphone.

    uv run python tests/sandbox/engine/make_sample_question.py

Spoken by Hibari (hibari-tts, Apache-2.0; what it says may be passed on freely), in another voice than the default
answer's. Run again only when the question changes: the bytes depend on the versions of onnxruntime and numpy.
"""

from __future__ import annotations

import wave
from pathlib import Path

from rtcli.sandbox.engine.resample import RATE
from rtcli.sandbox.engine.voice import Speaker


QUESTION = "Hello! What is two plus three?"
VOICE = "cedar"
LEAD_MS = 200
"""Silence before the first word, as from somebody who has just started the program."""
PLACE = Path(__file__).parents[3] / "rtcli/sandbox/engine/sample_question.wav"


def main() -> None:
    pieces = list(Speaker().say(QUESTION, voice=VOICE, speed=1.0))
    sound = bytes(2 * RATE * LEAD_MS // 1000) + b"".join(pieces).rstrip(b"\0")
    with wave.open(str(PLACE), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(sound + b"\0" * (len(sound) % 2))


if __name__ == "__main__":
    main()
