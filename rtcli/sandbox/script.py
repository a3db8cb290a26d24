"""A script for the sandbox: what it hears and answers, so that a test gets the same call every time.

    heard = ["what is the weather in Oslo"]       # what utterances are recognised as, in their order

    [[answers]]
    to = "what is the weather in oslo"            # case, blanks and punctuation at the ends do not matter
    steps = [
      { wait_ms = 300 },
      { call = "get_weather", arguments = { city = "Oslo" } },
    ]

    [[answers]]                                   # without `to`: the next answer to whatever else is said
    steps = [ { say = "It is sunny." } ]

TOML, or the same as JSON. An answer with `to` serves every time, one without serves once, in the order of the file;
what no answer fits is answered by the engine. `to` is compared with the user's last words, a tool's output, or
`approved` and `refused` of an MCP approval. A step is one of

    say = TEXT
    wait_ms = MILLISECONDS
    call = FUNCTION, arguments = {…}
    mcp = SERVER, tool = NAME, arguments = {…}, output = TEXT or error = TEXT
    ask = SERVER, tool = NAME, arguments = {…}    an `mcp_approval_request`; the client's approval is answered
    fail = MESSAGE, code = CODE, type = TYPE      `response.done`, `failed`
    filter = true                                 `response.done`, `incomplete` for `content_filter`
    event = {…}                                   any server event, sent as it is

and `[mcp.SERVER]`, `tools = [{ name = …, description = … }]` lists the tools of an MCP server; one that is not listed
fails to be reached. Every call begins at the beginning of the script.
"""

from __future__ import annotations

import asyncio
import json
import tomllib
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any

from rtcli.errors import UsageError
from rtcli.records import dataclass
from rtcli.sandbox.engine.base import (
    AnyEvent,
    Engine,
    Failed,
    Filtered,
    FunctionCall,
    McpCall,
    McpQuestion,
    Piece,
    Prompt,
    VoiceDetector,
)
from rtcli.sandbox.engine.reply import clauses
from rtcli.sandbox.refusal import Refusal
from rtcli.sandbox.shapes import Check, flag, listing, mapping, record, text, whole


_MOST_BYTES = 1 << 20
_LONGEST_WAIT_MS = 600_000
_TOOL: Mapping[str, Check] = {"tool": text(longest=128)}
_ARGUMENTS: Mapping[str, Check] = {"arguments": mapping}
_STEPS: Mapping[str, Check] = {
    "say": record({"say": text()}),
    "wait_ms": record({"wait_ms": whole(0, _LONGEST_WAIT_MS)}),
    "call": record({"call": text(longest=128)}, _ARGUMENTS),
    "mcp": record({"mcp": text(longest=128), **_TOOL}, {**_ARGUMENTS, "output": text(), "error": text()}),
    "ask": record({"ask": text(longest=128), **_TOOL}, _ARGUMENTS),
    "fail": record({"fail": text()}, {"code": text(longest=128), "type": text(longest=128)}),
    "filter": record({"filter": flag}),
    "event": record({"event": mapping}),
}


def _step(value: Any, path: str) -> None:
    mapping(value, path)
    kinds = [kind for kind in _STEPS if kind in value]
    if len(kinds) != 1:
        raise Refusal(f"'{path}' must be one of: {', '.join(_STEPS)}.", param=path)
    _STEPS[kinds[0]](value, path)


def _labels(value: Any, path: str) -> None:
    mapping(value, path)
    tools = listing(record({"name": text()}, {"description": text(), "input_schema": mapping}), most=128)
    for label, entry in value.items():
        record({"tools": tools})(entry, f"{path}.{label[:64]}")


_CHECK = record(
    {},
    {
        "heard": listing(text(), most=10_000),
        "answers": listing(record({"steps": listing(_step, most=1000)}, {"to": text()}), most=10_000),
        "mcp": _labels,
    },
)


@dataclass(frozen=True, slots=True)
class Answer:
    steps: Sequence[Mapping[str, Any]]
    to: str | None = None
    """In the form that is compared; None: whatever is said."""


@dataclass(frozen=True, slots=True)
class Script:
    heard: Sequence[str] = ()
    answers: Sequence[Answer] = ()
    always: Answer | None = None
    """To whatever no other answer fits."""
    mcp_tools: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)

    def over(self, engine: Engine) -> ScriptEngine:
        """The engine of one call: this script, and `engine` for what it does not say."""
        return ScriptEngine(self, engine)


def read(path: Path) -> Script:
    """Raises UsageError: the file can not be read, or is no script."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise UsageError(f"the script {path} can not be read: {error.strerror}") from error
    if len(raw) > _MOST_BYTES:
        raise UsageError(f"the script {path} is larger than {_MOST_BYTES} bytes")
    return parse(raw, str(path))


def parse(raw: bytes, name: str = "script") -> Script:
    """TOML, or JSON when it begins with a brace. Raises UsageError naming the place."""
    try:
        source = raw.decode()
        value = json.loads(source) if source.lstrip().startswith("{") else tomllib.loads(source)
        _CHECK(value, "")
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{name} is neither TOML nor JSON: {error}") from error
    except Refusal as error:
        raise UsageError(f"{name} is no script for the sandbox: {error}") from error
    answers = [Answer(one["steps"], _plain(one["to"]) if "to" in one else None) for one in value.get("answers", ())]
    tools = {label: entry["tools"] for label, entry in value.get("mcp", {}).items()}
    return Script(value.get("heard", ()), answers, mcp_tools=tools)


_NO_CREDIT = {
    "fail": "You exceeded your current quota, please check your plan and billing details.",
    "code": "insufficient_quota",
    "type": "insufficient_quota",
}
QUOTA = Script(always=Answer([_NO_CREDIT]))
"""Every response fails."""


class ScriptEngine:
    """`Engine` of one call. `sleep` is what a `wait_ms` waits with."""

    name = "script"

    def __init__(
        self, script: Script, engine: Engine, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._engine = engine
        self._sleep = sleep
        self._heard = deque(script.heard)
        self._last: str | None = None
        """What of it was heard last, until it is void."""
        self._fixed = {answer.to: answer.steps for answer in reversed(script.answers) if answer.to is not None}
        self._always = script.always.steps if script.always else None
        self._next = deque(answer.steps for answer in script.answers if answer.to is None)

    def detector(self, *, threshold: float, silence_ms: int) -> VoiceDetector:
        return self._engine.detector(threshold=threshold, silence_ms=silence_ms)

    async def transcribe(self, pcm: bytes) -> str:
        self._last = self._heard.popleft() if self._heard else None
        return await self._engine.transcribe(pcm) if self._last is None else self._last

    def unhear(self, words: str) -> None:
        """The speaker went on after the pause in which this was recognised: it is what the whole will be."""
        if words == self._last:
            self._heard.appendleft(words)
            self._last = None

    async def reply(self, prompt: Prompt) -> AsyncIterator[Piece]:
        said = _plain(prompt.history[-1].text) if prompt.history else ""
        steps = self._fixed.get(said)
        if steps is None and self._next:
            steps = self._next.popleft()
        if steps is None:
            steps = self._always
        if steps is None:
            async for piece in self._engine.reply(prompt):
                yield piece
            return
        for step in steps:
            if "wait_ms" in step:
                await self._sleep(step["wait_ms"] / 1000)
            for piece in _pieces(step):
                yield piece

    def speak(self, text: str, *, voice: str, speed: float) -> AsyncIterator[bytes]:
        return self._engine.speak(text, voice=voice, speed=speed)

    def close(self) -> None:
        """The engine beneath belongs to who made it."""


def _pieces(step: Mapping[str, Any]) -> list[Piece]:
    arguments = step.get("arguments", {})
    match step:
        case {"say": words}:
            return list(clauses(words))
        case {"call": name}:
            return [FunctionCall(name, arguments)]
        case {"mcp": server, "tool": tool}:
            error = step.get("error")
            return [McpCall(server, tool, arguments, step.get("output", None if error else ""), error)]
        case {"ask": server, "tool": tool}:
            return [McpQuestion(server, tool, arguments)]
        case {"fail": message}:
            return [Failed(message, step.get("code", "server_error"), step.get("type", "server_error"))]
        case {"filter": True}:
            return [Filtered()]
        case {"event": event}:
            return [AnyEvent(event)]
        case _:
            return []


def _plain(words: str) -> str:
    return " ".join(words.lower().split()).strip(" .,!?")
