"""The rival: what a user would write with aiortc and httpx alone. `send URL TEXT` asks and prints; `read URL COUNT`
takes events as fast as they come. Run as a script; no STUN.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

import httpx
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack


KEY = {"Authorization": "Bearer sk-bench"}


async def connected(url: str, on_message: Any) -> tuple[RTCPeerConnection, Any]:
    async with httpx.AsyncClient(trust_env=False) as http:
        session = {"type": "realtime", "model": "gpt-realtime-2", "output_modalities": ["text"]}
        minted = await http.post(f"{url}/realtime/client_secrets", json={"session": session}, headers=KEY)
        peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        peer.addTrack(AudioStreamTrack())
        channel = peer.createDataChannel("oai-events")
        opened = asyncio.Event()
        channel.on("open", opened.set)
        channel.on("message", on_message)
        await peer.setLocalDescription(await peer.createOffer())
        answer = await http.post(
            f"{url}/realtime/calls",
            content=peer.localDescription.sdp,
            headers={"Authorization": f"Bearer {minted.json()['value']}", "Content-Type": "application/sdp"},
        )
        await peer.setRemoteDescription(RTCSessionDescription(answer.text, "answer"))
        await opened.wait()
        return peer, channel


async def send(url: str, text: str) -> None:
    done: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    created = asyncio.Event()

    def on_message(message: str) -> None:
        event = json.loads(message)
        if event["type"] == "session.created":
            created.set()
        if event["type"] == "response.done":
            done.set_result(event["response"]["output"][0]["content"][0]["text"])

    peer, channel = await connected(url, on_message)
    await created.wait()
    content = [{"type": "input_text", "text": text}]
    item = {"type": "message", "role": "user", "content": content}
    channel.send(json.dumps({"type": "conversation.item.create", "item": item}))
    channel.send(json.dumps({"type": "response.create"}))
    sys.stdout.write(await done + "\n")
    await peer.close()


async def read(url: str, count: int) -> None:
    """Prints events a second, from the first of `count` to the last."""
    begun, seen = 0.0, 0
    over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def on_message(message: str) -> None:
        nonlocal begun, seen
        if json.loads(message)["type"] != "test.event":
            return
        begun = begun or time.monotonic()
        seen += 1
        if seen == count:
            over.set_result(None)

    peer, _ = await connected(url, on_message)
    await over
    sys.stdout.write(f"{(count - 1) / (time.monotonic() - begun)}\n")
    await peer.close()


if __name__ == "__main__":
    what, url, argument = sys.argv[1:]
    asyncio.run(send(url, argument) if what == "send" else read(url, int(argument)))
