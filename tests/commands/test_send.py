"""`rtcli send` as a script runs it: a process, a real call, an exit status."""

from __future__ import annotations

import asyncio
import json
import re
import struct
import subprocess
import sys
import wave
from pathlib import Path
from typing import Any, ClassVar

import pytest

from rtcli.cli import app
from rtcli.errors import UsageError
from tests.pictures import noise
from tests.program import Done, environment, rtcli, start, status_when_interrupted
from tests.services import Call, Event, OpenAi


QUESTION = Path(__file__).parents[2] / "rtcli/sandbox/engine/sample_question.wav"
BRIEF = '{"type":"session.update","session":{"type":"realtime","instructions":"Be brief."}}'
ASK = '{"type":"response.create"}'


def say(text: str) -> str:
    content = [{"type": "input_text", "text": text}]
    return json.dumps(
        {"type": "conversation.item.create", "item": {"type": "message", "role": "user", "content": content}}
    )


def documents(done: Done) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.out.splitlines()]


def sent(done: Done) -> list[dict[str, Any]]:
    return [line for line in documents(done) if line["_rt"]["dir"] == "out"]


def one_line(done: Done) -> str:
    (line,) = done.err.splitlines()
    return line


class Answering(OpenAi):
    """A service that answers as the test says."""

    def __init__(self, kind: type[Call]) -> None:
        super().__init__()
        self._kind = kind

    async def call(self, offer: bytes, session: Event | None = None, **how: Any) -> str:
        begun = self._kind({"type": "realtime", **(session or {})}, **how)
        self.calls.append(begun)
        return await begun.peer.answer(offer.decode())


def ask_of(kind: type[Call], home: Path, *arguments: str) -> Done:
    with Answering(kind) as service:
        return rtcli("send", "--base-url", f"{service.url}/v1", *arguments, home=home)


# ---- the answer -----------------------------------------------------------------------------------------------------


def test_a_text_is_answered_in_text_and_nothing_else_is_printed(tmp_path: Path, base_url: str) -> None:
    done = rtcli("send", "--base-url", base_url, "what is two plus three", home=tmp_path)
    assert (done.status, done.out, done.err) == (0, "2 plus 3 is 5.\n", "")


class Poet(Call):
    def _respond(self, _: str) -> None:
        super()._respond("Roses are red,\n\n  violets\x1b[31m are blue.")


def test_a_pipe_gets_the_words_as_they_are(tmp_path: Path) -> None:
    done = ask_of(Poet, tmp_path, "a poem")
    assert (done.status, done.out) == (0, "Roses are red,\n\n  violets\x1b[31m are blue.\n")


def test_several_answers_come_in_the_order_they_were_asked_for(tmp_path: Path, base_url: str) -> None:
    script = tmp_path / "script.ndjson"
    script.write_text("\n".join([say("say apples"), ASK, "", say("say pears"), ASK]), encoding="utf-8")
    done = rtcli("send", "--base-url", base_url, "-f", str(script), "-e", BRIEF, home=tmp_path)
    assert (done.status, done.out) == (0, "Apples.\nPears.\n"), done.err


def test_events_are_read_from_a_pipe(tmp_path: Path, base_url: str) -> None:
    done = rtcli("send", "--base-url", base_url, "-", home=tmp_path, stdin=f"{say('say pears')}\n{ASK}\n")
    assert (done.status, done.out) == (0, "Pears.\n"), done.err


def test_a_spoken_question_is_answered(tmp_path: Path, base_url: str) -> None:
    done = rtcli("send", "--base-url", base_url, "--audio", str(QUESTION), home=tmp_path)
    assert done.status == 0, done.err
    assert done.out.startswith("I heard you")
    assert "[speech" in done.err


def test_what_was_said_is_the_answer_of_a_transcription_session(tmp_path: Path, base_url: str) -> None:
    done = rtcli("send", "--base-url", base_url, "--transcription", "--audio", str(QUESTION), home=tmp_path)
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith("[speech")


def test_a_spoken_answer_is_whole_in_the_file(tmp_path: Path, base_url: str) -> None:
    answer = tmp_path / "answer.wav"
    done = rtcli("send", "--base-url", base_url, "--voice-out", str(answer), "say apples and pears", home=tmp_path)
    assert (done.status, done.out) == (0, "Apples and pears.\n"), done.err
    with wave.open(str(answer)) as file:
        samples = struct.unpack(f"<{file.getnframes()}h", file.readframes(file.getnframes()))
    loud = [at for at, sample in enumerate(samples) if abs(sample) > 500]
    assert (loud[-1] - loud[0]) / 48_000 > 0.6, "four syllables of 150 ms"


def test_an_answer_without_sound_is_told_where_it_was_to_be_kept(tmp_path: Path, base_url: str) -> None:
    asked = ("--no-response", "--voice-out", str(tmp_path / "answer.wav"), "remember the milk")
    done = rtcli("send", "--base-url", base_url, *asked, home=tmp_path)
    assert (done.status, done.err.count("no sound came")) == (0, 1), done.err


def test_without_an_answer_asked_for_nothing_is_waited_for_but_the_acknowledgement(
    tmp_path: Path, base_url: str
) -> None:
    done = rtcli("send", "--base-url", base_url, "--no-response", "--json", "remember the milk", home=tmp_path)
    assert done.status == 0, done.err
    assert [line["type"] for line in sent(done)] == ["conversation.item.create"]
    assert "conversation.item.added" in [line["type"] for line in documents(done)]


# ---- refusals and failures ------------------------------------------------------------------------------------------


def test_what_the_service_refuses_is_5_in_its_own_words(tmp_path: Path, base_url: str) -> None:
    event = '{"type":"conversation.item.delete","item_id":"nope"}'
    done = rtcli("send", "--base-url", base_url, "-e", event, home=tmp_path)
    assert (done.status, done.out) == (5, "")
    assert "'nope' does not exist" in one_line(done)


def test_nothing_goes_out_after_a_session_update_that_is_refused(tmp_path: Path, base_url: str) -> None:
    bad = '{"type":"session.update","session":{"type":"realtime","voice":"x"}}'
    done = rtcli("send", "--base-url", base_url, "-e", bad, "-e", ASK, "--json", home=tmp_path)
    assert done.status == 5
    assert [line["type"] for line in sent(done)] == ["session.update"]
    assert [line["type"] for line in documents(done)[-2:]] == ["rtcli.error", "rtcli.closed"]
    assert "session.voice" in one_line(done)


class Ending(Call):
    status = "failed"
    details: ClassVar[Event]

    def _respond(self, _: str) -> None:
        response = {"id": "resp_1", "object": "realtime.response", "output": []}
        self._say({"type": "response.created", "response": {**response, "status": "in_progress"}})
        ended = {**response, "status": self.status, "status_details": self.details}
        self._say({"type": "response.done", "response": ended})


class Failing(Ending):
    details: ClassVar[Event] = {
        "type": "failed",
        "error": {"type": "server_error", "code": "boom", "message": "No model is free"},
    }


class Incomplete(Ending):
    status = "incomplete"
    details: ClassVar[Event] = {"type": "incomplete", "reason": "content_filter"}


class CancelledByAnother(Ending):
    status = "cancelled"
    details: ClassVar[Event] = {"type": "cancelled", "reason": "client_cancelled"}


@pytest.mark.parametrize(
    ("kind", "words"),
    [(Failing, "No model is free"), (Incomplete, "content_filter"), (CancelledByAnother, "cancelled")],
)
def test_a_response_that_ends_badly_is_5(tmp_path: Path, kind: type[Call], words: str) -> None:
    done = ask_of(kind, tmp_path, "hi")
    assert (done.status, done.out) == (5, "")
    assert words in one_line(done)


class Silent(Call):
    def _obey(self, event: Event) -> None: ...


def test_the_time_is_limited_and_what_was_missing_is_named(tmp_path: Path) -> None:
    done = ask_of(Silent, tmp_path, "hi", "--timeout", "4", "--until", "response.done")
    assert (done.status, done.out) == (7, "")
    assert "no response.done within 4 s" in one_line(done)


def test_an_event_the_channel_can_not_carry_is_refused_with_both_numbers(tmp_path: Path, base_url: str) -> None:
    content = [{"type": "input_text", "text": "x" * 400_000}]
    item = {"type": "message", "role": "user", "content": content}
    events = tmp_path / "events.ndjson"
    events.write_text(json.dumps({"type": "conversation.item.create", "item": item}))
    done = rtcli("send", "--base-url", base_url, "-f", str(events), home=tmp_path)
    assert (done.status, done.out) == (5, "")
    size = int(next(word for word in one_line(done).split() if word.isdecimal()))
    assert size > 400_000
    assert "262144" in one_line(done)


def test_the_first_ctrl_c_is_130(tmp_path: Path, base_url: str) -> None:
    command = ("send", "--base-url", base_url, "--until", "never", "hi")
    assert status_when_interrupted(*command, after=b"response.done", home=tmp_path) == (130, 130)


# ---- what is waited for ---------------------------------------------------------------------------------------------


def test_until_a_type_counts_from_the_last_answer_asked_for(tmp_path: Path, base_url: str) -> None:
    what = ("-e", say("say apples"), "-e", ASK, "-e", ASK, "-e", BRIEF, "--until", "response.done")
    done = rtcli("send", "--base-url", base_url, *what, "--json", home=tmp_path)
    assert done.status == 0, done.err
    types = [line["type"] for line in documents(done)]
    assert (types.count("response.done"), types.count("session.updated")) == (2, 1)
    assert documents(done)[-1]["reason"] == "response.done came"


def test_until_none_waits_for_acknowledgements_and_no_answer(tmp_path: Path, base_url: str) -> None:
    done = rtcli("send", "--base-url", base_url, "--until", "none", "--json", "tell me a story", home=tmp_path)
    assert done.status == 0, done.err
    types = [line["type"] for line in documents(done)]
    assert {"conversation.item.added", "response.created"} <= set(types)
    assert "response.done" not in types


def test_an_error_can_be_what_is_waited_for(tmp_path: Path, base_url: str) -> None:
    event = '{"type":"conversation.item.delete","item_id":"nope"}'
    done = rtcli("send", "--base-url", base_url, "-q", "-e", event, "--until", "error", home=tmp_path)
    assert done.status == 0, done.err


# ---- streams --------------------------------------------------------------------------------------------------------


def test_json_is_every_event_stamped_and_the_last_line_is_the_exit(tmp_path: Path, base_url: str) -> None:
    done = rtcli("send", "--base-url", base_url, "--json", "hi", home=tmp_path)
    lines = documents(done)
    assert [line["_rt"]["seq"] for line in lines] == list(range(1, len(lines) + 1))
    assert {line["_rt"]["dir"] for line in lines} == {"in", "out", "local"}
    assert all(line["event_id"] for line in sent(done))
    assert lines[-1]["type"] == "rtcli.closed"
    assert (done.status, lines[-1]["exit"]) == (0, 0)


def test_raw_is_the_services_events_alone(tmp_path: Path, base_url: str) -> None:
    done = rtcli("send", "--base-url", base_url, "--raw", "hi", home=tmp_path)
    types = [line["type"] for line in documents(done)]
    assert types[0] == "session.created"
    assert not [name for name in types if name.startswith("rtcli.")]
    assert "_rt" not in done.out


def test_an_error_before_the_call_ends_json_as_a_call_would(tmp_path: Path) -> None:
    done = rtcli("send", "--json", "--set", "voice=x", "hi", home=tmp_path)
    assert [(line["type"], line["exit"]) for line in documents(done)] == [("rtcli.error", 2), ("rtcli.closed", 2)]
    assert (done.status, len(done.err.splitlines())) == (2, 1)


# ---- without a call -------------------------------------------------------------------------------------------------


def test_a_dry_run_prints_what_is_then_sent(tmp_path: Path, base_url: str) -> None:
    what = ("-e", BRIEF, "--role", "system", "Speak like a pirate.")
    dry = rtcli("send", *what, "--dry-run", "-q", home=tmp_path)
    wet = rtcli("send", "--base-url", base_url, *what, "--json", home=tmp_path)
    assert (dry.status, dry.err) == (0, "")
    events = [{key: value for key, value in line.items() if key not in {"_rt", "event_id"}} for line in sent(wet)]
    assert [json.loads(line) for line in dry.out.splitlines()] == events


def test_a_picture_goes_along_with_the_text_as_a_data_uri(tmp_path: Path) -> None:
    picture = tmp_path / "small.png"
    picture.write_bytes(noise(8, 8))
    done = rtcli("send", "--image", str(picture), "what is this", "--dry-run", home=tmp_path)
    content = json.loads(done.out.splitlines()[0])["item"]["content"]
    assert [part["type"] for part in content] == ["input_text", "input_image"]
    assert content[1]["image_url"].startswith("data:image/png;base64,iVBOR")


def test_check_names_the_present_form_and_connects_nowhere(tmp_path: Path) -> None:
    old = '{"type":"session.update","session":{"type":"realtime","voice":"alloy","modalities":["text"]}}'
    done = rtcli("send", "--check", "--base-url", "http://127.0.0.1:9", "-e", old, "-e", ASK, home=tmp_path)
    assert done.status == 2
    assert "session.voice: a name of the beta interface; now audio.output.voice" in done.out
    assert "output_modalities" in done.out
    size = len(ASK) + len('"event_id":"rt_2",')
    assert f"2  response.create  {size} of 65536 bytes  ok" in done.out
    assert "1 of 2 events" in one_line(done)


def test_check_as_json_is_one_document(tmp_path: Path) -> None:
    done = rtcli("send", "--check", "--json", "-e", '{"type":"nonsense"}', home=tmp_path)
    document = json.loads(done.out)
    assert (done.status, document["ok"]) == (2, False)
    assert document["events"][0]["findings"][0]["path"] == "type"


def test_check_finds_what_is_too_large_for_any_channel(tmp_path: Path) -> None:
    event = json.dumps({"type": "session.update", "session": {"type": "realtime", "instructions": "x" * 300_000}})
    script = tmp_path / "large.ndjson"
    script.write_text(event, encoding="utf-8")
    done = rtcli("send", "--check", "-f", str(script), home=tmp_path)
    assert done.status == 2
    assert "262144" in done.out


def test_check_of_what_is_right_is_0(tmp_path: Path) -> None:
    done = rtcli("send", "--check", "hi", home=tmp_path)
    assert (done.status, done.err) == (0, "")


# ---- usage ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "nothing to send"),
        (("-e", "{"), "no event"),
        (("-e", "[]"), "no event"),
        (("-f", "absent.ndjson"), "absent.ndjson"),
        (("--image", __file__, "x"), "neither PNG nor JPEG"),
        (("--audio", str(QUESTION), "hi"), "instead of a text"),
        (("--voice-out", "x.wav", "--text", "hi"), "--voice-out"),
        (("--transcription", "hi"), "--audio"),
        (("--check", "--dry-run", "hi"), "exclude one another"),
        (("-", "--session", "-"), "one reader"),
        (("-", "--token-stdin"), "one reader"),
        (("--session", "-", "--token-stdin", "hi"), "one reader"),
    ],
)
def test_a_wrong_wish_is_refused_before_anything_is_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: tuple[str, ...], says: str
) -> None:
    monkeypatch.setenv("RTCLI_CONFIG", str(tmp_path / "none"))
    monkeypatch.setattr("sys.stdin", None)
    with OpenAi() as service, pytest.raises(UsageError, match=re.escape(says)):
        app(["send", "--base-url", f"{service.url}/v1", *arguments], prog_name="rtcli", standalone_mode=False)
    assert service.asked == []


@pytest.mark.parametrize(
    ("arguments", "says"), [(("--audio", "absent.wav"), "absent.wav"), (("-m", "gpt-live-1", "hi"), "another API")]
)
def test_what_shows_itself_while_the_call_is_made_is_one_line_and_2(
    tmp_path: Path, arguments: tuple[str, ...], says: str
) -> None:
    done = rtcli("send", "--base-url", "http://127.0.0.1:9", *arguments, home=tmp_path)
    assert (done.status, done.out) == (2, "")
    assert says in one_line(done)


def test_a_bad_line_of_a_pipe_is_named_and_ends_it(tmp_path: Path, base_url: str) -> None:
    done = rtcli("send", "--base-url", base_url, "-", home=tmp_path, stdin=f"{BRIEF}\nbogus\n")
    assert (done.status, done.out) == (2, "")
    assert "standard input, line 2" in one_line(done)


# ---- sessions made elsewhere ----------------------------------------------------------------------------------------


def test_a_piped_key_is_used_and_its_session_is_asked_for_text(tmp_path: Path) -> None:
    with OpenAi() as service:
        asyncio.run(_prepare(service))
        url = f"{service.url}/v1"
        done = rtcli("send", "--base-url", url, "--token-stdin", "hi", home=tmp_path, stdin="ek_ready\n")
    assert done.status == 0, done.err
    assert service.asked[0].headers["authorization"] == "Bearer ek_ready"
    update, *rest = service.calls[0].heard
    assert update["session"] == {"type": "realtime", "output_modalities": ["text"]}
    assert [event["type"] for event in rest] == ["conversation.item.create", "response.create"]


async def _prepare(service: OpenAi) -> None:
    """The key was minted before this service was asked anything."""
    service._session = {"type": "realtime"}


def test_an_event_alone_changes_nothing_of_a_session_made_elsewhere(tmp_path: Path) -> None:
    with OpenAi() as service:
        asyncio.run(_prepare(service))
        url = f"{service.url}/v1"
        done = rtcli("send", "--base-url", url, "-e", BRIEF, home=tmp_path, env={"RTCLI_EPHEMERAL_KEY": "ek_ready"})
    assert done.status == 0, done.err
    assert [event["session"] for event in service.calls[0].heard] == [json.loads(BRIEF)["session"]]


def test_a_picture_that_does_not_fit_the_channel_is_made_smaller(tmp_path: Path) -> None:
    picture = tmp_path / "noise.png"
    picture.write_bytes(noise(640, 480))
    assert picture.stat().st_size > 262_144
    done = rtcli("send", "--image", str(picture), "what is this", "--dry-run", home=tmp_path)
    sent = done.out.splitlines()[0]
    assert done.status == 0, done.err
    assert "data:image/jpeg" in sent
    assert len(sent) < 65_536


@pytest.mark.parametrize("broken", [noise(8, 8)[:60], b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff" + b"x" * 100])
def test_a_broken_picture_is_refused_before_there_is_a_call(broken: bytes, tmp_path: Path) -> None:
    picture = tmp_path / "broken.png"
    picture.write_bytes(broken)
    done = rtcli("send", "--image", str(picture), "what is this", home=tmp_path)
    assert (done.status, done.out) == (2, "")
    assert one_line(done).startswith(f"rtcli: {picture}: the picture is broken")


def test_an_answer_may_take_as_long_as_the_users_limit_says(tmp_path: Path) -> None:
    """Longer than a call's own patience, which is made short here."""
    script = tmp_path / "slow.toml"
    script.write_text('[[answers]]\nsteps = [{ wait_ms = 2500 }, { say = "At last." }]\n')
    service = start("sandbox", "--engine", "scripted", "--script", str(script), "--port", "0", home=tmp_path)
    try:
        assert service.stdout is not None
        url = service.stdout.readline().decode().strip()
        hurried = "import rtcli.protocol.answers as a; a.STALLED = 1.0; from rtcli.cli import main; main()"
        done = subprocess.run(
            [sys.executable, "-c", hurried, "send", "--timeout", "30", "--base-url", url, "hi"],
            env=environment(tmp_path), capture_output=True, check=False, timeout=60,
        )  # fmt: skip
    finally:
        service.kill()
        service.communicate()
    assert (done.returncode, done.stdout, done.stderr) == (0, b"At last.\n", b"")
