"""`rtcli talk` on a terminal: what keys and typed lines mean to the call."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from rtcli.call import Call
from rtcli.commands.slash import COMMANDS, Local, meaning_of
from rtcli.errors import UsageError
from rtcli.protocol.intents import HangUp, Intent, Interrupt, Mistyped, Mute, Talk
from rtcli.settings import Settings
from rtcli.terminal.prompt import Keys
from rtcli.terminal.screen import Screen


class LiveScreen:
    """A screen and its call: face and source in one."""

    def __init__(self, settings: Settings, *, ptt: bool, history: Path | None, quiet: bool, color: bool) -> None:
        self._call: Call | None = None
        self.screen = Screen(
            Keys(
                line=self._line,
                end=lambda: self._post(HangUp()),
                hang_up=lambda: self._post(HangUp("interrupted")),
                mute=lambda: self._post(Talk() if ptt else Mute()),
                interrupt=lambda: self._post(Interrupt()),
                events=lambda: self.screen.cycle_detail(),  # noqa: PLW0108 - the screen is not made yet
            ),
            commands=COMMANDS,
            detail=settings.events,
            history=history,
            color=color,
            quiet=quiet,
        )

    def start(self, call: Call) -> None:
        """On the loop, in the main thread."""
        self._call = call
        self.screen.start()
        if sys.platform != "win32":
            signal.signal(signal.SIGCONT, lambda *_: self.screen.resume())
            signal.signal(signal.SIGWINCH, lambda *_: self.screen.resize())

    def _post(self, intent: Intent) -> None:
        if self._call is not None:
            self._call.post(intent)

    def _line(self, line: str) -> None:
        """A typed line, in the prompt's thread, which must not wait for the call."""
        if line.startswith("/"):
            self.screen.echo(line)
        else:
            self.screen.say(line)
        try:
            meaning = meaning_of(line)
        except UsageError as error:
            self._post(Mistyped(str(error)))
            return
        if isinstance(meaning, Local):
            self.screen.perform(meaning.what)
        else:
            self._post(meaning)
