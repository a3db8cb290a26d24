"""The one interface the sandbox needs.

A new network namespace (`unshare -n`, some containers) has a loopback interface that is down: nothing on the machine
can then reach itself. Who is allowed to may bring it up, and the sandbox does, because without it nothing works at all.
"""

from __future__ import annotations

import socket
import struct
import sys
from contextlib import suppress


_GET_FLAGS, _SET_FLAGS = 0x8913, 0x8914  # SIOCGIFFLAGS, SIOCSIFFLAGS (linux/sockios.h)
_UP = 0x1  # IFF_UP (linux/if.h)
_REQUEST = "16sH14x"  # struct ifreq: name, flags


def raise_loopback() -> str | None:
    """Bring the loopback interface up if it is down and we may; says so in one line, else None."""
    if sys.platform != "linux":
        return None
    from fcntl import ioctl

    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        _, flags = struct.unpack(_REQUEST, ioctl(handle, _GET_FLAGS, struct.pack(_REQUEST, b"lo", 0)))
        if not flags & _UP:
            ioctl(handle, _SET_FLAGS, struct.pack(_REQUEST, b"lo", flags | _UP))
            return "the loopback interface was down; it is up now"
    return None
