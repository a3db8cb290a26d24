"""Choosing a device, and turning PCM into the shape it wants."""

from __future__ import annotations

from array import array

import pytest

from rtcli.audio.base import Device
from rtcli.audio.choice import choose
from rtcli.audio.convert import Converter
from rtcli.errors import DeviceError, UsageError


def device(index: int, name: str, *, host: str = "WASAPI", inputs: int = 1, outputs: int = 0) -> Device:
    return Device(index, name, host, inputs, outputs, 48_000)


MACHINE = [
    device(0, "MacBook Microphone"),
    device(1, "USB Headset", outputs=2),
    device(2, "USB Headset Pro"),
    device(3, "Speakers", inputs=0, outputs=2),
    device(4, "Webcam", host="MME"),
    device(5, "Webcam", host="WASAPI"),
]


@pytest.mark.parametrize(
    ("spec", "index"),
    [("0", 0), ("macbook", 0), ("usb headset", 1), ("headset pro", 2), ("webcam", 4), ("5", 5)],
)
def test_a_number_a_name_or_a_part_of_one_is_enough(spec: str, index: int) -> None:
    assert choose(MACHINE, "input", spec).index == index


def test_an_ambiguous_part_lists_what_it_could_be() -> None:
    with pytest.raises(UsageError, match=r"'headset' could be 1: USB Headset \(WASAPI\), 2: USB Headset Pro"):
        choose(MACHINE, "input", "headset")


@pytest.mark.parametrize("spec", ["3", "speakers", "17", "nothing"])
def test_a_device_of_the_other_kind_or_none_is_an_error_that_lists_what_there_is(spec: str) -> None:
    with pytest.raises(DeviceError, match=r"no input device .*there is 0: MacBook Microphone"):
        choose(MACHINE, "input", spec)


def test_a_machine_without_devices_says_so() -> None:
    with pytest.raises(DeviceError, match="there is none at all"):
        choose([], "output", "1")


def test_channels_are_folded_and_spread() -> None:
    stereo = array("h", [100, 300, -50, 50]).tobytes()
    assert array("h", Converter(48_000, 2, 48_000, 1)(stereo)).tolist() == [200, 0]
    assert array("h", Converter(48_000, 1, 48_000, 3)(array("h", [7, 8]).tobytes())).tolist() == [7, 7, 7, 8, 8, 8]


@pytest.mark.parametrize("rate", [44_100, 16_000, 8_000])
def test_another_rate_keeps_the_length_in_time(rate: int) -> None:
    down, up = Converter(48_000, 1, rate, 1), Converter(rate, 1, 48_000, 1)
    there = b"".join(down(bytes(960)) for _ in range(100))
    back = up(there)
    assert len(there) // 2 == pytest.approx(rate, rel=0.01)
    assert len(back) // 2 == pytest.approx(48_000, rel=0.01)
