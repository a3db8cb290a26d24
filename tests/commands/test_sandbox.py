"""`rtcli sandbox` as a user starts it."""

from __future__ import annotations

from pathlib import Path

import httpx

from tests.program import start


def test_its_session_options_are_of_keys_that_are_asked_for_without_a_session(tmp_path: Path) -> None:
    def voice(**asked: object) -> str:
        answer = httpx.post(f"{url}/realtime/client_secrets", json=asked, headers={"Authorization": "Bearer sk-any"})
        return str(answer.json()["session"]["audio"]["output"]["voice"])

    running = start("sandbox", "--engine", "scripted", "--port", "0", "--voice", "cedar", home=tmp_path)
    try:
        assert running.stdout is not None
        url = running.stdout.readline().decode().strip()
        assert voice() == "cedar"
        assert voice(session={"type": "realtime", "audio": {"output": {"voice": "ash"}}}) == "ash"
    finally:
        running.kill()
        running.communicate()
