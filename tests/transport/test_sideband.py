"""The sideband's client against servers that do everything wrong, on real sockets."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus

import pytest
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response

from rtcli.errors import AuthError, CallLost, ConnectError, EventTooLarge, RtcliError, ServiceError, UsageError
from rtcli.protocol.rest import Endpoint, checked_call_id, sideband_request
from rtcli.protocol.secret import Secret
from rtcli.transport import sideband
from rtcli.transport.base import Down, Joined, Message
from rtcli.transport.sideband import Keepalive, Sideband


KEY = Secret("sk-very-secret")
SESSION = '{"type":"session.created","event_id":"e","session":{"type":"realtime","id":"sess_1"}}'
Handler = Callable[[ServerConnection], Awaitable[None]]


def url_of(server: Server) -> str:
    return f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"


class Guest:
    """A client in front of one server."""

    def __init__(self, base_url: str, keepalive: Keepalive | None = None) -> None:
        self.signals: asyncio.Queue[Message | Down] = asyncio.Queue()
        self.hung_up = 0
        request = sideband_request(Endpoint(base_url), KEY, "rtc_1")
        self.channel = Sideband(request, "rtc_1", self._hang_up, keepalive=keepalive)

    async def _hang_up(self) -> None:
        self.hung_up += 1

    async def open(self, limit: float = 5.0) -> None:
        found = await self.channel.join(self.signals.put_nowait, limit=limit)
        assert found == Joined("rtc_1", "rtc_1", {})

    async def next(self) -> Message | Down:
        async with asyncio.timeout(10):
            return await self.signals.get()


def against(handler: Handler, test: Callable[[Guest], Awaitable[None]], keepalive: Keepalive | None = None) -> None:
    async def whole() -> None:
        async with serve(handler, "127.0.0.1", 0, max_size=None, ping_interval=None, close_timeout=0.1) as server:
            joined = Guest(url_of(server), keepalive)
            await joined.open()
            await test(joined)
            await joined.channel.close()
            await joined.channel.close()

    asyncio.run(whole())


@pytest.fixture(autouse=True)
def no_greeting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most of these servers never say what the session is."""
    monkeypatch.setattr(sideband, "GREETING", 0.05)


def test_the_session_is_known_from_the_first_event_and_the_event_comes_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sideband, "GREETING", 5.0)

    async def greet(connection: ServerConnection) -> None:
        await connection.send(SESSION)
        await connection.wait_closed()

    async def whole() -> None:
        async with serve(greet, "127.0.0.1", 0) as server:
            joined = Guest(url_of(server))
            found = await joined.channel.join(joined.signals.put_nowait, limit=5)
            assert found.session == {"type": "realtime", "id": "sess_1"}
            assert await joined.next() == Message(SESSION)
            await joined.channel.hang_up()
            assert joined.hung_up == 1
            await joined.channel.close()

    asyncio.run(whole())


def end_of(handler: Handler, keepalive: Keepalive | None = None) -> Down:
    """What is told of the end when the server does this."""
    found: list[Down] = []

    async def test(joined: Guest) -> None:
        while not isinstance(signal := await joined.next(), Down):
            pass
        found.append(signal)
        with pytest.raises(CallLost):
            joined.channel.send("{}")

    against(handler, test, keepalive)
    return found[0]


def test_messages_go_both_ways_in_order_and_the_rest_goes_out_before_the_goodbye() -> None:
    received: list[str | bytes] = []

    async def echo(connection: ServerConnection) -> None:
        async for message in connection:
            received.append(message)
            if len(received) <= 2:
                await connection.send(message)

    async def test(joined: Guest) -> None:
        joined.channel.send('{"n":1}')
        joined.channel.send('{"n":2}')
        assert [await joined.next(), await joined.next()] == [Message('{"n":1}'), Message('{"n":2}')]
        for number in range(100):
            joined.channel.send(f'{{"n":{number}}}')
        assert joined.channel.buffered > 0

    against(echo, test)
    assert len(received) == 102


def test_the_request_names_the_call_and_carries_the_key() -> None:
    seen: list[tuple[str, str | None, str | None]] = []

    async def look(connection: ServerConnection) -> None:
        assert connection.request is not None
        headers = connection.request.headers
        seen.append((connection.request.path, headers.get("Authorization"), headers.get("User-Agent")))
        await connection.close()

    assert end_of(look).orderly
    assert seen == [("/v1/realtime?call_id=rtc_1", "Bearer sk-very-secret", "rtcli")]


@pytest.mark.parametrize(
    ("code", "reason", "told", "orderly"),
    [
        (1000, "", "the other side closed the connection", True),
        (1001, "Your session hit the maximum duration of 60 minutes.", "60 minutes", True),
        (4000, "beta_api_shape_disabled", "4000 beta_api_shape_disabled", False),
        (1011, "oh\x1b[31m no", "1011 oh [31m no", False),
    ],
)
def test_a_goodbye_is_told_in_the_servers_words(code: int, reason: str, told: str, orderly: bool) -> None:
    async def close(connection: ServerConnection) -> None:
        await connection.close(code, reason)

    down = end_of(close)
    assert told in down.reason
    assert down.orderly is orderly


def test_a_connection_that_breaks_off_is_no_goodbye() -> None:
    async def abort(connection: ServerConnection) -> None:
        connection.transport.abort()

    assert end_of(abort) == Down("the connection broke off", orderly=False)


def test_a_server_that_never_answers_a_ping_is_gone() -> None:
    async def deaf(connection: ServerConnection) -> None:
        connection.transport.pause_reading()
        await asyncio.sleep(1)

    assert end_of(deaf, Keepalive(0.1, 0.2)) == Down("nothing came back for 0.2 s", orderly=False)


def test_an_endless_event_ends_the_call_and_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sideband, "LARGEST_IN", 10_000)

    async def flood(connection: ServerConnection) -> None:
        await connection.send("x" * 10_001)
        await connection.wait_closed()

    assert end_of(flood) == Down("the other side sent an event of more than 10000 bytes", orderly=False)


def test_bytes_are_handed_on_as_they_came() -> None:
    async def binary(connection: ServerConnection) -> None:
        await connection.send(b"\xff\x00")
        await connection.wait_closed()

    async def test(joined: Guest) -> None:
        assert await joined.next() == Message(b"\xff\x00")

    against(binary, test)


def test_frames_that_are_none_end_the_call() -> None:
    async def junk(connection: ServerConnection) -> None:
        connection.transport.write(b"\xff\xff\xff\xff" * 8)
        await connection.wait_closed()

    down = end_of(junk)
    assert "does not speak WebSocket" in down.reason
    assert not down.orderly


def test_an_event_above_the_limit_is_refused_before_sending(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sideband, "LARGEST_OUT", 100)

    async def idle(connection: ServerConnection) -> None:
        await connection.wait_closed()

    async def test(joined: Guest) -> None:
        with pytest.raises(EventTooLarge, match="101 bytes"):
            joined.channel.send("x" * 101)
        joined.channel.send("{}")

    against(idle, test)


# --- no connection ----------------------------------------------------------------------------------------------------


async def _error(base_url: str, limit: float = 2.0) -> RtcliError:
    joined = Guest(base_url)
    with pytest.raises(RtcliError) as raised:
        await joined.channel.join(joined.signals.put_nowait, limit=limit)
    await joined.channel.close()
    assert "secret" not in repr(raised.value)
    assert raised.value.__cause__ is None
    assert raised.value.__context__ is None or raised.value.__suppress_context__
    return raised.value


def refused_with(status: int, body: str = "", **headers: str) -> RtcliError:
    async def whole() -> RtcliError:
        def refuse(connection: ServerConnection, request: Request) -> Response:
            response = connection.respond(HTTPStatus(status), body)
            for name, value in headers.items():
                response.headers[name] = value
            return response

        async def unused(connection: ServerConnection) -> None: ...

        async with serve(unused, "127.0.0.1", 0, process_request=refuse) as server:
            return await _error(url_of(server))

    return asyncio.run(whole())


def test_a_refusal_is_told_in_the_services_words_and_without_the_key() -> None:
    body = '{"error":{"message":"Incorrect API key provided: sk-very-secret.","code":"invalid_api_key"}}'
    error = refused_with(401, body)
    assert isinstance(error, AuthError)
    assert "Incorrect API key" in str(error)
    assert isinstance(refused_with(403), AuthError)
    gone = refused_with(404, '{"error":{"message":"No call with id \'rtc_1\'.","code":"call_not_found"}}')
    assert isinstance(gone, ServiceError)
    assert (gone.status, gone.code) == (404, "call_not_found")


def test_a_redirect_is_not_followed_with_the_key() -> None:
    error = refused_with(307, Location="ws://127.0.0.1:1/v1/realtime")
    assert isinstance(error, ServiceError)
    assert "another address" in str(error)


def test_who_is_not_there_or_speaks_otherwise_is_named() -> None:
    async def whole() -> None:
        async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            writer.close()

        silent = await asyncio.start_server(wait, "127.0.0.1", 0)
        address = silent.sockets[0].getsockname()[1]
        error = await _error(f"http://127.0.0.1:{address}/v1", limit=0.3)
        assert str(error) == f"no WebSocket with 127.0.0.1:{address} within 0.3 s"
        silent.close()

        async def mumble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"220 mail.example ESMTP\r\n")
            await reader.read()
            writer.close()

        other = await asyncio.start_server(mumble, "127.0.0.1", 0)
        address = other.sockets[0].getsockname()[1]
        error = await _error(f"http://127.0.0.1:{address}/v1")
        assert "does not speak WebSocket" in str(error)
        other.close()
        error = await _error(f"http://127.0.0.1:{address}/v1")
        assert isinstance(error, ConnectError)
        assert "refuses connections" in str(error)

    asyncio.run(whole())


def test_a_key_never_travels_unencrypted_nor_into_the_log(caplog: pytest.LogCaptureFixture) -> None:
    error = asyncio.run(_error("http://voice.example.com/v1"))
    assert isinstance(error, UsageError)
    caplog.set_level(logging.DEBUG)

    async def close(connection: ServerConnection) -> None:
        await connection.close()

    assert end_of(close).orderly
    assert "very-secret" not in "".join(record.getMessage() for record in caplog.records if "server" not in record.name)


@pytest.mark.parametrize("text", ["", "..", "a/b", "a?b", "a b", "rtc_\n", "é", "x" * 201])
def test_what_could_mean_another_address_is_no_calls_id(text: str) -> None:
    with pytest.raises(UsageError):
        checked_call_id(text)
