"""Token figures that add up, and the rate limits they draw from.

The service's own counts can not be had offline. Text counts a token for four characters, sound a token for 100 ms heard
and for 50 ms spoken, which is the rate the service bills realtime audio at.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rtcli.sandbox.items import Item


_HEARD_MS = 100
_SPOKEN_MS = 50
_IMAGE_TOKENS = 85
_BY_TIME = frozenset({"gpt-live-transcribe", "gpt-transcribe"})
"""Billed by the minute, like every Whisper; the other transcribers by tokens."""


def text_tokens(text: str) -> int:
    return (len(text) + 3) // 4


def heard_tokens(ms: int) -> int:
    return -(-ms // _HEARD_MS)


def _spoken_tokens(ms: int) -> int:
    return -(-ms // _SPOKEN_MS)


def response_usage(
    instructions: str, tools: Sequence[Mapping[str, Any]], context: Iterable[Item], output: Iterable[Item]
) -> dict[str, Any]:
    """The `usage` object of `response.done`."""
    text = text_tokens(instructions) + (text_tokens(json.dumps(tools)) if tools else 0)
    audio = image = 0
    for item in context:
        text += _written(item)
        audio += _sound(item)
        image += _IMAGE_TOKENS * sum(part["type"] == "input_image" for part in item.data.get("content", ()))
    produced = list(output)
    text_out = sum(text_tokens(item.text) + text_tokens(item.data.get("arguments", "")) for item in produced)
    audio_out = sum(_spoken_tokens(item.audio_ms) for item in produced)
    total_in, total_out = text + audio + image, text_out + audio_out
    return {
        "total_tokens": total_in + total_out,
        "input_tokens": total_in,
        "output_tokens": total_out,
        "input_token_details": {
            "text_tokens": text,
            "audio_tokens": audio,
            "image_tokens": image,
            "cached_tokens": 0,
            "cached_tokens_details": {"text_tokens": 0, "audio_tokens": 0, "image_tokens": 0},
        },
        "output_token_details": {"text_tokens": text_out, "audio_tokens": audio_out},
    }


def _written(item: Item) -> int:
    spoken = item.is_spoken_question or item.is_spoken_answer
    words = "" if spoken else item.text
    return text_tokens(words) + text_tokens(item.data.get("output") or "") + text_tokens(item.data.get("arguments", ""))


def _sound(item: Item) -> int:
    return _spoken_tokens(item.audio_ms) if item.is_spoken_answer else heard_tokens(item.audio_ms)


def transcription_usage(model: str, words: str, audio_ms: int) -> dict[str, Any]:
    """The `usage` object of a completed transcription."""
    if "whisper" in model or model in _BY_TIME:
        return {"type": "duration", "seconds": -(-audio_ms // 1000)}
    heard, written = heard_tokens(audio_ms), text_tokens(words)
    return {
        "type": "tokens",
        "total_tokens": heard + written,
        "input_tokens": heard,
        "output_tokens": written,
        "input_token_details": {"text_tokens": 0, "audio_tokens": heard},
    }


class RateLimits:
    """Two buckets that refill within a minute."""

    _LIMITS: Mapping[str, int] = {"requests": 1000, "tokens": 400_000}
    _WINDOW = 60.0

    def __init__(self, now: float) -> None:
        self._left = {name: float(limit) for name, limit in self._LIMITS.items()}
        self._at = now

    def draw(self, tokens: int, now: float) -> list[dict[str, Any]]:
        """Take one request of so many tokens; the `rate_limits` of `rate_limits.updated`."""
        passed, self._at = max(0.0, now - self._at), now
        for name, amount in (("requests", 1), ("tokens", tokens)):
            limit = self._LIMITS[name]
            refilled = min(limit, self._left[name] + passed * limit / self._WINDOW)
            self._left[name] = max(0.0, refilled - amount)
        return [self._report(name) for name in self._LIMITS]

    def _report(self, name: str) -> dict[str, Any]:
        limit, left = self._LIMITS[name], self._left[name]
        reset = round((limit - left) * self._WINDOW / limit, 3)
        return {"name": name, "limit": limit, "remaining": int(left), "reset_seconds": reset}
