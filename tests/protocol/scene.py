"""A conversation on a stage: server events, intents and time go in, and what came out is there to be looked at."""

from __future__ import annotations

from typing import Any

from rtcli.errors import ServiceError
from rtcli.protocol.conversation import Conversation, Plan, Step
from rtcli.protocol.intents import Effect, Finish, Intent
from rtcli.protocol.server_events import Malformed, Unknown, decode, decode_object
from rtcli.protocol.updates import Refused, Update, Warned, Words


VAD: dict[str, Any] = {"type": "server_vad", "create_response": True, "interrupt_response": True}
WHISPER: dict[str, Any] = {"model": "gpt-4o-mini-transcribe"}


def a_session(
    *, turn_detection: dict[str, Any] | None = VAD, transcription: dict[str, Any] | None = None, kind: str = "realtime"
) -> dict[str, Any]:
    return {"type": kind, "audio": {"input": {"turn_detection": turn_detection, "transcription": transcription}}}


def an_item(item_id: str, role: str = "assistant", **fields: Any) -> dict[str, Any]:
    return {"id": item_id, "type": "message", "role": role, "content": [], **fields}


def a_call(call_id: str, name: str = "look_up", arguments: str = "{}") -> dict[str, Any]:
    return {"id": f"item_{call_id}", "type": "function_call", "call_id": call_id, "name": name, "arguments": arguments}


class Scene:
    """Keeps everything that came out. Client events are flat in `sent`; `groups` keeps what belongs together."""

    def __init__(self, plan: Plan | None = None) -> None:
        self.conversation = Conversation(plan or Plan())
        self.now = 1000.0
        self.sounded_at: float | None = None
        self.updates: list[Update] = []
        self.groups: list[tuple[dict[str, Any], ...]] = []
        self.effects: list[Effect] = []

    @classmethod
    def ready(cls, plan: Plan | None = None, **session: Any) -> Scene:
        """The session is there and nothing else has happened."""
        scene = cls(plan)
        scene.opens()
        scene.receives("session.created", session=a_session(**session))
        return scene

    # ---- in ----

    def opens(self) -> None:
        self._took(self.conversation.opened(self.now))

    def receives(self, event_type: str, /, **fields: Any) -> None:
        """One server event, which must be one the service could have sent."""
        event = decode_object({"type": event_type, "event_id": "event_1", **fields})
        assert not isinstance(event, (Unknown, Malformed)), event
        self._took(self.conversation.receive(event, self.now))

    def receives_raw(self, text: str) -> None:
        self._took(self.conversation.receive(decode(text), self.now))

    def does(self, *intents: Intent) -> None:
        for intent in intents:
            self._took(self.conversation.handle(intent, self.now))

    def can_not_send(self, event_id: str, error: ServiceError) -> None:
        self._took(self.conversation.unsent(event_id, error, self.now))

    def passes(self, seconds: float, *, audible: bool = False) -> None:
        """Time, with a tick every tenth of a second; `audible`: the loudspeaker gives out sound."""
        for _ in range(round(seconds * 10)):
            self.now = round(self.now + 0.1, 3)
            self.sounded_at = self.now if audible else self.sounded_at
            self._took(self.conversation.tick(self.now, self.sounded_at))

    def loses_connection(self, *, orderly: bool = True) -> None:
        self._took(self.conversation.went_down("the other side closed the call", self.now, orderly=orderly))

    def closes(self) -> None:
        self._took(self.conversation.close(self.now))

    def _took(self, step: Step) -> None:
        self.updates += step.updates
        self.groups += step.events
        self.effects += step.effects

    # ---- whole stretches, as the service sends them ----

    def user_speaks(self, item: str = "item_u", *, words: str | None = None) -> None:
        """A turn under voice activity detection; its words come at once or not at all."""
        self.receives("input_audio_buffer.speech_started", item_id=item, audio_start_ms=0)
        self.receives("input_audio_buffer.speech_stopped", item_id=item, audio_end_ms=900)
        self.receives("input_audio_buffer.committed", item_id=item)
        content = [{"type": "input_audio", "transcript": None}]
        self.receives("conversation.item.added", item=an_item(item, "user", content=content))
        self.receives("conversation.item.done", item=an_item(item, "user", content=content))
        if words is not None:
            self.hears(item, words)

    def hears(self, item: str, words: str) -> None:
        self.receives(
            "conversation.item.input_audio_transcription.completed", item_id=item, content_index=0, transcript=words
        )

    def begins(self, response: str = "resp_1", item: str | None = None) -> None:
        self.receives("response.created", response={"id": response, "status": "in_progress", "conversation_id": "c"})
        if item is not None:
            self.receives("response.output_item.added", response_id=response, item=an_item(item))
            self.receives("conversation.item.added", item=an_item(item))

    def speaks(self, response: str, item: str, words: str) -> None:
        """The words of a voice, as far as they are made."""
        for word in words.split():
            self.receives(
                "response.output_audio_transcript.delta", response_id=response, item_id=item, delta=f"{word} "
            )

    def writes(self, response: str, item: str, words: str) -> None:
        self.receives("response.output_text.delta", response_id=response, item_id=item, delta=words)
        self.receives("response.output_text.done", response_id=response, item_id=item, text=words)

    def made(self, response: str = "resp_1", status: str = "completed", **fields: Any) -> None:
        self.receives("response.done", response={"id": response, "status": status, "conversation_id": "c", **fields})
        if status != "cancelled":
            self.receives("rate_limits.updated", rate_limits=[])

    def voice(self, what: str, response: str = "resp_1") -> None:
        """`started`, `stopped` or `cleared`."""
        self.receives(f"output_audio_buffer.{what}", response_id=response)

    def answers_by_voice(self, response: str = "resp_1", item: str = "item_m", words: str = "It is noon.") -> None:
        """A whole spoken answer, to the last sample."""
        self.begins(response, item)
        self.voice("started", response)
        self.speaks(response, item, words)
        self.receives("response.output_audio.done", response_id=response, item_id=item)
        self.receives("response.output_audio_transcript.done", response_id=response, item_id=item, transcript=words)
        self.made(response)
        self.voice("stopped", response)

    def answers_in_writing(self, response: str = "resp_1", item: str = "item_m", words: str = "Noon.") -> None:
        self.begins(response, item)
        self.writes(response, item, words)
        self.made(response)

    def refuses(self, event_id: str | None, code: str = "invalid_value", message: str = "no") -> None:
        self.receives("error", error={"type": "invalid_request_error", "code": code, "message": message,
                                      "event_id": event_id})  # fmt: skip

    # ---- out ----

    @property
    def sent(self) -> list[dict[str, Any]]:
        return [event for group in self.groups for event in group]

    @property
    def sent_types(self) -> list[str]:
        return [event["type"] for event in self.sent]

    def id_of(self, event_type: str) -> str:
        """`event_id` of the last client event of a type."""
        return next(str(event["event_id"]) for event in reversed(self.sent) if event["type"] == event_type)

    def forget(self) -> None:
        """What came out so far does not matter."""
        self.updates, self.groups, self.effects = [], [], []

    @property
    def words(self) -> list[tuple[str, str]]:
        return [(update.speaker, update.text) for update in self.updates if isinstance(update, Words)]

    @property
    def warnings(self) -> list[str]:
        return [update.code for update in self.updates if isinstance(update, Warned)]

    @property
    def refusals(self) -> list[str]:
        return [str(update.error) for update in self.updates if isinstance(update, Refused)]

    def finish(self) -> Finish | None:
        ends = [effect for effect in self.effects if isinstance(effect, Finish)]
        assert len(ends) <= 1, "a call ends once"
        return ends[0] if ends else None

    def idle(self) -> bool:
        return self.conversation.idle
