"""The session object as the service keeps it: defaults, and what an update may change.

Defaults: OpenAI's specification, where the SDK names none.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from rtcli.records import dataclass
from rtcli.sandbox.refusal import Refusal
from rtcli.sandbox.session_shapes import CHECK_SESSION
from rtcli.sandbox.shapes import invalid


DEFAULT_MODEL = "gpt-realtime"
"""For an offer that comes with a standard key and no session."""
DEFAULT_INSTRUCTIONS = "You are the offline stand-in of a voice assistant. Answer briefly and in English."

_VAD_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "server_vad": {
        "type": "server_vad",
        "threshold": 0.5,
        "prefix_padding_ms": 300,
        "silence_duration_ms": 500,
        "idle_timeout_ms": None,
        "create_response": True,
        "interrupt_response": True,
    },
    "semantic_vad": {
        "type": "semantic_vad",
        "eagerness": "auto",
        "create_response": True,
        "interrupt_response": True,
    },
}
_SEMANTIC_SILENCE_MS: Mapping[str, int] = {"low": 1200, "medium": 700, "auto": 700, "high": 400}
"""The silence after which a turn is over whose words sound finished."""
_SEMANTIC_PATIENCE_MS: Mapping[str, int] = {"low": 8000, "medium": 4000, "auto": 4000, "high": 2000}
"""The silence after which it is over whatever its words are."""
_UNBROKEN_MODELS = frozenset({"gpt-live-transcribe", "gpt-realtime-whisper"})
"""Transcription models that take no turn detection."""


@dataclass(frozen=True, slots=True)
class TurnDetection:
    threshold: float
    silence_ms: int
    patience_ms: int | None
    """How long a turn that sounds unfinished may pause; None when its words do not matter."""
    prefix_ms: int
    idle_ms: int | None
    creates: bool
    """A response when a turn is over."""
    interrupts: bool
    """The response in progress when a turn begins."""


class Session:
    """The effective configuration of one call."""

    def __init__(self, session_id: str, request: Mapping[str, Any], *, expires_at: int) -> None:
        """`request` as a client sends it, `expires_at` epoch seconds. Raises Refusal."""
        CHECK_SESSION(request, "session")
        self.id = session_id
        self._config = _defaults(request["type"], session_id, expires_at)
        self._merge(self._config, request)

    def view(self) -> dict[str, Any]:
        """The whole effective object, as `session.created` and `session.updated` carry it."""
        return copy.deepcopy(self._config)

    def update(self, change: Mapping[str, Any], *, spoken: bool) -> None:
        """Take over the fields sent, or none of them. `spoken`: the model was heard already. Raises Refusal."""
        CHECK_SESSION(change, "session")
        if change["type"] != self._config["type"]:
            raise invalid("session.type", change["type"], f"This is a {self._config['type']} session.")
        if "model" in change and change["model"] != self.model:
            raise Refusal("Cannot update a session's model.", code="invalid_value", param="session.model")
        merged = copy.deepcopy(self._config)
        self._merge(merged, change)
        if spoken and _voice(merged) != _voice(self._config):
            raise voice_is_fixed()
        self._config = merged

    def _merge(self, config: dict[str, Any], change: Mapping[str, Any]) -> None:
        given = copy.deepcopy(dict(change))
        audio = given.pop("audio", {})
        config.update(given)
        config["audio"].get("output", {}).update(audio.get("output", {}))
        heard = audio.get("input", {})
        if "turn_detection" in heard:
            heard["turn_detection"] = _merged_turn(config["audio"]["input"]["turn_detection"], heard["turn_detection"])
        config["audio"]["input"].update(heard)
        if str(config.get("model", "")).startswith("gpt-live"):
            raise invalid(
                "session.model", config["model"], "This model belongs to the Live API, not to realtime calls."
            )
        if config["type"] == "transcription":
            self._refuse_turns_without_breaks(config["audio"]["input"], given="turn_detection" in heard)

    @staticmethod
    def _refuse_turns_without_breaks(heard: dict[str, Any], *, given: bool) -> None:
        if heard["turn_detection"] is None or (heard["transcription"] or {}).get("model") not in _UNBROKEN_MODELS:
            return
        if given:
            raise Refusal(
                "Turn detection is not supported for this transcription model",
                code="invalid_value",
                param="session.audio.input.turn_detection",
            )
        heard["turn_detection"] = None

    @property
    def transcribes_only(self) -> bool:
        return bool(self._config["type"] == "transcription")

    @property
    def model(self) -> str:
        return str(self._config.get("model", ""))

    @property
    def instructions(self) -> str:
        return str(self._config["instructions"])

    @property
    def output_modality(self) -> str:
        """`audio` or `text`."""
        return str(self._config["output_modalities"][0])

    @property
    def voice(self) -> str:
        return _voice(self._config)

    @property
    def voice_view(self) -> Any:
        return copy.deepcopy(self._config["audio"]["output"]["voice"])

    @property
    def speed(self) -> float:
        return float(self._config["audio"]["output"]["speed"])

    @property
    def tools(self) -> Sequence[Mapping[str, Any]]:
        return tuple(self._config["tools"])

    @property
    def tool_choice(self) -> Any:
        return self._config["tool_choice"]

    @property
    def max_output_tokens(self) -> int | str:
        return self._config["max_output_tokens"]  # type: ignore[no-any-return]  # checked by its shape

    @property
    def transcription(self) -> Mapping[str, Any] | None:
        """`audio.input.transcription`; None when the words of the user are not sent to the client."""
        return self._config["audio"]["input"]["transcription"]  # type: ignore[no-any-return]  # checked by its shape

    @property
    def hears_ahead(self) -> bool:
        """Words come while they are spoken: a transcription model at work that takes no turn detection."""
        model = (self.transcription or {}).get("model")
        return self.turn_detection is None and model in _UNBROKEN_MODELS

    @property
    def wants_logprobs(self) -> bool:
        return bool(self._config["include"])

    @property
    def turn_detection(self) -> TurnDetection | None:
        turn = self._config["audio"]["input"]["turn_detection"]
        if turn is None:
            return None
        server = _VAD_DEFAULTS["server_vad"] | turn
        semantic = turn["type"] == "semantic_vad"
        return TurnDetection(
            threshold=server["threshold"],
            silence_ms=_SEMANTIC_SILENCE_MS[turn["eagerness"]] if semantic else server["silence_duration_ms"],
            patience_ms=_SEMANTIC_PATIENCE_MS[turn["eagerness"]] if semantic else None,
            prefix_ms=server["prefix_padding_ms"],
            idle_ms=server["idle_timeout_ms"],
            creates=turn["create_response"],
            interrupts=turn["interrupt_response"],
        )


def voice_is_fixed() -> Refusal:
    return Refusal("Cannot update a conversation's voice if assistant audio is present.", code="cannot_update_voice")


def voice_name(voice: Any) -> str:
    """The name in `audio.output.voice`, which is a string or `{"id": …}`."""
    return str(voice["id"] if isinstance(voice, dict) else voice)


def _voice(config: Mapping[str, Any]) -> str:
    return voice_name(config["audio"]["output"]["voice"]) if "output" in config["audio"] else ""


def _merged_turn(present: dict[str, Any] | None, change: dict[str, Any] | None) -> dict[str, Any] | None:
    if change is None:
        return None
    kept = present if present is not None and present["type"] == change["type"] else {}
    return {**_VAD_DEFAULTS[change["type"]], **kept, **change}


def _defaults(kind: str, session_id: str, expires_at: int) -> dict[str, Any]:
    heard: dict[str, Any] = {
        "format": {"type": "audio/pcm", "rate": 24_000},
        "noise_reduction": None,
        "transcription": None,
        "turn_detection": dict(_VAD_DEFAULTS["server_vad"]),
    }
    common = {"type": kind, "id": session_id, "expires_at": expires_at, "include": None}
    if kind == "transcription":
        return {**common, "object": "realtime.transcription_session", "audio": {"input": heard}}
    return {
        **common,
        "object": "realtime.session",
        "model": DEFAULT_MODEL,
        "instructions": DEFAULT_INSTRUCTIONS,
        "output_modalities": ["audio"],
        "max_output_tokens": "inf",
        "tools": [],
        "tool_choice": "auto",
        "tracing": None,
        "truncation": "auto",
        "prompt": None,
        "audio": {
            "input": heard,
            "output": {"format": {"type": "audio/pcm", "rate": 24_000}, "voice": "alloy", "speed": 1.0},
        },
    }
