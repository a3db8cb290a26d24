"""Barge-in in a whole call: recognition, voice, WebRTC and playout are real, the loudspeaker keeps what it is given."""

from __future__ import annotations

import asyncio
import io
import os
import re
import wave
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from rtcli import ways, wiring
from rtcli.audio.base import RATE, Pull
from rtcli.audio.files import NullSpeaker, WavMicrophone
from rtcli.audio.playout import AUDIBLE, Playout
from rtcli.call import Call
from rtcli.protocol.conversation import Plan
from rtcli.protocol.intents import HangUp, Interrupt, Say
from rtcli.protocol.updates import Activity, Closed, EventIn, EventOut, Update, Words


pytestmark = pytest.mark.speech


@pytest.fixture(autouse=True)
def _speech() -> None:
    from rtcli.sandbox.engine.speech import missing

    if (absent := missing()) is None:
        return
    if os.environ.get("RTCLI_REQUIRE_ALL"):
        pytest.fail(f"real speech is required: {absent}")
    pytest.skip(f"NOT RUN: needs the extra `sandbox`: {absent}")


class Ear(NullSpeaker):
    """A loudspeaker that keeps every block it pulled."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks: list[bytes] = []

    def start(self, pull: Pull) -> None:
        def kept(samples: int) -> bytes:
            self.blocks.append(pull(samples))
            return self.blocks[-1]

        super().start(kept)


@dataclass
class Told:
    """What a call said, and how many blocks had been pulled when it did."""

    ear: Ear
    types: list[tuple[str, int]] = field(default_factory=list)
    words: list[Words] = field(default_factory=list)
    cleared: list[int] = field(default_factory=list)
    """Blocks pulled at each silencing."""

    def at(self, type_: str, after: int = -1) -> int:
        """Blocks pulled when the first event of this type came after that many."""
        return next(blocks for name, blocks in self.types if name == type_ and blocks > after)


def voice(text: str) -> bytes:
    from rtcli.sandbox.engine.voice import Speaker

    return b"".join(Speaker().say(text, voice="cedar", speed=1.0))


def wav(pcm: bytes) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as writer:
        writer.setparams((1, 2, RATE, 0, "NONE", ""))
        writer.writeframes(pcm)
    return out.getvalue()


def recognised(blocks: list[bytes]) -> str:
    from rtcli.sandbox.engine.detector import Silero
    from rtcli.sandbox.engine.recogniser import Recogniser

    return " ".join(re.findall(r"[a-z0-9]+", Recogniser(Silero()).recognise(b"".join(blocks)).lower()))


def loudest(blocks: list[bytes]) -> int:
    samples = array("h", b"".join(blocks))
    return max(max(samples, default=0), -min(samples, default=0))


async def hold(
    monkeypatch: pytest.MonkeyPatch,
    microphone: WavMicrophone | None,
    begin: str | None,
    react: Callable[[Call, Update, Told], None],
) -> Told:
    """A call with the sandbox; `react` sees every update."""
    ear = Ear()
    told = Told(ear)
    clear = Playout.clear

    def noted(self: Playout, now: float, **more: Any) -> None:
        clear(self, now, **more)
        if self.played is not None:  # ours: the sandbox's own ear tells nobody what it hears
            told.cleared.append(len(ear.blocks))

    monkeypatch.setattr(Playout, "clear", noted)
    settings = wiring.settings_for({}, None)
    sound = wiring.Sound(microphone, ear, microphone_is_file=microphone is not None)
    plan = Plan(microphone_is_file=microphone is not None)
    async with ways.way_in(settings, sandbox=True) as way:
        call = ways.make_call(way, sound, plan, settings)
        if begin:
            call.post(Say(begin))
        async with asyncio.timeout(90):
            async for update in call.run():
                if isinstance(update, EventIn):
                    told.types.append((update.event.type or "", len(ear.blocks)))
                elif isinstance(update, EventOut):
                    told.types.append((update.type, len(ear.blocks)))
                elif isinstance(update, Words):
                    told.words.append(update)
                elif isinstance(update, Closed):
                    assert update.error is None, update
                react(call, update, told)
    return told


def run(
    monkeypatch: pytest.MonkeyPatch,
    microphone: WavMicrophone | None,
    begin: str | None,
    react: Callable[[Call, Update, Told], None],
) -> Told:
    return asyncio.run(hold(monkeypatch, microphone, begin, react))


def nothing(call: Call, update: Update, told: Told) -> None:
    """Let it go."""


def silent_from_the_next_block_on(told: Told, until: int) -> None:
    """One block may hold the milliseconds in which the voice is faded, and one was under way in the other thread."""
    begun = told.cleared[0]
    assert loudest(told.ear.blocks[begun - 100 : begun]) > 1000, "nothing was playing that could be silenced"
    loud = [
        number - begun for number in range(begun, until) if loudest(told.ear.blocks[number : number + 1]) >= AUDIBLE
    ]
    assert [number for number in loud if number > 1] == [], (loud, until - begun)


def test_who_speaks_over_an_answer_hears_it_stop_at_once_and_the_next_one_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pause = bytes(2 * RATE)
    said = voice("Tell me a story.") + 6 * pause + voice("Stop. What is two plus three?") + pause
    told = run(monkeypatch, WavMicrophone(wav(pause + said)), None, nothing)
    stopped = told.cleared[0]
    assert told.at("output_audio_buffer.cleared") >= told.at("input_audio_buffer.speech_started", stopped - 3)
    started = told.at("output_audio_buffer.started", stopped)
    silent_from_the_next_block_on(told, started)
    assert [words.text for words in told.words if words.speaker == "model"][-1] == "2 plus 3 is 5."
    assert recognised(told.ear.blocks[stopped + 2 :]) in {"two plus three is five", "2 plus 3 is 5"}


def test_who_presses_the_key_hears_silence_at_once_and_the_next_answer_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sounding: list[bool] = []
    tasks: list[asyncio.Task[None]] = []

    async def press(call: Call) -> None:
        await asyncio.sleep(2.0)
        call.post(Interrupt())
        await asyncio.sleep(0.8)
        call.post(Say("What is two plus three?"))

    def react(call: Call, update: Update, told: Told) -> None:
        if isinstance(update, EventIn) and update.event.type == "output_audio_buffer.started" and not sounding:
            sounding.append(True)
            tasks.append(asyncio.create_task(press(call)))
        answers = [words for words in told.words if words.speaker == "model"]
        if len(answers) == 2 and isinstance(update, Activity) and not update.model_speaking:
            call.post(HangUp())

    told = run(monkeypatch, None, "Tell me a story.", react)
    assert [name for name, _ in told.types if name in {"response.cancel", "output_audio_buffer.clear"}]
    started = told.at("output_audio_buffer.started", told.cleared[0])
    silent_from_the_next_block_on(told, started)
    assert recognised(told.ear.blocks[told.cleared[0] + 2 :]) in {"two plus three is five", "2 plus 3 is 5"}
