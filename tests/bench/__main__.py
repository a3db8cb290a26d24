"""rtcli's playout, plain aiortc and libwebrtc on the same packets, in one run: `python -m tests.bench [ROW ...]`.

    --fec on|off|both     whether the sender's Opus carries in-band FEC (default both)
    --json FILE           the figures for a machine

A row of ten sentences takes about a minute. Needs the extra `sandbox` (voice and recogniser) and the package `wrtc`.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import re
import socket
import sys
import time
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from .cpu import SECONDS, partner, subject
from .measure import Line, mouth_to_ear, quantile
from .network import Network, relay
from .peers import Heard, frame_end, receive, sender
from .speech import errors, packets, speech


ROWS = {
    "clean": Network(),
    "one lost": Network(drop=(400,)),
    "1 %": Network(loss=0.01),
    "5 %": Network(loss=0.05),
    "10 %": Network(loss=0.10),
    "20 %": Network(loss=0.20),
    "bursts of 3, 10 %": Network(loss=0.10, burst=3),
    "jitter 20": Network(delay=0.02, jitter=0.02),
    "jitter 60": Network(delay=0.02, jitter=0.06),
    "jitter 60, 5 %": Network(delay=0.02, jitter=0.06, loss=0.05),
    "spikes": Network(delay=0.02, jitter=0.01, spikes=0.01),
    "drift +1000 ppm": Network(ppm=1000),
    "drift -1000 ppm": Network(ppm=-1000),
    "pause of 2 s": Network(pause=2.0),
}
LANES = ("rtcli", "aiortc", "libwebrtc")
SKIP = 4.0
"""Seconds at the start that are not counted: each receiver may find its depth first."""
SEED = 7
_SPAWN = multiprocessing.get_context("spawn")


@dataclass(frozen=True, slots=True)
class Figures:
    p50: float
    """Mouth-to-ear, milliseconds."""
    p95: float
    concealed: float
    """Percent guessed or missing."""
    wer: float
    """Percent of the words."""
    cpu: float
    """Percent of a core."""
    found: int
    """Pieces of speech the delay was measured on."""
    facts: dict[str, Any]


def call(network: Network, payloads: list[bytes]) -> tuple[float, dict[str, Heard]]:
    """One run: the first instant of the sender, and what each receiver heard."""
    host = _address()
    lanes = list(LANES)
    relay_pipe, relay_process = _process(relay, host, lanes, network.fate(len(payloads), SEED))
    ports = relay_pipe.recv()
    send_pipe, send_process = _process(sender, lanes, payloads, network.ppm, network.pause)
    receivers = {name: _process(receive, name) for name in lanes}
    for _ in lanes:
        name, offer = send_pipe.recv()
        receivers[name][0].send(_moved(offer, host, ports[name][1]))
        answer = receivers[name][0].recv()
        relay_pipe.send(("join", name, _candidate(offer, host), _candidate(answer, host)))
        send_pipe.send((name, _moved(answer, host, ports[name][0])))
    time.sleep(2.0)
    relay_pipe.send(("arm",))
    send_pipe.send(("go",))
    start = send_pipe.recv()
    time.sleep(frame_end(len(payloads), len(payloads), network.ppm, network.pause) + 0.6)
    heard = {}
    for name, (pipe, _) in receivers.items():
        pipe.send(("stop",))
        heard[name] = pipe.recv()
    send_pipe.send(("stop",))
    relay_pipe.send(("stop",))
    for process in (relay_process, send_process, *(process for _, process in receivers.values())):
        process.join(5)
        process.terminate()
    return start, heard


def measured(network: Network, *, fec: bool) -> dict[str, Figures]:
    said = speech()
    payloads = packets(said.pcm, fec=fec)
    start, heard = call(network, payloads)

    def when(sample: int) -> float:
        number, rest = divmod(sample, 960)
        return frame_end(number, len(payloads), network.ppm, network.pause) - 0.02 + rest / 48_000

    figures = {}
    for name, what in heard.items():
        line = Line(what.blocks, start)
        delays = mouth_to_ear(said.pcm, line, when, SKIP)
        middle = quantile(delays, 0.5)
        cuts = [line.cut(when(a) + middle - 0.15, when(b) + middle + 0.35) for a, b in said.spans]
        wrong, total, slips = errors(cuts)
        figures[name] = Figures(
            p50=1000 * middle,
            p95=1000 * quantile(delays, 0.95),
            concealed=100 * what.concealed,
            wer=100 * wrong / total,
            cpu=100 * what.cpu,
            found=len(delays),
            facts={**what.facts, "slips": slips},
        )
    return figures


def cpu() -> dict[str, float]:
    """Percent of a core that a call of each costs, both at the same time."""
    said = speech()
    payloads = packets(said.pcm, fec=True)
    pipes = {}
    for kind in ("rtcli", "aiortc"):
        ours, _ = _process(subject, kind, said.pcm)
        theirs, _ = _process(partner, payloads)
        theirs.send(ours.recv())
        ours.send(theirs.recv())
        pipes[kind] = (ours, theirs)
    time.sleep(SECONDS + 3.0)
    shares = {}
    for kind, (ours, _) in pipes.items():
        ours.send(("stop",))
        shares[kind] = 100 * ours.recv()
    for _, theirs in pipes.values():
        theirs.send(("stop",))
    return shares


def _process(target: Any, *arguments: Any) -> tuple[Connection, Any]:
    ours, theirs = _SPAWN.Pipe()
    process = _SPAWN.Process(target=target, args=(theirs, *arguments), daemon=True)
    process.start()
    return ours, process


def _address() -> str:
    """An address of this machine that is not loopback: aioice and libwebrtc leave that out."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        return str(probe.getsockname()[0])


def _candidate(sdp: str, host: str) -> tuple[str, int]:
    pattern = rf"a=candidate:\S+ 1 udp \d+ {re.escape(host)} (\d+) typ host"
    found = re.search(pattern, sdp, re.IGNORECASE)
    if found is None:
        raise SystemExit(f"no UDP candidate on {host}")
    return host, int(found[1])


def _moved(sdp: str, host: str, port: int) -> str:
    """The description with the relay's address as its only candidate."""
    lines = [line for line in sdp.split("\r\n") if not line.startswith(("a=candidate", "a=end-of-candidates"))]
    at = next(i for i, line in enumerate(lines) if line.startswith("a=ice-ufrag"))
    lines.insert(at, f"a=candidate:1 1 udp 2130706431 {host} {port} typ host")
    return "\r\n".join(lines)


HEAD = "| row | " + " | ".join(f"{name} p50 / p95, concealed, words" for name in LANES) + " | to libwebrtc |"


def shown(row: str, figures: dict[str, Figures]) -> str:
    """One line of the table."""
    cells = [f"{f.p50:.0f} / {f.p95:.0f}, {f.concealed:.1f} %, {f.wer:.1f} %" for f in figures.values()]
    ours, theirs = figures["rtcli"], figures["libwebrtc"]
    ratio = f"{ours.p50 / theirs.p50:.2f} / {ours.p95 / theirs.p95:.2f}, {ours.concealed - theirs.concealed:+.1f}"
    return f"| {row} | {' | '.join(cells)} | {ratio} |"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"of: {', '.join(ROWS)}")
    parser.add_argument("--fec", choices=("on", "off", "both"), default="both")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--cpu", action="store_true", help="measure the CPU of a call, as a run of all rows does")
    parser.add_argument("-v", action="store_true", help="also what each receiver says of itself")
    chosen = parser.parse_args()
    unknown = set(chosen.rows) - set(ROWS)
    if unknown:
        parser.error(f"no row {', '.join(sorted(unknown))}")
    kept: dict[str, Any] = {}
    rows = chosen.rows or ([] if chosen.cpu else list(ROWS))
    for fec in {"on": (True,), "off": (False,), "both": (True, False)}[chosen.fec] if rows else ():
        table(rows, kept, fec=fec, verbose=chosen.v)
    if chosen.cpu or not chosen.rows:
        kept["cpu"] = cpu()
        shares = ", ".join(f"{kind} {share:.1f} %" for kind, share in kept["cpu"].items())
        sys.stdout.write(f"\nCPU of a call, both directions, of one core: {shares}\n")
    if chosen.json:
        chosen.json.write_text(json.dumps(kept, indent=1))


def table(rows: list[str], kept: dict[str, Any], *, fec: bool, verbose: bool) -> None:
    """Measure and print the rows; the figures go into `kept`."""
    sys.stdout.write(f"\nwith{'' if fec else 'out'} in-band FEC, milliseconds mouth-to-ear\n\n{HEAD}\n")
    sys.stdout.write("|" + " --- |" * (len(LANES) + 2) + "\n")
    for row in rows:
        figures = measured(ROWS[row], fec=fec)
        kept[f"{row}{'' if fec else ', no FEC'}"] = {name: asdict(f) for name, f in figures.items()}
        sys.stdout.write(shown(row, figures) + "\n")
        for name, f in figures.items() if verbose else ():
            sys.stdout.write(f"    {name}: cpu {f.cpu:.1f} %, {f.found} pieces, {f.facts}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
