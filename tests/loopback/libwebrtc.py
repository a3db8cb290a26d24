"""A browser's engine (PyPI's `wrtc`) as the other side, in a process of its own.

    python -m tests.loopback.libwebrtc offer|answer

Prints its description as a line of JSON and reads ours; echoes events, sends a tone, and prints a line when it has
received sound. Closes when its standard input ends.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import struct
import sys
from typing import Any


webrtc: Any = importlib.import_module("webrtc")
BLOCK = struct.pack("<480h", *([4000, -4000] * 240))


def say(value: object) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


async def line() -> str:
    return await asyncio.to_thread(sys.stdin.readline)


async def described(pc: Any, description: Any) -> None:
    """Print our description once it names every address."""
    complete = asyncio.Event()

    def look(_: object) -> None:
        if pc.ice_gathering_state == "complete":
            complete.set()

    pc.on("icegatheringstatechange", look)
    await pc.set_local_description(description)
    if pc.ice_gathering_state != "complete":
        await complete.wait()
    say(pc.local_description.sdp)


def remote(kind: str, text: str) -> Any:
    return webrtc.RTCSessionDescriptionInit(type=kind, sdp=json.loads(text))


def echo(channel: Any) -> None:
    channel.on("message", lambda event: channel.send(f"echo {event.data}"))


async def hear(track: Any) -> None:
    frames = 0
    async for data in webrtc.MediaStreamTrackProcessor(webrtc.MediaStreamTrackProcessorInit(track)).readable:
        data.close()
        frames += 1
        if frames == 100:
            say("heard")


async def tone(generator: Any) -> None:
    writer, time = generator.writable.get_writer(), 0
    while True:
        init = webrtc.AudioDataInit(
            format="s16", sample_rate=48_000, number_of_frames=480, number_of_channels=1, timestamp=time, data=BLOCK
        )
        await writer.write(webrtc.AudioData(init))
        time += 10_000
        await asyncio.sleep(0.01)


async def main(role: str) -> None:
    pc = webrtc.RTCPeerConnection()
    tasks: list[asyncio.Task[None]] = []
    pc.on("track", lambda event: tasks.append(asyncio.ensure_future(hear(event.track))))
    generator = webrtc.MediaStreamTrackGenerator("audio")
    if role == "offer":
        pc.add_track(generator)
        echo(pc.create_data_channel("oai-events"))
        await described(pc, await pc.create_offer())
        await pc.set_remote_description(remote("answer", await line()))
    else:
        pc.on("datachannel", lambda event: echo(event.channel))
        await pc.set_remote_description(remote("offer", await line()))
        pc.add_track(generator)
        await described(pc, await pc.create_answer())
    tasks.append(asyncio.ensure_future(tone(generator)))
    await line()
    pc.close()
    await asyncio.sleep(0.2)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
