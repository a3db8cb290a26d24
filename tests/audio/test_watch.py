"""The watch over a device that stops, with a device and a clock that do as they are told."""

from __future__ import annotations

import pytest

from rtcli.audio.watch import LOOK, OTHER, RENEW, Watch
from rtcli.errors import DeviceError


class Device:
    def __init__(self, clock: list[float]) -> None:
        self.name = "headset"
        self.clock = clock
        self.alive = True
        self.ended = False
        self.there = True
        self.dry = 0
        self.more_latency = 2
        self.log: list[str] = []
        self._last = 0.0

    def beat(self) -> float:
        if self.ended:
            return float("-inf")
        if self.alive:
            self._last = self.clock[0]
        return self._last

    def shut(self) -> None:
        self.log.append("shut")

    def reopen(self, *, other: bool) -> None:
        self.log.append("other" if other else "reopen")
        if not self.there and not other:
            raise DeviceError("gone")
        if other:
            self.name = "laptop"
        self.alive, self.ended = True, False

    def renew(self) -> None:
        self.log.append("renew")

    def underruns(self) -> int:
        return self.dry

    def back_off(self) -> bool:
        self.more_latency -= 1
        return self.more_latency >= 0


@pytest.fixture
def clock() -> list[float]:
    return [100.0]


@pytest.fixture
def device(clock: list[float]) -> Device:
    return Device(clock)


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def watch(device: Device, clock: list[float], said: list[str]) -> Watch:
    return Watch(device, said.append, lambda: clock[0])


def pass_time(watch: Watch, clock: list[float], seconds: float) -> None:
    for _ in range(round(seconds / LOOK)):
        clock[0] += LOOK
        watch.look()


def test_a_device_that_runs_is_left_alone(watch: Watch, device: Device, clock: list[float], said: list[str]) -> None:
    pass_time(watch, clock, 60)
    assert device.log == []
    assert said == []


def test_a_stall_is_noticed_within_700_ms_and_the_stream_opened_again(
    watch: Watch, device: Device, clock: list[float], said: list[str]
) -> None:
    pass_time(watch, clock, 1)
    device.alive = False
    pass_time(watch, clock, 0.7)
    assert device.log[0] == "shut"
    pass_time(watch, clock, 0.2)
    assert said == ["headset has stopped; trying to open it again", "headset is back"]


def test_an_unplugged_device_is_noticed_at_once(
    watch: Watch, device: Device, clock: list[float], said: list[str]
) -> None:
    device.ended = True
    device.there = False
    pass_time(watch, clock, 0.1)
    assert said == ["headset is gone; trying to open it again"]


def test_a_device_that_comes_back_in_time_is_used_again(
    watch: Watch, device: Device, clock: list[float], said: list[str]
) -> None:
    device.ended, device.there = True, False
    pass_time(watch, clock, 1.0)
    device.there = True
    pass_time(watch, clock, 0.6)
    assert said[-1] == "headset is back"
    assert "other" not in device.log


def test_the_default_device_takes_the_place_of_one_that_stays_away(
    watch: Watch, device: Device, clock: list[float], said: list[str]
) -> None:
    device.ended, device.there = True, False
    pass_time(watch, clock, OTHER + 1)
    assert said[-1] == "headset is still gone; laptop takes its place"


def test_the_library_is_started_anew_only_now_and_then(watch: Watch, device: Device, clock: list[float]) -> None:
    def fail(*, other: bool) -> None:
        raise DeviceError("no server")

    device.ended = True
    device.reopen = fail  # type: ignore[method-assign]
    pass_time(watch, clock, OTHER + 2.5 * RENEW)
    assert device.log.count("renew") == 3


def test_a_speaker_that_runs_dry_twice_is_given_more_latency(watch: Watch, device: Device, clock: list[float]) -> None:
    device.dry = 1
    pass_time(watch, clock, 1)
    assert device.log == []
    device.dry = 2
    pass_time(watch, clock, 1)
    assert device.log == ["shut", "reopen"]
    device.dry = 3
    pass_time(watch, clock, 60)
    device.dry = 4
    pass_time(watch, clock, 1)
    assert device.log == ["shut", "reopen"]


def test_an_exception_in_one_look_does_not_end_the_watch(device: Device, said: list[str]) -> None:
    looks = []

    def beat() -> float:
        looks.append(1)
        raise RuntimeError

    device.beat = beat  # type: ignore[method-assign]
    watch = Watch(device, said.append)
    watch.start()
    while len(looks) < 2:
        pass
    assert watch.stop()
