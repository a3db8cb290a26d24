"""The service's shapes as data, and a check of JSON against them that says where and what.

`schemas/realtime.json` is generated from the official SDK (`tests/protocol/generate_schemas.py`) and read when it is
first needed: the one place where this package touches a file, its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from importlib.resources import files

from rtcli.protocol.codec import Json, JsonObject, shown
from rtcli.records import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """Something the service would not take."""

    path: str
    """`session.audio.input.format`, `item.content[0].type`."""
    problem: str
    instead: str | None = None
    """What to write now, where that is known."""

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}" + (f"; now {self.instead}" if self.instead else "")


@cache
def schemas() -> JsonObject:
    document: JsonObject = json.loads((files("rtcli.protocol") / "schemas" / "realtime.json").read_bytes())
    return document


def client_event_schema(event_type: str) -> JsonObject | None:
    found: JsonObject | None = schemas()["client_events"].get(event_type)
    return found


def object_schema(name: str) -> JsonObject:
    """`name`: `session.realtime`, `session.transcription`, `response.create`, `response`."""
    found: JsonObject = schemas()["objects"][name]
    return found


def known_models() -> tuple[str, ...]:
    """Models of a conversation the SDK names; the service takes others too."""
    return _named("session.realtime", "model")


def known_voices() -> tuple[str, ...]:
    return _named("session.realtime", "audio", "output", "voice")


def known_transcribers() -> tuple[str, ...]:
    return _named("session.transcription", "audio", "input", "transcription", "model")


def findings(value: Json, schema: JsonObject, path: str) -> Iterator[Finding]:
    """What is wrong with `value`, deepest place first named; nothing when it fits."""
    schema = _resolved(schema)
    if "anyOf" in schema:
        yield from _any_of(value, schema["anyOf"], path)
    elif "enum" in schema:
        if value not in schema["enum"] or isinstance(value, bool):
            yield Finding(path, f"expected {_listed(schema['enum'])}, got {shown(value)}")
    elif "type" in schema and not _is_type(value, schema["type"]):
        yield Finding(path, f"expected {schema['type']}, got {shown(value)}")
    elif isinstance(value, dict) and "properties" in schema:
        yield from _object(value, schema, path)
    elif isinstance(value, list) and "items" in schema:
        for index, entry in enumerate(value):
            yield from findings(entry, schema["items"], f"{path}[{index}]")


def _object(value: JsonObject, schema: JsonObject, path: str) -> Iterator[Finding]:
    for key, entry in value.items():
        inner = schema["properties"].get(key)
        if inner is None:
            yield Finding(f"{path}.{_step(key)}", "unknown field")
        else:
            yield from findings(entry, inner, f"{path}.{key}")
    for key in schema["required"]:
        if key not in value:
            yield Finding(f"{path}.{key}", "missing")


def _any_of(value: Json, options: list[JsonObject], path: str) -> Iterator[Finding]:
    """Nothing when one option fits; else what the option meant by the value's own `type` (and `role`) finds."""
    resolved = [_resolved(option) for option in options]
    tried = [list(findings(value, option, path)) for option in resolved]
    if not all(tried):
        return
    if isinstance(value, list):
        lists = [found for option, found in zip(resolved, tried, strict=True) if "items" in option]
        yield from min(lists, key=len, default=[Finding(path, f"expected {_kinds(resolved)}, got a list")])
        return
    if not isinstance(value, dict):
        yield Finding(path, f"expected {_kinds(resolved)}, got {shown(value)}")
        return
    objects = [(o, found) for o, found in zip(resolved, tried, strict=True) if "properties" in o]
    meant = [found for option, found in objects if _is_tagged(value, option)]
    if not objects:
        yield Finding(path, f"expected {_kinds(resolved)}, got an object")
    elif meant:
        yield from min(meant, key=len)
    else:
        yield from _wrong_tag(value, [option for option, _ in objects], path)


def _step(key: str) -> str:
    return key if key.isprintable() and len(key) <= 80 else shown(key)


_TAGS = ("type", "role")


def _is_tagged(value: JsonObject, option: JsonObject) -> bool:
    wanted = ((tag, _tag_values(option, tag)) for tag in _TAGS)
    return all(not values or value.get(tag) in values for tag, values in wanted)


def _wrong_tag(value: JsonObject, options: list[JsonObject], path: str) -> Iterator[Finding]:
    for tag in _TAGS:
        allowed = [word for option in options for word in _tag_values(option, tag)]
        if allowed and value.get(tag) not in allowed:
            got = shown(value[tag]) if tag in value else "nothing"
            yield Finding(f"{path}.{tag}", f"expected {_listed(list(dict.fromkeys(allowed)))}, got {got}")
            return
        options = [option for option in options if value.get(tag) in _tag_values(option, tag)]


def _tag_values(option: JsonObject, tag: str) -> list[Json]:
    inner = option["properties"].get(tag)
    if inner is None:
        return []
    choices = inner.get("anyOf", [inner])
    return [word for choice in choices for word in choice.get("enum", ())]


def _resolved(schema: JsonObject) -> JsonObject:
    while "$ref" in schema:
        schema = schemas()["$defs"][schema["$ref"].rsplit("/", 1)[1]]
    return schema


def _is_type(value: Json, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    if kind == "integer":
        return isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    return isinstance(value, _PYTHON[kind])


_PYTHON: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
    "object": dict,
    "array": list,
}


def _kinds(options: list[JsonObject]) -> str:
    words = [_listed(o["enum"]) if "enum" in o else str(o.get("type", "anything")) for o in options]
    # That null is taken too says nothing: the SDK's types allow it wherever a field may be absent.
    return " or ".join(dict.fromkeys("list" if word == "array" else word for word in words if word != "null"))


def _listed(words: list[Json]) -> str:
    return " or ".join(json.dumps(word) for word in words)


def _named(root: str, *path: str) -> tuple[str, ...]:
    """The words an SDK type lists at a path of an object."""
    options = [_resolved(object_schema(root))]
    for step in path:
        inner = [option["properties"][step] for option in options if step in option.get("properties", {})]
        options = [_resolved(option) for schema in inner for option in _resolved(schema).get("anyOf", [schema])]
    return tuple(word for option in options for word in option.get("enum", ()))
