"""Tokens and money of a call."""

from __future__ import annotations

import json

import pytest

from rtcli.errors import UsageError
from rtcli.protocol import server_events
from rtcli.protocol.server_events import TokenDetails, Usage
from rtcli.protocol.usage import (
    PRICES,
    PRICES_READ,
    Bill,
    Share,
    Tokens,
    dollars,
    price_table,
    response_tokens,
    transcription_tokens,
)


def usage_of(document: dict[str, object]) -> Usage:
    event = server_events.decode(json.dumps({"type": "response.done", "response": {"usage": document}}))
    assert isinstance(event, server_events.ResponseDone)
    assert event.response.usage is not None
    return event.response.usage


SPOKEN = usage_of(
    {
        "total_tokens": 1500,
        "input_tokens": 1200,
        "output_tokens": 300,
        "input_token_details": {
            "text_tokens": 400,
            "audio_tokens": 700,
            "image_tokens": 100,
            "cached_tokens": 350,
            "cached_tokens_details": {"text_tokens": 200, "audio_tokens": 120, "image_tokens": 30},
        },
        "output_token_details": {"text_tokens": 60, "audio_tokens": 240},
    }
)


def test_cached_tokens_are_counted_once() -> None:
    tokens = response_tokens(SPOKEN)
    assert tokens == Tokens(
        text_in=200,
        text_cached=200,
        text_out=60,
        audio_in=580,
        audio_cached=120,
        audio_out=240,
        image_in=70,
        image_cached=30,
    )
    assert (tokens.input, tokens.cached, tokens.output) == (1200, 350, 300)


def test_the_cost_of_a_spoken_answer_is_the_sum_of_its_kinds() -> None:
    bill = Bill().plus_response("gpt-realtime-2", SPOKEN)
    by_hand = 200 * 4 + 200 * 0.4 + 60 * 24 + 580 * 32 + 120 * 0.4 + 240 * 64 + 70 * 5 + 30 * 0.5
    assert bill.cost == pytest.approx(by_hand / 1e6)


def test_responses_and_transcriptions_are_summed_by_model() -> None:
    minute = Usage(type="duration", seconds=30.0)
    bill = (
        Bill()
        .plus_response("gpt-realtime-2.1-mini", usage_of({"output_token_details": {"audio_tokens": 1_000_000}}))
        .plus_response("gpt-realtime-2.1-mini", usage_of({"input_token_details": {"text_tokens": 1_000_000}}))
        .plus_transcription("gpt-transcribe", minute)
        .plus_transcription("gpt-transcribe", minute)
    )
    assert bill.tokens == Tokens(audio_out=1_000_000, text_in=1_000_000)
    assert bill.cost == pytest.approx(20.00 + 0.60 + 0.0045)
    assert bill.to_json()["models"]["gpt-transcribe"] == {"seconds": 60.0, "cost_usd": 0.0045}
    assert bill.to_json()["cost_usd"] == pytest.approx(20.6045)


def test_a_transcription_by_tokens_is_speech_in_and_text_out() -> None:
    usage = Usage(type="tokens", input_tokens=110, output_tokens=20,
                  input_token_details=TokenDetails(text_tokens=10, audio_tokens=100))  # fmt: skip
    assert transcription_tokens(usage) == Tokens(text_in=10, audio_in=100, text_out=20)
    assert Share("gpt-4o-transcribe", transcription_tokens(usage)).cost() == pytest.approx((110 * 2.5 + 20 * 10) / 1e6)


def test_without_a_known_price_there_is_no_cost_and_still_a_count() -> None:
    bill = Bill().plus_response("gpt-realtime-2", SPOKEN).plus_response("a-model-of-tomorrow", SPOKEN)
    assert bill.cost is None
    assert bill.tokens.input == 2400
    assert "cost_usd" not in bill.to_json()
    assert "cost_usd" in bill.to_json()["models"]["gpt-realtime-2"]


def test_a_price_in_another_unit_is_no_price() -> None:
    assert Share("gpt-transcribe", Tokens(audio_in=5)).cost() is None
    assert Share("gpt-4o-transcribe", seconds=5.0).cost() is None


def test_a_response_without_usage_adds_nothing() -> None:
    assert Bill().plus_response("gpt-realtime-2", None).plus_transcription("whisper-1", None) == Bill()
    assert Bill().cost == 0


@pytest.mark.parametrize(
    ("document", "tokens"),
    [
        ({"input_tokens": 5, "output_tokens": 7}, Tokens(text_in=5, text_out=7)),
        ({"input_token_details": {"text_tokens": 9, "cached_tokens": 4}}, Tokens(text_in=5, text_cached=4)),
        (
            {"input_token_details": {"text_tokens": 1, "cached_tokens_details": {"text_tokens": 9}}},
            Tokens(text_cached=9),
        ),
        ({"input_tokens": -5, "output_tokens": None}, Tokens()),
        ({}, Tokens()),
    ],
)
def test_partial_and_odd_usage_is_read_as_far_as_it_goes(document: dict[str, object], tokens: Tokens) -> None:
    assert response_tokens(usage_of(document)) == tokens


def test_money_is_marked_as_an_estimate() -> None:
    assert [dollars(cost) for cost in (0.01234, 12.345, 0.0, None)] == [
        "≈ $0.0123",
        "≈ $12.35",
        "≈ $0.0000",
        "cost unknown",
    ]


def test_prices_are_those_of_the_models_pages() -> None:
    assert set(PRICES) == {
        "gpt-realtime-2.1",
        "gpt-realtime-2",
        "gpt-realtime-2.1-mini",
        "gpt-realtime-1.5",
        "gpt-4o-transcribe",
        "gpt-live-transcribe",
        "gpt-realtime-whisper",
        "gpt-transcribe",
    }
    assert (PRICES["gpt-realtime-1.5"].text_out, PRICES["gpt-realtime-2"].text_out) == (16.0, 24.0)


def test_the_user_s_own_price_takes_the_place_of_the_whole_entry() -> None:
    prices = price_table({"gpt-realtime-2": {"text_out": 1.0}, "mine": {"text_in": 2.0, "text_out": 3.0}})
    bill = Bill(prices=prices).plus_response("mine", Usage(input_tokens=1_000_000, output_tokens=1_000_000))
    assert (bill.cost, bill.to_json()["prices_of"]) == (5.0, "configuration")
    assert bill.plus_response("gpt-realtime-2", SPOKEN).cost is None  # audio has no price any more
    assert Bill(prices=prices).plus_transcription("gpt-transcribe", Usage(seconds=60.0)).prices_of == PRICES_READ


def test_a_price_of_an_unknown_kind_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"prices\.mine has no 'text'; there are: text_in, .*minute"):
        price_table({"mine": {"text": 1.0}})


def test_what_was_not_used_needs_no_price() -> None:
    bill = Bill(prices=price_table({"mine": {"text_out": 3.0}})).plus_response("mine", Usage(output_tokens=1_000_000))
    assert (bill.cost, bill.unpriced) == (3.0, [])
