"""A service that is far away: a relay in front of one on this machine that takes half a round trip each way.

HTTP and UDP alike: a new connection costs a round trip, a request one more, and each packet of the call half of one.
`python -m tests.bench.far BASE_URL SECONDS` prints the URL to use instead.
"""

from __future__ import annotations

import asyncio
import re
import sys
import threading
import time
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import cast
from urllib.parse import urlsplit


Address = tuple[str, int]
_CANDIDATE = re.compile(r"a=candidate:\S+ 1 udp \d+ (\S+) (\d+) typ host[^\r\n]*", re.IGNORECASE)


class _Socket(asyncio.DatagramProtocol):
    """One end of a lane: what comes in leaves by the other end, late."""

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self.there: Address | None = None
        self.other: _Socket | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)  # asyncio's own is not of this class in 3.11

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self.there = addr
        asyncio.get_running_loop().call_later(self._delay, self._pass, data)

    def _pass(self, data: bytes) -> None:
        if self.other and self.other.there:
            self.other.transport.sendto(data, self.other.there)


class Lane:
    """Between one client and the service."""

    def __init__(self, loop: asyncio.AbstractEventLoop, delay: float) -> None:
        self._loop = loop
        self.client, self.service = (self._open(delay) for _ in range(2))
        self.client.other, self.service.other = self.service, self.client

    def _open(self, delay: float) -> _Socket:
        opening = self._loop.create_datagram_endpoint(lambda: _Socket(delay), local_addr=("127.0.0.1", 0))
        return asyncio.run_coroutine_threadsafe(opening, self._loop).result()[1]

    def moved(self, sdp: str, end: _Socket) -> str:
        """The description with our end as its only candidate."""
        port = end.transport.get_extra_info("sockname")[1]
        lines = [line for line in sdp.split("\r\n") if not line.startswith(("a=candidate", "a=end-of-candidates"))]
        at = next(i for i, line in enumerate(lines) if line.startswith("a=ice-ufrag"))
        lines.insert(at, f"a=candidate:1 1 udp 2130706431 127.0.0.1 {port} typ host")
        return "\r\n".join(lines)


def _address(sdp: str) -> Address:
    hosts = [(found[1], int(found[2])) for found in _CANDIDATE.finditer(sdp) if ":" not in found[1]]
    return next((each for each in hosts if each[0].startswith("127.")), hosts[0])


def server(base_url: str, round_trip: float) -> ThreadingHTTPServer:
    there = urlsplit(base_url)
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def setup(self) -> None:
            time.sleep(round_trip)  # the connection
            super().setup()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            time.sleep(round_trip)
            lane = Lane(loop, round_trip / 2) if self.headers.get("Content-Type") == "application/sdp" else None
            if lane:
                lane.client.there = _address(body.decode())
                body = lane.moved(body.decode(), lane.service).encode()
            behind = HTTPConnection(str(there.hostname), there.port)
            kept = {name: self.headers[name] for name in ("Content-Type", "Authorization") if name in self.headers}
            behind.request("POST", self.path, body, kept)
            answer = behind.getresponse()
            content = answer.read()
            if lane:
                lane.service.there = _address(content.decode())
                content = lane.moved(content.decode(), lane.client).encode()
            self.send_response(answer.status)
            for name in ("Content-Type", "Location"):
                if answer.headers[name]:
                    self.send_header(name, answer.headers[name])
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None: ...

    return ThreadingHTTPServer(("127.0.0.1", 0), Handler)


if __name__ == "__main__":
    made = server(sys.argv[1], float(sys.argv[2]))
    sys.stdout.write(f"http://127.0.0.1:{made.server_port}/v1\n")
    sys.stdout.flush()
    made.serve_forever()
