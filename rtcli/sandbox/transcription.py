"""What a client that asked for transcription is told of the words in one item."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from rtcli.sandbox.items import Item
from rtcli.sandbox.usage import transcription_usage


_PREFIX = "conversation.item.input_audio_transcription"
_CERTAINTY = math.log(0.95)
"""The log probability given to every word: the recognisers at hand report none."""


def transcription_events(
    item: Item, words: str | None, settings: Mapping[str, Any], *, logprobs: bool, ahead: bool = False
) -> Iterator[tuple[str, dict[str, Any]]]:
    """(type, fields) of `delta`, `segment`, `completed`, or of `failed` when `words` is None.

    `ahead`: the deltas went out before, while the words were spoken.
    """
    if words is None:
        error = {
            "type": "transcription_error",
            "code": "audio_unintelligible",
            "message": "The audio could not be transcribed.",
            "param": None,
        }
        yield f"{_PREFIX}.failed", {"error": error}
        return
    model = str(settings.get("model", "whisper-1"))
    pieces = re.findall(r"\s*\S+|\s+", words)
    for piece in () if ahead else pieces:
        yield delta(piece, logprobs=logprobs)
    if "diarize" in model and words:
        segment = {"id": f"seg_{item.id}", "text": words, "speaker": "A", "start": 0.0, "end": item.audio_ms / 1000}
        yield f"{_PREFIX}.segment", segment
    for part in item.data["content"]:
        if part["type"] == "input_audio":
            part["transcript"] = words
    usage = transcription_usage(model, words, item.audio_ms)
    yield f"{_PREFIX}.completed", {"transcript": words, "usage": usage} | _probabilities(pieces, wanted=logprobs)


def delta(words: str, *, logprobs: bool) -> tuple[str, dict[str, Any]]:
    """(type, fields) of words that were just understood."""
    return f"{_PREFIX}.delta", {"delta": words} | _probabilities([words], wanted=logprobs)


def _probabilities(pieces: list[str], *, wanted: bool) -> dict[str, Any]:
    if not wanted:
        return {}
    entries = [{"token": piece, "bytes": list(piece.encode()), "logprob": _CERTAINTY} for piece in pieces]
    return {"logprobs": entries}
