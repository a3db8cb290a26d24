"""The line editor at the bottom of the screen; the only file that knows prompt_toolkit.

It runs a loop of its own in a thread of its own: measured, a prompt on the loop that receives RTP held that up for
seconds when nobody read the terminal. What is printed above it goes through `print_above`, whole lines only, which
waits while the terminal does.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prompt_toolkit import PromptSession
from prompt_toolkit.application import get_app, run_in_terminal
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.filters import Condition
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.output import ColorDepth
from prompt_toolkit.patch_stdout import patch_stdout
from prompt_toolkit.shortcuts import CompleteStyle
from prompt_toolkit.styles import Style

from rtcli.terminal.status import Styled


_log = logging.getLogger(__name__)

REDRAW = 0.1
"""Seconds between two redraws at least."""
STYLE = Style.from_dict(
    {
        "bottom-toolbar": "noreverse",
        "you": "ansicyan bold",
        "model": "ansimagenta bold",
        "status.quiet": "",
        "status.calm": "ansigreen",
        "status.busy": "ansiyellow",
        "status.alert": "ansired bold",
        "prompt": "bold",
    }
)


@dataclass(frozen=True, slots=True)
class Keys:
    """What the keys do; each is called in the prompt's thread and must not wait."""

    line: Callable[[str], None]
    """Enter."""
    end: Callable[[], None]
    """Ctrl-D on an empty line."""
    hang_up: Callable[[], None]
    """Ctrl-C."""
    mute: Callable[[], None]
    """Ctrl-T."""
    interrupt: Callable[[], None]
    """Ctrl-X."""
    events: Callable[[], None]
    """Ctrl-E."""


class Prompt:
    def __init__(
        self,
        keys: Keys,
        *,
        above: Callable[[int], Sequence[Sequence[Styled]]],
        below: Callable[[int], Sequence[Styled]],
        commands: Sequence[tuple[str, str]],
        history: Path | None = None,
        color: bool = True,
    ) -> None:
        """`above`, `below`: lines over and under the edited one, for a width in columns; `commands`: name and help."""
        self._keys = keys
        self._above = above
        self._below = below
        self._loop: asyncio.AbstractEventLoop | None = None
        self._running = threading.Event()
        self._over = threading.Event()
        self._closing = False
        self._saved: list[Any] | None = None
        self._session: PromptSession[str] = PromptSession(
            self._message,
            bottom_toolbar=self._toolbar,
            key_bindings=self._bindings(),
            completer=_Commands(commands),
            complete_style=CompleteStyle.READLINE_LIKE,
            reserve_space_for_menu=0,
            history=_history(history),
            style=STYLE,
            color_depth=None if color else ColorDepth.DEPTH_1_BIT,
            enable_suspend=True,
        )
        self._session.app.min_redraw_interval = REDRAW

    # ---- from other threads ----

    def start(self) -> None:
        self._saved = _settings_of_terminal()
        threading.Thread(target=self._run, name="prompt", daemon=True).start()
        self._running.wait(2.0)

    def print_above(self, write: Callable[[], None]) -> None:
        """Run `write`, which prints whole lines, above the prompt; returns when the terminal has taken them."""
        loop = self._loop
        if loop is None or self._over.is_set():
            write()
            return
        try:
            asyncio.run_coroutine_threadsafe(self._write(write), loop).result()
        except (RuntimeError, asyncio.CancelledError):  # the prompt ended meanwhile
            write()

    def refresh(self) -> None:
        """Something that the bottom shows has changed."""
        self._session.app.invalidate()

    def stop(self, timeout: float = 2.0) -> None:
        """End the prompt and give the terminal back."""
        loop = self._loop
        if loop is not None and not self._over.is_set():
            self._closing = True
            try:
                loop.call_soon_threadsafe(self._leave)
            except RuntimeError:  # it ended by itself
                return
            if not self._over.wait(timeout):
                self._give_back()

    def _give_back(self) -> None:
        """The prompt hangs in a terminal that takes nothing: at least its settings are put back."""
        if self._saved is not None:
            import termios

            with suppress(termios.error):
                termios.tcsetattr(sys.stdin.fileno(), termios.TCSANOW, self._saved)

    # ---- in the prompt's thread ----

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except Exception:  # noqa: BLE001 - whatever breaks here, the call ends in order
            _log.exception("the prompt broke")
            self._keys.end()
        finally:
            self._over.set()
            self._running.set()

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        with patch_stdout(raw=True):
            while not self._closing:
                try:
                    line = await self._session.prompt_async(handle_sigint=False, pre_run=self._running.set)
                except EOFError:
                    if not self._closing:
                        self._keys.end()
                    return
                if line.strip():
                    self._keys.line(line)

    async def _write(self, write: Callable[[], None]) -> None:
        if self._session.app.is_running:
            await run_in_terminal_of(self._session, write)
        else:
            write()

    def _leave(self) -> None:
        if self._session.app.is_running:
            self._session.app.exit(exception=EOFError)

    def _message(self) -> StyleAndTextTuples:
        """The unfinished turns, then the prompt; what stays in the scrollback is the prompt alone."""
        text: StyleAndTextTuples = []
        if not self._session.app.is_done:
            for line in self._above(_columns()):
                text += [*line, ("", "\n")]
        return [*text, ("class:prompt", "> ")]

    def _toolbar(self) -> StyleAndTextTuples:
        return list(self._below(_columns()))

    def _bindings(self) -> KeyBindings:
        bindings = KeyBindings()
        empty = Condition(lambda: not get_app().current_buffer.text)
        # Eager, because Ctrl-X is a prefix in the editor's own bindings.
        bindings.add("c-x", eager=True)(_calling(self._keys.interrupt))
        bindings.add("c-t", eager=True)(_calling(self._keys.mute))
        bindings.add("c-e", eager=True)(_calling(self._keys.events))
        bindings.add("c-c", eager=True)(_calling(self._keys.hang_up))
        bindings.add("c-d", filter=empty, eager=True)(_calling(self._keys.end))
        return bindings


def _calling(action: Callable[[], None]) -> Callable[[KeyPressEvent], None]:
    def pressed(_: KeyPressEvent) -> None:
        action()

    return pressed


async def run_in_terminal_of(session: PromptSession[str], write: Callable[[], None]) -> None:
    """`run_in_terminal` finds its application in a context variable, which a call from another thread does not have."""
    from prompt_toolkit.application.current import set_app

    with set_app(session.app):
        await run_in_terminal(write)


def _settings_of_terminal() -> list[Any] | None:
    try:
        import termios
    except ImportError:  # Windows
        return None
    with suppress(termios.error, OSError, ValueError):
        return termios.tcgetattr(sys.stdin.fileno())
    return None


def _columns() -> int:
    return get_app().output.get_size().columns


def _history(path: Path | None) -> History:
    if path is None:
        return InMemoryHistory()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    return FileHistory(str(path))


class _Commands(Completer):
    def __init__(self, commands: Sequence[tuple[str, str]]) -> None:
        self._commands = commands

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        del complete_event
        typed = document.text_before_cursor
        if not typed.startswith("/") or " " in typed:
            return
        for name, text in self._commands:
            if name.startswith(typed):
                yield Completion(name, start_position=-len(typed), display_meta=text)
