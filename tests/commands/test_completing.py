from __future__ import annotations

from pathlib import Path

import pytest

from rtcli.audio.base import Device
from rtcli.commands.completing import MOST, completed, listed
from rtcli.terminal.prompt import differing


DEVICES = [
    Device(0, "USB microphone", "ALSA", 1, 0, 48_000),
    Device(1, "headset", "ALSA", 1, 2, 48_000),
    Device(2, "headset", "JACK", 1, 2, 48_000),
]


def made(typed: str) -> list[str]:
    return completed(typed, lambda: DEVICES)


@pytest.mark.parametrize(
    ("typed", "whole"),
    [
        ("/vol", ["/volume"]),
        ("/vo", ["/volume", "/voice"]),
        ("/vad s", ["/vad server", "/vad semantic"]),
        ("/voice ce", ["/voice cedar"]),
        ("/events a", ["/events all"]),
        ("/event session.u", ['/event {"type":"session.update"}']),
        ('/event {"type":"response.ca', ['/event {"type":"response.cancel"}']),
        ("/devices o", ["/devices output "]),
        ("/devices output ", ["/devices output headset"]),
        ("/devices input usb", ["/devices input USB microphone"]),
        ("/volume 5", []),
        ("/nonsense x", []),
        ("hello /vo", []),
    ],
)
def test_a_command_and_its_arguments_are_completed(typed: str, whole: list[str]) -> None:
    assert made(typed) == whole


def test_pictures_and_folders_are_completed_as_the_command_takes_them(tmp_path: Path) -> None:
    (tmp_path / "my pictures").mkdir()
    (tmp_path / "map.PNG").touch()
    (tmp_path / "notes.txt").touch()
    (tmp_path / ".hidden.png").touch()
    (tmp_path / "my pictures" / "a.jpg").touch()
    assert made(f"/image {tmp_path}/") == [f"/image {tmp_path}/map.PNG", f"/image '{tmp_path}/my pictures/"]
    assert made(f"/image '{tmp_path}/my pictures/") == [f"/image '{tmp_path}/my pictures/a.jpg'"]
    assert made(f"/image {tmp_path}/.h") == [f"/image {tmp_path}/.hidden.png"]
    assert made(f"/image {tmp_path}/absent/") == []


@pytest.mark.parametrize(
    ("common", "at"), [("/vo", 0), ("/voice ", 7), ("/image ./my/pic/pi", 16), ('/event {"type":"', 7)]
)
def test_choices_are_shown_from_where_they_differ(common: str, at: int) -> None:
    assert differing(common) == at


def test_a_folder_full_of_pictures_does_not_fill_the_screen() -> None:
    assert listed(["a", "b"]) == "a  b"
    assert listed([str(number) for number in range(MOST + 2)]).endswith(f"{MOST - 1}  and 2 more")
