"""The sandbox as its clients feel it, in a process of its own: `python -m tests.bench.sandbox`.

Voice to voice: from the last loud sample of the question to the first one of the answer's packets, against the
session's own silence, which is the least it could be. Many calls: the gaps between packets of sound while answers
sound, beside those of one call alone. Needs the extra `sandbox`.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rtcli.transport.base import RtpPacket
from tests.program import COMMAND
from tests.sandbox.test_whole_call import Client, calling, sample_question

from .measure import quantile


TURNS = 7
SILENCE_MS = 500
LATE = 0.06
"""Seconds between two packets that a playout of 40 ms would hear."""
LONG = "repeat after me: " + " ".join(["banana"] * 40)


class Arrivals:
    """In the place of a loudspeaker: when packets came, and which did not."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.numbers: list[int] = []

    def add(self, packet: RtpPacket, now: float) -> None:
        self.times.append(now)
        self.numbers.append(packet.sequence)

    @property
    def gaps(self) -> list[float]:
        return [after - before for before, after in zip(self.times, self.times[1:], strict=False)]

    @property
    def missing(self) -> int:
        return sum((b - a) % 65_536 - 1 for a, b in zip(self.numbers, self.numbers[1:], strict=False))


@contextmanager
def sandbox(engine: str) -> Iterator[str]:
    running = subprocess.Popen(
        [*COMMAND, "sandbox", "--port", "0", "--engine", engine], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert running.stdout is not None
    try:
        yield running.stdout.readline().decode().strip()
    finally:
        running.terminate()
        running.wait(10)


def loud_part(pcm: bytes) -> bytes:
    """Without the silence at its end."""
    samples = array("h", pcm)
    last = max(at for at, sample in enumerate(samples) if abs(sample) > 500)
    return samples[: last + 1].tobytes()


async def voice_to_voice(base: str) -> list[float]:
    question, found = loud_part(sample_question()), []
    detection = {"type": "server_vad", "silence_duration_ms": SILENCE_MS}
    session = {"type": "realtime", "audio": {"input": {"turn_detection": detection}}}
    for _ in range(TURNS):
        async with calling(base, session) as client:
            client.mouth.say(question)
            await client.until("output_audio_buffer.stopped")
            found.append(next(moment for moment in client.ear.loud if moment > client.mouth.ended) - client.mouth.ended)
    return found


async def one_call(base: str, arrivals: Arrivals, *, spoken: bool) -> None:
    async with calling(base, {"type": "realtime"}) as client:
        await _ask(client, spoken=spoken)
        await client.until("output_audio_buffer.started", 1 + spoken)
        client.ear.add = arrivals.add  # type: ignore[method-assign]  # decoding is the client's business, not ours
        await client.until("output_audio_buffer.stopped", 1 + spoken)


async def _ask(client: Client, *, spoken: bool) -> None:
    if spoken:
        client.mouth.say(loud_part(sample_question()))
        await client.until("output_audio_buffer.stopped")
    content: list[dict[str, Any]] = [{"type": "input_text", "text": LONG}]
    client.send("conversation.item.create", item={"type": "message", "role": "user", "content": content})
    client.send("response.create")


async def many(base: str, count: int, *, spoken: bool, apart: float = 0.0) -> list[Arrivals]:
    """`apart`: seconds from the beginning of one call to that of the next."""
    all_arrivals = [Arrivals() for _ in range(count)]

    async def one(number: int) -> None:
        await asyncio.sleep(number * apart)
        await one_call(base, all_arrivals[number], spoken=spoken)

    await asyncio.gather(*map(one, range(count)))
    return all_arrivals


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def told(what: str, arrivals: Sequence[Arrivals]) -> float:
    """Write a line; the 99th percentile of the gaps, in milliseconds."""
    gaps = [1000 * gap for one in arrivals for gap in one.gaps]
    late = sum(gap > 1000 * LATE for gap in gaps)
    p99 = quantile(gaps, 0.99)
    missing = sum(one.missing for one in arrivals)
    _say(
        f"{what}: {len(gaps)} packets, {missing} missing, gap p50 {quantile(gaps, 0.5):.1f} p99 {p99:.1f} "
        f"max {max(gaps):.1f} ms, {late} over {1000 * LATE:.0f} ms"
    )
    return p99


async def main() -> None:
    with sandbox("speech") as base:
        delays = [1000 * delay for delay in await voice_to_voice(base)]
        middle = quantile(delays, 0.5)
        _say(
            f"voice to voice, {TURNS} turns: median {middle:.0f} ms (from {min(delays):.0f} to {max(delays):.0f}), "
            f"{middle / SILENCE_MS:.2f} of the silence of {SILENCE_MS} ms, {middle - SILENCE_MS:+.0f} ms"
        )
        alone = told("1 speaking call", await many(base, 1, spoken=True))
        _say(f"  to one alone: {told('3 speaking calls', await many(base, 3, spoken=True)) / alone:.2f}")
    with sandbox("scripted") as base:
        alone = told("1 scripted call", await many(base, 1, spoken=False))
        for what, apart in (("20 scripted calls, 0.2 s apart", 0.2), ("20 scripted calls at one moment", 0.0)):
            _say(f"  to one alone: {told(what, await many(base, 20, spoken=False, apart=apart)) / alone:.2f}")


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
