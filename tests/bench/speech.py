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
    "Our neighbour grows tomatoes and beans in a row behind the garage.",
    "Please remember to close the window before you leave the office tonight.",
    "The train to the city was late again because of heavy snow on the tracks.",
    "He painted the old wooden door green, and everybody in the street liked it.",
    "We could meet on Thursday afternoon in the garden behind the library.",
    "A good map is useful, but a friend who knows the way is better.",
    "She asked the doctor three questions and wrote down every answer.",
    "They walked along the beach until the sun went down behind the hills.",
    "There is fresh bread on the table, butter in the kitchen, and tea in the pot.",
    "The old clock in the hall strikes every hour, even in the middle of the night.",
    "Can you tell me which platform the next train to Vienna leaves from?",
    "My brother plays the piano every evening after dinner for an hour.",
    "The library will send you a letter when the book has arrived.",
    "It rained so hard that the football match was moved to next Saturday.",
    "The pilot told the passengers that the landing would be a bit rough.",
    "Write your name and address on the first page and sign the last one.",
    "The bridge was closed for repairs, so we had to take the long road.",
    "She bought three apples, a loaf of bread, and a bottle of milk.",
    "The factory makes paper from old clothes and sells it all over the world.",
)
"""Heard by the recogniser word for word alike in 64 windows of the undisturbed sound, before and after Opus.

One that is not (its words change with the first sample of the recording) measures the recogniser.
"""
EACH = 10
"""Sentences in a round; the next round has the next ones."""
GAP = 48_000 // 3
PADS = (0, 4800)
"""Samples more at both ends: what was heard is recognised in each of these windows."""


@dataclass(frozen=True, slots=True)
class Speech:
    pcm: bytes
    """48 kHz mono s16le."""
    spans: tuple[tuple[int, int], ...]
    """First and last sample of each sentence."""
    first: int
    """Number of the first sentence."""

    @property
    def half(self) -> int:
        """The packet in the middle of the silence before the sixth sentence."""
        return (self.spans[len(self.spans) // 2][0] - GAP // 2) // 960


@cache
def speech(turn: int = 0) -> Speech:
    """The sentences of a round, a third of a second apart, in two voices."""
    from rtcli.sandbox.engine.voice import Speaker

    speaker = Speaker()
    pcm = bytearray(2 * GAP)
    spans = []
    first = turn * EACH % len(SENTENCES)
    for number, sentence in enumerate(SENTENCES[first : first + EACH]):
        start = len(pcm) // 2
        for piece in speaker.say(sentence, voice="marin" if number % 2 else "cedar", speed=1.0):
            pcm += piece
        spans.append((start, len(pcm) // 2))
        pcm += bytes(2 * GAP)
    return Speech(bytes(pcm), tuple(spans), first)


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
def _expected(first: int) -> tuple[tuple[str, ...], ...]:
    """What the recogniser hears in the undisturbed sentences: its own slips are no fault of a network."""
    said = speech(first // EACH)
    return tuple(tuple(words(said.pcm[2 * max(0, a - GAP // 2) : 2 * (b + GAP // 2)])) for a, b in said.spans)


def errors(said: Speech, windows: Sequence[Sequence[bytes]]) -> tuple[list[int], int, list[str]]:
    """Words wrong, missing or added in recordings of the sentences: for each sentence over all of its windows.

    Also how many words that is of, and what went wrong.
    """
    wrong, total, slips = [], 0, []
    for expected, recordings in zip(_expected(said.first), windows, strict=True):
        got = [words(pcm) for pcm in recordings]
        distances = [_distance(expected, heard) for heard in got]
        wrong.append(sum(distances))
        total += len(expected) * len(got)
        slips += [f"{' '.join(expected)} -> {' '.join(heard)}" for heard, n in zip(got, distances, strict=True) if n]
    return wrong, total, slips


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
