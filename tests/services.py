"""Small stand-ins of the services and servers that rtcli can call, each with a real WebRTC peer behind its HTTP.

They answer a text with a text. What they were asked stays to be looked at.
"""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import ssl
import struct
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

from rtcli.protocol.dialects import AZURE
from rtcli.transport.base import Message, Opened, Signal
from rtcli.transport.webrtc import WebRtcPeer


Event = dict[str, Any]
T = TypeVar("T")
LIMIT = 30.0
"""Seconds; generous, for a machine that is busy with something else."""


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    """With its query."""
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes

    @property
    def line(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def document(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Said:
    status: int
    body: bytes = b""
    kind: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)


def error(status: int, message: str, code: str | None = None, **more: str) -> Said:
    detail = {"message": message, "type": "invalid_request_error", "code": code, "param": more.pop("param", None)}
    headers = {name.replace("_", "-"): value for name, value in more.items()}
    return Said(status, json.dumps({"error": detail}).encode(), headers=headers)


def minted(value: str = "ek_minted") -> Said:
    return Said(200, json.dumps({"value": value, "expires_at": 4102444800, "session": {"type": "realtime"}}).encode())


class Reset(Exception):
    """Break the connection instead of answering."""


Answer = Callable[[Asked], Awaitable[Said]]


class Server:
    """HTTP in a thread with an event loop of its own; `asked` notes each request. Use it with `with`."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.asked: list[Asked] = []
        self.calls: list[Call] = []
        self.port = 0
        self._tls = tls
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="service", daemon=True)
        self._connections: set[asyncio.Task[None]] = set()

    async def answer(self, asked: Asked) -> Said:
        """What to answer; may raise Reset."""
        raise NotImplementedError

    @property
    def url(self) -> str:
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self.port}"

    @property
    def lines(self) -> list[str]:
        return [asked.line for asked in self.asked]

    def __enter__(self) -> Self:
        self._thread.start()
        self._do(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(LIMIT)
        self._loop.close()

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(LIMIT)

    async def _start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _stop(self) -> None:
        self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, *(call.peer.close() for call in self.calls), return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._connections.add(task)
        try:
            while True:
                await self._exchange(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        except Reset:
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        finally:
            self._connections.discard(task)
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.strip().split("\r\n")
        method, path, _ = first.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        asked = Asked(method, path, headers, body)
        self.asked.append(asked)
        said = await self.answer(asked)
        told = {"Content-Type": said.kind, "Content-Length": str(len(said.body)), **said.headers}
        writer.write(f"HTTP/1.1 {said.status} X\r\n".encode())
        writer.write("".join(f"{name}: {value}\r\n" for name, value in told.items()).encode() + b"\r\n" + said.body)
        await writer.drain()

    async def call(self, offer: bytes, session: Event | None = None, **how: Any) -> str:
        """Answer the call: its SDP."""
        begun = Call({"type": "realtime", **(session or {})}, **how)
        self.calls.append(begun)
        return await begun.peer.answer(offer.decode())


class Scripted(Server):
    """Gives the answers it was given, one request after the other, the last one for ever."""

    def __init__(self, *answers: Said | Exception, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(tls)
        self._answers = list(answers)

    async def answer(self, asked: Asked) -> Said:
        said = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(said, Exception):
            raise said
        return said


class Call:
    """The service's side of one call: says what it heard, in the way of `form`."""

    def __init__(
        self, session: Event, *, form: Callable[[Event], Iterable[str | bytes]] = lambda event: [json.dumps(event)]
    ) -> None:
        self.session = session
        self.heard: list[Event] = []
        self._form = form
        self._texts: list[str] = []
        self.peer = WebRtcPeer(source=None, sink=None, deliver=self._take, loopback=True)

    def _take(self, signal: Signal) -> None:
        if isinstance(signal, Opened):
            self._say({"type": "session.created", "session": {"id": "sess_1", **self.session}})
        elif isinstance(signal, Message):
            event = json.loads(signal.data)
            self.heard.append(event)
            self._obey(event)

    def _obey(self, event: Event) -> None:
        match event["type"]:
            case "session.update":
                self.session |= event["session"]
                self._say({"type": "session.updated", "session": {"id": "sess_1", **self.session}})
            case "conversation.item.create":
                self._texts += [part["text"] for part in event["item"]["content"] if part["type"] == "input_text"]
                self._say(
                    {"type": "conversation.item.added", "item": {"id": f"item_{len(self._texts)}", **event["item"]}}
                )
            case "response.create":
                self._respond(f"You said: {self._texts[-1]}. " + "All right. " * 100)

    def _respond(self, text: str) -> None:
        of = {"response_id": f"resp_{len(self.heard)}", "item_id": f"answer_{len(self.heard)}"}
        place = {**of, "output_index": 0, "content_index": 0}
        item = {"id": of["item_id"], "type": "message", "role": "assistant", "content": []}
        done = [{**item, "content": [{"type": "output_text", "text": text}]}]
        response = {"id": of["response_id"], "object": "realtime.response"}
        self._say({"type": "response.created", "response": {**response, "status": "in_progress", "output": []}})
        self._say({"type": "response.output_item.added", **of, "output_index": 0, "item": item})
        self._say({"type": "response.output_text.delta", **place, "delta": text})
        self._say({"type": "response.output_text.done", **place, "text": text})
        self._say({"type": "response.done", "response": {**response, "status": "completed", "output": done}})

    def _say(self, event: Event) -> None:
        for message in self._form({"event_id": f"event_{len(self.heard)}", **event}):
            if isinstance(message, bytes):
                assert self.peer._channel
                self.peer._channel.send(message)
            else:
                self.peer.send(message)


class OpenAi(Server):
    """The service itself: ephemeral keys, calls in both forms, hanging up."""

    location = "/v1/realtime/calls/rtc_1"
    paths = ("/v1/realtime/client_secrets", "/v1/realtime/calls")

    async def answer(self, asked: Asked) -> Said:
        secrets, calls = self.paths
        if asked.path.partition("?")[0] == secrets:
            self._session = asked.document["session"]
            return minted()
        if asked.path.partition("?")[0] == calls:
            return await self._answer_call(asked)
        return Said(200)

    async def _answer_call(self, asked: Asked) -> Said:
        offer, session = asked.body, getattr(self, "_session", None)
        if asked.headers["content-type"].startswith("multipart/form-data"):
            parts = parts_of(asked)
            offer, session = parts["sdp"], json.loads(parts["session"])
        sdp = await self.call(offer, session)
        return Said(201, sdp.encode(), "application/sdp", {"Location": self.location} if self.location else {})


class Azure(OpenAi):
    """Behind its filter: the channel carries few events, and none about the session, responses or errors."""

    paths = ("/openai/v1/realtime/client_secrets", "/openai/v1/realtime/calls")

    async def call(self, offer: bytes, session: Event | None = None, **how: Any) -> str:
        def filtered(event: Event) -> Iterable[str]:
            return [json.dumps(event)] if AZURE.carries(event["type"]) else []

        return await super().call(offer, session, form=filtered)


class BareSdp(Server):
    """Takes an offer and nothing else, as huggingface/speech-to-speech does."""

    async def answer(self, asked: Asked) -> Said:
        if asked.method == "DELETE":
            return Said(200)
        if asked.headers.get("content-type") != "application/sdp":
            return Said(415, b"Unsupported Media Type", "text/plain")
        sdp = await self.call(asked.body)
        return Said(201, sdp.encode(), "application/sdp", {"Location": "/v1/realtime/calls/rtc_bare"})


class LocalAi(Server):
    """JSON both ways, errors as `{"error": "text"}`."""

    async def answer(self, asked: Asked) -> Said:
        if asked.line != "POST /v1/realtime/calls" or not asked.document.get("model"):
            return Said(400, b'{"error": "model is required"}')
        sdp = await self.call(asked.document["sdp"].encode())
        return Said(201, json.dumps({"sdp": sdp, "session_id": "sess_1"}).encode())


class Speaches(Server):
    """Beta names, a flat session, and every event in base64 envelopes."""

    async def answer(self, asked: Asked) -> Said:
        if not asked.line.startswith("POST /v1/realtime?model="):
            return Said(404, b'{"detail": "Not Found"}')
        flat = {"modalities": ["audio", "text"], "voice": "af_heart", "turn_detection": {"type": "server_vad"}}
        sdp = await self.call(asked.body, flat, form=enveloped)
        return Said(200, sdp.encode(), "text/plain charset=utf-8")


BETA_NAMES = {
    "response.output_text.delta": "response.text.delta",
    "response.output_text.done": "response.text.done",
    "conversation.item.added": "conversation.item.created",
}


def enveloped(event: Event) -> list[str]:
    text = json.dumps({**event, "type": BETA_NAMES.get(event["type"], event["type"])})
    data = base64.b64encode(text.encode()).decode()
    if len(text) <= 900:
        return [json.dumps({"id": "event_1", "type": "full_message", "data": data})]
    parts = [data[at : at + 800] for at in range(0, len(data), 800)]
    name = f"event_{id(text)}"
    return [
        json.dumps(
            {"id": name, "type": "partial_message", "data": part, "fragment_index": at, "total_fragments": len(parts)}
        )
        for at, part in enumerate(parts)
    ]


class AppServer(Server):
    """The server of OpenAI's WebRTC guide: it has the key, the session, and tells no `Location`."""

    async def answer(self, asked: Asked) -> Said:
        if asked.line == "GET /token":
            return minted("ek_of_the_server")
        if asked.line == "POST /session":
            sdp = await self.call(asked.body, {"instructions": "Be brief."})
            return Said(200, sdp.encode(), "application/sdp")
        return Said(404, b"Cannot find it", "text/plain")


class Proxy:
    """Leads to one port on this machine, whatever host is asked for, and notes the heads of the requests to itself."""

    def __init__(self, port: int) -> None:
        self.heads: list[str] = []
        self._to = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                threading.Thread(target=self._tunnel, args=(client,), daemon=True).start()

    def _tunnel(self, client: socket.socket) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += client.recv(1)
        self.heads.append(head.decode())
        there = socket.create_connection(("127.0.0.1", self._to))
        if head.startswith(b"CONNECT "):
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            there.sendall(head)
        back = threading.Thread(target=_copy, args=(there, client), daemon=True)
        back.start()
        _copy(client, there)
        back.join()
        client.close()
        there.close()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


def parts_of(asked: Asked) -> dict[str, bytes]:
    """The parts of a multipart body by name."""
    boundary = asked.headers["content-type"].partition("boundary=")[2].encode()
    parts = {}
    for part in asked.body.split(b"--" + boundary)[1:-1]:
        head, _, content = part.partition(b"\r\n\r\n")
        parts[head.decode().partition('name="')[2].partition('"')[0]] = content.removesuffix(b"\r\n")
    return parts
