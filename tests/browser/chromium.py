"""Chromium without a window, and the little server its page talks to."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import ifaddr
import pytest


Handler = Callable[[str], Awaitable[object]]
"""Takes a request's JSON body as text, gives what the answer's JSON is made of."""


def chromium() -> str:
    """Its path, or the reason why it is not tested."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path:
        return path
    message = "NOT TESTED WITH A BROWSER: no Chromium is installed"
    if os.environ.get("RTCLI_REQUIRE_ALL") == "1":
        pytest.fail(message)
    pytest.skip(message)


@asynccontextmanager
async def browsing(page: Path, query: str, handlers: Mapping[str, Handler], profile: Path) -> AsyncIterator[None]:
    """Chromium on `page`, whose requests go to `handlers` by `METHOD /path`."""
    html = page.read_bytes()  # noqa: ASYNC240 - once, before anything runs

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            method, target, _ = head.split("\r\n", 1)[0].split(" ")
            sizes = [line.split(":")[1] for line in head.lower().split("\r\n") if line.startswith("content-length:")]
            body = (await reader.readexactly(int(sizes[0] if sizes else 0))).decode()
            handler = handlers.get(f"{method} {target}")
            if target.startswith("/?"):
                kind, data = "text/html", html
            else:
                kind, data = "application/json", json.dumps(await handler(body) if handler else None).encode()
            fields = f"Content-Type: {kind}\r\nContent-Length: {len(data)}\r\nConnection: close"
            writer.write(f"HTTP/1.1 200 OK\r\n{fields}\r\n\r\n".encode() + data)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        chromium(),
        *flags(profile),
        f"http://127.0.0.1:{port}/?{query}",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
        env={**os.environ, "HOME": str(profile)},
    )
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        server.close()
        await server.wait_closed()


def flags(profile: Path) -> list[str]:
    flags = [
        "--headless=new",
        "--no-sandbox",
        "--no-first-run",
        "--disable-gpu",
        "--autoplay-policy=no-user-gesture-required",
        f"--user-data-dir={profile}",
    ]
    addresses = {address.ip for adapter in ifaddr.get_adapters() for address in adapter.ips if address.is_IPv4}
    if not addresses - {"127.0.0.1"}:
        # Where nothing but loopback is up, Chromium finds no address of its own without the first, and can not hide it
        # behind a name.
        flags += ["--allow-loopback-in-peer-connection", "--disable-features=WebRtcHideLocalIpsWithMdns"]
    return flags
