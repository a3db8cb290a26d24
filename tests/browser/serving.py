"""rtcli's servers as a user starts them, and what a browser says to them."""

from __future__ import annotations

import os
import subprocess
import sys
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path


QUESTION = str(files("rtcli.sandbox.engine").joinpath("sample_question.wav"))


@contextmanager
def running(log: Path, *command: str) -> Iterator[str]:
    """A command that prints its address; its standard error goes to `log`."""
    with running_process(log, *command) as (address, _):
        yield address


@contextmanager
def running_process(log: Path, *command: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Likewise, with the process."""
    program = [sys.executable, "-c", "from rtcli.cli import main; main()", *command]
    environment = {**os.environ, "RTCLI_CONFIG": os.devnull}
    with (
        log.open("wb") as err,
        subprocess.Popen(program, stdout=subprocess.PIPE, stderr=err, text=True, env=environment) as process,
    ):
        try:
            assert process.stdout
            yield process.stdout.readline().strip(), process
        finally:
            process.terminate()


def microphone(folder: Path) -> tuple[str, ...]:
    """Flags that make a spoken question the microphone, once; a connection has 2 s to come up before it begins."""
    with wave.open(QUESTION) as question, wave.open(str(folder / "question.wav"), "wb") as wav:
        wav.setparams(question.getparams())
        silence = bytes(2 * question.getframerate() * question.getsampwidth() * question.getnchannels())
        wav.writeframes(silence + question.readframes(question.getnframes()))
    return (
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={folder / 'question.wav'}%noloop",
    )
