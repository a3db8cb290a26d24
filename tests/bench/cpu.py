"""What a call costs: both directions, rtcli's sound path and plain aiortc's, at the same time on the same machine."""

from __future__ import annotations

import asyncio
import fractions
import time
from multiprocessing.connection import Connection
from typing import Any

from .peers import connection


SECONDS = 30.0


def subject(pipe: Connection, kind: str, pcm: bytes) -> None:
    """Entry of the measured process: gives an offer, takes an answer, then ("stop",), gives its share of a core."""
    asyncio.run(_rtcli(pipe, pcm) if kind == "rtcli" else _aiortc(pipe, pcm))


def partner(pipe: Connection, payloads: list[bytes]) -> None:
    """Entry of the other side's process, which is not measured."""
    asyncio.run(_partner(pipe, payloads))


async def _offer(pipe: Connection, peer: Any) -> None:
    from aiortc import RTCSessionDescription

    await peer.setLocalDescription(await peer.createOffer())
    pipe.send(peer.localDescription.sdp)
    answer = await asyncio.get_running_loop().run_in_executor(None, pipe.recv)
    await peer.setRemoteDescription(RTCSessionDescription(answer, "answer"))


async def _measured(pipe: Connection) -> None:
    """CPU time of this process from now until the pipe speaks, per second."""
    await asyncio.sleep(3.0)
    used, begun = time.process_time(), time.monotonic()
    await asyncio.get_running_loop().run_in_executor(None, pipe.recv)
    pipe.send((time.process_time() - used) / (time.monotonic() - begun))


async def _rtcli(pipe: Connection, pcm: bytes) -> None:
    from rtcli.audio.files import NullSpeaker, WavMicrophone
    from rtcli.audio.opus import make_decoder, make_encoder
    from rtcli.audio.playout import Playout
    from rtcli.audio.uplink import Uplink
    from rtcli.transport.webrtc_rtp import Faults, PacedTrack, Tap

    microphone, playout, speaker = WavMicrophone(_wav(pcm)), Playout(make_decoder), NullSpeaker()
    microphone.start()
    peer = connection()
    peer.addTrack(PacedTrack(Uplink(microphone, make_encoder()), Faults()))
    Tap(peer.getReceivers()[0], playout, Faults())
    await _offer(pipe, peer)
    speaker.start(lambda samples: playout.pull(samples, time.monotonic()))
    await _measured(pipe)
    speaker.close()
    await peer.close()


async def _aiortc(pipe: Connection, pcm: bytes) -> None:
    import av
    from aiortc import MediaStreamTrack

    class Voice(MediaStreamTrack):
        kind = "audio"

        def __init__(self) -> None:
            super().__init__()
            self._number, self._start = 0, time.monotonic()

        async def recv(self) -> Any:
            await asyncio.sleep(max(0.0, self._start + self._number * 0.02 - time.monotonic()))
            frame = av.AudioFrame(format="s16", layout="mono", samples=960)
            at = self._number * 1920 % (len(pcm) - 1920)
            frame.planes[0].update(pcm[at : at + 1920])
            frame.sample_rate, frame.pts, frame.time_base = 48_000, self._number * 960, fractions.Fraction(1, 48_000)
            self._number += 1
            return frame

    async def listen(track: Any) -> None:
        while True:
            await track.recv()

    peer = connection()
    peer.addTrack(Voice())
    tasks: list[Any] = []
    peer.on("track", lambda track: tasks.append(asyncio.ensure_future(listen(track))))
    await _offer(pipe, peer)
    await _measured(pipe)
    for task in tasks:
        task.cancel()
    await peer.close()


async def _partner(pipe: Connection, payloads: list[bytes]) -> None:
    from aiortc import RTCSessionDescription

    from rtcli.transport.webrtc_rtp import Faults, PacedTrack, Tap

    class Source:
        def __init__(self) -> None:
            self._number = 0

        def next_packet(self) -> bytes:
            self._number += 1
            return payloads[self._number % len(payloads)]

    peer = connection()
    loop = asyncio.get_running_loop()
    await peer.setRemoteDescription(RTCSessionDescription(await loop.run_in_executor(None, pipe.recv), "offer"))
    peer.addTrack(PacedTrack(Source(), Faults()))
    Tap(peer.getReceivers()[0], None, Faults())
    await peer.setLocalDescription(await peer.createAnswer())
    pipe.send(peer.localDescription.sdp)
    await loop.run_in_executor(None, pipe.recv)
    await peer.close()


def _wav(pcm: bytes) -> bytes:
    import io
    import wave

    out = io.BytesIO()
    with wave.open(out, "wb") as writer:
        writer.setparams((1, 2, 48_000, 0, "NONE", ""))
        writer.writeframes(pcm)
    return out.getvalue()
