"""rtcli's playout, plain aiortc and libwebrtc on the same packets, in one run: `python -m tests.bench [ROW ...]`.

    --fec on|off|both     whether the sender's Opus carries in-band FEC (default both)
    --rounds N            calls for each row, each with chances and sentences of its own (default 2)
    --at-once N           calls at the same time (default 4): a call is idle most of the time
    --offline             rtcli alone on a clock of its own: deterministic and fast
    --json FILE           the figures for a machine

A call takes 50 s. Needs the extra `sandbox` (voice and recogniser) and the package `wrtc`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .live import call, cpu
from .offline import simulate
from .peers import Heard
from .rows import ROWS, SEED
from .scores import Score, chance, pooled, score
from .speech import packets, speech


@dataclass(frozen=True, slots=True)
class Job:
    row: str
    fec: bool
    turn: int


def converse(job: Job) -> tuple[float, dict[str, Heard]]:
    """The call in real time: its first instant, and what was heard."""
    said = speech(job.turn)
    return call(ROWS[job.row], packets(said.pcm, fec=job.fec), said.half, SEED + job.turn)


def scored(job: Job, start: float, heard: dict[str, Heard]) -> dict[str, Score]:
    return {name: score(ROWS[job.row], speech(job.turn), what, start) for name, what in heard.items()}


def alone(job: Job) -> dict[str, Score]:
    """The same call simulated."""
    said = speech(job.turn)
    heard = simulate(ROWS[job.row], packets(said.pcm, fec=job.fec), said.half, SEED + job.turn)
    return scored(job, 0.0, {"rtcli": heard})


def measured(jobs: Sequence[Job], at_once: int, *, offline: bool) -> list[dict[str, Score]]:
    """The jobs' scores. Nothing is recognised while a call is on."""
    with ProcessPoolExecutor(2) as processes:
        if offline:
            return list(processes.map(alone, jobs))
        with ThreadPoolExecutor(at_once) as threads:
            calls = list(threads.map(converse, jobs))
        starts, heard = zip(*calls, strict=True)
        return list(processes.map(scored, jobs, starts, heard))


def shown(row: str, lanes: dict[str, Score]) -> str:
    """One line of the table."""
    cells = [f"{s.ms(0.5):.0f} / {s.ms(0.95):.0f}, {s.concealed_percent:.1f} %, {sum(s.wrong)}" for s in lanes.values()]
    line = f"| {row} | {' | '.join(cells)} |"
    if "libwebrtc" not in lanes:
        return line
    ours, theirs = lanes["rtcli"], lanes["libwebrtc"]
    ratios = " / ".join(f"{ours.ms(share) / theirs.ms(share):.2f}" for share in (0.5, 0.95))
    concealed = ours.concealed_percent - theirs.concealed_percent
    return f"{line} {ratios}, {concealed:+.1f}, p = {chance(ours.wrong, theirs.wrong):.2f} |"


def table(jobs: Sequence[Job], scores: Sequence[dict[str, Score]], *, verbose: bool) -> dict[str, Any]:
    """Print the pooled rows; the figures as JSON."""
    kept: dict[str, Any] = {}
    lanes = list(scores[0])
    for fec in sorted({job.fec for job in jobs}, reverse=True):
        mine = [(job.row, one) for job, one in zip(jobs, scores, strict=True) if job.fec == fec]
        first = [one["rtcli"] for row, one in mine if row == mine[0][0]]
        sys.stdout.write(
            f"\nwith{'' if fec else 'out'} in-band FEC; milliseconds mouth-to-ear, {len(first)} calls each,"
            f" words wrong of {sum(one.words for one in first)}; p: of as many more than libwebrtc's by chance\n\n"
        )
        head = ["row", *(f"{lane} p50 / p95, concealed, words" for lane in lanes)]
        head += ["to libwebrtc: p50 / p95, concealed, p"] if len(lanes) > 1 else []
        sys.stdout.write(f"| {' | '.join(head)} |\n|{' --- |' * len(head)}\n")
        for row in dict.fromkeys(row for row, _ in mine):
            rounds = [one for name, one in mine if name == row]
            whole = {lane: pooled([one[lane] for one in rounds]) for lane in lanes}
            label = f"{row} (none late: {1000 * ROWS[row].in_time:.0f})" if ROWS[row].jitter else row
            sys.stdout.write(shown(label, whole) + "\n")
            kept[f"{row}{'' if fec else ', no FEC'}"] = {lane: figures(one) for lane, one in whole.items()}
            if verbose:
                _facts(rounds)
    return kept


def figures(score: Score) -> dict[str, Any]:
    """For a machine; the delays as their quantiles."""
    kept = {name: value for name, value in asdict(score).items() if name != "delays"}
    return {**kept, "p50": score.ms(0.5), "p95": score.ms(0.95), "found": len(score.delays)}


def _facts(rounds: Sequence[dict[str, Score]]) -> None:
    for number, lanes in enumerate(rounds, 1):
        for lane, one in lanes.items():
            line = f"    {number}, {lane}: {one.ms(0.5):.0f} / {one.ms(0.95):.0f}, {len(one.delays)} pieces"
            sys.stdout.write(f"{line}, {one.facts[0]}\n")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"of: {'; '.join(ROWS)}".replace("%", "%%"))
    parser.add_argument("--fec", choices=("on", "off", "both"), default="both")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--at-once", type=int, default=4)
    parser.add_argument("--offline", action="store_true")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--cpu", action="store_true", help="measure the CPU of a call, as a run of all rows does")
    parser.add_argument("-v", action="store_true", help="also what each receiver says of itself")
    chosen = parser.parse_args()
    unknown = set(chosen.rows) - set(ROWS)
    if unknown:
        parser.error(f"no row {', '.join(sorted(unknown))}")
    kept: dict[str, Any] = {}
    rows = chosen.rows or ([] if chosen.cpu else list(ROWS))
    fecs = {"on": (True,), "off": (False,), "both": (True, False)}[chosen.fec]
    jobs = [Job(row, fec, turn) for fec in fecs for row in rows for turn in range(chosen.rounds)]
    if jobs:
        kept |= table(jobs, measured(jobs, chosen.at_once, offline=chosen.offline), verbose=chosen.v)
    if chosen.cpu or not (chosen.rows or chosen.offline):
        kept["cpu"] = cpu()
        shares = ", ".join(f"{kind} {share:.1f} %" for kind, share in kept["cpu"].items())
        sys.stdout.write(f"\nCPU of a call, both directions, of one core: {shares}\n")
    if chosen.json:
        chosen.json.write_text(json.dumps(kept, indent=1))


if __name__ == "__main__":
    main()
