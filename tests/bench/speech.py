"""Speech to send, and what a recogniser makes of it afterwards."""

from __future__ import annotations

import re
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any


SENTENCES = (
    "The weather in the mountains changes quickly, so take a warm coat with you.",
    "My sister works in a small bakery near the river and starts before sunrise.",
    "Please remember to close the window before you leave the office tonight.",
    "The train to the city was late again because of heavy snow on the tracks.",
    "He painted the old wooden door green, and everybody in the street liked it.",
    "We could meet on Thursday afternoon in the garden behind the library.",
    "A good map is useful, but a friend who knows the way is better.",
    "She asked the doctor three questions and wrote down every answer.",
    "The children found a grey kitten under the bridge and brought it home.",
    "There is fresh bread on the table, butter in the kitchen, and tea in the pot.",
)
GAP = 48_000 // 3


@dataclass(frozen=True, slots=True)
class Speech:
    pcm: bytes
    """48 kHz mono s16le."""
    spans: tuple[tuple[int, int], ...]
    """First and last sample of each sentence."""


@cache
def speech() -> Speech:
    """All sentences, a third of a second apart, in two voices."""
    from rtcli.sandbox.engine.voice import Speaker

    speaker = Speaker()
    pcm = bytearray(2 * GAP)
    spans = []
    for number, sentence in enumerate(SENTENCES):
        start = len(pcm) // 2
        for piece in speaker.say(sentence, voice="marin" if number % 2 else "cedar", speed=1.0):
            pcm += piece
        spans.append((start, len(pcm) // 2))
        pcm += bytes(2 * GAP)
    return Speech(bytes(pcm), tuple(spans))


def packets(pcm: bytes, *, fec: bool) -> list[bytes]:
    """20 ms Opus packets at 28 kbit/s, as voice services send them, with or without in-band FEC."""
    import fractions

    import av

    codec: Any = av.CodecContext.create("libopus", "w")
    codec.format, codec.layout, codec.sample_rate, codec.bit_rate = "s16", "mono", 48_000, 28_000
    codec.time_base = fractions.Fraction(1, 48_000)
    codec.options = {"application": "voip", "fec": "1" if fec else "0", "packet_loss": "10" if fec else "0"}
    out = []
    for start in range(0, len(pcm) - 1919, 1920):
        frame = av.AudioFrame(format="s16", layout="mono", samples=960)
        frame.planes[0].update(pcm[start : start + 1920])
        frame.sample_rate, frame.pts, frame.time_base = 48_000, start // 2, fractions.Fraction(1, 48_000)
        out += [bytes(packet) for packet in codec.encode(frame)]
    return out


@cache
def _recogniser() -> Any:
    from rtcli.sandbox.engine.detector import Silero
    from rtcli.sandbox.engine.recogniser import Recogniser

    return Recogniser(Silero())


def words(pcm: bytes) -> list[str]:
    return re.findall(r"[a-z']+", _recogniser().recognise(pcm).lower())


@cache
def _expected() -> tuple[tuple[str, ...], ...]:
    """What the recogniser hears in the undisturbed sentences: its own slips are no fault of a network."""
    said = speech()
    return tuple(tuple(words(said.pcm[2 * max(0, a - GAP // 2) : 2 * (b + GAP // 2)])) for a, b in said.spans)


def errors(heard: Sequence[bytes]) -> tuple[int, int, list[str]]:
    """Wrong, missing and added words in recordings of the sentences, how many words there are, and what went wrong."""
    wrong, slips = 0, []
    for expected, pcm in zip(_expected(), heard, strict=True):
        got = words(pcm)
        distance = _distance(expected, got)
        wrong += distance
        if distance:
            slips.append(f"{' '.join(expected)} -> {' '.join(got)}")
    return wrong, sum(len(sentence) for sentence in _expected()), slips


def _distance(expected: Sequence[str], got: Sequence[str]) -> int:
    """Levenshtein's, over words."""
    row = list(range(len(got) + 1))
    for i, word in enumerate(expected, 1):
        above, row[0] = row[0], i
        for j, other in enumerate(got, 1):
            above, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, above + (word != other))
    return row[-1]


def silence(samples: int) -> bytes:
    return array("h", bytes(2 * samples)).tobytes()
