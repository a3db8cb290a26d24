"""Whether to ask again, and when: the rule of the official SDK (`_base_client.py`, 3.54) without its clock."""

from __future__ import annotations

from collections.abc import Iterator

from rtcli.errors import ConnectError, RtcliError
from rtcli.protocol.refusal import told_delay
from rtcli.protocol.rest import HttpAnswer, json_object


MAX_RETRIES = 2
MAX_RETRY_AFTER = 120.0
"""Seconds; a server that asks for more is not asked again (SDK `_base_client.py`)."""
_FIRST_DELAY, _LAST_DELAY = 0.5, 8.0
_UNPAID = frozenset({"insufficient_quota", "credit_balance_exhausted"})
"""Come as 429 and do not pass by waiting."""


class ConnectionBroken(ConnectError):
    """The connection broke before the answer: worth another try."""


class TryAgain(Exception):
    """A try failed in a way that may pass, and what was sent can not be sent again: it has to be made anew."""

    def __init__(self, error: RtcliError, told: float | None = None) -> None:
        """`error`: what it is when there is no further try. `told`: seconds that the other side asked to wait."""
        super().__init__(str(error))
        self.error = error
        self.told = told


def retry_after(answer: HttpAnswer, attempt: int, *, jitter: float = 0.0) -> float | None:
    """Seconds to wait before asking again, or None to give up; `attempt` and `jitter` as in `wait`."""
    return wait(told_delay(answer.headers), attempt, jitter=jitter) if worth_retrying(answer) else None


def wait(told: float | None, attempt: int, *, jitter: float = 0.0) -> float | None:
    """Seconds to wait after a failure that may pass, or None to give up.

    `told`: what the other side asked for. `attempt`: how many tries came before the one that failed, from 0.
    `jitter`: 0 to 1; takes off up to a quarter.
    """
    if attempt >= MAX_RETRIES:
        return None
    if told is None:
        return backoff(attempt, jitter=jitter)
    return told if told <= MAX_RETRY_AFTER else None


def backoff(attempt: int, *, jitter: float = 0.0) -> float:
    """Seconds before the next try when the server named none: 0.5, doubling, at most 8."""
    return min(_FIRST_DELAY * 2.0**attempt, _LAST_DELAY) * (1 - jitter / 4)


def worth_retrying(answer: HttpAnswer) -> bool:
    """Whether the same may be answered otherwise a little later."""
    if _UNPAID & set(_error_words(answer)):
        return False
    said = answer.headers.get("x-should-retry", "").lower()
    if said in {"true", "false"}:
        return said == "true"
    return answer.status in {408, 409, 429} or answer.status >= 500


def _error_words(answer: HttpAnswer) -> Iterator[str]:
    document = json_object(answer)
    error = document.get("error") if document is not None else None
    if isinstance(error, dict):
        yield from (word for word in (error.get("code"), error.get("type")) if isinstance(word, str))
