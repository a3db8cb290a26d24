"""`rtcli calls`: live calls of this user on this machine; hang one up."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from rtcli import wiring
from rtcli.commands.options import Command, flag
from rtcli.errors import UsageError


if TYPE_CHECKING:
    from rtcli.protocol.codec import JsonObject
    from rtcli.transport.attach import Live


app = typer.Typer(
    invoke_without_command=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def live_names(incomplete: str) -> list[str]:
    """For completion: what is in the folder, asked nobody."""
    from rtcli.transport.meeting import names

    return [name for name in names(wiring.live_folder()) if name.startswith(incomplete)]


def the_one(name: str | None, *, chosen_by: str = "--to NAME") -> str:
    """The live call of that name, else the only one there is. Raises UsageError naming those that there are."""
    from rtcli.transport.attach import live_calls

    found = [live.name for live in asyncio.run(live_calls(wiring.live_folder()))]
    if name is not None and name in found:
        return name
    if not found:
        called = f"no live call is called {name}" if name else "no live call on this machine"
        raise UsageError(f"{called}; `rtcli talk` begins one")
    if name is not None:
        raise UsageError(f"no live call is called {name}; there are: {', '.join(found)}")
    if len(found) > 1:
        raise UsageError(f"several live calls: {', '.join(found)}; choose one with {chosen_by}")
    return found[0]


@app.callback()
def calls(
    context: typer.Context,
    *,
    json: Annotated[bool, flag("--json", text="One JSON document.")] = False,
) -> None:
    """Live calls of this user on this machine.

    Examples:

      rtcli calls

      rtcli calls --json | jq -r '.[].name'

      rtcli calls hangup 1
    """
    if context.invoked_subcommand is None:
        _list(json=json)


@app.command(cls=Command)
def hangup(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="Which one; needed when there are several.", autocompletion=live_names),
    ] = None,
) -> None:
    """End a live call for everybody who follows it."""
    from rtcli.transport.attach import hang_up

    chosen = the_one(name, chosen_by="`rtcli calls hangup NAME`")
    try:
        asyncio.run(hang_up(wiring.live_folder(), chosen))
    except OSError:
        raise UsageError(f"call {chosen} has ended already") from None


def _list(*, json: bool) -> None:
    from rtcli.protocol.codec import text_of
    from rtcli.terminal.text import safe
    from rtcli.transport.attach import live_calls

    found = asyncio.run(live_calls(wiring.live_folder()))
    if json:
        typer.echo(text_of([_object(live) for live in found]))
    elif not found:
        typer.echo("no live call on this machine", err=True)
    for live in found if not json else ():
        typer.echo(safe(_line(live)))


def _object(live: Live) -> JsonObject:
    told = {key: value for key, value in live.described.items() if key not in {"type", "v"}}
    return {"name": live.name, "answers": bool(told), **told}


def _line(live: Live) -> str:
    told = live.described
    if not told:
        return f"{live.name}  its process does not answer"
    facts = (told.get("command"), told.get("way"), told.get("call_id"), f"pid {told.get('pid')}", told.get("began"))
    return "  ".join([live.name, *(str(fact) for fact in facts if fact)])
