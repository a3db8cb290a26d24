"""One live call on small fakes: how it comes up, what it hands on, what breaks it, and that it always ends in order."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field, fields
from typing import Any

import pytest

from rtcli import call as calls
from rtcli.audio.base import Pull
from rtcli.audio.playout import SETTLE, PlayoutStats
from rtcli.call import BACKLOG, BUFFERED, UNTOLD, Call, Parts
from rtcli.errors import (
    AuthError,
    CallLost,
    ConnectError,
    DeviceError,
    EventTooLarge,
    RtcliError,
    ServiceError,
    UsageError,
    WaitTimeout,
)
from rtcli.errors import Step as ConnectStep
from rtcli.protocol import conversation
from rtcli.protocol.conversation import Conversation, Plan
from rtcli.protocol.intents import HangUp, InputEnded, Interrupt, Mute, Say
from rtcli.protocol.rest import CallAnswer
from rtcli.protocol.updates import (
    Closed,
    Connected,
    Connecting,
    EventIn,
    EventOut,
    Ready,
    Refused,
    Update,
    Warned,
    Words,
)
from rtcli.transport.base import AudioSink, AudioSource, Deliver, Down, Message, Opened, PeerStats, RtpPacket


LIMIT = 30.0
"""Seconds; generous, for a machine that is busy with something else."""
SESSION = {"type": "realtime", "audio": {"input": {"transcription": None}}}
LARGE = 1000


# ---- fakes ----------------------------------------------------------------------------------------------------------


class FakePeer:
    """The service behind it says what the test makes it say."""

    def __init__(self, made: Made, deliver: Deliver) -> None:
        self._made = made
        self._deliver = deliver
        self.sent: list[dict[str, Any]] = []
        self.buffered = 0
        self.closed = False

    async def offer(self) -> str:
        if self._made.offer_fails:
            raise self._made.offer_fails
        return "v=0\r\noffer"

    async def accept(self, answer: str, *, limit: float) -> None:
        if self._made.accept_fails:
            raise self._made.accept_fails
        if self._made.accept_hangs:
            await asyncio.Event().wait()
        self._deliver(Opened())
        self.says("session.created", session=SESSION)

    async def answer(self, offer: str) -> str:
        raise NotImplementedError

    def send(self, text: str) -> None:
        if self._made.send_fails:
            raise self._made.send_fails
        if len(text) > LARGE:
            raise EventTooLarge(len(text), LARGE)
        self.sent.append(json.loads(text))
        self._made.reacts(self, self.sent[-1])

    async def stats(self) -> PeerStats:
        return PeerStats(None, 0, 0, 0, None, self.buffered)

    async def close(self) -> None:
        self.closed = True
        await self._made.closes()

    # What the test makes the other side do.

    def says(self, event_type: str, /, **fields: Any) -> None:
        self.says_raw(json.dumps({"type": event_type, "event_id": "e", **fields}))

    def says_raw(self, data: str | bytes) -> None:
        self._deliver(Message(data))

    def goes_down(self, *, orderly: bool) -> None:
        self._deliver(Down("the other side closed the call", orderly))

    def answers(self, response: str = "resp_1", words: str = "Noon.") -> None:
        self.says("response.created", response={"id": response, "status": "in_progress"})
        self.says("response.output_text.delta", response_id=response, item_id=f"item_{response}", delta=words)
        self.says("response.done", response={"id": response, "status": "completed"})

    @property
    def sent_types(self) -> list[str]:
        return [event["type"] for event in self.sent]


async def _nothing() -> None: ...


def _ignore(peer: FakePeer, event: dict[str, Any]) -> None: ...


@dataclass
class Made:
    """What is made of fakes for one call, and how they behave."""

    place_fails: Exception | None = None
    place_hangs: bool = False
    offer_fails: Exception | None = None
    accept_fails: Exception | None = None
    accept_hangs: bool = False
    send_fails: Exception | None = None
    closes: Callable[[], Awaitable[None]] = _nothing
    reacts: Callable[[FakePeer, dict[str, Any]], None] = _ignore
    peers: list[FakePeer] = field(default_factory=list)

    @property
    def peer(self) -> FakePeer:
        return self.peers[-1]

    def make_peer(self, source: AudioSource, sink: AudioSink, deliver: Deliver) -> FakePeer:
        self.peers.append(FakePeer(self, deliver))
        return self.peers[-1]

    # As signalling.

    async def place(self, offer: Awaitable[str], step: Callable[[ConnectStep], None]) -> CallAnswer:
        step("token")
        await offer
        step("call")
        if self.place_fails:
            raise self.place_fails
        if self.place_hangs:
            await asyncio.Event().wait()
        return CallAnswer("v=0\r\nanswer", "rtc_1")

    async def withdraw(self, call_id: str) -> None: ...


class FakeUplink:
    phrases_ended = 0
    muted = False
    level = 0.0

    def next_packet(self) -> bytes:
        return b""


class FakePlayout:
    def __init__(self) -> None:
        self.orders: list[str | float] = []
        self.audible_looks = 0
        """How often `last_sound` will still say: just now."""
        self.pulled = 0

    def add(self, packet: RtpPacket, now: float) -> None: ...

    def pull(self, samples: int, now: float) -> bytes:
        self.pulled += samples
        return bytes(2 * samples)

    def clear(self, now: float, *, settle: float = SETTLE) -> None:
        self.orders.append(settle)

    def resume(self) -> None:
        self.orders.append("resume")

    def first_sound_after(self, moment: float) -> float | None:
        return None

    def came_at(self, sound: float) -> float | None:
        return None

    def stats(self) -> PlayoutStats:
        return PlayoutStats(**{figure.name: 0 for figure in fields(PlayoutStats)})  # type: ignore[arg-type]  # all are numbers

    @property
    def last_sound(self) -> float | None:
        if self.audible_looks:
            self.audible_looks -= 1
            return time.monotonic()
        return None


class FakeEcho:
    name = "off"
    erle_db = None

    def played(self, pcm: bytes, position: int, now: float) -> None: ...

    def process(self, block: bytes, now: float) -> bytes:
        return block


@dataclass
class FakeDevice:
    """A microphone, and with `FakeSpeaker` a speaker."""

    fails: Exception | None = None
    close_fails: Exception | None = None
    held: threading.Event | None = None
    """Starting waits for this."""
    name: str = "fake"
    started: bool = False
    closed: bool = False
    ended: bool = False

    def start(self) -> None:
        if self.held:
            self.held.wait(LIMIT)
        if self.fails:
            raise self.fails
        self.started = True

    def read(self) -> bytes | None:
        return None

    def close(self) -> None:
        self.closed = True
        if self.close_fails:
            raise self.close_fails


@dataclass
class FakeSpeaker:
    device: FakeDevice = field(default_factory=FakeDevice)
    name: str = "fake"

    def start(self, pull: Pull) -> None:
        self.device.start()
        pull(480)

    def close(self) -> None:
        self.device.close()


# ---- one call held --------------------------------------------------------------------------------------------------


class Held:
    """A call with its fakes, and what it has told so far."""

    def __init__(self, made: Made, plan: Plan, parts: dict[str, Any], connect_timeout: float) -> None:
        self.made = made
        self.playout = FakePlayout()
        self.uplink = FakeUplink()
        self.speaker = FakeSpeaker()
        self.microphone = FakeDevice()
        standard: dict[str, Any] = {
            "peer": made.make_peer,
            "signalling": made,
            "uplink": self.uplink,
            "playout": self.playout,
            "speaker": self.speaker,
            "microphone": self.microphone,
            "echo": FakeEcho(),
        }
        self.call = Call(Parts(**{**standard, **parts}), plan, connect_timeout=connect_timeout)
        self.told: list[Update] = []
        self._news = asyncio.Event()

    @property
    def peer(self) -> FakePeer:
        return self.made.peer

    async def run(self) -> None:
        async for update in self.call.run():
            self.told.append(update)
            self._news.set()

    async def until(self, what: Callable[[], object]) -> None:
        """Wait until something is so; looked at whenever the call tells something, and often besides."""
        async with asyncio.timeout(LIMIT):
            while not what():
                self._news.clear()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._news.wait(), 0.02)

    def has(self, kind: type[Update]) -> bool:
        return any(isinstance(update, kind) for update in self.told)

    @property
    def closed(self) -> Closed:
        assert isinstance(self.told[-1], Closed), self.told
        return self.told[-1]

    @property
    def words(self) -> list[str]:
        return [update.text for update in self.told if isinstance(update, Words)]

    @property
    def refused(self) -> list[str]:
        return [str(update.error) for update in self.told if isinstance(update, Refused)]

    @property
    def warned(self) -> list[str]:
        return [update.code for update in self.told if isinstance(update, Warned)]


Script = Callable[[Held], Awaitable[None]]


async def _hang_up(held: Held) -> None:
    held.call.post(HangUp())


def hold(
    script: Script | None = None,
    *,
    made: Made | None = None,
    plan: Plan | None = None,
    connect_timeout: float = LIMIT,
    **parts: Any,
) -> Held:
    """A whole call; `script` runs beside it as soon as the session is ready."""

    async def main() -> Held:
        held = Held(made or Made(), plan or Plan(), parts, connect_timeout)
        async with asyncio.timeout(2 * LIMIT):
            running = asyncio.create_task(held.run())
            if script:
                await held.until(lambda: held.has(Ready) or running.done())
                await script(held)
            await running
        return held

    return asyncio.run(main())


# ---- coming up ------------------------------------------------------------------------------------------------------


def test_a_call_tells_each_step_in_order_and_closes_what_it_opened() -> None:
    held = hold(_hang_up)
    steps = [update.step for update in held.told if isinstance(update, Connecting)]
    assert steps == ["token", "call", "ice"]
    kinds = [type(update) for update in held.told]
    assert kinds.index(Connected) < kinds.index(Ready) < kinds.index(Closed) == len(kinds) - 1
    connected = next(update for update in held.told if isinstance(update, Connected))
    assert (connected.name, connected.call_id) == ("1", "rtc_1")
    assert (held.closed.reason, held.closed.exit, held.closed.error) == ("hung up", 0, None)
    assert held.peer.closed
    assert held.microphone.closed
    assert held.speaker.device.closed


@pytest.mark.parametrize(
    "made",
    [
        Made(offer_fails=ConnectError("ice", "this machine has no network address")),
        Made(place_fails=AuthError("the key was refused")),
        Made(place_fails=ConnectError("token", "no connection to the service")),
        Made(place_fails=ServiceError("no such model", status=400)),
        Made(place_fails=ConnectError("answer", "the answer is no SDP")),
        Made(accept_fails=ConnectError("ice", "no UDP packet got an answer", udp_suspect=True)),
        Made(accept_fails=ConnectError("dtls", "the handshake failed")),
        Made(accept_fails=ConnectError("channel", "the data channel did not open")),
    ],
    ids=lambda made: str(made.offer_fails or made.place_fails or made.accept_fails),
)
def test_what_fails_while_connecting_is_what_the_call_ends_with(made: Made) -> None:
    held = hold(made=made)
    error = made.offer_fails or made.place_fails or made.accept_fails
    assert held.closed.error is error
    assert held.closed.reason == str(error)
    assert not held.has(Connected)
    assert made.peer.closed


@pytest.mark.parametrize(("made", "step"), [(Made(place_hangs=True), "call"), (Made(accept_hangs=True), "ice")])
def test_a_step_that_hangs_ends_with_its_name_and_the_limit(made: Made, step: str) -> None:
    held = hold(made=made, connect_timeout=0.2)
    error = held.closed.error
    assert isinstance(error, ConnectError)
    assert error.step == step
    assert "0.2 s" in str(error)


def test_a_bug_while_connecting_is_told_as_what_it_is() -> None:
    bug = ZeroDivisionError("oops")
    held = hold(made=Made(place_fails=bug))
    assert held.closed.error is bug
    assert not isinstance(held.closed.error, RtcliError)


def test_hanging_up_while_connecting_ends_the_call_in_order() -> None:
    async def main() -> Held:
        held = Held(Made(place_hangs=True), Plan(), {}, LIMIT)
        running = asyncio.create_task(held.run())
        await held.until(lambda: held.made.peers)
        held.call.post(HangUp("interrupted", exit=130))
        await asyncio.wait_for(running, LIMIT)
        return held

    held = asyncio.run(main())
    assert (held.closed.reason, held.closed.exit, held.closed.error) == ("interrupted", 130, None)
    assert held.peer.closed


# ---- what goes through ----------------------------------------------------------------------------------------------


def test_a_line_goes_out_and_its_answer_comes_back_with_the_raw_text_of_every_event() -> None:
    async def script(held: Held) -> None:
        held.call.post(Say("hello"))
        held.call.post(InputEnded())

    made = Made(reacts=lambda peer, event: peer.answers() if event["type"] == "response.create" else None)
    held = hold(script, made=made)
    assert made.peer.sent_types == ["conversation.item.create", "response.create"]
    outgoing = [json.loads(update.raw) for update in held.told if isinstance(update, EventOut)]
    assert outgoing == made.peer.sent
    incoming = [json.loads(update.raw)["type"] for update in held.told if isinstance(update, EventIn)]
    assert incoming == ["session.created", "response.created", "response.output_text.delta", "response.done"]
    assert held.words == ["Noon."]
    assert (held.closed.reason, held.closed.error) == ("the answer has been heard", None)


def test_intents_may_come_from_any_thread_and_after_the_end() -> None:
    async def script(held: Held) -> None:
        threads = [threading.Thread(target=held.call.post, args=(Say(f"{n}", respond=False),)) for n in range(8)]
        for thread in threads:
            thread.start()
        await held.until(lambda: len(held.peer.sent) == 8)
        held.call.post(HangUp())

    held = hold(script)
    assert len(held.peer.sent) == 8
    held.call.post(Say("too late"))  # the loop is closed: nothing happens


def test_messages_in_bytes_and_messages_that_are_none_are_told_and_end_nothing() -> None:
    async def script(held: Held) -> None:
        for message in (b'{"type":"rate_limits.updated","rate_limits":[]}', b"\xff\xfe", "", "[]", "{", '{"type":7}'):
            held.peer.says_raw(message)
        await held.until(lambda: len([u for u in held.told if isinstance(u, EventIn)]) == 7)
        held.call.post(HangUp())

    held = hold(script)
    assert held.closed.error is None


def test_the_loudspeaker_pulls_from_the_playout() -> None:
    assert hold(_hang_up).playout.pulled == 480


def test_the_microphone_is_opened_when_the_session_is_ready_and_not_before() -> None:
    async def script(held: Held) -> None:
        await held.until(lambda: held.microphone.started)
        held.call.post(HangUp())

    class Silent(FakePeer):
        def says(self, event_type: str, /, **fields: Any) -> None: ...

    async def never_ready() -> Held:
        made = Made()
        held = Held(made, Plan(), {"peer": lambda source, sink, deliver: Silent(made, deliver)}, LIMIT)
        running = asyncio.create_task(held.run())
        await held.until(lambda: held.has(Connected))
        held.call.post(HangUp())
        await running
        return held

    assert hold(script).microphone.started
    assert not asyncio.run(never_ready()).microphone.started


def test_muting_reaches_the_uplink() -> None:
    async def script(held: Held) -> None:
        held.call.post(Mute(on=True))
        await held.until(lambda: held.uplink.muted)
        held.call.post(HangUp())

    assert hold(script).uplink.muted


def test_barge_in_and_stopping_by_hand_reach_the_playout_each_in_its_way() -> None:
    async def script(held: Held) -> None:
        held.peer.says("response.created", response={"id": "resp_1"})
        held.peer.says("output_audio_buffer.started", response_id="resp_1")
        held.peer.says("input_audio_buffer.speech_started", item_id="item_u")
        await held.until(lambda: held.playout.orders == ["resume", SETTLE])
        held.call.post(Interrupt())
        await held.until(lambda: len(held.playout.orders) == 3)
        held.call.post(HangUp())

    assert hold(script).playout.orders == ["resume", SETTLE, UNTOLD]


def test_words_that_were_begun_are_told_before_the_last_update() -> None:
    async def script(held: Held) -> None:
        held.peer.says("response.output_text.delta", response_id="resp_1", item_id="item_1", delta="Well, I")
        await held.until(lambda: any(getattr(update, "text", "") == "Well, I" for update in held.told))
        held.call.post(HangUp())

    assert hold(script).words == ["Well, I"]


# ---- many events ----------------------------------------------------------------------------------------------------


def test_a_flood_of_5000_events_is_told_whole_and_in_order_and_the_loop_gets_its_turns() -> None:
    turns = 0

    async def script(held: Held) -> None:
        nonlocal turns
        for number in range(5000):
            held.peer.says_raw(json.dumps({"type": "of.tomorrow", "event_id": str(number)}))
        while len(held.told) < 5000:
            await asyncio.sleep(0)
            turns += 1
        await held.until(lambda: len([update for update in held.told if isinstance(update, EventIn)]) == 5001)
        held.call.post(HangUp())

    held = hold(script)
    events = [update.raw for update in held.told if isinstance(update, EventIn)][1:]
    assert [json.loads(raw)["event_id"] for raw in events] == [str(number) for number in range(5000)]
    assert held.closed.error is None
    assert turns >= 5000 / calls.YIELD_EVERY


def test_a_flood_beyond_what_can_wait_ends_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "INBOX", 100)

    async def script(held: Held) -> None:
        for _ in range(200):
            held.peer.says("of.tomorrow")

    error = hold(script).closed.error
    assert isinstance(error, CallLost)
    assert "faster than they can be read" in str(error)


def test_there_is_room_until_too_many_lines_wait_for_their_answers() -> None:
    async def script(held: Held) -> None:
        for number in range(BACKLOG):
            held.call.post(Say(f"{number}"))
        await held.until(lambda: held.made.peer.sent)
        assert held.call.room.is_set()
        held.call.post(Say("one more than may wait"))
        await held.until(lambda: not held.call.room.is_set())
        held.peer.answers()
        await held.until(held.call.room.is_set)
        held.call.post(HangUp())

    hold(script)


def test_there_is_no_room_while_the_wire_is_behind() -> None:
    async def script(held: Held) -> None:
        held.peer.buffered = BUFFERED + 1
        await held.until(lambda: not held.call.room.is_set())
        held.peer.buffered = 0
        await held.until(held.call.room.is_set)
        held.call.post(HangUp())

    hold(script)


def test_whoever_waits_for_room_sees_the_end_of_the_call() -> None:
    async def script(held: Held) -> None:
        held.peer.buffered = BUFFERED + 1
        await held.until(lambda: not held.call.room.is_set())
        held.call.post(HangUp())

    assert hold(script).call.room.is_set()


# ---- events that can not be sent ------------------------------------------------------------------------------------


def test_an_event_too_large_is_told_with_both_numbers_and_the_call_lives_on() -> None:
    # openai-agents-js#501: sent, it would close the channel without a word
    async def script(held: Held) -> None:
        held.call.post(Say("x" * LARGE))
        held.call.post(Say("short"))
        held.call.post(InputEnded())

    made = Made(reacts=lambda peer, event: peer.answers() if event["type"] == "response.create" else None)
    held = hold(script, made=made)
    assert len(held.refused) == 1
    assert f"at most {LARGE}" in held.refused[0]
    assert made.peer.sent_types == ["conversation.item.create", "response.create"]
    assert made.peer.sent[0]["item"]["content"][0]["text"] == "short"
    assert held.words == ["Noon."]
    assert isinstance(held.closed.error, EventTooLarge)  # what a script must not miss


def test_an_event_on_a_channel_that_is_gone_ends_the_call() -> None:
    async def script(held: Held) -> None:
        held.made.send_fails = CallLost("the data channel is closed")
        held.call.post(Say("hello"))

    held = hold(script)
    assert isinstance(held.closed.error, CallLost)
    assert held.closed.reason == "the data channel is closed"


# ---- the other side goes --------------------------------------------------------------------------------------------


def test_an_orderly_end_with_nothing_pending_is_no_error() -> None:
    # aiortc#469: a server that closed was never noticed
    async def script(held: Held) -> None:
        held.peer.goes_down(orderly=True)

    held = hold(script)
    assert (held.closed.reason, held.closed.exit, held.closed.error) == ("the other side closed the call", 0, None)


@pytest.mark.parametrize("orderly", [True, False])
def test_an_end_in_mid_answer_is_a_lost_call(*, orderly: bool) -> None:
    async def script(held: Held) -> None:
        held.call.post(Say("hello"))
        await held.until(lambda: held.peer.sent)
        held.peer.goes_down(orderly=orderly)

    assert isinstance(hold(script).closed.error, CallLost)


def test_a_connection_that_just_stops_is_a_lost_call() -> None:
    async def script(held: Held) -> None:
        held.peer.goes_down(orderly=False)

    assert isinstance(hold(script).closed.error, CallLost)


# ---- devices --------------------------------------------------------------------------------------------------------


@pytest.fixture
def _settled_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """How long speech at the end of a file may take to be noticed is not what is tested here."""
    monkeypatch.setattr(conversation, "SETTLE_FIRST", 0.2)
    monkeypatch.setattr(conversation, "SETTLE", 0.2)


def test_a_microphone_that_was_asked_for_and_fails_ends_the_call() -> None:
    gone = DeviceError("no such device")
    held = hold(microphone=FakeDevice(fails=gone), microphone_asked=True)
    assert held.closed.error is gone


def test_a_microphone_that_nobody_asked_for_and_fails_is_told_and_the_call_lives_on() -> None:
    async def script(held: Held) -> None:
        await held.until(lambda: held.warned)
        held.call.post(Say("hello"))
        held.call.post(InputEnded())

    made = Made(reacts=lambda peer, event: peer.answers() if event["type"] == "response.create" else None)
    held = hold(script, made=made, microphone=FakeDevice(fails=DeviceError("busy")))
    assert held.warned == ["microphone"]
    assert (held.words, held.closed.error) == (["Noon."], None)


@pytest.mark.usefixtures("_settled_soon")
def test_a_file_that_can_not_be_read_is_no_call_without_end() -> None:
    plan = Plan(microphone_is_file=True)
    held = hold(plan=plan, microphone=FakeDevice(fails=UsageError("not a WAV file")))
    assert isinstance(held.closed.error, UsageError)
    held = hold(plan=plan, microphone=FakeDevice(fails=DeviceError("busy")))
    assert isinstance(held.closed.error, WaitTimeout)


@pytest.mark.parametrize("asked", [True, False])
def test_a_loudspeaker_that_fails_ends_the_call_only_when_it_was_asked_for(*, asked: bool) -> None:
    gone = DeviceError("no such device")
    speaker = FakeSpeaker(FakeDevice(fails=gone))
    held = hold(None if asked else _hang_up, speaker=speaker, speaker_asked=asked)
    assert held.closed.error is (gone if asked else None)
    assert held.warned == ([] if asked else ["speaker"])


def test_a_sound_server_that_hangs_holds_up_neither_events_nor_hanging_up() -> None:
    released = threading.Event()

    async def script(held: Held) -> None:
        held.peer.answers()
        await held.until(lambda: held.words)
        held.call.post(HangUp())
        await asyncio.sleep(0.1)
        released.set()

    held = hold(script, microphone=FakeDevice(held=released), speaker=FakeSpeaker(FakeDevice(held=released)))
    assert held.closed.reason == "hung up"


@pytest.mark.usefixtures("_settled_soon")
def test_the_end_of_a_file_as_microphone_is_noticed() -> None:
    async def script(held: Held) -> None:
        held.peer.says("input_audio_buffer.speech_started", item_id="item_u")
        held.peer.says("input_audio_buffer.speech_stopped", item_id="item_u")
        held.peer.answers()
        await held.until(lambda: held.words)
        held.microphone.ended = True

    held = hold(script, plan=Plan(microphone_is_file=True))
    assert (held.closed.reason, held.closed.error) == ("the answer has been heard", None)


def test_a_call_without_any_device_is_held() -> None:
    assert hold(_hang_up, microphone=None, speaker=None).closed.error is None


# ---- the end --------------------------------------------------------------------------------------------------------


def test_a_call_that_ends_well_lets_what_has_arrived_be_heard() -> None:
    async def script(held: Held) -> None:
        held.playout.audible_looks = 12
        held.call.post(InputEnded())

    held = hold(script)
    assert held.playout.audible_looks == 0
    assert held.closed.error is None


def test_hanging_up_does_not_wait_for_what_has_arrived() -> None:
    async def script(held: Held) -> None:
        held.playout.audible_looks = 10_000
        held.call.post(HangUp())

    assert hold(script).playout.audible_looks > 9_000


def test_sound_without_end_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "DRAIN", 0.2)

    async def script(held: Held) -> None:
        held.playout.audible_looks = 1_000_000
        held.call.post(InputEnded())

    assert hold(script).closed.reason == "end of input"


def test_a_peer_that_never_closes_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "CLOSING", 0.2)

    async def for_ever() -> None:
        await asyncio.Event().wait()

    held = hold(_hang_up, made=Made(closes=for_ever))
    assert held.closed.reason == "hung up"
    assert held.microphone.closed


def test_a_part_that_fails_to_close_leaves_none_of_the_others_open() -> None:
    async def fails() -> None:
        raise OSError("no")

    speaker = FakeSpeaker(FakeDevice(close_fails=ValueError("no")))
    held = hold(_hang_up, made=Made(closes=fails), speaker=speaker)
    assert held.closed.error is None
    assert held.microphone.closed
    assert speaker.device.closed
    assert held.peer.closed


def test_a_bug_in_the_middle_of_a_call_is_told_and_everything_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    bug = ZeroDivisionError("oops")

    def broken(*_: object) -> None:
        raise bug

    async def script(held: Held) -> None:
        monkeypatch.setattr(Conversation, "receive", broken)
        held.peer.says("of.tomorrow")

    held = hold(script)
    assert held.closed.error is bug
    assert held.peer.closed
    assert held.microphone.closed


def test_a_bug_in_the_very_last_step_is_raised_and_nobody_waits_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr(Conversation, "close", broken)
    with pytest.raises(ZeroDivisionError):
        hold(_hang_up)


def test_whoever_stops_listening_to_a_call_ends_it() -> None:
    async def main() -> Held:
        held = Held(Made(), Plan(), {}, LIMIT)
        updates = held.call.run()
        async for update in updates:
            if isinstance(update, Ready):
                break
        await updates.aclose()  # type: ignore[attr-defined]  # it is a generator
        return held

    held = asyncio.run(main())
    assert held.peer.closed
    assert held.microphone.closed
    assert held.speaker.device.closed
