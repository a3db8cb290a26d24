"""The two ends of a call's sound: the microphone it listens to and the loudspeaker; others in mid-call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from rtcli.audio.base import Microphone, Pull, Speaker
from rtcli.audio.convert import quieter
from rtcli.errors import DeviceError, RtcliError, UsageError
from rtcli.measures import Uplink
from rtcli.protocol.intents import UseDevice
from rtcli.protocol.updates import Notice, Update, Using, Warned
from rtcli.records import dataclass


class Devices(Protocol):
    """Other ends to go on with, by number or name; not started yet. Both raise DeviceError or UsageError."""

    def microphone(self, name: str) -> Microphone: ...

    def speaker(self, name: str) -> Speaker: ...


@dataclass(frozen=True, slots=True)
class Sound:
    """What there is at the beginning, and what may come later."""

    microphone: Microphone | None
    speaker: Speaker | None
    microphone_asked: bool = False
    """Its failure ends the call; else the call goes on without it."""
    speaker_asked: bool = False
    devices: Devices | None = None
    """None where none can be chosen in mid-call."""


class Ends:
    """Lives on the call's loop; what takes its time runs beside it."""

    def __init__(self, sound: Sound, uplink: Uplink, pull: Pull, tell: Callable[[Update], None]) -> None:
        self._sound = sound
        self._uplink = uplink
        self._source = pull
        self._tell = tell
        self._microphone, self._speaker = sound.microphone, sound.speaker
        self._failed = False
        """A microphone did not open, and nobody was told."""
        self._one_change = asyncio.Lock()
        self.gain = 1.0
        """How loud the model is heard: share of the sound as it came."""
        self.listening = False
        """A microphone is open."""

    async def start_speaker(self) -> None:
        """Raises DeviceError when it was asked for and fails."""
        if self._speaker is None:
            return
        try:
            await asyncio.to_thread(self._speaker.start, self._pull)
        except DeviceError as error:
            if self._sound.speaker_asked:
                raise
            self._tell(Warned(f"no sound from the loudspeaker: {error}", "speaker"))
        else:
            self._tell_using()

    async def start_microphone(self) -> None:
        """Raises DeviceError when it was asked for and fails."""
        if self._microphone is None or self.listening:
            return
        try:
            await asyncio.to_thread(self._microphone.start)
        except DeviceError as error:
            if self._sound.microphone_asked:
                raise
            self._tell(Warned(f"the microphone does not work: {error}; type instead", "microphone"))
            self._failed = True
        else:
            self.listening = True
            self._tell_using()

    @property
    def ended(self) -> bool:
        """Nothing more comes: a file was read to its end, or the microphone did not open. True once."""
        over = self._failed or (self.listening and self._microphone is not None and self._microphone.ended)
        self._failed = False
        self.listening = self.listening and not over
        return over

    async def use(self, wish: UseDevice) -> None:
        """Change one of the ends; told when it is done, or why it stays as it is."""
        async with self._one_change:
            try:
                self._tell(Notice(await self._change(wish)))
                self._tell_using()
            except RtcliError as error:
                self._tell(Warned(f"the {wish.kind} stays as it is: {error}", "device"))

    def open_ends(self) -> list[Microphone | Speaker]:
        return [end for end in (self._microphone, self._speaker) if end is not None]

    def _tell_using(self) -> None:
        microphone = self._microphone if self.listening else None
        names = [end.name if end else None for end in (microphone, self._speaker)]
        self._tell(Using(*names))

    def _pull(self, samples: int) -> bytes:
        pcm = self._source(samples)
        return pcm if self.gain == 1.0 else quieter(pcm, self.gain)

    async def _change(self, wish: UseDevice) -> str:
        if self._sound.devices is None:
            raise UsageError("this call has no devices to choose from")
        change = self._listen_with if wish.kind == "input" else self._play_on
        return await change(self._sound.devices, wish.device)

    async def _listen_with(self, devices: Devices, name: str) -> str:
        microphone = await asyncio.to_thread(devices.microphone, name)
        await asyncio.to_thread(microphone.start)
        before, self._microphone = self._uplink.replace(microphone), microphone
        self.listening = True
        if before is not None:
            await asyncio.to_thread(before.close)
        return f"microphone: {microphone.name}"

    async def _play_on(self, devices: Devices, name: str) -> str:
        """One at a time, because the playout has one reader; when the new one fails, the one before goes on."""
        speaker, before = await asyncio.to_thread(devices.speaker, name), self._speaker
        if before is not None:
            await asyncio.to_thread(before.close)
        try:
            await asyncio.to_thread(speaker.start, self._pull)
        except DeviceError:
            if before is not None:
                await asyncio.to_thread(before.start, self._pull)
            raise
        self._speaker = speaker
        return f"speaker: {speaker.name}"
