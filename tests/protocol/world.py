"""A conversation and the sandbox's side of the protocol, joined by a network with latency, in simulated time.

Nothing here has sound: what is spoken takes the time it would take, and that is all. Deterministic.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from rtcli.protocol.codec import text_of
from rtcli.protocol.conversation import Conversation, Plan, Step
from rtcli.protocol.intents import Finish, Intent
from rtcli.protocol.server_events import decode_object
from rtcli.protocol.updates import Update
from rtcli.sandbox import effects as orders
from rtcli.sandbox.dialogue import Dialogue
from rtcli.sandbox.engine.base import SpeechStarted, SpeechStopped, VoiceActivity
from rtcli.sandbox.session import Session


MS_A_LETTER = 60
"""Of speech."""
PLAYOUT = 0.1
"""Seconds from the network to the loudspeaker."""


@dataclass(frozen=True)
class Pace:
    """Seconds that things take."""

    network: float = 0.05
    """One way."""
    thinking: float = 0.3
    """From a prompt to the first clause, and between clauses."""
    voicing: float = 0.1
    """From a clause to its sound."""
    recognising: float = 0.3


@dataclass
class Buffer:
    """The service's output buffer: what stands in it plays one after the other, in real time."""

    sounds: list[tuple[str, float, float]] = field(default_factory=list)
    """Response, and when its sound begins and ends."""
    announced: set[str] = field(default_factory=set)

    def put(self, response_id: str, seconds: float, now: float) -> float:
        """When it begins."""
        begins = max([now, *(end for _, _, end in self.sounds)])
        self.sounds.append((response_id, begins, begins + seconds))
        return begins

    def ends(self, response_id: str, now: float) -> float:
        return max([now, *(end for response, _, end in self.sounds if response == response_id)])

    def clear(self, now: float) -> list[tuple[str, int]]:
        """What of each response still in the buffer has gone out, in milliseconds."""
        played: Counter[str] = Counter()
        for response, begin, end in self.sounds:
            played[response] += max(0, round((min(now, end) - begin) * 1000))
        left = {response for response, _, end in self.sounds if end > now}
        self.sounds = [(response, begin, min(now, end)) for response, begin, end in self.sounds if begin < now]
        return [(response, played[response]) for response in played if response in left]

    def sounding(self, now: float) -> bool:
        return any(begin <= now < end for _, begin, end in self.sounds)


class World:
    def __init__(self, plan: Plan, session: dict[str, object], pace: Pace) -> None:
        self.now = 0.0
        self.pace = pace
        self.conversation = Conversation(plan)
        self.updates: list[Update] = []
        self.finish: Finish | None = None
        numbers: Counter[str] = Counter()

        def new_id(prefix: str) -> str:
            numbers[prefix] += 1
            return f"{prefix}_{numbers[prefix]}"

        self.dialogue = Dialogue(Session(new_id("sess"), session, expires_at=1_800_000_000), new_id=new_id, now=0.0)
        self.buffer = Buffer()
        self.cancelled: set[str] = set()
        self.spoken_words: dict[str, str] = {}
        """What the user says in a turn, by item."""
        self.in_flight: list[str] = []
        """Types of client events that the service has not received."""
        self._speaking = ""
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self._sounded_at: float | None = None
        self.at(pace.network, lambda: self._serve(self.dialogue.opened(self.now)))
        self.at(pace.network, lambda: self._follow(self.conversation.opened(self.now)))

    # ---- what the user does ----

    def does(self, intent: Intent, at: float) -> None:
        self.at(at, lambda: self._follow(self.conversation.handle(intent, self.now)))

    def speaks(self, words: str, at: float, seconds: float) -> None:
        def starts() -> None:
            self._speaking = words
            self._hear(SpeechStarted(round(self.now * 1000)))

        self.at(at, starts)
        self.at(at + seconds + 0.5, lambda: self._hear(SpeechStopped(round(self.now * 1000) - 500)))

    # ---- time ----

    def at(self, moment: float, happens: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._agenda, (max(moment, self.now), self._count, happens))

    def later(self, seconds: float, happens: Callable[[], None]) -> None:
        self.at(self.now + seconds, happens)

    def run(self, *, limit: float) -> None:
        """Until the call ends, or for so many seconds."""
        self.later(0.1, self._tick)
        while self._agenda and self.finish is None and self.now < limit:
            self.now, _, happens = heapq.heappop(self._agenda)
            happens()

    def _tick(self) -> None:
        if self.buffer.sounding(self.now - self.pace.network - PLAYOUT):
            self._sounded_at = self.now
        self._serve(self.dialogue.heard(round(self.now * 1000), self.now))
        self._follow(self.conversation.tick(self.now, self._sounded_at))
        self.later(0.1, self._tick)

    # ---- the client ----

    def _follow(self, step: Step) -> None:
        self.updates += step.updates
        for event in (event for group in step.events for event in group):
            self._send(event["type"], text_of(event))
        for effect in step.effects:
            if isinstance(effect, Finish):
                assert self.finish is None
                self.finish = effect

    def _send(self, event_type: str, text: str) -> None:
        def arrives() -> None:
            self.in_flight.remove(event_type)
            self._serve(self.dialogue.receive(text, self.now))

        self.in_flight.append(event_type)
        self.later(self.pace.network, arrives)

    # ---- the service ----

    def _hear(self, activity: VoiceActivity) -> None:
        self._serve(self.dialogue.heard(round(self.now * 1000), self.now))
        self._serve(self.dialogue.hear(activity, self.now))

    def _serve(self, effects: Iterable[orders.Effect]) -> None:
        for effect in effects:
            self._perform(effect)

    def _perform(self, effect: orders.Effect) -> None:
        match effect:
            case orders.Send(event):
                if event["type"] == "input_audio_buffer.speech_started":
                    self.spoken_words[event["item_id"]] = self._speaking
                decoded = decode_object(event)
                self.later(self.pace.network, lambda: self._follow(self.conversation.receive(decoded, self.now)))
            case orders.Generate(response_id, prompt):
                question = next((turn.text for turn in reversed(prompt.history) if turn.role == "user"), "nothing")
                self._generate(response_id, ["You said: ", question])
            case orders.Speak(response_id, text):
                self.later(self.pace.voicing, lambda: self._voice(response_id, text))
            case orders.EndSpeech(response_id):
                self.later(self.pace.voicing, lambda: self._drain(response_id))
            case orders.Cancel(response_id):
                self.cancelled.add(response_id)
            case orders.ClearOutput():
                self._serve(self.dialogue.cleared(self.buffer.clear(self.now), self.now))
            case orders.Transcribe(item_id):
                words = self.spoken_words.get(item_id, "")
                self.later(
                    self.pace.recognising, lambda: self._serve(self.dialogue.recognised(item_id, words, self.now))
                )

    def _generate(self, response_id: str, clauses: list[str]) -> None:
        def next_clause() -> None:
            if response_id in self.cancelled:
                return
            if clauses:
                self._serve(self.dialogue.piece(response_id, clauses.pop(0), self.now))
                self.later(self.pace.thinking, next_clause)
            else:
                self._serve(self.dialogue.replied(response_id, self.now))

        self.later(self.pace.thinking, next_clause)

    def _voice(self, response_id: str, text: str) -> None:
        if response_id in self.cancelled:
            return
        milliseconds = MS_A_LETTER * len(text)
        begins = self.buffer.put(response_id, milliseconds / 1000, self.now)
        self._serve(self.dialogue.synthesised(response_id, milliseconds, self.now))
        if response_id not in self.buffer.announced:
            self.buffer.announced.add(response_id)
            self.at(begins, lambda: self._serve(self.dialogue.sounding(response_id, self.now)))

    def _drain(self, response_id: str) -> None:
        if response_id in self.cancelled:
            return
        self._serve(self.dialogue.spoken(response_id, self.now))
        self._drained(response_id)

    def _drained(self, response_id: str) -> None:
        self.at(
            self.buffer.ends(response_id, self.now),
            lambda: self._serve(self.dialogue.drained(response_id, self.now)),
        )
