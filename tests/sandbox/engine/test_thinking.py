"""A chat server thinks: what it streams is said clause by clause, and what it breaks is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from rtcli.sandbox.engine.base import Failed, FunctionCall, Piece, Prompt, Turn
from rtcli.sandbox.engine.scripted import ScriptedEngine
from rtcli.sandbox.engine.thinking import ThinkingEngine
from rtcli.transport.http_lines import Lines


class Server:
    """Answers with the deltas it was given, and notes what it was asked."""

    def __init__(self, *deltas: dict[str, Any], status: int = 200, raw: str | None = None) -> None:
        events = [json.dumps({"choices": [{"delta": delta}]}) for delta in deltas]
        self._text = raw if raw is not None else "".join(f"data: {event}\n\n" for event in [*events, "[DONE]"])
        self._status = status
        self.asked: list[dict[str, Any]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v1/models":
            return httpx.Response(200, json={"data": [{"id": "small"}]})
        self.asked.append(json.loads(request.content))
        return httpx.Response(self._status, text=self._text)

    def reply(self, prompt: Prompt, model: str | None = None) -> list[Piece]:
        chat = Lines("http://127.0.0.1:1/v1/", transport=httpx.MockTransport(self))
        engine = ThinkingEngine(ScriptedEngine(), chat, model=model)

        async def whole() -> list[Piece]:
            return [piece async for piece in engine.reply(prompt)]

        return asyncio.run(whole())


ASKED = Prompt("Be brief.", [Turn("user", "Hello."), Turn("tool", "42")])
TOOL = {"type": "function", "name": "look_up", "parameters": {"type": "object"}}


def test_a_stream_is_said_clause_by_clause() -> None:
    server = Server(
        {"role": "assistant", "content": ""}, {"content": "Good d"}, {"content": "ay. How are"}, {"content": " you?"}
    )
    assert server.reply(ASKED) == ["Good day. ", "How are you?"]
    (body,) = server.asked
    assert body["model"] == "small"
    assert body["stream"] is True
    assert [said["role"] for said in body["messages"]] == ["system", "user", "user"]
    assert "tools" not in body


def test_a_function_call_comes_in_pieces() -> None:
    parts = [{"index": 0, "function": {"name": "look_up"}}], [{"index": 0, "function": {"arguments": '{"q":'}}]
    server = Server(
        *({"tool_calls": part} for part in parts), {"tool_calls": [{"index": 0, "function": {"arguments": " 1}"}}]}
    )
    assert server.reply(Prompt("", ASKED.history, [TOOL], "look_up"), "big") == [FunctionCall("look_up", {"q": 1})]
    (body,) = server.asked
    assert body["model"] == "big"
    assert body["tools"] == [{"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}]
    assert body["tool_choice"] == {"type": "function", "function": {"name": "look_up"}}


@pytest.mark.parametrize(
    ("server", "words"),
    [
        (Server(status=500, raw="out of memory"), "500: out of memory"),
        (Server(raw="data: {\n\n"), "can not be read"),
        (Server(raw='data: {"error": {"message": "no such model"}}\n\n'), "no such model"),
        (Server({"tool_calls": [{"index": 0, "function": {"name": "x", "arguments": "["}}]}), "no JSON object"),
    ],
)
def test_a_broken_server_fails_the_response_and_says_how(server: Server, words: str) -> None:
    (piece,) = server.reply(ASKED)
    assert isinstance(piece, Failed)
    assert words in piece.message


def test_a_server_that_is_not_there_fails_the_response() -> None:
    engine = ThinkingEngine(ScriptedEngine(), Lines("http://127.0.0.1:9/v1"), model="x")

    async def whole() -> list[Piece]:
        return [piece async for piece in engine.reply(ASKED)]

    (piece,) = asyncio.run(whole())
    assert isinstance(piece, Failed)
    assert "gave no answer" in piece.message


def test_a_line_that_never_ends_is_not_kept_for_ever() -> None:
    given = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal given
        for _ in range(1000):
            given += 1
            yield b"x" * 65_536

    answers = httpx.MockTransport(lambda _: httpx.Response(200, content=endless()))
    engine = ThinkingEngine(ScriptedEngine(), Lines("http://127.0.0.1:1/v1", transport=answers), model="x")

    async def whole() -> list[Piece]:
        return [piece async for piece in engine.reply(ASKED)]

    (piece,) = asyncio.run(whole())
    assert isinstance(piece, Failed)
    assert "is larger than" in piece.message
    assert given < 100
