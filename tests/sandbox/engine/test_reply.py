from __future__ import annotations

import json
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtcli.sandbox.engine.base import FunctionCall, Prompt, Turn
from rtcli.sandbox.engine.reply import answer, clauses


EVENING = datetime(2026, 11, 22, 21, 5)  # noqa: DTZ001 - the user's own clock has no zone


def replied(*history: str, instructions: str = "You are helpful.", now: datetime = EVENING) -> str:
    """The answer to the last one; the others alternate between the user and the assistant."""
    roles = ["user" if (len(history) - at) % 2 else "assistant" for at in range(len(history))]
    prompt = Prompt(instructions, [Turn(role, text) for role, text in zip(roles, history, strict=True)])
    return "".join(str(part) for part in answer(prompt, now=now))


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("Hello, what is two plus three?", "2 plus 3 is 5."),
        ("what's 12 times 7", "12 times 7 is 84."),
        ("What is seven minus ten?", "7 minus 10 is minus 3."),
        ("Is two plus two five?", "2 plus 2 is 4."),
        ("what is 5 divided by 0", "I can't work out 5 divided by 0: nothing can be divided by zero."),
        ("What is the square root of sixteen?", "The square root of 16 is 4."),
        ("What is the capital of France?", "The capital of France is Paris."),
        ("What's the capital city of the Netherlands?", "The capital of the Netherlands is Amsterdam."),
        ("capital of Atlantis", "I don't know the capital of Atlantis: I only know a few."),
        ("Say hello world.", "Hello world."),
        ('Can you say "good morning"?', "Good morning?"),
        ("Repeat after me, the quick brown fox.", "The quick brown fox."),
        ("Hey, please just say exactly: one two", "One two."),
        ("What time is it right now?", "It is 9:05 PM."),
        ("What's the time in Tokyo?", "On this machine it is 9:05 PM."),
        ("What's the date today?", "Today is Sunday, November 22, 2026."),
        ("What day is it tomorrow?", "Tomorrow is Monday, November 23, 2026."),
        ("What day was it yesterday? What date?", "Yesterday was Saturday, November 21, 2026."),
        ("What month is it?", "It is November."),
        ("What day comes after Sunday?", "Monday comes after Sunday."),
        ("What comes before Monday?", "Sunday comes before Monday."),
        ("Count to five.", "1, 2, 3, 4, 5."),
        (
            "Do you like it? [image]",
            "I have your picture, but I can't see what is on it: I am only an offline stand-in.",
        ),
        ("Count from three to seven.", "3, 4, 5, 6, 7."),
        ("Count down from three.", "3, 2, 1."),
        ("How do you spell rhythm?", "Rhythm is spelled R, H, Y, T, H, M."),
        ("My name is Alice and I work in a hospital.", "Nice to meet you, Alice!"),
        ("What is my name?", "You have not told me your name."),
        ("How are you?", "I am fine, thank you. How are you?"),
        ("Thank you very much, good-bye.", "Goodbye!"),
        ("I think you are wrong.", "Why do you think I am wrong?"),
        ("I need my keys.", "Why do you need your keys?"),
        ("Can you open my door?", "I can't open your door: I am only an offline stand-in."),
        (
            "Who wrote Moby Dick?",
            "You asked: Who wrote Moby Dick? I can't answer that: I am only an offline stand-in.",
        ),
        ("I said hello.", "You said: I said hello."),
        ("They say it is cold.", "You said: They say it is cold."),
        ("", "I did not catch that."),
        ("...", "I did not catch that."),
    ],
)
def test_an_utterance_has_its_answer(said: str, expected: str) -> None:
    assert replied(said) == expected


@pytest.mark.parametrize(
    ("said", "word"),
    [
        ("Who are you?", "stand-in"),
        ("Are you a human?", "no language model"),
        ("What is the weather like in Paris today?", "offline"),
        ("Is it going to rain?", "offline"),
        ("What can you do?", "functions"),
        ("Please set a timer for five minutes.", "no function"),
        ("Tell me a story.", "lighthouse"),
        ("How many days are in a week?", "seven"),
        ("[speech 1.8 s]", "without the speech engine"),
        ("Hello!", "How can I help?"),
        ("Can you hear me?", "Yes"),
        ("Can you count to one hundred?", "and so on"),
    ],
)
def test_an_utterance_is_answered_in_this_sense(said: str, word: str) -> None:
    assert word in replied(said)


def test_what_was_told_is_remembered_and_the_latest_counts() -> None:
    assert replied("My name is Bob.", "Hi.", "Call me Robert", "Hi.", "What's my name?") == "Your name is Robert."
    assert replied("My favorite color is blue.", "Ok.", "What is my favorite color?") == "Your favorite color is blue."


def test_the_last_answer_is_repeated_on_request() -> None:
    for request in ("What did you say?", "Could you repeat that?", "Please say that again.", "Say it again, please"):
        assert replied("Is tea warm?", "Tea is warm.", request) == "Tea is warm."


def test_what_the_user_said_is_told_on_request() -> None:
    assert replied("Tea is warm.", "Is it?", "What did I say?") == "You said: Tea is warm."


def test_jokes_are_not_told_twice_until_all_were() -> None:
    history: list[str] = []
    jokes = []
    for _ in range(5):
        history.append("Tell me a joke.")
        jokes.append(replied(*history))
        history.append(jokes[-1])
    assert len(set(jokes)) == 5
    assert replied(*history, "Another joke, please.") in jokes


def test_midnight_and_noon_are_twelve() -> None:
    assert replied("What time is it?", now=EVENING.replace(hour=0)) == "It is 12:05 AM."
    assert replied("What time is it?", now=EVENING.replace(hour=12)) == "It is 12:05 PM."


def test_with_nothing_said_the_instructions_are_followed_or_a_greeting_given() -> None:
    assert replied(instructions="Say welcome to the show!") == "Welcome to the show!"
    assert replied(instructions="Reply with exactly 'ready'") == "Ready."
    assert replied(instructions="You are a pirate.") == "Hello! How can I help?"


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ('{"temperature": 21, "sky_now": "clear"}', "Temperature: 21, sky now: clear."),
        ('"It is 21 degrees."', "It is 21 degrees."),
        ("it is done already", "It is done already."),
        ('[1, 2, {"ok": true}]', "1, 2, ok: yes."),
        ("null", "Nothing."),
        ("", "It is done."),
        ("{}", "It is done."),
        ('{"a": {"b": {"c": {"d": 1}}}}', "A: b: c: and more."),
        ("[" * 100_000, "["),
    ],
)
def test_a_functions_output_is_read_out(output: str, expected: str) -> None:
    prompt = Prompt("", [Turn("user", "Weather?"), Turn("tool", output)])
    assert "".join(str(part) for part in answer(prompt, now=EVENING)).startswith(expected)


def test_the_outputs_of_several_functions_are_read_out_in_order() -> None:
    prompt = Prompt("", [Turn("user", "Weather?"), Turn("tool", "one"), Turn("tool", "two")])
    assert "".join(str(part) for part in answer(prompt, now=EVENING)) == "One. Two."


def test_a_function_asked_for_is_called_and_nothing_said() -> None:
    tool = {"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}
    prompt = Prompt("", [Turn("user", "What is the weather in Rome?")], [tool])
    assert list(answer(prompt, now=EVENING)) == [FunctionCall("get_weather", {"city": "Rome"})]


# Clauses


def test_clauses_end_at_punctuation_and_a_lone_word_waits_for_more() -> None:
    text = "Hello! If I may, Bob, this is it: one, two, three. Done"
    assert list(clauses(text)) == ["Hello! ", "If I may, ", "Bob, this is it: ", "one, two, three. ", "Done"]


def test_a_long_clause_is_cut_into_even_pieces() -> None:
    pieces = list(clauses(" ".join(["word"] * 26)))
    assert [len(piece.split()) for piece in pieces] == [8, 9, 9]


@given(st.text(max_size=300))
def test_clauses_joined_are_the_text_and_none_is_long(text: str) -> None:
    pieces = list(clauses(text))
    assert "".join(pieces) == (text if text.strip() else "")
    assert all(1 <= len(piece.split()) <= 12 for piece in pieces)


# Hostile words


@given(st.text(max_size=200), st.lists(st.text(max_size=40), max_size=4))
def test_any_text_gets_a_spoken_answer(said: str, before: list[str]) -> None:
    assert replied(*before, said).strip()


@pytest.mark.parametrize(
    "said",
    [
        "my name is " * 2_000,
        "say " * 5_000,
        "count to " * 5_000,
        "9" * 50_000,
        "a" * 50_000,
        "what is " * 9_000,
        "{said}",
    ],
)
@pytest.mark.timeout(20)
def test_a_flood_of_words_is_answered_soon_and_shortly(said: str) -> None:
    assert len(replied(said)) < 3_000


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(), lambda s: st.lists(s) | st.dictionaries(st.text(), s)
    )
)
def test_any_json_is_read_out(value: object) -> None:
    prompt = Prompt("", [Turn("tool", json.dumps(value))])
    assert "".join(str(part) for part in answer(prompt, now=EVENING))
