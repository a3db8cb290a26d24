"""The state table of a call: an event or an intent in; updates, events to send and effects out.

Rules of this file:
1. Everything that decides what happens in a call lives here, and nothing here touches a clock, a socket or a screen:
   `now` is an argument (seconds, monotonic).
2. Nothing is sent before the session is as it was asked for (`session.created`, then `session.updated` where an update
   was needed), each waited for with a limit, because some servers never say.
3. One response at a time. A `response.create` waits in line while one is asked for or active, and is released by
   `response.done` or by the `error` that carries its `event_id`.
4. Every client event carries an `event_id`.
5. A manual stop is `response.cancel` (only if a response is active), then `output_audio_buffer.clear`. Never
   `conversation.item.truncate`: over WebRTC the service truncates by itself.
6. A voice ends at `output_audio_buffer.stopped` or `cleared`, not at `response.done`; where a server announces
   neither, when nothing has been audible for a while (`Quiet`).
7. After several function calls there is one `response.create`, when the last output is in.

Orders: OpenAI's guide "Realtime conversations" and the docstrings of the official SDK's event types.
The file is long because the table is one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from rtcli.errors import RtcliError, ServiceError, WaitTimeout
from rtcli.protocol import client_events as out
from rtcli.protocol import server_events as ev
from rtcli.protocol.codec import JsonObject, to_object
from rtcli.protocol.intents import (
    Effect,
    Fail,
    Finish,
    HangUp,
    InputEnded,
    Intent,
    Interrupt,
    MicrophoneEnded,
    Mistyped,
    Mute,
    OpenMicrophone,
    PlayMicrophone,
    Quiet,
    ResumeSpeaker,
    Say,
    SendEvent,
    SetMuted,
    SilenceSpeaker,
    ToolOutput,
)
from rtcli.protocol.transcript import Transcript
from rtcli.protocol.updates import Activity, Ready, Refused, ToolWanted, Update, Warned


SESSION_LIMIT = 5.0
"""Seconds to wait for `session.created`, and again for `session.updated`; the official JavaScript SDK's figure."""
ANSWER_LIMIT = 15.0
"""Seconds to wait for a response that the service makes by itself after a turn."""
REQUEST_LIMIT = 60.0
"""Seconds after which a `response.create` that was answered by nothing no longer holds up the next one."""
SETTLE_FIRST, SETTLE = 4.0, 1.5
"""Seconds after the end of a file in which its speech may still be noticed: before and after a first answer."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is known of a call before it begins."""

    update: JsonObject | None = None
    """A session object to send by `session.update` and to wait for."""
    filtered: bool = False
    """The event stream hides session and response events (Azure's filter): never wait for those."""
    answers_functions: bool = False
    """Somebody gives `ToolOutput` for every `ToolWanted`."""
    microphone_is_file: bool = False
    ends_with_file: bool = True
    """When the answer to the file has been heard the call is over, unless lines have come."""
    microphone_waits: bool = False
    """Do not open the microphone when ready, but on `PlayMicrophone`."""


@dataclass(frozen=True, slots=True)
class Step:
    """What follows from one event or intent, each in order."""

    updates: tuple[Update, ...] = ()
    events: tuple[JsonObject, ...] = ()
    effects: tuple[Effect, ...] = ()


@dataclass(frozen=True, slots=True)
class _Request:
    """A response in line, and the items that belong before it: the answer that is running must not see them."""

    create: out.ResponseCreate
    items: tuple[out.ClientEvent, ...] = ()


class Conversation:
    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._transcript = Transcript()
        self._session: JsonObject = {}
        # Session: waiting for `session.created`, then for `session.updated`, then ready.
        self._ready = False
        self._updating: str | None = None
        self._session_due: float | None = None
        self._held: deque[Intent] = deque()  # bounded by whoever posts: see `backlog`
        # Responses, by rule 3.
        self._line: deque[_Request] = deque()
        self._asked: out.ResponseCreate | None = None
        self._asked_until = 0.0
        self._active: dict[str, None] = {}
        self._expected_until = 0.0
        self._failed_item: ServiceError | None = None
        # Sound.
        self._user_speaking = False
        self._voices: dict[str, None] = {}
        self._muted = False
        self._activity = Activity(user_speaking=False, model_speaking=False, thinking=False)
        # Functions, by rule 7: calls whose output is still owed.
        self._owed: dict[str, None] = {}
        # The end.
        self._answers = 0
        self._lines_came = False
        self._input_ended = False
        self._opened = self._playing_file = self._file_ended = False
        self._settle_until = 0.0
        self._problem: ServiceError | None = None
        self._finished = False
        # One step.
        self._now = 0.0
        self._serial = 0
        self._updates: list[Update] = []
        self._events: list[JsonObject] = []
        self._effects: list[Effect] = []

    # ---- in ----

    def opened(self, now: float) -> Step:
        """The data channel is open."""
        return self._step(now, self._channel_opened)

    def receive(self, event: ev.ServerEvent | ev.Unknown | ev.Malformed, now: float) -> Step:
        rule = self._rules.get(type(event))
        return self._step(now, lambda: rule(self, event) if rule else None)

    def handle(self, intent: Intent, now: float) -> Step:
        return self._step(now, lambda: self._intend(intent))

    def tick(self, now: float) -> Step:
        """Time has passed; due about ten times a second."""
        return self._step(now, self._time_passed)

    @property
    def session(self) -> JsonObject:
        """As the service last described it."""
        return self._session

    @property
    def backlog(self) -> int:
        """Intents that wait for their turn."""
        return len(self._held) + len(self._line)

    @property
    def idle(self) -> bool:
        """Nothing is being said, made, recognised or waited for."""
        return not (
            not self._ready
            or self._held
            or self._user_speaking
            or self._playing_file
            or self._asked
            or self._line
            or self._active
            or self._voices
            or self._owed
            or self._now < self._expected_until
            or self._now < self._settle_until
            or self._transcript.waiting(self._now)
        )

    def close(self, now: float) -> Step:
        """The call is ending: the words that were not shown yet."""
        return self._step(now, lambda: self._updates.extend(self._transcript.release_all()))

    def _step(self, now: float, rule: Callable[[], object]) -> Step:
        self._now = now
        rule()
        self._updates.extend(self._transcript.release(now))
        self._tell_activity()
        self._finish_when_done()
        step = Step(tuple(self._updates), tuple(self._events), tuple(self._effects))
        self._updates, self._events, self._effects = [], [], []
        return step

    # ---- session ----

    def _channel_opened(self) -> None:
        self._session_due = self._now + SESSION_LIMIT
        if self._plan.filtered:
            self._session_created_or_given_up()

    def _session_created(self, event: ev.SessionCreated) -> None:
        self._session = event.session
        if not self._ready and self._updating is None:
            self._session_created_or_given_up()

    def _session_created_or_given_up(self) -> None:
        if self._plan.update is None:
            self._become_ready()
            return
        self._updating = self._send(out.SessionUpdate(session=self._plan.update))
        self._session_due = self._now + SESSION_LIMIT
        if self._plan.filtered:
            self._become_ready()

    def _session_updated(self, event: ev.SessionUpdated) -> None:
        self._session = event.session
        if self._updating is not None:
            self._become_ready()

    def _session_overdue(self) -> None:
        waited_for = "session.created" if self._updating is None else "session.updated"
        self._warn(f"no {waited_for} within {SESSION_LIMIT:g} s; going on without it", "session_silent")
        if self._updating is None:
            self._session_created_or_given_up()
        else:
            self._become_ready()

    def _become_ready(self) -> None:
        self._session_due = None
        if self._ready:
            return
        self._ready = True
        self._updating = None
        self._updates.append(Ready(self._session))
        if not self._plan.microphone_waits:
            self._open_microphone()
        held, self._held = self._held, deque()
        for intent in held:
            self._intend(intent)

    def _open_microphone(self, _: PlayMicrophone | None = None) -> None:
        if self._opened:
            return
        self._opened = True
        self._playing_file = self._plan.microphone_is_file and not self._file_ended
        self._effects.append(OpenMicrophone())

    # ---- intents ----

    def _intend(self, intent: Intent) -> None:
        early = self._early.get(type(intent))
        if early:
            early(self, intent)
        elif self._ready:
            self._intents[type(intent)](self, intent)
        else:
            self._held.append(intent)

    def _hang_up(self, intent: HangUp) -> None:
        self._finish(Finish(intent.reason, exit=intent.exit))

    def _fail(self, intent: Fail) -> None:
        self._finish(Finish(str(intent.error), error=intent.error))

    def _mute(self, intent: Mute) -> None:
        self._muted = not self._muted if intent.on is None else intent.on
        self._effects.append(SetMuted(self._muted))

    def _mistyped(self, intent: Mistyped) -> None:
        self._warn(intent.message, "mistyped")

    def _no_more_input(self, _: InputEnded) -> None:
        self._input_ended = True

    def _say(self, intent: Say) -> None:
        self._lines_came = True
        content: list[JsonObject] = [{"type": "input_text", "text": intent.text}] if intent.text else []
        content += [{"type": "input_image", "image_url": uri} for uri in intent.images]
        if intent.interrupt:
            self._interrupt()
        item = out.ConversationItemCreate(item={"type": "message", "role": intent.role, "content": content})
        if intent.respond:
            self._ask(out.ResponseCreate(), item)
        else:
            self._send(item)

    def _send_given(self, intent: SendEvent) -> None:
        self._lines_came = True
        decoded = out.decode_object(intent.event)
        if isinstance(decoded, out.ResponseCreate):
            self._ask(decoded)
        else:
            self._send_object(intent.event)

    def _interrupt(self, _: Interrupt | None = None) -> None:
        if self._active:
            self._send(out.ResponseCancel())
        if self._active or self._voices:
            self._send(out.OutputAudioBufferClear())
        self._effects.append(SilenceSpeaker())

    def _tool_output(self, intent: ToolOutput) -> None:
        self._owed.pop(intent.call_id, None)
        self._send(out.ConversationItemCreate(item=out.function_output_item(intent.call_id, intent.output)))
        if not self._owed:
            self._ask(out.ResponseCreate())

    def _microphone_ended(self, _: MicrophoneEnded) -> None:
        self._playing_file = False
        self._file_ended = True
        self._settle_until = self._now + (SETTLE if self._answers else SETTLE_FIRST)
        if self._turn_detection is None:
            self._send(out.InputAudioBufferCommit())
            self._ask(out.ResponseCreate())

    # ---- the user's turn ----

    def _speech_started(self, event: ev.InputAudioBufferSpeechStarted) -> None:
        self._user_speaking = True
        self._settle_until = 0.0
        self._transcript.hear(event.item_id, self._now)
        if self._voices and self._interrupts:
            self._effects.append(SilenceSpeaker())

    def _speech_stopped(self, _: ev.InputAudioBufferSpeechStopped) -> None:
        self._user_speaking = False
        if self._answers_by_itself:
            self._expected_until = self._now + ANSWER_LIMIT

    def _committed(self, event: ev.InputAudioBufferCommitted) -> None:
        self._user_speaking = False
        self._settle_until = 0.0
        self._transcript.hear(event.item_id, self._now)
        if self._session and not self._transcribes:
            self._transcript.heard(event.item_id, 0, "", self._now)
        if self._answers_by_itself:
            self._expected_until = self._now + ANSWER_LIMIT

    def _input_cleared(self, _: ev.InputAudioBufferCleared) -> None:
        self._user_speaking = False

    def _heard_part(self, event: ev.ConversationItemInputAudioTranscriptionDelta) -> None:
        self._updates.append(self._transcript.hear_part(event.item_id, event.content_index, event.delta, self._now))

    def _heard(self, event: ev.ConversationItemInputAudioTranscriptionCompleted) -> None:
        self._transcript.heard(event.item_id, event.content_index, event.transcript, self._now)

    def _not_heard(self, event: ev.ConversationItemInputAudioTranscriptionFailed) -> None:
        self._transcript.heard(event.item_id, event.content_index, "", self._now)
        self._warn(f"no transcript: {event.error.message}", event.error.code or "")

    def _item_added(self, event: ev.ConversationItemAdded | ev.ConversationItemCreated) -> None:
        item = event.item
        if item.type == "message" and item.role == "user":
            text = "".join(part.text or "" for part in item.content if part.type == "input_text")
            if text:
                self._transcript.wrote(item.id, text, self._now)

    def _item_deleted(self, event: ev.ConversationItemDeleted) -> None:
        self._transcript.forget(event.item_id)

    # ---- responses ----

    def _ask(self, create: out.ResponseCreate, *items: out.ClientEvent) -> None:
        self._line.append(_Request(create, items))
        self._ask_next()

    def _ask_next(self) -> None:
        if self._line and not self._asked and not self._active:
            request = self._line.popleft()
            for item in request.items:
                self._send(item)
            event_id = self._send(request.create)
            self._asked = replace(request.create, event_id=event_id)
            self._asked_until = self._now + REQUEST_LIMIT

    def _begin(self, response_id: str) -> None:
        """A response exists: it was announced, or something of it came."""
        self._asked = None
        self._expected_until = self._settle_until = 0.0
        if response_id not in self._active:
            self._active[response_id] = None
            self._answers += 1

    def _response_created(self, event: ev.ResponseCreated) -> None:
        self._begin(event.response.id)

    def _response_item(self, event: ev.ResponseOutputItemAdded) -> None:
        if event.item.type == "message":
            self._transcript.say(event.item.id, event.response_id, self._now)

    def _said_part(self, event: ev.ResponseOutputTextDelta | ev.ResponseOutputAudioTranscriptDelta) -> None:
        if self._plan.filtered:
            self._begin(event.response_id)
        self._updates.append(
            self._transcript.say_part(event.item_id, event.response_id, event.content_index, event.delta, self._now)
        )

    def _said_text(self, event: ev.ResponseOutputTextDone) -> None:
        self._transcript.said(event.item_id, event.response_id, event.content_index, event.text, self._now)
        if self._plan.filtered:  # its `response.done` is hidden
            self._end(event.response_id, cut=False)

    def _said_aloud(self, event: ev.ResponseOutputAudioTranscriptDone) -> None:
        self._transcript.said(event.item_id, event.response_id, event.content_index, event.transcript, self._now)

    def _response_done(self, event: ev.ResponseDone) -> None:
        response = event.response
        calls = [item for item in response.output if item.type == "function_call" and item.call_id]
        for item in calls if response.status == "completed" else []:
            if self._plan.answers_functions:
                self._owed[item.call_id or ""] = None
            self._updates.append(ToolWanted(item.call_id or "", item.name or "", item.arguments or "{}"))
        if response.status in {"failed", "incomplete", "cancelled"}:
            self._ended_badly(response)
        elif response.status == "completed":
            self._problem = None
        self._end(response.id, cut=response.status in {"cancelled", "incomplete", "failed"})

    def _ended_badly(self, response: ev.Response) -> None:
        details = response.status_details or ev.StatusDetails()
        reason = details.reason or ""
        if response.status == "cancelled" and reason in {"turn_detected", "client_cancelled", ""}:
            return
        error = details.error or ev.ErrorDetail()
        said = error.message or reason or "no reason given"
        self._problem = ServiceError(f"the response is {response.status}: {said}", code=error.code, kind=error.type)
        self._updates.append(Refused(self._problem))

    def _end(self, response_id: str, *, cut: bool) -> None:
        self._active.pop(response_id, None)
        if response_id not in self._voices:
            self._transcript.said_all(response_id, self._now, cut=cut)
        self._ask_next()

    # ---- the model's voice ----

    def _voice_started(self, event: ev.OutputAudioBufferStarted) -> None:
        self._voices[event.response_id] = None
        self._effects.append(ResumeSpeaker())
        if self._plan.filtered:
            self._begin(event.response_id)

    def _voice_stopped(self, event: ev.OutputAudioBufferStopped) -> None:
        self._voice_over(event.response_id, cut=False)

    def _voice_cleared(self, event: ev.OutputAudioBufferCleared) -> None:
        self._effects.append(SilenceSpeaker())
        self._voice_over(event.response_id, cut=True)

    def _voice_over(self, response_id: str, *, cut: bool) -> None:
        self._voices.pop(response_id, None)
        if self._plan.filtered:
            self._active.pop(response_id, None)
        if cut or response_id not in self._active:
            self._transcript.said_all(response_id, self._now, cut=cut)
        if self._plan.filtered:
            self._ask_next()

    def _voices_over_unannounced(self, _: Quiet) -> None:
        for response_id in [voice for voice in self._voices if voice not in self._active]:
            self._voice_over(response_id, cut=False)

    # ---- errors and time ----

    def _error(self, event: ev.ErrorEvent) -> None:
        detail = event.error
        error = ServiceError(detail.message or "no message", code=detail.code, kind=detail.type, param=detail.param)
        if detail.event_id and detail.event_id == self._updating:
            self._finish(Finish("the session was refused", error=error))
        elif self._asked and detail.event_id == self._asked.event_id:
            self._request_refused(error)
        elif detail.code != "response_cancel_not_active":
            self._updates.append(Refused(error))

    def _request_refused(self, error: ServiceError) -> None:
        request, self._asked = self._asked, None
        if error.code == "conversation_already_has_active_response" and request:
            # The service began one by itself in the same moment: ask again when that one is done.
            self._line.appendleft(_Request(replace(request, event_id=None)))
            if not self._active:
                self._expected_until = self._now + ANSWER_LIMIT
            return
        self._problem = error
        self._updates.append(Refused(error))
        self._ask_next()

    def _time_passed(self) -> None:
        if self._session_due is not None and self._now >= self._session_due:
            self._session_overdue()
        if self._asked and self._now >= self._asked_until:
            self._warn(f"response.create was answered by nothing for {REQUEST_LIMIT:g} s", "response_silent")
            self._asked = None
        if not self._asked and self._now >= self._expected_until:
            self._ask_next()

    # ---- the end ----

    @property
    def _ending(self) -> bool:
        return self._input_ended or (self._file_ended and self._plan.ends_with_file and not self._lines_came)

    def _finish_when_done(self) -> None:
        if not self._ending or not self.idle:
            return
        error: RtcliError | None = self._problem
        if self._file_ended and not self._answers and not error:
            error = WaitTimeout("no answer came: the service noticed no speech in the file")
        self._finish(Finish("the answer has been heard" if self._answers else "end of input", error=error, drain=True))

    def _finish(self, how: Finish) -> None:
        if not self._finished:
            self._finished = True
            self._effects.append(how)

    # ---- the session's own words ----

    @property
    def _input(self) -> JsonObject:
        audio = self._session.get("audio")
        given = audio.get("input") if isinstance(audio, dict) else None
        return given if isinstance(given, dict) else {}

    @property
    def _turn_detection(self) -> JsonObject | None:
        """None: turns are committed by the client. Unknown counts as the service's default."""
        given = self._input.get("turn_detection", {})
        return given if isinstance(given, dict) else None

    @property
    def _transcribes(self) -> bool:
        return self._input.get("transcription") is not None

    @property
    def _interrupts(self) -> bool:
        return bool((self._turn_detection or {}).get("interrupt_response", True))

    @property
    def _answers_by_itself(self) -> bool:
        if self._session.get("type") == "transcription" or self._turn_detection is None:
            return False
        return bool(self._turn_detection.get("create_response", True))

    # ---- out ----

    def _send(self, event: out.ClientEvent) -> str:
        return self._send_object(to_object(event))

    def _send_object(self, event: JsonObject) -> str:
        self._serial += 1
        event_id = event.get("event_id")
        if not isinstance(event_id, str) or not event_id:
            event_id = f"rt_{self._serial}"
        self._events.append({**event, "event_id": event_id})
        return event_id

    def _warn(self, message: str, code: str) -> None:
        self._updates.append(Warned(message, code))

    def _tell_activity(self) -> None:
        thinking = bool(self._asked or self._active or self._now < self._expected_until) and not self._voices
        activity = Activity(user_speaking=self._user_speaking, model_speaking=bool(self._voices), thinking=thinking)
        if activity != self._activity:
            self._activity = activity
            self._updates.append(activity)

    # ---- the table ----

    _rules: ClassVar[dict[type, Callable[[Conversation, Any], None]]] = {
        ev.SessionCreated: _session_created,
        ev.SessionUpdated: _session_updated,
        ev.InputAudioBufferSpeechStarted: _speech_started,
        ev.InputAudioBufferSpeechStopped: _speech_stopped,
        ev.InputAudioBufferCommitted: _committed,
        ev.InputAudioBufferCleared: _input_cleared,
        ev.ConversationItemInputAudioTranscriptionDelta: _heard_part,
        ev.ConversationItemInputAudioTranscriptionCompleted: _heard,
        ev.ConversationItemInputAudioTranscriptionFailed: _not_heard,
        ev.ConversationItemAdded: _item_added,
        ev.ConversationItemCreated: _item_added,
        ev.ConversationItemDeleted: _item_deleted,
        ev.ResponseCreated: _response_created,
        ev.ResponseOutputItemAdded: _response_item,
        ev.ResponseOutputTextDelta: _said_part,
        ev.ResponseOutputAudioTranscriptDelta: _said_part,
        ev.ResponseOutputTextDone: _said_text,
        ev.ResponseOutputAudioTranscriptDone: _said_aloud,
        ev.ResponseDone: _response_done,
        ev.OutputAudioBufferStarted: _voice_started,
        ev.OutputAudioBufferStopped: _voice_stopped,
        ev.OutputAudioBufferCleared: _voice_cleared,
        ev.ErrorEvent: _error,
    }
    """Which rule a server event has. One without changes nothing: it is shown, that is all."""

    _early: ClassVar[dict[type, Callable[[Conversation, Any], None]]] = {
        HangUp: _hang_up,
        Fail: _fail,
        Quiet: _voices_over_unannounced,
        Mute: _mute,
        Mistyped: _mistyped,
    }
    """Intents that never wait for the session."""

    _intents: ClassVar[dict[type, Callable[[Conversation, Any], None]]] = {
        Say: _say,
        SendEvent: _send_given,
        Interrupt: _interrupt,
        ToolOutput: _tool_output,
        PlayMicrophone: _open_microphone,
        MicrophoneEnded: _microphone_ended,
        InputEnded: _no_more_input,
    }
    """Intents that are kept until the session is ready."""
