"""Updates of a call as styled lines. Pure and stateless: the same update gives the same line.

Styles are names (`STYLES`); without colour the same lines are printed without them.
"""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from rtcli.protocol.updates import Closed, Notice, Refused, Speaker, Update, Warned, Words
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

LABELS: dict[Speaker, str] = {"you": "  you", "model": "model"}
INDENT = 7
"""Columns of a label and the gap behind it."""
_NARROW = 20
"""Columns for words below which an indent would cost too much."""


def words(said: Words) -> Text:
    """Both sides labelled, further lines under the first."""
    label = LABELS[said.speaker]
    lines = safe_lines(told(said))
    marks = [mark for mark, on in (("—", said.cut), (" (not heard)", said.heard == ""), (" (late)", said.late)) if on]
    text = Text().append(label, style=f"rt.{said.speaker}")
    text.append("  " + ("\n" + " " * (len(label) + 2)).join(lines), style="")
    text.append("".join(marks), style="rt.quiet")
    return text


def hung(line: Text, console: Console, indent: int) -> Text:
    """The line wrapped to the console's width, what does not fit in the first row under the words and not the label."""
    room = console.width - indent
    if room < _NARROW:
        return line
    rows = []
    for each in line.split("\n", allow_blank=True):
        head, body = each.divide([min(indent, len(each))]) if len(each) > indent else (each, Text())
        first, *further = body.wrap(console, room) or [Text()]
        rows += [head + first, *(Text(" " * indent) + row for row in further)]
    return Text("\n").join(rows)


def told(said: Words) -> str:
    """The words as they were spoken: of an interrupted voice those that were heard."""
    return said.text if said.heard is None else said.heard


def bare_words(said: Words) -> str:
    """For a pipe: one turn, one line, nothing else."""
    return safe(told(said))


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
