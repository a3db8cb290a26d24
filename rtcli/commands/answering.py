"""Answers the model's function calls with the user's programs, beside the call."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable

from rtcli import tools
from rtcli.protocol.intents import Intent, ToolOutput
from rtcli.protocol.updates import ToolWanted, Update, Warned
from rtcli.terminal.text import safe


Ask = Callable[[str], Awaitable[bool]]
"""Whether the user allows it; takes a question for people, not made safe yet."""
MOST = 8
"""Runs at once."""
LONGEST = 200
"""Characters of the arguments in a question."""


class Answering:
    """Of one call; lives on its loop."""

    def __init__(self, given: tuple[tools.Tool, ...], ask: Ask | None) -> None:
        """`ask`: None where everything is allowed."""
        self._tools = {tool.name: tool for tool in given}
        self._ask = ask
        self._one_question = asyncio.Lock()
        self._room = asyncio.Semaphore(MOST)
        self._running: set[asyncio.Task[None]] = set()

    def watch(self, update: Update, post: Callable[[Intent], None], tell: Callable[[Update], None]) -> None:
        if isinstance(update, ToolWanted):
            task = asyncio.get_running_loop().create_task(self._answer(update, post, tell))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def close(self) -> None:
        """Kill what runs."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _answer(self, wanted: ToolWanted, post: Callable[[Intent], None], tell: Callable[[Update], None]) -> None:
        try:
            async with self._room:
                output = await self._output(wanted)
        except tools.ToolFailed as failed:
            tell(Warned(str(failed), "tool"))
            output = tools.failure(str(failed))
        post(ToolOutput(wanted.call_id, output))

    async def _output(self, wanted: ToolWanted) -> str:
        """Raises ToolFailed."""
        tool = self._tools.get(wanted.name)
        if tool is None:
            raise tools.ToolFailed(f"the model called {wanted.name!r}, and there is no such tool")
        if self._ask is not None:
            async with self._one_question:
                if not await self._ask(f"run {tool.path.name} with {wanted.arguments[:LONGEST]}?"):
                    raise tools.ToolFailed(f"the user did not allow {tool.name}")
        return await tools.run(tool, wanted.arguments or "{}")


async def ask_on_terminal(question: str) -> bool:
    """For a command whose standard input is a terminal that nobody else reads. No is the answer to everything but y."""
    sys.stderr.write(f"{safe(question)} [y/N] ")
    sys.stderr.flush()
    answered: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    loop, descriptor = asyncio.get_running_loop(), sys.stdin.fileno()

    def readable() -> None:
        line = sys.stdin.readline()
        if not answered.done():
            answered.set_result(line)

    try:
        loop.add_reader(descriptor, readable)
    except (NotImplementedError, OSError):  # Windows, or not a terminal after all
        return (await asyncio.to_thread(sys.stdin.readline)).strip().lower() in {"y", "yes"}
    try:
        return (await answered).strip().lower() in {"y", "yes"}
    finally:
        loop.remove_reader(descriptor)


async def nobody_to_ask(question: str) -> bool:
    """Raises ToolFailed: on a terminal without a prompt."""
    raise tools.ToolFailed(f"nobody can be asked here whether to {question[:LONGEST]} --yes-tools allows it")
