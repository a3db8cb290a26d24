"""The faces of `send`, `tail` and of `talk` in a pipe, and JSON lines with a filter."""

from __future__ import annotations

import io
import json
import re

import pytest

from rtcli.errors import CallLost, ServiceError, WaitTimeout
from rtcli.protocol.server_events import decode
from rtcli.protocol.updates import Closed, EventIn, Notice, Ready, Refused, Update, Words
from rtcli.terminal.answer import AnswerFace
from rtcli.terminal.events import Filter, entry_of
from rtcli.terminal.faces import JsonFace, PlainFace
from rtcli.terminal.tail import TailFace


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def came(name: str, **fields: object) -> EventIn:
    raw = json.dumps({"type": name, "event_id": "e", **fields})
    return EventIn(1.0, decode(raw), raw)


def delta(text: str) -> EventIn:
    place = {"response_id": "r", "item_id": "i", "output_index": 0, "content_index": 0}
    return came("response.output_text.delta", **place, delta=text)


ANSWER = Words("model", "i", "first\n\x1b[31msecond")


def test_a_pipe_gets_the_answer_as_it_is() -> None:
    out, err = io.StringIO(), io.StringIO()
    AnswerFace(out, err).show(ANSWER, 1.0)
    assert (out.getvalue(), err.getvalue()) == ("first\n\x1b[31msecond\n", "")


def test_a_terminal_gets_it_safe() -> None:
    out = Terminal()
    AnswerFace(out, io.StringIO()).show(ANSWER, 1.0)
    assert out.getvalue() == "first\n\\x1b[31msecond\n"


def test_what_was_heard_is_beside_the_answer_and_in_a_transcription_session_is_the_answer() -> None:
    heard = Words("you", "i", "two plus three")
    out, err = io.StringIO(), io.StringIO()
    face = AnswerFace(out, err)
    face.show(heard, 1.0)
    assert (out.getvalue(), err.getvalue()) == ("", "  you  two plus three\n")
    face.show(Ready({"type": "transcription"}), 1.0)
    face.show(heard, 1.0)
    assert out.getvalue() == "two plus three\n"


def test_what_is_refused_is_told_once() -> None:
    refused = ServiceError("No.")
    for face_of in (AnswerFace, JsonFace):
        err = io.StringIO()
        face = face_of(io.StringIO(), err)
        face.show(Refused(refused), 1.0)
        face.show(Closed(1.0, "No.", error=refused), 1.0)
        assert err.getvalue().count("No.") == 1


def test_json_tells_an_error_once_and_before_the_end() -> None:
    refused, late = ServiceError("No."), WaitTimeout("nothing came")
    assert types_of(Refused(refused), Closed(1.0, "No.", error=refused)) == ["rtcli.error", "rtcli.closed"]
    assert types_of(Closed(1.0, "nothing came", error=late)) == ["rtcli.error", "rtcli.closed"]
    assert types_of(Closed(1.0, "hung up")) == ["rtcli.closed"]


def types_of(*updates: Update, keep: Filter | None = None) -> list[str]:
    out = io.StringIO()
    face = JsonFace(out, io.StringIO(), keep=(lambda document: keep(entry_of(document))) if keep else None)
    for update in updates:
        face.show(update, 1.0)
    face.rest()
    return [json.loads(line)["type"] for line in out.getvalue().splitlines()]


def test_json_tells_a_notice_beside_it_where_one_may_wait_long() -> None:
    for notices, said in ((True, "no live call; waiting\n"), (False, "")):
        out, err = io.StringIO(), io.StringIO()
        JsonFace(out, err, notices=notices).show(Notice("no live call; waiting"), 1.0)
        assert (out.getvalue(), err.getvalue()) == ("", said)


def test_a_filter_never_hides_the_last_line() -> None:
    keep = Filter(types=("error",))
    assert types_of(delta("x"), Notice("hello"), Closed(1.0, "hung up"), keep=keep) == ["rtcli.closed"]


def tailed(out: io.StringIO, *updates: Update, **how: bool) -> str:
    face = TailFace(out, io.StringIO(), keep=Filter(), **how)
    for update in updates:
        face.show(update, 1.0)
    return out.getvalue()


def test_in_a_pipe_a_run_is_written_when_it_is_over() -> None:
    shown = tailed(io.StringIO(), delta("2 plus"), delta(" 3"), Closed(1.0, "hung up"))
    assert [line.split(" ", 2)[2] for line in shown.splitlines()] == [
        'response.output_text.delta  2 events  "2 plus 3"',
        "rtcli.closed  hung up · exit 0",
    ]


def test_an_end_that_is_an_error_is_one_line_on_standard_error_and_none_among_the_events() -> None:
    out, err = io.StringIO(), io.StringIO()
    TailFace(out, err, keep=Filter()).show(Closed(1.0, "gone", error=CallLost("gone")), 1.0)
    assert (out.getvalue(), err.getvalue()) == ("", "rtcli: gone; call again\n")


def test_on_request_every_delta_has_its_line() -> None:
    assert len(tailed(io.StringIO(), delta("2 plus"), delta(" 3"), fold=False).splitlines()) == 2


def test_on_a_terminal_the_line_grows_in_place(monkeypatch: object) -> None:
    shown = tailed(Terminal(), delta("2 plus"), delta(" 3"))
    assert "\n" not in shown
    assert shown.count("\r\x1b[K") == 2
    assert '"2 plus 3"' in shown


def test_talk_in_a_pipe_is_summed_up_on_standard_error_unless_quiet_is_asked_for() -> None:
    call: list[Update] = [Ready({}), Words("you", "a", "hi", typed=True), Words("model", "b", "hello"), Closed(9.0, "")]
    for quiet, told in ((False, "9 s · 1 said, 1 answered, 0 interrupted\n"), (True, "")):
        out, err = io.StringIO(), io.StringIO()
        face = PlainFace(out, err, quiet=quiet)
        for at, update in zip((0.0, 1.0, 2.0, 9.0), call, strict=True):
            face.show(update, at)
        assert (out.getvalue(), err.getvalue()) == ("hello\n", told)


@pytest.mark.parametrize("width", [50, 80])
def test_on_a_terminal_what_does_not_fit_stands_under_the_type(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm")
    words = "What is the capital of France, and how far is it from here on foot?"
    place = {"response_id": "r", "item_id": "i", "output_index": 0, "content_index": 0}
    shown = tailed(Terminal(), came("response.output_text.done", **place, text=words))
    first, *further = [re.sub(r"\x1b\[[\d;]*m", "", row) for row in shown.splitlines()]
    assert max(map(len, (first, *further))) <= width
    assert first[15:].startswith("response.output_text.done")
    assert further
    assert all(row[:15].isspace() and not row[15].isspace() for row in further)
