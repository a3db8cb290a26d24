"""Whom the app server answers: what it mints is paid for by somebody."""

from __future__ import annotations

import hmac
import socket
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import Scope

from rtcli.asgi.admission import host_refused, origin_refused
from rtcli.asgi.origins import is_loopback_host
from rtcli.asgi.refusals import refusal
from rtcli.errors import ServiceError
from rtcli.protocol.hosts import is_loopback
from rtcli.protocol.secret import Secret


COOKIE = "rtcli_secret"


class Door:
    """Host, Origin and the address of who asks.

    Without a secret only this machine is answered, by its loopback names. With one, names that surely are ours are
    too: an address (rebinding needs a name), this machine's own name, and the host of an allowed origin.
    """

    methods = "GET, POST"

    def __init__(self, origins: frozenset[str], *, open_to_others: bool) -> None:
        self._origins = origins
        self._open = open_to_others
        own = socket.gethostname().lower()
        self._names = {own, f"{own}.local", *(urlsplit(origin).hostname for origin in origins)}

    def objection(self, headers: Headers, scope: Scope) -> ServiceError | None:
        host, origin = headers.get("host", ""), headers.get("origin")
        if not self._answers_to(host):
            return host_refused()
        if not self._open and not _is_near(scope):
            return refusal("This server answers its own machine only.", code="address_not_allowed", status=403)
        if origin is not None:
            return None if self.shares_with(origin, headers) else origin_refused()
        # A page elsewhere can ask without an Origin, by an image or a link. It may show our page, but mint nothing.
        elsewhere = headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}
        return origin_refused() if elsewhere and scope["path"] != "/" else None

    def shares_with(self, origin: str, headers: Headers) -> bool:
        return origin in self._origins or _is_own(origin, headers.get("host", ""))

    def _answers_to(self, host: str) -> bool:
        if is_loopback_host(host):
            return True
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        return self._open and (name in self._names or _is_address(name))


def _is_own(origin: str, host: str) -> bool:
    """The scheme is left out: in front of us there may be something that speaks TLS for us."""
    return origin.lower() in {f"http://{host.lower()}", f"https://{host.lower()}"}


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _is_near(scope: Scope) -> bool:
    """Asked from this machine; a host that tells no address listens on a socket of this machine."""
    client = scope.get("client")
    return client is None or is_loopback(client[0])


def check_secret(secret: Secret | None, headers: Headers) -> None:
    """Raises ServiceError (401) when a secret is needed and neither the bearer token nor the cookie is it."""
    if secret is None:
        return
    shown = [bearer_of(headers), cookie_of(headers)]
    if not any(is_secret(secret, text) for text in shown if text):
        raise refusal(
            "This server needs its secret: open the link it printed, or send it as a bearer token.",
            code="secret_required",
            status=401,
        )


def is_secret(secret: Secret, text: str) -> bool:
    return hmac.compare_digest(secret.reveal().encode(), text.encode())


def bearer_of(headers: Headers) -> str:
    scheme, _, value = headers.get("authorization", "").partition(" ")
    return value.strip() if scheme.lower() == "bearer" else ""


def cookie_of(headers: Headers) -> str:
    for part in headers.get("cookie", "").split(";"):
        name, _, value = part.strip().partition("=")
        if name == COOKIE:
            return value
    return ""
