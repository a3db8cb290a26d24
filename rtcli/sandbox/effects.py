"""What the dialogue asks of the call that carries it. The call performs them in the order given."""

from __future__ import annotations

from typing import Any

from rtcli.records import dataclass
from rtcli.sandbox.engine.base import Prompt


@dataclass(frozen=True, slots=True)
class Send:
    """One server event for the data channel."""

    event: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Listen:
    """Tell voice activity from now on, with these figures; a detector at work before is replaced."""

    threshold: float
    silence_ms: int


@dataclass(frozen=True, slots=True)
class StopListening:
    """No more voice activity; the sound is still kept."""


@dataclass(frozen=True, slots=True)
class Transcribe:
    """Recognise the words between two points of the input's clock and report them with `recognised`."""

    item_id: str
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class TranscribeClip:
    """Recognise the words in sound that came inside an item and report them with `recognised`."""

    item_id: str
    audio: bytes
    """24 kHz, mono, s16le, as `audio/pcm` of the protocol."""


@dataclass(frozen=True, slots=True)
class Forget:
    """What is being recognised for this item is void."""

    item_id: str
    words: str | None = None
    """What was recognised already."""


@dataclass(frozen=True, slots=True)
class Generate:
    """Make the answer: report it with `piece`, then `replied`."""

    response_id: str
    prompt: Prompt


@dataclass(frozen=True, slots=True)
class Speak:
    """Turn one clause into sound and queue it behind what is queued already; report it with `synthesised`."""

    response_id: str
    text: str
    voice: str
    speed: float


@dataclass(frozen=True, slots=True)
class EndSpeech:
    """No clause will follow: report `spoken` when the last one is sound, then let the buffer drain."""

    response_id: str


@dataclass(frozen=True, slots=True)
class Cancel:
    """Make no more of this answer. What is in the output buffer already stays there."""

    response_id: str


@dataclass(frozen=True, slots=True)
class ClearOutput:
    """Empty the output buffer at once and report with `cleared` how much of each answer went out."""


Effect = (
    Send
    | Listen
    | StopListening
    | Transcribe
    | TranscribeClip
    | Forget
    | Generate
    | Speak
    | EndSpeech
    | Cancel
    | ClearOutput
)
