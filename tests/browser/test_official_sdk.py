"""OpenAI's own JavaScript SDK in Chromium, unchanged: against the sandbox, and with `rtcli serve` as its base URL."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.browser.chromium import chromium
from tests.browser.driven import Page, driving
from tests.browser.npm import official_sdk
from tests.browser.serving import microphone, running


PAGE = Path(__file__).parent / "sdk.html"


class _Files(SimpleHTTPRequestHandler):
    extensions_map = {".mjs": "text/javascript", ".html": "text/html"}  # noqa: RUF012 - as the base class has it

    def translate_path(self, path: str) -> str:
        return str(PAGE) if path.startswith("/?") else super().translate_path(path)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Nobody asks."""


@contextmanager
def developers_page(bundle: Path) -> Iterator[str]:
    """A development server on another port: its origin."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Files, directory=str(bundle))) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


async def talks(page: Page) -> None:
    """It connects, hears the question and its own text answered, and no event offends it."""
    await page.until("window.up || window.failed")
    assert await page.evaluate("window.failed") is None
    assert str(await page.evaluate("window.callId")).startswith("rtc_")
    # As the ear likes to write it: 2+3, two-plus three.
    await page.until("/(two|2).{0,3}(plus|[+]).{0,3}(three|3)/i.test(JSON.stringify(window.history_ ?? ''))")
    await page.until("/3 is 5/.test(JSON.stringify(window.history_))")
    await page.until("window.events.some(event => event.type == 'output_audio_buffer.stopped')")
    await page.evaluate("window.say('what is four plus five')")
    await page.until("/5 is 9/.test(JSON.stringify(window.history_))")
    assert await page.evaluate("window.events.filter(event => /error/i.test(event.type))") == []


def test_the_official_sdk_talks_with_the_sandbox(tmp_path: Path) -> None:
    chromium()
    bundle = official_sdk()

    async def run(url: str) -> None:
        async with driving(url, tmp_path / "profile", *microphone(tmp_path)) as page:
            await talks(page)

    with developers_page(bundle) as origin, running(tmp_path / "log", "sandbox", "--port", "0") as base:
        asyncio.run(run(f"{origin}/?base={base}"))


def test_the_official_sdk_talks_through_serve(tmp_path: Path) -> None:
    chromium()
    bundle, log = official_sdk(), tmp_path / "log"

    async def run(url: str) -> None:
        async with driving(url, tmp_path / "profile", *microphone(tmp_path)) as page:
            await talks(page)

    with (
        developers_page(bundle) as origin,
        running(log, "serve", "--sandbox", "--port", "0", "--allow-origin", origin) as server,
    ):
        asyncio.run(run(f"{origin}/?server={server}&base={server}/v1"))
    asked = log.read_text()
    assert "GET /token 200" in asked
    assert "POST /v1/realtime/calls 201" in asked
