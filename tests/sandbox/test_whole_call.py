"""Whole calls: a real client peer, real HTTP and a real sandbox peer on loopback."""

from __future__ import annotations

import asyncio
import json
import math
import os
import re
import time
import wave
from array import array
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Any

import httpx
import pytest

from rtcli.audio.opus import make_decoder, make_encoder
from rtcli.audio.playout import Playout
from rtcli.protocol.server_events import Malformed, Unknown, decode
from rtcli.sandbox.call import Limits, Parts
from rtcli.sandbox.engine import speech
from rtcli.sandbox.engine.base import Engine
from rtcli.sandbox.engine.scripted import ScriptedEngine
from rtcli.sandbox.service import Service
from rtcli.sandbox.serving import SandboxServer
from rtcli.transport.base import AudioSink, AudioSource, Deliver, Down, Message, Peer, RtpPacket, Signal
from rtcli.transport.webrtc import WebRtcPeer


FRAME = 1920
KEY = {"Authorization": "Bearer sk-fake"}
SESSION = {
    "type": "realtime",
    "model": "gpt-realtime-2",
    "audio": {
        "input": {
            "transcription": {"model": "gpt-4o-mini-transcribe"},
            "turn_detection": {"type": "server_vad", "silence_duration_ms": 300},
        }
    },
}


def hum(ms: int) -> bytes:
    """Something voiced: loud, low, and swelling as syllables do."""
    wave_ = (
        int(8000 * math.sin(2 * math.pi * 150 * n / 48_000) * (0.6 + 0.4 * math.sin(2 * math.pi * 4 * n / 48_000)))
        for n in range(48 * ms)
    )
    return array("h", wave_).tobytes()


class Mouth:
    """The client's microphone: silence, and what it was given to say."""

    def __init__(self) -> None:
        self._encoder = make_encoder()
        self._pcm = b""
        self.ended = 0.0
        """When the last packet of speech went out."""

    def say(self, pcm: bytes) -> None:
        self._pcm = pcm

    def next_packet(self) -> bytes:
        frame, self._pcm = self._pcm[:FRAME], self._pcm[FRAME:]
        if frame:
            self.ended = time.monotonic()
        return self._encoder.encode(frame.ljust(FRAME, b"\0"))


class Ear:
    """The client's loudspeaker: everything that came, and when."""

    def __init__(self) -> None:
        self._decoder = make_decoder()
        self.pcm = bytearray()
        self.loud: list[float] = []

    def add(self, packet: RtpPacket, now: float) -> None:
        pcm = self._decoder.decode(packet.payload)
        self.pcm += pcm
        if max(map(abs, array("h", pcm)[::8])) > 500:
            self.loud.append(now)


class Client:
    """One client in a call."""

    def __init__(self) -> None:
        self.mouth, self.ear = Mouth(), Ear()
        self.events: list[dict[str, Any]] = []
        self.down: Down | None = None
        self.location = ""
        self._news = asyncio.Event()
        self.peer = WebRtcPeer(source=self.mouth, sink=self.ear, deliver=self._take, loopback=True)

    def _take(self, signal: Signal) -> None:
        if isinstance(signal, Message):
            assert not isinstance(decode(signal.data), Unknown | Malformed)
            self.events.append(json.loads(signal.data))
        if isinstance(signal, Down):
            self.down = signal
        self._news.set()

    def send(self, kind: str, **fields: Any) -> None:
        self.peer.send(json.dumps({"type": kind, **fields}))

    @property
    def types(self) -> list[str]:
        return [event["type"] for event in self.events]

    async def until(self, kind: str, times: int = 1) -> dict[str, Any]:
        await self.until_true(lambda: self.types.count(kind) >= times)
        return [event for event in self.events if event["type"] == kind][times - 1]

    async def until_true(self, reached: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not reached():
                self._news.clear()
                await self._news.wait()

    async def until_heard(self, packets: int) -> None:
        async with asyncio.timeout(30):
            while len(self.ear.loud) < packets:  # noqa: ASYNC110 - packets wake nobody
                await asyncio.sleep(0.01)


@asynccontextmanager
async def calling(base: str, session: dict[str, Any] = SESSION) -> AsyncIterator[Client]:
    client = Client()
    try:
        async with httpx.AsyncClient(headers=KEY) as http:
            secret = (await http.post(f"{base}/realtime/client_secrets", json={"session": session})).json()["value"]
            headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/sdp"}
            answer = await http.post(f"{base}/realtime/calls", content=await client.peer.offer(), headers=headers)
            assert answer.status_code == 201, answer.text
            client.location = answer.headers["location"]
            await client.peer.accept(answer.text, limit=20)
        await client.until("session.created")
        yield client
    finally:
        await client.peer.close()


class Sandbox:
    """A running server, and its service to look into."""

    def __init__(self, engine: Engine, limits: Limits | None = None) -> None:
        self.engine = engine
        self._limits = limits
        self.service: Service
        self.server = SandboxServer(self._make_service)
        self.base = self.server.start()

    def _make_service(self) -> Service:
        self.service = Service(
            Parts(self.engine, self._make_peer, lambda: Playout(make_decoder), make_encoder), limits=self._limits
        )
        return self.service

    @staticmethod
    def _make_peer(source: AudioSource, sink: AudioSink, deliver: Deliver) -> Peer:
        return WebRtcPeer(source=source, sink=sink, deliver=deliver, loopback=True)

    async def until_empty(self) -> None:
        async with asyncio.timeout(20):
            while self.service.calls:  # noqa: ASYNC110 - it lives in another thread
                await asyncio.sleep(0.02)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    engine = ScriptedEngine({"hello": "Hello to you."}, heard=["hello", "stop"])
    running = Sandbox(engine)
    yield running
    running.server.stop()


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(test())


def test_a_spoken_question_is_answered_audibly_and_in_order(sandbox: Sandbox) -> None:
    async def test() -> None:
        async with calling(sandbox.base) as client:
            client.mouth.say(hum(600))
            await client.until("output_audio_buffer.stopped")
            kinds = list(dict.fromkeys(client.types))
            assert kinds == [
                "session.created",
                "conversation.created",
                "input_audio_buffer.speech_started",
                "input_audio_buffer.speech_stopped",
                "input_audio_buffer.committed",
                "conversation.item.added",
                "conversation.item.done",
                "conversation.item.input_audio_transcription.delta",
                "conversation.item.input_audio_transcription.completed",
                "response.created",
                "response.output_item.added",
                "response.content_part.added",
                "output_audio_buffer.started",
                "response.output_audio_transcript.delta",
                "response.output_audio.done",
                "response.output_audio_transcript.done",
                "response.content_part.done",
                "response.output_item.done",
                "response.done",
                "rate_limits.updated",
                "output_audio_buffer.stopped",
            ]
            said = await client.until("response.output_audio_transcript.done")
            assert said["transcript"] == "Hello to you."
            # Four syllables of 150 ms and a full stop: 400 ms of it is loud at least.
            assert len(client.ear.loud) >= 20
            assert client.ear.loud[0] > client.mouth.ended
        await sandbox.until_empty()

    run(test)


def test_a_barge_in_silences_the_answer_and_is_answered(sandbox: Sandbox) -> None:
    async def test() -> None:
        async with calling(sandbox.base) as client:
            long = " ".join(["banana"] * 60)
            item = {
                "type": "message",
                "role": "user",
                "content": [{"type": "input_text", "text": f"repeat after me: {long}"}],
            }
            client.send("conversation.item.create", item=item)
            client.send("response.create")
            await client.until("output_audio_buffer.started")
            await client.until_heard(10)
            client.mouth.say(hum(600))
            await client.until("output_audio_buffer.cleared")
            cut = await client.until("conversation.item.truncated")
            assert cut["audio_end_ms"] < 20_000
            assert "output_audio_buffer.stopped" not in client.types
            await client.until("output_audio_buffer.stopped")
            assert client.types.count("output_audio_buffer.cleared") == 1

    run(test)


def test_a_typed_question_is_answered_in_text(sandbox: Sandbox) -> None:
    async def test() -> None:
        async with calling(sandbox.base, {"type": "realtime", "output_modalities": ["text"]}) as client:
            item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hello"}]}
            client.send("conversation.item.create", item=item)
            client.send("response.create")
            done = await client.until("response.done")
            assert done["response"]["output"][0]["content"] == [{"type": "output_text", "text": "Hello to you."}]
            assert "output_audio_buffer.started" not in client.types

    run(test)


def test_words_come_while_they_are_spoken_where_there_is_no_turn_detection(sandbox: Sandbox) -> None:
    session = {"type": "transcription", "audio": {"input": {"transcription": {"model": "gpt-realtime-whisper"}}}}
    delta = "conversation.item.input_audio_transcription.delta"

    async def test() -> None:
        async with calling(sandbox.base, session) as client:
            client.mouth.say(hum(600))
            first = await client.until(delta)
            assert first["delta"] == "hello"
            assert "input_audio_buffer.committed" not in client.types
            client.mouth.say(hum(600))
            await client.until(delta, 2)
            client.send("input_audio_buffer.commit")
            committed = await client.until("input_audio_buffer.committed")
            completed = await client.until("conversation.item.input_audio_transcription.completed")
            assert completed["transcript"] == "hello stop"
            assert first["item_id"] == committed["item_id"] == completed["item_id"]
            assert "input_audio_buffer.speech_started" not in client.types

    run(test)


def test_hanging_up_is_seen_by_the_client(sandbox: Sandbox) -> None:
    async def test() -> None:
        async with calling(sandbox.base) as client:
            async with httpx.AsyncClient(headers=KEY) as http:
                url = sandbox.base.removesuffix("/v1") + client.location + "/hangup"
                assert (await http.post(url)).status_code == 200
            await client.until_true(lambda: client.down is not None)
            assert client.down is not None
            assert client.down.orderly
            assert sandbox.service.calls == 0

    run(test)


def test_stopping_the_server_says_goodbye_to_its_callers() -> None:
    async def test() -> None:
        sandbox = Sandbox(ScriptedEngine())
        async with calling(sandbox.base) as client:
            await asyncio.to_thread(sandbox.server.stop)
            await client.until_true(lambda: client.down is not None)
            assert client.down is not None
            assert client.down.orderly

    run(test)


def test_several_callers_are_answered_at_once(sandbox: Sandbox) -> None:
    async def one() -> str:
        async with calling(sandbox.base) as client:
            item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hello"}]}
            client.send("conversation.item.create", item=item)
            client.send("response.create")
            await client.until("output_audio_buffer.stopped")
            assert client.ear.loud
            said = await client.until("response.output_audio_transcript.done")
            return str(said["transcript"])

    async def test() -> None:
        assert await asyncio.gather(*(one() for _ in range(4))) == ["Hello to you."] * 4
        await sandbox.until_empty()

    run(test)


# --- with real speech -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def talking() -> Iterator[Sandbox]:
    missing = speech.missing()
    if missing and os.environ.get("RTCLI_REQUIRE_ALL") != "1":
        pytest.skip(f"NOT TESTED, the speech engine can not run: {missing}")
    engine = speech.SpeechEngine.load()
    running = Sandbox(engine)
    yield running
    running.server.stop()
    engine.close()


def sample_question() -> bytes:
    with files("rtcli.sandbox.engine").joinpath("sample_question.wav").open("rb") as file, wave.open(file) as question:
        assert (question.getframerate(), question.getnchannels(), question.getsampwidth()) == (48_000, 1, 2)
        return bytes(question.readframes(question.getnframes()))


@pytest.mark.speech
def test_the_sample_question_is_understood_and_answered_by_voice(talking: Sandbox) -> None:
    async def test() -> None:
        # The silence the service waits for by itself: the question has a comma in it.
        async with calling(talking.base, {"type": "realtime", "audio": {"input": {"transcription": {}}}}) as client:
            client.mouth.say(sample_question())
            heard = await client.until("conversation.item.input_audio_transcription.completed")
            assert re.search("(two|2).{0,3}(plus|[+]).{0,3}(three|3)", heard["transcript"], re.IGNORECASE)
            said = await client.until("response.output_audio_transcript.done")
            assert "5" in said["transcript"] or "five" in said["transcript"].lower()
            await client.until("output_audio_buffer.stopped")
            answered = bytes(client.ear.pcm)
        assert len(client.ear.loud) > 20
        # What a recogniser makes of it, digits or words.
        assert "five" in (await talking.engine.transcribe(answered)).lower().replace("5", "five")

    run(test)
