"""One call of the sandbox: a peer, a dialogue, and the engine between them.

Everything happens on one event loop; the dialogue is told of it at once and its effects are performed in order, so
there is no lock and no inbox. What takes time is a task of the call's own, and none outlives it.

    peer -> playout -> input buffer, detector -> dialogue -> events -> peer
                                                    |
                  engine (words, answer, voice) <- effects -> output buffer -> encoder -> peer

Over 400 lines, so that the way from a client's RTP to the answer's can be read in one place.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from array import array
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from rtcli.audio.base import Encoder
from rtcli.errors import CallLost, EventTooLarge
from rtcli.records import dataclass
from rtcli.sandbox.dialogue import Dialogue
from rtcli.sandbox.effects import (
    Cancel,
    ClearOutput,
    Effect,
    EndSpeech,
    Forget,
    Generate,
    Listen,
    Send,
    Speak,
    StopListening,
    Transcribe,
    TranscribeClip,
)
from rtcli.sandbox.engine.base import Engine, VoiceDetector
from rtcli.sandbox.media import FRAME, Ear, Mouth, Playout
from rtcli.sandbox.refusal import Refusal
from rtcli.sandbox.script import Script
from rtcli.sandbox.session import Session
from rtcli.sandbox.sound import BYTES_PER_MS, InputBuffer, OutputBuffer
from rtcli.transport.base import (
    FRAME_MS,
    AudioSink,
    AudioSource,
    Deliver,
    Down,
    Message,
    Opened,
    Peer,
    Signal,
)


_log = logging.getLogger(__name__)

_MOST_BEHIND = 0.2
"""Seconds of the user's sound that are caught up with after a stall; what is later than that is left to the playout."""
_MOST_UNSENT = 8 << 20
"""Bytes of events a client may leave untaken."""
_SENDS_BETWEEN_LOOKS = 64
_RECOGNITION_LIMIT = 30.0
"""Seconds."""
_MOST_RECOGNITIONS = 32
"""At once; a client that sends clips faster than they are recognised gets failures."""

T = TypeVar("T")


class MakePeer(Protocol):
    def __call__(self, source: AudioSource, sink: AudioSink, deliver: Deliver) -> Peer: ...


class Listener(Protocol):
    """A further connection to the call."""

    def hear(self, text: str) -> None:
        """One event. Must not wait."""

    def ended(self, code: int, reason: str) -> None:
        """The call is over; a close code of WebSocket (RFC 6455) and a sentence."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a call is made of."""

    engine: Engine
    make_peer: MakePeer
    make_playout: Callable[[], Playout]
    make_encoder: Callable[[], Encoder]
    script: Script | None = None
    """What to answer instead of what the engine makes up; each call begins at its beginning."""


@dataclass(frozen=True, slots=True)
class Limits:
    calls: int = 64
    """At once."""
    answer: float = 10.0
    """Seconds to make an answer to an offer."""
    connect: float = 15.0
    """Seconds from the answer to the open data channel."""
    session: float = 3600.0
    """Seconds a session lasts."""
    unsent_ms: int = 60_000
    """Sound made ahead of its sending."""
    listeners: int = 8
    """Further connections to one call."""


class Call:
    """Made for one offer: `answer`, then it lives until one side ends it. `ended` is called once, after everything."""

    def __init__(
        self,
        call_id: str,
        session: Session,
        parts: Parts,
        *,
        limits: Limits,
        new_id: Callable[[str], str],
        ended: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.id = call_id
        self._script = parts.script.over(parts.engine) if parts.script else None
        self._engine = self._script or parts.engine
        self._limits = limits
        self._ended = ended
        self._clock = clock
        tools = parts.script.mcp_tools if parts.script else None
        self._dialogue = Dialogue(session, new_id=new_id, now=clock(), mcp_tools=tools)
        self._input = InputBuffer()
        self._output = OutputBuffer(started=self._sounding, drained=self._drained)
        self._ear = Ear(parts.make_playout())
        self._mouth = Mouth(self._output, parts.make_encoder())
        self._peer = parts.make_peer(self._mouth, self._ear, self._take)
        self._detector: VoiceDetector | None = None
        self._detects_from_ms = 0
        self._effects: deque[Effect] = deque()
        self._performing = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._recognitions: dict[str, asyncio.Task[None]] = {}
        self._replies: dict[str, asyncio.Task[None]] = {}
        self._voices: dict[str, _Voice] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._open = False
        self._sends = 0
        self._listeners: list[Listener] = []
        self._end = (1000, "The call has ended.")
        self._closing: asyncio.Task[None] | None = None

    # --- beginning and end --------------------------------------------------------------------------------------------

    async def answer(self, offer: str) -> str:
        """The SDP answer. Raises ValueError when the offer can not be answered; the call is then over."""
        try:
            async with asyncio.timeout(self._limits.answer):
                answer = await self._peer.answer(offer)
        except BaseException:
            self.end()
            raise
        if not self._open:
            self._timer = asyncio.get_running_loop().call_later(self._limits.connect, self.end)
        return answer

    def end(self) -> None:
        """Begin to close; safe to repeat."""
        if self._closing is None:
            self._closing = asyncio.get_running_loop().create_task(self._close(), name=f"{self.id} closing")

    async def close(self) -> None:
        """Close and wait until nothing of the call is left."""
        self.end()
        assert self._closing is not None
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for listener in self._listeners:
            listener.ended(*self._end)
        try:
            await self._peer.close()
        finally:
            self._ended(self.id)

    def _opened(self) -> None:
        if self._open:
            return
        self._open = True
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(self._limits.session, self._expire)
        self._do(self._dialogue.opened(self._clock()))
        _ = self._spawn(self._listen(), "listening")

    def _expire(self) -> None:
        limit = f"{self._limits.session / 60:g} minutes"
        self._do(self._dialogue.expired(limit, self._clock()))
        self._end = (1001, f"Your session hit the maximum duration of {limit}.")
        self.end()

    def _spawn(self, work: Coroutine[Any, Any, None], what: str) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work, name=f"{self.id} {what}")
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("%s failed", task.get_name(), exc_info=error)
            self.end()

    # --- the client ---------------------------------------------------------------------------------------------------

    def _take(self, signal: Signal) -> None:
        if self._closing is not None:
            return
        match signal:
            case Opened():
                self._opened()
            case Message(data):
                self._do(self._dialogue.receive(data, self._clock()))
            case Down(reason):
                _log.info("%s: %s", self.id, reason)
                self.end()

    def _send(self, event: Mapping[str, Any]) -> None:
        text = json.dumps(event, separators=(",", ":"))
        for listener in self._listeners:
            listener.hear(text)
        if self._open:
            self._send_to_client(event, text)

    def _send_to_client(self, event: Mapping[str, Any], text: str) -> None:
        try:
            self._peer.send(text)
        except EventTooLarge as error:
            _log.warning("%s: %s can not be sent: %s", self.id, event["type"], error)
        except CallLost:
            self.end()
        self._sends += 1
        if self._sends % _SENDS_BETWEEN_LOOKS == 0 and self._peer.buffered > _MOST_UNSENT:
            _log.warning("%s: the client takes no events", self.id)
            self.end()

    # --- further connections ------------------------------------------------------------------------------------------

    def join(self, listener: Listener) -> None:
        """Tell the session, then every event from now on. Raises Refusal."""
        if self._closing is not None:
            raise Refusal(f"No call with id '{self.id}'.", code="call_not_found", status=404)
        if len(self._listeners) >= self._limits.listeners:
            raise Refusal("Too many connections to this call.", code="slow_down", status=429)
        listener.hear(json.dumps(self._dialogue.greeting(), separators=(",", ":")))
        self._listeners.append(listener)

    def leave(self, listener: Listener) -> None:
        """Safe to repeat."""
        if listener in self._listeners:
            self._listeners.remove(listener)

    def take(self, data: str | bytes) -> None:
        """A message of a further connection: it counts like one of the client."""
        if self._closing is None:
            self._do(self._dialogue.receive(data, self._clock()))

    # --- effects ------------------------------------------------------------------------------------------------------

    def _do(self, effects: list[Effect]) -> None:
        """Perform effects in order; those that one of them leads to come before those that follow it."""
        self._effects.extendleft(reversed(effects))
        if self._performing:
            return
        self._performing = True
        try:
            while self._effects:
                self._perform(self._effects.popleft())
        finally:
            self._performing = False
            self._effects.clear()

    def _perform(self, effect: Effect) -> None:  # noqa: C901 - a line an effect
        match effect:
            case Send(event):
                self._send(event)
            case Listen(threshold, silence_ms):
                self._detector = self._engine.detector(threshold=threshold, silence_ms=silence_ms)
                self._detects_from_ms = self._input.clock_ms
            case StopListening():
                self._detector = None
            case Transcribe(item_id, start_ms, end_ms):
                self._recognise(item_id, self._input.cut(start_ms, end_ms))
            case TranscribeClip(item_id, audio):
                self._recognise(item_id, _doubled(audio))
            case Forget(item_id, words):
                self._forget(item_id, words)
            case Generate(response_id):
                self._replies[response_id] = self._spawn(self._reply(effect), "replying")
            case Speak(response_id):
                self._voice(response_id).clauses.put_nowait(effect)
            case EndSpeech(response_id):
                self._voice(response_id).clauses.put_nowait(None)
            case Cancel(response_id):
                self._cancel(response_id)
            case ClearOutput():
                self._do(self._dialogue.cleared(self._output.clear(), self._clock()))

    def _forget(self, item_id: str, words: str | None) -> None:
        if (task := self._recognitions.pop(item_id, None)) is not None:
            task.cancel()
        if words is not None and self._script is not None:
            self._script.unhear(words)

    def _cancel(self, response_id: str) -> None:
        if (reply := self._replies.pop(response_id, None)) is not None and reply is not asyncio.current_task():
            reply.cancel()
        if (voice := self._voices.pop(response_id, None)) is not None and voice.task is not asyncio.current_task():
            voice.task.cancel()
        self._output.end(response_id)

    # --- the user's sound ---------------------------------------------------------------------------------------------

    async def _listen(self) -> None:
        """Take the user's sound at its own pace, from the first packet on."""
        await self._ear.first.wait()
        start, frames = self._clock(), 0
        while True:
            now = self._clock()
            if now - start - frames * FRAME_MS / 1000 > _MOST_BEHIND:
                start, frames = now, 0
            while frames * FRAME_MS / 1000 <= now - start:
                frames += 1
                self._hear(self._ear.playout.pull(FRAME, now), now)
            await asyncio.sleep(start + frames * FRAME_MS / 1000 - now)

    def _hear(self, pcm: bytes, now: float) -> None:
        self._input.append(pcm)
        self._do(self._dialogue.heard(self._input.clock_ms, now))
        if self._detector is not None:
            base = self._detects_from_ms
            for activity in self._detector.feed(pcm):
                self._do(self._dialogue.hear(replace(activity, at_ms=activity.at_ms + base), now))
        self._input.forget_before(self._dialogue.needs_from_ms)

    def _recognise(self, item_id: str, pcm: bytes) -> None:
        if len(self._recognitions) >= _MOST_RECOGNITIONS:
            self._do(self._dialogue.recognised(item_id, None, self._clock()))
            return
        self._recognitions[item_id] = self._spawn(self._transcribe(item_id, pcm), "recognising")

    async def _transcribe(self, item_id: str, pcm: bytes) -> None:
        words: str | None
        try:
            async with asyncio.timeout(_RECOGNITION_LIMIT):
                words = await self._engine.transcribe(pcm)
        except Exception:  # noqa: BLE001 - an engine's fault is told to the client, and the call goes on
            _log.exception("%s: recognition failed", self.id)
            words = None
        self._recognitions.pop(item_id, None)
        self._do(self._dialogue.recognised(item_id, words, self._clock()))

    # --- the answer ---------------------------------------------------------------------------------------------------

    async def _reply(self, order: Generate) -> None:
        response_id = order.response_id
        try:
            async with _closing(self._engine.reply(order.prompt)) as pieces:
                async for piece in pieces:
                    self._do(self._dialogue.piece(response_id, piece, self._clock()))
                    if not self._dialogue.takes_more(response_id):
                        break
        except Exception:  # noqa: BLE001 - as above
            _log.exception("%s: the reply failed", self.id)
            self._do(self._dialogue.failed(response_id, "The model run failed.", self._clock()))
        else:
            self._do(self._dialogue.replied(response_id, self._clock()))
        self._replies.pop(response_id, None)

    def _voice(self, response_id: str) -> _Voice:
        voice = self._voices.get(response_id)
        if voice is None:
            clauses: asyncio.Queue[Speak | None] = asyncio.Queue()
            task = self._spawn(self._speak(response_id, clauses), "speaking")
            voice = self._voices[response_id] = _Voice(clauses, task)
        return voice

    async def _speak(self, response_id: str, clauses: asyncio.Queue[Speak | None]) -> None:
        try:
            while (clause := await clauses.get()) is not None:
                await self._say(clause)
        except Exception:  # noqa: BLE001 - as above
            _log.exception("%s: the voice failed", self.id)
            self._do(self._dialogue.failed(response_id, "The voice failed.", self._clock()))
        else:
            self._do(self._dialogue.spoken(response_id, self._clock()))
            self._output.end(response_id)
        self._voices.pop(response_id, None)

    async def _say(self, clause: Speak) -> None:
        made = 0
        async with _closing(self._engine.speak(clause.text, voice=clause.voice, speed=clause.speed)) as pieces:
            async for pcm in pieces:
                while self._output.waiting_ms > self._limits.unsent_ms:
                    await self._mouth.sent.wait()
                self._output.put(clause.response_id, pcm)
                before, made = made, made + len(pcm)
                ms = made // BYTES_PER_MS - before // BYTES_PER_MS
                self._do(self._dialogue.synthesised(clause.response_id, ms, self._clock()))
                await asyncio.sleep(0)  # an engine that never waits must not keep the packets from going out

    def _sounding(self, response_id: str) -> None:
        self._do(self._dialogue.sounding(response_id, self._clock()))

    def _drained(self, response_id: str) -> None:
        self._do(self._dialogue.drained(response_id, self._clock()))


@dataclass(frozen=True, slots=True)
class _Voice:
    """The speaking of one response."""

    clauses: asyncio.Queue[Speak | None]
    task: asyncio.Task[None]


@asynccontextmanager
async def _closing(stream: AsyncIterator[T]) -> AsyncIterator[AsyncIterator[T]]:
    """Leave no half-run generator behind."""
    try:
        yield stream
    finally:
        if isinstance(stream, AsyncGenerator):
            await stream.aclose()


def _doubled(pcm: bytes) -> bytes:
    """24 kHz to 48 kHz by repeating samples: what recognition needs lies far below the images this leaves."""
    samples = array("h", pcm[: len(pcm) // 2 * 2])
    twice = array("h", bytes(len(samples) * 4))
    twice[::2] = samples
    twice[1::2] = samples
    return twice.tobytes()
