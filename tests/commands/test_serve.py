"""`rtcli serve` as a user starts it."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from tests.browser.serving import running
from tests.services import OpenAi


def rtcli(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-c", "from rtcli.cli import main; main()", *command]
    env = {**os.environ, "RTCLI_CONFIG": os.devnull, **environment}
    return subprocess.run(program, capture_output=True, text=True, check=False, timeout=60, env=env)


def test_a_port_in_use_is_exit_2_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = rtcli("serve", "--port", port, "--base-url", "http://127.0.0.1:9/v1")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert f"port {port} on 127.0.0.1" in done.stderr


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        (("--server", "http://127.0.0.1:9"), 2, "--server"),
        (("--sandbox", "--base-url", "http://127.0.0.1:9"), 2, "exclude"),
        (("--direct",), 2, "--direct"),
        (("--allow-origin", "localhost:5173"), 2, "http or https"),
        (("--allow-origin", "http://localhost:5173/app"), 2, "origin"),
        (("--safety-id-from", "X-User"), 2, "header:NAME"),
        (("--host", "nowhere.invalid", "--base-url", "http://127.0.0.1:9/v1"), 2, "can not be used"),
    ],
)
def test_what_can_not_be_served_is_one_line(options: tuple[str, ...], status: int, words: str) -> None:
    done = rtcli("serve", "--port", "0", *options, RTCLI_API_KEY="sk-test")
    assert (done.returncode, done.stdout) == (status, "")
    assert done.stderr.count("\n") == 1
    assert words in done.stderr


def test_without_a_key_for_the_service_nothing_is_served() -> None:
    done = rtcli("serve", "--port", "0", RTCLI_API_KEY="", OPENAI_API_KEY="")
    assert done.returncode == 3
    assert done.stderr.count("\n") == 1


def test_beyond_loopback_a_secret_is_made_and_told_in_the_link(tmp_path: Path) -> None:
    with (
        OpenAi() as service,
        running(
            tmp_path / "log", "serve", "--host", "0.0.0.0", "--port", "0", "--base-url", f"{service.url}/v1"
        ) as link,
    ):
        found = re.fullmatch(r"http://[^/]+:(\d+)/\?secret=(\S{20,})", link)
        assert found, link
        base = f"http://127.0.0.1:{found[1]}"
        assert httpx.get(f"{base}/token").status_code == 401
        assert httpx.get(f"{base}/token", headers={"Authorization": f"Bearer {found[2]}"}).status_code == 200
    assert found[2] not in (tmp_path / "log").read_text()


def test_tail_follows_every_call_that_goes_through(tmp_path: Path) -> None:
    program = [sys.executable, "-c", "from rtcli.cli import main; main()"]
    command = [*program, "serve", "--sandbox", "--tail", "--port", "0"]
    with (
        (tmp_path / "out").open("w+") as out,
        (tmp_path / "err").open("w+") as err,
        subprocess.Popen(command, stdout=out, stderr=err, env={**os.environ, "RTCLI_CONFIG": os.devnull}) as server,
    ):
        try:
            while not (url := (tmp_path / "out").read_text().partition("\n")[0]):
                time.sleep(0.1)
            for mode in ("unified", "token"):
                asked = ("send", "--server", url, "--server-mode", mode, "--base-url", f"{url}/v1", "what is 2 plus 3")
                done = rtcli(*asked)
                assert (done.returncode, done.stdout) == (0, "2 plus 3 is 5.\n"), done.stderr
            while (followed := (tmp_path / "out").read_text()).count("response.done") < 2:
                time.sleep(0.1)
        finally:
            server.terminate()
    lines = followed.splitlines()[1:]
    assert len({line.split(" ")[0] for line in lines}) == 2
    assert any("response.output_text.done" in line or "response.output_audio_transcript.done" in line for line in lines)
    assert "Traceback" not in (tmp_path / "err").read_text()
    assert server.returncode == 0


def test_two_workers_of_an_asgi_host_share_the_secret_of_the_environment(tmp_path: Path) -> None:
    with OpenAi() as service, socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
        free.close()
        command = ["--factory", "rtcli.server.app:create_app", "--workers", "2", "--port", str(port)]
        environment = {
            **os.environ,
            "RTCLI_CONFIG": os.devnull,
            "RTCLI_BASE_URL": f"{service.url}/v1",
            "RTCLI_API_KEY": "sk-of-the-developer",
            "RTCLI_SERVE_SECRET": "a-secret-for-all-workers",
            "RTCLI_VOICE": "cedar",
        }
        with (
            (tmp_path / "log").open("wb") as log,
            subprocess.Popen(
                [sys.executable, "-m", "uvicorn", *command], stdout=log, stderr=log, env=environment
            ) as host,
        ):
            try:
                _until_served(f"http://127.0.0.1:{port}/", tmp_path / "log")
                for _ in range(10):
                    url = f"http://127.0.0.1:{port}/token"
                    assert httpx.get(url).status_code == 401
                    answer = httpx.get(url, headers={"Authorization": "Bearer a-secret-for-all-workers"})
                    assert answer.json()["value"] == "ek_minted"
            finally:
                host.terminate()
        assert len(service.asked) == 10
        assert service.asked[0].document["session"]["audio"]["output"]["voice"] == "cedar"
    written = (tmp_path / "log").read_text()
    assert written.count("Started server process") == 2
    assert "GET /token 401" in written
    assert "sk-of-the-developer" not in written
    assert "a-secret-for-all-workers" not in written


@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_asgi_host_ends_and_says_why_where_there_is_no_key(workers: str) -> None:
    command = ["--factory", "rtcli.server.app:create_app", "--workers", workers, "--port", "0"]
    environment = {**os.environ, "RTCLI_CONFIG": os.devnull, "RTCLI_API_KEY": "", "OPENAI_API_KEY": ""}
    done = subprocess.run(
        [sys.executable, "-m", "uvicorn", *command],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=environment,
    )
    assert "rtcli: no API key for api.openai.com" in done.stderr
    assert "Traceback" not in done.stderr


def _until_served(url: str, log: Path) -> None:
    until = time.monotonic() + 40
    while time.monotonic() < until:
        try:
            httpx.get(url)
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            if log.read_text().count("Application startup complete") == 2:
                return
    raise AssertionError(log.read_text())
