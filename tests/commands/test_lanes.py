from __future__ import annotations

import threading

from rtcli.commands import lanes
from rtcli.commands.lanes import UpdateLane
from rtcli.protocol.server_events import decode
from rtcli.protocol.updates import EventIn, Growing, Notice, Update, Words


def test_updates_come_out_in_the_order_they_went_in() -> None:
    lane = UpdateLane()
    for number in range(5):
        lane.put(Notice(str(number)))
    assert [update for update, _ in lane.take(1.0)] == [Notice(str(number)) for number in range(5)]
    assert lane.take(0.0) == []


def test_a_face_that_is_behind_loses_growing_words_alone_and_they_are_counted() -> None:
    lane = UpdateLane()
    for number in range(lanes.FOLD_ABOVE + 10):
        lane.put(Growing("model", "i", str(number)))
    lane.put(Words("model", "i", "whole"))
    got: list[Update] = []
    while batch := lane.take(0.0):
        got += [update for update, _ in batch]
    assert (lane.folded, len(got)) == (10, lanes.FOLD_ABOVE + 1)
    assert got[-1] == Words("model", "i", "whole")


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
    lane.take(0.0)
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


def test_a_reader_that_waits_is_woken_by_each_and_loses_none() -> None:
    lane = UpdateLane()
    got: list[str] = []

    def read() -> None:
        while len(got) < 3000:
            got.extend(update.message for update, _ in lane.take(None) if isinstance(update, Notice))

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    for number in range(3000):
        lane.put(Notice(str(number)))
    reader.join(30)
    assert got == [str(number) for number in range(3000)]
