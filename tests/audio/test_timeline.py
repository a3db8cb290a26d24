"""Timestamps that wrap, jump and change streams, and what of an interrupted answer is stale."""

from __future__ import annotations

import pytest

from rtcli.audio.timeline import Cutoff, Drift, TimeLine
from rtcli.transport.base import RtpPacket


def rtp(timestamp: int, *, ssrc: int = 1, marker: bool = False) -> RtpPacket:
    return RtpPacket(0, timestamp & 0xFFFFFFFF, ssrc, marker, b"\xf8")


def media(line: TimeLine, timestamp: int, *, ssrc: int = 1) -> int | None:
    place = line.place(rtp(timestamp, ssrc=ssrc), 960)
    return place.media if place else None


def test_the_time_line_goes_on_over_a_wrap() -> None:
    line = TimeLine()
    places = [media(line, 2**32 - 1920 + n * 960) for n in range(4)]
    assert places == [0, 960, 1920, 2880]


def test_a_reordered_packet_stands_where_it_belongs() -> None:
    line = TimeLine()
    assert [media(line, at) for at in (9600, 11_520, 10_560, 8640)] == [0, 1920, 960, -960]
    assert line.newest == 2880


@pytest.mark.parametrize("jump", [2**31 - 5, -(2**31) + 5, 500_000, -500_000])
def test_a_jump_goes_on_behind_the_newest_packet(jump: int) -> None:
    line = TimeLine()
    media(line, 0)
    place = line.place(rtp(jump), 960)
    assert place is not None
    assert (place.media, place.new_line, place.new_stream) == (960, True, False)
    assert media(line, jump + 960) == 1920


def test_another_stream_goes_on_behind_the_one_before_and_its_stragglers_are_left_out() -> None:
    line = TimeLine()
    media(line, 0)
    place = line.place(rtp(77, ssrc=2), 960)
    assert place is not None
    assert (place.media, place.new_line, place.new_stream) == (960, True, True)
    assert media(line, 960) is None


def test_a_marker_on_every_packet_tells_nothing() -> None:
    line = TimeLine()
    for n in range(5):
        line.place(rtp(n * 960, marker=True), 960)
    always = line.marker_means
    line.place(rtp(5 * 960), 960)
    assert (always, line.marker_means) == (False, True)


def test_what_goes_on_without_a_gap_is_stale_until_the_time_is_over() -> None:
    cutoff = Cutoff(newest=9600, until=5.0, settle=12_000)
    assert cutoff.judge(8640, 9.9, starts=False) is True
    assert cutoff.judge(9600, 4.0, starts=False) is True
    assert cutoff.judge(10_560, 4.9, starts=False) is True
    assert cutoff.judge(11_520, 5.0, starts=False) is None


@pytest.mark.parametrize(("at", "starts"), [(9600, True), (13_440, False), (21_600, False)])
def test_a_talk_spurt_a_gap_or_enough_media_begin_the_next_answer(at: int, *, starts: bool) -> None:
    assert Cutoff(newest=9600, until=5.0, settle=12_000).judge(at, 4.0, starts=starts) is None


@pytest.mark.parametrize("ppm", [200, -200, 0])
def test_drift_is_read_from_how_the_smallest_need_moves(ppm: int) -> None:
    drift = Drift()
    for n in range(1500):
        taken = n * 960
        drift.note(taken, round(2000 - taken * ppm / 1e6) + (n * 7 % 5) * 100)
    assert drift.ppm == pytest.approx(ppm, abs=20)
