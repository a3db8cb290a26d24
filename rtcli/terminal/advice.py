"""What to do next, for each kind of error: one fragment behind the fact. Pure."""

from __future__ import annotations

from rtcli.errors import (
    AuthError,
    CallLost,
    ConnectError,
    DeviceError,
    EventTooLarge,
    NetworkError,
    RtcliError,
    ServerAuthError,
    ServiceError,
)
from rtcli.keys import KeyKept, KeyringTrouble
from rtcli.terminal.text import safe


_CODES = {
    "insufficient_quota": "add credit to the account; trying again does not help",
    "credit_balance_exhausted": "add credit to the account; trying again does not help",
    "invalid_offer": "the service did not take our offer; please report it",
    "beta_api_shape_disabled": "the beta API is gone; use the present names",
    "unknown_parameter": "the service does not know this field; leave it out",
    "slow_down": "wait a little and try again",
    "server_is_overloaded": "wait a little and try again",
}

_KINDS: tuple[tuple[type[RtcliError], str], ...] = (
    (CallLost, "call again"),
    (NetworkError, "check the network, the proxy and the address (--base-url, --server)"),
    (KeyKept, "`rtcli auth status` says where a key comes from"),
    (KeyringTrouble, "set OPENAI_API_KEY instead"),
    (ServerAuthError, "the key is that server's affair; it may want a header of yours: --header NAME:env:VARIABLE"),
    (AuthError, "give another key: `rtcli auth login`, or OPENAI_API_KEY"),
    (EventTooLarge, "send less at once"),
    (DeviceError, "see `rtcli devices`; --input FILE.wav and --output FILE.wav need no device"),
)

_STEPS = {
    "token": "check the network, the proxy and the address (--base-url, --server)",
    "call": "check the network, the proxy and the address (--base-url, --server)",
    "answer": "is this the address of a Realtime API (--base-url, --server)?",
    "ice": "UDP may be blocked on this network: try another one, or a TURN server by --ice-server",
    "dtls": "something on the way lets ICE through but not DTLS: try another network",
    "channel": "the other side did not open the event channel: is it a Realtime API?",
    "session": "the other side never described the session: is it a Realtime API?",
}


def one_line(error: BaseException) -> str:
    """What happened and what to do next, on one line, safe for a terminal."""
    fact = safe(str(error)) or type(error).__name__
    code = getattr(error, "code", None)
    if code and code not in fact:
        fact = f"{fact} ({safe(code)})"
    step = advice(error)
    return f"{fact}; {step}" if step else fact


def advice(error: BaseException) -> str:
    if isinstance(error, ConnectError) and error.step == "ice" and not error.udp_suspect:
        return "try again, or through a TURN server by --ice-server"
    if isinstance(error, ConnectError):
        return _STEPS[error.step]
    if isinstance(error, ServiceError) and not isinstance(error, EventTooLarge):
        return _of_service(error)
    if not isinstance(error, RtcliError):
        return "this is a bug in rtcli: run again with -vv and report the traceback"
    return next((step for kind, step in _KINDS if isinstance(error, kind)), "")


def _of_service(error: ServiceError) -> str:
    if error.code in _CODES:
        return _CODES[error.code]
    if error.status == 429:
        return "wait a little and try again"
    if error.status is not None and error.status >= 500:
        return "the fault is on the service's side: try again later"
    return ""
