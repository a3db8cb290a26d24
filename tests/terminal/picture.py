"""The picture in the README: a real conversation with the sandbox on a real terminal, as SVG.

`python -m tests.terminal.picture` writes `tests/terminal/golden/talk.svg`; its spoken question is the sandbox's own.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.text import Text

from .tmux import Terminal


COLUMNS, ROWS = 100, 36
PICTURE = Path(__file__).parent / "golden" / "talk.svg"


def conversation() -> str:
    """What the terminal shows at its end, with escape sequences."""
    with Terminal(COLUMNS, ROWS) as terminal:
        terminal.line("clear; rtcli talk --sandbox --output none --events key")
        terminal.wait_for(_rests_after("is 5"))
        terminal.line("what is the capital of France")
        terminal.wait_for(_rests_after("Paris"))
        terminal.line("tell me a story")
        terminal.wait_for("speaking")
        time.sleep(2.5)  # somebody listens
        terminal.keys("C-x")
        terminal.wait_for("output_audio_buffer.cleared")
        terminal.wait_for("—")
        terminal.type("/devices")
        terminal.wait_for("> /devices")
        seen = terminal.colours()
        terminal.keys("C-u", "C-c")
        return seen


def _rests_after(words: str) -> Callable[[list[str]], object]:
    return lambda screen: any(words in row for row in screen) and screen[-1].startswith(("ready", "listening"))


def main() -> None:
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, highlight=False)
    console.print(Text.from_ansi(conversation().rstrip("\n")), no_wrap=True)
    PICTURE.write_text(
        console.export_svg(title="rtcli talk --sandbox --events key", unique_id="talk"), encoding="utf-8"
    )


if __name__ == "__main__":
    main()
