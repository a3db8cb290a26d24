"""`rtcli devices`: audio inputs and outputs."""

from __future__ import annotations

import json as json_module
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from rtcli import wiring
from rtcli.commands.options import General, flag, grouped


if TYPE_CHECKING:
    from rtcli.audio.base import Device
    from rtcli.protocol.updates import Using


@grouped
def devices(
    *,
    json: Annotated[bool, flag("--json", text="As one JSON document.")] = False,
    general: General,
) -> None:
    """Audio inputs and outputs of this machine.

    Examples:

      rtcli devices

      rtcli talk --input "USB" --output 3

    A device is chosen by its number, its name or a part of it; * marks the default ones.
    """
    from rtcli.terminal.text import safe

    with wiring.logging_to(general.verbose, general.log):
        found = wiring.devices()
    if json:
        typer.echo(json_module.dumps([asdict(device) for device in found], ensure_ascii=False))
        return
    if not found:
        typer.echo("no audio device on this machine", err=True)
    for device in found:
        typer.echo(safe(line_of(device)))


def line_of(device: Device) -> str:
    """For people; not made safe yet."""
    ends = [
        f"{channels} {name}{' *' if is_default else ''}"
        for channels, name, is_default in (
            (device.inputs, "in", device.is_default_input),
            (device.outputs, "out", device.is_default_output),
        )
        if channels
    ]
    return f"{device.index:>3}  {device.name}  ({device.host_api}; {', '.join(ends)}; {device.default_rate} Hz)"


def choice_of(kind: str, device: Device, using: Using) -> str:
    """For people, as one of several to choose from; not made safe yet."""
    name, used = {"input": ("microphone", using.microphone), "output": ("speaker", using.speaker)}[kind]
    is_default = device.is_default_input if kind == "input" else device.is_default_output
    marks = f"{' *' if is_default else ''}  ({device.host_api}{', in use' if device.name == used else ''})"
    return f"{name:<10}  {device.name}{marks}"
