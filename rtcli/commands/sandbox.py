"""`rtcli sandbox`: the offline stand-in as a service on loopback."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from rtcli import wiring
from rtcli.commands.options import General, Session, flag, grouped
from rtcli.commands.waiting import wait_for_signal
from rtcli.protocol.codec import JsonObject
from rtcli.sandbox.loopback import raise_loopback


class EngineName(StrEnum):
    SPEECH = "speech"
    SCRIPTED = "scripted"


@grouped
def sandbox(
    *,
    port: Annotated[
        int,
        flag("--port", text="Port on 127.0.0.1; 0 takes a free one (default 8776).", min=0, max=65535, metavar="PORT"),
    ] = 8776,
    engine: Annotated[
        EngineName | None,
        flag("--engine", text="`speech` (real recognition and voice) or `scripted` (deterministic, no extra parts)."),
    ] = None,
    script: Annotated[
        Path | None,
        flag(
            "--script",
            text="Hear and answer what this file says (TOML or JSON), in every call from its beginning.",
            metavar="FILE",
        ),
    ] = None,
    fault: Annotated[
        list[str] | None,
        flag(
            "--fault",
            text="Do something wrong, repeatable: calls=503, drop=5, death=10, junk=3, dialect=azure, … (README).",
            metavar="NAME=VALUE",
        ),
    ] = None,
    llm: Annotated[
        str | None,
        flag(
            "--llm",
            text="Let this OpenAI-compatible chat server think (Ollama, llama.cpp, vLLM); its first model, or #MODEL.",
            metavar="URL",
        ),
    ] = None,
    seed: Annotated[
        int | None, flag("--seed", text="The same ids of calls, items and events in every run.", metavar="NUMBER")
    ] = None,
    session: Session,
    general: General,
) -> None:
    """Serve the Realtime API offline, on this machine alone.

    Examples:

      rtcli sandbox

      rtcli send --base-url http://127.0.0.1:8776/v1 "hi"

      rtcli sandbox --llm http://127.0.0.1:11434/v1#llama3.2

      rtcli sandbox --port 0 --engine scripted --script answers.toml --seed 1

      rtcli sandbox --fault drop=5 --fault jitter=40

    Prints its base URL; Ctrl-C ends it. English only. The session is that of calls that bring none.
    """
    with wiring.logging_to(general.verbose, general.log):
        told = wiring.sandbox_script(script) if script is not None else None
        faults = wiring.sandbox_faults(fault or [])
        unasked = _session(session, general)
        raised = raise_loopback()
        made = wiring.make_engine(engine)
        for notice in (raised, made.notice):
            if notice and not general.quiet:
                typer.echo(notice, err=True)
        head = wiring.thinking(made.engine, llm) if llm is not None else made.engine
        server = wiring.sandbox_server(head, port=port, script=told, seed=seed, faults=faults, session=unasked)
        try:
            typer.echo(server.start())
            wait_for_signal()
        finally:
            server.stop()
            made.engine.close()


def _session(session: Session, general: General) -> JsonObject | None:
    """What the options make of it; None when there are none. Raises UsageError."""
    if session == Session():
        return None
    from rtcli.commands.session import wish_of
    from rtcli.sessions import session_for

    return session_for(wiring.settings_for(session.flags(), general.profile), wish_of(session))
