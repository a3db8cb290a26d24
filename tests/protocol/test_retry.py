"""Whether to ask again, and when."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rtcli.protocol import retry
from rtcli.protocol.rest import HttpAnswer


def answer(status: int, body: dict[str, Any] | None = None, **headers: str) -> HttpAnswer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpAnswer(status, named, b"" if body is None else json.dumps(body).encode())


OVERLOAD = {"error": {"message": "Slow down.", "type": "server_error", "code": "slow_down"}}
QUOTA = {"error": {"message": "No credit", "type": "insufficient_quota", "code": "insufficient_quota"}}


@pytest.mark.parametrize(
    ("given", "delay"),
    [
        (answer(429), 0.5),
        (answer(408), 0.5),
        (answer(409), 0.5),
        (answer(500), 0.5),
        (answer(503, OVERLOAD), 0.5),
        (answer(429, retry_after="3"), 3.0),
        (answer(429, retry_after="0"), 0.0),
        (answer(429, retry_after_ms="250", retry_after="3"), 0.25),
        (answer(429, retry_after="120"), 120.0),
        (answer(429, retry_after="121"), None),
        (answer(429, retry_after="-1"), 0.5),
        (answer(429, retry_after="nan"), 0.5),
        (answer(429, retry_after="inf"), 0.5),
        (answer(429, retry_after="soon"), 0.5),
        (answer(429, retry_after="Wed, 01 Jul 2026 10:00:09 GMT", date="Wed, 01 Jul 2026 10:00:00 GMT"), 9.0),
        (answer(429, retry_after="Wed, 01 Jul 2026 10:00:00 GMT", date="Wed, 01 Jul 2026 10:00:09 GMT"), 0.0),
        (answer(429, retry_after="Wed, 01 Jul 2026 10:00:09 GMT"), 0.5),
        (answer(429, QUOTA, retry_after="1"), None),
        (answer(429, {"error": {"code": "credit_balance_exhausted"}}), None),
        (answer(429, QUOTA, x_should_retry="true"), None),
        (answer(429, x_should_retry="false"), None),
        (answer(400, x_should_retry="true"), 0.5),
        (answer(400), None),
        (answer(401), None),
        (answer(200), None),
    ],
)
def test_an_answer_is_retried_as_the_official_sdk_does(given: HttpAnswer, delay: float | None) -> None:
    assert retry.retry_after(given, 0) == delay


def test_after_two_retries_the_answer_stands() -> None:
    assert [retry.retry_after(answer(500), attempt) for attempt in range(4)] == [0.5, 1.0, None, None]


def test_the_backoff_doubles_to_8_s_and_jitter_takes_off_a_quarter_at_most() -> None:
    assert [retry.backoff(n) for n in range(6)] == [0.5, 1.0, 2.0, 4.0, 8.0, 8.0]
    assert retry.backoff(0, jitter=1.0) == 0.375


def test_a_wait_that_was_asked_for_is_kept_up_to_two_minutes_and_twice() -> None:
    assert retry.wait(7.5, 0) == 7.5
    assert retry.wait(7.5, 1, jitter=1.0) == 7.5
    assert retry.wait(7.5, 2) is None
    assert retry.wait(120.0, 0) == 120.0
    assert retry.wait(120.5, 0) is None
    assert retry.wait(None, 1) == 1.0
