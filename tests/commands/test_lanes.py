from __future__ import annotations

import threading

from rtcli.commands import lanes
from rtcli.commands.lanes import UpdateLane
from rtcli.protocol.server_events import decode
from rtcli.protocol.updates import EventIn, Growing, Notice, Words


def test_updates_come_out_in_the_order_they_went_in() -> None:
    lane = UpdateLane()
    for number in range(5):
        lane.put(Notice(str(number)))
    got = [lane.get(1.0) for _ in range(5)]
    assert [item[0] for item in got if item] == [Notice(str(number)) for number in range(5)]
    assert lane.get(0.0) is None


def test_a_face_that_is_behind_loses_growing_words_alone_and_they_are_counted() -> None:
    lane = UpdateLane()
    for number in range(lanes.FOLD_ABOVE + 10):
        lane.put(Growing("model", "i", str(number)))
    lane.put(Words("model", "i", "whole"))
    got = [lane.get(1.0) for _ in range(lanes.FOLD_ABOVE + 1)]
    assert lane.folded == 10
    assert got[-1] is not None
    assert got[-1][0] == Words("model", "i", "whole")


def test_events_are_never_dropped_and_a_reader_that_takes_nothing_is_noticed() -> None:
    now = [0.0]
    lane = UpdateLane(clock=lambda: now[0])
    raw = '{"type":"x","pad":"' + "x" * 1_000_000 + '"}'
    event = EventIn(0.0, decode(raw), raw)
    for _ in range(70):
        lane.put(event)
    early = lane.stuck
    now[0] = lanes.PATIENCE + 1
    late = lane.stuck
    lane.get(0.0)
    assert (early, late, lane.stuck) == (False, True, False)


def test_the_writer_never_waits_for_the_reader() -> None:
    lane = UpdateLane()
    done = threading.Event()

    def write() -> None:
        for number in range(10_000):
            lane.put(Notice(str(number)))
        done.set()

    threading.Thread(target=write, daemon=True).start()
    assert done.wait(10)
