"""A guest of a call that somebody else holds: gives it events, and knows what became of those and of nothing else.

`Conversation` decides everything in a call of our own; here another rtcli, a browser or a phone does that. A guest

1. gives each of its events an `event_id` that nobody else uses, so that an error can be told to be about one of them;
2. waits like any script: acknowledgements, and each response it asked for to the end of its sound;
3. believes that the first response that begins after its `response.create` went out answers it, until an error says
   that the service had begun one by itself in that moment; then the request is made again;
4. shows the words of its own responses alone, and counts their cost and delay alone (`Prices` given).

Pure: no I/O, no clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import field, replace
from typing import Any, ClassVar, Literal

from rtcli.errors import CallLost, RtcliError, ServiceError
from rtcli.protocol import client_events as out
from rtcli.protocol import server_events as ev
from rtcli.protocol.acknowledgement import Unanswered
from rtcli.protocol.codec import JsonObject, to_object
from rtcli.protocol.conversation import Step
from rtcli.protocol.intents import (
    Effect,
    EndCall,
    Fail,
    Finish,
    HangUp,
    InputEnded,
    Intent,
    Interrupt,
    Say,
    SendEvent,
    ToolOutput,
)
from rtcli.protocol.latency import TurnTimes
from rtcli.protocol.requests import COLLISION, COLLISION_PAUSE, COLLISIONS
from rtcli.protocol.updates import Refused, Spent, ToolWanted, TurnTimed, Update, Words
from rtcli.protocol.usage import Bill, Price
from rtcli.records import dataclass


UNANNOUNCED = 10.0
"""Seconds after `response.done` in which a voice must have been announced that is to be waited for."""
_CREATE = "response.create"

Voice = Literal["none", "due", "sounding", "over"]


@dataclass(slots=True)
class _Answer:
    """A response that a request of ours is believed to have begun."""

    request: str
    """`event_id` of the request."""
    asked_at: float = 0.0
    times: TurnTimes = TurnTimes(spoken=False, response_id="")
    voice: Voice = "none"
    done: ev.Response | None = None
    done_at: float = 0.0


@dataclass(slots=True)
class _Request:
    event: JsonObject
    collisions: int = 0
    not_before: float = 0.0
    sent_at: float = 0.0


@dataclass(slots=True)
class _Line:
    """What is to go out, in order."""

    waiting: deque[_Request] = field(default_factory=deque)
    given: set[str] = field(default_factory=set)
    """Handed over, and not seen going out yet."""


class Guest:
    def __init__(
        self,
        prefix: str,
        *,
        keeps_line: bool,
        answers_functions: bool = False,
        prices: Mapping[str, Price] | None = None,
    ) -> None:
        """`prefix`: of our `event_id`s, unlike anybody else's. `keeps_line`: see `transport.base.Channel`.

        `answers_functions`: somebody gives `ToolOutput` for every `ToolWanted`. `prices`: tell what our answers took
        and cost.
        """
        self._prefix = prefix
        self._keeps_line = keeps_line
        self._answers_functions = answers_functions
        self._serial = 0
        self._ours: dict[str, _Request] = {}
        self._line = _Line()
        self._asked: deque[str] = deque()
        """Our requests that went out and have not begun, as `event_id`s."""
        self._running: set[str] = set()
        """Responses of anybody that have begun and not ended."""
        self._answers: dict[str, _Answer] = {}
        self._owed: set[str] = set()
        """Function calls whose output is to come, as `call_id`s."""
        self._unanswered = Unanswered()
        self._bill = None if prices is None else Bill(prices=prices)
        self._model = ""
        self._problem: RtcliError | None = None
        self._input_ended = self._finished = False
        self._updates: list[Update] = []
        self._events: list[tuple[JsonObject, ...]] = []
        self._effects: list[Effect] = []

    # ---- in ----

    def joined(self, session: JsonObject) -> None:
        model = session.get("model")
        self._model = model if isinstance(model, str) else ""

    def handle(self, intent: Intent, now: float) -> Step:
        match intent:
            case Say():
                self._say(intent)
            case SendEvent():
                self._give(intent.event)
            case Interrupt():
                self._interrupt()
            case ToolOutput():
                self._tool_output(intent)
            case InputEnded():
                self._input_ended = True
            case HangUp():
                self._finish(Finish(intent.reason, exit=intent.exit))
            case Fail():
                self._finish(Finish(str(intent.error), error=intent.error))
            case EndCall():
                self._effects.append(intent)
            case _:
                pass  # about sound that is not here
        return self._step(now)

    def sent(self, event: JsonObject, now: float) -> tuple[bool, Step]:
        """An event went out in the call; whether it is one of ours."""
        event_id = str(event.get("event_id"))
        ours = event_id in self._ours
        if ours:
            self._line.given.discard(event_id)
            self._unanswered.sent(event, now)
            if event.get("type") == _CREATE:
                self._ours[event_id].sent_at = now
                self._asked.append(event_id)
        return ours, self._step(now)

    def receive(self, event: ev.ServerEvent | ev.Unknown | ev.Malformed, now: float) -> Step:
        if isinstance(event, ev.ServerEvent):
            self._unanswered.answered(event)
        if rule := self._rules.get(type(event)):
            rule(self, event, now)
        return self._step(now)

    def unsent(self, event_id: str, error: ServiceError, now: float) -> Step:
        self._line.given.discard(event_id)
        self._refuse(error)
        return self._step(now)

    def tick(self, now: float) -> Step:
        for answer in list(self._answers.values()):
            if answer.done and answer.voice == "due" and now >= answer.done_at + UNANNOUNCED:
                answer.voice = "over"
                self._end_if_over(answer)
        return self._step(now)

    def went_down(self, reason: str, now: float, *, orderly: bool) -> Step:
        """`orderly`: the other side said goodbye."""
        error = None if orderly and self._idle(now) else CallLost(reason)
        self._finish(Finish(reason, error=self._problem or error))
        return self._step(now)

    @property
    def backlog(self) -> int:
        return len(self._line.waiting) + len(self._line.given)

    # ---- out ----

    def _say(self, intent: Say) -> None:
        if intent.interrupt:
            self._interrupt()
        content: list[JsonObject] = [{"type": "input_text", "text": intent.text}] if intent.text else []
        content += [{"type": "input_image", "image_url": uri} for uri in intent.images]
        message: JsonObject = {"type": "message", "role": intent.role, "content": content}
        self._give(to_object(out.ConversationItemCreate(item=message)))
        if intent.respond:
            self._give(to_object(out.ResponseCreate()))

    def _interrupt(self) -> None:
        """Stop whatever is being said, at once."""
        self._give(to_object(out.ResponseCancel()), harmless=True)
        self._give(to_object(out.OutputAudioBufferClear()), harmless=True)

    def _tool_output(self, intent: ToolOutput) -> None:
        owed = intent.call_id in self._owed
        self._owed.discard(intent.call_id)
        item = out.function_output_item(intent.call_id, intent.output)
        self._give(to_object(out.ConversationItemCreate(item=item)))
        if owed and not self._owed:
            self._give(to_object(out.ResponseCreate()))

    def _give(self, event: JsonObject, *, harmless: bool = False) -> None:
        event_id = event.get("event_id")
        if not (isinstance(event_id, str) and event_id):
            self._serial += 1
            event_id = f"{self._prefix}{'x' if harmless else ''}{self._serial}"
        request = _Request({**event, "event_id": event_id})
        self._ours[event_id] = request
        self._line.waiting.append(request)

    def _advance(self, now: float) -> None:
        """Let out what may go: behind a request that must wait everything waits, because it was given after it."""
        while self._line.waiting:
            request = self._line.waiting[0]
            asks = request.event.get("type") == _CREATE
            if asks and not self._keeps_line and (self._asked or self._running or now < request.not_before):
                return
            self._line.waiting.popleft()
            self._line.given.add(request.event["event_id"])
            self._events.append((request.event,))
            if asks and not self._keeps_line:
                return  # `sent` tells

    # ---- what happens ----

    def _created(self, event: ev.ResponseCreated, now: float) -> None:
        self._running.add(event.response.id)
        if self._asked:
            request = self._asked.popleft()
            asked_at = self._ours[request].sent_at
            times = TurnTimes(spoken=False, response_id=event.response.id, created=now - asked_at)
            self._answers[event.response.id] = _Answer(request, asked_at, times)

    def _word(self, event: ev.ResponseOutputTextDelta | ev.ResponseOutputAudioTranscriptDelta, now: float) -> None:
        answer = self._answers.get(event.response_id)
        if answer and answer.times.word is None:
            answer.times = replace(answer.times, word=now - answer.asked_at)
        if isinstance(event, ev.ResponseOutputAudioTranscriptDelta):
            self._speaks(event, now)

    def _speaks(self, event: Any, _: float) -> None:
        answer = self._answers.get(event.response_id)
        if answer and answer.voice == "none":
            answer.voice = "due"

    def _voice_started(self, event: ev.OutputAudioBufferStarted, now: float) -> None:
        if answer := self._answers.get(event.response_id):
            answer.voice = "sounding"
            since = now - answer.asked_at
            answer.times = replace(answer.times, announced=since, sound=since)  # nobody hears it here

    def _voice_over(self, event: ev.OutputAudioBufferStopped | ev.OutputAudioBufferCleared, _: float) -> None:
        if answer := self._answers.get(event.response_id):
            answer.voice = "over"
            self._end_if_over(answer)

    def _done(self, event: ev.ResponseDone, now: float) -> None:
        response = event.response
        self._running.discard(response.id)
        answer = self._answers.get(response.id)
        if answer is None or answer.done:
            return
        answer.done, answer.done_at = response, now
        badly = response.status in {"failed", "incomplete", "cancelled"}
        spoken = any(part.type in {"output_audio", "audio"} for item in response.output for part in item.content)
        if spoken and answer.voice == "none":
            answer.voice = "due"
        if badly and answer.voice == "due":
            answer.voice = "over"
        self._end_if_over(answer)

    def _end_if_over(self, answer: _Answer) -> None:
        response = answer.done
        if response is None or answer.voice in {"due", "sounding"} or response.id not in self._answers:
            return
        del self._answers[response.id]
        self._measure(answer, response)
        badly = response.status in {"failed", "incomplete", "cancelled"}
        self._updates += [
            Words("model", item.id, text, cut=badly) for item in response.output if (text := _text_of(item)) is not None
        ]
        if badly:
            self._refuse(_bad_end(response))
            return
        calls = [item for item in response.output if item.type == "function_call" and item.call_id]
        if self._answers_functions:
            self._owed |= {str(item.call_id) for item in calls}
        self._updates += [ToolWanted(str(item.call_id), item.name or "", item.arguments or "{}") for item in calls]

    def _measure(self, answer: _Answer, response: ev.Response) -> None:
        if self._bill is None:
            return
        self._bill = self._bill.plus_response(self._model, response.usage)
        self._updates.append(Spent(self._bill))
        if answer.times.total is not None:
            self._updates.append(TurnTimed(answer.times))

    def _error(self, event: ev.ErrorEvent, now: float) -> None:
        named = event.error.event_id or ""
        self._unanswered.refused(named)
        request = self._ours.get(named)
        if request is None or named.startswith(f"{self._prefix}x"):
            return  # not about us, or about a stop that came too late
        if event.error.code == COLLISION and request.collisions < COLLISIONS:
            self._collided(request, now)
            return
        self._forget(named)
        detail = event.error
        self._refuse(
            ServiceError(detail.message or "no message", code=detail.code, kind=detail.type, param=detail.param)
        )

    def _collided(self, request: _Request, now: float) -> None:
        """What has begun is not ours. Whoever keeps the line asks again; else we do."""
        self._forget(request.event["event_id"])
        again = replace(request, collisions=request.collisions + 1, not_before=now + COLLISION_PAUSE)
        self._ours[request.event["event_id"]] = again
        if self._keeps_line:
            self._line.given.add(request.event["event_id"])
        else:
            self._line.waiting.appendleft(again)

    def _forget(self, event_id: str) -> None:
        if event_id in self._asked:
            self._asked.remove(event_id)
        self._answers = {key: answer for key, answer in self._answers.items() if answer.request != event_id}

    def _refuse(self, error: ServiceError) -> None:
        self._problem = self._problem or error
        self._updates.append(Refused(error))

    # ---- one step ----

    def _idle(self, now: float) -> bool:
        line = self._line.waiting or self._line.given
        return not (line or self._asked or self._answers or self._owed or self._unanswered.waiting(now))

    def _finish(self, how: Finish) -> None:
        if not self._finished:
            self._finished = True
            self._effects.append(how)

    def _step(self, now: float) -> Step:
        self._advance(now)
        if self._input_ended and self._idle(now):
            self._finish(Finish("everything is answered", error=self._problem))
        step = Step(tuple(self._updates), tuple(self._events), tuple(self._effects))
        self._updates, self._events, self._effects = [], [], []
        return step

    _rules: ClassVar[dict[type, Any]] = {
        ev.ResponseCreated: _created,
        ev.ResponseOutputTextDelta: _word,
        ev.ResponseOutputAudioTranscriptDelta: _word,
        ev.ResponseOutputAudioTranscriptDone: _speaks,
        ev.ResponseOutputAudioDelta: _speaks,
        ev.OutputAudioBufferStarted: _voice_started,
        ev.OutputAudioBufferStopped: _voice_over,
        ev.OutputAudioBufferCleared: _voice_over,
        ev.ResponseDone: _done,
        ev.ErrorEvent: _error,
    }


def _text_of(item: ev.Item) -> str | None:
    if item.type != "message":
        return None
    return "".join(part.text or part.transcript or "" for part in item.content)


def _bad_end(response: ev.Response) -> ServiceError:
    details = response.status_details or ev.StatusDetails()
    error = details.error or ev.ErrorDetail()
    said = error.message or details.reason or "no reason given"
    return ServiceError(f"the response is {response.status}: {said}", code=error.code, kind=error.type)
