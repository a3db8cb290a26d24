"""`rtcli talk` on a terminal: what keys and typed lines mean to the call."""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from rtcli import wiring
from rtcli.commands.completing import completed, listed
from rtcli.commands.devices import choice_of
from rtcli.commands.outgoing import ENVELOPE, LIMIT_UNSAID, image_bytes
from rtcli.commands.running import Held
from rtcli.commands.slash import ANSWERS_NOTHING, COMMANDS, Local, ShowImage, meaning_of, turns_by_hand
from rtcli.commands.window import Window
from rtcli.errors import RtcliError, UsageError
from rtcli.protocol.intents import Intent, Interrupt, Mute, Say, SetVolume, Talk, UseDevice
from rtcli.settings import Settings
from rtcli.terminal.prompt import Keys
from rtcli.terminal.screen import Screen


if TYPE_CHECKING:
    from rtcli.audio.base import Device


class LiveScreen:
    """A screen and its call: face and source in one."""

    def __init__(
        self, settings: Settings, *, ptt: bool, history: Path | None, quiet: bool, color: bool, at_once: bool = False
    ) -> None:
        """`at_once`: show the prompt before there is a call. Not where a keyring may ask for a password meanwhile."""
        self._call: Held | None = None
        self._intents: deque[Intent] = deque()
        """On their way to the call, or waiting for it."""
        self._choices: tuple[UseDevice, ...] = ()
        """What a number typed next would change to."""
        self._devices: Sequence[Device] = ()
        """As far as they are known."""
        self._ptt = ptt
        self._answer: Callable[[str], None] | None = None
        """Takes the next line, when a question is open."""
        self._window = Window()
        self.screen = Screen(
            Keys(
                line=self._line,
                end=self._end,
                hang_up=_interrupt,
                mute=lambda: self._post(Talk() if self._ptt else Mute()),
                interrupt=lambda: self._post(Interrupt()),
                events=lambda: self.screen.cycle_detail(),  # noqa: PLW0108 - the screen is not made yet
                complete=lambda typed: completed(typed, self._known_devices),
                choices=lambda found: self.screen.tell([listed(found)]),
            ),
            commands=COMMANDS,
            detail=settings.events,
            history=history,
            ptt=ptt,
            color=color,
            quiet=quiet,
            at_once=at_once,
        )

    def start(self, call: Held) -> None:
        """On the loop, in the main thread."""
        self._call = call
        self._deliver()
        self.screen.start()
        if sys.platform != "win32":
            signal.signal(signal.SIGCONT, lambda *_: self.screen.resume())
            signal.signal(signal.SIGWINCH, lambda *_: self.screen.resize())

    def _post(self, *intents: Intent) -> None:
        self._intents.extend(intents)
        self._deliver()

    def _deliver(self) -> None:
        while self._call is not None and self._intents:
            with suppress(IndexError):  # the other thread was quicker
                self._call.post(self._intents.popleft())

    def _end(self) -> None:
        """Ctrl-D, or the terminal has ended."""
        if self._call is not None:
            self._post(self._window.end("hung up"))
        else:
            signal.raise_signal(signal.SIGHUP if self._window.is_gone() else signal.SIGINT)

    # ---- a typed line, in the prompt's thread, which must wait for nothing ----

    async def ask(self, question: str) -> bool:
        """The next line that is typed is the answer; everything but y is no."""
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[bool] = loop.create_future()

        def answer(line: str) -> None:
            allowed = line.strip().lower() in {"y", "yes"}
            loop.call_soon_threadsafe(lambda: None if answered.done() else answered.set_result(allowed))

        self._answer = answer
        self.screen.tell([f"{question} y/N"])
        try:
            return await answered
        finally:
            self._answer = None

    def _line(self, line: str) -> None:
        if (answer := self._answer) is not None:
            self._answer = None
            self.screen.echo(line)
            answer(line)
            return
        choices, self._choices = self._choices, ()
        if choices and line.strip().isdecimal():
            self.screen.echo(line)
            self._choose(choices, int(line))
            return
        if line.startswith("/") or self.screen.status.transcribes:
            self.screen.echo(line)
        else:
            self.screen.say(line)
        try:
            self._mean(line)
        except UsageError as error:
            self.screen.warn(str(error))

    def _mean(self, line: str) -> None:
        """Raises UsageError."""
        status = self.screen.status
        if status.transcribes and not line.startswith("/"):
            raise UsageError(ANSWERS_NOTHING)
        if status.spoken and line.split()[:1] == ["/voice"]:
            raise UsageError("the voice can not change after the model has spoken; begin another call for that")
        meaning = meaning_of(line, self._kind)
        match meaning:
            case Local("ptt"):
                self._set_ptt(on=not self._ptt)
            case Local("devices"):
                self._beside(self._list_devices)
            case Local():
                self.screen.perform(meaning.what)
            case Mute() if self._ptt:
                self._post(Talk())
            case ShowImage():
                self._beside(lambda: self._show(meaning))
            case SetVolume():
                self._post(meaning)
                self.screen.tell([f"volume: {meaning.share:.0%}"])
            case _:
                self._post(meaning)
                if self._ptt and line.startswith("/vad") and not line.rstrip().endswith(" off"):
                    self._leave_ptt()

    @property
    def _kind(self) -> str:
        return "transcription" if self.screen.status.transcribes else "realtime"

    def _set_ptt(self, *, on: bool) -> None:
        if on:
            self._ptt = True
            self.screen.set_ptt(on=True)
            self._post(turns_by_hand(self._kind, on=True), Mute(on=True))
        else:
            self._post(Talk(on=False), turns_by_hand(self._kind, on=False))
            self._leave_ptt()

    def _leave_ptt(self) -> None:
        self._ptt = False
        self.screen.set_ptt(on=False)
        self._post(Mute(on=False))

    # ---- what takes its time, in a thread of its own ----

    def _known_devices(self) -> Sequence[Device]:
        """For Tab; asked for when they are not known yet, and there the next time."""
        if not self._devices:
            self._beside(self._find_devices)
        return self._devices

    def _find_devices(self) -> None:
        self._devices = wiring.devices()

    def _beside(self, work: Callable[[], None]) -> None:
        def run() -> None:
            try:
                work()
            except RtcliError as error:
                self.screen.warn(str(error))

        threading.Thread(target=run, name="beside", daemon=True).start()

    def _list_devices(self) -> None:
        """A picker: the next line may be the number of one."""
        self._find_devices()
        ways: list[tuple[UseDevice, Device]] = [
            *((UseDevice("input", str(each.index)), each) for each in self._devices if each.inputs),
            *((UseDevice("output", str(each.index)), each) for each in self._devices if each.outputs),
        ]
        using = self.screen.status.using
        rows = [f"{number:>3}  {choice_of(wish.kind, device, using)}" for number, (wish, device) in enumerate(ways, 1)]
        self._choices = tuple(wish for wish, _ in ways)
        hint = "type a number to change to it; anything else leaves it"
        self.screen.tell([*rows, hint] if rows else ["no audio device on this machine"])

    def _choose(self, choices: tuple[UseDevice, ...], number: int) -> None:
        if 1 <= number <= len(choices):
            self._post(choices[number - 1])
        else:
            self.screen.warn(f"no device {number}; /devices lists them")

    def _show(self, wish: ShowImage) -> None:
        limit = (self._call and self._call.event_limit) or LIMIT_UNSAID
        room = limit - ENVELOPE - len(wish.words.encode()) * 6  # as JSON escapes them at worst
        raw = image_bytes(wish.file)
        uri = wiring.fitting_image(raw, room)
        self.screen.tell([f"{wish.file}: {len(raw)} bytes, sent as {len(uri)} of {limit}"])
        if wish.words:
            self.screen.say(wish.words)
        self._post(Say(wish.words, images=(uri,)))


def _interrupt() -> None:
    """As Ctrl-C does where no prompt reads the keys: the first hangs up, a second soon after it is impatience."""
    signal.raise_signal(signal.SIGINT)
