"""`rtcli serve`: the app server of OpenAI's WebRTC guide, and a page that talks."""

from __future__ import annotations

import os
import secrets
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from rtcli import services, ways, wiring
from rtcli.commands.options import General, Session, Way, flag, grouped
from rtcli.commands.session import wish_of
from rtcli.commands.waiting import wait_for_signal
from rtcli.errors import UsageError
from rtcli.protocol.hosts import is_loopback
from rtcli.sessions import session_for


if TYPE_CHECKING:
    from rtcli.protocol.rest import Endpoint
    from rtcli.protocol.secret import Secret
    from rtcli.server.config import Config
    from rtcli.settings import Settings


_EVERYWHERE = {"0.0.0.0", "::"}  # noqa: S104 - compared with, not bound to


@grouped
def serve(
    *,
    host: Annotated[
        str,
        flag(
            "--host",
            text="Address to serve on (default 127.0.0.1). Beyond loopback a secret is asked for.",
            metavar="ADDRESS",
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int, flag("--port", text="0 takes a free one (default 3000).", min=0, max=65535, metavar="PORT")
    ] = 3000,
    allow_origin: Annotated[
        list[str] | None,
        flag(
            "--allow-origin",
            text="Pages of this origin may ask too: http://localhost:5173. Repeatable.",
            env="RTCLI_ALLOW_ORIGIN",
            metavar="URL",
        ),
    ] = None,
    safety_id_from: Annotated[
        str | None,
        flag(
            "--safety-id-from",
            text="Hash this into OpenAI-Safety-Identifier: header:NAME or cookie:NAME.",
            env="RTCLI_SAFETY_ID_FROM",
            rare=True,
            metavar="SOURCE",
        ),
    ] = None,
    tail: Annotated[
        bool, flag("--tail", text="Follow the events of every call that goes through here, each in a colour.")
    ] = False,
    way: Way,
    session: Session,
    general: General,
) -> None:
    """Serve browsers: GET /token, POST /session, and a page that talks.

    Examples:

      rtcli serve --sandbox

      rtcli serve --voice cedar --instructions @prompt.txt

      rtcli serve --allow-origin http://localhost:5173

      rtcli serve --sandbox --tail

    Prints the page's address; each request is a line on standard error; Ctrl-C ends it. The API key stays here.
    Official SDKs take it as base URL: http://127.0.0.1:3000/v1.
    """
    with wiring.logging_to(general.verbose, general.log):
        _refuse_other_ways(way)
        settings = wiring.settings_for({**session.flags(), **asdict(way)}, general.profile)
        _tell(settings.warnings, general)
        with _behind(settings, way, general, host) as (settings, endpoint, key):
            config = _config(
                settings, endpoint, key, session, host=host, origins=allow_origin, safety_id_from=safety_id_from
            )
            with _tailed(config, settings, general) if tail else nullcontext(config) as config:
                server = wiring.app_server(config, host=host, port=port, quiet=general.quiet)
                try:
                    typer.echo(_link(server.start(), host, config.secret))
                    wait_for_signal()
                finally:
                    server.stop()


def _refuse_other_ways(way: Way) -> None:
    if way.server:
        raise UsageError("--server names a server like this one; --base-url names the service behind it")
    if way.direct:
        raise UsageError("--direct is a way of opening a call; a server offers both: /session is it, /token the other")
    if way.token_stdin:
        raise UsageError("--token-stdin brings an ephemeral key, and a server mints its own")
    if way.sandbox and (way.base_url or way.dialect):
        raise UsageError(f"--sandbox and {'--base-url' if way.base_url else '--dialect'} exclude one another")


@contextmanager
def _behind(
    settings: Settings, way: Way, general: General, host: str
) -> Iterator[tuple[Settings, Endpoint, Secret | None]]:
    """The service behind: the one the settings name, or the stand-in in this process, which never sees a real key."""
    if not way.sandbox:
        endpoint, key = services.with_key_now(settings, has_terminal=wiring.stdin_is_terminal())
        yield settings, endpoint, key
        return
    from rtcli.keys import PLACEHOLDER
    from rtcli.protocol.dialects import OPENAI
    from rtcli.protocol.rest import Endpoint
    from rtcli.sandbox.loopback import raise_loopback

    raised, made = raise_loopback(), wiring.make_engine(None)
    sandbox = wiring.sandbox_server(made.engine)
    try:
        alone = "" if is_loopback(host) else "calls with the sandbox stay on this machine, whoever may open the page"
        _tell((raised or "", made.notice, alone), general)
        yield replace(settings, dialect=OPENAI.name), Endpoint(sandbox.start(), OPENAI), PLACEHOLDER
    finally:
        sandbox.stop()
        made.engine.close()


def _config(
    settings: Settings,
    endpoint: Endpoint,
    key: Secret | None,
    session: Session,
    *,
    host: str,
    origins: list[str] | None,
    safety_id_from: str | None,
) -> Config:
    from rtcli.protocol.secret import Secret
    from rtcli.server.config import Config, SafetyFrom, own_options, parsed_origin

    known, secret, source = own_options(os.environ)
    if secret is None and not is_loopback(host):
        secret = Secret(secrets.token_urlsafe(24))
    return Config(
        endpoint=endpoint,
        key=key,
        session=session_for(settings, wish_of(session)),
        http=services.http_client(settings),
        origins=frozenset(map(parsed_origin, origins)) if origins else known,
        secret=secret,
        safety_from=SafetyFrom.parsed(safety_id_from) if safety_id_from else source,
    )


@contextmanager
def _tailed(config: Config, settings: Settings, general: General) -> Iterator[Config]:
    """The configuration of a server whose calls are followed."""
    from rtcli.commands.brokered import Follower
    from rtcli.terminal.calls import CallsFace

    face = CallsFace(sys.stdout, sys.stderr, quiet=general.quiet, color=not general.no_color)
    follower = Follower(lambda call_id: ways.followed_call(config.endpoint, config.key, call_id, settings), face)
    wiring.load_sideband()
    follower.start()
    try:
        yield replace(config, on_call=follower.follow, relays_calls=True)
    finally:
        follower.stop()


def _link(url: str, host: str, secret: Secret | None) -> str:
    """The page's address; a secret that was made for this start is told here and nowhere else."""
    if host in _EVERYWHERE:
        url = url.replace(urlsplit(url).netloc.rpartition(":")[0], _own_address(), 1)
    known = bool(os.environ.get("RTCLI_SERVE_SECRET", "").strip())
    return url if secret is None or known else f"{url}/?secret={secret.reveal()}"


def _own_address() -> str:
    """By which other machines reach this one, as far as it has a way to them. Sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # an address for documentation (RFC 5737)
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])


def _tell(notices: tuple[str, ...], general: General) -> None:
    for notice in notices:
        if notice and not general.quiet:
            typer.echo(notice, err=True)
