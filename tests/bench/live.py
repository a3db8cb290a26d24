"""One call in real time: a sender, the impairing relay and all receivers on the same packets, each its own process."""

from __future__ import annotations

import multiprocessing
import re
import socket
import time
from multiprocessing.connection import Connection
from typing import Any

from .cpu import SECONDS, partner, subject
from .network import Network, relay
from .peers import Heard, frame_end, receive, sender
from .rows import LANES
from .speech import packets, speech


_SPAWN = multiprocessing.get_context("spawn")


def call(network: Network, payloads: list[bytes], half: int, seed: int) -> tuple[float, dict[str, Heard]]:
    """One run: the first instant of the sender, and what each receiver heard.

    `half`: the packet in front of which the sender pauses.
    """
    host = _address()
    lanes = list(LANES)
    relay_pipe, relay_process = process(relay, host, lanes, network.fate(len(payloads), seed))
    ports = relay_pipe.recv()
    send_pipe, send_process = process(sender, lanes, payloads, half, network.ppm, network.pause)
    receivers = {name: process(receive, name) for name in lanes}
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
    time.sleep(frame_end(len(payloads), half, network.ppm, network.pause) + 0.6)
    heard = {}
    for name, (pipe, _) in receivers.items():
        pipe.send(("stop",))
        heard[name] = pipe.recv()
    send_pipe.send(("stop",))
    relay_pipe.send(("stop",))
    for child in (relay_process, send_process, *(child for _, child in receivers.values())):
        child.join(5)
        child.terminate()
    return start, heard


def cpu() -> dict[str, float]:
    """Percent of a core that a call of each costs, both at the same time."""
    said = speech()
    payloads = packets(said.pcm, fec=True)
    pipes = {}
    for kind in ("rtcli", "aiortc"):
        ours, _ = process(subject, kind, said.pcm)
        theirs, _ = process(partner, payloads)
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


def process(target: Any, *arguments: Any) -> tuple[Connection, Any]:
    ours, theirs = _SPAWN.Pipe()
    child = _SPAWN.Process(target=target, args=(theirs, *arguments), daemon=True)
    child.start()
    return ours, child


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
