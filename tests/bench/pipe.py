"""`rtcli send` and `rtcli tail --json` against bare scripts of aiortc and httpx (`bare.py`), in one run.

    python -m tests.bench.pipe [send] [far] [events] [attach] [--runs N] [--events N]

send     wall time of a question, from the start of the process to its end, on loopback
far      the same at 100 ms round trip (`far.py`)
events   events a second through `tail --new --json`, and through `tail --json` attached to a `talk`; none lost or moved
attach   what three attached `tail --json` add to an event's way through `talk --json`, and to its CPU

Ratios are ours to the rival's: below 1 is better for times, above 1 for events.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.program import environment


HERE = Path(__file__).parent
ROOT = HERE.parent.parent
PYTHON = sys.executable
RTCLI = str(Path(PYTHON).with_name("rtcli"))
QUESTION, ANSWER = "what is two plus three", b"2 plus 3 is 5.\n"
ROUND_TRIP = 0.1
PER_SECOND, SECONDS = 100, 12
READERS = 3


@contextmanager
def home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@contextmanager
def running(*command: str, at: Path, stdout: int = subprocess.PIPE) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment(at), stdin=subprocess.PIPE, stdout=stdout, stderr=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@contextmanager
def service(*module: str, at: Path) -> Iterator[str]:
    """A process that prints its base URL."""
    with running(PYTHON, *module, at=at) as process:
        assert process.stdout
        yield process.stdout.readline().decode().strip()


# ---- send -----------------------------------------------------------------------------------------------------------


def asked(url: str, at: Path, runs: int) -> tuple[float, float]:
    """Median seconds of ours and of the bare script's, taken in turns."""
    ours, theirs = [], []
    for number in range(runs + 1):
        mine = _took([RTCLI, "send", "--base-url", url, QUESTION], at)
        bare = _took([PYTHON, str(HERE / "bare.py"), "send", url, QUESTION], at)
        if number:  # the first run of each reads files from the disk
            ours.append(mine)
            theirs.append(bare)
    return statistics.median(ours), statistics.median(theirs)


def _took(command: list[str], at: Path) -> float:
    begun = time.monotonic()
    done = subprocess.run(command, env=environment(at), capture_output=True, check=True)
    assert done.stdout == ANSWER, done
    return time.monotonic() - begun


def send(at: Path, runs: int, *, far: bool) -> str:
    with ExitStack() as stack:
        sandbox = ("-c", "from rtcli.cli import main; main()", "sandbox", "--engine", "scripted", "--port", "0")
        url = stack.enter_context(service(*sandbox, at=at))
        if far:
            url = stack.enter_context(service("-m", "tests.bench.far", url, str(ROUND_TRIP), at=at))
        ours, theirs = asked(url, at, runs)
    where = f"{1000 * ROUND_TRIP:.0f} ms round trip" if far else "loopback"
    return f"send, {where}: rtcli {ours:.3f} s, bare {theirs:.3f} s, ratio {ours / theirs:.2f}"


# ---- events ---------------------------------------------------------------------------------------------------------


def events(at: Path, count: int) -> Iterator[str]:
    flood = ("-m", "tests.bench.flood", str(count), "0")
    with service(*flood, at=at) as url, running(PYTHON, str(HERE / "bare.py"), "read", url, str(count), at=at) as bare:
        assert bare.stdout
        theirs = float(bare.stdout.readline())
    with (
        service(*flood, at=at) as url,
        running(RTCLI, "tail", "--new", "--json", "--base-url", url, at=at) as tail,
    ):
        own = _rate(tail, count)
    with (
        service(*flood, at=at) as url,
        running(RTCLI, "tail", "--json", at=at) as tail,
        running(RTCLI, "talk", "--text", "--input", "none", "--base-url", url, at=at, stdout=subprocess.DEVNULL),
    ):
        attached = _rate(tail, count)
    yield f"events, bare: {theirs:.0f} a second"
    yield f"events, tail --new --json: {own:.0f} a second, ratio {own / theirs:.2f}"
    yield f"events, tail --json attached: {attached:.0f} a second, ratio {attached / theirs:.2f}"


def _rate(tail: subprocess.Popen[bytes], count: int) -> float:
    """Events a second, from the first to the last; each of them once and in order."""
    assert tail.stdout
    chunks: list[tuple[float, bytes]] = []
    last = f'"number": {count},'.encode()
    rest = b""
    while last not in rest:
        chunk = os.read(tail.stdout.fileno(), 1 << 20)
        assert chunk, "the output ended early"
        chunks.append((time.monotonic(), chunk))
        rest = rest[-400:] + chunk
    text = b"".join(chunk for _, chunk in chunks)
    numbers = [json.loads(line)["number"] for line in text.splitlines() if line.startswith(b'{"type": "test.event"')]
    assert numbers in (list(range(1, count + 1)), list(range(1, count))), "events were lost or moved"
    begun = next(at for at, chunk in chunks if b"test.event" in chunk)
    return (count - 1) / (chunks[-1][0] - begun)


# ---- attach ---------------------------------------------------------------------------------------------------------


def attach(at: Path) -> str:
    alone, cpu_alone = _way(at, 0)
    followed, cpu_followed = _way(at, READERS)
    return (
        f"attach, {READERS} readers, {PER_SECOND} events a second: an event's way {1000 * alone:.2f} ms alone, "
        f"{1000 * followed:.2f} ms followed, {1000 * (followed - alone):+.2f} ms; "
        f"CPU of the call {cpu_alone:.1f} %, {cpu_followed:.1f} %, {cpu_followed - cpu_alone:+.1f} %"
    )


def _way(at: Path, readers: int) -> tuple[float, float]:
    """Median seconds from the service's sending to the line on the call's own output, and the call's CPU in percent."""
    count = PER_SECOND * SECONDS
    with ExitStack() as stack:
        url = stack.enter_context(service("-m", "tests.bench.flood", str(count), str(PER_SECOND), at=at))
        for _ in range(readers):
            stack.enter_context(running(RTCLI, "tail", "--json", at=at, stdout=subprocess.DEVNULL))
        talk = stack.enter_context(
            running(RTCLI, "talk", "--text", "--input", "none", "--json", "--base-url", url, at=at)
        )
        assert talk.stdout
        ways: list[float] = []
        begun = used = 0.0
        for line in talk.stdout:
            if b"test.event" not in line:
                continue
            ways.append(time.time() - json.loads(line)["sent"])
            if len(ways) == PER_SECOND:
                begun, used = time.monotonic(), _cpu(talk.pid)
            if len(ways) == count:
                break
        share = (_cpu(talk.pid) - used) / (time.monotonic() - begun)
    return statistics.median(ways), 100 * share


def _cpu(pid: int) -> float:
    """Seconds of CPU a process has used (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.pipe", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help="send, far, events, attach")
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--events", type=int, default=100_000)
    chosen = parser.parse_args()
    with home() as at:
        for row in chosen.rows or ("send", "far", "events", "attach"):
            for line in _lines(row, at, chosen.runs, chosen.events):
                sys.stdout.write(line + "\n")
                sys.stdout.flush()


def _lines(row: str, at: Path, runs: int, count: int) -> Iterator[str]:
    match row:
        case "send" | "far":
            yield send(at, runs, far=row == "far")
        case "events":
            yield from events(at, count)
        case "attach":
            yield attach(at)
        case _:
            raise SystemExit(f"no row {row}")


if __name__ == "__main__":
    main()
