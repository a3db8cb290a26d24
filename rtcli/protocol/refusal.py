"""What an error answer says, in one bounded line a person can read, whatever its body is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from email.utils import parsedate_to_datetime
from html import unescape
from http import HTTPStatus

from rtcli.protocol.codec import Json, JsonObject, NotJson, parse
from rtcli.protocol.secret import Secret
from rtcli.records import dataclass


MAX_WORDS = 300
"""Characters kept of a server's message."""
_MAX_NAME = 80
_SCANNED = 4096
"""Bytes of a body that is not JSON which are looked at."""

_KEY = re.compile(r"\b[se]k[-_][\w*.~+/=-]{6,}")
"""Keys as OpenAI writes them, also in the half-masked form of its 401."""
_MESSAGES = dict.fromkeys(("message", "detail", "error_description", "title")).keys()
"""Where servers put their words: OpenAI; FastAPI; OAuth (RFC 6749); problem details (RFC 9457)."""
_AUTH_CODES = frozenset({"invalid_api_key", "invalid_token", "token_expired", "expired_api_key", "invalid_issuer"})


@dataclass(frozen=True, slots=True)
class Refusal:
    line: str
    code: str | None
    kind: str | None
    """`error.type`."""
    param: str | None
    request_id: str | None
    auth: bool
    retry_after: float | None
    """Seconds."""


def explain(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    secrets: Iterable[Secret] = (),
    wanted: str | None = None,
) -> Refusal:
    """Read an error answer. `headers`: names in lower case; `secrets`: what must not be repeated.

    `wanted`: what a success would have held, named when the body is no error either.
    """
    mask = _Mask(secrets)
    error = _error_object(body)
    if error is None:
        found, error = _prose(headers, body, mask), {}
        words = f"expected {wanted}, got {found}" if wanted and 200 <= status < 300 else found
    else:
        words = _message(error, mask) or _prose(headers, body, mask)
    code, kind, param = (_name(error.get(field), mask) for field in ("code", "type", "param"))
    request_id = _name(headers.get("x-request-id") or headers.get("apim-request-id"), mask)
    labels = (code, param and f"param {param}", request_id and f"request {request_id}")
    notes = ", ".join(label for label in labels if label)
    return Refusal(
        line=f"{_status(status)}: {words}" + (f" ({notes})" if notes else ""),
        code=code,
        kind=kind,
        param=param,
        request_id=request_id,
        auth=status in {401, 403} or (code in _AUTH_CODES),
        retry_after=told_delay(headers),
    )


def told_delay(headers: Mapping[str, str]) -> float | None:
    """Seconds of `retry-after-ms` or `Retry-After`; a date counts from the answer's own `Date`."""
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        seconds = _seconds(headers.get(name, ""))
        if seconds is not None:
            return seconds / unit
    try:
        until = parsedate_to_datetime(headers["retry-after"]) - parsedate_to_datetime(headers["date"])
    except (KeyError, ValueError, TypeError):  # TypeError: one has a time zone, the other none
        return None
    return max(0.0, until.total_seconds())


def one_line(text: str, limit: int = MAX_WORDS) -> str:
    """Printable, on one line, at most `limit` characters."""
    flat = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * limit]).split())
    return flat if len(flat) <= limit else flat[: limit - 3] + "..."


class _Mask:
    def __init__(self, secrets: Iterable[Secret]) -> None:
        self._known = [s.reveal() for s in secrets if len(s.reveal()) >= 4]

    def __call__(self, text: str) -> str:
        for known in self._known:
            text = text.replace(known, "***")
        return _KEY.sub("***", text)


def _error_object(body: bytes) -> JsonObject | None:
    """The object that holds `message`, `code`, ...; None when the body has none."""
    try:
        document = parse(body)
    except NotJson:
        return None
    if not isinstance(document, dict):
        return None
    error = document.get("error", document)
    if isinstance(error, str):  # LocalAI
        return {"message": error}
    return error if isinstance(error, dict) and (error is not document or _MESSAGES & error.keys()) else None


def _message(error: JsonObject, mask: _Mask) -> str:
    for field in (*_MESSAGES, "code", "type"):
        words: Json = error.get(field)
        if isinstance(words, str) and words.strip():
            return one_line(mask(words))
    return ""


def _name(value: Json, mask: _Mask) -> str | None:
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return None
    return one_line(mask(str(value)), _MAX_NAME) or None


def _prose(headers: Mapping[str, str], body: bytes, mask: _Mask) -> str:
    """A fact about a body that is not an error object."""
    if not body.strip():
        return "an empty answer"
    text = mask(body[:_SCANNED].decode(errors="replace"))
    if "html" in headers.get("content-type", "") or re.match(
        r"\s*<(!doctype html|html|head|body)\b", text, re.IGNORECASE
    ):
        title = re.search(r"<title[^>]*>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
        named = one_line(unescape(title[1]), _MAX_NAME) if title else ""
        return f'a web page titled "{named}"' if named else "a web page"
    if "\ufffd" in text:
        return f"{len(body)} bytes that are no text"
    return f'"{one_line(text)}"'


def _status(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _seconds(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value < float("inf") else None
