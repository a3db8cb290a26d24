"""One tree of errors.

    RtcliError
    ├── UsageError           the command line or the configuration is wrong           (2)
    ├── AuthError            no key, refused, expired                                 (3)
    │   └── ServerAuthError  an app server refused us
    ├── NetworkError         the other side could not be reached, or was lost         (4)
    │   ├── ConnectError     no connection; says at which step
    │   └── CallLost         a call that was up is gone
    ├── ServiceError         the service, or the server in between, said no           (5)
    ├── DeviceError          PortAudio or a device that was asked for                 (6)
    ├── WaitTimeout          what was waited for did not come                         (7)
    ├── BudgetReached        cost, duration or idle limit                             (8)
    └── ExpectationUnmet     an `--expect` that was not met                           (9)

An error states the fact and carries the offending values; it never holds a secret and never advises.
The exit status (`rtcli.cli`) and the advice (`rtcli.terminal.advice`) belong to the face.
"""

from __future__ import annotations

from typing import Literal


Step = Literal["token", "call", "answer", "ice", "dtls", "channel", "session"]
"""Where setting up a call failed: minting the key, posting the offer, reading the answer,
the ICE checks, the DTLS handshake, the data channel, the session's own answer."""


class RtcliError(Exception):
    """Base of everything rtcli raises on purpose. The message is one line."""


class UsageError(RtcliError):
    pass


class AuthError(RtcliError):
    """No usable key: missing, refused (401, 403) or expired."""


class ServerAuthError(AuthError):
    """The app server in between wants something of its own: no key of this machine goes there."""


class NetworkError(RtcliError):
    pass


class ConnectError(NetworkError):
    """No connection. `step` names what failed; `udp_suspect` is set when only media packets got no answer."""

    def __init__(self, step: Step, message: str, *, udp_suspect: bool = False) -> None:
        super().__init__(message)
        self.step: Step = step
        self.udp_suspect = udp_suspect


class CallLost(NetworkError):
    """The connection of a running call is gone."""


class ServiceError(RtcliError):
    """The service refused, or a server on the way did.

    `status` is the HTTP status when there was one, `code`, `kind` and `param` the body's `error.code`,
    `error.type` and `error.param`, `retry_after` seconds.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str | None = None,
        kind: str | None = None,
        param: str | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.kind = kind
        self.param = param
        self.request_id = request_id
        self.retry_after = retry_after


class EventTooLarge(ServiceError):
    """A client event over the peer's `a=max-message-size` (RFC 8841): refused before sending."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(f"the event has {size} bytes, the other side takes at most {limit}")
        self.size = size
        self.limit = limit


class DeviceError(RtcliError):
    pass


class WaitTimeout(RtcliError):
    pass


class BudgetReached(RtcliError):
    pass


class ExpectationUnmet(RtcliError):
    pass
