"""The page of `rtcli serve` in Chromium, against the sandbox: it is spoken and typed to, and it is looked at."""

from __future__ import annotations

import asyncio
import json
import os
import re
from pathlib import Path

from tests.browser.chromium import chromium
from tests.browser.driven import Page, driving
from tests.browser.serving import microphone, running


FIRST_SOUND = "parseInt(document.querySelector('#turns tr')?.cells[3].textContent)"
"""The page's own figure of the latest turn, milliseconds."""
STATE = "document.querySelector('#state').textContent"
SHOWN = "[...document.querySelectorAll('#events details:not([hidden])')]"


async def words(page: Page, who: str) -> str:
    return str(
        await page.evaluate(
            f"[...document.querySelectorAll('#transcript .{who} span')].map(s => s.textContent).join(' | ')"
        )
    )


async def call(page: Page, way: str) -> None:
    await page.until("document.querySelector('#session').textContent")
    await page.click(f"[value={way}]")
    await page.click("#call")
    await page.until(f"{STATE} == 'live'")


def test_the_page_holds_a_spoken_and_a_typed_conversation_through_the_server(tmp_path: Path) -> None:
    chromium()
    log = tmp_path / "access.log"
    shots = Path(os.environ.get("RTCLI_SCREENSHOTS", tmp_path))
    """Where to look at the page afterwards."""

    async def run(url: str) -> None:
        async with driving(url, tmp_path / "profile", *microphone(tmp_path)) as page:
            await call(page, "session")
            await spoken(page)
            await typed(page)
            await looked_up(page)
            for width, dark in ((1200, False), (1200, True), (390, False), (390, True)):
                await page.screenshot(shots / f"page-{width}-{'dark' if dark else 'light'}.png", width=width, dark=dark)
            await page.click("#call")
            await page.until(f"{STATE} == 'idle'")
            assert await page.evaluate("document.querySelector('#problem').hidden")

    with running(log, "serve", "--sandbox", "--port", "0") as url:
        asyncio.run(run(url))
    asked = log.read_text()
    assert "POST /session 201" in asked
    assert "GET /token" not in asked


def test_the_page_speaks_with_a_key_of_its_own_too(tmp_path: Path) -> None:
    chromium()
    log = tmp_path / "access.log"

    async def run(url: str) -> None:
        async with driving(url, tmp_path / "profile", *microphone(tmp_path)) as page:
            await call(page, "token")
            await spoken(page)

    with running(log, "serve", "--sandbox", "--port", "0") as url:
        asyncio.run(run(url))
    asked = log.read_text()
    assert "GET /token 200" in asked
    assert "POST" not in asked  # the offer went to the service itself


async def spoken(page: Page) -> None:
    """The microphone's question is written down, and its answer is written, heard and timed."""
    await page.until(f"{FIRST_SOUND} > 0")
    await page.until("document.querySelector('#transcript .model span')?.textContent.includes('5')")
    assert re.search("(two|2).{0,3}(plus|[+]).{0,3}(three|3)", await words(page, "you"), re.IGNORECASE)
    assert 0 < await page.evaluate(FIRST_SOUND) < 20_000
    await page.until("document.querySelector('#figures').textContent.includes('heardyes')")  # of getStats


async def typed(page: Page) -> None:
    """With the keyboard alone."""
    await page.evaluate("document.querySelector('#text').focus()")
    await page.type("what is four plus five")
    await page.key("Enter", "\r")
    await page.until("[...document.querySelectorAll('#transcript .model span')].at(-1).textContent.includes('9')")
    assert "four plus five" in await words(page, "you")
    assert await page.until("document.querySelector('#turns tr').cells[1].textContent") == "text"
    await page.until(f"{FIRST_SOUND} > 0")
    await page.type("<img src=x onerror='window.hacked = 1'>")
    await page.key("Enter", "\r")
    await page.until("document.querySelector('#transcript').textContent.includes('<img src=x')")
    assert await page.evaluate("document.images.length + (window.hacked ?? 0)") == 0


async def looked_up(page: Page) -> None:
    """The event log is filtered, and an event's JSON opened."""
    assert not await page.evaluate(f"{SHOWN}.some(line => line.textContent.includes('.delta'))")
    await page.evaluate("document.querySelector('#filter').focus()")
    await page.type("response.done")
    await page.until(f"{SHOWN}.length > 0 && {SHOWN}.every(line => line.textContent.includes('response.done'))")
    await page.evaluate(f"{SHOWN}[0].querySelector('summary').focus()")
    await page.key("Enter", "\r")
    opened = await page.until(f"{SHOWN}[0].querySelector('pre')?.textContent")
    assert json.loads(opened)["response"]["status"] == "completed"
    await page.evaluate("document.querySelector('#filter').select()")
    await page.type("speech_stopped")
    await page.until(f"{SHOWN}.length == 1")
    await page.evaluate("document.querySelector('#filter').select()")
    await page.key("Delete")
    await page.until(f"{SHOWN}.length > 1")
