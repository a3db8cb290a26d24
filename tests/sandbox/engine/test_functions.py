from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtcli.sandbox.engine.base import Prompt, Turn
from rtcli.sandbox.engine.functions import wanted


TEXT = {"type": "string"}
WHOLE = {"type": "integer"}


def tool(name: str, description: str = "", required: list[str] | None = None, **properties: Any) -> dict[str, Any]:
    parameters = {"type": "object", "properties": properties, "required": required or []}
    return {"type": "function", "name": name, "description": description, "parameters": parameters}


TOOLS = [
    tool(
        "get_weather",
        "Get the current weather for a location",
        ["location"],
        location=TEXT,
        unit={"type": "string", "enum": ["celsius", "fahrenheit"]},
    ),
    tool("set_timer", "Start a countdown", ["seconds"], seconds=WHOLE, label=TEXT),
    tool("send_message", "Send a text message to somebody", ["to", "body"], to=TEXT, body=TEXT),
    tool("switch_lights", "Lights on or off", room={"enum": ["kitchen", "living_room"]}, on={"type": "boolean"}),
    tool("generate_horoscope", "Give today's horoscope for a sign.", ["sign"], sign={"enum": ["Aries", "Leo"]}),
    tool("roll_dice", "Roll some dice", count=WHOLE, sides=WHOLE),
    tool("getStockPrice", "Price of a share", ["symbol"], symbol=TEXT),
    tool("play_music", "Plays a song or artist", ["query"], query=TEXT, volume={"type": "number"}),
    tool("add", "Adds two numbers", ["a", "b"], a={"type": "number"}, b={"type": "number"}),
    tool(
        "create_event",
        "Create a calendar event",
        ["title", "date"],
        title=TEXT,
        date=TEXT,
        attendees={"type": "array", "items": TEXT},
    ),
]


def called(said: str, tools: list[dict[str, Any]] = TOOLS, choice: str = "auto") -> tuple[str, dict[str, Any]] | None:
    call = wanted(Prompt("", [Turn("user", said)], tools, choice))
    return (call.name, dict(call.arguments)) if call else None


@pytest.mark.parametrize(
    ("said", "name", "arguments"),
    [
        ("What is the weather like in Paris today?", "get_weather", {"location": "Paris"}),
        (
            "How's the weather in New York, in fahrenheit?",
            "get_weather",
            {"location": "New York", "unit": "fahrenheit"},
        ),
        ("Please set a timer for five minutes.", "set_timer", {"seconds": 300}),
        ("Set a timer for 90 seconds called tea.", "set_timer", {"seconds": 90, "label": "tea"}),
        (
            "Send a message to my brother saying I will be late.",
            "send_message",
            {"to": "my brother", "body": "I will be late"},
        ),
        ("Turn off the lights in the kitchen.", "switch_lights", {"room": "kitchen", "on": False}),
        ("Switch on the living room lights.", "switch_lights", {"room": "living_room", "on": True}),
        ("Give me the horoscope for Leo.", "generate_horoscope", {"sign": "Leo"}),
        ("Roll the dice.", "roll_dice", {}),
        ("Roll two dice with twenty sides.", "roll_dice", {"count": 2, "sides": 20}),
        ("What is the stock price of Apple?", "getStockPrice", {"symbol": "Apple"}),
        ("Play some quiet music while I am cooking.", "play_music", {"query": "some quiet music while I am cooking"}),
        ("Add two and 3.5.", "add", {"a": 2.0, "b": 3.5}),
        (
            'Create an event "Team lunch" tomorrow with Anna, Bob and Carol.',
            "create_event",
            {"title": "Team lunch", "date": "tomorrow", "attendees": ["Anna", "Bob", "Carol"]},
        ),
        ("Call get_weather.", "get_weather", {"location": ""}),
    ],
)
def test_words_that_ask_for_a_function_call_it(said: str, name: str, arguments: dict[str, Any]) -> None:
    assert called(said) == (name, arguments)


@pytest.mark.parametrize(
    "said",
    [
        "Hello, how are you?",
        "Tell me a joke.",
        "What is the capital of France?",
        "What is two plus three?",
        "Who are you?",
        "My name is Alice.",
        "What can you do?",
        "Thank you, goodbye.",
        "",
    ],
)
def test_small_talk_calls_nothing(said: str) -> None:
    assert called(said) is None


def test_none_calls_nothing_even_when_asked() -> None:
    assert called("What is the weather in Paris?", choice="none") is None


def test_required_calls_the_likeliest_even_when_not_asked() -> None:
    assert called("Will it be warm at the location?", choice="required") is not None
    assert called("Hello there.", [tool("greet")], choice="required") == ("greet", {})


def test_a_named_function_is_called_whatever_was_said() -> None:
    assert called("Set a timer for five minutes.", choice="roll_dice") == ("roll_dice", {"count": 5})


def test_an_unknown_name_leaves_the_choice_to_the_words() -> None:
    assert called("Hello there.", choice="gone") is None


def test_after_a_functions_output_nothing_is_called_again() -> None:
    history = [Turn("user", "Roll the dice."), Turn("tool", "6")]
    assert wanted(Prompt("", history, TOOLS, "required")) is None


def test_required_arguments_that_were_not_said_have_their_default_or_their_type() -> None:
    one = tool(
        "order_pizza",
        "",
        ["size", "count", "toppings", "address", "note", "fast", "extra"],
        size={"enum": ["small", "large"]},
        count=WHOLE,
        toppings={"type": "array"},
        address={"type": "object", "properties": {"street": TEXT}, "required": ["street"]},
        note={"type": "string", "default": "-"},
        fast={"type": "boolean"},
        extra={"type": ["string", "null"]},
    )
    name, arguments = called("order pizza", [one]) or ("", {})
    assert name == "order_pizza"
    assert arguments["size"] == "small"
    assert arguments["count"] == 0
    assert arguments["toppings"] == []
    assert arguments["note"] == "-"
    assert arguments["fast"] is True


def test_arguments_within_an_object_are_found_too() -> None:
    one = tool("book_flight", "", trip={"type": "object", "properties": {"city": TEXT, "people": WHOLE}})
    assert called("Book a flight for two to Rome.", [one]) == ("book_flight", {"trip": {"city": "Rome", "people": 2}})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.lists(st.dictionaries(st.sampled_from(["name", "description", "parameters", "type"]), JSON)),
    st.text(max_size=60),
)
def test_any_declaration_is_survived(tools: list[dict[str, Any]], said: str) -> None:
    called(said, tools, "required")


@given(
    st.dictionaries(st.sampled_from(["properties", "required", "type", "enum", "default"]), JSON), st.text(max_size=60)
)
def test_any_schema_is_survived(schema: dict[str, Any], said: str) -> None:
    called(said, [tool("f", a=schema) | {"parameters": schema}, tool("g", a=schema)], "required")
