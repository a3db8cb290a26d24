"""Chromium without a window, driven over its DevTools protocol: a page is opened, looked at and typed into."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from websockets.asyncio.client import ClientConnection, connect

from tests.browser.chromium import chromium, flags


LIMIT = 60.0
"""Seconds; a browser takes its time on a busy machine."""


class Page:
    """One tab. JavaScript goes in, JSON values come out."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)

    async def ask(self, method: str, **parameters: Any) -> Any:
        number = next(self._numbers)
        await self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            answer = json.loads(await self._socket.recv())
            if answer.get("id") == number:
                assert "error" not in answer, answer
                return answer["result"]

    async def evaluate(self, script: str) -> Any:
        """The value of an expression, awaited if it is a promise."""
        told = await self.ask(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True
        )
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    async def until(self, condition: str, limit: float = LIMIT) -> Any:
        """Wait until an expression is truthy; its value."""
        try:
            async with asyncio.timeout(limit):
                return await self.evaluate(
                    "new Promise(done => { const look = () => { const value = (() => "
                    f"{condition})(); if (value) done(value); else setTimeout(look, 50); }}; look(); }})"
                )
        except TimeoutError:
            raise AssertionError(
                f"never: {condition}; the page: {await self.evaluate('document.body.innerText')}"
            ) from None

    async def click(self, selector: str) -> None:
        await self.evaluate(f"document.querySelector({json.dumps(selector)}).click()")

    async def key(self, key: str, text: str = "") -> None:
        """Press a key where the focus is."""
        code = {"Enter": 13, "Tab": 9, "Escape": 27, "Delete": 46}.get(key, 0)
        what = {"key": key, "code": key, "windowsVirtualKeyCode": code, "text": text}
        await self.ask("Input.dispatchKeyEvent", type="keyDown", **what)
        await self.ask("Input.dispatchKeyEvent", type="keyUp", **what)

    async def type(self, text: str) -> None:
        await self.ask("Input.insertText", text=text)

    async def screenshot(self, path: Path, *, width: int, dark: bool) -> None:
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        await self.ask("Emulation.setEmulatedMedia", features=scheme)
        await self.ask(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600
        )
        await asyncio.sleep(0.3)  # for a frame to be drawn
        shot = await self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        await asyncio.to_thread(path.write_bytes, base64.b64decode(shot["data"]))


@asynccontextmanager
async def driving(url: str, profile: Path, *more: str) -> AsyncIterator[Page]:
    """Chromium at `url`; `more`: further flags."""
    process = await asyncio.create_subprocess_exec(
        chromium(),
        *flags(profile),
        "--remote-debugging-port=0",
        *more,
        url,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
        env={**os.environ, "HOME": str(profile)},
    )
    try:
        socket = await connect(await _address(profile, url), max_size=None, compression=None, proxy=None)
        async with socket:
            page = Page(socket)
            await _loaded(page)
            yield page
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def _loaded(page: Page) -> None:
    async with asyncio.timeout(LIMIT):
        while True:
            with contextlib.suppress(AssertionError):  # between two documents there is none to ask
                if await page.evaluate("location.href != 'about:blank' && document.readyState == 'complete'"):
                    return
            await asyncio.sleep(0.1)


async def _address(profile: Path, url: str) -> str:
    """Of the tab that shows `url`."""
    told = profile / "DevToolsActivePort"

    def tabs() -> list[dict[str, str]]:
        port = told.read_text().splitlines()[0]
        with urlopen(f"http://127.0.0.1:{port}/json/list") as answer:
            return list(json.load(answer))

    async with asyncio.timeout(LIMIT):
        while True:
            with contextlib.suppress(OSError, IndexError):
                for tab in await asyncio.to_thread(tabs):
                    if tab["url"].startswith(url):
                        return tab["webSocketDebuggerUrl"]
            await asyncio.sleep(0.1)
