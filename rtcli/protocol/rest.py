"""HTTP requests and answers as values: what to ask a service or an app server, and what its answer says.

Paths, bodies and headers follow OpenAI's API reference and the official SDK (`resources/realtime/*.py`, 3.54); how an
answer is read also covers what gateways and older servers send. Nothing here opens a connection.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import field
from types import MappingProxyType
from typing import Literal
from urllib.parse import urlsplit

from rtcli.errors import AuthError, ServiceError, Step, UsageError
from rtcli.protocol.codec import JsonObject, NotJson, parse, text_of
from rtcli.protocol.dialects import OPENAI, Dialect
from rtcli.protocol.hosts import DEFAULT_BASE_URL, join
from rtcli.protocol.refusal import explain
from rtcli.protocol.secret import Secret
from rtcli.records import dataclass


HeaderValue = str | Secret
_NONE: Mapping[str, HeaderValue] = MappingProxyType({})

EXPIRES_MIN, EXPIRES_MAX = 10, 7200
"""Seconds an ephemeral key may live; the service's default is 600."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request. A header value that is a Secret never goes to another host and never shows."""

    method: Literal["GET", "HEAD", "POST", "DELETE"]
    url: str
    headers: Mapping[str, HeaderValue] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)
    content_type: str | None = None
    step: Step = "call"
    """What a failure to connect is reported as."""
    repeatable: bool = True
    """Whether it may be sent again unchanged. A call may not: its first try may have opened one."""

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """What the headers hold and no message may show, without the word before it (`Bearer`)."""
        held = (value.reveal() for value in self.headers.values() if isinstance(value, Secret))
        return tuple(Secret(text.split()[-1]) for text in held if text.strip())


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes = field(repr=False)
    secrets: tuple[Secret, ...] = ()
    """Those of the request: an answer that repeats them is masked."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A service, how it speaks, and what goes along with every request to it."""

    base_url: str = DEFAULT_BASE_URL
    dialect: Dialect = OPENAI
    headers: Mapping[str, HeaderValue] = field(default_factory=dict)
    """The user's own; they win over ours."""
    organization: str | None = None
    project: str | None = None
    safety_id: str | None = None
    """Value of `OpenAI-Safety-Identifier`."""

    @property
    def calls_url(self) -> str:
        return join(self.base_url, self.dialect.calls_path)


# ---- requests -------------------------------------------------------------------------------------------------------


def client_secret_request(
    endpoint: Endpoint, key: Secret | None, session: JsonObject | None = None, *, expires_after: int | None = None
) -> HttpRequest:
    """Mint an ephemeral key. `expires_after`: seconds. Raises AuthError when the key can not be a header."""
    document: JsonObject = {}
    if expires_after is not None:
        document["expires_after"] = {"anchor": "created_at", "seconds": expires_after}
    if session is not None:
        document["session"] = session
    return HttpRequest(
        "POST",
        join(endpoint.base_url, "/realtime/client_secrets"),
        _headers(_key_header(endpoint.dialect, key), _identity(endpoint, key), endpoint.headers),
        text_of(document).encode(),
        "application/json",
        step="token",
    )


def call_request(endpoint: Endpoint, key: Secret | None, offer: str, *, model: str | None = None) -> HttpRequest:
    """Post an offer whose session is the key's, or the server's own.

    `key`: ephemeral, or the API key where none is minted. `model` is used by dialects that name it here.
    """
    dialect = endpoint.dialect
    query = {"model": model} if dialect.model_in_query and model else None
    headers = _headers(_bearer(key), {"Accept": "application/sdp"}, endpoint.headers)
    if dialect.call_body == "json":
        document: JsonObject = {"sdp": offer} if model is None else {"sdp": offer, "model": model}
        body, content_type = text_of(document).encode(), "application/json"
        headers = _headers(headers, {"Accept": "application/json"}, endpoint.headers)
    else:
        body, content_type = offer.encode(), "application/sdp"
    url = join(endpoint.base_url, dialect.calls_path, query)
    return HttpRequest("POST", url, headers, body, content_type, repeatable=False)


def direct_call_request(endpoint: Endpoint, key: Secret | None, offer: str, session: JsonObject) -> HttpRequest:
    """Post offer and session in one request (the unified interface)."""
    body, content_type = multipart(
        [("sdp", "application/sdp", offer.encode()), ("session", "application/json", text_of(session).encode())]
    )
    headers = _headers(
        _key_header(endpoint.dialect, key),
        _identity(endpoint, key),
        {"Accept": "application/sdp"},
        endpoint.headers,
    )
    return HttpRequest("POST", endpoint.calls_url, headers, body, content_type, repeatable=False)


def hangup_request(endpoint: Endpoint, key: Secret | None, call_id: str) -> HttpRequest | None:
    """End a call by its id; None where the service has no request for that."""
    method = endpoint.dialect.hangup
    if method is None:
        return None
    path = f"{endpoint.dialect.calls_path}/{call_id}" + ("/hangup" if method == "POST" else "")
    headers = _headers(_key_header(endpoint.dialect, key), endpoint.headers)
    return HttpRequest(method, join(endpoint.base_url, path), headers)


def sideband_request(endpoint: Endpoint, key: Secret | None, call_id: str) -> HttpRequest:
    """Join a call by its id: the handshake of a WebSocket, its URL written as that of HTTP.

    Raises UsageError when this can not be a call's id.
    """
    headers = _headers(_key_header(endpoint.dialect, key), _identity(endpoint, key), endpoint.headers)
    url = join(endpoint.base_url, "/realtime", {"call_id": checked_call_id(call_id)})
    return HttpRequest("GET", url, headers)


def checked_call_id(text: str) -> str:
    """Raises UsageError for what could mean another address."""
    if len(text) > 200 or not text.isascii() or not _is_word(text):
        raise UsageError(f"not the id of a call: {text[:80]!r}")
    return text


def server_token_request(server: str, headers: Mapping[str, HeaderValue] = _NONE) -> HttpRequest:
    """Ask an app server for a key: `GET SERVER/token`."""
    return HttpRequest("GET", join(server, "/token"), _headers({"Accept": "application/json"}, headers), step="token")


def server_session_request(server: str, offer: str, headers: Mapping[str, HeaderValue] = _NONE) -> HttpRequest:
    """Let an app server open the call: `POST SERVER/session`."""
    return HttpRequest(
        "POST",
        join(server, "/session"),
        _headers({"Accept": "application/sdp"}, headers),
        offer.encode(),
        "application/sdp",
        repeatable=False,
    )


def multipart(parts: Iterable[tuple[str, str, bytes]]) -> tuple[bytes, str]:
    """Body and content type of `(name, content type, content)` parts, as the official SDK writes them: no file name.

    The boundary is drawn from the content: the same request has the same bytes, and no content holds its own digest.
    """
    listed = list(parts)
    digest = hashlib.sha256(b"\0".join(content for _, _, content in listed)).hexdigest()
    boundary = f"rtcli-{digest[:32]}"
    body = b"".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\nContent-Type: {kind}\r\n\r\n'.encode()
        + content
        + b"\r\n"
        for name, kind, content in listed
    )
    return body + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def _headers(*layers: Mapping[str, HeaderValue]) -> dict[str, HeaderValue]:
    """The layers in one; a later layer wins whatever the case of the name."""
    merged: dict[str, tuple[str, HeaderValue]] = {}
    for layer in layers:
        merged.update({name.lower(): (name, value) for name, value in layer.items()})
    return dict(merged.values())


def _bearer(key: Secret | None) -> dict[str, HeaderValue]:
    return {} if key is None else {"Authorization": Secret(f"Bearer {_sendable(key)}")}


def _key_header(dialect: Dialect, key: Secret | None) -> dict[str, HeaderValue]:
    """Of an API key. Azure also takes an access token of Entra, which is a JWT, as a bearer token."""
    if key is None or dialect.key_header == "Authorization" or key.reveal().startswith("eyJ"):
        return _bearer(key)
    return {dialect.key_header: Secret(_sendable(key))}


def _identity(endpoint: Endpoint, key: Secret | None) -> dict[str, HeaderValue]:
    """What goes along with a standard key and never with an ephemeral one."""
    found = {
        "OpenAI-Organization": endpoint.organization if key else None,
        "OpenAI-Project": endpoint.project if key else None,
        "OpenAI-Safety-Identifier": endpoint.safety_id,
    }
    return {name: value for name, value in found.items() if value}


def _is_sendable(text: str) -> bool:
    return bool(text) and text.isascii() and text.isprintable() and " " not in text


def _sendable(key: Secret) -> str:
    if _is_sendable(key.reveal()):
        return key.reveal()
    raise AuthError("the key is empty or holds a character no key has (a space, a line break, a quotation mark?)")


def check_header(name: str, value: str) -> None:
    """Raises UsageError when this can not be sent as a header (RFC 9110 section 5). Does not repeat the value."""
    token = name.isascii() and bool(name) and all(c.isalnum() or c in "!#$%&'*+-.^_`|~" for c in name)
    if not token:
        raise UsageError(f"not a header's name: {name[:80]!r}")
    if not (value.isascii() and (value.isprintable() or "\t" in value)) or any(c in value for c in "\r\n\0"):
        raise UsageError(f"the header {name} holds a character that can not be sent")


# ---- answers --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ClientSecret:
    """An ephemeral key. Mint one per connection: it may be refused when used again."""

    value: Secret
    """`ek_...` at OpenAI; gateways return other shapes, so the prefix says nothing."""
    expires_at: float | None
    """Seconds since the epoch."""
    session: JsonObject | None
    """As configured, when the answer has it."""
    document: JsonObject = field(repr=False)
    """The whole answer."""


@dataclass(frozen=True, slots=True)
class CallAnswer:
    sdp: str
    call_id: str | None
    """`rtc_...` at OpenAI; None behind servers that do not tell."""


def parse_client_secret(answer: HttpAnswer) -> ClientSecret:
    """Read a minted key: `value`, the beta's `client_secret.value`, or a token service's `token`.

    Raises AuthError or ServiceError in the server's own words; an error that came with status 200 is seen through.
    """
    document = json_object(answer)
    if not _is_success(answer) or document is None:
        raise parse_error(answer, wanted="a key")
    inner = document.get("client_secret")
    holder = inner if isinstance(inner, dict) else document
    candidates = (document.get("value"), holder.get("value"), document.get("token"), inner)
    value = next((text for text in candidates if isinstance(text, str) and text), None)
    if value is None:
        if "error" in document:
            raise parse_error(answer)
        raise ServiceError("the answer holds no key", status=answer.status)
    if not _is_sendable(value):
        raise ServiceError("the answer's key holds a character no key has", status=answer.status)
    expires = holder.get("expires_at")
    session = document.get("session")
    return ClientSecret(
        value=Secret(value),
        expires_at=expires if isinstance(expires, (int, float)) and not isinstance(expires, bool) else None,
        session=session if isinstance(session, dict) else None,
        document=document,
    )


def parse_call(answer: HttpAnswer) -> CallAnswer:
    """Read the answer to an offer: any 2xx whose body is SDP, bare or in JSON (`{"sdp": ...}`).

    Raises AuthError or ServiceError in the server's own words. The guide's sample server hands an upstream error on as
    200 with a JSON body; it is reported as the error it is.
    """
    if not _is_success(answer):
        raise parse_error(answer)
    document = json_object(answer)
    sdp = document.get("sdp") if document is not None else _text(answer)
    if not isinstance(sdp, str) or not sdp.lstrip("\ufeff\r\n\t ").startswith("v=0"):
        raise parse_error(answer, wanted="an SDP answer")
    told = document.get("id") if document is not None else None
    return CallAnswer(sdp.lstrip("\ufeff\r\n\t "), _call_id(answer.headers.get("location")) or _call_id(told))


def parse_error(answer: HttpAnswer, *, wanted: str | None = None) -> AuthError | ServiceError:
    """The error an answer stands for, in one line: status, the server's words, code, parameter, request id.

    `wanted`: what a successful answer would have held, for the line about one that holds neither it nor an error.
    """
    refusal = explain(answer.status, answer.headers, answer.body, secrets=answer.secrets, wanted=wanted)
    if refusal.auth:
        return AuthError(refusal.line)
    return ServiceError(
        refusal.line,
        status=answer.status,
        code=refusal.code,
        kind=refusal.kind,
        param=refusal.param,
        request_id=refusal.request_id,
        retry_after=refusal.retry_after,
    )


def json_object(answer: HttpAnswer) -> JsonObject | None:
    """The body, when it is a JSON object."""
    try:
        value = parse(answer.body)
    except NotJson:
        return None
    return value if isinstance(value, dict) else None


def _is_success(answer: HttpAnswer) -> bool:
    return 200 <= answer.status < 300


def _text(answer: HttpAnswer) -> str | None:
    try:
        return answer.body.decode()
    except UnicodeDecodeError:
        return None


def _call_id(location: object) -> str | None:
    """The last path segment that is an OpenAI call id, else the last segment; None when it is no plain word."""
    if not isinstance(location, str):
        return None
    try:
        segments = [segment for segment in urlsplit(location).path.split("/") if segment]
    except ValueError:
        return None
    ours = [segment for segment in segments if segment.startswith("rtc_")]
    found = (ours or segments)[-1:]
    return next((word for word in found if len(word) <= 200 and word.isascii() and _is_word(word)), None)


def _is_word(text: str) -> bool:
    return text.strip(".") != "" and all(c.isalnum() or c in "._~-" for c in text)
