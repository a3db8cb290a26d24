"""What goes wrong before there is a call."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from rtcli.errors import RtcliError


@contextmanager
def told_in_json(json: bool) -> Iterator[None]:  # noqa: FBT001 - reads as a sentence
    """An output of JSON lines ends the same way whether there was a call or not: `rtcli.error`, `rtcli.closed`."""
    try:
        yield
    except RtcliError as error:
        if not json:
            raise
        from rtcli.protocol.updates import Closed
        from rtcli.terminal.exits import status_of
        from rtcli.terminal.faces import JsonFace

        now = time.monotonic()
        JsonFace(sys.stdout, sys.stderr).show(Closed(now, str(error), error=error), now)
        raise typer.Exit(status_of(error)) from None
