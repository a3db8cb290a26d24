"""`rtcli doctor`: what works on this machine, and what to do about what does not. Never touches the network."""

from __future__ import annotations

import json as json_module
from dataclasses import asdict
from typing import Annotated

import typer

from rtcli import wiring
from rtcli.commands.options import General, flag, grouped
from rtcli.errors import UsageError
from rtcli.settings import Settings


@grouped
def doctor(
    *,
    json: Annotated[bool, flag("--json", text="As one JSON document.")] = False,
    general: General,
) -> None:
    """What works on this machine, and what to do about what does not.

    Examples:

      rtcli doctor

      rtcli doctor --json | jq -r '.[] | select(.ok | not) | .advice'

    Looks at this machine alone: no network, no call, no microphone opened.
    """
    from rtcli.health import findings
    from rtcli.terminal.text import safe

    with wiring.logging_to(general.verbose, general.log):
        found = findings(*_settings(general))
    if json:
        typer.echo(json_module.dumps([asdict(finding) for finding in found], ensure_ascii=False))
        return
    widest = max(len(finding.part) for finding in found)
    for finding in found:
        mark = "ok " if finding.ok else "-- "
        advice = f"; {finding.advice}" if finding.advice else ""
        typer.echo(safe(f"{mark} {finding.part:<{widest}}  {finding.fact}{advice}"))


def _settings(general: General) -> tuple[Settings, UsageError | None]:
    """What holds; or the defaults, and why the file or a variable says nothing that can be used.

    Raises UsageError for a profile that was asked for here.
    """
    try:
        return wiring.settings_for({}, general.profile), None
    except UsageError as error:
        if general.profile is not None:
            raise
        return Settings(), error
