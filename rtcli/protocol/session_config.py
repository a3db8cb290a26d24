"""The session object, built from what the user chose.

Fields, defaults and ranges: `openai/types/realtime/realtime_session_create_request.py` and
`realtime_transcription_session_create_request.py` (SDK 3.54); what the SDK does not say is OpenAI's openapi.yaml.
"""

from __future__ import annotations

from typing import Literal

from rtcli.errors import UsageError
from rtcli.protocol.codec import Json, JsonObject, NotJson, parse
from rtcli.records import dataclass


DEFAULT_MODEL = "gpt-realtime-2"
DEFAULT_VOICE = "marin"
VOICES = ("alloy", "ash", "ballad", "cedar", "coral", "echo", "marin", "sage", "shimmer", "verse")
"""Those of the official SDK (`realtime_audio_config_output.py`); a service may know others."""
DEFAULT_TRANSCRIBER = "gpt-transcribe"
"""Works with the service's own turn detection, unlike `gpt-live-transcribe`, and is not due to be shut down."""
COMMIT_BY_CLIENT = frozenset({"gpt-live-transcribe", "gpt-realtime-whisper"})
"""Transcribers that refuse any turn detection: the client says where a turn ends."""

Vad = Literal["server", "semantic", "off"]
Eagerness = Literal["low", "medium", "high", "auto"]
NoiseReduction = Literal["near", "far", "off"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOptions:
    """What the user chose; None or empty where nothing was chosen."""

    whole: JsonObject | None = None
    """A session object (`--session`). Nothing is added to it but `type`, `model` and what the other fields say."""
    transcription: bool = False
    """A transcription session instead of a conversation."""
    model: str | None = None
    voice: str | None = None
    instructions: str | None = None
    text: bool = False
    """Text output only."""
    vad: Vad | None = None
    eagerness: Eagerness | None = None
    """Of semantic turn detection."""
    vad_threshold: float | None = None
    """0 to 1, of server turn detection."""
    vad_silence_ms: int | None = None
    interrupt: bool | None = None
    """Whether speech stops the answer."""
    noise_reduction: NoiseReduction | None = None
    transcribe: str | None = None
    """A transcriber, or `off`."""
    language: str | None = None
    """Of the user's speech, ISO 639-1."""
    tools: tuple[JsonObject, ...] = ()
    overrides: tuple[tuple[str, Json], ...] = ()
    """Dotted path and value, applied last and in order."""

    @property
    def kind(self) -> str:
        """`session.type`."""
        named = (self.whole or {}).get("type")
        return "transcription" if self.transcription or named == "transcription" else "realtime"


def build_session(options: SessionOptions, *, transcribe: str | None = DEFAULT_TRANSCRIBER) -> JsonObject:
    """The session a key is minted with or a call is opened with. Raises UsageError when options contradict.

    `transcribe`: the transcriber where the user named none; None leaves what the user says untranscribed.
    """
    if options.whole is not None:
        base: JsonObject = {} if options.kind == "transcription" else {"model": DEFAULT_MODEL}
        return _overridden(merge(merge(base, options.whole), _chosen(options)), options)
    return _overridden(merge(_defaults(options, transcribe), _chosen(options)), options)


def session_changes(options: SessionOptions) -> JsonObject | None:
    """Only what the user chose, for a session made elsewhere; None when that is nothing.

    Raises UsageError when options contradict, or name a model, which no update can change.
    """
    if options.model is not None:
        raise UsageError("the model belongs to the session, and that was made elsewhere")
    chosen = _overridden(merge(options.whole or {}, _chosen(options)), options)
    return chosen if chosen.keys() - {"type"} else None


def turn_detection(session: JsonObject) -> bool | None:
    """Whether the service finds the turns of this session; None when the object does not say."""
    hearing = value_at(session, "audio.input")
    return hearing["turn_detection"] is not None if isinstance(hearing, dict) and "turn_detection" in hearing else None


def value_at(value: Json, path: str) -> Json:
    """The value at `a.b[0].c` or `a.b.0.c`; None when there is none."""
    for step in path.replace("[", ".").replace("]", "").split("."):
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        else:
            return None
    return value


def merge(under: JsonObject, over: JsonObject) -> JsonObject:
    """Both objects in one, `over` winning field by field; a value of another `type` replaces instead of mixing."""
    merged = dict(under)
    for key, value in over.items():
        held = merged.get(key)
        if isinstance(held, dict) and isinstance(value, dict) and not _retyped(held, value):
            merged[key] = merge(held, value)
        else:
            merged[key] = value
    return merged


def with_value(target: JsonObject, path: str, value: Json) -> JsonObject:
    """`target` with the value at a dotted path (`tools.0.name`); objects on the way are made. Raises UsageError."""
    steps = path.split(".")
    if not all(steps):
        raise UsageError(f"not a path: {path!r}")
    changed = _placed(target, steps, value, path)
    assert isinstance(changed, dict)
    return changed


def parse_override(text: str) -> tuple[str, Json]:
    """`audio.output.speed=1.2` as path and value: JSON, or a bare word as text. Raises UsageError."""
    path, equals, written = text.partition("=")
    if not equals or not path.strip():
        raise UsageError(f"expected PATH=VALUE, got {text!r}")
    try:
        return path.strip(), parse(written)
    except NotJson as problem:
        if written.lstrip()[:1] in {"{", "[", '"'}:
            raise UsageError(f"the value of {path.strip()} is {problem}") from None
        return path.strip(), written


def _defaults(options: SessionOptions, transcribe: str | None) -> JsonObject:
    hearing: JsonObject = {"transcription": {"model": transcribe}} if transcribe else {}
    if options.kind == "transcription":
        return {"type": "transcription", "audio": {"input": hearing}}
    speaking: JsonObject = {} if options.text else {"output": {"voice": DEFAULT_VOICE}}
    return {"type": "realtime", "model": DEFAULT_MODEL, "audio": {"input": hearing, **speaking}}


def _chosen(options: SessionOptions) -> JsonObject:
    session: JsonObject = {"type": options.kind}
    if options.kind == "transcription":
        _refuse_speaking(options)
    else:
        spoken: JsonObject = {
            "model": options.model,
            "instructions": options.instructions,
            "output_modalities": ["text"] if options.text else None,
            "tools": list(options.tools) or None,
        }
        session |= {name: value for name, value in spoken.items() if value is not None}
    audio: JsonObject = {}
    hearing = _hearing(options)
    if hearing:
        audio["input"] = hearing
    if options.voice is not None:
        audio["output"] = {"voice": options.voice}
    return {**session, "audio": audio} if audio else session


def _refuse_speaking(options: SessionOptions) -> None:
    foreign = {
        "model": options.model is not None,
        "voice": options.voice is not None,
        "instructions": options.instructions is not None,
        "text": options.text,
        "tool": bool(options.tools),
    }
    named = [f"--{name}" for name, given in foreign.items() if given]
    if named:
        raise UsageError(f"a transcription session has no {', '.join(named)}; --transcribe names its model")


def _hearing(options: SessionOptions) -> JsonObject:
    """The chosen part of `audio.input`; null switches a thing off."""
    hearing: JsonObject = {}
    if options.noise_reduction is not None:
        off = options.noise_reduction == "off"
        hearing["noise_reduction"] = None if off else {"type": f"{options.noise_reduction}_field"}
    transcription = _transcription(options)
    if options.transcribe == "off" or transcription:
        hearing["transcription"] = transcription or None
    detection = _turn_detection(options)
    if options.vad == "off" or (options.transcribe in COMMIT_BY_CLIENT and not detection):
        hearing["turn_detection"] = None
    elif detection:
        hearing["turn_detection"] = detection
    return hearing


def _transcription(options: SessionOptions) -> JsonObject:
    if options.transcribe == "off":
        if options.language is not None:
            raise UsageError("--language is the transcriber's, and --transcribe is off")
        return {}
    named = {"model": options.transcribe, "language": options.language}
    return {name: value for name, value in named.items() if value is not None}


def _turn_detection(options: SessionOptions) -> JsonObject:
    """Empty when nothing was chosen. The kind follows from the details when it was not named."""
    server = {"threshold": options.vad_threshold, "silence_duration_ms": options.vad_silence_ms}
    tuned = any(value is not None for value in server.values())
    if tuned and options.eagerness is not None:
        raise UsageError("threshold and silence belong to server turn detection, eagerness to semantic")
    details = tuned or options.eagerness is not None or options.interrupt is not None
    if options.vad == "off" and details:
        raise UsageError("--vad is off, and another option describes it")
    if options.vad in {None, "off"} and not details:
        return {}
    if (options.vad == "semantic" and tuned) or (options.vad == "server" and options.eagerness is not None):
        raise UsageError(f"--vad is {options.vad}, and another option describes the other kind")
    if options.transcribe in COMMIT_BY_CLIENT:
        raise UsageError(f"{options.transcribe} works without turn detection only")
    chosen = {"eagerness": options.eagerness, **server, "interrupt_response": options.interrupt}
    named = {name: value for name, value in chosen.items() if value is not None}
    return {"type": _vad_type(options, tuned=tuned), **named}


def _vad_type(options: SessionOptions, *, tuned: bool) -> Json:
    if options.vad == "semantic" or options.eagerness is not None:
        return "semantic_vad"
    held = value_at(options.whole, "audio.input.turn_detection.type")
    return "server_vad" if options.vad == "server" or tuned or held is None else held


def _overridden(session: JsonObject, options: SessionOptions) -> JsonObject:
    for path, value in options.overrides:
        session = with_value(session, path, value)
    return session


def _retyped(held: JsonObject, value: JsonObject) -> bool:
    return "type" in held and "type" in value and held["type"] != value["type"]


def _placed(node: Json, steps: list[str], value: Json, path: str) -> Json:
    if not steps:
        return value
    step, *rest = steps
    if isinstance(node, list):
        if not step.isdecimal() or int(step) >= len(node):
            raise UsageError(f"{path}: there is no entry {step} in a list of {len(node)}")
        index = int(step)
        return [*node[:index], _placed(node[index], rest, value, path), *node[index + 1 :]]
    if node is not None and not isinstance(node, dict):
        raise UsageError(f"{path}: {step} is below a value that is no object")
    held = node or {}
    return {**held, step: _placed(held.get(step), rest, value, path)}
