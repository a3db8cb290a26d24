"""A virtual sound card: a private PulseAudio daemon whose null sinks PortAudio sees through ALSA's pulse plugin.

Its loudspeaker `card_speaker` is a null sink that can be recorded; its microphone `card_mic` hears what is played into
the null sink `card_room`. Nothing of the machine's own sound and no file of the user's home is touched.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


LOUD = 150
"""Magnitude (of 32768) from which a sample is sound: -47 dBFS."""
PLUGINS = ("/usr/lib*/alsa-lib", "/usr/lib/*/alsa-lib")

# Without norewinds a null sink may hold blocks of 2 s: a stream then starts that much late, and an output that once
# ran dry never calls back again.
NULL_SINK = (
    "module-null-sink sink_name={name} rate=48000 channels={channels} norewinds=1"
    " sink_properties=device.description={name}"
)

CONFIGURATION = """\
ctl.!default {{ type pulse server "unix:{socket}" fallback "none" }}
pcm.card_speaker {{
  type asym
  playback.pcm {{ type pulse server "unix:{socket}" device "card_speaker" fallback "none" }}
}}
pcm.card_mic {{ type asym capture.pcm {{ type pulse server "unix:{socket}" device "card_mic" fallback "none" }} }}
pcm.!default {{
  type asym
  playback.pcm {{ type pulse server "unix:{socket}" {default} fallback "none" }}
  capture.pcm {{ type pulse server "unix:{socket}" device "card_mic" fallback "none" }}
}}
"""


def missing() -> str | None:
    """What this machine lacks for a card; None when nothing."""
    for program in ("pulseaudio", "pactl", "pacmd", "paplay", "parecord"):
        if shutil.which(program) is None:
            return f"{program} (Debian: pulseaudio pulseaudio-utils)"
    roots = [path for pattern in PLUGINS for path in Path("/").glob(pattern.lstrip("/"))]
    if not any((root / "libasound_module_pcm_pulse.so").exists() for root in roots):
        return "ALSA's pulse plugin (Debian: libasound2-plugins)"
    return None


class Card:
    """One running card. Start it before PortAudio: that lists devices only once."""

    def __init__(self, home: Path, *, default: str = 'device "card_speaker"') -> None:
        """`default`: where the default loudspeaker's sound goes; "" leaves it to the sound server."""
        self.home = home
        self._default = default
        self.socket = home / "native"
        self.environment = {
            **os.environ,
            "ALSA_CONFIG_PATH": str(home / "asound.conf"),
            "PULSE_SERVER": f"unix:{self.socket}",
            "PULSE_COOKIE": str(home / "cookie"),
            "PULSE_RUNTIME_PATH": str(home / "run"),
            "PULSE_STATE_PATH": str(home / "state"),
            "DBUS_SESSION_BUS_ADDRESS": "disabled:",
            "JACK_NO_START_SERVER": "1",
        }
        self.environment.pop("DISPLAY", None)
        names = ("ALSA_CONFIG_PATH", "PULSE_SERVER", "PULSE_COOKIE", "JACK_NO_START_SERVER")
        self.settings = {name: self.environment[name] for name in names}
        """What leads a program to the card."""
        self._daemon: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        for folder in ("run", "state"):
            (self.home / folder).mkdir(mode=0o700, exist_ok=True)
        (self.home / "asound.conf").write_text(CONFIGURATION.format(socket=self.socket, default=self._default))
        room = NULL_SINK.format(name="card_room", channels=1)
        environment = {key: value for key, value in self.environment.items() if key != "PULSE_SERVER"}
        self._daemon = subprocess.Popen(
            [
                *("pulseaudio", "-n", "--daemonize=no", "--use-pid-file=yes", "--exit-idle-time=-1"),
                *("--disallow-module-loading=no", "--realtime=no", "--high-priority=no"),
                *("--resample-method=speex-float-5", f"--log-target=newfile:{self.home / 'pulse.log'}"),
                *("-L", f"module-native-protocol-unix auth-anonymous=1 socket={self.socket}"),
                *("-L", f"module-cli-protocol-unix socket={self.home / 'run' / 'cli'}"),
                *("-L", room),
            ],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._await_answer()
        self.plug("speaker")
        self.plug("mic")

    def stop(self) -> None:
        """End the daemon, frozen or not."""
        daemon, self._daemon = self._daemon, None
        if daemon is None:
            return
        daemon.send_signal(signal.SIGCONT)
        daemon.kill()
        daemon.wait()
        self.socket.unlink(missing_ok=True)

    def plug(self, what: str) -> None:
        """`speaker` or `mic` is there (again)."""
        if what == "speaker":
            self._pactl("load-module", *NULL_SINK.format(name="card_speaker", channels=2).split(" "))
            self._pactl("set-default-sink", "card_speaker")
        else:
            self._pactl(
                *("load-module", "module-remap-source", "source_name=card_mic", "master=card_room.monitor"),
                "source_properties=device.description=card_mic",
            )
            self._pactl("set-default-source", "card_mic")

    def make_default(self, name: str) -> float:
        """Another loudspeaker comes and is the default from now on; seconds until somebody's sound goes there."""
        self._pactl("load-module", *NULL_SINK.format(name=name, channels=2).split(" "))
        began = time.monotonic()
        self._pactl("set-default-sink", name)
        number = next(row[0] for row in self._rows("sinks") if row[1] == name)
        while not any(row[1] == number and row[2] != "-" for row in self._rows("sink-inputs")):
            assert time.monotonic() - began < 20, "nothing moved"
            time.sleep(0.02)
        return time.monotonic() - began

    def unplug(self, what: str) -> None:
        """The device vanishes and a stream on it ends; PulseAudio alone would move the stream without a word."""
        streams, devices, name = (
            ("sink-inputs", "sinks", "card_speaker") if what == "speaker" else ("source-outputs", "sources", "card_mic")
        )
        index = next(row[0] for row in self._rows(devices) if row[1] == name)
        for row in self._rows(streams):
            if row[1] == index and row[2] != "-":
                kill = f"kill-{streams.removesuffix('s')} {row[0]}\n"
                subprocess.run(["pacmd"], input=kill.encode(), env=self.environment, check=False, capture_output=True)
        module = "sink_name=card_speaker" if what == "speaker" else "source_name=card_mic"
        number = next(row[0] for row in self._rows("modules") if len(row) > 2 and module in row[2])
        self._pactl("unload-module", number)

    def freeze(self) -> None:
        assert self._daemon is not None
        self._daemon.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._daemon is not None
        self._daemon.send_signal(signal.SIGCONT)

    def play(self, path: Path) -> None:
        """Play a WAV file into the microphone; returns when it has been played."""
        subprocess.run(["paplay", "--device=card_room", str(path)], env=self.environment, check=True, timeout=60)

    def speak(self, path: Path) -> float:
        """Play a WAV file that begins with half a second of silence into the microphone, to its end.

        Gives the moment (monotonic) at which the microphone heard its first loud sample, whatever else it heard: the
        stream itself is tapped, and what the tap delivered 10 ms later than it was played is taken off.
        """
        before = {row[0] for row in self._rows("sink-inputs")}
        player = subprocess.Popen(["paplay", "--device=card_room", str(path)], env=self.environment)
        stream = self._await_stream(before)
        command = ["parecord", f"--monitor-stream={stream}", "--device=card_room.monitor", "--raw", "--rate=48000"]
        tap = subprocess.Popen(
            [*command, "--channels=1", "--format=s16le", "--latency-msec=10"],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        try:
            return _first_loud(tap) - 0.01
        finally:
            tap.terminate()
            tap.communicate()
            player.wait(60)

    def _await_stream(self, before: set[str]) -> str:
        for _ in range(200):
            new = {row[0] for row in self._rows("sink-inputs")} - before
            if new:
                return new.pop()
            time.sleep(0.01)
        raise AssertionError("the player does not start")

    @contextmanager
    def recording(self, path: Path, speaker: str = "card_speaker") -> Iterator[None]:
        """Record what the speaker plays as 48 kHz mono raw s16le."""
        with path.open("wb") as out:
            command = ["parecord", f"--device={speaker}.monitor", "--raw", "--rate=48000", "--channels=1"]
            recorder = subprocess.Popen(
                [*command, "--format=s16le", "--latency-msec=20"], env=self.environment, stdout=out
            )
            try:
                self._await_recorder()
                yield
            finally:
                recorder.send_signal(signal.SIGINT)
                recorder.wait(10)

    def echo(self, delay_ms: int, gain: float) -> None:
        """Couple the speaker to the microphone. `gain`: linear."""
        number = self._pactl(
            *("load-module", "module-loopback", "source=card_speaker.monitor", "sink=card_room"),
            *(f"latency_msec={delay_ms}", "adjust_time=0", "source_dont_move=true", "sink_dont_move=true"),
        ).strip()
        text = self._pactl("list", "sink-inputs")
        blocks = [block for block in text.split("Sink Input #") if f"Owner Module: {number}\n" in block]
        self._pactl("set-sink-input-volume", blocks[0].split("\n", 1)[0], f"{gain:.6f}")

    @contextmanager
    def strict(self, rate: int, channels: int) -> Iterator[dict[str, str]]:
        """A device that takes one rate and one number of channels: JACK's dummy. Gives the environment to see it."""
        environment = {
            **self.environment,
            "JACK_NO_AUDIO_RESERVATION": "1",
            "JACK_DEFAULT_SERVER": f"card{os.getpid()}",
        }
        command = ["jackd", "--no-realtime", "--name", environment["JACK_DEFAULT_SERVER"], "-d", "dummy"]
        shape = [
            "--rate",
            str(rate),
            "--period",
            str(rate // 100),
            "--capture",
            str(channels),
            "--playback",
            str(channels),
        ]
        server = subprocess.Popen(
            [*command, *shape], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            wait = ["jack_wait", "--server", environment["JACK_DEFAULT_SERVER"], "--wait", "--timeout", "10"]
            subprocess.run(wait, env=environment, check=True, capture_output=True, timeout=20)
            yield environment
        finally:
            server.terminate()
            server.wait(10)

    def _rows(self, what: str) -> list[list[str]]:
        return [line.split("\t") for line in self._pactl("list", "short", what).splitlines()]

    def _pactl(self, *words: str) -> str:
        done = subprocess.run(
            ["pactl", *words], env=self.environment, check=True, capture_output=True, text=True, timeout=20
        )
        return done.stdout

    def _await_answer(self) -> None:
        for _ in range(200):
            if self.socket.exists():
                done = subprocess.run(["pactl", "info"], env=self.environment, check=False, capture_output=True)
                if done.returncode == 0:
                    return
            time.sleep(0.05)
        raise AssertionError(f"PulseAudio does not answer: {(self.home / 'pulse.log').read_text()[-2000:]}")

    def _await_recorder(self) -> None:
        for _ in range(200):
            if any(self._rows("source-outputs")):
                return
            time.sleep(0.02)
        raise AssertionError("the recorder does not start")


def _first_loud(tap: subprocess.Popen[bytes]) -> float:
    assert tap.stdout
    while chunk := os.read(tap.stdout.fileno(), 65_536):
        now = time.monotonic()
        samples = array("h", chunk[: len(chunk) // 2 * 2])
        for number, sample in enumerate(samples):
            if abs(sample) > LOUD:
                return now - (len(samples) - number) / 48_000
    raise AssertionError("nothing was played")
