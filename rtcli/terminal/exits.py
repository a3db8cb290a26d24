"""Exit statuses: the contract with scripts, so they belong to the face and not to the errors."""

from __future__ import annotations

from rtcli.errors import (
    AuthError,
    BudgetReached,
    DeviceError,
    ExpectationUnmet,
    NetworkError,
    RtcliError,
    ServiceError,
    UsageError,
    WaitTimeout,
)
from rtcli.protocol.updates import Closed


OK = 0
BUG = 1
INTERRUPTED = 130
TERMINATED = 143

STATUS: tuple[tuple[type[RtcliError], int], ...] = (
    (UsageError, 2),
    (AuthError, 3),
    (NetworkError, 4),
    (ServiceError, 5),
    (DeviceError, 6),
    (WaitTimeout, 7),
    (BudgetReached, 8),
    (ExpectationUnmet, 9),
)


def unwritten(error: OSError) -> UsageError:
    """What was redirected somewhere that takes no more: a full disk is no bug of ours, and nothing must look well."""
    return UsageError(f"the output can not be written: {error.strerror or error}")


def status_of(error: BaseException) -> int:
    return next((status for kind, status in STATUS if isinstance(error, kind)), BUG)


def status_of_call(closed: Closed) -> int:
    return closed.exit if closed.error is None else status_of(closed.error)
