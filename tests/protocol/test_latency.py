from __future__ import annotations

import json

from rtcli.protocol.latency import Spread, TurnTimer, TurnTimes, spread
from rtcli.protocol.server_events import decode


class Heard(TurnTimer):
    def event(self, kind: str, at: float, **fields: object) -> None:
        self.receive(decode(json.dumps({"type": kind, "event_id": "e", **fields})), at)

    def delta(self, kind: str, at: float) -> None:
        self.event(kind, at, response_id="r", item_id="i", output_index=0, content_index=0, delta="x")


def test_a_spoken_turn_is_timed_to_its_first_audible_sample() -> None:
    timer = Heard()
    timer.event("input_audio_buffer.speech_stopped", 10.0, item_id="u", audio_end_ms=1)
    timer.event("input_audio_buffer.committed", 10.01, item_id="u")
    timer.event("response.created", 10.1, response={"id": "r"})
    before = timer.listens_from
    timer.event("output_audio_buffer.started", 10.2, response_id="r")
    timer.delta("response.output_audio_transcript.delta", 10.25)
    assert (before, timer.listens_from) == (None, 10.2)
    timer.sounded(10.4, 10.37)
    (times,) = timer.take()
    assert round(times.total or 0, 3) == 0.4
    assert [round(value or 0, 3) for value in (times.committed, times.created, times.announced, times.word)] == [
        0.01,
        0.1,
        0.2,
        0.25,
    ]
    assert round(times.packet or 0, 3) == 0.37
    assert timer.take() == []


def test_a_typed_turn_in_text_is_timed_to_its_first_word() -> None:
    timer = Heard()
    timer.asked(5.0)
    timer.event("response.created", 5.1, response={"id": "r"})
    timer.delta("response.output_text.delta", 5.3)
    timer.event("response.done", 6.0, response={"id": "r", "status": "completed"})
    (times,) = timer.take()
    assert (times.spoken, round(times.total or 0, 3)) == (False, 0.3)


def test_speech_that_goes_on_is_no_turn_yet() -> None:
    timer = Heard()
    timer.event("input_audio_buffer.speech_stopped", 1.0, item_id="u", audio_end_ms=1)
    timer.event("input_audio_buffer.speech_started", 1.2, item_id="v", audio_start_ms=1)
    timer.event("response.created", 1.3, response={"id": "r"})
    timer.event("output_audio_buffer.started", 1.4, response_id="r")
    assert timer.listens_from is None


def test_a_function_call_is_no_answer_and_the_one_after_it_is() -> None:
    timer = Heard()
    timer.asked(1.0)
    timer.event("response.created", 1.1, response={"id": "f"})
    timer.event("response.done", 1.2, response={"id": "f", "status": "completed"})
    assert timer.take() == []
    timer.asked(1.3)
    timer.event("response.created", 1.4, response={"id": "r"})
    timer.delta("response.output_text.delta", 1.5)
    timer.event("response.done", 1.6, response={"id": "r", "status": "completed"})
    assert [round(times.total or 0, 3) for times in timer.take()] == [0.2]


def test_another_response_s_voice_is_not_counted() -> None:
    timer = Heard()
    timer.asked(1.0)
    timer.event("response.created", 1.1, response={"id": "r"})
    timer.event("output_audio_buffer.started", 1.2, response_id="other")
    assert timer.listens_from is None


def test_percentiles_are_by_nearest_rank() -> None:
    assert spread([]) is None
    assert spread([0.3, 0.1, 0.2]) == Spread(0.2, 0.3, 0.3)
    assert spread([n / 100 for n in range(1, 101)]) == Spread(0.505, 0.95, 1.0)


def test_without_any_step_there_is_no_total() -> None:
    assert TurnTimes(spoken=True, response_id="").total is None
