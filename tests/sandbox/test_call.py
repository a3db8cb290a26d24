"""One call with everything around it made of paper: what it does with its tasks, its buffers and its end."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from typing import Any

import pytest

from rtcli.errors import CallLost, EventTooLarge
from rtcli.protocol.server_events import Malformed, Unknown, decode
from rtcli.sandbox.call import Call, Limits, Parts
from rtcli.sandbox.engine.base import (
    FunctionCall,
    Paused,
    Prompt,
    Resumed,
    SpeechStarted,
    SpeechStopped,
    VoiceActivity,
)
from rtcli.sandbox.session import Session
from rtcli.transport.base import AudioSink, AudioSource, Deliver, Down, Message, Opened, Peer, PeerStats, RtpPacket


FRAME = 1920
"""Bytes of 20 ms."""
SAYS_NOTHING, BEGINS, PAUSES, GOES_ON, STOPS = range(5)
ACTIVITIES: Mapping[int, Callable[[int], VoiceActivity]] = {
    BEGINS: SpeechStarted,
    PAUSES: Paused,
    GOES_ON: Resumed,
    STOPS: SpeechStopped,
}
PACKET = RtpPacket(sequence=1, timestamp=960, ssrc=7, marker=False, payload=b"\xf8")
TYPED = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}


class PaperPeer:
    """Keeps what is sent; the test plays the network."""

    def __init__(self, source: AudioSource, sink: AudioSink, deliver: Deliver) -> None:
        self.source, self.sink, self.deliver = source, sink, deliver
        self.sent: list[dict[str, Any]] = []
        self.buffered = 0
        self.limit = 1 << 20
        self.lost = False
        self.closed = 0

    async def answer(self, offer: str) -> str:
        return "v=0"

    def send(self, text: str) -> None:
        if self.lost or self.closed:
            raise CallLost("gone")
        if len(text) > self.limit:
            raise EventTooLarge(len(text), self.limit)
        assert not isinstance(decode(text), Unknown | Malformed)
        self.sent.append(json.loads(text))

    async def close(self) -> None:
        self.closed += 1

    async def offer(self) -> str:
        raise AssertionError

    async def accept(self, answer: str, *, limit: float) -> None:
        raise AssertionError

    async def stats(self) -> PeerStats:
        raise AssertionError


class PaperPlayout:
    """Gives the frames the test queued; the first byte of each says what happens in it."""

    def __init__(self) -> None:
        self.frames: deque[int] = deque()
        self.pulls = 0

    def add(self, packet: RtpPacket, now: float) -> None: ...

    def pull(self, samples: int, now: float) -> bytes:
        self.pulls += 1
        mark = self.frames.popleft() if self.frames else SAYS_NOTHING
        return bytes([mark]) + bytes(samples * 2 - 1)


class PaperEncoder:
    def encode(self, pcm: bytes) -> bytes:
        return b"sound" if pcm.strip(b"\0") else b"silence"


class PaperDetector:
    def __init__(self) -> None:
        self._fed = 0

    def feed(self, pcm: bytes) -> list[VoiceActivity]:
        self._fed += 20
        make = ACTIVITIES.get(pcm[0])
        return [make(self._fed)] if make else []


class PaperEngine:
    """Says what it is told to; `hold` keeps recognition from ending."""

    name = "paper"

    def __init__(self) -> None:
        self.pieces: list[str | FunctionCall | Exception] = ["Hello."]
        self.sound_ms = 100
        self.sounds = 1
        self.voice_fails = False
        self.recognised: list[int] = []
        self.words: str | Exception = "good day"
        self.hold: asyncio.Event | None = None
        self.cancelled = 0
        self.made = 0
        self.prompts: list[Prompt] = []

    def detector(self, *, threshold: float, silence_ms: int) -> PaperDetector:
        return PaperDetector()

    async def transcribe(self, pcm: bytes) -> str:
        self.recognised.append(len(pcm) // 96)
        try:
            if self.hold is not None:
                await self.hold.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if isinstance(self.words, Exception):
            raise self.words
        return self.words

    async def reply(self, prompt: Prompt) -> AsyncIterator[str | FunctionCall]:
        self.prompts.append(prompt)
        for piece in self.pieces:
            if isinstance(piece, Exception):
                raise piece
            yield piece

    async def speak(self, text: str, *, voice: str, speed: float) -> AsyncIterator[bytes]:
        if self.voice_fails:
            raise RuntimeError("no voice")
        for _ in range(self.sounds):
            self.made += self.sound_ms
            yield bytes([1, 0]) * (48 * self.sound_ms)

    def close(self) -> None: ...


class Room:
    """A call, its engine and its peer."""

    def __init__(self, session: dict[str, Any] | None, limits: Limits) -> None:
        self.engine = PaperEngine()
        self.playout = PaperPlayout()
        self.ended: list[str] = []
        self.peer: PaperPeer
        numbers: Counter[str] = Counter()

        def new_id(prefix: str) -> str:
            numbers[prefix] += 1
            return f"{prefix}_{numbers[prefix]}"

        request = session or {"type": "realtime", "audio": {"input": {"transcription": {"model": "whisper-1"}}}}
        self.call = Call(
            "rtc_1",
            Session("sess_1", request, expires_at=0),
            Parts(self.engine, self._make_peer, lambda: self.playout, PaperEncoder),
            limits=limits,
            new_id=new_id,
            ended=self.ended.append,
        )

    def _make_peer(self, source: AudioSource, sink: AudioSink, deliver: Deliver) -> Peer:
        self.peer = PaperPeer(source, sink, deliver)
        return self.peer

    async def open(self) -> None:
        assert await self.call.answer("v=0") == "v=0"
        self.peer.deliver(Opened())
        self.peer.sink.add(PACKET, 0.0)

    def post(self, kind: str, **fields: Any) -> None:
        self.peer.deliver(Message(json.dumps({"type": kind, **fields})))

    def say(self, *marks: int) -> None:
        self.playout.frames.extend(marks)

    def packets(self, count: int) -> list[bytes]:
        return [self.peer.source.next_packet() for _ in range(count)]

    @property
    def types(self) -> list[str]:
        return [event["type"] for event in self.peer.sent]

    async def until(self, kind: str, times: int = 1) -> dict[str, Any]:
        """The event of this type, sending sound meanwhile as a peer would."""
        await self.until_true(lambda: self.types.count(kind) >= times)
        return [event for event in self.peer.sent if event["type"] == kind][times - 1]

    async def until_true(self, reached: Callable[[], bool], *, sending: bool = True) -> None:
        async with asyncio.timeout(20):
            while not reached():
                await asyncio.sleep(0.002)
                if sending and self.peer.closed == 0:
                    self.peer.source.next_packet()


def run(
    test: Callable[[Room], Coroutine[Any, Any, None]],
    session: dict[str, Any] | None = None,
    limits: Limits | None = None,
) -> None:
    async def whole() -> None:
        room = Room(session, limits or Limits())
        await room.open()
        await test(room)
        await room.call.close()
        await room.call.close()
        assert room.ended == ["rtc_1"]
        assert room.peer.closed == 1
        assert {task for task in asyncio.all_tasks() if task is not asyncio.current_task()} == set()

    asyncio.run(whole())


def test_the_eager_words_answer_the_turn() -> None:
    async def test(room: Room) -> None:
        room.say(*[SAYS_NOTHING] * 20, BEGINS, SAYS_NOTHING, PAUSES, SAYS_NOTHING, STOPS)
        await room.until("output_audio_buffer.stopped")
        assert len(room.engine.recognised) == 1
        done = await room.until("conversation.item.input_audio_transcription.completed")
        assert done["transcript"] == "good day"
        assert room.engine.prompts[0].history[-1].text == "good day"
        assert room.types.index("response.done") < room.types.index("output_audio_buffer.stopped")

    run(test)


def test_words_that_became_void_are_not_waited_for() -> None:
    async def test(room: Room) -> None:
        room.engine.hold = asyncio.Event()
        room.say(BEGINS, PAUSES, GOES_ON)
        await room.until_true(lambda: room.engine.cancelled == 1)
        room.engine.hold.set()
        room.say(PAUSES, STOPS)
        await room.until("response.done")
        assert len(room.engine.recognised) == 2
        assert room.types.count("conversation.item.input_audio_transcription.completed") == 1

    run(test)


def test_recognition_gets_the_speech_and_what_was_just_before_it() -> None:
    async def test(room: Room) -> None:
        room.say(*[SAYS_NOTHING] * 40, BEGINS, *[SAYS_NOTHING] * 9, STOPS)
        await room.until("response.done")
        # 200 ms from the beginning to the end, and the 300 ms of prefix padding in front.
        assert room.engine.recognised == [500]

    run(test)


def test_failed_recognition_is_told_and_answered_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    async def test(room: Room) -> None:
        room.engine.words = RuntimeError("deaf")
        room.say(BEGINS, STOPS)
        failed = await room.until("conversation.item.input_audio_transcription.failed")
        assert failed["error"]["type"] == "transcription_error"
        await room.until("response.done")
        assert room.engine.prompts[0].history[-1].text == ""

    run(test)


def test_a_barge_in_silences_the_next_packet() -> None:
    async def test(room: Room) -> None:
        room.engine.sound_ms = 30_000
        room.post("response.create")
        await room.until("response.done")
        before = len([packet for packet in room.packets(10) if packet == b"sound"])
        assert before == 10
        room.say(BEGINS)
        await room.until_true(lambda: "conversation.item.truncated" in room.types, sending=False)
        assert room.packets(3) == [b"silence"] * 3
        assert room.types[-3:] == [
            "input_audio_buffer.speech_started",
            "output_audio_buffer.cleared",
            "conversation.item.truncated",
        ]
        assert 200 <= room.peer.sent[-1]["audio_end_ms"] < 30_000
        assert room.peer.sent[-1]["audio_end_ms"] % 20 == 0

    run(test)


def test_an_interrupted_engine_is_stopped() -> None:
    async def test(room: Room) -> None:
        room.engine.sounds = 10_000
        room.post("response.create")
        await room.until("output_audio_buffer.started")
        room.post("response.cancel")
        done = await room.until("response.done")
        assert done["response"]["status_details"]["reason"] == "client_cancelled"
        room.post("output_audio_buffer.clear")
        made = room.engine.made
        await asyncio.sleep(0.05)
        assert room.engine.made <= made + room.engine.sound_ms

    run(test)


def test_sound_is_made_ahead_only_so_far() -> None:
    async def test(room: Room) -> None:
        room.engine.sounds = 1000
        room.post("response.create")
        await room.until_true(lambda: room.engine.made >= 2000, sending=False)
        await asyncio.sleep(0.05)
        assert room.engine.made <= 2200
        room.packets(50)
        await room.until_true(lambda: room.engine.made >= 3000, sending=False)
        await asyncio.sleep(0.02)
        assert room.engine.made <= 3200

    run(test, limits=Limits(unsent_ms=2000))


@pytest.mark.parametrize("fault", ["reply", "voice"])
def test_a_broken_engine_fails_the_response_and_not_the_call(fault: str, caplog: pytest.LogCaptureFixture) -> None:
    async def test(room: Room) -> None:
        if fault == "reply":
            room.engine.pieces = ["Well,", RuntimeError("private")]
        room.engine.voice_fails = fault == "voice"
        room.post("response.create")
        done = await room.until("response.done")
        assert done["response"]["status"] == "failed"
        assert "private" not in json.dumps(room.peer.sent)
        room.engine.pieces, room.engine.voice_fails = ["Fine."], False
        room.post("response.create")
        done = await room.until("response.done", times=2)
        assert done["response"]["status"] == "completed"

    run(test)


def test_a_function_call_and_its_output_lead_to_an_answer() -> None:
    async def test(room: Room) -> None:
        room.engine.pieces = [FunctionCall("look_up", {"query": "tea"})]
        room.post("conversation.item.create", item=TYPED)
        room.post("response.create")
        call = (await room.until("response.done"))["response"]["output"][0]
        assert (call["type"], call["name"], json.loads(call["arguments"])) == (
            "function_call",
            "look_up",
            {"query": "tea"},
        )
        room.engine.pieces = ["Tea is hot."]
        output = {"type": "function_call_output", "call_id": call["call_id"], "output": "hot"}
        room.post("conversation.item.create", item=output)
        room.post("response.create")
        await room.until("output_audio_buffer.stopped")
        assert room.engine.prompts[-1].history[-1].text == "hot"

    run(test)


def test_a_clip_in_an_item_is_recognised_before_it_is_answered() -> None:
    async def test(room: Room) -> None:
        item = {"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": "AAAA" * 4800}]}
        room.post("conversation.item.create", item=item)
        room.post("response.create", response={"output_modalities": ["text"]})
        await room.until("response.done")
        assert room.engine.recognised == [300]
        assert room.engine.prompts[0].history[-1].text == "good day"

    run(test)


def test_clips_beyond_what_can_be_recognised_fail() -> None:
    async def test(room: Room) -> None:
        room.engine.hold = asyncio.Event()
        item = {"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": "AAAA"}]}
        for _ in range(40):
            room.post("conversation.item.create", item=item)
        await room.until("conversation.item.input_audio_transcription.failed", times=8)
        await room.until_true(lambda: len(room.engine.recognised) == 32)

    run(test)


def test_without_sound_from_the_client_there_is_nothing_to_commit() -> None:
    async def whole() -> None:
        room = Room({"type": "realtime", "audio": {"input": {"turn_detection": None}}}, Limits())
        await room.call.answer("v=0")
        room.peer.deliver(Opened())
        await asyncio.sleep(0.15)
        room.post("input_audio_buffer.commit")
        assert room.peer.sent[-1]["error"]["code"] == "input_audio_buffer_commit_empty"
        await room.call.close()

    asyncio.run(whole())


def test_silence_is_encoded_until_it_has_settled() -> None:
    async def test(room: Room) -> None:
        assert set(room.packets(50)) == {b"silence"}
        room.post("response.create")
        await room.until("output_audio_buffer.stopped")
        assert set(room.packets(50)) == {b"silence"}

    run(test)


def test_an_event_that_is_too_large_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    async def test(room: Room) -> None:
        room.peer.limit = 2000
        with caplog.at_level(logging.WARNING):
            room.post("session.update", session={"type": "realtime", "instructions": "x" * 3000})
        assert "session.updated can not be sent" in caplog.text
        room.post("input_audio_buffer.clear")
        assert room.types[-1] == "input_audio_buffer.cleared"

    run(test)


def test_a_client_that_takes_no_events_is_let_go(caplog: pytest.LogCaptureFixture) -> None:
    async def test(room: Room) -> None:
        room.peer.buffered = 100 << 20
        for _ in range(70):
            room.post("input_audio_buffer.clear")
        await room.until_true(lambda: room.ended != [])

    run(test)


@pytest.mark.parametrize("end", ["down", "lost", "hang up"])
def test_nothing_outlives_the_call(end: str) -> None:
    async def test(room: Room) -> None:
        room.engine.hold = asyncio.Event()
        room.engine.sounds = 10_000
        room.post("response.create")
        room.say(BEGINS, STOPS)
        await room.until("input_audio_buffer.committed")
        match end:
            case "down":
                room.peer.deliver(Down("the other side closed the call", orderly=True))
            case "lost":
                room.peer.lost = True
                room.post("input_audio_buffer.clear")
            case _:
                await room.call.close()
        await room.until_true(lambda: room.ended == ["rtc_1"])
        room.post("input_audio_buffer.clear")

    run(test)


def test_a_session_ends_at_its_limit_and_says_so() -> None:
    async def test(room: Room) -> None:
        error = await room.until("error")
        assert error["error"]["code"] == "session_expired"
        await room.until_true(lambda: room.ended == ["rtc_1"])

    run(test, limits=Limits(session=0.05))


def test_what_a_long_stall_kept_away_is_left_to_the_playout() -> None:
    async def test(room: Room) -> None:
        await room.until_true(lambda: room.playout.pulls > 2)
        before = room.playout.pulls
        time.sleep(1.0)  # noqa: ASYNC251 - the loop is to be blocked
        await room.until_true(lambda: room.playout.pulls > before)
        assert room.playout.pulls - before < 25

    run(test)


def test_opened_twice_is_opened_once() -> None:
    async def test(room: Room) -> None:
        room.peer.deliver(Opened())
        assert room.types.count("session.created") == 1

    run(test)
