"""What a call may use, and what ends it when that is used up."""

from __future__ import annotations

import pytest

from rtcli.errors import BudgetReached, UsageError
from rtcli.protocol.budget import Budget, Limits, refuse_unpriced
from rtcli.protocol.intents import Fail, Intent
from rtcli.protocol.server_events import Usage
from rtcli.protocol.updates import Activity, Connected, EventOut, Growing, Ready, Spent, Words
from rtcli.protocol.usage import PRICES, Bill, price_table


QUIET = Activity(user_speaking=False, model_speaking=False, thinking=False)
SESSION = {"type": "realtime", "model": "gpt-realtime-2", "audio": {"input": {"transcription": None}}}


def budget(limits: Limits, *, session: dict[str, object] | None = None) -> Budget:
    """Of a call that was up at 0 and ready at 1."""
    made = Budget(limits, PRICES)
    assert made.watch(Connected(0.0, "1", None), 0.0) == []
    assert made.watch(Ready(SESSION if session is None else session), 1.0) == []
    return made


def message(intents: list[Intent], kind: type[Exception] = BudgetReached) -> str:
    (intent,) = intents
    assert isinstance(intent, Fail)
    assert isinstance(intent.error, kind)
    return str(intent.error)


def spent(tokens: int, model: str = "gpt-realtime-2") -> Spent:
    return Spent(Bill().plus_response(model, Usage(output_tokens=tokens)))


def test_without_limits_nothing_ends_a_call() -> None:
    made = budget(Limits())
    assert made.watch(spent(10**9, "a-model-of-tomorrow"), 1e9) == made.tick(2e9) == []


def test_the_call_ends_once_when_it_has_cost_what_it_may() -> None:
    made = budget(Limits(cost=0.024))
    assert made.watch(spent(999), 5.0) == []
    assert message(made.watch(spent(1000), 6.0)) == "the call has cost ≈ $0.0240, and it may cost $0.024"
    assert made.watch(spent(2000), 7.0) == []


def test_a_tiny_limit_is_told_as_it_was_given() -> None:
    assert message(budget(Limits(cost=1e-7)).watch(spent(1000), 6.0)).endswith("it may cost $0.0000001")


def test_the_duration_counts_from_the_connection_and_speech_does_not_stop_it() -> None:
    made = budget(Limits(duration=10))
    assert made.watch(Activity(user_speaking=True, model_speaking=False, thinking=False), 9.9) == []
    assert "10 s" in message(made.tick(10.0))


@pytest.mark.parametrize("sign", [EventOut(5.0, "x", "{}"), Words("you", "i", "hi"), Growing("you", "i", "h"), QUIET])
def test_every_sign_of_life_begins_the_idle_time_anew(sign: EventOut | Words | Growing | Activity) -> None:
    made = budget(Limits(idle=10))
    assert made.watch(sign, 5.0) == made.tick(14.9) == []
    assert "10 s" in message(made.tick(15.0))


def test_nobody_is_idle_who_speaks_or_is_spoken_to() -> None:
    made = budget(Limits(idle=10))
    made.watch(Activity(user_speaking=False, model_speaking=True, thinking=False), 2.0)
    assert made.tick(100.0) == []
    made.watch(QUIET, 100.0)
    assert made.tick(109.0) == []
    assert made.tick(110.0)


def test_connecting_is_not_idle() -> None:
    made = Budget(Limits(idle=1, duration=1), PRICES)
    assert made.tick(100.0) == []


def test_a_budget_that_can_not_be_kept_is_a_usage_error_before_anything_is_said() -> None:
    session = {"model": "a-model-of-tomorrow"}
    with pytest.raises(UsageError, match="a-model-of-tomorrow"):
        refuse_unpriced(Limits(cost=1), session, PRICES)
    made = Budget(Limits(cost=1), PRICES)
    assert "a-model-of-tomorrow" in message(made.watch(Ready(session), 1.0), UsageError)
    refuse_unpriced(Limits(duration=1), session, PRICES)
    refuse_unpriced(Limits(cost=1), session, price_table({"a-model-of-tomorrow": {"text_out": 1}}))


def test_a_transcriber_without_a_price_is_refused_too() -> None:
    session = {**SESSION, "audio": {"input": {"transcription": {"model": "whisper-1"}}}}
    with pytest.raises(UsageError, match="whisper-1"):
        refuse_unpriced(Limits(cost=1), session, PRICES)


def test_a_price_that_proves_unknown_in_the_call_ends_it_as_a_usage_error() -> None:
    made = budget(Limits(cost=1), session={})
    assert "the model in use" in message(made.watch(spent(5, ""), 2.0), UsageError)
