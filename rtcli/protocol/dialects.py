"""How services that speak this protocol differ, as data: what their documentation and code said in 2026."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Literal

from rtcli.records import dataclass


DialectName = Literal["openai", "azure", "sdp", "localai", "speaches"]


@dataclass(frozen=True, slots=True)
class Dialect:
    name: DialectName
    calls_path: str = "/realtime/calls"
    """Under the base URL."""
    mints: bool = True
    """Has `POST /realtime/client_secrets`. Without it the API key itself opens the call."""
    multipart: bool = True
    """Takes offer and session in one request; without it the session follows as `session.update`."""
    call_body: Literal["sdp", "json"] = "sdp"
    """What a call without a session is posted as; `json` is `{"sdp", "model"}`."""
    model_in_query: bool = False
    key_header: Literal["Authorization", "api-key"] = "Authorization"
    """Where an API key goes; an ephemeral key is always a bearer token."""
    hangup: Literal["POST", "DELETE"] | None = "POST"
    """`POST CALLS/{id}/hangup`, `DELETE CALLS/{id}`, or only by closing the connection."""
    only: tuple[str, ...] | None = None
    """Patterns of the event types its channel is sure to carry; None: all."""
    beta: bool = False
    """Event names of before 2025-08, in base64 fragments (`full_message`, `partial_message`)."""
    foreign: bool = False
    """OpenAI's voices and transcribers are unknown there, or have other names: no default of ours is sent."""

    @property
    def names_model(self) -> bool:
        """Whether a call can say which model it wants."""
        return self.mints or self.model_in_query or self.call_body == "json"

    def carries(self, event_type: str) -> bool:
        """Whether one may wait for an event of this type."""
        return self.only is None or any(fnmatchcase(event_type, pattern) for pattern in self.only)


OPENAI = Dialect("openai")

AZURE = Dialect(
    "azure",
    key_header="api-key",
    # A transcriber is named by its deployment, as the model is; the documented voices lack our default.
    foreign=True,
    # With `webrtcfilter=on`, which an administrator of the app server may set, nothing else arrives:
    # no session.created, no error, no response.created or .done, no output_audio_buffer.cleared.
    only=(
        "input_audio_buffer.speech_st*",
        "output_audio_buffer.started",
        "output_audio_buffer.stopped",
        "conversation.item.input_audio_transcription.completed",
        "conversation.item.added",
        "conversation.item.created",
        "response.output_text.*",
        "response.output_audio_transcript.*",
    ),
)
"""Azure OpenAI, base URL `https://NAME.openai.azure.com/openai/v1`; the model is the name of the deployment."""

SDP = Dialect("sdp", mints=False, multipart=False, hangup="DELETE", foreign=True)
"""A server that takes an offer and nothing else (huggingface/speech-to-speech)."""

LOCALAI = Dialect("localai", mints=False, multipart=False, call_body="json", hangup=None, foreign=True)

SPEACHES = Dialect(
    "speaches",
    calls_path="/realtime",
    mints=False,
    multipart=False,
    model_in_query=True,
    hangup=None,
    beta=True,
    foreign=True,
)

DIALECTS: dict[str, Dialect] = {d.name: d for d in (OPENAI, AZURE, SDP, LOCALAI, SPEACHES)}
