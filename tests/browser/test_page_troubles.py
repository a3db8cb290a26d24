"""What goes wrong is told on the page in one line, with what to do, and what still works goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from rtcli.protocol.rest import Endpoint
from tests.browser.chromium import chromium
from tests.browser.driven import Page, driving
from tests.browser.serving import running_process
from tests.server.house import house
from tests.services import Said, error


PROBLEM = "!document.querySelector('#problem').hidden && document.querySelector('#problem').textContent"
STATE = "document.querySelector('#state').textContent"


SEEN = "[...document.querySelectorAll('#events .in')].some(e => e.textContent.includes('output_audio_buffer.{}'))"


def browse(url: str, profile: Path, steps: Callable[[Page], Awaitable[None]]) -> None:
    chromium()

    async def run() -> None:
        async with driving(url, profile, "--deny-permission-prompts") as page:
            await page.until("document.querySelector('#session').textContent")
            await page.click("#call")
            await steps(page)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        (
            error(401, "Incorrect API key provided."),
            "401: Incorrect API key provided. Check the API key of the server.",
        ),
        (error(429, "You exceeded your quota.", "insufficient_quota"), "Add credit to the account."),
        (error(503, "Overloaded.", "server_is_overloaded"), "503: Overloaded. Try again later."),
    ],
    ids=["key", "quota", "overload"],
)
def test_a_refusal_of_the_service_is_told_in_its_words(refusal: Said, words: str, tmp_path: Path) -> None:
    async def steps(page: Page) -> None:
        await page.until(f"({PROBLEM} || '').includes({words!r})")
        await page.until(f"{STATE} == 'idle'")

    with house(refusal) as it:
        browse(it.url, tmp_path, steps)


def test_a_service_out_of_reach_is_told(tmp_path: Path) -> None:
    async def steps(page: Page) -> None:
        await page.until(f"({PROBLEM} || '').startsWith('The service can not be reached')")

    with house(endpoint=Endpoint("http://127.0.0.1:9/v1")) as it:
        browse(it.url, tmp_path, steps)


def test_without_a_microphone_one_types_interrupts_and_is_told_of_the_end(tmp_path: Path) -> None:
    async def steps(page: Page) -> None:
        await page.until(f"({PROBLEM} || '').endsWith('or type.')")
        await page.until(f"{STATE} == 'live'")
        assert await page.evaluate("document.querySelector('#mute').disabled")
        assert await page.evaluate("document.activeElement.id") == "text"
        await page.type("tell me a story")
        await page.key("Enter", "\r")
        await page.until(SEEN.format("started"))
        await page.key("Escape")
        await page.until(SEEN.format("cleared"))
        server.terminate()
        await page.until(f"{STATE} == 'idle'")
        assert "all again." in await page.evaluate(PROBLEM)

    with running_process(tmp_path / "log", "serve", "--sandbox", "--port", "0") as (url, server):
        browse(url, tmp_path / "profile", steps)
