from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest
import tomlkit

from rtcli.commands.config_edit import drop, put, write
from rtcli.config_file import read_config
from rtcli.errors import UsageError


KEY = "sk-proj-MARKED0123456789abcdefghij"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "config.toml"


def filled(file: Path, text: str) -> Path:
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(text.encode())
    return file


LIVED_IN = """\
# My settings
default_profile = "work"  # not the other

[profiles.work]
model = "gpt-realtime-2"   # the big one
# voice = "ash"

[profiles.work.audio]
input = "MacBook"  # never the webcam

[profiles.team]
server = 'https://voice.example.com'
"""


def test_everything_people_wrote_survives_a_change(file: Path) -> None:
    filled(file, LIVED_IN)
    put(file, ["profiles", "work", "model"], "gpt-realtime-2.1")
    assert file.read_text() == LIVED_IN.replace('"gpt-realtime-2" ', '"gpt-realtime-2.1" ')
    put(file, ["profiles", "work", "model"], "gpt-realtime-2")
    put(file, ["voice"], "cedar")
    put(file, ["profiles", "team", "audio", "echo"], "gate")
    drop(file, ["profiles", "team", "audio", "echo"])
    drop(file, ["voice"])
    comments = [line.partition("#")[2] for line in LIVED_IN.splitlines() if "#" in line]
    assert [line.partition("#")[2] for line in file.read_text().splitlines() if "#" in line] == comments


@pytest.mark.parametrize(
    "before",
    [
        "",
        'model = "a"',
        'model = "a"\r\n[audio]\r\necho = "off"\r\n',
        "[profiles]\n[profiles.a]\nvoice = 'x'\n\n# the end\n",
        'audio.input = "x"\n',
        'audio = {input = "x"}\nheaders = {}\n',
        '[profiles.a]\nvoice = "x"\n[audio]\necho = "off"\n[profiles.b]\nvoice = "y"\n',
        LIVED_IN,
    ],
)
@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (["voice"], 'a "quoted"\nline'),
        (["audio", "input"], "MacBook"),
        (["profiles", "a", "vad_threshold"], 0.5),
        (["profiles", "a", "ice_servers"], ["stun:a", "stun:b"]),
        (["profiles", "new one", "audio", "echo"], "aec"),
        (["headers", "X-A"], "env:A"),
        (["prices"], {"m": {"text_in": 1.5}}),
    ],
)
def test_a_change_says_what_was_meant_and_can_be_taken_back(
    file: Path, before: str, keys: list[str], value: object
) -> None:
    filled(file, before)
    old = read_config(file)
    put(file, keys, value)
    assert looked_up(read_config(file), keys) == value
    if looked_up(old, keys) is None:
        drop(file, keys)
        assert looked_up(read_config(file), keys) is None
    else:
        put(file, keys, looked_up(old, keys))
    assert without_empty(read_config(file)) == without_empty(old)


def looked_up(document: object, keys: list[str]) -> object:
    for key in keys:
        document = document.get(key) if isinstance(document, dict) else None
    return document


def without_empty(value: object) -> object:
    if not isinstance(value, dict):
        return value
    kept = {key: without_empty(each) for key, each in value.items()}
    return {key: each for key, each in kept.items() if each != {}}


@pytest.mark.parametrize("made", ["", "voice = 'v'\n", "voice = \n"])
def test_a_change_that_went_wrong_in_the_making_never_reaches_the_file(
    file: Path, made: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(file, "voice = 'v'\n")
    monkeypatch.setattr(tomlkit, "dumps", lambda _: made)
    with pytest.raises(UsageError, match="only an editor can change without loss"):
        put(file, ["audio", "input"], "x")
    assert file.read_text() == "voice = 'v'\n"


def test_what_is_not_there_can_not_be_taken_out(file: Path) -> None:
    filled(file, "voice = 'v'\n")
    for keys in (["model"], ["audio", "input"], ["voice", "x"]):
        with pytest.raises(UsageError, match="is not set in"):
            drop(file, keys)


def test_a_value_is_no_table(file: Path) -> None:
    filled(file, "audio = 'v'\n")
    with pytest.raises(UsageError, match=r"^audio in .* is not a table$"):
        put(file, ["audio", "input"], "x")
    assert file.read_text() == "audio = 'v'\n"


def test_a_key_can_be_taken_out_although_such_a_file_is_refused(file: Path) -> None:
    filled(file, f'api_key = "{KEY}"\nvoice = "v"\n')
    drop(file, ["api_key"])
    assert read_config(file) == {"voice": "v"}


def test_a_file_that_is_not_toml_is_left_alone(file: Path) -> None:
    filled(file, "voice = \n")
    with pytest.raises(UsageError, match="line 1"):
        put(file, ["voice"], "v")
    assert file.read_text() == "voice = \n"


# Writing


@pytest.mark.skipif(sys.platform == "win32", reason="permissions are POSIX's")
def test_the_file_and_its_folder_are_the_owners_alone(file: Path) -> None:
    put(file, ["voice"], "v")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    file.chmod(0o644)
    put(file, ["voice"], "w")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [each.name for each in file.parent.iterdir()] == ["config.toml"]


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_a_link_stays_a_link(file: Path, tmp_path: Path) -> None:
    elsewhere = filled(file, "voice = 'v'\n")
    link = tmp_path / "config.toml"
    link.symlink_to(elsewhere)
    put(link, ["voice"], "w")
    assert link.is_symlink()
    assert read_config(elsewhere) == {"voice": "w"}


def test_a_failed_write_leaves_the_old_file_and_nothing_else(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(file, "voice = 'v'\n")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UsageError, match="can not be written: No space left on device"):
        write(file, "voice = 'w'\n")
    assert file.read_text() == "voice = 'v'\n"
    assert [each.name for each in file.parent.iterdir()] == ["config.toml"]
