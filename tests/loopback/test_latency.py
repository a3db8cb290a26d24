"""The latency of a turn, against a service that says when it did what and an ear that listens for itself."""

from __future__ import annotations

import asyncio
import math
import time
from array import array
from collections.abc import Awaitable, Callable
from itertools import cycle

from rtcli.audio.files import NullSpeaker
from rtcli.audio.opus import make_decoder, make_encoder
from rtcli.audio.playout import Playout
from rtcli.audio.uplink import Uplink
from rtcli.call import Call, Parts
from rtcli.errors import Step
from rtcli.protocol.conversation import Plan
from rtcli.protocol.intents import HangUp
from rtcli.protocol.latency import TurnTimes
from rtcli.protocol.rest import CallAnswer
from rtcli.protocol.updates import EventIn, Ready, TurnTimed
from rtcli.transport.base import RtpPacket
from rtcli.transport.webrtc import WebRtcPeer
from tests.services import Call as Service
from tests.test_call import FakeEcho


WAITS = {"input_audio_buffer.committed": 0.05, "response.created": 0.15, "output_audio_buffer.started": 0.25}
"""Seconds before the service says so."""
LOUD = 1000


class Voice:
    """Silence, then a tone."""

    def __init__(self) -> None:
        encoder = make_encoder()
        self._silence = encoder.encode(bytes(1920))
        hum = array("h", (int(8000 * math.sin(0.0576 * n)) for n in range(960))).tobytes()
        self.tone = [encoder.encode(hum) for _ in range(10)]
        self._tones = cycle(self.tone)
        self.sounds = False
        self.begun: float | None = None
        """When the first packet of the tone was given out."""

    def next_packet(self) -> bytes:
        if not self.sounds:
            return self._silence
        self.begun = self.begun or time.monotonic()
        return next(self._tones)


class Answering(Service):
    """Answers speech that nobody spoke, in its own time."""

    def __init__(self) -> None:
        super().__init__({"type": "realtime"})
        self.voice = Voice()
        self.peer = WebRtcPeer(source=self.voice, sink=None, deliver=self._take, loopback=True)
        self.did: dict[str, float] = {}

    async def answer_speech(self) -> None:
        self._do("input_audio_buffer.speech_stopped", item_id="item_u", audio_end_ms=0)
        for kind, wait in WAITS.items():
            await asyncio.sleep(wait)
            self.voice.sounds = kind == "output_audio_buffer.started"
            self._do(kind, item_id="item_u", response_id="resp_1", response={"id": "resp_1"})

    def _do(self, kind: str, **fields: object) -> None:
        self.did[kind] = time.monotonic()
        self._say({"type": kind, **fields})


class Ear(Playout):
    """Notes for itself when the first packet of the tone came and when the first of it was heard."""

    def __init__(self, tone: bytes) -> None:
        super().__init__(make_decoder)
        self._tone = tone
        self.came = self.heard = 0.0

    def add(self, packet: RtpPacket, now: float) -> None:
        if packet.payload == self._tone:
            self.came = self.came or now
        super().add(packet, now)

    def pull(self, samples: int, now: float) -> bytes:
        pcm = super().pull(samples, now)
        if not self.heard and max(map(abs, array("h", pcm))) > LOUD:
            self.heard = now
        return pcm


class Directly:
    """Signalling with nobody between."""

    def __init__(self, service: Answering) -> None:
        self._service = service

    async def place(self, offer: Awaitable[str], step: Callable[[Step], None]) -> CallAnswer:
        step("call")
        return CallAnswer(await self._service.peer.answer(await offer), None)

    async def withdraw(self, call_id: str) -> None: ...


def test_each_step_of_a_turn_is_when_it_was() -> None:
    service = Answering()
    ear = Ear(service.voice.tone[0])
    came: dict[str, float] = {}

    async def run() -> TurnTimes:
        call = Call(
            Parts(
                peer=lambda source, sink, deliver: WebRtcPeer(source=source, sink=sink, deliver=deliver, loopback=True),
                signalling=Directly(service),
                uplink=Uplink(None, make_encoder()),
                playout=ear,
                speaker=NullSpeaker(),
                microphone=None,
                echo=FakeEcho(),
            ),
            Plan(),
        )
        timed: list[TurnTimes] = []
        tasks: list[asyncio.Task[None]] = []
        async for update in call.run():
            if isinstance(update, Ready):
                tasks.append(asyncio.create_task(service.answer_speech()))
            elif isinstance(update, EventIn):
                came[str(update.event.type)] = update.at
            elif isinstance(update, TurnTimed):
                timed.append(update.times)
                call.post(HangUp())
        await asyncio.gather(*tasks)
        await service.peer.close()
        return timed[0]

    times = asyncio.run(run())
    stopped = came["input_audio_buffer.speech_stopped"]
    assert times.committed == came["input_audio_buffer.committed"] - stopped
    assert times.created == came["response.created"] - stopped
    assert times.announced == came["output_audio_buffer.started"] - stopped
    assert times.packet == ear.came - stopped
    assert times.sound is not None
    assert abs(times.sound - (ear.heard - stopped)) < 0.02, "the block's first loud sample"
    # What the service did itself, on the same clock: nothing is told to have come before it was sent.
    begun = service.voice.begun
    assert begun is not None
    assert service.did["input_audio_buffer.speech_stopped"] <= stopped
    assert ear.came > begun
    assert times.sound > times.packet > times.created >= WAITS["response.created"]
