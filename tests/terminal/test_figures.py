from __future__ import annotations

from dataclasses import asdict

from rtcli.audio.opus import make_decoder
from rtcli.audio.playout import Playout
from rtcli.protocol.latency import TurnTimes
from rtcli.protocol.updates import Stats
from rtcli.protocol.usage import PRICES_READ, Bill, Share, Tokens
from rtcli.terminal.figures import amount, cost_lines, stats_lines


STATS = Stats(
    round_trip=0.0421,
    lost=0.015,
    jitter=0.003,
    playout={
        **asdict(Playout(make_decoder).stats()),
        "played_ms": 83_000.0,
        "depth_ms": 41.0,
        "received": 4150,
        "lost": 62,
    },
    unsent=0,
    echo="aec",
    erle_db=34.4,
)
TIMES = TurnTimes(spoken=True, response_id="r", committed=0.003, created=0.045, announced=0.2, packet=0.24, sound=0.268)
SPOKEN = Bill({"gpt-realtime-whisper": Share("gpt-realtime-whisper", seconds=90.0)})
TALKED = Bill({"gpt-realtime-2": Share("gpt-realtime-2", Tokens(audio_in=2000, audio_cached=1000, audio_out=400))})


def test_stats_are_a_few_lines_with_the_steps_of_the_last_answer_first() -> None:
    assert stats_lines(STATS, TIMES) == [
        "answer   committed 3, response 45, packet 240, heard 268 ms",
        "network  round trip 42 ms, jitter 3 ms, 1.5% lost",
        "sound    83 s played, 41 ms wait (aim 0)",
        "repaired 62 lost, 0 late, 0 fec, 0 dropped of 4150 packets, 0 ms guessed",
        "echo     aec, 34 dB taken off",
    ]


def test_what_is_not_known_is_left_out() -> None:
    told = stats_lines(Stats(None, None, None, {}, 0), None)
    assert told[0] == "network  nothing measured yet"
    assert stats_lines(None, None) == ["no figures yet"]


def test_transcription_by_the_minute_has_its_price() -> None:
    assert cost_lines(SPOKEN) == [
        "gpt-realtime-whisper: 1.5 min · ≈ $0.0255",
        f"together: ≈ $0.0255, by prices of {PRICES_READ}",
    ]
    assert amount(SPOKEN) == "1.5 min"


def test_what_has_no_known_price_is_named_and_nothing_is_added_up() -> None:
    both = Bill({**TALKED.shares, "gpt-unheard-of": Share("gpt-unheard-of", Tokens(text_in=1))})
    assert cost_lines(both) == [
        "gpt-realtime-2: 3000 tokens in (1000 cached), 400 out · ≈ $0.0900",
        "gpt-unheard-of: 1 tokens in, 0 out · cost unknown",
        "together: cost unknown",
    ]
    assert amount(both) == "3.4k tokens"


def test_nothing_used_is_said_so() -> None:
    assert cost_lines(Bill()) == ["nothing used yet"]
    assert amount(Bill()) == ""
