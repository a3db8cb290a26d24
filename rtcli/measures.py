"""What a call measures of itself: latency to the ear, tokens and money, the microphone's level, the wire."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Protocol

from rtcli.audio.base import Microphone
from rtcli.audio.echo import EchoCanceller
from rtcli.audio.playout import PlayoutStats
from rtcli.protocol import server_events
from rtcli.protocol.codec import JsonObject
from rtcli.protocol.latency import TurnTimer
from rtcli.protocol.server_events import Malformed, ServerEvent, Unknown
from rtcli.protocol.updates import Spent, Stats, TurnTimed, Update, Vitals
from rtcli.protocol.usage import Bill, Price
from rtcli.transport.base import AudioSink, AudioSource, Peer, PeerStats


_log = logging.getLogger(__name__)

STATS_EVERY = 10
"""Looks between two at the wire."""
STATS_LIMIT = 0.5
"""Seconds for a look at the wire."""


class Uplink(AudioSource, Protocol):
    """Lane 1: the microphone's blocks as Opus packets."""

    muted: bool
    level: float
    """Peak of the last frame, 0 to 1."""

    @property
    def phrases_ended(self) -> int:
        """Phrases that were spoken and are over."""

    def replace(self, microphone: Microphone | None) -> Microphone | None:
        """Go on with another microphone; gives back the one before."""


class Downlink(AudioSink, Protocol):
    """Lane 2: packets in, sound out."""

    def pull(self, samples: int, now: float) -> bytes: ...

    def clear(self, now: float, *, settle: float = ...) -> None: ...

    def resume(self) -> None: ...

    def first_sound_after(self, moment: float) -> float | None: ...

    def came_at(self, sound: float) -> float | None: ...

    def stats(self) -> PlayoutStats: ...

    @property
    def last_sound(self) -> float | None:
        """When the last audible sample was given out; None before the first."""


class Measures:
    def __init__(
        self,
        uplink: Uplink,
        playout: Downlink,
        echo: EchoCanceller,
        figures: Callable[[], JsonObject],
        prices: Mapping[str, Price],
        tell: Callable[[Update], None],
    ) -> None:
        self._uplink = uplink
        self._playout = playout
        self._echo = echo
        self._figures = figures
        self._tell = tell
        self._timer = TurnTimer()
        self._bill = Bill(prices=prices)
        self._vitals = Vitals(level=0.0, muted=False)
        self._looks = 0
        self._counted: PeerStats | None = None

    def received(self, event: ServerEvent | Unknown | Malformed, session: JsonObject, now: float) -> None:
        self._timer.receive(event, now)
        match event:
            case server_events.ResponseDone():
                self._bill = self._bill.plus_response(_named(session, "model"), event.response.usage)
            case server_events.ConversationItemInputAudioTranscriptionCompleted():
                model = _named(session, "audio", "input", "transcription", "model")
                self._bill = self._bill.plus_transcription(model, event.usage)
            case _:
                return
        self._tell(Spent(self._bill))

    def sent(self, event: JsonObject, now: float) -> None:
        if event.get("type") == "response.create":
            self._timer.asked(now)

    async def look(self, peer: Peer | None, *, listening: bool) -> None:
        """What moved since the last look: the level, the first sound of an answer, once a second the wire."""
        level = self._uplink.level if listening else 0.0
        self._tell_vitals(Vitals(level, muted=self._uplink.muted, listening=listening))
        self.tell_turns()
        self._looks += 1
        if self._looks % STATS_EVERY == 0 and peer is not None:
            try:
                async with asyncio.timeout(STATS_LIMIT):
                    await self._tell_stats(peer)
            except Exception as error:  # noqa: BLE001 - figures are no reason to end a call, or to hold it up
                _log.warning("no figures of the wire: %r", error)

    def _tell_vitals(self, vitals: Vitals) -> None:
        if vitals != self._vitals:
            self._vitals = vitals
            self._tell(vitals)

    def tell_turns(self) -> None:
        """Answers that have begun since the last look; also due when the call is over."""
        listens_from = self._timer.listens_from
        sounded = None if listens_from is None else self._playout.first_sound_after(listens_from)
        if sounded is not None:
            self._timer.sounded(sounded, self._playout.came_at(sounded))
        for times in self._timer.take():
            self._tell(TurnTimed(times))

    async def _tell_stats(self, peer: Peer) -> None:
        now, before = await peer.stats(), self._counted
        self._counted = now
        lost = share_lost(before, now) if before else None
        self._tell(
            Stats(
                round_trip=now.round_trip,
                lost=lost,
                jitter=now.jitter,
                playout=asdict(self._playout.stats()),
                unsent=now.buffered,
                echo=self._echo.name,
                erle_db=self._echo.erle_db,
                sound=self._figures(),
            )
        )


def share_lost(before: PeerStats, now: PeerStats) -> float | None:
    """Of the packets that should have come between two looks; None when none was due."""
    lost = max(0, now.packets_lost - before.packets_lost)
    due = lost + now.packets_received - before.packets_received
    return lost / due if due > 0 else None


def _named(session: JsonObject, *path: str) -> str:
    value: object = session
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    return value if isinstance(value, str) else ""
