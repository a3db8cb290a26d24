"""The sender and the receivers, each in a process of its own, all on one monotonic clock."""

from __future__ import annotations

import asyncio
import fractions
import time
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any


@dataclass
class Heard:
    """What a receiver gave to a loudspeaker."""

    blocks: list[tuple[float, bytes]] = field(default_factory=list)
    """(moment the first sample could leave, 48 kHz mono s16le)."""
    concealed: float = 0.0
    """Share of what was played that was guessed, or is missing."""
    cpu: float = 0.0
    """Share of a core."""
    facts: dict[str, Any] = field(default_factory=dict)


class _Cpu:
    def __init__(self) -> None:
        self._used, self._begun = time.process_time(), time.monotonic()

    def share(self) -> float:
        return (time.process_time() - self._used) / (time.monotonic() - self._begun)


def connection() -> Any:
    from aiortc import RTCConfiguration, RTCPeerConnection

    return RTCPeerConnection(RTCConfiguration(iceServers=[]))


def sender(pipe: Connection, lanes: list[str], payloads: list[bytes], half: int, ppm: float, pause: float) -> None:
    """Send the payloads to all lanes at once: takes answers, then ("go",), then ("stop",); gives the first instant."""
    asyncio.run(_send(pipe, lanes, payloads, half, ppm, pause))


async def _send(pipe: Connection, lanes: list[str], payloads: list[bytes], half: int, ppm: float, pause: float) -> None:
    import av
    from aiortc import MediaStreamTrack, RTCSessionDescription
    from aiortc.mediastreams import MediaStreamError

    loop = asyncio.get_running_loop()
    begin: asyncio.Future[float] = loop.create_future()

    class Track(MediaStreamTrack):
        kind = "audio"

        def __init__(self) -> None:
            super().__init__()
            self._number = 0

        async def recv(self) -> Any:
            start = await begin
            number = self._number
            if number >= len(payloads):
                raise MediaStreamError
            self._number += 1
            due = start + frame_end(number, half, ppm, pause)
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            packet = av.Packet(payloads[number])
            packet.pts = number * 960
            packet.time_base = fractions.Fraction(1, 48_000)
            return packet

    peers = {name: connection() for name in lanes}
    for name, peer in peers.items():
        peer.addTransceiver(Track(), direction="sendonly")
        await peer.setLocalDescription(await peer.createOffer())
        pipe.send((name, peer.localDescription.sdp))
    for _ in lanes:
        name, answer = await loop.run_in_executor(None, pipe.recv)
        await peers[name].setRemoteDescription(RTCSessionDescription(answer, "answer"))
    await loop.run_in_executor(None, pipe.recv)
    start = time.monotonic() + 0.1
    begin.set_result(start)
    pipe.send(start)
    await loop.run_in_executor(None, pipe.recv)
    for peer in peers.values():
        await peer.close()


def frame_end(number: int, half: int, ppm: float, pause: float) -> float:
    """Seconds after the start at which a microphone would have filled a frame; a pause is before frame `half`."""
    held = pause if number >= half else 0.0
    return (number + 1) * 0.02 * (1 - ppm * 1e-6) + held


def receive(pipe: Connection, kind: str) -> None:
    """Entry of a receiver's process: takes an offer, gives an answer; then ("stop",) and gives what was heard."""
    if kind == "libwebrtc":
        from .libwebrtc import receive as libwebrtc

        asyncio.run(libwebrtc(pipe))
    else:
        asyncio.run(_rtcli(pipe) if kind == "rtcli" else _aiortc(pipe))


async def _answer(pipe: Connection, peer: Any) -> None:
    from aiortc import RTCSessionDescription

    loop = asyncio.get_running_loop()
    offer = await loop.run_in_executor(None, pipe.recv)
    await peer.setRemoteDescription(RTCSessionDescription(offer, "offer"))
    await peer.setLocalDescription(await peer.createAnswer())
    pipe.send(peer.localDescription.sdp)


async def _rtcli(pipe: Connection) -> None:
    """rtcli's playout behind the hook that its own peer uses, pulled by its own loudspeaker without a device."""
    from rtcli.audio.files import NullSpeaker
    from rtcli.audio.opus import make_decoder
    from rtcli.audio.playout import Playout
    from rtcli.transport.webrtc_rtp import Faults, Tap

    heard = Heard()
    playout = Playout(make_decoder, played=lambda pcm, position, now: heard.blocks.append((now, pcm)))
    peer = connection()
    peer.addTransceiver("audio", direction="recvonly")
    Tap(peer.getReceivers()[0], playout, Faults())
    await _answer(pipe, peer)
    speaker, cpu = NullSpeaker(), _Cpu()
    speaker.start(lambda samples: playout.pull(samples, time.monotonic()))
    await asyncio.get_running_loop().run_in_executor(None, pipe.recv)
    heard.cpu = cpu.share()
    stats = playout.stats()
    heard.concealed = stats.concealed_ms / max(1.0, stats.played_ms)
    heard.facts = {name: getattr(stats, name) for name in stats.__slots__}
    speaker.close()
    pipe.send(heard)
    await peer.close()


async def _aiortc(pipe: Connection) -> None:
    """Plain aiortc: a block is heard when `recv` returns it."""
    heard = Heard()
    peer = connection()
    stamps: list[tuple[int, int]] = []

    async def listen(track: Any) -> None:
        while True:
            frame = await track.recv()
            stereo = memoryview(bytes(frame.planes[0])[: 4 * frame.samples]).cast("h")
            heard.blocks.append((time.monotonic(), bytes(stereo[::2])))
            stamps.append((frame.pts, frame.samples))

    tasks = []
    peer.on("track", lambda track: tasks.append(asyncio.ensure_future(listen(track))))
    await _answer(pipe, peer)
    cpu = _Cpu()
    await asyncio.get_running_loop().run_in_executor(None, pipe.recv)
    heard.cpu = cpu.share()
    if stamps:
        span = stamps[-1][0] + stamps[-1][1] - stamps[0][0]
        heard.concealed = 1 - sum(samples for _, samples in stamps) / max(1, span)
    pipe.send(heard)
    for task in tasks:
        task.cancel()
    await peer.close()
