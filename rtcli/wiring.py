"""Composition root: the one file that knows which real parts stand behind the interfaces.

Every heavy library is reached from here, and each import is inside the factory that needs it, so that `--help`,
completion and `token` load none of them. Over 400 lines because it is the one place for that.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rtcli.errors import DeviceError, RtcliError, UsageError
from rtcli.protocol.hosts import host_of, is_loopback
from rtcli.records import dataclass
from rtcli.settings import Echo, Settings, config_path, resolve


if TYPE_CHECKING:
    from rtcli.asgi.serving import ThreadedServer
    from rtcli.audio.base import Device, Microphone, Speaker
    from rtcli.call import Parts, Signalling
    from rtcli.ends import Devices
    from rtcli.protocol.codec import JsonObject
    from rtcli.protocol.expectations import Heard
    from rtcli.protocol.rest import HttpRequest
    from rtcli.sandbox.engine.base import Engine
    from rtcli.sandbox.faults import Faults
    from rtcli.sandbox.script import Script
    from rtcli.sandbox.service import Service
    from rtcli.sandbox.serving import SandboxServer
    from rtcli.server.config import Config
    from rtcli.setting_kinds import IceServer as IceSetting
    from rtcli.transport.base import AudioSink, AudioSource, Deliver, IceServer, Peer
    from rtcli.transport.sideband import Sideband


# ---- the program itself ----


def settings_for(flags: Mapping[str, object], profile: str | None) -> Settings:
    """What holds for this command. Raises UsageError."""
    return resolve(flags, environ=os.environ, config_file=config_path(os.environ), profile=profile)


@contextmanager
def logging_to(verbose: int, path: Path | None) -> Iterator[None]:
    """The program's own log: off, on standard error (-v, -vv), or in a file."""
    if path or verbose:
        handler: logging.Handler = logging.FileHandler(path, encoding="utf-8") if path else logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        logging.basicConfig(level=logging.DEBUG if verbose > 1 else logging.INFO, handlers=[handler])
    else:
        # A library's warning would else reach the terminal through logging's last resort.
        logging.basicConfig(handlers=[logging.NullHandler()])
    try:
        yield
    finally:
        logging.shutdown()


def draws() -> bool:
    """Standard output is a terminal that understands cursor movements."""
    return sys.stdout is not None and sys.stdout.isatty() and os.environ.get("TERM", "") not in {"", "dumb"}


def history_file(settings: Settings) -> Path | None:
    """Where typed lines are kept from call to call; None: they are not."""
    from rtcli.settings import places

    return places(os.environ)["state"] / "history" if settings.history else None


def live_folder() -> Path:
    """Where live calls of this user listen for other processes."""
    from rtcli.settings import places

    return places(os.environ)["live"]


def stdin_is_terminal() -> bool:
    return sys.stdin is not None and not sys.stdin.closed and sys.stdin.isatty()


# ---- the way to the other side ----


def call_parts(signalling: Signalling, url: str, sound: Sound, settings: Settings) -> Parts:
    """The parts of a call whose offer goes to `url`; one to this machine stays on loopback."""
    from rtcli.audio.echo import make_canceller
    from rtcli.audio.opus import make_decoder, make_encoder
    from rtcli.audio.playout import Playout
    from rtcli.audio.uplink import Uplink
    from rtcli.call import Parts
    from rtcli.protocol.usage import price_table

    loopback = is_loopback(host_of(url))
    canceller = make_canceller(sound.echo_mode(settings))
    servers = [_ice_server(server) for server in settings.ice_servers]
    frame_ms = settings.audio_packet_ms

    def make_peer(source: AudioSource, sink: AudioSink, deliver: Deliver) -> Peer:
        from rtcli.transport.webrtc import WebRtcPeer

        return WebRtcPeer(
            source=source, sink=sink, deliver=deliver, ice_servers=servers, loopback=loopback, frame_ms=frame_ms
        )

    uplink = Uplink(sound.microphone, make_encoder(frame_ms), frame_ms=frame_ms, echo=canceller)
    return Parts(
        peer=make_peer,
        signalling=signalling,
        uplink=uplink,
        playout=Playout(make_decoder, played=canceller.played),
        echo=canceller,
        speaker=sound.speaker,
        microphone=sound.microphone,
        microphone_asked=sound.microphone_asked,
        speaker_asked=sound.speaker_asked,
        devices=sound.devices,
        figures=lambda: {"uplink": asdict(uplink.stats()), **sound.figures()},
        prices=price_table(settings.prices),
        prepare=load_webrtc,
    )


def sideband(
    request: HttpRequest, call_id: str, hang_up: Callable[[], Awaitable[None]], settings: Settings
) -> Sideband:
    """The way into a call that somebody else opened at the service."""
    from rtcli.transport.sideband import Sideband

    proxy = settings.proxy.reveal(os.environ) if settings.proxy else None
    bundle = str(settings.ca_bundle) if settings.ca_bundle else None
    return Sideband(request, call_id, hang_up, proxy=proxy, ca_bundle=bundle)


def load_sideband() -> None:
    """Load websockets beforehand: a short call that is to be followed does not last as long as that takes."""
    from importlib import import_module

    import_module("rtcli.transport.sideband")


async def load_webrtc() -> None:
    """Load aiortc beside the loop: it takes 0.3 s, in which a key can come.

    What is there by then stays to the end: a live call that searched it for garbage would stand still meanwhile.
    """
    import asyncio
    import gc
    from importlib import import_module

    await asyncio.to_thread(import_module, "rtcli.transport.webrtc")
    gc.freeze()
    gc.set_threshold(700, 10, 10)


def _ice_server(server: IceSetting) -> IceServer:
    from rtcli.transport.base import IceServer

    password = server.credential.reveal(os.environ) if server.credential else None
    return IceServer(server.url, server.username, password)


# ---- sound ----


@dataclass(frozen=True, slots=True)
class Sound:
    """The ends of a call's sound, and what to say about them."""

    microphone: Microphone | None
    speaker: Speaker
    notices: tuple[str, ...] = ()
    microphone_is_file: bool = False
    microphone_asked: bool = False
    """On the command line: its failure ends the call."""
    speaker_asked: bool = False
    devices: Devices | None = None
    """Others to go on with in mid-call."""

    def echo_mode(self, settings: Settings) -> Echo:
        """Nothing is to be cancelled unless both ends are in one room."""
        from rtcli.audio.portaudio import DeviceMicrophone, DeviceSpeaker

        in_one_room = isinstance(self.microphone, DeviceMicrophone) and isinstance(self.speaker, DeviceSpeaker)
        return settings.audio_echo if in_one_room else "off"

    def figures(self) -> dict[str, dict[str, float]]:
        """What the devices count."""
        from rtcli.audio.portaudio import DeviceMicrophone, DeviceSpeaker

        ends = {"microphone": self.microphone, "speaker": self.speaker}
        return {name: end.figures() for name, end in ends.items() if isinstance(end, (DeviceMicrophone, DeviceSpeaker))}

    @property
    def described(self) -> str:
        microphone = self.microphone.name if self.microphone else "none (type instead)"
        return f"microphone: {microphone} · speaker: {self.speaker.name}"


def open_sound(settings: Settings, told: Callable[[str], None]) -> Sound:
    """Microphone and speaker as asked for. Nothing is started yet.

    One asked for on the command line and missing raises DeviceError; one named in the configuration and missing is a
    notice, and the default device is taken; no default device is a notice, and the call goes on without.
    `told`: gets a line for people when a device goes or comes in mid-call; called in threads of the devices.
    """
    notices: list[str] = []
    microphone = _microphone(settings, notices, told)
    speaker = _speaker(settings, notices, told)
    return Sound(
        microphone,
        speaker,
        tuple(notices),
        microphone_is_file=_is_file(settings.audio_input),
        microphone_asked=settings.origin("audio.input") == "flag",
        speaker_asked=settings.origin("audio.output") == "flag",
        devices=_Devices(told),
    )


def file_sound(microphone: str | None, speaker: str | None) -> Sound:
    """Files, or silence and nobody who hears: no device is looked for. Raises UsageError when one can not be read."""
    from rtcli.audio.files import NullSpeaker, WavMicrophone, WavSpeaker

    return Sound(
        WavMicrophone(microphone) if microphone else None,
        WavSpeaker(speaker) if speaker else NullSpeaker(),
        microphone_is_file=microphone is not None,
        microphone_asked=microphone is not None,
        speaker_asked=speaker is not None,
    )


def metered(sound: Sound) -> tuple[Sound, Callable[[], Heard]]:
    """The same sound, and how much of it has been heard."""
    from rtcli.audio.heard import MeteredSpeaker

    speaker = MeteredSpeaker(sound.speaker)
    return replace(sound, speaker=speaker), lambda: speaker.heard


def devices() -> list[Device]:
    """The machine's audio devices. Raises DeviceError without PortAudio."""
    from rtcli.audio import portaudio

    return portaudio.devices()


def fitting_image(raw: bytes, limit: int) -> str:
    """A picture as a data URI of at most `limit` bytes, made smaller where it must be. Raises UsageError."""
    from rtcli.pictures import fitting

    return fitting(raw, limit)


def with_sample_question(sound: Sound) -> Sound:
    """A spoken question as microphone, for a machine that has none."""
    from importlib.resources import files

    from rtcli.audio.files import WavMicrophone

    question = files("rtcli.sandbox.engine").joinpath("sample_question.wav").read_bytes()
    return replace(sound, microphone=WavMicrophone(question), microphone_is_file=True)


def _is_file(spec: str | None) -> bool:
    return spec is not None and spec.lower().endswith((".wav", ".wave"))


def _microphone(settings: Settings, notices: list[str], told: Callable[[str], None]) -> Microphone | None:
    spec = settings.audio_input
    if spec == "none":
        return None
    if spec is not None and _is_file(spec):
        from rtcli.audio.files import WavMicrophone

        return WavMicrophone(spec)
    found = _device("input", spec, settings, notices)
    if found is None:
        return None
    from rtcli.audio.portaudio import DeviceMicrophone

    return DeviceMicrophone(found.device, on_event=told)


def _speaker(settings: Settings, notices: list[str], told: Callable[[str], None]) -> Speaker:
    from rtcli.audio.files import NullSpeaker, WavSpeaker

    spec = settings.audio_output
    if spec == "none":
        return NullSpeaker()
    if spec is not None and _is_file(spec):
        return WavSpeaker(spec)
    found = _device("output", spec, settings, notices)
    if found is None:  # somebody must still take what comes, so that its timing is measured
        return NullSpeaker()
    from rtcli.audio.portaudio import DeviceSpeaker

    return DeviceSpeaker(found.device, on_event=told)


@dataclass(frozen=True, slots=True)
class _Devices:
    """The machine's devices, to choose from in mid-call."""

    told: Callable[[str], None]

    def microphone(self, name: str) -> Microphone:
        from rtcli.audio.portaudio import DeviceMicrophone, find

        return DeviceMicrophone(find("input", name), on_event=self.told)

    def speaker(self, name: str) -> Speaker:
        from rtcli.audio.portaudio import DeviceSpeaker, find

        return DeviceSpeaker(find("output", name), on_event=self.told)


@dataclass(frozen=True, slots=True)
class _Found:
    device: Device | None
    """None: whatever is the default."""


def _device(
    kind: Literal["input", "output"], spec: str | None, settings: Settings, notices: list[str]
) -> _Found | None:
    """The device named, else the default one; None, and a notice, when there is none."""
    from rtcli.audio.portaudio import default, find

    what = "microphone" if kind == "input" else "loudspeaker"
    try:
        if spec is not None:
            return _Found(find(kind, spec))
        default(kind)
        return _Found(None)
    except DeviceError as error:
        if settings.origin(f"audio.{kind}") == "flag":
            raise
        notices.append(f"no {what}: {error}")
        return None if spec is None else _device(kind, None, settings, notices)


# ---- the stand-in ----


@dataclass(frozen=True, slots=True)
class MadeEngine:
    engine: Engine
    notice: str = ""


def make_engine(name: str | None) -> MadeEngine:
    """The engine asked for; without a wish `speech` where it is installed. Raises UsageError."""
    from rtcli.sandbox.engine import speech
    from rtcli.sandbox.engine.scripted import ScriptedEngine

    if name == "scripted":
        return MadeEngine(ScriptedEngine())
    missing = speech.missing()
    if missing is None:
        try:
            return MadeEngine(speech.SpeechEngine.load())
        except RtcliError as error:
            missing = str(error)
    if name == "speech":
        raise UsageError(f"the engine `speech` can not run: {missing}")
    notice = f"no real speech in the sandbox ({missing}); a scripted voice answers: install rtcli[sandbox]"
    return MadeEngine(ScriptedEngine(), notice)


def thinking(engine: Engine, url: str) -> Engine:
    """`engine` with a chat server for a head: `http://HOST/v1`, or `http://HOST/v1#MODEL`. Raises UsageError."""
    from rtcli.sandbox.engine.thinking import ThinkingEngine
    from rtcli.transport.http_lines import Lines

    base, _, model = url.partition("#")
    if not base.startswith(("http://", "https://")) or not host_of(base):
        raise UsageError(f"--llm takes the base URL of a chat server, like http://127.0.0.1:11434/v1, not {url[:80]!r}")
    return ThinkingEngine(engine, Lines(base), model=model or None)


def sandbox_script(path: Path) -> Script:
    """What the stand-in is to hear and answer. Raises UsageError."""
    from rtcli.sandbox.script import read

    return read(path)


def sandbox_faults(given: Sequence[str]) -> Faults:
    """What the stand-in is to do wrong. Raises UsageError."""
    from rtcli.sandbox.faults import parse

    return parse(given)


def sandbox_server(
    engine: Engine,
    *,
    port: int = 0,
    script: Script | None = None,
    seed: int | None = None,
    faults: Faults | None = None,
    session: JsonObject | None = None,
) -> SandboxServer:
    """The stand-in on loopback, in a thread with a loop of its own; not started yet.

    `script`: what it answers, where the engine does not; `seed`: the ids it gives are the same in every run;
    `faults`: what it does wrong on purpose; `session`: of who asks for none.
    """
    from rtcli.audio.opus import make_decoder, make_encoder
    from rtcli.audio.playout import Playout
    from rtcli.sandbox.call import Parts as SandboxParts
    from rtcli.sandbox.faulty_peer import FaultyPeer
    from rtcli.sandbox.script import QUOTA
    from rtcli.sandbox.service import Service
    from rtcli.sandbox.serving import SandboxServer
    from rtcli.transport.webrtc import WebRtcPeer

    def make_peer(source: AudioSource, sink: AudioSink, deliver: Deliver) -> Peer:
        def make(deliver: Deliver, fate: Callable[[], float | None] | None = None) -> WebRtcPeer:
            return WebRtcPeer(source=source, sink=sink, deliver=deliver, loopback=True, fate=fate)

        if faults is None or not faults.harms_the_call:
            return make(deliver)
        return FaultyPeer(faults, make, deliver, seed=seed)

    # The scripted voice is a row of vowels: with many calls a third of the work is better than a finer sound of them.
    encoder = partial(make_encoder, complexity=1) if engine.name == "scripted" else make_encoder

    def make_service() -> Service:
        answers = QUOTA if faults is not None and faults.quota else script
        parts = SandboxParts(engine, make_peer, lambda: Playout(make_decoder), encoder, answers)
        return Service(parts, seed=seed, faults=faults, session=session)

    return SandboxServer(make_service, port=port)


# ---- the app server ----


def app_server(config: Config, *, host: str, port: int, quiet: bool) -> ThreadedServer:
    """The server of the WebRTC guide, in a thread with a loop of its own; not started yet. `quiet`: no access log."""
    from rtcli.asgi.serving import Served, ThreadedServer
    from rtcli.server.access import malformed, to_stderr
    from rtcli.server.app import create_app

    def log(line: str) -> None:
        if not quiet:
            to_stderr(line)

    def make() -> Served:
        return Served(create_app(config, log=log), config.close, partial(malformed, log))

    return ThreadedServer(make, name="serve", host=host, port=port)
