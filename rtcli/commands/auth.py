"""`rtcli auth`: the API key in the system keyring."""

from __future__ import annotations

import getpass
import json
import os
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, NoReturn

import typer

from rtcli import keys, services, wiring
from rtcli.commands.leaving import terminations
from rtcli.commands.options import Command, General, grouped
from rtcli.commands.window import Window
from rtcli.errors import AuthError, ServiceError, UsageError
from rtcli.keys import KeyKept, KeyringTrouble
from rtcli.protocol.dialects import DIALECTS
from rtcli.protocol.hosts import host_of
from rtcli.protocol.rest import (
    EXPIRES_MIN,
    Endpoint,
    HttpAnswer,
    HttpRequest,
    client_secret_request,
    parse_client_secret,
)
from rtcli.protocol.secret import Secret
from rtcli.settings import Settings, named_profile
from rtcli.terminal.exits import TERMINATED
from rtcli.terminal.text import safe


app = typer.Typer(no_args_is_help=True, help="The API key in the system keyring: login | logout | status.")

MOST_TYPED = 4 * keys.LONGEST
"""Bytes read from standard input; more is no key."""
LENGTHS = ((20, "under 20 characters"), (100, "20 to 99 characters"), (200, "100 to 199 characters"))
"""Enough to see that half of a key is missing, and nothing else."""


@app.command(cls=Command)
@grouped
def login(
    *,
    no_check: Annotated[bool, typer.Option("--no-check", help="Store the key without asking the service.")] = False,
    general: General,
) -> None:
    """Store an API key, from a hidden prompt or standard input.

    Examples:

      rtcli auth login

      rtcli auth login -p work < key.txt

    The service is asked first, for an ephemeral key that lives 10 seconds and costs nothing. A key it refuses is not
    stored.
    """
    settings = wiring.settings_for({}, general.profile)
    key = keys.checked(_prompted() if wiring.stdin_is_terminal() else _piped(), "standard input")
    if key.reveal().startswith("ek_"):
        raise AuthError("this is an ephemeral key, which is gone in minutes; expected an API key")
    outcome = "not checked" if no_check else _check(key, settings)
    try:
        keys.store_key(settings.profile, key, has_terminal=_somebody_is_there())
    except KeyringTrouble as trouble:
        raise KeyringTrouble(f"the key was not stored: {trouble}") from None
    _note(f"stored in the {keys.keyring_entry(settings.profile)}; {outcome}", general)
    for name in _variables_set():
        _note(f"{name} is set and goes before it", general)


@app.command(cls=Command)
@grouped
def logout(*, general: General) -> None:
    """Take the API key out of the keyring.

    Examples:

      rtcli auth logout

      rtcli auth logout -p work
    """
    # A profile that is gone from the configuration may have left its key behind.
    profile = named_profile(general.profile, environ=os.environ) or wiring.settings_for({}, None).profile
    try:
        removed = keys.delete_key(profile, has_terminal=_somebody_is_there())
    except KeyringTrouble as trouble:
        raise KeyKept(f"no key was removed: {trouble}") from None
    _note(f"the {keys.keyring_entry(profile)} {'was removed' if removed else 'was empty already'}", general)
    for name in _variables_set():
        _note(f"{name} is still set, and is used until it is unset", general)


@app.command(cls=Command)
@grouped
def status(
    *, as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False, general: General
) -> None:
    """Say where the API key comes from.

    Examples:

      rtcli auth status

      rtcli auth status -p work || rtcli auth login -p work

    Exits with 3 when a key is needed and there is none. No part of it is shown.
    """
    settings = wiring.settings_for({}, general.profile)
    search = keys.search_key(os.environ, settings.profile, has_terminal=_somebody_is_there())
    host = host_of(settings.server or settings.base_url)
    needed = settings.server is None and keys.demanded(settings.base_url, settings.dialect)
    told: dict[str, str | bool | None] = {
        "profile": settings.profile,
        "host": host,
        "needed": needed,
        "key": search.key.origin if search.key else None,
        "length": _length(search.key.secret) if search.key else None,
    }
    _tell(told, as_json=as_json)
    if search.key is None and needed:
        raise AuthError(f"no API key for {host}: {search.reason}")
    if search.key is None:
        _note(f"no API key, and none is needed for {host}: {search.reason}", general)


def _tell(told: dict[str, str | bool | None], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(told))
        return
    for name, value in told.items():
        shown = value if isinstance(value, str) else {None: "none", True: "yes", False: "no"}[value]
        typer.echo(f"{name}\t{safe(shown)}")


def _length(key: Secret) -> str:
    count = len(key.reveal())
    return next((name for limit, name in LENGTHS if count < limit), "200 characters or more")


def _prompted() -> str:
    """A line typed at the terminal, without an echo."""
    window = Window()
    try:
        with _ending_in_order(), warnings.catch_warnings():
            # Where the echo can not be turned off getpass warns and lets the key be seen.
            warnings.simplefilter("error", getpass.GetPassWarning)
            return getpass.getpass("API key: ")
    except getpass.GetPassWarning:
        if window.is_gone():  # which can not be set back, and getpass takes that for one that can not hide
            raise SystemExit(TERMINATED) from None
        raise UsageError("this terminal would show the key; pipe it to standard input") from None
    except EOFError:
        raise AuthError("no key was typed") from None


@contextmanager
def _ending_in_order() -> Iterator[None]:
    """While nothing is echoed a signal unwinds what hides it; ending at once would leave the terminal so."""
    numbers = terminations()

    def terminated(*_: object) -> NoReturn:
        for number in numbers:  # SIGHUP comes more than once
            signal.signal(number, signal.SIG_IGN)
        raise SystemExit(TERMINATED)

    before = {number: signal.signal(number, terminated) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _piped() -> str:
    if sys.stdin is None or sys.stdin.closed:
        raise UsageError("standard input is closed")
    raw = sys.stdin.buffer.read(MOST_TYPED + 1)
    if len(raw) > MOST_TYPED:
        raise AuthError(f"standard input holds more than {MOST_TYPED} bytes, which is no key")
    try:
        # PowerShell's pipe begins with a byte order mark.
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise AuthError("standard input holds no text") from None


def _check(key: Secret, settings: Settings) -> str:
    """Use the key for the cheapest thing a call needs, and say what came of it. Raises AuthError when it is refused."""
    dialect = DIALECTS[settings.dialect]
    if not dialect.mints:
        return f"not checked, because {dialect.name} has nothing cheap to ask for"
    headers = {name: value.reveal(os.environ) for name, value in settings.headers.items()}
    endpoint = Endpoint(
        settings.base_url,
        dialect,
        headers,
        organization=os.environ.get("OPENAI_ORG_ID"),
        project=os.environ.get("OPENAI_PROJECT_ID"),
    )
    request = client_secret_request(endpoint, key, expires_after=EXPIRES_MIN)
    host = host_of(settings.base_url)
    try:
        parse_client_secret(_answer(request, settings))
    except ServiceError as error:
        # Quota and rate limits are those of an account: the key was recognised.
        if error.status != 429:
            raise
        return f"{host} knows it, and says: {error}"
    return f"{host} accepts it"


def _answer(request: HttpRequest, settings: Settings) -> HttpAnswer:
    import asyncio

    async def ask() -> HttpAnswer:
        async with services.http_client(settings) as http:
            return await http.ask(request)

    return asyncio.run(ask())


def _somebody_is_there() -> bool:
    """Somebody who can unlock a keyring: the terminal may be on standard error alone when a key is piped in."""
    return wiring.stdin_is_terminal() or (sys.stderr is not None and sys.stderr.isatty())


def _variables_set() -> list[str]:
    return [name for name in keys.VARIABLES if os.environ.get(name, "").strip()]


def _note(text: str, general: General) -> None:
    if not general.quiet:
        typer.echo(safe(text), err=True)
