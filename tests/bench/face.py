"""What the screen costs: the same quiet call with it and without, at the same time: `python -m tests.bench.face`.

    --seconds N    how long (default 30)

The service sounds all the time and the microphone's level moves all the time, so the status line is redrawn as often as
it may be. Without the screen everything goes to /dev/null.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from tests.terminal.measured import Part, hum, off_the_terminal, on_a_terminal


GOAL = 0.04
"""Share of a core that the threads which draw may take."""


def measured(folder: Path, seconds: float) -> tuple[Part, Part]:
    """With the screen and without."""
    microphone = str(hum(folder / "microphone.wav", int(seconds) + 30))
    with ExitStack() as calls:
        _, _, drawn = calls.enter_context(on_a_terminal(folder, "--input", microphone))
        plain = calls.enter_context(off_the_terminal(folder, "--input", microphone))
        time.sleep(3)
        for report in (drawn, plain):
            report.skip()
        time.sleep(seconds)
        return drawn.part(), plain.part()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.face", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--seconds", type=float, default=30.0)
    seconds = parser.parse_args().seconds
    with tempfile.TemporaryDirectory() as folder:
        drawn, plain = measured(Path(folder), seconds)
    sys.stdout.write(
        f"with the screen     {drawn}\nwithout             {plain}\n"
        f"the screen's threads {drawn.face:.1%} of a core (goal {GOAL:.0%}); "
        f"the whole program {drawn.cpu / plain.cpu:.2f} times what it costs without\n"
    )


if __name__ == "__main__":
    main()
