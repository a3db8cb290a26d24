from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.generate_completions import FILES, FOLDER, script


@pytest.mark.parametrize("shell", FILES)
def test_the_shipped_script_is_the_one_the_program_prints(shell: str) -> None:
    assert (FOLDER / FILES[shell]).read_text(encoding="utf-8") == script(shell), (
        "stale: run `uv run python tests/generate_completions.py`"
    )


def test_there_is_nothing_else_in_the_folder() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(FILES.values())


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("rtcli ta", "talk"),
        ("rtcli talk --sand", "--sandbox"),
        ("rtcli sandbox --engine ", "scripted"),
        ("rtcli talk --echo ", "gate"),
        ("rtcli talk --events k", "key"),
        ("rtcli talk --vad ", "semantic"),
        ("rtcli send --voice ", "marin"),
        ("rtcli token --dialect a", "azure"),
    ],
)
def test_the_program_completes_its_own_words(line: str, expected: str) -> None:
    assert expected in completed(line)


def test_profiles_of_the_configuration_complete(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[profiles.work]\n[profiles.team]\n", encoding="utf-8")
    environ = {"RTCLI_CONFIG": str(tmp_path / "config.toml")}
    assert completed("rtcli talk -p w", **environ) == ["work"]


def completed(line: str, **environ: str) -> list[str]:
    words = line.split(" ")
    done = subprocess.run(
        [sys.executable, "-c", "from rtcli.cli import main; main()"],
        env={
            **os.environ,
            **environ,
            "_RTCLI_COMPLETE": "complete_bash",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(words) - 1),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.split()
