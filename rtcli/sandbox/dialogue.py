"""The service's side of the protocol of one call: no I/O and no clock.

In come client events, voice activity, recognised words, pieces of an answer and the progress of its sound; out go
server events and orders for the call that carries them (`effects`). Rules of this file:

- Every public method takes the time and gives the effects in the order in which they must be performed.
- An event of a client is refused before anything of it is done, or done whole.
- The orders are those of OpenAI's guide: `response.done` comes when everything is made, `output_audio_buffer.stopped`
  when everything was sent; a barge-in ends the response first, then clears the buffer, then truncates the item.
- One response at a time in the default conversation; those out of band run beside it.

It is longer than other files because the events of one protocol share one state; items, responses, sessions and shapes
have files of their own.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rtcli.records import dataclass
from rtcli.sandbox.client_events import CHECK_EVENT, event_id, parse
from rtcli.sandbox.draft import Draft
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
from rtcli.sandbox.engine.base import (
    AnyEvent,
    Failed,
    Filtered,
    FunctionCall,
    McpCall,
    McpQuestion,
    Paused,
    Piece,
    Resumed,
    SpeechStarted,
    SpeechStopped,
    VoiceActivity,
)
from rtcli.sandbox.items import Conversation, Item
from rtcli.sandbox.refusal import Refusal
from rtcli.sandbox.response import Plan, Response
from rtcli.sandbox.session import Session, TurnDetection, voice_is_fixed, voice_name
from rtcli.sandbox.shapes import invalid
from rtcli.sandbox.transcription import delta, transcription_events
from rtcli.sandbox.usage import RateLimits


_SHORTEST_COMMIT_MS = 100
_MOST_OUT_OF_BAND = 8
_UNFINISHED = re.compile(r"(?:[,;:-]|\.\.\.|…|\b(?:a|an|and|because|but|if|my|of|or|the|uh|um)\W*)$", re.IGNORECASE)
"""How words end whose speaker has not finished (semantic turn detection; the service has a model for that)."""
_DETECTION_LAG_MS = 1000
"""How long after its first sample speech may be detected; so much sound is kept while nobody speaks."""


_DRAFT_EARS = (0.5, 300)
"""Threshold, and the silence in milliseconds after which words are told that no turn detection asks for."""


@dataclass(slots=True)
class _Speech:
    """Somebody is speaking."""

    item_id: str
    start_ms: int
    recognising: bool = False
    words: str | None = None
    paused_at_ms: int | None = None
    """Its last sample, when it stopped in the middle of a sentence and may go on."""

    @property
    def trails_off(self) -> bool:
        """Its words are known and want something behind them."""
        return self.words is not None and _UNFINISHED.search(self.words) is not None


class Dialogue:
    """One call's state of the protocol."""

    def __init__(
        self,
        session: Session,
        *,
        new_id: Callable[[str], str],
        now: float,
        mcp_tools: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
    ) -> None:
        """`new_id("item")` gives a fresh `item_…`; `now` is in seconds on any steady clock.

        `mcp_tools`: what an MCP server lists, by its label; one that is not named here can not be reached.
        """
        self.session = session
        self._mcp_tools = mcp_tools or {}
        self._listed: set[str] = set()
        self._ears: tuple[float, int] | None = None
        """Threshold and silence of the detector at work."""
        self._draft: Draft | None = None
        self._drafts: dict[str, Draft] = {}
        """Committed and not understood to their end, by item."""
        self._new_id = new_id
        self._now = now
        self._out: list[Effect] = []
        self._conversation = Conversation(new_id("conv"))
        self._limits = RateLimits(now)
        self._active: Response | None = None
        self._responses: dict[str, Response] = {}
        self._sounds: dict[str, Response] = {}
        self._unheard: dict[str, Item] = {}
        self._speech: _Speech | None = None
        self._spoken = False
        self._clock_ms = 0
        self._buffer_ms = 0
        self._quiet_since: tuple[float, int] | None = None
        self._handlers: Mapping[str, Callable[[Mapping[str, Any]], None]] = {
            "session.update": self._update_session,
            "conversation.item.create": self._create_item,
            "conversation.item.retrieve": self._retrieve_item,
            "conversation.item.truncate": self._truncate_item,
            "conversation.item.delete": self._delete_item,
            "input_audio_buffer.append": self._refuse_append,
            "input_audio_buffer.commit": self._commit_by_hand,
            "input_audio_buffer.clear": self._clear_input,
            "output_audio_buffer.clear": self._clear_output,
            "response.create": self._create_response,
            "response.cancel": self._cancel_response,
        }

    # --- the call -----------------------------------------------------------------------------------------------------

    def opened(self, now: float) -> list[Effect]:
        """The data channel is open."""
        self._now = now
        self._emit("session.created", session=self.session.view())
        if not self.session.transcribes_only:
            conversation = {"id": self._conversation.id, "object": "realtime.conversation"}
            self._emit("conversation.created", conversation=conversation)
            self._list_tools()
        self._listen(None)
        return self._taken()

    def greeting(self) -> dict[str, Any]:
        """What a further connection to the session hears first, and nobody else."""
        return {"type": "session.created", "event_id": self._new_id("event"), "session": self.session.view()}

    def expired(self, limit: str, now: float) -> list[Effect]:
        """The session reached its limit, "60 minutes"; the call ends it."""
        self._now = now
        self._complain(Refusal(f"Your session hit the maximum duration of {limit}.", code="session_expired"), None)
        return self._taken()

    def receive(self, data: str | bytes, now: float) -> list[Effect]:
        """One message of the client."""
        self._now = now
        echoed: str | None = None
        try:
            event = parse(data)
            echoed = event_id(event)
            CHECK_EVENT(event, "")
            self._handlers[event["type"]](event)
        except Refusal as no:
            self._complain(no, echoed)
        return self._taken()

    # --- session ------------------------------------------------------------------------------------------------------

    def _update_session(self, event: Mapping[str, Any]) -> None:
        before = self.session.turn_detection
        self.session.update(event["session"], spoken=self._spoken)
        self._emit("session.updated", session=self.session.view())
        if not self.session.transcribes_only:
            self._list_tools()
        self._listen(before)

    def _list_tools(self) -> None:
        """Ask each MCP server that is new in the session for its tools."""
        labels = [tool["server_label"] for tool in self.session.tools if tool["type"] == "mcp"]
        for label in labels:
            if label not in self._listed:
                self._list_tools_of(label)
        self._listed = set(labels)

    def _list_tools_of(self, label: str) -> None:
        item_id = self._new_id("mcpl")
        self._emit("mcp_list_tools.in_progress", item_id=item_id)
        if label not in self._mcp_tools:
            self._emit("mcp_list_tools.failed", item_id=item_id)
            return
        tools = [{"input_schema": {"type": "object"}, **tool} for tool in self._mcp_tools[label]]
        item = Item({"id": item_id, "type": "mcp_list_tools", "server_label": label, "tools": tools})
        self._conversation.append(item)
        self._tell_item(item)
        self._emit("mcp_list_tools.completed", item_id=item_id)

    def _listen(self, before: TurnDetection | None) -> None:
        turn = self.session.turn_detection
        ahead = _DRAFT_EARS if self.session.hears_ahead else None
        wanted = ahead if turn is None else (turn.threshold, turn.silence_ms)
        if wanted != self._ears:
            self._ears = wanted
            self._out.append(StopListening() if wanted is None else Listen(*wanted))
        if turn is None and before is not None:
            self._lose_speech()
        if ahead is None:
            self._drop_draft()

    def _lose_speech(self) -> None:
        """Turn detection went off in mid-speech: its sound waits for a commit by hand."""
        if self._speech is None:
            self._buffer_ms = self._clock_ms
            return
        self._forget_words(self._speech)
        self._buffer_ms = self._speech.start_ms
        self._speech = None

    # --- items --------------------------------------------------------------------------------------------------------

    def _item(self, item_id: str, doing: str, verb: str) -> Item:
        item = self._conversation.get(item_id)
        if item is None:
            raise Refusal(
                f"Error {doing} item: the item with id '{item_id[:64]}' does not exist.",
                code=f"item_{verb}_invalid_item_id",
                param="item_id",
            )
        return item

    def _create_item(self, event: Mapping[str, Any]) -> None:
        item, clips = self._made(event["item"])
        if item.data["type"] == "function_call_output" and not self._conversation.has_call(item.data["call_id"]):
            raise Refusal(
                f"Tool call ID '{item.data['call_id'][:64]}' not found in conversation.",
                code="invalid_tool_call_id",
                param="item.call_id",
            )
        answers_question = item.data["type"] == "mcp_approval_response"
        if answers_question and not self._conversation.has_question(item.data["approval_request_id"]):
            raise invalid("item.approval_request_id", item.data["approval_request_id"], "Nothing waits for it.")
        self._conversation.insert(item, event.get("previous_item_id"))
        self._tell_item(item)
        self._recognise(item, clips)
        if answers_question and self._active is None:
            self._answer()

    def _made(self, given: Mapping[str, Any], path: str = "item") -> tuple[Item, list[bytes]]:
        """An item from a client's description, and the sound that came in it. Raises Refusal."""
        data: dict[str, Any] = {"id": self._new_id("item"), "object": "realtime.item", "status": "completed"}
        data |= given
        if data["type"].startswith("mcp_"):
            del data["object"], data["status"]
        if data["type"] == "function_call":
            data.setdefault("call_id", self._new_id("call"))
        data["content"] = [dict(part) for part in given["content"]] if "content" in given else None
        if data["content"] is None:
            del data["content"]
        clips = [
            _clip(part, f"{path}.content[{n}]") for n, part in enumerate(data.get("content", ())) if "audio" in part
        ]
        for part in data.get("content", ()):
            part.pop("audio", None)
        item = Item(data, audio_ms=sum(map(_clip_ms, clips)))
        if clips and all(part.get("transcript") for part in data["content"] if part["type"] == "input_audio"):
            item.words = " ".join(part["transcript"] for part in data["content"] if part["type"] == "input_audio")
        return item, clips

    def _recognise(self, item: Item, clips: Sequence[bytes]) -> None:
        if clips and item.words is None:
            self._unheard[item.id] = item
            self._out.append(TranscribeClip(item.id, b"".join(clips)))

    def _tell_item(self, item: Item) -> None:
        previous = self._conversation.before(item.id)
        self._emit("conversation.item.added", previous_item_id=previous, item=item.view())
        self._emit("conversation.item.done", previous_item_id=previous, item=item.view())

    def _retrieve_item(self, event: Mapping[str, Any]) -> None:
        item = self._item(event["item_id"], "retrieving", "retrieve")
        self._emit("conversation.item.retrieved", item=item.view())

    def _delete_item(self, event: Mapping[str, Any]) -> None:
        item = self._item(event["item_id"], "deleting", "delete")
        self._conversation.delete(item.id)
        self._emit("conversation.item.deleted", item_id=item.id)

    def _truncate_item(self, event: Mapping[str, Any]) -> None:
        content_index, audio_end_ms = event["content_index"], event["audio_end_ms"]
        item = self._item(event["item_id"], "truncating", "truncate")
        if not item.is_spoken_answer or item.audio_ms == 0:
            raise Refusal("Only model output audio messages can be truncated", code="unsupported_content_type")
        if content_index != 0:
            raise invalid("content_index", content_index, "The item has one content part.")
        if audio_end_ms > item.audio_ms:
            raise Refusal(
                f"Audio content of {item.audio_ms}ms is already shorter than {audio_end_ms}ms",
                code="invalid_value",
                param="audio_end_ms",
            )
        self._truncated(item, audio_end_ms)

    def _truncated(self, item: Item, audio_end_ms: int) -> None:
        item.truncate()
        self._emit("conversation.item.truncated", item_id=item.id, content_index=0, audio_end_ms=audio_end_ms)

    # --- what the user says -------------------------------------------------------------------------------------------

    @property
    def needs_from_ms(self) -> int:
        """Sound of the user before this point of the input's clock is not needed any more."""
        if self._speech is not None:
            return self._speech.start_ms
        turn = self.session.turn_detection
        if turn is None:
            return self._buffer_ms
        return max(self._buffer_ms, self._clock_ms - turn.prefix_ms - _DETECTION_LAG_MS)

    def heard(self, clock_ms: int, now: float) -> list[Effect]:
        """The input's clock: milliseconds of sound received so far, spoken or not."""
        self._now = now
        self._clock_ms = clock_ms
        self._lose_patience()
        if self._is_idle():
            self._time_out()
        return self._taken()

    def _lose_patience(self) -> None:
        speech, turn = self._speech, self.session.turn_detection
        if speech is None or speech.paused_at_ms is None or turn is None:
            return
        if self._clock_ms - speech.paused_at_ms >= (turn.patience_ms or 0):
            self._speech_stopped(speech, self._clock_ms, turn)

    def hear(self, activity: VoiceActivity, now: float) -> list[Effect]:
        """Voice activity, on the input's clock."""
        self._now = now
        turn = self.session.turn_detection
        match activity:
            case SpeechStarted() if turn is None and self.session.hears_ahead:
                self._draft = self._draft or Draft(self._new_id("item"), self.needs_from_ms)
                self._draft.speaking = True
            case SpeechStopped() if turn is None and self._draft is not None:
                self._hear_part(self._draft)
            case _ if turn is None:
                pass
            case SpeechStarted(at_ms=at_ms) if self._speech is None:
                self._speech_started(at_ms, turn)
            case SpeechStarted() if self._speech is not None and self._speech.paused_at_ms is not None:
                self._speech.paused_at_ms = None
                self._forget_words(self._speech)
            case Paused() if self._speech is not None:
                self._speech.recognising = True
                self._out.append(Transcribe(self._speech.item_id, self._speech.start_ms, self._clock_ms))
            case Resumed() if self._speech is not None:
                self._forget_words(self._speech)
            case SpeechStopped(at_ms=at_ms) if self._speech is not None:
                if turn.patience_ms is not None and self._speech.trails_off:
                    self._speech.paused_at_ms = at_ms
                else:
                    self._speech_stopped(self._speech, at_ms + turn.silence_ms, turn)
            case _:  # a detector that was replaced in mid-speech starts or stops once more
                pass
        return self._taken()

    def _speech_started(self, at_ms: int, turn: TurnDetection) -> None:
        start_ms = max(at_ms - turn.prefix_ms, self._buffer_ms, 0)
        self._speech = _Speech(self._new_id("item"), start_ms)
        self._quiet_since = None
        self._emit("input_audio_buffer.speech_started", audio_start_ms=start_ms, item_id=self._speech.item_id)
        if turn.interrupts:
            if self._active is not None:
                self._stop(self._active, "turn_detected")
            self._empty_output()

    def _speech_stopped(self, speech: _Speech, end_ms: int, turn: TurnDetection) -> None:
        end_ms = max(speech.start_ms, min(end_ms, self._clock_ms))
        self._emit("input_audio_buffer.speech_stopped", audio_end_ms=end_ms, item_id=speech.item_id)
        self._speech = None
        self._commit(speech, end_ms)
        if turn.creates and not self.session.transcribes_only:
            self._answer()

    def _forget_words(self, speech: _Speech) -> None:
        if speech.recognising:
            self._out.append(Forget(speech.item_id, speech.words))
        speech.recognising, speech.words = False, None

    def _hear_part(self, draft: Draft) -> None:
        part_id = self._new_id("part")
        self._out.append(Transcribe(part_id, *draft.add(part_id, self._clock_ms)))

    def _drop_draft(self) -> None:
        if self._draft is not None:
            self._out += [Forget(part_id) for part_id in self._draft.waiting]
        self._draft = None

    def _part_recognised(self, draft: Draft) -> None:
        """Tell the words that are new, and the end when there is one."""
        if words := draft.news():
            kind, fields = delta(words, logprobs=self.session.wants_logprobs)
            self._emit(kind, item_id=draft.item_id, content_index=0, **fields)
        if draft.committed and not draft.waiting:
            del self._drafts[draft.item_id]
            if (item := self._unheard.pop(draft.item_id, None)) is not None:
                self._understood(item, draft.text, ahead=True)

    @staticmethod
    def _refuse_append(event: Mapping[str, Any]) -> None:
        raise Refusal(
            f"{event['type']} is not taken over WebRTC, where the audio goes on the media track.",
            code="invalid_event_for_transport",
            param="type",
        )

    def _commit_by_hand(self, _event: Mapping[str, Any]) -> None:
        draft = self._draft
        speech = self._speech or _Speech(draft.item_id if draft else self._new_id("item"), self.needs_from_ms)
        length = max(0, self._clock_ms - speech.start_ms)
        if length < _SHORTEST_COMMIT_MS:
            raise Refusal(
                "Error committing input audio buffer: buffer too small. "
                f"Expected at least {_SHORTEST_COMMIT_MS}ms of audio, but buffer only has {length}.00ms of audio.",
                code="input_audio_buffer_commit_empty",
            )
        self._forget_words(speech)
        if self._speech is not None:
            self._speech = _Speech(self._new_id("item"), self._clock_ms)
        if draft is None:
            self._commit(speech, self._clock_ms)
            return
        speech.recognising = True
        self._commit(speech, self._clock_ms)
        self._draft, self._drafts[draft.item_id], draft.committed = None, draft, True
        if draft.speaking or draft.is_empty:
            self._hear_part(draft)
        self._part_recognised(draft)

    def _commit(self, speech: _Speech, end_ms: int) -> None:
        """The sound from the speech's start to `end_ms` becomes a user item."""
        self._buffer_ms = end_ms
        self._emit("input_audio_buffer.committed", item_id=speech.item_id, previous_item_id=self._conversation.last_id)
        content = [{"type": "input_audio", "transcript": None}]
        data = {"id": speech.item_id, "object": "realtime.item", "type": "message", "status": "completed"}
        item = Item(data | {"role": "user", "content": content}, audio_ms=end_ms - speech.start_ms)
        self._conversation.append(item)
        self._tell_item(item)
        if speech.words is not None:
            self._understood(item, speech.words)
            return
        self._unheard[item.id] = item
        if not speech.recognising:
            self._out.append(Transcribe(item.id, speech.start_ms, end_ms))

    def _clear_input(self, _event: Mapping[str, Any]) -> None:
        self._buffer_ms = self._clock_ms
        self._drop_draft()
        if self._speech is not None:
            self._forget_words(self._speech)
            self._speech.start_ms = self._clock_ms
        self._emit("input_audio_buffer.cleared")

    def recognised(self, item_id: str, words: str | None, now: float) -> list[Effect]:
        """What was said in an item; None when recognition failed."""
        self._now = now
        if self._speech is not None and self._speech.item_id == item_id:
            self._speech.words = words
            self._speech.recognising = words is not None
        elif (item := self._unheard.pop(item_id, None)) is not None:
            self._understood(item, words)
        for draft in [*self._drafts.values(), *filter(None, [self._draft])]:
            if draft.recognised(item_id, words or ""):
                self._part_recognised(draft)
        return self._taken()

    def _understood(self, item: Item, words: str | None, *, ahead: bool = False) -> None:
        item.words = words or ""
        transcription = self.session.transcription
        if transcription is not None and self._conversation.get(item.id) is item:
            logprobs = self.session.wants_logprobs
            for kind, fields in transcription_events(item, words, transcription, logprobs=logprobs, ahead=ahead):
                self._emit(kind, item_id=item.id, content_index=0, **fields)
        for response in list(self._responses.values()):
            response.unheard.discard(item.id)
            self._generate(response)

    # --- silence ------------------------------------------------------------------------------------------------------

    def _is_idle(self) -> bool:
        turn = self.session.turn_detection
        if turn is None or turn.idle_ms is None or self._quiet_since is None or self._active is not None:
            return False
        return (self._now - self._quiet_since[0]) * 1000 >= turn.idle_ms

    def _time_out(self) -> None:
        """The user has been silent for `idle_timeout_ms` after an answer: the model speaks up."""
        assert self._quiet_since is not None
        speech = _Speech(self._new_id("item"), min(self._quiet_since[1], self._clock_ms), words="")
        self._quiet_since = None
        self._emit(
            "input_audio_buffer.timeout_triggered",
            item_id=speech.item_id,
            audio_start_ms=speech.start_ms,
            audio_end_ms=self._clock_ms,
        )
        self._commit(speech, self._clock_ms)
        self._answer()

    def _rest(self) -> None:
        """Nothing is being made or heard: the user's silence begins to count."""
        if self._active is None and not self._sounds and self._speech is None:
            self._quiet_since = (self._now, self._clock_ms)

    # --- responses ----------------------------------------------------------------------------------------------------

    def _create_response(self, event: Mapping[str, Any]) -> None:
        given = event.get("response", {})
        if self.session.transcribes_only:
            raise Refusal("A transcription session makes no responses.", code="invalid_value", param="type")
        alone = given.get("conversation") == "none"
        if alone and len(self._responses) >= _MOST_OUT_OF_BAND:
            raise Refusal("Too many responses are in progress.", code="conversation_already_has_active_response")
        if not alone and self._active is not None:
            raise self._already_active(self._active)
        plan = self._plan(given)
        context, clips = self._context(given.get("input"))
        for item, sound in clips:
            self._recognise(item, sound)
        self._begin(plan, context, alone=alone)

    @staticmethod
    def _already_active(response: Response) -> Refusal:
        return Refusal(
            f"Conversation already has an active response in progress: {response.id}. "
            "Wait until the response is finished before creating a new one.",
            code="conversation_already_has_active_response",
        )

    def _plan(self, given: Mapping[str, Any]) -> Plan:
        session = self.session
        voice = given.get("audio", {}).get("output", {}).get("voice", session.voice_view)
        if self._spoken and voice_name(voice) != session.voice:
            raise voice_is_fixed()
        return Plan(
            modality=given.get("output_modalities", [session.output_modality])[0],
            voice=voice,
            speed=session.speed,
            instructions=given.get("instructions", session.instructions),
            tools=given.get("tools", session.tools),
            tool_choice=given.get("tool_choice", session.tool_choice),
            max_output_tokens=given.get("max_output_tokens", session.max_output_tokens),
            metadata=given.get("metadata"),
        )

    def _context(self, given: Sequence[Mapping[str, Any]] | None) -> tuple[list[Item], list[tuple[Item, list[bytes]]]]:
        """The items a response answers: the conversation's, or those that were given with it. Raises Refusal."""
        if given is None:
            return list(self._conversation), []
        items: list[Item] = []
        clips: list[tuple[Item, list[bytes]]] = []
        for index, entry in enumerate(given):
            if entry["type"] == "item_reference":
                items.append(self._referenced(entry["id"], f"response.input[{index}].id"))
                continue
            item, sound = self._made(entry, f"response.input[{index}]")
            items.append(item)
            clips.append((item, sound))
        return items, clips

    def _referenced(self, item_id: str, path: str) -> Item:
        item = self._conversation.get(item_id)
        if item is None:
            raise invalid(path, item_id, "There is no such item.")
        return item

    def _answer(self) -> None:
        """A turn is over: answer it."""
        if self._active is not None:
            # The specification: with `interrupt_response` off this "may fail to create a response".
            self._complain(self._already_active(self._active), None)
            return
        self._begin(self._plan({}), list(self._conversation), alone=False)

    def _begin(self, plan: Plan, context: Sequence[Item], *, alone: bool) -> None:
        response = Response(
            self._new_id("resp"),
            plan,
            conversation=None if alone else self._conversation,
            context=context,
            emit=self._emit,
            new_id=self._new_id,
        )
        response.unheard = {item.id for item in context if item.id in self._unheard}
        self._responses[response.id] = response
        self._quiet_since = None
        if not alone:
            self._active = response
        response.open()
        self._generate(response)

    def _generate(self, response: Response) -> None:
        if not response.generating and not response.unheard:
            response.generating = True
            self._out.append(Generate(response.id, response.prompt()))

    def piece(self, response_id: str, piece: Piece, now: float) -> list[Effect]:
        """The reply engine's next piece."""
        self._now = now
        response = self._responses.get(response_id)
        if response is None or not response.takes_more:
            return []
        match piece:
            case str():
                self._say(response, piece)
            case FunctionCall() | McpCall() | McpQuestion():
                response.do(piece)
            case AnyEvent(event):
                self._out.append(Send({"event_id": self._new_id("event"), **event}))
            case Failed(message, code, kind):
                return self.failed(response_id, message, now, code=code, kind=kind)
            case Filtered():
                response.filter()
        return self._taken()

    def _say(self, response: Response, clause: str) -> None:
        words = response.say(clause, hold=not self._sounds)
        if words and response.speaks:
            self._spoken = True
            plan = response.plan
            self._out.append(Speak(response.id, words, voice_name(plan.voice), plan.speed))

    def takes_more(self, response_id: str) -> bool:
        """Whether further pieces of this response mean anything."""
        response = self._responses.get(response_id)
        return response is not None and response.takes_more

    def replied(self, response_id: str, now: float) -> list[Effect]:
        """The reply engine is through."""
        self._now = now
        response = self._responses.get(response_id)
        if response is not None and response.speaks:
            self._out.append(EndSpeech(response_id))
        elif response is not None:
            self._complete(response)
        return self._taken()

    def synthesised(self, response_id: str, ms: int, now: float) -> list[Effect]:
        """So much more sound of a response is in the output buffer."""
        self._now = now
        response = self._responses.get(response_id)
        if response is not None:
            response.sound_ms += ms
            self._sounds[response_id] = response
        return self._taken()

    def spoken(self, response_id: str, now: float) -> list[Effect]:
        """All of a response is sound. The end of the sending comes later, with `drained`."""
        self._now = now
        response = self._responses.get(response_id)
        if response is not None:
            response.all_made = True
            if not response.holds or not response.sound_ms:
                self._complete(response)
        return self._taken()

    def failed(
        self, response_id: str, message: str, now: float, *, code: str = "server_error", kind: str = "server_error"
    ) -> list[Effect]:
        """The reply engine or the voice broke; a failed run is a `response.done`, not an `error`."""
        self._now = now
        response = self._responses.get(response_id)
        if response is not None:
            response.fail(message, code=code, kind=kind)
            self._over(response)
            self._out.append(Cancel(response_id))
        return self._taken()

    def _complete(self, response: Response) -> None:
        response.complete()
        self._over(response)

    def _over(self, response: Response) -> None:
        """`response.done` is out."""
        del self._responses[response.id]
        if self._active is response:
            self._active = None
        limits = self._limits.draw(response.tokens, self._now)
        if response.status != "cancelled":  # the guide shows none between a cancelled response and what clears it
            self._emit("rate_limits.updated", rate_limits=limits)
        self._rest()

    def _cancel_response(self, event: Mapping[str, Any]) -> None:
        response_id = event.get("response_id")
        response = self._active if response_id is None else self._responses.get(response_id)
        if response is None:
            raise Refusal("Cancellation failed: no active response found", code="response_cancel_not_active")
        self._stop(response, "client_cancelled")

    def _stop(self, response: Response, reason: str) -> None:
        response.cancel(reason)
        self._over(response)
        self._out.append(Cancel(response.id))

    # --- the answer's sound -------------------------------------------------------------------------------------------

    def sounding(self, response_id: str, now: float) -> list[Effect]:
        """The first packet of a response went out."""
        self._now = now
        response = self._sounds.get(response_id)
        if response is not None:
            response.sounding = True
            self._emit("output_audio_buffer.started", response_id=response_id)
            self._release(response)
        return self._taken()

    def _release(self, response: Response) -> None:
        """Its sound began, or never will: what waited for that goes out."""
        if response.in_progress:
            response.release()
            if response.all_made:
                self._complete(response)

    def drained(self, response_id: str, now: float) -> list[Effect]:
        """The last packet of a response went out."""
        self._now = now
        if self._sounds.pop(response_id, None) is not None:
            self._emit("output_audio_buffer.stopped", response_id=response_id)
            self._rest()
        return self._taken()

    def cleared(self, played: Sequence[tuple[str, int]], now: float) -> list[Effect]:
        """The output buffer was emptied; of each response in it so many milliseconds had gone out."""
        self._now = now
        for response_id, played_ms in played:
            response = self._sounds.pop(response_id, None)
            if response is not None:
                self._cut(response, played_ms)
        self._rest()
        return self._taken()

    def _cut(self, response: Response, played_ms: int) -> None:
        response.played_ms += played_ms
        self._release(response)
        if response.sounding:
            self._emit("output_audio_buffer.cleared", response_id=response.id)
        response.sounding = False
        item = response.spoken_item
        if item is None or self._conversation.get(item.id) is not item:
            return
        if response.played_ms:
            self._truncated(item, response.played_ms)
        else:
            item.truncate()

    def _clear_output(self, _event: Mapping[str, Any]) -> None:
        self._empty_output()

    def _empty_output(self) -> None:
        if self._sounds:
            self._out.append(ClearOutput())

    # --- sending ------------------------------------------------------------------------------------------------------

    def _emit(self, kind: str, /, **fields: Any) -> None:
        self._out.append(Send({"type": kind, "event_id": self._new_id("event"), **fields}))

    def _complain(self, no: Refusal, echoed: str | None) -> None:
        self._emit("error", error={**no.body(), "event_id": echoed})

    def _taken(self) -> list[Effect]:
        taken, self._out = self._out, []
        return taken


def _clip(part: Mapping[str, Any], path: str) -> bytes:
    try:
        return base64.b64decode(part["audio"], validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refusal("The audio is not valid base64.", code="invalid_value", param=f"{path}.audio") from error


def _clip_ms(clip: bytes) -> int:
    """Milliseconds of `audio/pcm` at 24 kHz."""
    return len(clip) // 48
