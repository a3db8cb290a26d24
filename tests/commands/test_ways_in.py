"""`rtcli talk` by every way in and in every dialect, as a user runs it: a process, real HTTP, a real WebRTC peer."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests import program
from tests.program import Done, rtcli
from tests.services import (
    AppServer,
    Asked,
    Azure,
    BareSdp,
    Call,
    LocalAi,
    OpenAi,
    Reset,
    Said,
    Scripted,
    Server,
    Speaches,
    error,
    minted,
)


MARKED = "sk-marked-0123456789abcdef"


def talk(home: Path, *arguments: str, says: str = "hello\n", **variables: str) -> Done:
    return rtcli("talk", "--text", *arguments, home=home, stdin=says, env={"RTCLI_API_KEY": MARKED, **variables})


def the_call(server: Server) -> Call:
    (call,) = server.calls
    return call


def heard(server: Server) -> list[str]:
    return [event["type"] for event in the_call(server).heard]


def assert_answered(done: Done, *said: str) -> None:
    assert done.status == 0, done.err
    answers = [line.partition(".")[0] for line in done.out.splitlines()]
    assert answers == [f"You said: {text}" for text in said]
    assert "warning" not in done.err
    assert MARKED not in done.out + done.err


# ---- ways -----------------------------------------------------------------------------------------------------------


def test_the_default_way_needs_no_location_and_changes_no_session(tmp_path: Path) -> None:
    with OpenAi() as service:
        service.location = ""
        done = talk(tmp_path, "--base-url", f"{service.url}/v1")
    assert_answered(done, "hello")
    assert service.lines == ["POST /v1/realtime/client_secrets", "POST /v1/realtime/calls"]
    assert the_call(service).session["output_modalities"] == ["text"]
    assert heard(service) == ["conversation.item.create", "response.create"]


def test_directly_the_session_comes_with_the_offer(tmp_path: Path) -> None:
    with OpenAi() as service:
        done = talk(tmp_path, "--base-url", f"{service.url}/v1", "--direct", "--instructions", "Be brief.")
    assert_answered(done, "hello")
    assert service.lines == ["POST /v1/realtime/calls"]
    assert the_call(service).session["instructions"] == "Be brief."
    assert heard(service) == ["conversation.item.create", "response.create"]


def test_over_a_server_what_was_asked_for_is_an_update_before_the_first_turn(tmp_path: Path) -> None:
    with AppServer() as server:
        done = talk(tmp_path, "--server", server.url, "--voice", "cedar")
    assert_answered(done, "hello")
    assert server.lines == ["POST /session"]
    assert MARKED not in str(server.asked)
    update, *rest = the_call(server).heard
    assert update["session"] == {
        "type": "realtime",
        "output_modalities": ["text"],
        "audio": {"output": {"voice": "cedar"}},
    }
    assert [event["type"] for event in rest] == ["conversation.item.create", "response.create"]


def test_a_server_may_give_the_key_only(tmp_path: Path) -> None:
    with AppServer() as server, OpenAi() as service:
        done = talk(tmp_path, "--server", server.url, "--server-mode", "token", "--base-url", f"{service.url}/v1")
    assert_answered(done, "hello")
    assert (server.lines, service.lines) == (["GET /token"], ["POST /v1/realtime/calls"])
    assert service.asked[0].headers["authorization"] == "Bearer ek_of_the_server"
    assert heard(service)[0] == "session.update"


def test_a_ready_key_needs_no_other(tmp_path: Path) -> None:
    with OpenAi() as service:
        done = talk(tmp_path, "--base-url", f"{service.url}/v1", RTCLI_EPHEMERAL_KEY="ek_ready", RTCLI_API_KEY="")
    assert_answered(done, "hello")
    assert [asked.headers["authorization"] for asked in service.asked] == ["Bearer ek_ready"]
    assert heard(service)[0] == "session.update"


@pytest.mark.parametrize(
    "arguments", [("--sandbox", "--direct"), ("--server", "http://127.0.0.1:9", "--model", "gpt-realtime-2")]
)
def test_ways_that_contradict_themselves_are_told_in_one_line(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = talk(tmp_path, "-q", *arguments)
    assert (done.status, done.out) == (2, "")
    assert len(done.err.splitlines()) == 1
    assert arguments[-2] in done.err or arguments[-1] in done.err


# ---- dialects -------------------------------------------------------------------------------------------------------


def test_azure_answers_every_line_though_its_filter_hides_most_events(tmp_path: Path) -> None:
    with Azure() as service:
        base_url = f"{service.url}/openai/v1?webrtcfilter=on"
        done = talk(
            tmp_path, "--base-url", base_url, "--dialect", "azure", "-m", "my-deployment", says="hello\nand again\n"
        )
    assert_answered(done, "hello", "and again")
    mint, call = service.asked
    assert mint.line == "POST /openai/v1/realtime/client_secrets?webrtcfilter=on"
    assert call.line == "POST /openai/v1/realtime/calls?webrtcfilter=on"
    assert (mint.headers["api-key"], call.headers["authorization"]) == (MARKED, "Bearer ek_minted")
    assert mint.document["session"] == {"type": "realtime", "model": "my-deployment", "output_modalities": ["text"]}


def test_a_server_that_takes_bare_sdp_gets_the_session_as_an_event(tmp_path: Path) -> None:
    with BareSdp() as service:
        done = talk(tmp_path, "--base-url", f"{service.url}/v1", "--dialect", "sdp")
    assert_answered(done, "hello")
    assert service.lines == ["POST /v1/realtime/calls"]
    assert service.asked[0].headers["content-type"] == "application/sdp"
    assert the_call(service).heard[0]["session"] == {"type": "realtime", "output_modalities": ["text"]}


def test_localai_speaks_json_both_ways(tmp_path: Path) -> None:
    with LocalAi() as service:
        done = talk(tmp_path, "--base-url", f"{service.url}/v1", "--dialect", "localai", "-m", "my-pipeline")
    assert_answered(done, "hello")
    (call,) = service.asked
    assert call.headers["content-type"] == "application/json"
    assert call.document.keys() == {"sdp", "model"}
    assert call.document["model"] == "my-pipeline"
    assert heard(service) == ["session.update", "conversation.item.create", "response.create"]


def test_speaches_is_understood_through_envelopes_and_beta_names(tmp_path: Path) -> None:
    with Speaches() as service:
        done = talk(
            tmp_path, "--base-url", f"{service.url}/v1", "--dialect", "speaches", "-m", "a/b", "--voice", "af_sky"
        )
    assert_answered(done, "hello")
    assert done.out.endswith("All right. " * 99 + "All right.\n"), "the answer is longer than one envelope"
    assert service.lines == ["POST /v1/realtime?model=a%2Fb"]
    assert the_call(service).heard[0]["session"] == {"modalities": ["text"], "voice": "af_sky"}


# ---- what goes wrong ------------------------------------------------------------------------------------------------


class Twice(OpenAi):
    """Busy at the first offer."""

    async def answer(self, asked: Asked) -> Said:
        if asked.path.endswith("/calls") and self.lines.count(asked.line) == 1:
            return error(429, "Rate limit reached", "rate_limit_exceeded")
        return await super().answer(asked)


def test_a_wait_is_told_in_one_line_and_the_second_offer_is_another(tmp_path: Path) -> None:
    with Twice() as service:
        done = talk(tmp_path, "--base-url", f"{service.url}/v1", "--direct")
    assert_answered(done, "hello")
    (line,) = [line for line in done.err.splitlines() if "trying again" in line]
    assert "Rate limit reached" in line
    first, second = (_fragment_of(asked) for asked in service.asked)
    assert first != second


def _fragment_of(asked: Asked) -> str:
    """ICE's name for one side of one connection."""
    return asked.body.decode().partition("a=ice-ufrag:")[2].split()[0]


class Slow(OpenAi):
    async def answer(self, asked: Asked) -> Said:
        await asyncio.sleep(1)
        return await super().answer(asked)


def test_a_slow_answer_is_an_answer_and_the_log_of_it_all_holds_no_key(tmp_path: Path) -> None:
    with Slow() as service:
        done = talk(tmp_path, "--base-url", f"{service.url}/v1", "-vv")
    assert_answered(done, "hello")
    assert "client_secrets" in done.err, "the log names what was asked"
    assert "ek_minted" not in done.err


class Hanging(Server):
    async def answer(self, asked: Asked) -> Said:
        await asyncio.Event().wait()
        raise AssertionError("nobody sets it")


REFUSALS: list[Any] = [
    pytest.param(
        error(400, "Unknown field", "unknown_parameter", param="session.temper"), 5, "session.temper", id="400"
    ),
    pytest.param(error(403, "Country not supported"), 3, "Country not supported", id="403"),
    pytest.param(error(429, "No credit left", "insufficient_quota"), 5, "No credit left", id="quota"),
    pytest.param(
        error(429, "Rate limit reached", retry_after="60"), 5, "Rate limit reached", id="retry after a minute"
    ),
    pytest.param(error(500, "Sorry", x_should_retry="false"), 5, "Sorry", id="500"),
    pytest.param(Reset(), 4, "closed the connection", id="reset"),
    pytest.param(Said(200), 5, "an empty answer", id="empty"),
    pytest.param(Said(200, b"{}"), 5, "no key", id="no value"),
    pytest.param(
        error(401, f"Incorrect API key provided: {MARKED}", "invalid_api_key"), 3, "Incorrect", id="echoed key"
    ),
]


@pytest.mark.parametrize(("answer", "status", "words"), REFUSALS)
def test_no_key_is_one_line_that_says_why_and_never_which(
    tmp_path: Path, answer: Said | Exception, status: int, words: str
) -> None:
    with Scripted(answer) as service:
        done = talk(tmp_path, "-q", "--base-url", f"{service.url}/v1")
    assert (done.status, done.out) == (status, "")
    (line,) = done.err.splitlines()
    assert words in line
    assert MARKED not in line


def test_a_refused_offer_is_told_with_its_parameter_and_the_log_holds_no_key(tmp_path: Path) -> None:
    with Scripted(minted("ek_minted"), error(400, "Bad session", "invalid_value", param="session.audio")) as service:
        done = talk(tmp_path, "-q", "-vv", "--base-url", f"{service.url}/v1")
    assert (done.status, done.out) == (5, "")
    assert "session.audio" in done.err.splitlines()[-1]
    assert MARKED not in done.err
    assert "ek_minted" not in done.err


def test_a_server_that_hangs_is_given_up_and_the_step_is_named(tmp_path: Path) -> None:
    with Hanging() as service:
        done = talk(tmp_path, "-q", "--base-url", f"{service.url}/v1", "--connect-timeout", "1.5")
    assert (done.status, done.out) == (4, "")
    (line,) = done.err.splitlines()
    assert "no connection within 1.5 s, still waiting for the key" in line


def test_the_traceback_of_a_bug_holds_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = "from rtcli.protocol import rest; rest.parse_call = lambda answer: answer.bug; "
    monkeypatch.setattr(program, "COMMAND", [*program.COMMAND[:-1], broken + program.COMMAND[-1]])
    with OpenAi() as service:
        done = talk(tmp_path, "-q", "-vv", "--base-url", f"{service.url}/v1")
    assert done.status == 1
    assert "Traceback" in done.err
    assert "'HttpAnswer' object has no attribute 'bug'" in done.err.splitlines()[-1]
    assert MARKED not in done.err
    assert "ek_minted" not in done.err
