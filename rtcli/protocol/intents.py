"""What a face, a pipe or the call's own parts ask of a conversation, and what the conversation asks of the call."""

from __future__ import annotations

from typing import Literal

from rtcli.errors import RtcliError
from rtcli.protocol.codec import JsonObject
from rtcli.records import dataclass


@dataclass(frozen=True, slots=True)
class Say:
    """A message of the user (or of `role`), and a response to it."""

    text: str
    role: str = "user"
    images: tuple[str, ...] = ()
    """`data:` URIs (PNG or JPEG)."""
    respond: bool = True
    interrupt: bool = False
    """Stop the answer that is running instead of waiting for it."""


@dataclass(frozen=True, slots=True)
class SendEvent:
    """A client event as the user wrote it."""

    event: JsonObject
    guest: bool = False
    """Of a process that is attached to the call: what the service says to it is not the call's own outcome."""


@dataclass(frozen=True, slots=True)
class Interrupt:
    """Stop the model, now."""


@dataclass(frozen=True, slots=True)
class ToolOutput:
    """What a function gave back."""

    call_id: str
    output: str


@dataclass(frozen=True, slots=True)
class PlayMicrophone:
    """Begin with a microphone that waited (`Plan.microphone_waits`)."""


@dataclass(frozen=True, slots=True)
class MicrophoneEnded:
    """A file that served as microphone was read to its end."""


@dataclass(frozen=True, slots=True)
class PhraseEnded:
    """The microphone fell silent after speech."""


@dataclass(frozen=True, slots=True)
class InputEnded:
    """No more lines will come: end when nothing is pending."""


@dataclass(frozen=True, slots=True)
class Talk:
    """Push to talk: begin a turn of the user, or end it; None toggles. For sessions without turn detection."""

    on: bool | None = None


@dataclass(frozen=True, slots=True)
class HangUp:
    """End the call now."""

    reason: str = "hung up"
    exit: int = 0


@dataclass(frozen=True, slots=True)
class EndCall:
    """End a call that somebody else holds, for everybody; a guest's `HangUp` only leaves it."""


@dataclass(frozen=True, slots=True)
class Fail:
    """A part of the call broke in a way that ends it."""

    error: RtcliError


@dataclass(frozen=True, slots=True)
class Mistyped:
    """A line that meant nothing: the user is told, nothing else happens."""

    message: str


@dataclass(frozen=True, slots=True)
class Mute:
    """Silence instead of the microphone; None toggles."""

    on: bool | None = None


@dataclass(frozen=True, slots=True)
class UseDevice:
    """Go on with another microphone or loudspeaker."""

    kind: Literal["input", "output"]
    device: str
    """Number, name, or part of a name."""


@dataclass(frozen=True, slots=True)
class SetVolume:
    """How loud the model is heard."""

    share: float
    """Of the sound as it came, 0 to 1."""


Intent = (
    Say
    | SendEvent
    | Interrupt
    | ToolOutput
    | PlayMicrophone
    | MicrophoneEnded
    | PhraseEnded
    | InputEnded
    | Talk
    | HangUp
    | EndCall
    | Fail
    | Mute
    | Mistyped
    | UseDevice
    | SetVolume
)


@dataclass(frozen=True, slots=True)
class OpenMicrophone:
    """The session is as it should be: what is heard from now on counts."""


@dataclass(frozen=True, slots=True)
class SilenceSpeaker:
    """Barge-in: nothing of the running answer may be heard any more."""

    untold: bool = False
    """It was our wish, and the other side goes on until our word has reached it."""


@dataclass(frozen=True, slots=True)
class ResumeSpeaker:
    """The next answer begins: it must be heard from its first sample."""


@dataclass(frozen=True, slots=True)
class SetMuted:
    on: bool


@dataclass(frozen=True, slots=True)
class Finish:
    """The call is over. `drain`: let what has arrived be heard first."""

    reason: str
    exit: int = 0
    error: RtcliError | None = None
    drain: bool = False


Effect = OpenMicrophone | SilenceSpeaker | ResumeSpeaker | SetMuted | UseDevice | SetVolume | Finish | EndCall
