"""What the sandbox does wrong on purpose, so that a client can be tested against it: `--fault NAME=VALUE`.

secrets=STATUS[:CODE]   the answer to a request for an ephemeral key: `secrets=429:insufficient_quota`
calls=STATUS[:CODE]     the answer to an offer: `calls=503:server_is_overloaded`
slow=SECONDS            before each answer over HTTP
body=html|empty|json|cut    an answer to an offer that is no SDP, though its status says so
sdp=sample              an SDP answer like the specification's sample: no ICE lines in `m=application`, no
                        `max-message-size`
key=SECONDS             an ephemeral key expires after so long, whatever was asked for
session=SECONDS         a session ends after so long
drop=PERCENT, delay=MS, jitter=MS, reorder=PERCENT    done to the sound that the client gets
freeze=SECONDS          so long after the answer neither sound nor events come any more; the connection stays
death=SECONDS           so long after the answer the sandbox vanishes without a word
junk=COUNT              after every COUNT events something that is none
quota=yes               every response fails with `insufficient_quota`
dialect=azure           only the events that pass Azure's filter
dialect=sdp             takes raw SDP and nothing else: no keys, no multipart; `DELETE` hangs up
dialect=localai         JSON both ways, errors as text
dialect=speaches        `POST /v1/realtime?model=…`, beta names, events in fragments of base64
"""

from __future__ import annotations

import base64
import itertools
import json
import math
import random
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rtcli.errors import UsageError
from rtcli.protocol import beta
from rtcli.protocol.dialects import AZURE
from rtcli.records import dataclass
from rtcli.sandbox.refusal import Refusal


_LATE = 0.03
"""Seconds by which a packet comes later that is overtaken by the one behind it."""
_STATUS = re.compile(r"([45]\d\d)(?::(\w{1,64}))?")
_ENVELOPE = 900
_BETA_NAMES = {present: old for old, present in beta.SERVER_EVENTS.items()} | {
    "conversation.item.added": "conversation.item.created"
}
_JUNK = (
    "this is no JSON {",
    "[1, 2, 3]",
    '"a string"',
    '{"type": 7}',
    '{"no": "type"}',
    '{"type": "something.new", "event_id": "event_junk", "more": {"deep": [null]}}',
    '{"type": "response.done", "event_id": "event_junk"}',
    '{"type": "error", "event_id": "event_junk", "error": "\\u001b[31m\\u202e red"}',
    "",
)


@dataclass(frozen=True, slots=True)
class Status:
    """How a request is refused."""

    status: int
    code: str | None = None

    def refusal(self) -> Refusal:
        kind = self.code if self.code == "insufficient_quota" else "server_error" if self.status >= 500 else None
        message = f"The sandbox was told to answer {self.status}."
        return Refusal(message, code=self.code, kind=kind or "invalid_request_error", status=self.status)


@dataclass(frozen=True, slots=True)
class Faults:
    """Nothing is wrong by default. Times in seconds, shares from 0 to 1."""

    secrets: Status | None = None
    calls: Status | None = None
    slow: float = 0.0
    body: str | None = None
    sample_sdp: bool = False
    key: float | None = None
    session: float | None = None
    drop: float = 0.0
    delay: float = 0.0
    jitter: float = 0.0
    reorder: float = 0.0
    freeze: float | None = None
    death: float | None = None
    junk: int = 0
    quota: bool = False
    dialect: str = "openai"

    @property
    def harms_the_call(self) -> bool:
        """A peer of the sandbox needs the wrapping that does it."""
        network = self.drop or self.delay or self.jitter or self.reorder or self.junk
        timed = self.freeze is not None or self.death is not None
        return bool(network or timed or self.sample_sdp or self.dialect in {"azure", "speaches"})

    def fate(self, chance: random.Random) -> float | None:
        """Of one packet of sound: seconds later, or None when it is lost."""
        if chance.random() < self.drop:
            return None
        late = _LATE if chance.random() < self.reorder else 0.0
        return self.delay + late + (chance.uniform(0, self.jitter) if self.jitter else 0.0)

    def carries(self, event_type: str) -> bool:
        return self.dialect != "azure" or AZURE.carries(event_type)

    def messages(self) -> Callable[[str, str], Iterator[str]]:
        """What of each event goes out on the channel of one call: (type, text) in, texts out."""
        count, junk = itertools.count(1), itertools.cycle(_JUNK)

        def one(event_type: str, text: str) -> Iterator[str]:
            if self.dialect == "speaches":
                yield from enveloped(text)
            elif self.carries(event_type):
                yield text
            if self.junk and next(count) % self.junk == 0:
                yield next(junk)

        return one


def parse(given: Sequence[str]) -> Faults:
    """`NAME=VALUE`, one after the other. Raises UsageError."""
    values: dict[str, Any] = {}
    for entry in given:
        name, equals, value = entry.partition("=")
        if name not in _READERS or not equals:
            known = ", ".join(_READERS)
            raise UsageError(f"no fault {entry[:64]!r}: --fault takes NAME=VALUE, and NAME is one of {known}")
        try:
            values[_FIELDS.get(name, name)] = _READERS[name](value)
        except ValueError as error:
            raise UsageError(f"the fault {name} does not take {value[:64]!r}: {error}") from None
    return Faults(**values)


def enveloped(text: str) -> Iterator[str]:
    """An event as speaches sends it: under its beta name, in base64, cut where it is longer than 900 characters."""
    event = json.loads(text)
    old = json.dumps({**event, "type": _BETA_NAMES.get(event["type"], event["type"])})
    data, name = base64.b64encode(old.encode()).decode(), event.get("event_id", "event")
    if len(old) <= _ENVELOPE:
        yield json.dumps({"id": name, "type": "full_message", "data": data})
        return
    parts = [data[at : at + _ENVELOPE] for at in range(0, len(data), _ENVELOPE)]
    for index, part in enumerate(parts):
        fragment = {"data": part, "fragment_index": index, "total_fragments": len(parts)}
        yield json.dumps({"id": name, "type": "partial_message", **fragment})


def understood(data: str | bytes) -> str | bytes:
    """A client event with beta names as the service takes it today; anything else as it came."""
    try:
        event = json.loads(data)
    except (ValueError, RecursionError):
        return data
    match event:
        case {"type": "session.update", "session": dict(session)}:
            return json.dumps({**event, "session": {"type": "realtime", **_present(session)}})
        case {"type": "response.create", "response": dict(response)}:
            return json.dumps({**event, "response": _present(response)})
        case _:
            return data


def _present(session: dict[str, Any]) -> Any:
    return beta.modern({"type": "session.updated", "session": session})["session"]


def sample_like(answer: str) -> str:
    """An SDP answer without what the specification's sample leaves out of `m=application`."""
    head, mark, channel = answer.partition("m=application")
    omitted = ("a=ice-ufrag:", "a=ice-pwd:", "a=fingerprint:", "a=setup:", "a=candidate:", "a=end-of-candidates")
    kept = [line for line in channel.splitlines(keepends=True) if not line.startswith((*omitted, "a=max-message-size"))]
    return head + mark + "".join(kept)


def malformed(kind: str, answer: str) -> tuple[str, str]:
    """Content type and body of an answer that is none."""
    match kind:
        case "html":
            return "text/html", "<!DOCTYPE html><title>502 Bad Gateway</title>"
        case "json":
            return "application/json", '{"error":{"message":"The sandbox was told to.","type":"server_error"}}'
        case "cut":
            return "application/sdp", answer[: len(answer) // 3]
        case _:
            return "application/sdp", ""


def _status(value: str) -> Status:
    found = _STATUS.fullmatch(value)
    if found is None:
        raise ValueError("a status from 400 to 599 is wanted, perhaps with :CODE")
    return Status(int(found[1]), found[2])


def _figure(most: float, scale: float = 1.0) -> Callable[[str], float]:
    def read(value: str) -> float:
        try:
            figure = float(value)
        except ValueError:
            figure = math.nan
        if not 0 <= figure <= most:
            raise ValueError(f"a number from 0 to {most:g} is wanted")
        return figure * scale

    return read


def _word(*choices: str) -> Callable[[str], str]:
    def read(value: str) -> str:
        if value not in choices:
            raise ValueError(f"{' or '.join(choices)} is wanted")
        return value

    return read


_SECONDS, _PERCENT, _MS = _figure(86_400), _figure(100, 0.01), _figure(10_000, 0.001)
_READERS: dict[str, Callable[[str], Any]] = {
    "secrets": _status,
    "calls": _status,
    "slow": _SECONDS,
    "body": _word("html", "empty", "json", "cut"),
    "sdp": lambda value: _word("sample")(value) == "sample",
    "key": _SECONDS,
    "session": _SECONDS,
    "drop": _PERCENT,
    "delay": _MS,
    "jitter": _MS,
    "reorder": _PERCENT,
    "freeze": _SECONDS,
    "death": _SECONDS,
    "junk": lambda value: max(1, int(_figure(1_000_000)(value))),
    "quota": lambda value: _word("yes")(value) == "yes",
    "dialect": _word("openai", "azure", "sdp", "localai", "speaches"),
}
_FIELDS = {"sdp": "sample_sdp"}
