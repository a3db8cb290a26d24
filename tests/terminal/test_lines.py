from __future__ import annotations

import pytest

from rtcli.errors import (
    AuthError,
    CallLost,
    ConnectError,
    DeviceError,
    RtcliError,
    ServerAuthError,
    ServiceError,
    UsageError,
)
from rtcli.protocol.updates import Closed, Notice, Warned, Words
from rtcli.terminal import lines
from rtcli.terminal.advice import one_line
from rtcli.terminal.exits import status_of


def test_both_sides_are_labelled_and_further_lines_stand_under_the_first() -> None:
    assert lines.words(Words("model", "i", "first\nsecond")).plain == "model  first\n       second"
    assert lines.words(Words("you", "i", "hi", late=True)).plain == "  you  hi (late)"
    assert lines.words(Words("model", "i", "I was", cut=True)).plain == "model  I was—"


def test_for_a_pipe_a_turn_is_one_bare_line() -> None:
    assert lines.bare_words(Words("model", "i", "first\nsecond \x1b[0m")) == "first second \\x1b[0m"


def test_markup_in_remote_text_is_text() -> None:
    assert lines.words(Words("model", "i", "[red]x[/red]")).plain == "model  [red]x[/red]"


@pytest.mark.parametrize("update", [Notice("a\x1b]0;title\x07"), Warned("a\x1b]0;title\x07")])
def test_what_is_told_of_is_escaped(update: Notice | Warned) -> None:
    line = lines.status(update)
    assert line is not None
    assert "\x1b" not in line.plain


def test_a_good_end_says_nothing_and_a_bad_one_says_one_line() -> None:
    assert lines.status(Closed(1.0, "hung up")) is None
    line = lines.status(Closed(1.0, "gone", error=CallLost("the other side is\ngone")))
    assert line is not None
    assert line.plain == "rtcli: the other side is gone; call again"


@pytest.mark.parametrize(
    ("error", "status", "says"),
    [
        (UsageError("no such option"), 2, "no such option"),
        (AuthError("the key was refused"), 3, "rtcli auth login"),
        (ServerAuthError("401 Unauthorized"), 3, "--header"),
        (ConnectError("ice", "no UDP packet was answered", udp_suspect=True), 4, "UDP may be blocked"),
        (ConnectError("ice", "packets came back"), 4, "TURN server"),
        (ServiceError("quota", status=429, code="insufficient_quota"), 5, "does not help"),
        (ServiceError("slow", status=503), 5, "try again later"),
        (DeviceError("busy"), 6, "rtcli devices"),
    ],
)
def test_each_error_has_its_status_and_says_what_to_do(error: RtcliError, status: int, says: str) -> None:
    assert status_of(error) == status
    assert says in one_line(error)
    assert "\n" not in one_line(error)


def test_what_we_did_not_foresee_is_a_bug() -> None:
    assert status_of(ValueError("x")) == 1
    assert "bug in rtcli" in one_line(ValueError("x"))
