from __future__ import annotations

from contextlib import suppress

import pytest

from rtcli.commands.slash import COMMANDS, Local, ShowImage, event_of, meaning_of, plain_meaning_of
from rtcli.errors import UsageError
from rtcli.protocol.intents import HangUp, Interrupt, Mistyped, Mute, Say, SendEvent, SetVolume, UseDevice


WRONG = ["/devices USB", "/devices input", "/volume", "/volume 101", "/volume -1", "/image", "/image 'x"]


def test_a_mistyped_command_is_told_the_nearest_one() -> None:
    for typed, nearest in (("/hel", "/help"), ("/mtue", "/mute"), ("/device 3", "/devices")):
        with pytest.raises(UsageError, match=f"did you mean {nearest}\\?"):
            meaning_of(typed)
    with pytest.raises(UsageError, match="no command /xyzzy; /help lists them all"):
        meaning_of("/xyzzy")


def test_a_line_without_a_slash_is_said() -> None:
    assert meaning_of("hello /quit") == Say("hello /quit")


@pytest.mark.parametrize(
    ("line", "meaning"),
    [
        ("/quit", HangUp()),
        ("/mute ", Mute()),
        ("/interrupt", Interrupt()),
        ('/event {"type":"response.cancel"}', SendEvent({"type": "response.cancel"})),
        (
            "/vad off",
            SendEvent(
                {
                    "type": "session.update",
                    "session": {"type": "realtime", "audio": {"input": {"turn_detection": None}}},
                }
            ),
        ),
        ("/events all", Local("events all")),
        ("/devices", Local("devices")),
        ("/devices input USB mic", UseDevice("input", "USB mic")),
        ("/devices output 3", UseDevice("output", "3")),
        ("/volume 30", SetVolume(0.3)),
        ("/image 'a b.png' what is it", ShowImage("a b.png", "what is it")),
        ("/ptt", Local("ptt")),
        ("/help", Local("help")),
    ],
)
def test_each_command_means_one_thing(line: str, meaning: object) -> None:
    assert meaning_of(line) == meaning


@pytest.mark.parametrize("name", [name for name, _ in COMMANDS])
def test_every_listed_command_is_known(name: str) -> None:
    with suppress(UsageError):  # a value is missing, but the command is there
        meaning_of(name)
    with pytest.raises(UsageError, match="no command /x"):
        meaning_of("/x" + name[1:])


@pytest.mark.parametrize(
    "line", ["/nope", "/event", "/event 3", "/event {", '/event {"a":1}', "/vad loud", "/voice", *WRONG]
)
def test_a_mistyped_line_is_told_and_nothing_is_sent(line: str) -> None:
    with pytest.raises(UsageError):
        meaning_of(line)


def test_events_on_a_pipe_are_json_objects_with_a_type() -> None:
    assert event_of('{"type":"x"}') == SendEvent({"type": "x"})
    with pytest.raises(UsageError, match="type"):
        event_of("[]")


def test_a_terminal_that_can_not_draw_still_has_its_help() -> None:
    meaning = plain_meaning_of("/help")
    assert isinstance(meaning, Mistyped)
    assert "/quit" in meaning.message


def test_a_transcription_session_is_changed_as_one() -> None:
    meaning = meaning_of("/vad off", "transcription")
    assert isinstance(meaning, SendEvent)
    assert meaning.event["session"]["type"] == "transcription"


@pytest.mark.parametrize("line", ["/voice cedar", "/instructions be brief", "/image x.png", "/interrupt"])
def test_what_needs_an_answer_is_refused_where_nothing_is_answered(line: str) -> None:
    with pytest.raises(UsageError, match="answers nothing"):
        meaning_of(line, "transcription")


@pytest.mark.parametrize("line", ["/image x.png", "/stats", "/devices"])
def test_what_only_a_screen_can_do_says_so_elsewhere(line: str) -> None:
    with pytest.raises(UsageError, match="terminal that can draw"):
        plain_meaning_of(line)
