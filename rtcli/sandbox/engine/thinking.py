"""A head that asks a chat server (`POST BASE/chat/completions`, streamed); ears and voice are another engine's."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any, Protocol

from rtcli.errors import RtcliError
from rtcli.sandbox.engine.base import Engine, Failed, FunctionCall, Piece, Prompt, VoiceDetector
from rtcli.sandbox.engine.reply import clauses


class Chat(Protocol):
    """The way to the server. Both raise RtcliError."""

    async def get(self, path: str) -> Any: ...

    def post(self, path: str, body: Mapping[str, Any]) -> AsyncIterator[str]: ...


class ThinkingEngine:
    """`Engine` over another one."""

    name = "llm"

    def __init__(self, engine: Engine, chat: Chat, *, model: str | None) -> None:
        """`model` None: the first one that the server lists."""
        self._engine = engine
        self._chat = chat
        self._model = model

    def detector(self, *, threshold: float, silence_ms: int) -> VoiceDetector:
        return self._engine.detector(threshold=threshold, silence_ms=silence_ms)

    async def transcribe(self, pcm: bytes) -> str:
        return await self._engine.transcribe(pcm)

    def speak(self, text: str, *, voice: str, speed: float) -> AsyncIterator[bytes]:
        return self._engine.speak(text, voice=voice, speed=speed)

    def close(self) -> None:
        self._engine.close()

    async def reply(self, prompt: Prompt) -> AsyncIterator[Piece]:
        """Clause by clause as they come. A server that fails is told to the client, as a failed response."""
        calls: dict[int, dict[str, str]] = {}
        waiting = ""
        try:
            self._model = self._model or await self._first_model()
            async for line in self._chat.post("/chat/completions", _question(self._model, prompt)):
                delta = _delta(line)
                _gather(calls, delta.get("tool_calls") or ())
                waiting += delta.get("content") or ""
                *ready, waiting = list(clauses(waiting)) or [""]
                for clause in ready:
                    yield clause
        except RtcliError as error:
            yield Failed(f"The language model gave no answer: {error}")
            return
        if waiting:
            yield waiting
        for call in calls.values():
            yield _call(call)

    async def _first_model(self) -> str:
        listed = await self._chat.get("/models")
        try:
            return str(listed["data"][0]["id"])
        except (KeyError, IndexError, TypeError):
            raise RtcliError("it lists no model") from None


_ROLES = {"assistant", "system", "user"}


def _question(model: str, prompt: Prompt) -> dict[str, Any]:
    said = [{"role": "system", "content": prompt.instructions}] if prompt.instructions else []
    for turn in prompt.history:
        # A function's output comes without the call it answers, which chat servers refuse in the role `tool`.
        role, words = (turn.role, turn.text) if turn.role in _ROLES else ("user", f"The tool answered: {turn.text}")
        said.append({"role": role, "content": words})
    body: dict[str, Any] = {"model": model, "messages": said, "stream": True}
    if prompt.tools and prompt.tool_choice != "none":
        named = ("name", "description", "parameters")
        body["tools"] = [
            {"type": "function", "function": {name: tool[name] for name in named if name in tool}}
            for tool in prompt.tools
        ]
        by_name = {"type": "function", "function": {"name": prompt.tool_choice}}
        body["tool_choice"] = prompt.tool_choice if prompt.tool_choice in {"auto", "required"} else by_name
    return body


def _delta(line: str) -> dict[str, Any]:
    """What one line of server-sent events adds. Raises RtcliError."""
    data = line.removeprefix("data:").strip() if line.startswith("data:") else ""
    if data in {"", "[DONE]"}:
        return {}
    try:
        event = json.loads(data)
        if event.get("error"):
            raise RtcliError(f"it says {str(event['error'])[:200]}")
        choices = event.get("choices") or [{}]
        return dict(choices[0].get("delta") or {})
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
        raise RtcliError("its answer can not be read") from None


def _gather(calls: dict[int, dict[str, str]], parts: Any) -> None:
    for part in parts:
        call = calls.setdefault(int(part.get("index", 0)), {"name": "", "arguments": ""})
        function = part.get("function") or {}
        call["name"] += function.get("name") or ""
        call["arguments"] += function.get("arguments") or ""


def _call(call: Mapping[str, str]) -> Piece:
    try:
        arguments = json.loads(call["arguments"] or "{}")
    except (ValueError, RecursionError):
        arguments = None
    if not isinstance(arguments, dict):
        return Failed("The language model called a function with arguments that are no JSON object.")
    return FunctionCall(call["name"], arguments)
