from __future__ import annotations

from pathlib import Path

import pytest

from rtcli.config_file import FILE_LIMIT, read_config
from rtcli.errors import UsageError


KEY = "sk-proj-MARKED0123456789abcdefghij"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "config.toml"


def filled(file: Path, text: str) -> Path:
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(text.encode())
    return file


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"a = 1\nb = \n", "is not TOML: .*line 2"),
        (b"a = 1\n[profiles.work\n", "is not TOML: .*line 2"),
        (b"a = 1\nb = '\xff'\n", "is not UTF-8 .at line 2"),
        (b"a = " + b"[" * 100_000, "is nested too deeply"),
        (b"#" * (FILE_LIMIT + 1), "is larger than"),
    ],
)
def test_a_broken_file_is_refused_with_its_line(tmp_path: Path, raw: bytes, expected: str) -> None:
    file = tmp_path / "config.toml"
    file.write_bytes(raw)
    with pytest.raises(UsageError, match=expected) as refused:
        read_config(file)
    assert str(refused.value).startswith(str(file))
    assert "\n" not in str(refused.value)


def test_a_file_that_can_not_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="can not be read"):
        read_config(tmp_path)


def test_a_missing_file_is_an_empty_one(file: Path) -> None:
    assert read_config(file) == {}


def test_a_byte_order_mark_and_windows_line_ends_are_read(file: Path) -> None:
    filled(file, '\ufeffmodel = "m"\r\nvoice = "v"\r\n')
    assert read_config(file) == {"model": "m", "voice": "v"}


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (f'api_key = "{KEY}"', "api_key"),
        (f'[profiles."a b"]\nx = [["{KEY}"]]', "profiles.'a b'.x"),
    ],
)
def test_a_key_is_refused_by_its_place(file: Path, text: str, place: str) -> None:
    with pytest.raises(UsageError) as refused:
        read_config(filled(file, text))
    assert str(refused.value) == f"{file}: {place} holds an API key in the clear; expected env:NAME, or none at all"
