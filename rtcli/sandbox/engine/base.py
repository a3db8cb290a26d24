"""What the sandbox needs of a speech engine: ears, a head and a voice.

Everything here may be called from the sandbox's event loop; what takes time is a coroutine and does its work in a
worker thread of the engine's own. PCM is the house's: 48 kHz, mono, s16le.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import field
from typing import Any, Protocol

from rtcli.records import dataclass


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """Somebody began to speak."""

    at_ms: int
    """First sample of the speech on the detector's clock (milliseconds of audio fed), prefix padding not included."""


@dataclass(frozen=True, slots=True)
class Paused:
    """A short silence inside a turn: the moment to begin recognition eagerly. Speech may go on."""

    at_ms: int


@dataclass(frozen=True, slots=True)
class Resumed:
    """Speech went on after a `Paused`: what was recognised eagerly is void."""

    at_ms: int


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    """The turn is over: silence for the whole hangover."""

    at_ms: int
    """Last sample of the speech, hangover not included."""


VoiceActivity = SpeechStarted | Paused | Resumed | SpeechStopped


class VoiceDetector(Protocol):
    """Voice activity of one call."""

    def feed(self, pcm: bytes) -> list[VoiceActivity]:
        """Take some sound (any length), say what happened in it, in order."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One thing said so far, for the head."""

    role: str
    """`user`, `assistant`, `system` or `tool`."""
    text: str


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """The head wants a declared function called."""

    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class McpCall:
    """A tool of an MCP server was called, and this came of it. Only a script has one: nothing is called offline."""

    server: str
    name: str
    arguments: Mapping[str, Any]
    output: str | None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class McpQuestion:
    """May this tool of an MCP server be called? The client answers with an `mcp_approval_response`."""

    server: str
    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class AnyEvent:
    """An event for the client as it is, whether the protocol knows it or not."""

    event: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Failed:
    """The run of the model ends here, in `response.done` with `status: failed`."""

    message: str
    code: str = "server_error"
    kind: str = "server_error"


@dataclass(frozen=True, slots=True)
class Filtered:
    """The answer ends here, `incomplete` for `content_filter`."""


Piece = str | FunctionCall | McpCall | McpQuestion | AnyEvent | Failed | Filtered
"""What an answer is made of; a string is a clause with its spaces and punctuation: joined they are the text."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a response is made from."""

    instructions: str
    history: Sequence[Turn]
    """Oldest first; the last one is what is to be answered."""
    tools: Sequence[Mapping[str, Any]] = field(default=())
    """Function tools as declared: `name`, `description`, `parameters` (JSON Schema)."""
    tool_choice: str = "auto"
    """`auto`, `none`, `required`, or the name of one function."""


class Engine(Protocol):
    """One per process; serves many calls."""

    name: str

    def detector(self, *, threshold: float, silence_ms: int) -> VoiceDetector:
        """Ears for one call. `threshold` 0 to 1, `silence_ms` the hangover (`turn_detection` of the session)."""

    async def transcribe(self, pcm: bytes) -> str:
        """The words in one utterance; empty when there are none."""

    def reply(self, prompt: Prompt) -> AsyncIterator[Piece]:
        """The answer, piece by piece."""

    def speak(self, text: str, *, voice: str, speed: float) -> AsyncIterator[bytes]:
        """The sound of one clause, in pieces of any length, faster than real time."""

    def close(self) -> None: ...
