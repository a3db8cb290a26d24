"""The line editor at the bottom of the screen; the only file that knows prompt_toolkit.

It runs a loop of its own in a thread of its own: measured, a prompt on the loop that receives RTP held that up for
seconds when nobody read the terminal. What is printed above it goes through `print_above`, whole lines only, which
waits while the terminal does.

Four things the library does not do for a prompt that lives for an hour are done here, each with its reason beside it:
printing and completing without leaving raw mode, erasing what a resized terminal has wrapped, coming back after a stop.

Over 400 lines because all that knows prompt_toolkit is here, the four repairs included.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from pathlib import Path
from typing import Any

from prompt_toolkit import PromptSession
from prompt_toolkit.application import get_app, run_in_terminal
from prompt_toolkit.application.current import set_app
from prompt_toolkit.data_structures import Point
from prompt_toolkit.filters import Condition
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.layout.screen import Char
from prompt_toolkit.output import ColorDepth
from prompt_toolkit.patch_stdout import patch_stdout
from prompt_toolkit.styles import Style

from rtcli.records import dataclass
from rtcli.terminal.status import Styled


try:
    import termios
except ImportError:  # Windows
    _GONE: tuple[type[Exception], ...] = (OSError,)
else:
    _GONE = (OSError, termios.error)
"""What every use of a terminal that is gone raises."""

_log = logging.getLogger(__name__)

REDRAW = 0.15
"""Seconds between two redraws of the bottom at least; what is typed is drawn at once."""
STOPPING = 0.2
"""Seconds until a process that was sent SIGTSTP has stopped in all its threads."""
_BEGIN, _END = "\x1b[?2026h", "\x1b[?2026l"
"""Synchronized output: the terminal shows what is between them at once. One that does not know it ignores it."""
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
    complete: Callable[[str], list[str]]
    """Tab: what the line up to the cursor may become."""
    choices: Callable[[list[str]], None]
    """Tab, where it may become several things: what they differ in."""


class Prompt:
    def __init__(
        self,
        keys: Keys,
        *,
        above: Callable[[int], Sequence[Sequence[Styled]]],
        below: Callable[[int], Sequence[Styled]],
        history: Path | None = None,
        color: bool = True,
    ) -> None:
        """`above`, `below`: lines over and under the edited one, for a width in columns."""
        self._keys = keys
        self._above = above
        self._below = below
        self._loop: asyncio.AbstractEventLoop | None = None
        self._running = threading.Event()
        self._over = threading.Event()
        self._begun = self._closing = False
        self._stale = False
        """A redraw is due."""
        self._drawn_at = 0.0
        self._stopped: object = None
        """What Ctrl-Z set going."""
        self._back_at = 0.0
        """When the process went on after Ctrl-Z."""
        self._saved: list[Any] | None = None
        self._failure: Exception | None = None
        self._session: PromptSession[str] = PromptSession(
            self._message,
            bottom_toolbar=self._toolbar,
            key_bindings=self._bindings(),
            reserve_space_for_menu=0,
            history=_history(history),
            style=STYLE,
            color_depth=None if color else ColorDepth.DEPTH_1_BIT,
            erase_when_done=True,
        )
        app = self._session.app
        app.renderer.cpr_not_supported_callback = None  # it would warn about what `_has_room` makes harmless
        app._on_resize = self._resized  # type: ignore[method-assign]  # noqa: SLF001 - see there

    # ---- from other threads ----

    def start(self) -> None:
        if self._closing or self._begun:  # or the face broke before there was a call
            return
        self._begun = True
        self._saved = _settings_of_terminal()
        atexit.register(self._give_back)
        threading.Thread(target=self._run, name="prompt", daemon=True).start()
        self._running.wait(2.0)

    def print_above(self, write: Callable[[], int]) -> None:
        """Run `write`, which prints whole lines and gives their number, above the prompt.

        Returns when the terminal has taken them.
        """
        loop = self._loop
        if loop is None or self._over.is_set():
            write()
            return
        try:
            asyncio.run_coroutine_threadsafe(self._write(write), loop).result()
        except (RuntimeError, CancelledError):  # the prompt ended meanwhile
            write()

    def resume(self) -> None:
        """The process was stopped and goes on (SIGCONT)."""
        self._soon(self._continued)

    def resize(self) -> None:
        """The terminal has another size (SIGWINCH). Outside the main thread the library looks twice a second."""
        self._soon(self._follow_size)

    def _soon(self, action: Callable[[], None]) -> None:
        if self._loop is not None and not self._over.is_set():
            with suppress(RuntimeError):  # it ended meanwhile
                self._loop.call_soon_threadsafe(action)

    def refresh(self) -> None:
        """Something that the bottom shows has changed."""
        if not self._stale:
            self._stale = True
            self._soon(self._redraw_in_time)

    def check(self) -> None:
        """Raise what broke the prompt, which is a bug: nobody can type any more."""
        if self._failure is not None:
            raise self._failure

    def stop(self, timeout: float = 2.0) -> None:
        """End the prompt and give the terminal back; it will not start any more."""
        self._closing = True  # before the look at the loop: one that is only coming up looks at this afterwards
        loop = self._loop
        if loop is not None and not self._over.is_set():
            try:
                loop.call_soon_threadsafe(self._leave)
            except RuntimeError:  # it ended by itself
                return
            self._over.wait(timeout)

    def _give_back(self) -> None:
        """At exit: when the prompt hangs in a terminal that takes nothing, at least its settings are put back."""
        if self._saved is not None and not self._over.is_set():
            with suppress(*_GONE, ValueError):
                termios.tcsetattr(sys.stdin.fileno(), termios.TCSANOW, self._saved)

    # ---- in the prompt's thread ----

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except _GONE as error:
            _log.info("the terminal is gone: %s", error)
            self._keys.end()
        except Exception as error:  # noqa: BLE001 - raised where it ends the call in order
            self._failure = error
        finally:
            self._over.set()
            self._running.set()

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(_broken)
        # Raw between two lines too: a key that comes there would be echoed where it tears the screen.
        with patch_stdout(raw=True), self._session.app.input.raw_mode():
            while not self._closing:
                try:
                    line = await self._session.prompt_async(
                        handle_sigint=False, pre_run=self._began, set_exception_handler=False
                    )
                except EOFError:
                    if not self._closing:
                        self._keys.end()
                    return
                if line.strip():
                    self._keys.line(line)

    def _began(self) -> None:
        self._has_room(1)
        self._running.set()
        if self._closing:  # the end came while it began
            asyncio.get_running_loop().call_soon(self._leave)

    def _has_room(self, rows: int) -> None:
        """At least so many rows from the cursor down.

        Without a number the library draws no bottom line until the terminal has said where its cursor is, after each
        print anew; some never do.
        """
        self._session.app.renderer._min_available_height = max(1, rows)  # noqa: SLF001

    def _redraw_in_time(self) -> None:
        due = self._drawn_at + REDRAW - time.monotonic()
        asyncio.get_running_loop().call_later(max(0.0, due), self._redraw)

    def _redraw(self) -> None:
        self._stale = False
        self._drawn_at = time.monotonic()
        self._session.app.invalidate()

    async def _write(self, write: Callable[[], int]) -> None:
        """Print above what is drawn.

        `run_in_terminal` would leave raw mode meanwhile: a key that comes then is echoed where it tears the screen, and
        it waits each time until the terminal has said where the cursor is.
        """
        app = self._session.app
        if not app.is_running:
            write()
            return
        self._follow_size()
        below = app.renderer._min_available_height  # noqa: SLF001
        app.output.write_raw(_BEGIN)
        app.renderer._bracketed_paste_enabled = False  # noqa: SLF001 - so that erasing leaves it on: somebody may paste now
        app.renderer.erase()
        written = 0
        try:
            written = write()
        finally:
            with set_app(app):
                app.renderer.reset()
                app.renderer.request_absolute_cursor_position()
                self._has_room(below - written)
                app._redraw()  # noqa: SLF001 - `invalidate` would leave the prompt away for `REDRAW`
            app.output.write_raw(_END)
            app.output.flush()

    def _resized(self) -> None:
        """The terminal has another size, and most have wrapped what we drew: all of it must be erased."""
        app, renderer = self._session.app, self._session.app.renderer
        cursor, drawn = renderer._cursor_pos, renderer.last_rendered_screen  # noqa: SLF001 - known to nobody else
        if drawn is not None and _wraps(os.environ):
            widths = [_width_of(drawn.data_buffer[row]) for row in range(cursor.y)]
            renderer._cursor_pos = Point(*wrapped(widths, cursor.x, app.output.get_size().columns))  # noqa: SLF001
        renderer.erase(leave_alternate_screen=False)
        renderer.request_absolute_cursor_position()
        self._has_room(1)
        app._redraw()  # noqa: SLF001 - what `_on_resize` does

    def _follow_size(self) -> None:
        app = self._session.app
        size = app.renderer._last_size  # noqa: SLF001 - of what is drawn
        if app.is_running and size is not None and size != app.output.get_size():
            with set_app(app):
                self._resized()

    def _complete(self, pressed: KeyPressEvent) -> None:
        """The library's own way leaves raw mode to list what there is."""
        buffer = pressed.current_buffer
        typed = buffer.document.text_before_cursor
        found = self._keys.complete(typed)
        common = os.path.commonprefix(found)  # noqa: RUF071 - character by character is what is meant
        if len(found) == 1 or (len(common) > len(typed) and common.startswith(typed)):
            buffer.delete_before_cursor(len(typed))
            buffer.insert_text(common)
        elif found:
            self._keys.choices([each[differing(common) :] for each in found])

    def _suspend(self, _: KeyPressEvent) -> None:
        self._follow_size()
        self._stopped = run_in_terminal(self._stop)

    def _stop(self) -> None:
        """Stop the whole group, as a shell expects of Ctrl-Z: it may have started us through another program."""
        os.kill(0, signal.SIGTSTP)
        # Another thread may take the signal; this one must not go on to raw mode while it does.
        time.sleep(STOPPING)
        self._back_at = time.monotonic()

    def _continued(self) -> None:
        """Whatever ran meanwhile set the terminal as it liked."""
        app = self._session.app
        if app.is_running:
            with suppress(*_GONE):  # the window was closed, which comes with SIGCONT too
                app.input.raw_mode().__enter__()
            if time.monotonic() - self._back_at > 1:  # stopped by somebody else, and nothing is drawn yet
                app.renderer.reset()
            app.invalidate()

    def _leave(self) -> None:
        app = self._session.app
        if app.is_running and not app.is_done:  # Enter, or the end of the terminal, may have been quicker
            app.exit(exception=EOFError)

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
        bindings.add("tab", eager=True)(self._complete)
        # The library's own takes a line at a time, which is no way out of a paste of forty.
        bindings.add("c-u", eager=True)(_clear)
        bindings.add("c-c", eager=True)(_calling(self._keys.hang_up))
        bindings.add("c-d", filter=empty, eager=True)(_calling(self._keys.end))
        if hasattr(signal, "SIGTSTP"):
            bindings.add("c-z", eager=True)(self._suspend)
        return bindings


def _broken(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """A callback failed. In a terminal that is gone all of them do; `prompt_async` ends by itself then."""
    if isinstance(context.get("exception"), _GONE):
        _log.info("the terminal is gone: %s", context["exception"])
    else:
        loop.default_exception_handler(context)


def _calling(action: Callable[[], None]) -> Callable[[KeyPressEvent], None]:
    def pressed(_: KeyPressEvent) -> None:
        action()

    return pressed


def _clear(pressed: KeyPressEvent) -> None:
    buffer = pressed.current_buffer
    pressed.app.clipboard.set_text(buffer.delete_before_cursor(len(buffer.document.text_before_cursor)))


def differing(common: str) -> int:
    """Where the word begins in which lines differ that begin with `common`."""
    return max(common.rfind(" "), common.rfind("/", 1)) + 1


def wrapped(widths: Sequence[int], column: int, columns: int) -> tuple[int, int]:
    """Where the cursor is after lines of these `widths` above its own were wrapped to `columns`: column and row."""
    above = sum(max(1, -(-width // columns)) for width in widths)
    return column % columns, above + column // columns


def _wraps(environ: Mapping[str, str]) -> bool:
    """Nearly all terminals wrap what stands there when they become narrower; these cut it off."""
    return not ("XTERM_VERSION" in environ or "STY" in environ or environ.get("TERM", "").startswith(("rxvt", "linux")))


def _width_of(row: Mapping[int, Char]) -> int:
    return max((column + char.width for column, char in row.items() if char.char.strip()), default=0)


def _settings_of_terminal() -> list[Any] | None:
    if sys.platform != "win32":
        with suppress(*_GONE, ValueError):
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
