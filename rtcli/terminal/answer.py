"""The face of a script's errand: the answer, whole, on standard output; what went wrong on standard error."""

from __future__ import annotations

from typing import TextIO

from rtcli.protocol.updates import Ready, Refused, Update, Words
from rtcli.terminal import lines
from rtcli.terminal.faces import console
from rtcli.terminal.text import safe_lines


class AnswerFace:
    """Words as the model wrote them, line breaks included; made safe where a terminal shows them.

    In a transcription session what was heard is the answer. What the service refuses is told once, as what ends it.
    """

    def __init__(self, out: TextIO, err: TextIO, *, quiet: bool = False, color: bool = True) -> None:
        self._out = out
        self._err = console(err, color=color)
        self._quiet = quiet
        self._is_terminal = out.isatty()
        self._answering = "model"

    def show(self, update: Update, at: float) -> None:  # noqa: ARG002 - an answer has no clock
        if isinstance(update, Ready) and update.session.get("type") == "transcription":
            self._answering = "you"
        if isinstance(update, Words):
            self._show_words(update)
        elif not isinstance(update, Refused):
            line = lines.status(update)
            if line is not None and (not self._quiet or lines.is_error(update)):
                self._err.print(line, soft_wrap=True)

    def rest(self) -> float | None:
        return None

    def _show_words(self, said: Words) -> None:
        if said.speaker == self._answering:
            text = "\n".join(safe_lines(said.text)) if self._is_terminal else said.text
            self._out.write(text + "\n")
            self._out.flush()
        elif not (said.typed or self._quiet):
            self._err.print(lines.words(said), soft_wrap=True)
