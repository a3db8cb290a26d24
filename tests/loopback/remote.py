"""A bare aiortc peer in a process of its own: reads an offer, writes its answer, lives until it is killed.

    python -m tests.loopback.remote [mute]

`mute`: it refuses the audio section and sends neither RTP nor RTCP.
"""

from __future__ import annotations

import asyncio
import json
import sys

import aioice.ice
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack


async def main(*, mute: bool) -> None:
    # aioice leaves it out, and there may be no other.
    aioice.ice.get_host_addresses = lambda **_: ["127.0.0.1"]
    pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    if not mute:
        pc.addTrack(AudioStreamTrack())
    offer = json.loads(await asyncio.to_thread(sys.stdin.readline))
    await pc.setRemoteDescription(RTCSessionDescription(offer, "offer"))
    for transceiver in pc.getTransceivers() if mute else ():
        transceiver.direction = "inactive"
    answer = await pc.createAnswer()
    await pc.setLocalDescription(answer)
    sys.stdout.write(json.dumps(pc.localDescription.sdp) + "\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(mute="mute" in sys.argv))
