from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from rtcli.transport.liveness import CONSENT_INTERVAL, LOST, PROBE_INTERVAL, QUIET, TICK, Liveness, Verdict


def watch(
    seconds: float, heard: Callable[[float], bool], *, liveness: Liveness | None = None
) -> list[tuple[float, Verdict]]:
    """What each look says; `heard(now)`: a packet has come since the last."""
    liveness = liveness or Liveness(0.0)
    seen: list[tuple[float, Verdict]] = []
    for step in range(int(seconds / TICK) + 1):
        now = step * TICK
        if heard(now):
            liveness.heard = now
        seen.append((now, liveness.look(now)))
        if seen[-1][1] == "lost":
            break
    return seen


def asked(seen: list[tuple[float, Verdict]]) -> list[float]:
    return [now for now, verdict in seen if verdict == "ask"]


def test_while_packets_flow_only_consent_is_renewed() -> None:
    seen = watch(30, lambda _: True)
    times = asked(seen)
    assert times[0] == TICK
    assert {b - a for a, b in pairwise(times)} == {CONSENT_INTERVAL}
    assert seen[-1][1] != "lost"


def test_silence_is_asked_about_and_then_believed() -> None:
    seen = watch(30, lambda now: now <= 10)
    assert seen[-1] == (10 + LOST, "lost")
    probes = [now for now in asked(seen) if now >= 10 + QUIET]
    assert probes[0] <= 10 + QUIET + TICK
    assert all(b - a == PROBE_INTERVAL for a, b in pairwise(probes))
    assert len(probes) >= 5


def test_a_remote_that_only_answers_is_alive() -> None:
    liveness = Liveness(0.0)
    answers: list[float] = []
    for step in range(400):
        now = step * TICK
        # An answer comes one look after the question.
        if answers:
            liveness.heard = answers.pop()
        verdict = liveness.look(now)
        assert verdict != "lost"
        if verdict == "ask":
            answers.append(now + TICK)


def test_a_gap_in_our_own_looks_starts_the_count_again() -> None:
    liveness = Liveness(0.0)
    assert liveness.look(0.0) == "alive"
    assert liveness.look(60.0) != "lost"
    looks = [liveness.look(60.0 + step * TICK) for step in range(1, int(LOST / TICK) + 1)]
    assert looks[-1] == "lost"
    assert "lost" not in looks[:-1]
