"""The Typer app, and the one place where an error becomes a line on standard error and an exit status."""

from __future__ import annotations

import errno
import gc
import io
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Annotated, NoReturn

import typer

from rtcli.commands.leaving import leave, terminations
from rtcli.commands.options import Command, Commands
from rtcli.errors import RtcliError


# Starting makes many objects that stay: looking for garbage among them takes a tenth of a short call.
gc.set_threshold(100_000, 20, 100)


def _decorated() -> bool:
    """Help is boxed and coloured for a terminal that can show it, plain for a pipe."""
    return sys.stdout is not None and sys.stdout.isatty() and os.environ.get("TERM") not in {None, "", "dumb"}


def _show_version(value: bool) -> None:  # noqa: FBT001 - Typer calls it
    if value:
        from importlib.metadata import version

        typer.echo(f"rtcli {version('rtcli')}")
        raise typer.Exit


app = typer.Typer(
    name="rtcli",
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode="markdown" if _decorated() else None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _talk() -> None:
    from rtcli.commands.talk import talk

    app.command(cls=Command)(talk)


def _token() -> None:
    from rtcli.commands.token import token

    app.command(cls=Command)(token)


def _send() -> None:
    from rtcli.commands.send import send

    app.command(cls=Command)(send)


def _tail() -> None:
    from rtcli.commands.tail import tail

    app.command(cls=Command)(tail)


def _serve() -> None:
    from rtcli.commands.serve import serve

    app.command(cls=Command)(serve)


def _calls() -> None:
    from rtcli.commands import calls

    app.add_typer(calls.app, name="calls")


def _sandbox() -> None:
    from rtcli.commands.sandbox import sandbox

    app.command(cls=Command)(sandbox)


def _devices() -> None:
    from rtcli.commands.devices import devices

    app.command(cls=Command)(devices)


def _doctor() -> None:
    from rtcli.commands.doctor import doctor

    app.command(cls=Command)(doctor)


def _auth() -> None:
    from rtcli.commands import auth

    app.add_typer(auth.app, name="auth")


def _config() -> None:
    from rtcli.commands import config

    app.add_typer(config.app, name="config")


_COMMANDS: dict[str, Callable[[], None]] = {
    "talk": _talk,
    "token": _token,
    "send": _send,
    "tail": _tail,
    "serve": _serve,
    "calls": _calls,
    "sandbox": _sandbox,
    "devices": _devices,
    "doctor": _doctor,
    "auth": _auth,
    "config": _config,
}
"""In the order of the help."""


def _wanted() -> Iterable[str]:
    """The command that is called for alone, when it is one: the others' options take as long as all of a short call."""
    named = sys.argv[1:2]
    return named if named and named[0] in _COMMANDS and "_RTCLI_COMPLETE" not in os.environ else _COMMANDS


for _name in _wanted():
    _COMMANDS[_name]()


@app.callback()
def rtcli(
    *,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", is_eager=True, callback=_show_version)
    ] = False,
) -> None:
    """The terminal of the Realtime API: talk to a voice model over WebRTC, script it, tail its events."""


def main() -> NoReturn:
    """Run the command line and exit with its status."""
    # Until a command has something to end in order: the status is the documented one from the beginning.
    for number in terminations():
        signal.signal(number, lambda *_: os._exit(143))
    _open_what_is_closed()
    _speak_to_everybody()
    try:
        status = app(prog_name="rtcli", standalone_mode=False)
    except typer.TyperException as error:
        status = _report_usage(error)
    except RtcliError as error:
        status = _report(error)
    except (typer.Abort, KeyboardInterrupt):
        status = 130
    except SystemExit as end:
        # Typer ends so when standard output is a pipe that nobody reads any more: that is no failure.
        status = 0 if type(sys.stdout).__name__ == "PacifyFlushWrapper" else end.code
    except Exception as error:
        if {"-vv", "-vvv"} & set(sys.argv):
            raise
        status = _report(error)
    _leave(status if isinstance(status, int) else 0)


def _open_what_is_closed() -> None:
    """After `>&-` the next file or socket that is opened would be taken for standard output."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115 - to the end


def program() -> NoReturn:
    """The installed script: `main`, and then the end at once; what was written is flushed."""
    try:
        main()
    except SystemExit as end:
        leave(end.code if isinstance(end.code, int) else 0)


def _speak_to_everybody() -> None:
    """A pipe gets UTF-8 whatever the locale, as JSON has to be; a terminal gets escapes for what it can not show."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding=None if sys.stdout.isatty() else "utf-8", errors="backslashreplace")


def _report_usage(error: typer.TyperException) -> int:
    message = error.format_message()
    if "\n" in message:  # the whole help, for a group without a command
        typer.echo(message, err=True)
    else:
        _say(f"{_own_words(message)} (see `{_command(error)} --help`)")
    return error.exit_code


def _own_words(message: str) -> str:
    """What is wrong with an option's value, as a person would say it."""
    for pattern, instead in _WORDING:
        message = re.sub(pattern, instead, message)
    return message


_WORDING = (
    (r"^Invalid value for '(.+?)': Input should be greater than or equal to (.+)$", r"\1 must be at least \2"),
    (r"^Invalid value for '(.+?)': Input should be less than or equal to (.+)$", r"\1 must be at most \2"),
    (r"^Invalid value for '(.+?)': Input should be a valid (integer|number)\b.*$", r"\1 takes a number"),
    (r"^Invalid value for '(.+?)': Value error, (.+) is not one of (.+?)\.?$", r"\1 takes one of \3, not \2"),
)
"""The library that checks values, and what we say."""


def _report(error: Exception) -> int:
    from rtcli.terminal.advice import one_line
    from rtcli.terminal.exits import status_of, unwritten

    if isinstance(error, OSError) and error.errno == errno.ENOSPC and error.filename is None:
        error = unwritten(error)
    _say(one_line(error))
    return status_of(error)


def _say(line: str) -> None:
    if sys.stderr is not None:
        sys.stderr.write(f"rtcli: {line}\n")


def _command(error: typer.TyperException) -> str:
    context = getattr(error, "ctx", None)
    return str(context.command_path) if context else "rtcli"


def _leave(status: int) -> NoReturn:
    """Exit; a reader that is gone must not make the interpreter complain while it flushes."""
    if any(thread.name == "face" for thread in threading.enumerate()):
        leave(status)  # it waits for a reader that takes nothing, with standard output's lock in its hand
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            with open(os.devnull, "w") as nowhere:  # noqa: PTH123 - a descriptor is wanted
                os.dup2(nowhere.fileno(), stream.fileno())
    sys.exit(status)
