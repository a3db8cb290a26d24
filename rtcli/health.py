"""What works on this machine, part by part; part of the composition root, because it has to ask the real parts."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator

from rtcli.errors import RtcliError
from rtcli.records import dataclass
from rtcli.settings import Settings


@dataclass(frozen=True, slots=True)
class Finding:
    part: str
    ok: bool
    fact: str
    advice: str = ""
    """What to do about it; empty when nothing is to be done."""


def findings(settings: Settings, refused: RtcliError | None = None) -> list[Finding]:
    """`refused`: why the configuration can not be used; `settings` are the defaults then."""
    configuration = _configuration(settings, refused)
    return [_python(), *_sound(), _opus(), _echo(), _speech(), _key(settings), configuration]


def _python() -> Finding:
    version = platform.python_version()
    return Finding("python", ok=True, fact=f"{version} on {platform.system()} {platform.machine()} ({sys.platform})")


def _sound() -> Iterator[Finding]:
    from rtcli.audio import portaudio

    try:
        devices = portaudio.devices()
    except RtcliError as error:
        advice = "Linux: install libportaudio2; without it type, or use --input and --output with WAV files"
        yield Finding("sound", ok=False, fact=str(error), advice=advice)
        return
    for part, count in (
        ("microphone", sum(bool(device.inputs) for device in devices)),
        ("loudspeaker", sum(bool(device.outputs) for device in devices)),
    ):
        advice = "" if count else "type instead, or use WAV files"
        yield Finding(part, ok=count > 0, fact=f"{count} device{'' if count == 1 else 's'}", advice=advice)


def _opus() -> Finding:
    from rtcli.audio.opus import make_decoder

    decoder = make_decoder()
    advice = "" if decoder.has_fec else "install libopus: lost packets are then rebuilt instead of guessed"
    fec = "rebuilds lost packets" if decoder.has_fec else "guesses lost packets"
    return Finding("opus", ok=decoder.has_fec, fact=f"{decoder.name}, {fec}", advice=advice)


def _echo() -> Finding:
    from rtcli.audio.echo import make_canceller

    name = make_canceller("auto").name
    if name == "aec":
        return Finding("echo", ok=True, fact="echo canceller (WebRTC AEC3)")
    return Finding("echo", ok=False, fact="half duplex", advice="install rtcli[aec] to speak while the model does")


def _speech() -> Finding:
    from rtcli.sandbox.engine.speech import missing

    absent = missing()
    if absent is None:
        return Finding("sandbox", ok=True, fact="real speech, English only")
    return Finding("sandbox", ok=False, fact=f"scripted voice ({absent})", advice="install rtcli[sandbox]")


def _key(settings: Settings) -> Finding:
    from rtcli.keys import search_key

    try:
        found = search_key(os.environ, settings.profile, has_terminal=False)
    except RtcliError as error:
        return Finding("API key", ok=False, fact=str(error), advice="give another key; --sandbox needs none")
    if found.key is not None:
        return Finding("API key", ok=True, fact=f"from {found.key.origin}")
    way = "`rtcli auth login`" if found.keyring_works else "set OPENAI_API_KEY"
    return Finding("API key", ok=False, fact=found.reason, advice=f"{way}; --sandbox needs none")


def _configuration(settings: Settings, refused: RtcliError | None) -> Finding:
    from rtcli.settings import config_path

    if refused is not None:
        return Finding("configuration", ok=False, fact=str(refused), advice="no command works until that is put right")
    path = config_path(os.environ)
    fact = f"{path}{'' if path.exists() else ' (none yet)'}"
    return Finding("configuration", ok=not settings.warnings, fact=fact, advice="; ".join(settings.warnings))
