"""Updates of a call as styled lines. Pure and stateless: the same update gives the same line.

Styles are names (`STYLES`); without colour the same lines are printed without them.
"""

from __future__ import annotations

from rich.text import Text

from rtcli.protocol.updates import Closed, Notice, Refused, Update, Warned, Words
from rtcli.terminal.advice import one_line
from rtcli.terminal.exits import status_of_call
from rtcli.terminal.text import safe, safe_lines


STYLES = {
    "rt.you": "bold cyan",
    "rt.model": "bold magenta",
    "rt.quiet": "dim",
    "rt.in": "magenta",
    "rt.out": "cyan",
    "rt.local": "dim",
    "rt.warning": "yellow",
    "rt.error": "bold red",
}

LABELS = {"you": "  you", "model": "model"}


def words(said: Words) -> Text:
    """Both sides labelled, further lines under the first."""
    label = LABELS[said.speaker]
    lines = safe_lines(said.text)
    marks = [mark for mark, on in (("—", said.cut), (" (late)", said.late)) if on]
    text = Text(label, style=f"rt.{said.speaker}")
    text.append("  " + ("\n" + " " * (len(label) + 2)).join(lines), style="")
    text.append("".join(marks), style="rt.quiet")
    return text


def bare_words(said: Words) -> str:
    """For a pipe: one turn, one line, nothing else."""
    return safe(said.text)


def error_line(error: BaseException) -> Text:
    return Text.assemble(("rtcli: ", "rt.error"), one_line(error))


def is_error(update: Update) -> bool:
    """Shown even to somebody who asked for quiet."""
    return isinstance(update, (Refused, Closed))


def status(update: Update) -> Text | None:
    """What goes to standard error beside the words."""
    match update:
        case Notice():
            return Text(safe(update.message), style="rt.quiet")
        case Warned():
            return Text.assemble(("warning: ", "rt.warning"), safe(update.message))
        case Refused():
            return Text.assemble(("error: ", "rt.error"), one_line(update.error))
        case Closed():
            return error_line(update.error) if status_of_call(update) and update.error else None
        case _:
            return None
