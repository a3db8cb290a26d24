"""Conversation items: what a client may put in, what the service keeps, and what the reply engine is told of them."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rtcli.sandbox.engine.base import Turn
from rtcli.sandbox.refusal import Refusal
from rtcli.sandbox.shapes import Check, anything, flag, listing, nullable, record, tagged, text


_ID = text(longest=512)
_COMMON: Mapping[str, Check] = {
    "id": _ID,
    "object": text("realtime.item"),
    "status": text("completed", "incomplete", "in_progress"),
}
_USER_CONTENT = tagged(
    "type",
    {
        "input_text": record({"type": anything, "text": text()}),
        "input_audio": record({"type": anything, "audio": text()}, {"transcript": nullable(text())}),
        "input_image": record({"type": anything, "image_url": text()}, {"detail": text("auto", "low", "high")}),
    },
)
_SYSTEM_CONTENT = tagged("type", {"input_text": record({"type": anything, "text": text()})})
_ASSISTANT_CONTENT = tagged("type", {"output_text": record({"type": anything, "text": text()})})
"""Assistant audio can not be put in by a client (OpenAI's guide)."""


def _message(content: Check) -> Check:
    return record({"type": anything, "role": anything, "content": listing(content, most=256)}, _COMMON)


_MCP_CALL_FIELDS: Mapping[str, Check] = {
    "type": anything,
    "id": _ID,
    "server_label": text(),
    "name": text(),
    "arguments": text(),
}
ITEM_VARIANTS: Mapping[str, Check] = {
    "message": tagged(
        "role",
        {
            "user": _message(_USER_CONTENT),
            "system": _message(_SYSTEM_CONTENT),
            "assistant": _message(_ASSISTANT_CONTENT),
        },
    ),
    "function_call": record(
        {"type": anything, "name": text(longest=128), "arguments": text()}, {**_COMMON, "call_id": _ID}
    ),
    "function_call_output": record({"type": anything, "call_id": _ID, "output": text()}, _COMMON),
    "mcp_list_tools": record({"type": anything, "server_label": text(), "tools": anything}, {"id": _ID}),
    "mcp_call": record(
        _MCP_CALL_FIELDS,
        {"approval_request_id": nullable(_ID), "output": nullable(text()), "error": anything},
    ),
    "mcp_approval_request": record(_MCP_CALL_FIELDS),
    "mcp_approval_response": record(
        {"type": anything, "id": _ID, "approval_request_id": _ID, "approve": flag}, {"reason": nullable(text())}
    ),
}
CHECK_ITEM: Check = tagged("type", ITEM_VARIANTS)


class Item:
    """One entry of a conversation: the wire's form, and what is known beside it."""

    def __init__(self, data: dict[str, Any], *, words: str | None = None, audio_ms: int = 0) -> None:
        self.data = data
        self.words = words
        """What its sound says; None until recognised. The client sees it only when it asked for transcription."""
        self.audio_ms = audio_ms
        """Length of its sound, the user's or the model's."""

    @property
    def id(self) -> str:
        return str(self.data["id"])

    @property
    def is_spoken_question(self) -> bool:
        return self.data.get("role") == "user" and any(part["type"] == "input_audio" for part in self.data["content"])

    @property
    def is_spoken_answer(self) -> bool:
        return self.data.get("role") == "assistant" and any(
            part["type"] == "output_audio" for part in self.data["content"]
        )

    @property
    def text(self) -> str:
        """All words of a message, whatever carries them."""
        return " ".join(filter(None, (self._said(part) for part in self.data.get("content", ()))))

    def _said(self, part: Mapping[str, Any]) -> str:
        match part["type"]:
            case "input_audio":
                return self.words or ""
            case "input_image":
                return "[image]"
            case "output_audio":
                return part.get("transcript") or ""
            case _:
                return part.get("text") or ""

    def turn(self) -> Turn | None:
        """What the reply engine is told of it; None for what says nothing (a call's own record, an emptied answer)."""
        if self.data["type"] == "function_call_output":
            return Turn("tool", str(self.data["output"]))
        if self.data["type"] == "mcp_call":
            return Turn("tool", str(self.data.get("output") or "It did not work."))
        if self.data["type"] == "mcp_approval_response":
            return Turn("tool", "approved" if self.data["approve"] else "refused")
        if self.data["type"] != "message":
            return None
        role = str(self.data["role"])
        return Turn(role, self.text) if self.text or role == "user" else None

    def view(self) -> dict[str, Any]:
        """As events show it: no audio bytes, which would not fit a data channel's message."""
        data = copy.deepcopy(self.data)
        for part in data.get("content", ()):
            part.pop("audio", None)
        return data

    def truncate(self) -> None:
        """Forget the words of an answer that was not heard to its end, as the service does."""
        for part in self.data["content"]:
            part["transcript"] = ""

    @property
    def size(self) -> int:
        """Bytes it weighs in the conversation."""
        return len(json.dumps(self.data))


def turns(items: Iterable[Item]) -> list[Turn]:
    return [turn for turn in (item.turn() for item in items) if turn is not None]


class Conversation:
    """The items of the default conversation in order, bounded."""

    def __init__(self, conversation_id: str, *, most_items: int = 2000, most_bytes: int = 8 << 20) -> None:
        self.id = conversation_id
        self._items: dict[str, Item] = {}
        self._order: list[str] = []
        self._sizes: dict[str, int] = {}
        self._most_items = most_items
        self._most_bytes = most_bytes

    def __iter__(self) -> Iterator[Item]:
        return (self._items[item_id] for item_id in self._order)

    def get(self, item_id: str) -> Item | None:
        return self._items.get(item_id)

    @property
    def last_id(self) -> str | None:
        return self._order[-1] if self._order else None

    def before(self, item_id: str) -> str | None:
        """The id of the item in front; None for the first, and for one that was deleted."""
        place = self._order.index(item_id) if item_id in self._items else 0
        return self._order[place - 1] if place else None

    @property
    def _bytes(self) -> int:
        return sum(self._sizes.values())

    def append(self, item: Item) -> None:
        """An item of the service's own: never refused, the oldest give way (`truncation: auto`)."""
        self._insert(len(self._order), item)
        while len(self._order) > self._most_items or (self._bytes > self._most_bytes and len(self._order) > 1):
            self.delete(self._order[0])

    def insert(self, item: Item, after: str | None) -> None:
        """A client's item, `after` an id, `root`, or None for the end. Raises Refusal."""
        if item.id in self._items:
            raise Refusal(
                f"Error creating item: an item with id '{item.id}' already exists.",
                code="item_create_duplicate_item_id",
                param="item.id",
            )
        if len(self._order) >= self._most_items or self._bytes + item.size > self._most_bytes:
            raise Refusal("The conversation is full.", code="context_length_exceeded", param="item")
        self._insert(self._place(after), item)

    def _place(self, after: str | None) -> int:
        if after is None:
            return len(self._order)
        if after == "root":
            return 0
        if after not in self._items:
            raise Refusal(
                f"Error creating item: the previous item with id '{after}' does not exist.",
                code="item_create_invalid_previous_item_id",
                param="previous_item_id",
            )
        return self._order.index(after) + 1

    def _insert(self, place: int, item: Item) -> None:
        self._order.insert(place, item.id)
        self._items[item.id] = item
        self.weigh(item)

    def weigh(self, item: Item) -> None:
        """Note how big an item has become."""
        if item.id in self._items:
            self._sizes[item.id] = item.size

    def delete(self, item_id: str) -> None:
        del self._items[item_id], self._sizes[item_id]
        self._order.remove(item_id)

    def has_question(self, request_id: str) -> bool:
        """Whether the use of an MCP tool waits for approval under this id."""
        item = self._items.get(request_id)
        return item is not None and item.data["type"] == "mcp_approval_request"

    def has_call(self, call_id: str) -> bool:
        return any(item.data["type"] == "function_call" and item.data.get("call_id") == call_id for item in self)


def function_name(choice: Any) -> str:
    """`tool_choice` as the reply engine takes it: `auto`, `none`, `required` or a function's name."""
    if isinstance(choice, Mapping):
        return str(choice["name"]) if choice["type"] == "function" else "auto"
    return str(choice)


def functions(tools: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [tool for tool in tools if tool["type"] == "function"]
