"""libwebrtc as a receiver: a browser's engine, from PyPI's `wrtc` (its module is called `webrtc`)."""

from __future__ import annotations

import asyncio
import importlib
import time
from multiprocessing.connection import Connection
from typing import Any

from .peers import Heard


WANTED = (
    *("concealedSamples", "totalSamplesReceived", "silentConcealedSamples", "jitterBufferDelay"),
    *("jitterBufferEmittedCount", "insertedSamplesForDeceleration", "removedSamplesForAcceleration"),
    *("packetsLost", "packetsDiscarded", "packetsReceived"),
)


async def receive(pipe: Connection) -> None:
    import numpy as np

    # As a value and not as a module: it is installed for the bench only, and the rest of the tests is typed without it.
    webrtc: Any = importlib.import_module("webrtc")
    loop = asyncio.get_running_loop()
    heard = Heard()
    peer = webrtc.RTCPeerConnection()
    tasks: list[Any] = []

    async def listen(track: Any) -> None:
        wish = webrtc.MediaStreamTrackProcessorInit(track, max_buffer_size=2000)
        async for data in webrtc.MediaStreamTrackProcessor(wish).readable:
            now = time.monotonic()
            block = np.empty(data.number_of_frames * data.number_of_channels, np.int16)
            data.copy_to(block, webrtc.AudioDataCopyToOptions(plane_index=0, format="s16"))
            mono = block.reshape(data.number_of_frames, -1)[:, 0]
            assert data.sample_rate == 48_000
            heard.blocks.append((now, mono.tobytes()))
            data.close()

    peer.on("track", lambda event: tasks.append(asyncio.ensure_future(listen(event.track))))
    gathered = asyncio.Event()
    peer.on("icegatheringstatechange", lambda *_: gathered.set() if peer.ice_gathering_state == "complete" else None)
    offer = await loop.run_in_executor(None, pipe.recv)
    await peer.set_remote_description(webrtc.RTCSessionDescriptionInit(type="offer", sdp=offer))
    await peer.set_local_description(await peer.create_answer())
    if peer.ice_gathering_state != "complete":
        await gathered.wait()
    pipe.send(peer.local_description.sdp)
    used, begun = time.process_time(), time.monotonic()
    await loop.run_in_executor(None, pipe.recv)
    heard.cpu = (time.process_time() - used) / (time.monotonic() - begun)
    heard.facts = await _inbound(peer)
    heard.concealed = heard.facts.get("concealedSamples", 0) / max(1, heard.facts.get("totalSamplesReceived", 0))
    pipe.send(heard)
    peer.close()


async def _inbound(peer: Any) -> dict[str, Any]:
    for entry in (await peer.get_stats()).values():
        get = entry.get if isinstance(entry, dict) else lambda name, entry=entry: getattr(entry, name, None)
        if get("type") == "inbound-rtp":
            return {name: get(name) for name in WANTED if get(name) is not None}
    return {}
