"""The orders of the protocol, each a file in `orders/` that reads like a log.

Lines: `> {…}` a client event, `* …` what the call reports, `< …` the server event that must follow, `! …` the effect
that must follow, `# …` a remark, `= {…}` the session the call begins with. `RTCLI_WRITE_ORDERS=1` writes what comes
out over what was expected, for a reviewer to read.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtcli.protocol.server_events import Malformed, Unknown, decode_object
from rtcli.protocol.shapes import findings, schemas
from rtcli.sandbox.dialogue import Dialogue
from rtcli.sandbox.effects import (
    Cancel,
    ClearOutput,
    Effect,
    EndSpeech,
    Forget,
    Generate,
    Listen,
    Send,
    Speak,
    StopListening,
    Transcribe,
    TranscribeClip,
)
from rtcli.sandbox.engine.base import (
    AnyEvent,
    Failed,
    Filtered,
    FunctionCall,
    McpCall,
    McpQuestion,
    Paused,
    Resumed,
    SpeechStarted,
    SpeechStopped,
    VoiceActivity,
)
from rtcli.sandbox.session import Session


ORDERS = Path(__file__).parent / "orders"
ACTIVITIES: dict[str, Callable[[int], VoiceActivity]] = {
    "speech_started": SpeechStarted,
    "paused": Paused,
    "resumed": Resumed,
    "speech_stopped": SpeechStopped,
}
PLAIN = ("replied", "spoken", "sounding", "drained")


def counted() -> Any:
    numbers: Counter[str] = Counter()

    def new_id(prefix: str) -> str:
        numbers[prefix] += 1
        return f"{prefix}_{numbers[prefix]}"

    return new_id


def a_dialogue(session: dict[str, Any] | None = None) -> Dialogue:
    new_id = counted()
    request = session or {"type": "realtime", "model": "gpt-realtime-2"}
    session_ = Session(new_id("sess"), request, expires_at=1_800_000_000)
    return Dialogue(session_, new_id=new_id, now=0.0, mcp_tools={"docs": [{"name": "search"}]})


BEYOND_THE_SDK = {f"$.session.{name}: unknown field" for name in ("id", "object", "expires_at")}
"""What the service sends in a session; the SDK types `session.created` by what a client may ask for."""


class Driver:
    """Feeds a dialogue the input lines of an order."""

    def __init__(self, session: dict[str, Any] | None) -> None:
        self.dialogue = a_dialogue(session)
        self.now = 0.0

    def feed(self, line: str) -> list[Effect]:
        if line.startswith(">"):
            return self.dialogue.receive(line[1:].strip(), self.now)
        word, _, rest = line[1:].strip().partition(" ")
        return self._report(word, rest)

    def _report(self, word: str, rest: str) -> list[Effect]:
        first, _, more = rest.partition(" ")
        dialogue, now = self.dialogue, self.now
        if word == "at":
            self.now = float(first)
            return []
        if word in ACTIVITIES:
            return dialogue.hear(ACTIVITIES[word](int(first)), now)
        if word in PLAIN:
            effects: list[Effect] = getattr(dialogue, word)(first, now)
            return effects
        reports: dict[str, Callable[[], list[Effect]]] = {
            "opened": lambda: dialogue.opened(now),
            "expired": lambda: dialogue.expired(rest, now),
            "heard": lambda: dialogue.heard(int(first), now),
            "recognised": lambda: dialogue.recognised(first, None if more == "!" else more, now),
            "piece": lambda: dialogue.piece(first, more, now),
            "call": lambda: dialogue.piece(first, a_call(more), now),
            "mcp": lambda: dialogue.piece(first, McpCall("docs", "search", {"q": "tea"}, more or None, None), now),
            "mcp_failed": lambda: dialogue.piece(first, McpCall("docs", "search", {"q": "tea"}, None, more), now),
            "ask": lambda: dialogue.piece(first, McpQuestion("docs", more, {}), now),
            "filtered": lambda: dialogue.piece(first, Filtered(), now),
            "broken": lambda: dialogue.piece(first, Failed(more, "insufficient_quota", "insufficient_quota"), now),
            "event": lambda: dialogue.piece(first, AnyEvent(json.loads(more)), now),
            "synthesised": lambda: dialogue.synthesised(first, int(more), now),
            "failed": lambda: dialogue.failed(first, more, now),
            "cleared": lambda: dialogue.cleared([(first, int(more))], now),
        }
        return reports[word]()


def a_call(line: str) -> FunctionCall:
    name, _, arguments = line.partition(" ")
    return FunctionCall(name, json.loads(arguments))


def told(effect: Effect) -> str:
    """One output line."""
    match effect:
        case Send(event):
            return "< " + " ".join([event["type"], *_particulars(event)])
        case Listen(threshold, silence_ms):
            return f"! Listen {threshold} {silence_ms}"
        case Transcribe(item_id, start_ms, end_ms):
            return f"! Transcribe {item_id} {start_ms}-{end_ms}"
        case TranscribeClip(item_id, audio):
            return f"! TranscribeClip {item_id} {len(audio)} bytes"
        case Generate(response_id, prompt):
            said = " | ".join(f"{turn.role}: {turn.text}" for turn in prompt.history)
            return f"! Generate {response_id} {said}"
        case Speak(response_id, text, voice, _):
            return f"! Speak {response_id} {voice} {text!r}"
        case EndSpeech(subject) | Cancel(subject) | Forget(subject, _):
            return f"! {type(effect).__name__} {subject}"
        case StopListening() | ClearOutput():
            return f"! {type(effect).__name__}"


def _particulars(event: dict[str, Any]) -> Iterator[str]:
    """What a reader of an order wants to see of an event."""
    for name in ("item_id", "response_id", "audio_start_ms", "audio_end_ms", "previous_item_id", "name"):
        if event.get(name) is not None:
            yield f"{name}={event[name]}"
    for name in ("delta", "transcript", "text", "arguments"):
        if name in event:
            yield f"{name}={event[name]!r}"
    if "item" in event:
        item = event["item"]
        yield f"item={item['id']} {item['type']} {item.get('role', '-')} {item.get('status', '-')}"
    if "response" in event:
        response = event["response"]
        details = response["status_details"] or {}
        yield " ".join(filter(None, (response["id"], response["status"], details.get("reason"))))
    if "error" in event:
        error = event["error"]
        yield f"{error['code']} param={error['param']} event_id={error.get('event_id')}"


def check_on_the_wire(effect: Effect) -> None:
    """An event survives JSON and is what the client's own reader knows, whole."""
    if not isinstance(effect, Send):
        return
    event = decode_object(json.loads(json.dumps(effect.event)))
    assert not isinstance(event, Unknown | Malformed), effect.event
    # An explicit null (`previous_item_id` of the first item) is kept there too, so that nothing is lost.
    assert {name for name, value in event.extra.items() if value is not None} == set(), effect.event
    assert event.event_id
    schema = schemas()["server_events"][effect.event["type"]]
    assert [f for f in findings(effect.event, schema, "$") if str(f) not in BEYOND_THE_SDK] == [], effect.event


def played(order: Path) -> str:
    """The order with what really came out."""
    lines = order.read_text().splitlines()
    session = next((json.loads(line[1:]) for line in lines if line.startswith("=")), None)
    driver = Driver(session)
    result = []
    for line in lines:
        if line.startswith((">", "*")):
            effects = driver.feed(line)
            for effect in effects:
                check_on_the_wire(effect)
            result += [line, *map(told, effects)]
        elif not line.startswith(("<", "!")):
            result.append(line)
    return "\n".join(result) + "\n"


@pytest.mark.parametrize("order", sorted(ORDERS.glob("*.txt")), ids=lambda path: path.stem)
def test_the_dialogue_keeps_the_order_of(order: Path) -> None:
    result = played(order)
    if os.environ.get("RTCLI_WRITE_ORDERS"):
        order.write_text(result)
    assert result == order.read_text()


NEVER_OVER_WEBRTC = {
    "conversation.item.created": "the name of before 2025-08; `added` and `done` took its place",
    "input_audio_buffer.dtmf_event_received": "a keypad: SIP only",
    "response.output_audio.delta": "sound goes on the media track",
}


def test_the_orders_show_every_event_that_webrtc_can_show() -> None:
    shown = {
        line.split()[1] for order in ORDERS.glob("*.txt") for line in order.read_text().splitlines() if line[:1] == "<"
    }
    assert set(schemas()["server_events"]) - shown == set(NEVER_OVER_WEBRTC)


# --- what no order can show -------------------------------------------------------------------------------------------

ITEM_IDS = st.sampled_from(["item_1", "item_2", "item_3", "resp_1", "root", "nowhere"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
CONTENT = st.fixed_dictionaries(
    {"type": st.sampled_from(["input_text", "output_text", "input_audio", "input_image", "text"])},
    optional={"text": st.text(max_size=20), "audio": st.sampled_from(["", "AAAA", "?"]), "image_url": st.text()},
)
ITEMS = st.fixed_dictionaries(
    {"type": st.sampled_from(["message", "function_call", "function_call_output", "mcp_call", "nonsense"])},
    optional={
        "id": ITEM_IDS,
        "role": st.sampled_from(["user", "assistant", "system", "tool"]),
        "content": st.lists(CONTENT, max_size=2) | JSON,
        "call_id": ITEM_IDS,
        "name": st.text(max_size=8),
        "arguments": st.just("{}"),
        "output": st.text(max_size=8),
    },
)
SESSIONS = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["realtime", "transcription", 3]),
        "instructions": st.text(max_size=8),
        "output_modalities": st.sampled_from([["text"], ["audio"], ["text", "audio"], []]),
        "audio": JSON
        | st.fixed_dictionaries(
            {},
            optional={
                "input": st.fixed_dictionaries(
                    {},
                    optional={
                        "turn_detection": st.sampled_from([None, {"type": "server_vad"}, {"type": "semantic_vad"}]),
                        "transcription": st.sampled_from([None, {"model": "whisper-1"}, {}]),
                    },
                ),
                "output": st.fixed_dictionaries({}, optional={"voice": st.sampled_from(["ash", {"id": "v"}, 5])}),
            },
        ),
        "temperature": st.just(0.8),
    },
)
RESPONSES = st.fixed_dictionaries(
    {},
    optional={
        "conversation": st.sampled_from(["auto", "none"]),
        "input": st.lists(
            ITEMS | st.fixed_dictionaries({"type": st.just("item_reference"), "id": ITEM_IDS}), max_size=2
        ),
        "output_modalities": st.sampled_from([["text"], ["audio"]]),
        "max_output_tokens": st.sampled_from([1, 5, "inf", 0]),
        "metadata": JSON,
    },
)
CLIENT_EVENTS = st.fixed_dictionaries(
    {
        "type": st.sampled_from(
            [
                "session.update",
                "conversation.item.create",
                "conversation.item.retrieve",
                "conversation.item.truncate",
                "conversation.item.delete",
                "input_audio_buffer.append",
                "input_audio_buffer.commit",
                "input_audio_buffer.clear",
                "output_audio_buffer.clear",
                "response.create",
                "response.cancel",
                "response.nonsense",
            ]
        )
    },
    optional={
        "event_id": st.text(max_size=8) | st.integers(),
        "session": SESSIONS,
        "item": ITEMS,
        "item_id": ITEM_IDS,
        "previous_item_id": ITEM_IDS,
        "response": RESPONSES,
        "response_id": ITEM_IDS,
        "content_index": st.integers(-1, 1),
        "audio_end_ms": st.integers(-1, 1000),
        "audio": st.just("AAAA"),
    },
)
REPORTS = st.sampled_from(
    [
        "* heard 400",
        "* heard 2000",
        "* speech_started 300",
        "* paused 900",
        "* resumed 1000",
        "* speech_stopped 1200",
        "* recognised item_1 what time is it",
        "* recognised item_2 !",
        "* piece resp_1 It is noon.",
        "* piece resp_1  And that is that.",
        '* call resp_1 look_up {"q": 1}',
        "* replied resp_1",
        "* synthesised resp_1 700",
        "* spoken resp_1",
        "* sounding resp_1",
        "* drained resp_1",
        "* cleared resp_1 300",
        "* failed resp_2 it broke",
        "* replied resp_2",
        "* at 40",
    ]
)


@settings(max_examples=100, deadline=None)
@given(st.lists(CLIENT_EVENTS.map(lambda event: "> " + json.dumps(event)) | REPORTS, max_size=25))
def test_no_sequence_of_events_and_reports_breaks_the_dialogue(lines: list[str]) -> None:
    driver = Driver({"type": "realtime", "audio": {"input": {"transcription": {"model": "gpt-transcribe"}}}})
    for effect in driver.dialogue.opened(0.0):
        check_on_the_wire(effect)
    begun: set[str] = set()
    over: set[str] = set()
    for line in lines:
        for effect in driver.feed(line):
            check_on_the_wire(effect)
            if isinstance(effect, Send) and effect.event["type"] == "response.created":
                begun.add(effect.event["response"]["id"])
            if isinstance(effect, Send) and effect.event["type"] == "response.done":
                done = effect.event["response"]["id"]
                assert done in begun - over
                over.add(done)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=60) | st.binary(max_size=60) | JSON.map(json.dumps))
def test_no_message_breaks_the_dialogue(data: str | bytes) -> None:
    effects = a_dialogue().receive(data, 0.0)
    assert [effect.event["type"] for effect in effects if isinstance(effect, Send)] == ["error"]


@pytest.mark.parametrize(
    "data",
    ["[" * 200_000, "9" * 5000, '{"type": NaN}', b"\xff\xfe", '"text"', "null", '{"type": 7}', "{}"],
    ids=["deep", "long number", "NaN", "not UTF-8", "a string", "null", "type 7", "no type"],
)
def test_a_message_that_is_no_event_gets_one_error(data: str | bytes) -> None:
    (effect,) = a_dialogue().receive(data, 0.0)
    assert isinstance(effect, Send)
    assert effect.event["error"]["type"] == "invalid_request_error"


def test_usage_figures_add_up() -> None:
    driver = Driver(None)
    for line in (
        (
            '> {"type":"conversation.item.create","item":{"type":"message","role":"user","content":'
            '[{"type":"input_text","text":"Tell me."},{"type":"input_image","image_url":"data:,"}]}}'
        ),
        '> {"type":"response.create"}',
        "* piece resp_1 Once upon a time there was a call.",
        "* synthesised resp_1 2040",
        "* sounding resp_1",
        "* replied resp_1",
    ):
        driver.feed(line)
    done = next(
        effect.event
        for effect in driver.feed("* spoken resp_1")
        if isinstance(effect, Send) and effect.event["type"] == "response.done"
    )
    usage = done["response"]["usage"]
    read, made = usage["input_token_details"], usage["output_token_details"]
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    assert usage["input_tokens"] == read["text_tokens"] + read["audio_tokens"] + read["image_tokens"]
    assert usage["output_tokens"] == made["text_tokens"] + made["audio_tokens"]
    assert made["audio_tokens"] == 41
    assert read["image_tokens"] > 0


def test_a_session_update_changes_only_what_it_names() -> None:
    dialogue = a_dialogue({"type": "realtime", "audio": {"input": {"turn_detection": {"type": "server_vad"}}}})
    change = {"type": "realtime", "audio": {"input": {"turn_detection": {"type": "server_vad", "threshold": 0.7}}}}
    before = dialogue.session.view()
    dialogue.receive(json.dumps({"type": "session.update", "session": change}), 0.0)
    before["audio"]["input"]["turn_detection"]["threshold"] = 0.7
    assert dialogue.session.view() == before
