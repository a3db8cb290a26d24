"""Writes completions/: `uv run python tests/generate_completions.py`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


FOLDER = Path(__file__).parent.parent / "completions"
FILES = {"bash": "rtcli.bash", "zsh": "_rtcli", "fish": "rtcli.fish", "powershell": "rtcli.ps1"}


def script(shell: str) -> str:
    """What `rtcli --show-completion` prints in that shell."""
    done = subprocess.run(
        [sys.executable, "-c", "from rtcli.cli import main; main()"],
        env={**os.environ, "_RTCLI_COMPLETE": f"source_{shell}"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip() + "\n"


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for shell, name in FILES.items():
        (FOLDER / name).write_text(script(shell), encoding="utf-8")


if __name__ == "__main__":
    main()
