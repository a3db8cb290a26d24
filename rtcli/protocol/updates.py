"""What a call tells its face: a closed set of frozen values, renderers turn them into text or JSON.

The engine never prints and the face never decides: everything a user may see of a call is one of these.
Times (`at`) are seconds on the monotonic clock.
"""

from __future__ import annotations

from dataclasses import field
from datetime import datetime
from typing import Literal

from rtcli.errors import ServiceError
from rtcli.protocol.codec import JsonObject
from rtcli.protocol.latency import TurnTimes
from rtcli.protocol.server_events import Malformed, ServerEvent, Unknown
from rtcli.protocol.usage import Bill
from rtcli.records import dataclass


Speaker = Literal["you", "model"]


@dataclass(frozen=True, slots=True)
class Connecting:
    """A step of setting up began: `token`, `call`, `ice`."""

    step: str
    at: float


@dataclass(frozen=True, slots=True)
class Connected:
    """The data channel is open."""

    at: float
    name: str
    """The call's name on this machine."""
    call_id: str | None
    """`rtc_…`; None when the server named none."""


@dataclass(frozen=True, slots=True)
class Ready:
    """The session is as it was asked for; the first turn may begin."""

    session: JsonObject
    """As the service describes it; empty when it does not."""


@dataclass(frozen=True, slots=True)
class EventIn:
    """A server event, with the text it came as."""

    at: float
    event: ServerEvent | Unknown | Malformed
    raw: str


@dataclass(frozen=True, slots=True)
class EventOut:
    """A client event that went out."""

    at: float
    type: str
    raw: str
    foreign: bool = False
    """Somebody else's, in a call that we only joined."""


@dataclass(frozen=True, slots=True)
class Relayed:
    """An event of a call that another rtcli holds or has written down, as it stands there."""

    name: str
    """The call's name on this machine."""
    direction: Literal["in", "out", "local"]
    raw: str
    """A JSON object on one line."""
    wall: datetime | None = None
    """When it happened; None: just now."""
    several: bool = False
    """Other calls are followed beside it."""


@dataclass(frozen=True, slots=True)
class Growing:
    """Words still being spoken or recognised; the whole text so far."""

    speaker: Speaker
    item_id: str
    text: str


@dataclass(frozen=True, slots=True)
class Words:
    """One side's words of a turn, whole; comes once for each item, in the order they were spoken."""

    speaker: Speaker
    item_id: str
    text: str
    typed: bool = False
    """The user wrote them (or a pipe did)."""
    cut: bool = False
    """Not said to the end: interrupted, cancelled, or the token limit."""
    late: bool = False
    """Recognised only after the answer to it had been shown."""
    heard: str | None = None
    """How far an interrupted voice had come, as nearly as its pace tells; None for what was not interrupted."""


@dataclass(frozen=True, slots=True)
class Activity:
    """Who is making sound or working, when it changes."""

    user_speaking: bool
    model_speaking: bool
    thinking: bool
    """A response is being made and nothing of it is audible yet."""


@dataclass(frozen=True, slots=True)
class Vitals:
    """What moves all the time; ten times a second at most, and only when it moved."""

    level: float
    """Peak of the microphone, 0 to 1, muted or not."""
    muted: bool
    listening: bool = False
    """A microphone is open."""


@dataclass(frozen=True, slots=True)
class Using:
    """The ends of the sound that are open, when one of them changes: names of devices or files, None for none."""

    microphone: str | None
    speaker: str | None


@dataclass(frozen=True, slots=True)
class Stats:
    """How the call's wire and sound are doing, once a second."""

    round_trip: float | None
    """Seconds."""
    lost: float | None
    """Share of the packets of the last second that were lost, 0 to 1."""
    jitter: float | None
    """Seconds (RFC 3550)."""
    playout: JsonObject
    """The playout's own figures; milliseconds where a name says so."""
    unsent: int
    """Bytes of events that wait for the wire."""
    echo: str = "off"
    """`aec`, `gate` or `off`."""
    erle_db: float | None = None
    """What the canceller takes off the echo of late; None until something was heard."""
    sound: JsonObject = field(default_factory=dict)
    """Figures of the microphone's way and of the devices, as the composition root gives them."""


@dataclass(frozen=True, slots=True)
class TurnTimed:
    """An answer has begun to be heard (or read), and this is how long it took."""

    times: TurnTimes


@dataclass(frozen=True, slots=True)
class Spent:
    """What the call has used so far."""

    bill: Bill


@dataclass(frozen=True, slots=True)
class ToolWanted:
    """The model called a function and waits for its output."""

    call_id: str
    name: str
    arguments: str
    """JSON, as the model wrote it."""


@dataclass(frozen=True, slots=True)
class Warned:
    """Something went wrong and the call goes on."""

    message: str
    code: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """The service said no, to an event or to a whole response; the call goes on."""

    error: ServiceError


@dataclass(frozen=True, slots=True)
class Notice:
    """A line for people that is neither words nor a warning: what is used, what changed."""

    message: str


@dataclass(frozen=True, slots=True)
class Closed:
    """The last update of a call."""

    at: float
    reason: str
    """A fragment for people: "hung up", "the other side closed the call"."""
    exit: int = 0
    """Status the user's own way of ending asks for (130, 143); `error` speaks where there is one."""
    error: Exception | None = field(default=None, compare=False)
    """What ended it, when it was not meant to end so."""


Update = (
    Connecting
    | Connected
    | Ready
    | EventIn
    | EventOut
    | Relayed
    | Growing
    | Words
    | Activity
    | Vitals
    | Using
    | Stats
    | TurnTimed
    | Spent
    | ToolWanted
    | Warned
    | Refused
    | Notice
    | Closed
)
