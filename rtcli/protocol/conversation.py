"""The state table of a call: an event or an intent in; updates, events to send and effects out.

Rules of this file:
1. Everything that decides what happens in a call lives here, and nothing here touches a clock, a socket or a screen:
   `now` is an argument (seconds, monotonic).
2. Nothing is sent before the session is as it was asked for (`session.created`, then `session.updated` where an update
   was needed), each waited for with a limit, because some servers never say. A refused update ends the call.
3. One response at a time. A `response.create` waits in line while one is asked for or running, and everything that was
   given after it waits behind it; it is released by `response.done` or by the `error` that carries its `event_id`.
   When the service began a response by itself in the same moment, it is asked for again. Responses outside the
   conversation (`conversation: none`) run beside it and wait for nobody.
4. Every client event carries an `event_id`.
5. A manual stop is `response.cancel` (only if a response is running; if one is about to begin, when it does), then
   `output_audio_buffer.clear`. Never `conversation.item.truncate`: over WebRTC the service truncates by itself.
6. A voice ends at `output_audio_buffer.stopped` or `cleared`, not at `response.done`; where a server announces
   neither, when nothing of it is audible any more (`answers`).
7. After several function calls there is one `response.create`, when the last output is in.
8. Nothing is waited for without a limit. A call whose input has ended finishes when nothing is pending: nothing said,
   made, heard, recognised or unanswered. What was refused or never came is its outcome.
9. A filtered stream (Azure's) hides sessions, errors, and the beginning and end of responses: none of these is waited
   for, until one of them comes and shows that nothing is hidden.

Orders: OpenAI's guide "Realtime conversations" and the docstrings of the official SDK's event types.
The file is long because the table is one; responses, words and acknowledgements have files of their own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, ClassVar

from rtcli.errors import CallLost, RtcliError, ServiceError, WaitTimeout
from rtcli.protocol import client_events as out
from rtcli.protocol import server_events as ev
from rtcli.protocol.acknowledgement import Unanswered, is_item
from rtcli.protocol.answers import STALLED, Answer, Answers
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
    PhraseEnded,
    PlayMicrophone,
    ResumeSpeaker,
    Say,
    SendEvent,
    SetMuted,
    SetVolume,
    SilenceSpeaker,
    Talk,
    ToolOutput,
    UseDevice,
)
from rtcli.protocol.requests import COLLISION, Asked, Order, Requests
from rtcli.protocol.session_view import SessionView, merged
from rtcli.protocol.transcript import Transcript, Voice
from rtcli.protocol.updates import Activity, Ready, Refused, ToolWanted, Update, Warned
from rtcli.records import dataclass


SESSION_LIMIT = 5.0
"""Seconds to wait for `session.created`, and again for `session.updated`; the official JavaScript SDK's figure."""
ANSWER_LIMIT = 30.0
"""Seconds to wait for a response that the service makes by itself; some announce it with its first sound."""
UNNAMED_LIMIT = 15.0
"""What is left of these limits after an error that names no event: it may have been about what is waited for."""
SETTLE_FIRST, SETTLE = 4.0, 1.5
"""Seconds after the end of a file in which its speech may still be noticed: before and after a first answer."""
TAIL = 0.3
"""Seconds from the last sound of the user to its commit: sound and events travel apart and keep no common order."""
UNSEEN_PAUSE = 0.5
"""Seconds between a filtered stream's last words of a response and its hidden `response.done`."""
LONGEST, ENDING_SOON = 3600.0, 300.0
"""Seconds a session lasts at the service that says when it expires, and how long before the end the user is told."""

_SHOWN_BY_NO_FILTER = (ev.SessionCreated, ev.SessionUpdated, ev.ResponseCreated, ev.ResponseDone, ev.ErrorEvent)
_GUESTS = 1024
"""Events of attached processes that are remembered."""
_AT_ONCE = frozenset({"response.cancel", "output_audio_buffer.clear", "input_audio_buffer.append"})
"""Client events that are about this moment: they never stand in line."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is known of a call before it begins."""

    update: JsonObject | None = None
    """A session object to send by `session.update` and to wait for."""
    filtered: bool = False
    """The event stream may hide session and response events (Azure's filter): rule 9."""
    answers_functions: bool = False
    """Somebody gives `ToolOutput` for every `ToolWanted`."""
    microphone_is_file: bool = False
    ends_with_file: bool = True
    """When the answer to the file has been heard the call is over, unless lines have come."""
    microphone_waits: bool = False
    """Do not open the microphone when ready, but on `PlayMicrophone`."""
    patience: float = STALLED
    """Seconds without news after which an answer is not waited for any more."""


@dataclass(frozen=True, slots=True)
class Step:
    """What follows from one event or intent, each in order."""

    updates: tuple[Update, ...] = ()
    events: tuple[tuple[JsonObject, ...], ...] = ()
    """Groups. When one of a group can not be sent, the rest of it must not be sent either: tell `unsent`."""
    effects: tuple[Effect, ...] = ()


class Conversation:
    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._filtered = plan.filtered
        self._transcript = Transcript()
        self._answers = Answers(plan.patience)
        self._unanswered = Unanswered()
        # Session: waiting for `session.created`, then for `session.updated`, then ready.
        self._session: JsonObject = {}
        self._view = SessionView(plan.update or {})
        """As the service describes it; as it was asked for where the service does not say that it is so."""
        self._ready = False
        self._updating = False
        self._update_id = ""
        self._session_due: float | None = None
        self._session_error: ServiceError | None = None
        self._opened_at = 0.0
        self._warn_at: float | None = None
        self._held: deque[Intent] = deque()  # bounded by whoever posts: see `backlog`
        # Responses, by rule 3.
        self._requests = Requests(plan.patience)
        self._expected_until = 0.0
        self._stop_next = False
        """The response that is about to begin is not wanted any more."""
        self._stop_id = ""
        """Of the last `response.cancel` that was for whatever runs."""
        # Sound.
        self._sounded_at: float | None = None
        self._user_speaking = False
        self._talking = False
        self._commit_at: float | None = None
        self._muted = False
        self._activity = Activity(user_speaking=False, model_speaking=False, thinking=False)
        # Functions, by rule 7: calls whose output is still owed.
        self._owed: dict[str, None] = {}
        # The end, by rule 8.
        self._news_at = 0.0
        self._begun = 0
        """Responses in the conversation so far."""
        self._noticed = self._recognised = False
        self._lines_came = False
        self._input_ended = False
        self._microphone_opened = self._playing_file = self._file_ended = False
        self._settle_until = 0.0
        self._problem: RtcliError | None = None
        self._finished = False
        self._guests: deque[str] = deque(maxlen=_GUESTS)
        """Events of attached processes, by `event_id`."""
        # One step.
        self._now = 0.0
        self._serial = 0
        self._updates: list[Update] = []
        self._events: list[tuple[JsonObject, ...]] = []
        self._effects: list[Effect] = []

    # ---- in ----

    def opened(self, now: float) -> Step:
        """The data channel is open."""
        return self._step(now, self._channel_opened)

    def receive(self, event: ev.ServerEvent | ev.Unknown | ev.Malformed, now: float) -> Step:
        if isinstance(event, ev.Unknown):
            return Step()  # what it is shown by is its own text; a rush of them must not cost a look at everything each
        return self._step(now, lambda: self._received(event))

    def handle(self, intent: Intent, now: float) -> Step:
        self._news_at = now
        return self._step(now, lambda: self._intend(intent))

    def unsent(self, event_id: str, error: ServiceError, now: float) -> Step:
        """A client event could not be sent; what followed it in its group was not."""
        return self._step(now, lambda: self._not_sent(event_id, error))

    def tick(self, now: float, sounded_at: float | None) -> Step:
        """Time has passed; due about ten times a second. `sounded_at`: when the last audible sample was played."""
        self._sounded_at = sounded_at
        return self._step(now, self._time_passed)

    def went_down(self, reason: str, now: float, *, orderly: bool) -> Step:
        """The connection is gone, and it was not us. `orderly`: the other side said goodbye."""
        return self._step(now, lambda: self._lost(reason, orderly=orderly))

    def close(self, now: float) -> Step:
        """The call is ending: the words that were not shown yet."""
        return self._step(now, self._closing)

    @property
    def session(self) -> JsonObject:
        """As the service last described it."""
        return self._session

    @property
    def backlog(self) -> int:
        """Intents that wait for their turn."""
        return len(self._held) + len(self._requests)

    @property
    def idle(self) -> bool:
        """Nothing is pending, and nothing that was said, sent or played lately may still have a consequence."""
        return not (
            self._pending
            or self._now < self._settle_until
            or self._unanswered.waiting(self._now)
            or self._transcript.waiting
        )

    @property
    def _pending(self) -> bool:
        """Something is being said, asked for, made or heard."""
        return bool(
            not self._ready
            or self._held
            or self._user_speaking
            or self._talking
            or self._playing_file
            or self._commit_at is not None
            or self._requests.pending(self._now)
            or self._answers
            or self._owed
            or self._now < self._expected_until
        )

    def _step(self, now: float, rule: Callable[[], object]) -> Step:
        self._now = now
        rule()
        self._updates.extend(self._transcript.release(now))
        self._tell_activity()
        self._finish_when_done()
        step = Step(tuple(self._updates), tuple(self._events), tuple(self._effects))
        self._updates, self._events, self._effects = [], [], []
        return step

    def _received(self, event: ev.ServerEvent | ev.Malformed) -> None:
        rule = self._rules.get(type(event))
        if isinstance(event, _SHOWN_BY_NO_FILTER):
            self._filtered = False
        if isinstance(event, ev.ServerEvent):
            self._unanswered.answered(event)
        if rule:
            self._news_at = self._now
            rule(self, event)

    # ---- session ----

    def _channel_opened(self) -> None:
        self._opened_at = self._news_at = self._now
        self._session_due = self._now + SESSION_LIMIT
        if self._filtered:
            self._session_created_or_given_up()

    def _session_created(self, event: ev.SessionCreated) -> None:
        self._session = event.session
        self._view = SessionView(merged(event.session, self._plan.update or {}))
        if "expires_at" in event.session and self._warn_at is None:
            self._warn_at = self._opened_at + LONGEST - ENDING_SOON
        if not self._ready and not self._updating:
            self._session_created_or_given_up()

    def _session_created_or_given_up(self) -> None:
        if self._plan.update is None:
            self._become_ready()
            return
        self._updating = True
        self._update_id = self._send_alone(to_object(out.SessionUpdate(session=self._plan.update)))
        self._session_due = self._now + SESSION_LIMIT
        if self._filtered:
            self._become_ready()

    def _session_updated(self, event: ev.SessionUpdated) -> None:
        self._session = event.session
        self._view = SessionView(event.session)
        if self._updating:
            self._become_ready()

    def _session_overdue(self) -> None:
        if self._updating and self._session_error:
            self._session_refused(self._session_error)
            return
        waited_for = "session.updated" if self._updating else "session.created"
        self._warn(f"no {waited_for} within {SESSION_LIMIT:g} s; going on without it", "session_silent")
        if self._updating:
            self._become_ready()
        else:
            self._session_created_or_given_up()

    def _session_refused(self, error: ServiceError) -> None:
        self._session_due = None
        self._finish(Finish("the session was refused", error=error))

    def _become_ready(self) -> None:
        self._session_due = None
        self._updating = False
        if self._ready:
            return
        self._ready = True
        self._updates.append(Ready(self._session))
        if not self._plan.microphone_waits:
            self._open_microphone()
        held, self._held = self._held, deque()
        for intent in held:
            self._intend(intent)

    def _open_microphone(self, _: PlayMicrophone | None = None) -> None:
        if self._microphone_opened:
            return
        self._microphone_opened = True
        self._playing_file = self._plan.microphone_is_file
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
        self._set_muted(on=not self._muted if intent.on is None else intent.on)

    def _mistyped(self, intent: Mistyped) -> None:
        self._warn(intent.message, "mistyped")

    def _about_sound(self, intent: UseDevice | SetVolume) -> None:
        """What only the call can do, and the service never hears of."""
        self._effects.append(intent)

    def _no_more_input(self, _: InputEnded) -> None:
        self._input_ended = True
        self._talk(Talk(on=False))

    def _say(self, intent: Say) -> None:
        self._lines_came = True
        content: list[JsonObject] = [{"type": "input_text", "text": intent.text}] if intent.text else []
        content += [{"type": "input_image", "image_url": uri} for uri in intent.images]
        if intent.interrupt:
            self._interrupt()
        message: JsonObject = {"type": "message", "role": intent.role, "content": content}
        item = to_object(out.ConversationItemCreate(item=message))
        if intent.respond:
            self._ask(item)
        else:
            self._queue(Order((item,)))

    def _send_given(self, intent: SendEvent) -> None:
        self._lines_came = True
        event = intent.event
        if intent.guest:
            self._guests.append(str(event.get("event_id")))
        if str(event.get("type")) in _AT_ONCE:
            self._send_alone(event)
            return
        decoded = out.decode_object(event)
        asks = isinstance(decoded, out.ResponseCreate) and (decoded.response or {}).get("conversation") != "none"
        self._queue(Order((event,), asks=asks))

    def _interrupt(self, _: Interrupt | None = None) -> None:
        """Rule 5."""
        self._stop_next = self._requests.asked is not None or self._now < self._expected_until
        running = bool(self._answers.running)
        sounding = any(answer.voice in {"due", "sounding"} for answer in self._answers)
        self._effects.append(SilenceSpeaker(untold=running or sounding))
        if running:
            self._send_alone(to_object(out.ResponseCancel()))
        if running or sounding:
            self._send_alone(to_object(out.OutputAudioBufferClear()))
        self._cut_unheard(list(self._answers))

    def _tool_output(self, intent: ToolOutput) -> None:
        owed = intent.call_id in self._owed
        self._owed.pop(intent.call_id, None)
        item = out.function_output_item(intent.call_id, intent.output)
        self._send_alone(to_object(out.ConversationItemCreate(item=item)))
        if owed and not self._owed:
            self._ask()

    def _microphone_ended(self, _: MicrophoneEnded) -> None:
        if not self._playing_file:
            return
        self._playing_file = False
        self._file_ended = True
        self._settle_until = self._now + (SETTLE if self._begun else SETTLE_FIRST)
        if self._view.turns_by_hand:
            self._commit_at = self._now + TAIL

    def _phrase_ended(self, _: PhraseEnded) -> None:
        """Models that write down speech as it comes find no turns: a pause ends one, unless a key does."""
        if self._view.only_transcribes and self._view.turns_by_hand and not self._talking and not self._muted:
            self._send_alone(to_object(out.InputAudioBufferCommit()))

    def _talk(self, intent: Talk) -> None:
        on = not self._talking if intent.on is None else intent.on
        if on == self._talking:
            return
        self._talking = on
        if on:
            self._commit_at = None
            self._send_alone(to_object(out.InputAudioBufferClear()))
            self._interrupt()
            self._set_muted(on=False)
        else:
            self._commit_at = self._now + TAIL

    def _commit(self) -> None:
        """The user's turn ends by hand; in a transcription session nobody answers it."""
        self._commit_at = None
        if not self._plan.microphone_is_file:
            self._set_muted(on=True)
        commit = to_object(out.InputAudioBufferCommit())
        if self._view.only_transcribes:
            self._send_alone(commit)
        else:
            self._ask(commit)

    def _set_muted(self, *, on: bool) -> None:
        self._muted = on
        self._effects.append(SetMuted(on))

    # ---- the user's turn ----

    def _speech_started(self, event: ev.InputAudioBufferSpeechStarted) -> None:
        self._user_speaking = self._noticed = True
        self._settle_until = 0.0
        stopped = self._answers.interruptible if self._view.interrupts else []
        if stopped:
            self._effects.append(SilenceSpeaker())
        self._cut_unheard(stopped)
        self._transcript.hear(event.item_id, self._now)

    def _speech_stopped(self, event: ev.InputAudioBufferSpeechStopped) -> None:
        self._user_speaking = False
        self._transcript.committed(event.item_id, self._now)
        self._expect_answer()

    def _committed(self, event: ev.InputAudioBufferCommitted) -> None:
        self._user_speaking = False
        self._noticed = True
        self._settle_until = 0.0
        self._transcript.committed(event.item_id, self._now)
        if self._view.is_without_words:
            self._transcript.no_words(event.item_id, self._now)
        self._expect_answer()

    def _expect_answer(self) -> None:
        if self._view.answers_by_itself:
            self._expected_until = self._now + ANSWER_LIMIT

    def _input_cleared(self, _: ev.InputAudioBufferCleared) -> None:
        self._user_speaking = False
        self._transcript.thrown_away()

    def _user_was_silent(self, event: ev.InputAudioBufferTimeoutTriggered) -> None:
        """`idle_timeout_ms`: the silence becomes a turn without words, and the model speaks up."""
        self._transcript.heard(event.item_id, 0, "", self._now)
        self._expect_answer()

    def _heard_part(self, event: ev.ConversationItemInputAudioTranscriptionDelta) -> None:
        self._tell(self._transcript.hear_part(event.item_id, event.content_index, event.delta, self._now))

    def _heard(self, event: ev.ConversationItemInputAudioTranscriptionCompleted) -> None:
        self._recognised = self._recognised or bool(event.transcript.strip())
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

    # ---- asking for responses ----

    def _ask(self, *before: JsonObject) -> None:
        self._queue(Order((*before, to_object(out.ResponseCreate())), asks=True))

    def _queue(self, order: Order) -> None:
        self._requests.add(order)
        self._advance()

    def _advance(self) -> None:
        """Send what stands in line, up to a response that may not be asked for yet."""
        while order := self._requests.next(self._now, running=bool(self._answers.running)):
            event_ids = self._send(order.events)
            self._requests.sent(order, event_ids, self._unanswered.newest, self._now)
            self._stop_next = self._stop_next and not order.asks

    def _refused_request(self, asked: Asked, event_id: str, error: ServiceError) -> None:
        """The service refused a request, or what belongs before it."""
        if event_id != asked.create_id:
            # It answers all the same, and not what was asked.
            self._refuse(error, event_id)
            self._stop_answer_to(asked)
            return
        self._stop_next = self._stop_next and asked is not self._requests.asked
        if not self._requests.refused(asked, error.code, self._now, running=bool(self._answers.running)):
            self._refuse(error, event_id)
        self._advance()

    def _stop_answer_to(self, asked: Asked) -> None:
        if asked is self._requests.asked:
            self._stop_next = True
        elif self._requests.is_newest(asked) and self._answers.running:
            self._send_alone(to_object(out.ResponseCancel()))

    def _not_sent(self, event_id: str, error: ServiceError) -> None:
        self._unanswered.refused(event_id)
        self._requests.drop(event_id)
        self._refuse(error, event_id)
        if event_id == self._update_id:
            self._session_refused(error)
        self._advance()

    def _refuse(self, error: ServiceError, event_id: str = "") -> None:
        if event_id and event_id in self._guests:
            self._warn(f"refused to an attached process: {error}", "guest_refused")
            return
        self._problem = self._problem or error
        self._updates.append(Refused(error))

    # ---- responses ----

    def _answer(self, response_id: str) -> Answer | None:
        """The response an event speaks of, known from its first event on; None when it is over."""
        answer = self._answers.get(response_id)
        if answer is None and not self._answers.is_over(response_id):
            answer = self._begin(response_id)
        if answer is not None:
            answer.touch(self._now)
        return answer

    def _begin(self, response_id: str, *, aside: bool = False) -> Answer:
        answer = Answer(response_id, self._now, self._now, aside=aside)
        self._answers.add(answer)
        if aside:
            self._requests.begun_aside()
            return answer
        self._begun += 1
        if asked := self._requests.begun(surely=self._now >= self._expected_until):
            self._unanswered.settled(asked.place)
        self._expected_until = self._settle_until = 0.0
        if self._stop_next:
            self._stop_next = False
            self._send_alone(to_object(out.ResponseCancel()))
        return answer

    def _response_created(self, event: ev.ResponseCreated) -> None:
        response = event.response
        if self._requests.asides and self._is_outside(response) and self._answers.get(response.id) is None:
            self._begin(response.id, aside=True)
        else:
            self._answer(response.id)

    def _is_outside(self, response: ev.Response) -> bool:
        """Outside the conversation: the service says so by null; one that says nothing means what is waited for."""
        awaited = self._requests.asked or self._now < self._expected_until
        return response.conversation_id is None and ("conversation_id" in response.extra or not awaited)

    def _response_goes_on(self, event: Any) -> None:
        """Any event that belongs to a response and has no rule of its own."""
        self._answer(event.response_id)

    def _response_sounds(self, event: ev.ResponseOutputAudioDelta | ev.ResponseOutputAudioDone) -> None:
        if answer := self._answer(event.response_id):
            answer.speaks()

    def _response_item(self, event: ev.ResponseOutputItemAdded | ev.ResponseOutputItemDone) -> None:
        answer = self._answer(event.response_id)
        if answer is None:
            return
        _note_call(answer, event.item)
        if event.item.type == "message":
            self._transcript.say(event.item.id, event.response_id, self._now)

    def _response_calls(self, event: ev.ResponseFunctionCallArgumentsDone) -> None:
        """Some servers tell of a function call by nothing else."""
        if answer := self._answer(event.response_id):
            _note_call(
                answer,
                ev.Item(type="function_call", call_id=event.call_id, name=event.name, arguments=event.arguments),
            )

    def _said_part(self, event: ev.ResponseOutputTextDelta | ev.ResponseOutputAudioTranscriptDelta) -> None:
        answer = self._answer(event.response_id)
        if answer is None:
            return
        if isinstance(event, ev.ResponseOutputAudioTranscriptDelta):
            answer.speaks()
        self._tell(
            self._transcript.say_part(event.item_id, event.response_id, event.content_index, event.delta, self._now)
        )

    def _said_text(self, event: ev.ResponseOutputTextDone) -> None:
        answer = self._answer(event.response_id)
        if answer is None:
            return
        self._transcript.said(event.item_id, event.response_id, event.content_index, event.text, self._now)
        if self._filtered:  # its `response.done` is hidden
            self._made(answer)

    def _said_aloud(self, event: ev.ResponseOutputAudioTranscriptDone) -> None:
        if answer := self._answer(event.response_id):
            answer.speaks()
            self._transcript.said(event.item_id, event.response_id, event.content_index, event.transcript, self._now)

    def _response_done(self, event: ev.ResponseDone) -> None:
        response = event.response
        answer = self._answer(response.id)
        if answer is None or answer.made:
            return
        for item in response.output:
            _note_call(answer, item)
            self._item_made(answer, item)
        if response.status in {"failed", "incomplete", "cancelled"}:
            answer.cut = True
            self._ended_badly(answer, response)
        elif not answer.aside:
            self._want(answer)
        self._made(answer)

    def _item_made(self, answer: Answer, item: ev.Item) -> None:
        for index, part in enumerate(item.content if item.type == "message" else ()):
            if part.type in {"output_audio", "audio"} and part.transcript:
                answer.speaks()
            if words := part.transcript or part.text:
                self._transcript.said_after_all(item.id, answer.response_id, index, words, self._now)

    def _want(self, answer: Answer) -> None:
        """The functions it called. Out of the conversation nobody could take their output."""
        if self._plan.answers_functions:
            self._owed |= dict.fromkeys(answer.calls)
        self._updates.extend(answer.calls.values())

    def _ended_badly(self, answer: Answer, response: ev.Response) -> None:
        details = response.status_details or ev.StatusDetails()
        reason = details.reason or ""
        if response.status == "cancelled":
            if answer.voice != "sounding":
                answer.silence()
            if answer.stopped or reason in {"turn_detected", ""}:
                return
        error = details.error or ev.ErrorDetail()
        said = error.message or reason or "no reason given"
        self._refuse(ServiceError(f"the response is {response.status}: {said}", code=error.code, kind=error.type))

    def _malformed(self, event: ev.Malformed) -> None:
        """A `response.done` that can not be read is one all the same, and nobody knows how it ended."""
        for answer in self._answers.running if event.type == "response.done" else []:
            answer.cut = True
            self._refuse(ServiceError(f"the end of the response can not be read ({event.reason})"))
            self._made(answer)

    def _made(self, answer: Answer) -> None:
        answer.made = True
        self._end_if_over(answer)
        self._advance()

    def _end_if_over(self, answer: Answer) -> None:
        if not answer.over:
            return
        # What a filter shows is not all of a response: more words of it may come.
        self._answers.remove(answer, for_good=answer.cut or not self._filtered)
        self._said_all(answer)
        if self._filtered:
            self._requests.pause(self._now + UNSEEN_PAUSE)

    def _said_all(self, answer: Answer) -> None:
        voice = Voice(self._answers.sounded(answer, self._now), interrupted=answer.silent_from is not None)
        self._transcript.said_all(answer.response_id, self._now, cut=answer.cut, voice=voice)

    def _cut_unheard(self, answers: list[Answer]) -> None:
        """Interrupted: what has not sounded never will, and no event says so. A filter hides the rest too."""
        for answer in answers:
            answer.interrupt(self._now)
            if not self._filtered and (answer.voice == "sounding" or not answer.made):
                continue
            answer.cut = answer.made = True
            answer.silence()
            self._end_if_over(answer)

    # ---- the model's voice ----

    def _voice_started(self, event: ev.OutputAudioBufferStarted) -> None:
        self._effects.append(ResumeSpeaker())
        answer = self._answer(event.response_id)
        if answer is None:  # it had been given up
            answer = Answer(event.response_id, self._now, self._now, made=True)
            self._answers.add(answer)
        self._answers.sounds(answer, self._now)

    def _voice_stopped(self, event: ev.OutputAudioBufferStopped) -> None:
        self._voice_over(event.response_id, cut=False)

    def _voice_cleared(self, event: ev.OutputAudioBufferCleared) -> None:
        self._effects.append(SilenceSpeaker())
        self._voice_over(event.response_id, cut=True)

    def _voice_over(self, response_id: str, *, cut: bool) -> None:
        answer = self._answers.get(response_id)
        if answer is None:
            return
        answer.touch(self._now)
        if cut:
            answer.interrupt(self._now)
        answer.voice = "over"
        answer.cut = answer.cut or cut
        answer.made = answer.made or self._filtered
        self._end_if_over(answer)
        self._advance()

    # ---- errors ----

    def _error(self, event: ev.ErrorEvent) -> None:
        detail = event.error
        named = detail.event_id or ""
        error = ServiceError(detail.message or "no message", code=detail.code, kind=detail.type, param=detail.param)
        self._unanswered.refused(named)
        if named and named == self._update_id:
            self._session_refused(error)
        elif detail.code == "response_cancel_not_active":
            self._nothing_to_stop(named)
        elif asked := self._requests.with_event(named):
            self._refused_request(asked, named, error)
        elif not named and error.code == COLLISION:
            # The service's own answer to a turn met one that may not be interrupted.
            self._expected_until = 0.0
            self._warn(str(error), COLLISION)
        else:
            self._requests.drop(named)
            self._refuse(error, named)
            if not named:
                self._doubt(error)

    def _nothing_to_stop(self, event_id: str) -> None:
        """Harmless: the stop came too late. But a response that we still believe to be running has lost its end."""
        for answer in self._answers.running if event_id == self._stop_id else []:
            self._made(answer)

    def _doubt(self, error: ServiceError) -> None:
        """An error that names nobody may be about what is waited for: wait for a while only."""
        until = self._now + UNNAMED_LIMIT
        self._expected_until = min(self._expected_until, until)
        self._requests.doubt(until)
        for answer in self._answers.running:
            answer.doubted = True
        if self._updating:
            self._session_error = error

    # ---- time ----

    def _time_passed(self) -> None:
        if self._session_due is not None and self._now >= self._session_due:
            self._session_overdue()
        if self._warn_at is not None and self._now >= self._warn_at:
            self._warn_at = None
            self._warn(f"the service ends the session in {ENDING_SOON / 60:g} minutes", "session_ending")
        if self._commit_at is not None and self._now >= self._commit_at:
            self._commit()
        for _ in range(self._requests.overdue(self._now)):
            self._nothing_came("response.create was answered by nothing", "response_silent")
        for answer in self._answers.expired(self._now, self._sounded_at):
            self._give_up(answer)
        if self._stop_next and not self._requests.asked and self._now >= self._expected_until:
            self._stop_next = False
        self._advance()
        self._give_up_all()

    def _give_up(self, answer: Answer) -> None:
        if not answer.made:
            answer.cut = True
            self._nothing_came(f"nothing more came of response {answer.response_id}", "response_stalled")
        answer.made = True
        answer.silence()
        self._end_if_over(answer)

    def _give_up_all(self) -> None:
        """The last limit of a call that only waits for its end."""
        news = max(self._news_at, self._sounded_at or 0.0)
        if self._ending and self._ready and not self._playing_file and self._now - news >= self._plan.patience:
            self._problem = self._problem or WaitTimeout(f"nothing came for {self._plan.patience:g} s")
            self._finish_in_order()

    def _nothing_came(self, message: str, code: str) -> None:
        self._problem = self._problem or WaitTimeout(message)
        self._warn(message, code)

    # ---- the end ----

    @property
    def _ending(self) -> bool:
        return self._input_ended or (self._file_ended and self._plan.ends_with_file and not self._lines_came)

    def _finish_when_done(self) -> None:
        if self._ending and self.idle:
            self._finish_in_order()

    def _finish_in_order(self) -> None:
        reason = "the answer has been heard" if self._begun else "end of input"
        self._finish(Finish(reason, error=self._outcome, drain=True))

    @property
    def _outcome(self) -> RtcliError | None:
        if self._problem or not self._file_ended:
            return self._problem
        if not self._noticed and not self._begun:
            return WaitTimeout("no answer came: the service noticed no speech in the file")
        if self._view.only_transcribes:
            return None if self._recognised else WaitTimeout("no words came: nothing in the file was recognised")
        if self._view.answers_by_itself and not self._begun:
            return WaitTimeout(f"no answer came within {ANSWER_LIMIT:g} s")
        return None

    def _closing(self) -> None:
        for answer in self._answers:
            answer.cut = True
            answer.interrupt(self._now)
            self._said_all(answer)
        self._updates.extend(self._transcript.release_all())

    def _lost(self, reason: str, *, orderly: bool) -> None:
        if not orderly or self._pending:
            error: RtcliError | None = CallLost(reason)
        else:
            error = self._outcome if self._ending else None
        self._finish(Finish(reason, error=error, drain=True))

    def _finish(self, how: Finish) -> None:
        if not self._finished:
            self._finished = True
            self._effects.append(how)

    # ---- out ----

    def _send_alone(self, event: JsonObject) -> str:
        return self._send((event,))[0]

    def _send(self, events: tuple[JsonObject, ...]) -> list[str]:
        """Send a group; gives the `event_id` of each."""
        group = tuple(self._with_id(event) for event in events)
        self._events.append(group)
        last = group[-1]
        if is_item(last) or not self._filtered:  # what answers it settles the whole group
            self._unanswered.sent(last, self._now)
        if last.get("type") == "response.cancel":
            self._stopping(last)
        return [event["event_id"] for event in group]

    def _stopping(self, cancel: JsonObject) -> None:
        if "response_id" not in cancel:
            self._stop_id = cancel["event_id"]
        for answer in self._answers.running:
            answer.stopped = True

    def _with_id(self, event: JsonObject) -> JsonObject:
        """Rule 4."""
        self._serial += 1
        event_id = event.get("event_id")
        given = isinstance(event_id, str) and event_id
        return event if given else {**event, "event_id": f"rt_{self._serial}"}

    def _warn(self, message: str, code: str) -> None:
        self._updates.append(Warned(message, code))

    def _tell(self, update: Update | None) -> None:
        if update is not None:
            self._updates.append(update)

    def _tell_activity(self) -> None:
        speaking = self._answers.speaking(self._now, self._sounded_at)
        thinking = (
            bool(self._requests.asked or self._answers.running or self._now < self._expected_until) and not speaking
        )
        user = self._user_speaking or self._talking
        activity = Activity(user_speaking=user, model_speaking=speaking, thinking=thinking)
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
        ev.InputAudioBufferTimeoutTriggered: _user_was_silent,
        ev.ConversationItemInputAudioTranscriptionDelta: _heard_part,
        ev.ConversationItemInputAudioTranscriptionCompleted: _heard,
        ev.ConversationItemInputAudioTranscriptionFailed: _not_heard,
        ev.ConversationItemAdded: _item_added,
        ev.ConversationItemCreated: _item_added,
        ev.ConversationItemDeleted: _item_deleted,
        ev.ResponseCreated: _response_created,
        ev.ResponseOutputItemAdded: _response_item,
        ev.ResponseOutputItemDone: _response_item,
        ev.ResponseContentPartAdded: _response_goes_on,
        ev.ResponseContentPartDone: _response_goes_on,
        ev.ResponseOutputTextDelta: _said_part,
        ev.ResponseOutputAudioTranscriptDelta: _said_part,
        ev.ResponseOutputTextDone: _said_text,
        ev.ResponseOutputAudioTranscriptDone: _said_aloud,
        ev.ResponseOutputAudioDelta: _response_sounds,
        ev.ResponseOutputAudioDone: _response_sounds,
        ev.ResponseFunctionCallArgumentsDelta: _response_goes_on,
        ev.ResponseFunctionCallArgumentsDone: _response_calls,
        ev.ResponseMcpCallArgumentsDelta: _response_goes_on,
        ev.ResponseMcpCallArgumentsDone: _response_goes_on,
        ev.ResponseDone: _response_done,
        ev.OutputAudioBufferStarted: _voice_started,
        ev.OutputAudioBufferStopped: _voice_stopped,
        ev.OutputAudioBufferCleared: _voice_cleared,
        ev.ErrorEvent: _error,
        ev.Malformed: _malformed,
    }
    """Which rule a server event has. One without changes nothing: it is shown, that is all."""

    _early: ClassVar[dict[type, Callable[[Conversation, Any], None]]] = {
        HangUp: _hang_up,
        Fail: _fail,
        Mute: _mute,
        Mistyped: _mistyped,
        UseDevice: _about_sound,
        SetVolume: _about_sound,
    }
    """Intents that never wait for the session."""

    _intents: ClassVar[dict[type, Callable[[Conversation, Any], None]]] = {
        Say: _say,
        SendEvent: _send_given,
        Interrupt: _interrupt,
        ToolOutput: _tool_output,
        PlayMicrophone: _open_microphone,
        MicrophoneEnded: _microphone_ended,
        PhraseEnded: _phrase_ended,
        Talk: _talk,
        InputEnded: _no_more_input,
    }
    """Intents that are kept until the session is ready."""


def _note_call(answer: Answer, item: ev.Item) -> None:
    """A function call, told more than once: when it begins, when its arguments are whole, when it is done."""
    if item.type != "function_call" or not item.call_id:
        return
    known = answer.calls.get(item.call_id)
    name = item.name or (known.name if known else "")
    arguments = item.arguments or (known.arguments if known else "{}")
    answer.calls[item.call_id] = ToolWanted(item.call_id, name, arguments)
