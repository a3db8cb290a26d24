"""A call that may use only so much, as a user runs it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.program import rtcli


@pytest.fixture
def open_pipe() -> Iterator[int]:
    """A standard input that says nothing and does not end."""
    silent, held_open = os.pipe()
    yield silent
    os.close(silent)
    os.close(held_open)


@pytest.mark.parametrize(
    ("limit", "says"),
    [
        (("--max-duration", "0.5"), "rtcli: the call has lasted 0.5 s, as long as it may"),
        (("--idle-timeout", "0.7"), "rtcli: nothing has happened for 0.7 s"),
        (("--max-cost", "0.000001"), "rtcli: the call has cost ≈ $0.0"),
    ],
)
def test_each_budget_ends_the_call_with_status_8_and_says_which_it_was(
    tmp_path: Path, base_url: str, open_pipe: int, limit: tuple[str, str], says: str
) -> None:
    how = ("talk", "--base-url", base_url, "--text", "--initial", "hello", *limit)
    done = rtcli(*how, home=tmp_path, stdin=open_pipe)
    assert done.status == 8, done.err
    assert done.err.splitlines()[-1].startswith(says)


def test_a_budget_in_dollars_without_a_price_is_a_usage_error_and_a_price_in_the_configuration_helps(
    tmp_path: Path, base_url: str
) -> None:
    how = ("talk", "--base-url", base_url, "--text", "--model", "model-x", "--max-cost", "1", "--json")
    refused = rtcli(*how, home=tmp_path, stdin="hello\n")
    assert refused.status == 2
    assert "no price is known for model-x" in refused.err
    assert "Traceback" not in refused.err
    prices = "[prices.model-x]\ntext_in = 1.0\ntext_out = 2.0\n"
    (tmp_path / "config.toml").write_text(prices, encoding="utf-8")
    own = {"RTCLI_CONFIG": str(tmp_path / "config.toml")}
    done = rtcli(*how, home=tmp_path, stdin="hello\n", env=own)
    assert done.status == 0, done.err
    used = [line for line in map(json.loads, done.out.splitlines()) if line["type"] == "rtcli.usage"][-1]
    model = used["models"]["model-x"]
    assert used["cost_usd"] == pytest.approx((model["text_in"] + 2 * model["text_out"]) / 1e6)
    assert used["prices_of"] == "configuration"


def test_a_misspelt_price_is_named_before_anybody_is_called(tmp_path: Path) -> None:
    done = rtcli("talk", "--base-url", "http://127.0.0.1:9/v1", home=tmp_path, stdin=subprocess.DEVNULL,
                 env={"RTCLI_PRICES": '{"m":{"txt_in":1}}'})  # fmt: skip
    assert done.status == 2
    assert "prices.m has no 'txt_in'; there are: text_in" in done.err
