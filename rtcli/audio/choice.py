"""Which device a user means by a number, a name or a part of a name."""

from __future__ import annotations

from typing import Literal

from rtcli.audio.base import Device
from rtcli.errors import DeviceError, UsageError


Kind = Literal["input", "output"]


def choose(devices: list[Device], kind: Kind, spec: str) -> Device:
    """The one device meant (case does not matter).

    Raises UsageError listing the candidates when several are meant, DeviceError when none is.
    """
    usable = [device for device in devices if channels(device, kind)]
    meant = _matching(usable, spec)
    if len(meant) == 1:
        return meant[0]
    if meant:
        raise UsageError(f"{spec!r} could be {_listed(meant)}")
    raise DeviceError(f"no {kind} device {spec!r}; there is {_listed(usable) or 'none at all'}")


def channels(device: Device, kind: Kind) -> int:
    return device.inputs if kind == "input" else device.outputs


def _matching(usable: list[Device], spec: str) -> list[Device]:
    if spec.isdecimal():
        return [device for device in usable if device.index == int(spec)]
    wanted = spec.casefold()
    exact = [device for device in usable if device.name.casefold() == wanted]
    part = exact or [device for device in usable if wanted in device.name.casefold()]
    return _one_host(part)


def _one_host(meant: list[Device]) -> list[Device]:
    """Windows lists one device under several host APIs: of entries with one name, the first host's is taken."""
    names: dict[str, Device] = {}
    hosts: dict[str, set[str]] = {}
    for device in meant:
        names.setdefault(device.name, device)
        hosts.setdefault(device.name, set()).add(device.host_api)
    if len(names) == 1 and len(next(iter(hosts.values()))) == len(meant):
        return list(names.values())
    return meant


def _listed(meant: list[Device]) -> str:
    return ", ".join(f"{device.index}: {device.name} ({device.host_api})" for device in meant[:20])
