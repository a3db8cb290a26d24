"""One live call, readable top to bottom: four lanes and one inbox.

1. microphone -> peer: the peer asks the `source` for a packet every 20 ms.
2. peer -> speaker: packets go into the `playout`, the speaker's own thread pulls sound out of it.
3. data channel -> face: message -> inbox -> decode -> conversation -> updates.
4. face -> peer: intent -> inbox -> conversation -> client events -> data channel.

Lanes 3 and 4 meet in the inbox, read by the one task that owns the conversation: nothing is shared, nothing is locked.
A call ends one way: something puts an ending into the inbox, the conversation answers with `Finish`, everything is
closed within a deadline, and the last update, `Closed`, says why.

Over 400 lines, so that one call can be read in one place.
"""

from __future__ import annotations

import asyncio
import logging
import random
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import field
from typing import Protocol

from rtcli.audio.base import Microphone, Speaker
from rtcli.audio.echo import EchoCanceller
from rtcli.audio.playout import SETTLE
from rtcli.ends import Devices, Ends, Sound
from rtcli.errors import CallLost, ConnectError, EventTooLarge, RtcliError
from rtcli.errors import Step as ConnectStep
from rtcli.mailbox import Mailbox
from rtcli.measures import Downlink, Measures, Uplink
from rtcli.protocol import retry, server_events
from rtcli.protocol.codec import JsonObject, text_of
from rtcli.protocol.conversation import Conversation, Plan, Step
from rtcli.protocol.intents import (
    Effect,
    Finish,
    Intent,
    MicrophoneEnded,
    OpenMicrophone,
    PhraseEnded,
    ResumeSpeaker,
    SetMuted,
    SetVolume,
    SilenceSpeaker,
    UseDevice,
)
from rtcli.protocol.rest import CallAnswer
from rtcli.protocol.updates import (
    Closed,
    Connected,
    Connecting,
    EventIn,
    EventOut,
    Notice,
    Update,
)
from rtcli.protocol.usage import PRICES, Price
from rtcli.records import dataclass
from rtcli.transport.base import AudioSink, AudioSource, Deliver, Down, Message, Opened, Peer, Signal


_log = logging.getLogger(__name__)

TICK = 0.1
"""Seconds between two looks at the clock."""
DRAIN = 1.0
"""Seconds at most for what has arrived to be heard before a call that ends well is closed."""
CLOSING = 3.0
"""Seconds at most for closing everything."""
YIELD_EVERY = 16
"""Messages handled in a row before the loop, which also receives RTP, gets its turn."""
BACKLOG = 32
"""Intents waiting for their turn above which `room` is closed."""
BUFFERED = 1_000_000
"""Bytes of events waiting for the wire above which `room` is closed."""
INBOX = 100_000
"""Messages waiting at most; more than that means the other side floods us."""
WITHDRAWING = 1.0
"""Seconds at most for taking back a call that was answered and could not be connected."""
UNTOLD = 2.0
"""Seconds for which an interrupted voice may go on coming in while the other side has not been told.

Our word travels on SCTP, where one lost packet costs a second; its `cleared` makes this short again.
"""

AWAITED: dict[ConnectStep, str] = {
    "token": "the key",
    "call": "the answer to our offer",
}
"""What a step that hangs waits for; the later ones have limits and words of their own."""


class Signalling(Protocol):
    """A way in: takes our offer to the other side."""

    async def place(self, offer: Awaitable[str], step: Callable[[ConnectStep], None]) -> CallAnswer:
        """Post the offer, naming each `step` as it begins; a key is asked for while the offer is being made.

        Raises RtcliError, or retry.TryAgain when a new offer may fare better.
        """

    async def withdraw(self, call_id: str) -> None:
        """Take back a call that was answered and never came up. Raises RtcliError."""


async def _nothing() -> None:
    """There is nothing to prepare."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a call is made of. Whoever makes them decides what is real."""

    peer: Callable[[AudioSource, AudioSink, Deliver], Peer]
    signalling: Signalling
    uplink: Uplink
    playout: Downlink
    speaker: Speaker | None
    microphone: Microphone | None
    echo: EchoCanceller
    microphone_asked: bool = False
    """Its failure ends the call; else the call goes on without it."""
    speaker_asked: bool = False
    figures: Callable[[], JsonObject] = dict
    """What the sound's parts count, for stats; called once a second."""
    prices: Mapping[str, Price] = field(default_factory=lambda: PRICES)
    devices: Devices | None = None
    """None where none can be chosen in mid-call."""
    prepare: Callable[[], Awaitable[None]] = _nothing
    """What making the first peer needs and takes its time (loading aiortc); under way while a key is asked for."""


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


Inbound = Signal | Intent | Tick | Exception


class Call:
    def __init__(self, parts: Parts, plan: Plan, *, name: str = "1", connect_timeout: float = 10.0) -> None:
        self._parts = parts
        self._name = name
        self._limit = connect_timeout
        self._conversation = Conversation(plan)
        self._inbox: Mailbox[Inbound] = Mailbox()
        self._updates: Mailbox[Update | None] = Mailbox()
        self._peer: Peer | None = None
        self._call_id: str | None = None
        self._step: ConnectStep = "call"
        self._finish: Finish | None = None
        self._phrases = 0
        """Of the microphone, told to the conversation."""
        self._opening: set[asyncio.Task[None]] = set()
        sound = Sound(parts.microphone, parts.speaker, parts.microphone_asked, parts.speaker_asked, parts.devices)
        self._ends = Ends(sound, parts.uplink, self._pull, self._tell)
        self._measures = Measures(parts.uplink, parts.playout, parts.echo, parts.figures, parts.prices, self._tell)
        self.event_limit: int | None = None
        """Bytes of an event that the other side takes; known once the call is up."""
        self.room = threading.Event()
        """Set while the call takes more intents: a pipe that is ahead of the answers waits for it."""
        self.room.set()

    # ---- from outside ----

    def post(self, intent: Intent) -> None:
        """Hand over an intent, from any thread."""
        self._inbox.post(intent)

    async def run(self) -> AsyncIterator[Update]:
        """Hold the call: its updates as they come, `Closed` as the last one."""
        holding = asyncio.create_task(self._hold())
        holding.add_done_callback(lambda _: self._updates.put(None))
        try:
            while update := await self._updates.take():
                yield update
                if isinstance(update, Closed):
                    return
            await holding  # ended without a last word: the bug is what there is to tell
        finally:
            holding.cancel()
            with suppress(asyncio.CancelledError):
                await holding

    # ---- one call ----

    async def _hold(self) -> None:
        """From connecting to `Closed`."""
        error: Exception | None = None
        helpers = [asyncio.create_task(self._connect()), asyncio.create_task(self._tick())]
        self._open(self._ends.start_speaker())
        try:
            await self._read_inbox()
        except RtcliError as caught:
            error = caught
        except Exception as bug:  # noqa: BLE001 - told as what it is in `Closed`
            _log.exception("the call broke")
            error = bug
        else:
            if self._finish and self._finish.drain:
                await self._let_be_heard()
        finally:
            for helper in helpers:
                helper.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)
            if self._opening:  # a device must not be closed while it is being opened
                await asyncio.wait(self._opening, timeout=CLOSING)
            await self._close_all()
        self._say_closed(error)
        self.room.set()  # whoever waits must see the end

    async def _connect(self) -> None:
        """Offer, answer, data channel; then the inbox has `Opened`, or what went wrong."""
        try:
            # Each step has a better limit of its own; this one is for a step that hangs.
            async with asyncio.timeout(self._limit + 0.5):
                await self._set_up()
        except TimeoutError:
            waiting = f", still waiting for {AWAITED[self._step]}" if self._step in AWAITED else ""
            await self._give_up(ConnectError(self._step, f"no connection within {self._limit:g} s{waiting}"))
        except Exception as error:  # noqa: BLE001 - raised again by the inbox, where the call can end
            await self._give_up(error)

    async def _set_up(self) -> None:
        until = time.monotonic() + self._limit
        placed = await self._placed(until)
        self._call_id = placed.call_id
        self._begin_step("ice")
        assert self._peer, "an answer follows an offer"
        await self._peer.accept(placed.sdp, limit=max(0.1, until - time.monotonic()))

    async def _placed(self, until: float) -> CallAnswer:
        """The answer to our offer, tried again as `protocol.retry` says and as long as there is time."""
        attempt = 0
        while True:
            try:
                return await self._place()
            except retry.TryAgain as again:
                wait = retry.wait(again.told, attempt, jitter=random.random())  # noqa: S311 - spreads load, hides nothing
                if wait is None or time.monotonic() + wait >= until:
                    raise again.error from None
                self._tell(Notice(f"{again.error}; trying again in {wait:.1f} s"))
                await asyncio.sleep(wait)
                attempt += 1

    async def _place(self) -> CallAnswer:
        """One try, with an offer of its own: one that was posted may have opened a call although no answer came."""
        offer = asyncio.create_task(self._offer())
        try:
            return await self._parts.signalling.place(offer, self._begin_step)
        finally:
            offer.cancel()
            await asyncio.gather(offer, return_exceptions=True)

    async def _offer(self) -> str:
        await self._parts.prepare()
        if self._peer is not None:
            await self._peer.close()
        self._peer = self._parts.peer(self._parts.uplink, self._parts.playout, self._inbox.put)
        return await self._peer.offer()

    async def _give_up(self, error: Exception) -> None:
        """The call did not come up. One that exists at the other side nevertheless is not left to its time limit."""
        if self._call_id is not None:
            try:
                async with asyncio.timeout(WITHDRAWING):
                    await self._parts.signalling.withdraw(self._call_id)
            except Exception as failed:  # noqa: BLE001 - the error to tell is the one that came first
                _log.info("the call could not be taken back: %s", failed)
        self._inbox.put(error)

    def _begin_step(self, step: ConnectStep) -> None:
        self._step = step
        self._tell(Connecting(step, time.monotonic()))

    # ---- lanes 3 and 4 ----

    async def _read_inbox(self) -> None:
        handled = 0
        while self._finish is None:
            inbound = await self._inbox.take()
            await self._take(inbound)
            handled += 1
            if handled % YIELD_EVERY == 0:
                await asyncio.sleep(0)
            if len(self._inbox) > INBOX:
                raise CallLost("the other side sends events faster than they can be read")

    async def _take(self, inbound: Inbound) -> None:
        now = time.monotonic()
        match inbound:
            case Message():
                await self._receive(inbound.data, now)
            case Opened():
                self.event_limit = inbound.limit
                self._tell(Connected(now, self._name, self._call_id))
                await self._follow(self._conversation.opened(now))
            case Down():
                await self._follow(self._conversation.went_down(inbound.reason, now, orderly=inbound.orderly))
            case Tick():
                if self._ends.ended:
                    self._inbox.put(MicrophoneEnded())
                self._look_for_phrases()
                await self._measures.look(self._peer, listening=self._ends.listening)
                await self._follow(self._conversation.tick(now, self._parts.playout.last_sound))
            case Exception():
                raise inbound
            case _:
                await self._follow(self._conversation.handle(inbound, now))

    def _look_for_phrases(self) -> None:
        if self._parts.uplink.phrases_ended > self._phrases:
            self._phrases = self._parts.uplink.phrases_ended
            self._inbox.put(PhraseEnded())

    async def _receive(self, data: str | bytes, now: float) -> None:
        event = server_events.decode(data)
        raw = data if isinstance(data, str) else data.decode("utf-8", "replace")
        self._tell(EventIn(now, event, raw))
        self._measures.received(event, self._conversation.session, now)
        await self._follow(self._conversation.receive(event, now))

    async def _follow(self, step: Step) -> None:
        for update in step.updates:
            self._tell(update)
        for group in step.events:
            await self._send_group(group)
        for effect in step.effects:
            await self._perform(effect)
        self._make_room()

    async def _send_group(self, group: tuple[JsonObject, ...]) -> None:
        """Send events that belong together; when one can not be sent, the rest would mean something else."""
        for event in group:
            try:
                self._send(event)
            except EventTooLarge as error:
                unsent = self._conversation.unsent(event["event_id"], error, time.monotonic())
                await self._follow(unsent)
                return
            except CallLost as error:
                self._finish = self._finish or Finish(str(error), error=error)
                return

    def _send(self, event: JsonObject) -> None:
        raw = text_of(event)
        assert self._peer, "the conversation sends nothing before `Opened`"
        self._peer.send(raw)
        now = time.monotonic()
        self._measures.sent(event, now)
        self._tell(EventOut(now, str(event.get("type", "")), raw))

    async def _perform(self, effect: Effect) -> None:
        match effect:
            case OpenMicrophone():
                self._open(self._ends.start_microphone())
            case SilenceSpeaker():
                self._parts.playout.clear(time.monotonic(), settle=UNTOLD if effect.untold else SETTLE)
            case ResumeSpeaker():
                self._parts.playout.resume()
            case SetMuted():
                self._parts.uplink.muted = effect.on
            case SetVolume():
                self._ends.gain = effect.share
            case UseDevice():
                self._open(self._ends.use(effect))
            case Finish():
                self._finish = effect

    def _make_room(self) -> None:
        peer_behind = self._peer is not None and self._peer.buffered > BUFFERED
        if self._conversation.backlog >= BACKLOG or peer_behind:
            self.room.clear()
        elif not self.room.is_set():  # setting it takes a lock, and nearly always it is set
            self.room.set()

    def _tell(self, update: Update) -> None:
        self._updates.put(update)

    # ---- sound ----

    def _open(self, opening: Coroutine[None, None, None]) -> None:
        """Open a device beside the inbox: it takes its time, and a sound server may hang."""
        task = asyncio.create_task(self._opened_or_failed(opening))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _opened_or_failed(self, opening: Coroutine[None, None, None]) -> None:
        try:
            await opening
        except Exception as error:  # noqa: BLE001 - raised again by the inbox, where the call can end
            self._inbox.put(error)

    def _pull(self, samples: int) -> bytes:
        return self._parts.playout.pull(samples, time.monotonic())

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            self._inbox.put(Tick())

    def _quiet_for(self, now: float) -> float:
        sounded = self._parts.playout.last_sound
        return now - sounded if sounded is not None else float("inf")

    # ---- the end ----

    async def _let_be_heard(self) -> None:
        """What has arrived of a voice that is over still stands in the playout."""
        until = time.monotonic() + DRAIN
        while time.monotonic() < until and self._quiet_for(time.monotonic()) < TICK * 2:  # noqa: ASYNC110 - the speaker's thread knows no loop
            await asyncio.sleep(TICK / 2)

    async def _close_all(self) -> None:
        """Close what is open, each within the deadline, whatever fails."""
        parts = [asyncio.to_thread(part.close) for part in self._ends.open_ends()]
        if self._peer is not None:
            parts.append(self._peer.close())
        results = await asyncio.gather(*(asyncio.wait_for(part, CLOSING) for part in parts), return_exceptions=True)
        for failed in (result for result in results if isinstance(result, Exception)):
            _log.warning("closing: %r", failed)

    def _say_closed(self, error: Exception | None) -> None:
        now = time.monotonic()
        self._measures.tell_turns()
        for update in self._conversation.close(now).updates:
            self._tell(update)
        finish = self._finish or Finish("a bug in rtcli")
        reason = str(error) if error else finish.reason
        self._tell(Closed(now, reason, exit=finish.exit, error=error or finish.error))
