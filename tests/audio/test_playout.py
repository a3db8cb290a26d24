"""The playout against every kind of network, in simulated time."""

from __future__ import annotations

import math
from array import array
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtcli.audio import opus
from rtcli.audio.playout import Playout
from rtcli.transport.base import RtpPacket

from .streams import discontinuous, packet, play, sent, silent, stereo, syllable, voiced


PAYLOADS = st.one_of(st.sampled_from(voiced(40)), st.binary(max_size=60))
PACKETS = st.builds(
    RtpPacket,
    sequence=st.integers(0, 65535),
    timestamp=st.one_of(st.integers(0, 2**32 - 1), st.integers(0, 60).map(lambda n: n * 960)),
    ssrc=st.integers(1, 3),
    marker=st.booleans(),
    payload=PAYLOADS,
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), PACKETS),
        st.tuples(st.just("pull"), st.sampled_from([1, 441, 480, 960, 2000])),
        st.tuples(st.just("clear"), st.none()),
        st.tuples(st.just("resume"), st.none()),
    ),
    max_size=120,
)


def rms(samples: array[int]) -> float:
    return math.sqrt(sum(s * s for s in samples) / max(1, len(samples)))


def largest_step(samples: array[int]) -> int:
    return max(abs(b - a) for a, b in pairwise(samples))


@settings(max_examples=150)
@given(STEPS)
def test_whatever_arrives_each_pull_gets_exactly_what_it_asks(steps: list[tuple[str, object]]) -> None:
    playout = Playout(opus.make_decoder)
    now = 0.0
    for what, value in steps:
        now += 0.005
        if isinstance(value, RtpPacket):
            playout.add(value, now)
        elif isinstance(value, int):
            assert len(playout.pull(value, now)) == 2 * value
        elif what == "clear":
            playout.clear(now)
        else:
            playout.resume()
    assert playout.stats().faults == 0


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), jitter=st.floats(0, 0.12), loss=st.floats(0, 0.4))
def test_no_network_makes_the_delay_grow_for_good(seed: int, jitter: float, loss: float) -> None:
    clean = sent(voiced(150), start=4.0, timestamp=200 * 960)
    bad = sent(voiced(200), jitter=jitter, loss=loss, seed=seed)
    run = play(bad + clean + sent(voiced(450), start=7.0, timestamp=350 * 960), until=15.9)
    assert run.playout.stats().faults == 0
    assert run.delay() < 0.2


def test_a_clean_stream_is_played_whole_with_a_frame_of_delay() -> None:
    run = play(sent(voiced(500)), until=9.9)
    stats = run.playout.stats()
    assert (stats.lost, stats.late, stats.concealed_ms, stats.faults) == (0, 0, 0, 0)
    assert stats.depth_ms <= 30


def test_an_undisturbed_stream_is_played_sample_for_sample() -> None:
    decoder = opus.make_decoder()
    truth = array("h", b"".join(decoder.decode(payload) for payload in voiced(300)))
    heard = play(sent(voiced(300)), until=6.5).pcm
    part = truth[96_000:144_000].tobytes()
    assert part in heard.tobytes()


def test_nothing_clicks_however_bad_the_network_is() -> None:
    clean = largest_step(play(sent(voiced(200)), until=3.9).sound(1.0))
    run = play(sent(voiced(500), jitter=0.06, loss=0.1), until=9.9)
    assert largest_step(run.sound(1.0)) < 3 * clean  # libopus itself steps a little where it takes up after a guess


def test_packets_that_come_twice_are_played_once() -> None:
    stream = sent(voiced(200))
    run = play(stream + [(at + 0.001, rtp) for at, rtp in stream], until=4.2)
    stats = run.playout.stats()
    assert stats.duplicates + stats.late == 200
    assert stats.concealed_ms <= 120  # the end of the stream


def test_reordered_packets_are_put_in_order() -> None:
    stream = sent(voiced(400), jitter=0.06)
    assert [rtp.sequence for _, rtp in sorted(stream, key=lambda item: item[0])] != sorted(
        r.sequence for _, r in stream
    )
    stats = play(stream, until=7.9).playout.stats()
    assert stats.concealed_ms < 0.03 * stats.played_ms


def test_loss_is_mended_by_fec_once_waiting_for_it_pays() -> None:
    stream = sent(voiced(1000), loss=0.1)
    came = {rtp.sequence: rtp.payload for _, rtp in stream}
    mendable = sum(i not in came and i + 1 in came and opus.carries_fec(came[i + 1]) for i in range(1000))
    stats = play(stream, until=19.9).playout.stats()
    assert stats.fec > 0.8 * mendable > 20


@pytest.mark.parametrize("samples", [480, 960, 1920, 2880])
def test_packets_of_every_length_play(samples: int) -> None:
    run = play(sent(voiced(200, samples), samples=samples), until=200 * samples / 48_000)
    assert run.playout.stats().concealed_ms == 0
    assert rms(run.sound(0.5, 1.5)) > 1000


def test_both_channels_of_a_stereo_stream_are_heard() -> None:
    """The right one is the left turned over at half its level: what is left of their mean is a quarter."""
    run = play(sent(stereo(200)), until=3.9)
    assert run.playout.stats().concealed_ms == 0
    alone = play(sent(voiced(200)), until=3.9)
    assert rms(run.sound(1, 3)) == pytest.approx(rms(alone.sound(1, 3)) / 4, rel=0.15)


def test_the_timestamp_may_wrap() -> None:
    run = play(sent(voiced(200), timestamp=2**32 - 100 * 960), until=3.9)
    assert run.playout.stats().concealed_ms == 0
    assert rms(run.sound(1.9, 2.4)) > 1000


def test_a_new_ssrc_goes_on_without_a_gap_worth_hearing() -> None:
    first = sent(voiced(100), timestamp=1000)
    second = sent(voiced(100), timestamp=3_000_000_000, ssrc=2, start=2.0)
    run = play(first + second, until=3.9)
    assert run.playout.stats().concealed_ms <= 60
    assert rms(run.sound(2.2, 3.8)) > 1000


@pytest.mark.parametrize("resumed", [400, 300], ids=["timestamps go on", "timestamps stand still"])
def test_a_pause_of_the_remote_leaves_the_delay_as_it_was(resumed: int) -> None:
    stream = sent(voiced(300)) + sent(voiced(300), start=8.0, timestamp=resumed * 960)
    run = play(stream, until=13.9)
    before = play(sent(voiced(300)), until=5.9).delay()
    assert run.delay() <= before + 0.02
    assert run.playout.stats().concealed_ms <= 250


def test_discontinuous_transmission_is_no_loss_and_the_speech_after_it_is_in_time() -> None:
    payloads = discontinuous(150, 100)
    assert sum(len(payload) <= 2 for payload in payloads) > 60
    stream = [(at, rtp) for at, rtp in sent(payloads) if len(rtp.payload) > 2]
    run = play(stream, until=7.9)
    assert run.playout.stats().concealed_ms <= 130
    assert rms(run.sound(3.4, 5.0)) < 50
    begun = run.playout.first_sound_after(4.0)
    assert begun is not None
    assert 5.0 < begun < 5.1
    came = run.playout.came_at(begun)
    assert came is not None
    assert 0 < begun - came <= 0.06
    assert run.playout.came_at(begun + 0.01) is None
    assert run.delay() <= 0.05


def test_a_stall_of_the_machine_is_forgotten_within_seconds() -> None:
    stalled = [(6.5 if 6.0 <= at < 6.5 else at, rtp) for at, rtp in sent(voiced(800))]
    run = play(stalled, until=15.9, pulls=lambda now: not 6.0 <= now < 6.5)
    assert run.delay() < 0.06


def test_a_stall_of_the_network_loses_no_speech_and_is_caught_up() -> None:
    stalled = [(6.5 if 6.0 <= at < 6.5 else at, rtp) for at, rtp in sent(voiced(800))]
    stats = (run := play(stalled, until=15.9)).playout.stats()
    assert (stats.late, stats.skipped_ms) == (0, 0)
    assert run.delay() < 0.06


@pytest.mark.parametrize("ppm", [1000, -1000])
def test_a_thousand_ppm_of_drift_are_absorbed(ppm: float) -> None:
    run = play(sent(voiced(1500), ppm=ppm), until=29.5)
    stats = run.playout.stats()
    assert run.delay() < 0.06
    assert stats.concealed_ms < 0.02 * stats.played_ms
    assert stats.drift_ppm == pytest.approx(ppm, abs=300)


def test_barge_in_is_silence_within_one_block_and_stays_so() -> None:
    run = play(
        sent(voiced(200)),
        until=3.0,
        actions=[(2.0, lambda playout, now: playout.clear(now, settle=5.0))],
    )
    assert rms(run.sound(1.0, 2.0)) > 1000
    assert not any(run.sound(2.01, 3.0))


def test_after_a_barge_in_the_next_answer_is_heard_whole() -> None:
    answer = sent(voiced(100), start=3.0, timestamp=150 * 960)
    run = play(sent(voiced(105)) + answer, until=4.9, actions=[(2.0, lambda playout, now: playout.clear(now))])
    assert not any(run.sound(2.01, 3.0))
    assert rms(run.sound(3.08, 4.8)) > 1000
    begun = run.playout.first_sound_after(2.1)
    assert begun is not None
    assert 3.0 < begun < 3.1


def test_a_packet_of_the_old_answer_held_up_by_the_network_is_not_heard() -> None:
    stream = sent(voiced(100))
    late = [(2.5, rtp) for _, rtp in stream[-3:]]
    quiet = sent(silent(100), start=2.0, timestamp=100 * 960)
    run = play(stream[:-3] + late + quiet, until=4.0, actions=[(1.95, lambda playout, now: playout.clear(now))])
    assert rms(run.sound(2.0)) < 20


def test_the_decoder_does_not_ring_on_with_the_voice_that_was_interrupted() -> None:
    quiet = sent(silent(100)[20:], start=2.0, timestamp=100 * 960)
    run = play(sent(voiced(100)) + quiet, until=3.4, actions=[(1.9, lambda playout, now: playout.clear(now))])
    assert rms(run.sound(1.0, 1.9)) > 1000
    assert max(run.sound(1.91, 3.4), key=abs) < 20


def test_resume_ends_the_silence_of_a_barge_in() -> None:
    run = play(
        sent(voiced(300)),
        until=5.0,
        actions=[
            (2.0, lambda playout, now: playout.clear(now, settle=9.0)),
            (3.0, lambda playout, _: playout.resume()),
        ],
    )
    assert not any(run.sound(2.01, 3.0))
    assert rms(run.sound(3.1, 5.0)) > 1000


def test_a_speaker_that_stopped_pulling_costs_bounded_memory_and_no_stale_sound() -> None:
    run = play(sent(voiced(1500)), until=29.9, pulls=lambda now: not 1.0 <= now < 25.0)
    assert len(run.playout._inbox) == 0
    assert run.playout.stats().dropped > 0
    assert run.delay() < 0.3


def test_hours_of_packets_hold_no_more_than_the_bounds() -> None:
    playout = Playout(opus.make_decoder)
    for i in range(3000):
        playout.add(packet(i * 17 % 65536, voiced(1)[0]), i * 0.001)
        if i % 50 == 0:
            playout.pull(480, i * 0.001)
    assert len(playout._waiting) <= 300
    assert len(playout._inbox) <= 512


def test_silence_is_no_sound_and_a_voice_is() -> None:
    run = play(sent(silent(100)) + sent(voiced(50), start=2.0, timestamp=100 * 960), until=3.5)
    begun = run.playout.first_sound_after(0.0)
    assert begun is not None
    assert 2.0 < begun < 2.1
    last = run.playout.last_sound
    assert last is not None
    assert 2.9 < last < 3.4


def test_what_is_played_is_told_block_by_block_without_a_gap() -> None:
    told: list[tuple[bytes, int]] = []
    playout = Playout(opus.make_decoder, played=lambda pcm, position, now: told.append((pcm, position)))
    given_out = [playout.pull(samples, 0.0) for samples in (480, 100, 960)]
    assert told == [(given_out[0], 0), (given_out[1], 480), (given_out[2], 580)]


def test_a_fault_in_the_decoder_is_silence_and_not_the_end_of_the_sound() -> None:
    class Broken:
        name = "broken"
        has_fec = False

        def decode(self, payload: bytes) -> bytes:
            raise RuntimeError

        def recover(self, next_payload: bytes, samples: int) -> bytes | None:
            return None

        def conceal(self, samples: int) -> bytes:
            return bytes(2 * samples)

    playout = Playout(Broken)
    for at, rtp in sent(voiced(10)):
        playout.add(rtp, at)
    assert [len(playout.pull(480, i * 0.01)) for i in range(30)] == [960] * 30
    assert playout.stats().faults > 0


def test_what_is_guessed_before_the_fec_of_a_longer_hole_is_counted_as_concealed() -> None:
    payloads = voiced(60)
    behind = next(i for i in range(10, 50) if opus.carries_fec(payloads[i]))
    there = [i for i in range(behind - 6, behind + 9) if i not in {behind - 2, behind - 1}]
    run = play([(0.0, packet(i, payloads[i])) for i in there], until=0.15)
    stats = run.playout.stats()
    assert stats.fec == 1
    assert stats.concealed_ms == pytest.approx(20)


def test_the_beginning_of_a_word_that_was_lost_in_a_pause_is_brought_back_by_fec() -> None:
    payloads = syllable(50, 10)
    onset = next(i for i in range(61, 70) if opus.carries_fec(payloads[i])) - 1
    stream = sent(payloads)
    whole = play(stream, until=1.6)
    holed = play([one for one in stream if one[1].sequence not in range(onset - 2, onset + 1)], until=1.6)
    assert holed.playout.stats().fec == 1
    heard = [run.playout.first_sound_after(1.1) for run in (whole, holed)]
    assert heard[0] is not None
    assert heard[1] == pytest.approx(heard[0], abs=0.031)


def test_fec_that_comes_when_its_whole_hole_was_guessed_is_played_all_the_same() -> None:
    payloads = voiced(100)
    behind = next(i for i in range(60, 90) if opus.carries_fec(payloads[i]))
    stream = [(at, rtp) for at, rtp in sent(payloads) if rtp.sequence not in range(behind - 3, behind)]
    held_up = [(at + 0.04 if rtp.sequence >= behind else at, rtp) for at, rtp in stream]
    stats = play(held_up, until=1.9).playout.stats()
    assert (stats.fec, stats.late) == (1, 0)


@pytest.mark.parametrize("resumed", [400, 300], ids=["timestamps go on", "timestamps stand still"])
def test_after_two_seconds_without_a_packet_the_first_syllable_is_whole(resumed: int) -> None:
    spoken = voiced(100)
    run = play(sent(voiced(300)) + sent(spoken, start=8.0, timestamp=resumed * 960), until=9.5)
    decoder = opus.make_decoder()
    truth = np.frombuffer(b"".join(decoder.decode(payload) for payload in spoken[:15]), np.int16).astype(float)
    heard = np.frombuffer(run.sound(7.9, 8.6).tobytes(), np.int16).astype(float)
    where = int(np.correlate(heard[::4], truth[4800::4]).argmax()) * 4 - 4800
    assert 8.0 < 7.9 + where / 48_000 < 8.1
    for start in range(0, 9600, 960):
        ours, theirs = heard[where + start :][:960], truth[start : start + 960]
        assert np.corrcoef(ours, theirs)[0, 1] > 0.9
        assert math.sqrt((ours**2).mean()) == pytest.approx(math.sqrt((theirs**2).mean()), rel=0.3)
