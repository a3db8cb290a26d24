"""The way into what aiortc and aioice do not publish.

aiortc is pinned to one minor version; still, each attribute that rtcli reaches for is fetched through here, so that
another version ends in one clear sentence instead of a call without sound. `tests/loopback/` has a test for each.
"""

from __future__ import annotations

from typing import Any

import aiortc

from rtcli.errors import RtcliError


def inside(owner: object, name: str) -> Any:
    """The attribute `name` of an object of aiortc or aioice. Raises RtcliError when it is not there."""
    try:
        return getattr(owner, name)
    except AttributeError:
        kind = type(owner).__name__
        raise RtcliError(f"aiortc {aiortc.__version__} is not the version rtcli knows: {kind} has no {name}") from None


def put_inside(owner: object, name: str, value: object) -> None:
    """Replace the attribute `name`, which must be there already. Raises RtcliError."""
    inside(owner, name)
    setattr(owner, name, value)
