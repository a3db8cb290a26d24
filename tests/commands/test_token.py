"""`rtcli token` as a shell uses it."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
from pathlib import Path

import pytest

from tests.program import COMMAND, environment, rtcli
from tests.services import AppServer, OpenAi, Scripted, error


MARKED = {"RTCLI_API_KEY": "sk-marked-0123456789abcdef"}


def test_the_key_and_nothing_else_is_printed_and_opens_a_call(tmp_path: Path, base_url: str) -> None:
    minted = rtcli("token", "--base-url", base_url, home=tmp_path)
    assert (minted.status, minted.err) == (0, "")
    key = minted.out.removesuffix("\n")
    assert key.startswith("ek_")
    assert key.isprintable()
    done = rtcli("send", "--base-url", base_url, "hi", home=tmp_path, env={"RTCLI_EPHEMERAL_KEY": key})
    assert (done.status, done.out) == (0, "Hello! How can I help?\n"), done.err


def test_the_session_and_the_time_to_live_are_in_the_request_and_the_api_key_nowhere_else(tmp_path: Path) -> None:
    with OpenAi() as service:
        done = rtcli(
            "token", "--base-url", f"{service.url}/v1", "--expires", "60", "--voice", "cedar", home=tmp_path, env=MARKED
        )
    assert (done.status, done.out) == (0, "ek_minted\n"), done.err
    (asked,) = service.asked
    assert asked.headers["authorization"] == f"Bearer {MARKED['RTCLI_API_KEY']}"
    assert asked.document["expires_after"] == {"anchor": "created_at", "seconds": 60}
    assert asked.document["session"]["audio"]["output"] == {"voice": "cedar"}


def test_json_is_the_services_whole_answer(tmp_path: Path) -> None:
    with OpenAi() as service:
        done = rtcli("token", "--base-url", f"{service.url}/v1", "--json", home=tmp_path)
    document = json.loads(done.out)
    assert document == {"value": "ek_minted", "expires_at": 4102444800, "session": {"type": "realtime"}}


def test_a_shell_can_evaluate_it(tmp_path: Path) -> None:
    with OpenAi() as service:
        done = rtcli("token", "--base-url", f"{service.url}/v1", "--env", home=tmp_path)
    shell = subprocess.run(
        ["sh", "-c", f'{done.out}\nprintf %s "$RTCLI_EPHEMERAL_KEY"'], capture_output=True, text=True, check=True
    )
    assert shell.stdout == "ek_minted"


def test_an_app_server_is_asked_for_its_own(tmp_path: Path) -> None:
    with AppServer() as server:
        done = rtcli("token", "--server", server.url, home=tmp_path, env=MARKED)
    assert (done.status, done.out) == (0, "ek_of_the_server\n"), done.err
    assert server.lines == ["GET /token"]
    assert "authorization" not in server.asked[0].headers


@pytest.mark.parametrize("asked", [("--voice", "cedar"), ("--expires", "60"), ("--set", "tools=[]")])
def test_an_app_server_can_not_be_asked_for_a_session(tmp_path: Path, asked: tuple[str, ...]) -> None:
    with AppServer() as server:
        done = rtcli("token", "--server", server.url, *asked, home=tmp_path)
    assert (done.status, done.out) == (2, "")
    assert "decides" in done.err
    assert server.asked == []


def test_a_refusal_is_one_line_its_status_and_with_json_an_object(tmp_path: Path) -> None:
    with Scripted(error(401, "Incorrect API key provided", "invalid_api_key")) as service:
        done = rtcli("token", "--base-url", f"{service.url}/v1", "--json", home=tmp_path, env=MARKED)
    assert done.status == 3
    (line,) = done.err.splitlines()
    assert "Incorrect API key provided" in line
    told = json.loads(done.out)
    assert (told["type"], told["exit"]) == ("rtcli.error", 3)
    assert MARKED["RTCLI_API_KEY"] not in done.out + done.err


@pytest.mark.parametrize(
    "arguments",
    [("--expires", "9"), ("--expires", "7201"), ("--sandbox",), ("--token-stdin",), ("--direct",), ("--env", "--json")],
)
def test_what_makes_no_key_is_2(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = rtcli("token", *arguments, home=tmp_path)
    assert done.status == 2
    assert len(done.err.splitlines()) == 1


def test_on_a_terminal_a_card_stands_beside_it(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    with OpenAi() as service:
        done = subprocess.run(
            [*COMMAND, "token", "--base-url", f"{service.url}/v1"],
            stdout=subprocess.PIPE,
            stderr=theirs,
            env=environment(tmp_path),
            timeout=60,
            check=True,
        )
    os.close(theirs)
    shown = b""
    while select.select([ours], [], [], 0.2)[0]:
        try:
            shown += os.read(ours, 4096)
        except OSError:  # Linux says so at the end
            break
    os.close(ours)
    assert done.stdout == b"ek_minted\n"
    assert b"expires" in shown
    assert b"session  realtime" in shown
    assert b"ek_minted" not in shown
