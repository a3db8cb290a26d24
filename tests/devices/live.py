"""`rtcli talk --sandbox` on the virtual card: a user's mouth at its microphone, an ear at its loudspeaker.

`python -m tests.devices.live MINUTES` talks for that long with the loudspeaker in the microphone's ear, speaks over
every third story, and prints what the tests hold in short: how often the sandbox interrupted itself, and how soon a
user who speaks over it was heard.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import threading
import time
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from tests.program import COMMAND, environment

from .card import Card


LEAD = 1.5
"""Seconds of silence before the words in each file: in them the tap on its stream comes up."""
ECHO_MS, ECHO_GAIN = 100, 0.5
"""The room: loudspeaker to microphone after 100 ms, 6 dB down."""
STORY = "Tell me a story."
OVER = "Stop. What is two plus three?"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the program, and when it came."""

    at: float
    type: str
    body: dict[str, Any]


class Talk:
    """A running `rtcli talk --sandbox --json`."""

    def __init__(self, card: Card, *options: str) -> None:
        self.lines: list[Line] = []
        self.errors: list[str] = []
        self._came = threading.Condition()
        self._process = subprocess.Popen(
            [*COMMAND, "talk", "--sandbox", "--json", "--input", "card_mic", "--output", "card_speaker", *options],
            env={**environment(card.home), **card.settings},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._readers = [threading.Thread(target=read, daemon=True) for read in (self._collect, self._complain)]
        for reader in self._readers:
            reader.start()

    def _collect(self) -> None:
        assert self._process.stdout
        for text in self._process.stdout:
            body = json.loads(text)
            with self._came:
                self.lines.append(Line(time.monotonic(), body.get("type", ""), body))
                self._came.notify_all()
        with self._came:
            self._came.notify_all()

    def _complain(self) -> None:
        assert self._process.stderr
        self.errors += self._process.stderr

    def until(self, type_: str, after: float = 0.0, *, limit: float = 30.0, **wanted: str) -> Line:
        """The first line of this type that came after that moment, with these texts in its members."""
        with self._came:
            found = self._came.wait_for(lambda: self._first(type_, after, wanted) or self._over(), limit)
        if isinstance(found, Line):
            return found
        raise AssertionError(f"no {type_} {wanted} in {limit} s; the last were {self.lines[-8:]}, {self.errors}")

    def warned(self, *parts: str, after: float, limit: float = 30.0) -> None:
        """Wait until each of these was warned of after that moment."""
        for part in parts:
            self.until("rtcli.warning", after, limit=limit, message=part)

    def _first(self, type_: str, after: float, wanted: dict[str, str]) -> Line | None:
        for line in self.lines:
            fits = all(text in str(line.body.get(name, "")) for name, text in wanted.items())
            if line.type == type_ and line.at > after and fits:
                return line
        return None

    def _over(self) -> bool:
        return any(line.type == "rtcli.closed" for line in self.lines) or self._process.poll() is not None

    def since(self, type_: str, after: float) -> list[Line]:
        return [line for line in self.lines if line.type == type_ and line.at > after]

    def end(self) -> dict[str, Any]:
        """Hang up as a user does; its last line."""
        self._process.send_signal(signal.SIGINT)
        self._process.wait(15)
        for reader in self._readers:
            reader.join(5)
        return self.lines[-1].body

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe:
                pipe.close()


@contextmanager
def talking(card: Card, *options: str) -> Iterator[Talk]:
    """A call that is up and listens."""
    talk = Talk(card, *options)
    try:
        talk.until("rtcli.ready")
        time.sleep(1.0)  # the microphone opens
        yield talk
    finally:
        talk.kill()


@cache
def voice(text: str) -> bytes:
    from rtcli.sandbox.engine.voice import Speaker

    return b"".join(Speaker().say(text, voice="cedar", speed=1.0))


def spoken(text: str, folder: Path) -> Path:
    """A WAV file with these words in a voice that is not the sandbox's."""
    path = folder / f"{abs(hash(text))}.wav"
    if not path.exists():
        with wave.open(str(path), "wb") as writer:
            writer.setparams((1, 2, 48_000, 0, "NONE", ""))
            writer.writeframes(bytes(int(LEAD * 96_000)) + voice(text) + bytes(9_600))
    return path


def say(card: Card, text: str) -> float:
    """Speak into the microphone; the moment at which it heard the first sample."""
    return card.speak(spoken(text, card.home))


def words(text: str) -> str:
    """In small letters and without marks, which an ear chooses as it likes."""
    return " ".join("".join(c if c.isalnum() else " " for c in text.lower()).split())


def recognised(pcm: bytes) -> str:
    """The `words` of 48 kHz mono s16le."""
    from rtcli.sandbox.engine.detector import Silero
    from rtcli.sandbox.engine.recogniser import Recogniser

    return words(Recogniser(Silero()).recognise(pcm))


@dataclass
class Tally:
    """What the long run counts."""

    talked: float = 0.0
    """Seconds in which the sandbox spoke and nobody else."""
    interrupted_itself: int = 0
    latencies: list[float] = field(default_factory=list)
    """Seconds from a user's first sample to `speech_started`."""
    not_answered: int = 0
    erle: list[float] = field(default_factory=list)


def story(card: Card, talk: Talk, tally: Tally, *, over: bool) -> None:
    """Ask for a story and hear it out, or speak over it after some seconds."""
    asked = say(card, STORY)
    begun = talk.until("output_audio_buffer.started", asked).at
    if over:
        time.sleep(4.0)
        tally.talked += time.monotonic() - begun
        tally.interrupted_itself += len(talk.since("input_audio_buffer.speech_started", begun))
        spoke = say(card, OVER)
        tally.latencies.append(talk.until("input_audio_buffer.speech_started", spoke - 0.05).at - spoke)
        try:
            answer = talk.until("rtcli.turn", spoke, speaker="model", text="5", limit=15).at
        except AssertionError:  # what was heard was something else; the count goes on
            tally.not_answered += 1
            talk.until("output_audio_buffer.stopped", spoke, limit=60)
            time.sleep(2.0)
            return
        tally.not_answered += not talk.since("output_audio_buffer.cleared", spoke) or answer - spoke > 15
        talk.until("output_audio_buffer.stopped", answer - 3)
    else:
        ended = talk.until("output_audio_buffer.stopped", begun, limit=60).at
        tally.talked += ended - begun
        tally.interrupted_itself += len(talk.since("input_audio_buffer.speech_started", begun))
    stats = talk.since("rtcli.stats", begun)
    tally.erle += [line.body["erle_db"] for line in stats[-1:] if line.body.get("erle_db") is not None]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.devices.live", description=__doc__)
    parser.add_argument("minutes", type=float)
    minutes = parser.parse_args().minutes
    tally = Tally()
    with tempfile.TemporaryDirectory(prefix="card-") as home:
        card = Card(Path(home))
        card.start()
        card.echo(ECHO_MS, ECHO_GAIN)
        try:
            with talking(card) as talk:
                number = 0
                while tally.talked < 60 * minutes:
                    number += 1
                    story(card, talk, tally, over=number % 3 == 0)
                    sys.stdout.write(f"{number}: {tally}\n")
                    sys.stdout.flush()
                closed = talk.end()
        finally:
            card.stop()
    ordered = sorted(tally.latencies)
    sys.stdout.write(
        f"{tally.talked / 60:.1f} minutes of the sandbox's voice, {tally.interrupted_itself} self-interruptions\n"
        f"spoken over {len(ordered)} times, heard after {[round(1000 * one) for one in ordered]} ms, "
        f"{tally.not_answered} not answered\n"
        f"ERLE at the end of each {[round(one) for one in tally.erle]} dB\n{closed}\n"
    )


if __name__ == "__main__":
    main()
