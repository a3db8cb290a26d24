"""The client's side of the protocol against the sandbox's, with any latency: both keep the same orders."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from rtcli.protocol.conversation import Plan
from rtcli.protocol.intents import InputEnded, Interrupt, Say
from rtcli.protocol.updates import Refused, Warned, Words
from tests.protocol.world import Pace, World


WHISPER = {"transcription": {"model": "gpt-4o-mini-transcribe"}}
LONG = 400.0


def a_session(*, modality: str, interrupts: bool, transcribes: bool) -> dict[str, Any]:
    turn_detection = {"type": "server_vad", "interrupt_response": interrupts}
    audio = {"input": {"turn_detection": turn_detection, **(WHISPER if transcribes else {})}}
    return {"type": "realtime", "model": "gpt-realtime-2", "output_modalities": [modality], "audio": audio}


sessions = st.builds(
    a_session, modality=st.sampled_from(["audio", "text"]), interrupts=st.booleans(), transcribes=st.booleans()
)
paces = st.builds(
    Pace,
    network=st.sampled_from([0.01, 0.1, 0.7]),
    thinking=st.sampled_from([0.05, 0.5, 4.0]),
    voicing=st.sampled_from([0.05, 1.0]),
    recognising=st.sampled_from([0.05, 1.0, 6.0]),
)
gaps = st.sampled_from([0.0, 0.03, 0.4, 1.5, 5.0])


def refusals(world: World) -> list[str]:
    return [str(update.error) for update in world.updates if isinstance(update, Refused)]


def answers(world: World) -> list[Words]:
    return [update for update in world.updates if isinstance(update, Words) and update.speaker == "model"]


def assert_nothing_is_left(world: World) -> None:
    """The service has nothing more to say, and nobody was told that something went wrong."""
    assert world.finish is not None, "the call did not end"
    assert world.finish.error is None
    assert refusals(world) == []
    assert set(world.in_flight) <= {"response.cancel", "output_audio_buffer.clear"}  # came too late anyway
    assert not world.dialogue._responses
    assert not world.buffer.sounding(world.now), "an answer was cut"


@settings(deadline=None, max_examples=80)
@given(sessions, paces, st.lists(gaps, min_size=1, max_size=5))
def test_every_line_is_answered_whole_and_in_order(session: dict[str, Any], pace: Pace, lines: list[float]) -> None:
    world = World(Plan(), session, pace)
    at = 0.0
    for number, gap in enumerate(lines):
        at += gap
        world.does(Say(f"line {number}."), at)
    world.does(InputEnded(), at)
    world.run(limit=LONG)
    assert_nothing_is_left(world)
    assert [said.text for said in answers(world)] == [f"You said: line {n}." for n in range(len(lines))]
    assert not any(said.cut for said in answers(world))


@settings(deadline=None, max_examples=80)
@given(sessions, paces, st.lists(st.tuples(gaps, st.sampled_from(["line", "speech"])), min_size=1, max_size=6))
def test_lines_typed_into_a_spoken_conversation_are_answered_whatever_they_meet(
    session: dict[str, Any], pace: Pace, deeds: list[tuple[float, str]]
) -> None:
    world = World(Plan(), session, pace)
    at, speech_over, asked = 1.0, 0.0, []
    for number, (gap, deed) in enumerate(deeds):
        at += gap
        if deed == "line":
            asked.append(f"line {number}.")
            world.does(Say(asked[-1]), at)
        elif at > speech_over:
            world.speaks(f"speech {number}.", at, 0.8)
            speech_over = at + 1.5
    world.does(InputEnded(), max(at, speech_over) + 2 * pace.network)
    world.run(limit=LONG)
    assert_nothing_is_left(world)
    typed = [u.text for u in world.updates if isinstance(u, Words) and u.typed]
    assert typed == asked
    collisions = [u for u in world.updates if isinstance(u, Warned)]
    assert all(u.code == "conversation_already_has_active_response" for u in collisions)


@settings(deadline=None, max_examples=80)
@given(sessions, paces, st.lists(st.tuples(gaps, st.booleans()), min_size=1, max_size=6))
def test_interruptions_at_any_moment_lose_no_line_and_end_the_call_in_order(
    session: dict[str, Any], pace: Pace, deeds: list[tuple[float, bool]]
) -> None:
    world = World(Plan(), session, pace)
    at = 0.0
    for number, (gap, interrupts) in enumerate(deeds):
        at += gap
        world.does(Interrupt() if interrupts else Say(f"line {number}.", interrupt=number % 2 == 0), at)
    world.does(InputEnded(), at)
    world.run(limit=LONG)
    assert_nothing_is_left(world)
    typed = [u.text for u in world.updates if isinstance(u, Words) and u.typed]
    assert typed == [f"line {n}." for n, (_, interrupts) in enumerate(deeds) if not interrupts]


def test_a_line_typed_at_the_end_of_a_spoken_turn_meets_the_services_own_answer_and_is_answered_after_it() -> None:
    session = a_session(modality="audio", interrupts=True, transcribes=True)
    world = World(Plan(), session, Pace(network=0.3))
    world.speaks("what time is it.", 1.0, 1.0)
    world.does(Say("and the date?"), 2.6)
    world.does(InputEnded(), 3.0)
    world.run(limit=60)
    assert_nothing_is_left(world)
    assert [said.text for said in answers(world)] == ["You said: what time is it.", "You said: and the date?"]
