"""Client and server events against the shapes the official SDK has, and against everything that is none."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rtcli.protocol import client_events, server_events, shapes
from rtcli.protocol.codec import MAX_DEPTH
from rtcli.protocol.server_events import Malformed, ServerEvent, Unknown


SCHEMAS = shapes.schemas()
SERVER_TYPES = sorted(SCHEMAS["server_events"])
CLIENT_TYPES = sorted(SCHEMAS["client_events"])
few = settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])

leaf = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9)
)
anything = st.recursive(leaf, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner))


@cache
def _defined(name: str) -> st.SearchStrategy[Any]:
    return st.deferred(lambda: _fitting(SCHEMAS["$defs"][name]))


def _fitting(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values of a shape, with fields it does not know among them."""
    if "$ref" in schema:
        return _defined(schema["$ref"].rsplit("/", 1)[1])
    if "anyOf" in schema:
        return st.one_of([_fitting(option) for option in schema["anyOf"]])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "properties" in schema:
        required = {key: _fitting(schema["properties"][key]) for key in schema["required"]}
        optional = {key: _fitting(inner) for key, inner in schema["properties"].items() if key not in required}
        return st.fixed_dictionaries(required, optional={**optional, "x-unknown": leaf})
    if schema.get("type") == "array":
        return st.lists(_fitting(schema["items"]), max_size=2)
    simple: dict[Any, st.SearchStrategy[Any]] = {
        "string": st.text(max_size=12),
        "integer": st.integers(),
        "number": st.integers() | st.floats(allow_nan=False, allow_infinity=False),
        "boolean": st.booleans(),
        "null": st.none(),
        "object": st.dictionaries(st.text(max_size=5), leaf, max_size=2),
    }
    return simple.get(schema.get("type"), leaf)


def _event_of(table: str, name: str) -> st.SearchStrategy[dict[str, Any]]:
    fitting: st.SearchStrategy[dict[str, Any]] = _fitting(SCHEMAS[table][name])
    return fitting.map(lambda event: {**event, "type": name})


def _same(encoded: Any, original: Any) -> bool:
    """Equal, but for an index that was left out and comes back as 0."""
    if isinstance(encoded, dict) and isinstance(original, dict):
        added = encoded.keys() - original.keys()
        return (
            added <= {"content_index", "output_index"}
            and all(encoded[key] == 0 for key in added)
            and original.keys() <= encoded.keys()
            and all(_same(encoded[key], value) for key, value in original.items())
        )
    if isinstance(encoded, list) and isinstance(original, list):
        return len(encoded) == len(original) and all(map(_same, encoded, original))
    return bool(encoded == original)


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _places(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _places(inner, (*path, index))


def _with(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = _with(value[path[0]], path[1:], new)
    return copy


# ---- the catalogue --------------------------------------------------------------------------------------------------


def test_the_catalogue_is_the_sdks_46_server_and_11_client_events() -> None:
    assert (len(SERVER_TYPES), len(CLIENT_TYPES)) == (46, 11)
    assert sorted(server_events.EVENTS) == SERVER_TYPES
    assert sorted(client_events.EVENTS) == CLIENT_TYPES


@pytest.mark.parametrize("table", ["server_events", "client_events"])
def test_an_event_class_has_every_field_the_sdk_has(table: str) -> None:
    classes: dict[str, Any] = {**(server_events if table == "server_events" else client_events).EVENTS}
    for name, cls in classes.items():
        known = SCHEMAS["$defs"][SCHEMAS[table][name]["$ref"].rsplit("/", 1)[1]]["properties"].keys() - {"type"}
        assert known <= cls.__dataclass_fields__.keys(), name


def test_a_class_is_named_after_its_wire_type() -> None:
    classes: dict[str, Any] = {**server_events.EVENTS, **client_events.EVENTS}
    for name, cls in classes.items():
        camel = "".join(word.capitalize() for word in re.split("[._]", name))
        assert cls.__name__ == ("ErrorEvent" if name == "error" else camel)
        assert cls.type == name


# ---- round trips ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SERVER_TYPES)
def test_a_server_event_decodes_and_encodes_to_what_was_sent(name: str) -> None:
    @few
    @given(_event_of("server_events", name))
    def holds(sent: dict[str, Any]) -> None:
        event = server_events.decode(json.dumps(sent))
        assert isinstance(event, server_events.EVENTS[name])
        assert _same(server_events.encode(event), sent)

    holds()


@pytest.mark.parametrize("name", CLIENT_TYPES)
def test_a_client_event_decodes_and_encodes_to_what_was_sent(name: str) -> None:
    @few
    @given(_event_of("client_events", name))
    def holds(sent: dict[str, Any]) -> None:
        event = client_events.decode(json.dumps(sent))
        assert isinstance(event, client_events.EVENTS[name])
        assert json.loads(client_events.encode(event)) == sent

    holds()


def test_fields_this_version_does_not_know_are_kept_at_every_level() -> None:
    sent = {
        "type": "response.done",
        "event_id": "event_1",
        "speaker": "LocalAI adds this",
        "extra": {"even": "this name"},
        "response": {
            "id": "resp_1",
            "mood": "good",
            "output": [{"id": "item_1", "type": "message", "content": [{"type": "audio", "lips": [1]}], "x": None}],
        },
    }
    event = server_events.decode(json.dumps(sent))
    assert isinstance(event, server_events.ResponseDone)
    assert event.extra == {"speaker": "LocalAI adds this", "extra": {"even": "this name"}}
    assert event.response.output[0].content[0].extra == {"lips": [1]}
    assert server_events.encode(event) == sent


def test_nulls_and_empty_values_come_back_as_they_were_written() -> None:
    sent: dict[str, Any] = {
        "type": "conversation.item.added",
        "event_id": None,
        "previous_item_id": None,
        "item": {"id": "", "type": "message", "content": [], "status": None},
    }
    event = server_events.decode(json.dumps(sent))
    assert isinstance(event, server_events.ConversationItemAdded)
    assert (event.event_id, event.previous_item_id, event.item.content, event.item.status) == ("", None, (), None)
    assert server_events.encode(event) == sent


def test_numbers_are_taken_where_an_error_should_have_text() -> None:
    sent = {"type": "error", "error": {"code": 400, "param": True, "message": "no"}}
    event = server_events.decode(json.dumps(sent))
    assert isinstance(event, server_events.ErrorEvent)
    assert (event.error.code, event.error.param, event.error.message) == ("400", "true", "no")
    assert server_events.encode(event) == sent


@pytest.mark.parametrize(
    "sent",
    [
        {"type": "response.function_call_arguments.done", "response_id": "r", "item_id": "i", "call_id": "c",
         "arguments": "{}"},
        {"type": "input_audio_buffer.speech_started"},
        {"type": "conversation.item.input_audio_transcription.completed", "item_id": "i", "transcript": "hi"},
        {"type": "response.done", "response": {}},
        {"type": "response.output_text.delta", "response_id": "r", "item_id": "i", "delta": "a"},
        {"type": "error", "error": {}},
    ],
    ids=lambda sent: str(sent["type"]),
)  # fmt: skip
def test_what_other_servers_leave_out_is_not_missed(sent: dict[str, Any]) -> None:
    event = server_events.decode(json.dumps(sent))
    assert isinstance(event, ServerEvent)
    assert event.event_id == ""
    assert _same(server_events.encode(event), sent)


def test_usage_of_tokens_and_of_duration_have_one_type() -> None:
    tokens: dict[str, Any] = {"type": "tokens", "total_tokens": 3, "input_tokens": 1, "output_tokens": 2}
    for usage in (tokens, {"type": "duration", "seconds": 1.5}):
        name = "conversation.item.input_audio_transcription.completed"
        sent = {"type": name, "item_id": "i", "content_index": 0, "transcript": "hi", "usage": usage}
        event = server_events.decode(json.dumps(sent))
        assert isinstance(event, server_events.ConversationItemInputAudioTranscriptionCompleted)
        assert event.usage is not None
        assert event.usage.seconds == usage.get("seconds")
        assert server_events.encode(event) == sent


# ---- what is no event -----------------------------------------------------------------------------------------------


@given(st.text() | st.binary() | anything.map(json.dumps))
def test_decode_never_raises(data: str | bytes) -> None:
    assert isinstance(server_events.decode(data), (ServerEvent, Unknown, Malformed))
    client_events.decode(data)


@pytest.mark.parametrize("name", SERVER_TYPES)
def test_a_wrong_value_anywhere_is_malformed_or_kept(name: str) -> None:
    @few
    @given(st.data())
    def holds(data: st.DataObject) -> None:
        sent = data.draw(_event_of("server_events", name))
        wrong = _with(sent, data.draw(st.sampled_from(sorted(_places(sent), key=str))), data.draw(anything))
        event = server_events.decode(json.dumps(wrong))
        if isinstance(event, Malformed):
            assert event.reason.startswith("$.")
            assert event.reason.isprintable()
            assert event.type in {name, None}
        else:
            assert _same(server_events.encode(event), wrong)

    holds()


@pytest.mark.parametrize(
    ("message", "reason", "kind"),
    [
        ('{"type":"response.done","response":{"id":3}}', "$.response.id: expected string, got 3", "response.done"),
        ('{"type":"response.done"}', "$.response: missing", "response.done"),
        ('{"type":"response.done","response":[]}', "$.response: expected object, got a list", "response.done"),
        (
            '{"type":"response.done","response":{"output":[{},{"content":[{"text":{}}]}]}}',
            "$.response.output[1].content[0].text: expected string, got an object",
            "response.done",
        ),
        (
            '{"type":"rate_limits.updated","rate_limits":[{"limit":true}]}',
            "$.rate_limits[0].limit: expected integer, got true",
            "rate_limits.updated",
        ),
        ('{"type":"error","error":"text"}', '$.error: expected object, got "text"', "error"),
        ('{"type":3}', "$.type: expected string, got 3", None),
        ('{"type":null}', "$.type: expected string, got null", None),
        ("{}", "$.type: missing", None),
        ("[]", "$: expected object, got a list", None),
        ("7", "$: expected object, got 7", None),
        ("", "not JSON: Expecting value (character 0)", None),
        ('{"type"', "not JSON: Expecting ':' delimiter (character 7)", None),
        ('{"type":"x","n":NaN}', "not JSON: NaN", None),
        ('{"type":"x","n":-Infinity}', "not JSON: -Infinity", None),
        ('{"type":"x","n":1e999}', "a number out of range", None),
        ('{"type":"x","n":' + "9" * 5000 + "}", "a number out of range", None),
        (b"\xff\xfe{}", "not UTF-8", None),
        (b"\x00\x01\x02", "not JSON: Expecting value (character 0)", None),
        ("[" * 100_000, f"nested deeper than {MAX_DEPTH} levels", None),
        ('{"type":"x","a":' + "[" * MAX_DEPTH + "]" * MAX_DEPTH + "}", f"nested deeper than {MAX_DEPTH} levels", None),
    ],
)
def test_a_malformed_message_says_where_and_what(message: str | bytes, reason: str, kind: str | None) -> None:
    assert server_events.decode(message) == Malformed(reason, kind)


def test_the_offending_value_is_shown_short_and_printable() -> None:
    hostile = "\x1b[2J\u202e" + "A" * 10_000
    told = server_events.decode(json.dumps({"type": "session.created", "session": hostile}))
    assert isinstance(told, Malformed)
    assert told.reason.isprintable()
    assert len(told.reason) < 200
    number = server_events.decode('{"type":"session.created","session":' + "9" * 4000 + "}")
    assert number == Malformed("$.session: expected object, got a very large number", "session.created")


def test_an_unknown_type_keeps_the_whole_event() -> None:
    sent = {"type": "conversation.item.speaker", "event_id": "event_9", "speaker": {"id": 1}}
    event = server_events.decode(json.dumps(sent))
    assert event == Unknown("conversation.item.speaker", "event_9", sent)
    assert server_events.encode(event) == sent
    assert server_events.decode('{"type":"new","event_id":5}') == Unknown("new", "", {"type": "new", "event_id": 5})


def test_the_last_of_two_equal_keys_counts() -> None:
    event = server_events.decode('{"type":"error","type":"input_audio_buffer.cleared","event_id":"a","event_id":"b"}')
    assert event == server_events.InputAudioBufferCleared(event_id="b")


def test_an_event_of_200_kb_with_control_characters_is_decoded_whole() -> None:
    words = "\x00\x1b]0;title\x07" * 20_000
    sent = {"type": "response.output_text.done", "response_id": "r", "item_id": "i", "text": words}
    event = server_events.decode(json.dumps(sent))
    assert isinstance(event, server_events.ResponseOutputTextDone)
    assert event.text == words


def test_what_is_nested_as_deep_as_allowed_can_be_encoded_again() -> None:
    sent = '{"type":"session.created","session":' + '{"a":' * (MAX_DEPTH - 1) + "1" + "}" * MAX_DEPTH
    event = server_events.decode(sent)
    assert isinstance(event, server_events.SessionCreated)
    assert json.dumps(server_events.encode(event), separators=(",", ":")) == sent


# ---- client events --------------------------------------------------------------------------------------------------


def test_a_client_event_is_compact_json_in_the_users_own_letters() -> None:
    event = client_events.SessionUpdate(event_id="e1", session={"type": "realtime", "instructions": "Grüß mich 🙂"})
    assert client_events.encode(event) == (
        '{"type":"session.update","event_id":"e1","session":{"type":"realtime","instructions":"Grüß mich 🙂"}}'
    )


def test_what_was_not_given_is_not_sent() -> None:
    assert client_events.encode(client_events.ResponseCreate()) == '{"type":"response.create"}'
    assert client_events.encode(client_events.ResponseCancel(event_id="e")) == (
        '{"type":"response.cancel","event_id":"e"}'
    )
    empty = client_events.ResponseCreate(response={})
    assert client_events.encode(empty) == '{"type":"response.create","response":{}}'


@given(st.text(st.characters(), max_size=20))  # surrogates among them
def test_any_text_of_a_terminal_can_be_sent(text: str) -> None:
    sent = client_events.encode(client_events.ConversationItemCreate(item=client_events.text_item(text)))
    assert json.loads(sent.encode("utf-8"))["item"]["content"][0]["text"] == json.loads(json.dumps(text))


def test_a_lone_surrogate_goes_out_as_its_escape() -> None:
    sent = client_events.encode(client_events.ConversationItemCreate(item=client_events.text_item("a\ud800b")))
    assert "a\\ud800b" in sent
    assert json.loads(sent.encode())["item"]["content"][0]["text"] == "a\ud800b"


def test_a_malformed_client_event_keeps_its_id_for_the_answer() -> None:
    told = client_events.decode('{"type":"session.update","event_id":"e7","session":[]}')
    assert told == client_events.Malformed("$.session: expected object, got a list", "session.update", "e7")
    assert client_events.decode('{"type":"nope","event_id":"e8"}') == client_events.Unknown(
        "nope", "e8", {"type": "nope", "event_id": "e8"}
    )


@pytest.mark.parametrize(
    ("item", "content"),
    [
        (client_events.text_item("hi"), [{"type": "input_text", "text": "hi"}]),
        (client_events.text_item("be brief", role="system"), [{"type": "input_text", "text": "be brief"}]),
        (client_events.text_item("hello", role="assistant"), [{"type": "output_text", "text": "hello"}]),
        (
            client_events.image_item("data:image/png;base64,AA==", text="What is this?", detail="low"),
            [
                {"type": "input_text", "text": "What is this?"},
                {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "low"},
            ],
        ),
    ],
)
def test_an_item_has_the_content_types_of_its_role(item: dict[str, Any], content: list[Any]) -> None:
    assert item["content"] == content
    assert list(shapes.findings(item, SCHEMAS["item"], "item")) == []


def test_the_output_of_a_function_names_its_call() -> None:
    item = client_events.function_output_item("call_1", '{"ok":true}')
    assert item == {"type": "function_call_output", "call_id": "call_1", "output": '{"ok":true}'}
    assert list(shapes.findings(item, SCHEMAS["item"], "item")) == []
