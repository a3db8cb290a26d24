"""`rtcli token`: mint an ephemeral key and print it."""

from __future__ import annotations

import asyncio
import shlex
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from rtcli import ways, wiring
from rtcli.commands.options import General, Session, Way, flag, grouped
from rtcli.commands.session import wish_of
from rtcli.errors import RtcliError, UsageError
from rtcli.protocol.codec import text_of
from rtcli.protocol.rest import EXPIRES_MAX, EXPIRES_MIN


if TYPE_CHECKING:
    from rtcli.protocol.rest import ClientSecret


@grouped
def token(
    *,
    expires: Annotated[
        int | None,
        flag(
            "--expires",
            text="How long a call can be opened with it (default 600; 10 to 7200).",
            min=EXPIRES_MIN,
            max=EXPIRES_MAX,
            metavar="SECONDS",
        ),
    ] = None,
    env: Annotated[bool, flag("--env", text="Print `export RTCLI_EPHEMERAL_KEY=…` for a shell.")] = False,
    json: Annotated[bool, flag("--json", text="The service's whole answer.")] = False,
    way: Way,
    session: Session,
    general: General,
) -> None:
    """Mint an ephemeral key and print it.

    Examples:

      KEY=$(rtcli token)

      rtcli token | rtcli send --token-stdin "hi"

      eval "$(rtcli token --env --voice cedar)"

      rtcli token --json --expires 60 | jq .expires_at

    Whoever has the key can open calls with this session, on your account, until it expires: give it to a browser,
    never to a log.
    """
    with wiring.logging_to(general.verbose, general.log):
        try:
            if env and json:
                raise UsageError("--env and --json are two forms of one answer")
            minted = _mint(way, session, general, expires)
        except RtcliError as error:
            if json:
                _print_error(error)
            raise
        typer.echo(_printed(minted, env=env, json=json))
        if not (json or general.quiet) and sys.stderr is not None and sys.stderr.isatty():
            _show_card(minted)


def _mint(way: Way, session: Session, general: General, expires: int | None) -> ClientSecret:
    if way.sandbox:
        # Its server, and with it every key, would be gone before the key could be used.
        raise UsageError(
            "a key of --sandbox would end with this command; start `rtcli sandbox` and name it by --base-url"
        )
    if way.token_stdin:
        raise UsageError("--token-stdin brings a key, and this command makes one")
    if way.direct:
        raise UsageError("--direct opens a call without an ephemeral key, and this command makes one")
    settings = wiring.settings_for({**session.flags(), **asdict(way)}, general.profile)
    for warning in settings.warnings:
        if not general.quiet:
            typer.echo(warning, err=True)
    return asyncio.run(ways.mint(settings, wish_of(session), expires_after=expires))


def _printed(minted: ClientSecret, *, env: bool, json: bool) -> str:
    if json:
        return text_of(minted.document)
    key = minted.value.reveal()
    return f"export RTCLI_EPHEMERAL_KEY={shlex.quote(key)}" if env else key


def _print_error(error: RtcliError) -> None:
    from rtcli.terminal.ndjson import error_object

    typer.echo(text_of(error_object(error)))


def _show_card(minted: ClientSecret) -> None:
    from rtcli.terminal.card import card

    for line in card(minted, time.time()):
        typer.echo(line, err=True)
