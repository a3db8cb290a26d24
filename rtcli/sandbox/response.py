"""One response under way: pieces of an answer in, the events of its items out, in the service's order."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from rtcli.records import dataclass
from rtcli.sandbox.engine.base import FunctionCall, McpCall, McpQuestion, Prompt
from rtcli.sandbox.items import Conversation, Item, function_name, functions, turns
from rtcli.sandbox.session import voice_name
from rtcli.sandbox.session_shapes import MAX_OUTPUT_TOKENS
from rtcli.sandbox.usage import response_usage, text_tokens


_WORDS = re.compile(r"\s*\S+(?:\s+$)?|\s+")
"""A delta is a word with the space in front of it, which is about what the service sends."""
_ARGUMENT_DELTA = 24
"""Characters."""


_Deed = FunctionCall | McpCall | McpQuestion
"""What an answer does instead of speaking."""


class Emit(Protocol):
    def __call__(self, kind: str, /, **fields: Any) -> None:
        """Send one server event; the id is added."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a response is made with: the session's settings, overridden for this one."""

    modality: str
    """`audio` or `text`."""
    voice: Any
    speed: float
    instructions: str
    tools: Sequence[Mapping[str, Any]]
    tool_choice: Any
    max_output_tokens: int | str
    metadata: Any = None


class Response:
    """Its state, and the events that tell of it."""

    def __init__(
        self,
        response_id: str,
        plan: Plan,
        *,
        conversation: Conversation | None,
        context: Sequence[Item],
        emit: Emit,
        new_id: Callable[[str], str],
    ) -> None:
        """`conversation` None: out of band, its items join nothing. `context`: the items it answers."""
        self.id = response_id
        self.plan = plan
        self.conversation = conversation
        self.context = list(context)
        self.status = "in_progress"
        self.generating = False
        """The reply engine was asked."""
        self.unheard: set[str] = set()
        """Items of the context whose words are still being recognised."""
        self.sound_ms = 0
        """Sound made so far."""
        self.played_ms = 0
        """Sound sent before the output buffer was last cleared."""
        self.sounding = False
        """Its first packet went out and its last one did not."""
        self.all_made = False
        """Nothing more will come of it; it completes when its sound has begun."""
        self._emit = emit
        self._new_id = new_id
        self._details: dict[str, Any] | None = None
        self._usage: dict[str, Any] | None = None
        self._output: list[Item] = []
        self._message: Item | None = None
        self._held: list[str] | None = None
        self._deeds: list[_Deed] = []
        self._tokens = 0
        self._full = False
        self._cut_for = "max_output_tokens"
        """Why it is incomplete, when it is full."""

    # --- what it is ---------------------------------------------------------------------------------------------------

    @property
    def in_progress(self) -> bool:
        return self.status == "in_progress"

    @property
    def speaks(self) -> bool:
        """A spoken message is open: its sound decides when the response is done."""
        return self._message is not None and self.plan.modality == "audio"

    @property
    def holds(self) -> bool:
        """Its transcript waits for the beginning of its sound."""
        return self._held is not None

    @property
    def takes_more(self) -> bool:
        """The reply engine may go on."""
        return self.in_progress and not self._full

    @property
    def spoken_item(self) -> Item | None:
        return next((item for item in self._output if item.is_spoken_answer), None)

    @property
    def tokens(self) -> int:
        return int(self._usage["total_tokens"]) if self._usage else 0

    def prompt(self) -> Prompt:
        return Prompt(
            instructions=self.plan.instructions,
            history=turns(self.context),
            tools=functions(self.plan.tools),
            tool_choice=function_name(self.plan.tool_choice),
        )

    def view(self) -> dict[str, Any]:
        audio = {"output": {"format": {"type": "audio/pcm", "rate": 24_000}, "voice": voice_name(self.plan.voice)}}
        return {
            "object": "realtime.response",
            "id": self.id,
            "status": self.status,
            "status_details": self._details,
            "output": [item.view() for item in self._output],
            "conversation_id": self.conversation.id if self.conversation else None,
            "output_modalities": [self.plan.modality],
            "max_output_tokens": self.plan.max_output_tokens,
            "audio": audio,
            "usage": self._usage,
            "metadata": self.plan.metadata,
        }

    # --- what happens to it -------------------------------------------------------------------------------------------

    def open(self) -> None:
        self._emit("response.created", response=self.view())

    def say(self, words: str, *, hold: bool) -> str:
        """Add words to the message, opening one where none is; what of them fits `max_output_tokens`.

        `hold` keeps the transcript of a new spoken message back until its sound begins, so that it follows
        `output_audio_buffer.started` as it does at the service.
        """
        words = self._fitting(words)
        if not words:
            return ""
        if self._message is None:
            self._message = self._open_message()
            self._held = [] if hold and self.plan.modality == "audio" else None
        part = self._message.data["content"][0]
        part["transcript" if self.speaks else "text"] += words
        if self._held is None:
            self._send_deltas(words)
        else:
            self._held.append(words)
        return words

    def do(self, deed: _Deed) -> None:
        """A call of a tool, or the question for one: told at once, or after the spoken message that is still open."""
        if self.speaks:
            self._deeds.append(deed)
            return
        self._close_message("completed")
        self._tell(deed)

    def filter(self) -> None:
        """Nothing more of it may be said."""
        self._full, self._cut_for = True, "content_filter"

    def release(self) -> None:
        """Send what was held back."""
        held, self._held = self._held or (), None
        for words in held:
            self._send_deltas(words)

    def complete(self) -> None:
        """Everything is made."""
        status = "incomplete" if self._full else "completed"
        reason = self._cut_for if self._full else None
        self._close_message(status)
        for deed in self._deeds:
            self._tell(deed)
        self._finish(status, reason=reason)

    def cancel(self, reason: str) -> None:
        """`turn_detected` or `client_cancelled`."""
        self._close_message("incomplete")
        self._finish("cancelled", reason=reason)

    def fail(self, message: str, *, code: str, kind: str) -> None:
        self._close_message("incomplete")
        self._finish("failed", error={"type": kind, "code": code, "message": message})

    # --- the events ---------------------------------------------------------------------------------------------------

    def _fitting(self, words: str) -> str:
        limit = self.plan.max_output_tokens
        room = (limit if isinstance(limit, int) else MAX_OUTPUT_TOKENS) - self._tokens
        if text_tokens(words) > room:
            self._full = True
            words = words[: room * 4]
        self._tokens += text_tokens(words)
        return words

    def _add(self, item: Item) -> int:
        self._output.append(item)
        index = len(self._output) - 1
        self._emit("response.output_item.added", response_id=self.id, output_index=index, item=item.view())
        if self.conversation is not None:
            previous = self.conversation.last_id
            self.conversation.append(item)
            self._emit("conversation.item.added", previous_item_id=previous, item=item.view())
        return index

    def _settle(self, item: Item, status: str) -> None:
        if "status" in item.data:  # items about MCP have none
            item.data["status"] = status
        if self.conversation is not None:
            self.conversation.weigh(item)
            previous = self.conversation.before(item.id)
            self._emit("conversation.item.done", previous_item_id=previous, item=item.view())
        index = self._output.index(item)
        self._emit("response.output_item.done", response_id=self.id, output_index=index, item=item.view())

    def _open_message(self) -> Item:
        item = Item(self._blank("message", "item") | {"role": "assistant", "content": []})
        self._add(item)
        audio = self.plan.modality == "audio"
        item.data["content"] = [
            {"type": "output_audio", "transcript": ""} if audio else {"type": "output_text", "text": ""}
        ]
        self._emit("response.content_part.added", **self._where(item), part=self._part(item))
        return item

    def _blank(self, kind: str, prefix: str) -> dict[str, Any]:
        return {"id": self._new_id(prefix), "object": "realtime.item", "type": kind, "status": "in_progress"}

    def _where(self, item: Item) -> dict[str, Any]:
        index = self._output.index(item)
        return {"response_id": self.id, "item_id": item.id, "output_index": index, "content_index": 0}

    def _part(self, item: Item) -> dict[str, Any]:
        """A part as `response.content_part.*` has it: `audio` and `text`, where the item says `output_audio`."""
        content = item.data["content"][0]
        if self.plan.modality == "audio":
            return {"type": "audio", "transcript": content["transcript"]}
        return {"type": "text", "text": content["text"]}

    def _send_deltas(self, words: str) -> None:
        assert self._message is not None
        where = self._where(self._message)
        kind = "response.output_audio_transcript.delta" if self.speaks else "response.output_text.delta"
        for word in _WORDS.findall(words):
            self._emit(kind, **where, delta=word)

    def _close_message(self, status: str) -> None:
        item = self._message
        if item is None:
            return
        self.release()
        item.audio_ms = self.sound_ms
        where, part = self._where(item), self._part(item)
        if self.plan.modality == "audio":
            self._emit("response.output_audio.done", **where)
            self._emit("response.output_audio_transcript.done", **where, transcript=part["transcript"])
        else:
            self._emit("response.output_text.done", **where, text=part["text"])
        self._emit("response.content_part.done", **where, part=part)
        self._settle(item, status)
        self._message = None

    def _tell(self, deed: _Deed) -> None:
        match deed:
            case FunctionCall():
                self._tell_call(deed)
            case McpCall():
                self._tell_mcp_call(deed)
            case McpQuestion():
                self._settle(self._added(self._mcp_item("mcp_approval_request", "mcpr", deed, deed.arguments)), "")

    def _mcp_item(self, kind: str, prefix: str, deed: McpCall | McpQuestion, arguments: Mapping[str, Any]) -> Item:
        named = {"id": self._new_id(prefix), "type": kind, "server_label": deed.server, "name": deed.name}
        return Item(named | {"arguments": json.dumps(dict(arguments)) if arguments else "{}"})

    def _added(self, item: Item) -> Item:
        self._add(item)
        return item

    def _tell_mcp_call(self, call: McpCall) -> None:
        item = self._mcp_item("mcp_call", "mcp", call, call.arguments)
        arguments, item.data["arguments"] = item.data["arguments"], ""
        index = self._add(item)
        where = {"item_id": item.id, "output_index": index}
        for start in range(0, len(arguments), _ARGUMENT_DELTA):
            delta = arguments[start : start + _ARGUMENT_DELTA]
            self._emit("response.mcp_call_arguments.delta", response_id=self.id, **where, delta=delta)
        self._emit("response.mcp_call_arguments.done", response_id=self.id, **where, arguments=arguments)
        self._emit("response.mcp_call.in_progress", **where)
        error = {"type": "tool_execution_error", "message": call.error} if call.error is not None else None
        item.data |= {"arguments": arguments, "output": call.output, "error": error}
        self._emit("response.mcp_call.failed" if error else "response.mcp_call.completed", **where)
        self._settle(item, "")

    def _tell_call(self, call: FunctionCall) -> None:
        call_id, arguments = self._new_id("call"), json.dumps(dict(call.arguments))
        item = Item(self._blank("function_call", "item") | {"call_id": call_id, "name": call.name, "arguments": ""})
        index = self._add(item)
        where = {"response_id": self.id, "item_id": item.id, "output_index": index, "call_id": call_id}
        for start in range(0, len(arguments), _ARGUMENT_DELTA):
            delta = arguments[start : start + _ARGUMENT_DELTA]
            self._emit("response.function_call_arguments.delta", **where, delta=delta)
        self._emit("response.function_call_arguments.done", **where, name=call.name, arguments=arguments)
        item.data["arguments"] = arguments
        self._settle(item, "completed")

    def _finish(self, status: str, *, reason: str | None = None, error: dict[str, Any] | None = None) -> None:
        self.status = status
        if status != "completed":
            self._details = {"type": status}
            self._details |= {"reason": reason} if reason else {}
            self._details |= {"error": error} if error else {}
        plan = self.plan
        self._usage = response_usage(plan.instructions, plan.tools, self.context, self._output)
        self._emit("response.done", response=self.view())
