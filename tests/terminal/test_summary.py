from __future__ import annotations

from rtcli.protocol.latency import TurnTimes
from rtcli.protocol.server_events import decode
from rtcli.protocol.updates import EventIn, Ready, Stats, TurnTimed, Update, Words
from rtcli.terminal.summary import Summary


def summed(*updates: tuple[Update, float], columns: int = 200) -> str:
    summary = Summary()
    for update, at in updates:
        summary.take(update, at)
    return "\n".join(line.plain for line in summary.lines(columns))


def timed(seconds: float) -> TurnTimed:
    return TurnTimed(
        TurnTimes(
            spoken=True, response_id="r", created=0.05, announced=seconds - 0.1, packet=seconds - 0.08, sound=seconds
        )
    )


def test_a_call_without_words_has_no_summary() -> None:
    assert summed((Ready({}), 0.0), (Stats(0.1, 0.0, 0.0, {}, 0), 60.0)) == ""


def test_turns_latency_interruptions_and_loss_are_summed_up() -> None:
    raw = '{"type":"output_audio_buffer.cleared","event_id":"e","response_id":"r"}'
    text = summed(
        (Ready({}), 10.0),
        (Words("you", "a", "hi"), 11.0),
        (timed(0.5), 12.0),
        (Words("model", "b", "hello"), 13.0),
        (timed(0.9), 14.0),
        (EventIn(15.0, decode(raw), raw), 15.0),
        (Stats(0.1, 0.02, 0.0, {}, 0), 74.0),
    )
    assert text == (
        "1 min 4 s · 1 said, 1 answered, 1 interrupted · answer after 700 ms (p95 900, max 900)"
        " · response 50/50/50 ms · first packet 620/820/820 ms · 2.0% of packets lost"
    )


def test_on_a_narrow_terminal_each_fact_stays_whole() -> None:
    said = (Ready({}), 0.0), (Words("you", "a", "hi"), 1.0), (timed(0.5), 2.0), (Words("model", "b", "hello"), 9.0)
    assert summed(*said, columns=50) == (
        "9 s · 1 said, 1 answered, 0 interrupted\nanswer after 500 ms (p95 500, max 500)\n"
        "response 50/50/50 ms · first packet 420/420/420 ms"
    )
