"""The official SDK judges every event that the sandbox makes in any test, in this process and in those it starts.

`watch` looks at what the sandbox's dialogue emits and hands on one event of each shape; `complaints` says what the
SDK's types have against one. `tests/conftest.py` brings both together after each test.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from rtcli.sandbox.dialogue import Dialogue
from rtcli.sandbox.effects import Send


Event = dict[str, Any]

TOLD = Path(tempfile.mkdtemp(prefix="rtcli-events-"))
"""Where processes started by tests write what they made: a file each, a JSON line for each new shape."""

BEYOND_THE_SDK = {f"$.session.{name}" for name in ("id", "object", "expires_at")}
"""What the service sends in a session; the SDK types `session.created` by what a client may ask for."""

_WORDS = frozenset(
    {"type", "role", "status", "reason", "object", "eagerness", "detail", "delay", "name", "effort", "anchor"}
    | {"output_modalities", "include", "tool_choice", "truncation", "tracing", "max_output_tokens", "conversation"}
)
"""Fields whose values are part of a shape: they may be words of a closed list."""


def shape(value: Any, key: str = "") -> Any:
    """What two events have in common that differ in their ids, figures and free text only."""
    if isinstance(value, dict):
        return tuple((name, shape(entry, name)) for name, entry in sorted(value.items()))
    if isinstance(value, list):
        return ("list", *dict.fromkeys(shape(entry, key) for entry in value))
    return value if key in _WORDS else type(value)


def watch(take: Callable[[Event], None]) -> None:
    """From now on `take` gets an event of each new shape that a dialogue of this process emits."""
    emit, seen = Dialogue._emit, set[Any]()

    def watched(self: Dialogue, kind: str, /, **fields: Any) -> None:
        emit(self, kind, **fields)
        effect = self._out[-1]
        assert isinstance(effect, Send)
        if (its := shape(effect.event)) not in seen:
            seen.add(its)
            take(json.loads(json.dumps(effect.event)))

    Dialogue._emit = watched  # type: ignore[method-assign]  # in this process


def tell(path: str) -> None:
    """Watch this process and write to a file what it emits; for processes that a test starts."""
    file = tempfile.NamedTemporaryFile(  # noqa: SIM115 - open until the process ends
        "w", dir=path, suffix=".ndjson", delete=False, buffering=1, encoding="utf-8"
    )
    watch(lambda event: print(json.dumps(event), file=file))


class Court:
    """Keeps what was emitted until it is judged."""

    def __init__(self) -> None:
        self._waiting: list[Event] = []
        self._read: dict[Path, int] = {}
        self._judged: set[Any] = set()
        self.types: set[str] = set()
        """Of the events judged so far."""
        watch(self._waiting.append)

    def judge(self) -> list[str]:
        """Complaints about everything that came since the last time."""
        found: list[str] = []
        for event in self._news():
            if (its := shape(event)) not in self._judged:
                self._judged.add(its)
                self.types.add(event["type"])
                found += [f"{event['type']}: {complaint}" for complaint in complaints(event)]
        return found

    def _news(self) -> Iterator[Event]:
        while self._waiting:
            yield self._waiting.pop()
        for path in TOLD.glob("*.ndjson"):
            with path.open("rb") as file:
                file.seek(self._read.get(path, 0))
                lines, _, _ = file.read().rpartition(b"\n")
            self._read[path] = self._read.get(path, 0) + len(lines) + bool(lines)
            for line in lines.splitlines():
                yield json.loads(line)

    @staticmethod
    def close() -> None:
        shutil.rmtree(TOLD, ignore_errors=True)


def complaints(event: Event) -> list[str]:
    """What the SDK's type of this event does not know or does not take."""
    from pydantic import ValidationError

    try:
        model = _server_event().validate_json(json.dumps(event), strict=True)
    except ValidationError as error:
        return [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()[:5]]
    return [f"{path}: unknown field" for path in _unknown(model, "$") if path not in BEYOND_THE_SDK]


@cache
def _server_event() -> Any:
    from openai.types.realtime import RealtimeServerEvent
    from pydantic import TypeAdapter

    return TypeAdapter(RealtimeServerEvent)


def _unknown(value: Any, path: str) -> Iterator[str]:
    from pydantic import BaseModel

    if isinstance(value, list):
        for entry in value:
            yield from _unknown(entry, f"{path}[]")
    if isinstance(value, BaseModel):
        extra = value.model_extra or {}
        yield from (f"{path}.{name}" for name in extra)
        for name in value.model_fields_set - extra.keys():
            yield from _unknown(getattr(value, name), f"{path}.{name}")
