"""Write rtcli/protocol/schemas/realtime.json: the service's shapes, from the types of the official SDK.

    uv run python tests/protocol/generate_schemas.py

The result is JSON Schema (2020-12, the few keywords `rtcli.protocol.shapes` reads). A definition is named after the
SDK's module and class. Pydantic's own generator is not used: its output changes with pydantic, ours only with the SDK.
"""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import openai
from openai.types import realtime
from openai.types.realtime import realtime_client_event, realtime_server_event
from pydantic import BaseModel


TARGET = Path(__file__).resolve().parents[2] / "rtcli" / "protocol" / "schemas" / "realtime.json"

ROOTS: dict[str, type[BaseModel]] = {
    "session.realtime": realtime.RealtimeSessionCreateRequest,
    "session.transcription": realtime.RealtimeTranscriptionSessionCreateRequest,
    "response.create": realtime.RealtimeResponseCreateParams,
    "response": realtime.RealtimeResponse,
}
SCALARS: dict[Any, str] = {str: "string", int: "integer", float: "number", bool: "boolean", NoneType: "null"}

Schema = dict[str, Any]


class Generator:
    def __init__(self) -> None:
        self.definitions: dict[str, Schema] = {}

    def model(self, cls: type[BaseModel]) -> Schema:
        name = f"{cls.__module__.rsplit('.', 1)[-1]}.{cls.__name__}"
        if name not in self.definitions:
            self.definitions[name] = {}  # stands while a model that contains itself is walked
            self.definitions[name] = self._object(cls)
        return {"$ref": f"#/$defs/{name}"}

    def _object(self, cls: type[BaseModel]) -> Schema:
        fields = {info.alias or name: info for name, info in cls.model_fields.items()}
        return {
            "type": "object",
            "properties": {name: self.schema(info.annotation) for name, info in sorted(fields.items())},
            "required": sorted(name for name, info in fields.items() if info.is_required()),
            "additionalProperties": False,
        }

    def schema(self, hint: Any) -> Schema:
        origin, parts = get_origin(hint), get_args(hint)
        if origin is Annotated:
            return self.schema(parts[0])
        if origin in {Union, UnionType}:
            return _any_of([self.schema(part) for part in parts])
        if origin is Literal:
            return {"enum": list(parts)}
        if origin is list:
            return {"type": "array", "items": self.schema(parts[0])}
        if origin is dict or hint is dict:
            return {"type": "object"}
        if hint in SCALARS:
            return {"type": SCALARS[hint]}
        if inspect.isclass(hint) and issubclass(hint, BaseModel):
            return self.model(hint)
        return {}


def _any_of(options: list[Schema]) -> Schema:
    flat = [inner for option in options for inner in option.get("anyOf", [option])]
    unique = [option for index, option in enumerate(flat) if option not in flat[:index]]
    return unique[0] if len(unique) == 1 else {"anyOf": unique}


def _members(union: Any) -> list[type[BaseModel]]:
    inner = get_args(union)[0] if get_origin(union) is Annotated else union
    return list(get_args(inner))


def _events(generator: Generator, union: Any) -> dict[str, Schema]:
    by_type = {get_args(cls.model_fields["type"].annotation)[0]: cls for cls in _members(union)}
    return {name: generator.model(cls) for name, cls in sorted(by_type.items())}


def generate() -> Schema:
    generator = Generator()
    document = {
        "sdk": f"openai {openai.__version__}",
        "client_events": _events(generator, realtime_client_event.RealtimeClientEvent),
        "server_events": _events(generator, realtime_server_event.RealtimeServerEvent),
        "item": _any_of([generator.model(cls) for cls in _members(realtime.ConversationItem)]),
        "objects": {name: generator.model(cls) for name, cls in ROOTS.items()},
    }
    _take_references(generator)
    return {**document, "$defs": dict(sorted(generator.definitions.items()))}


def _take_references(generator: Generator) -> None:
    """A response's input may name items by id; of the SDK's two types for it only the other one says so."""
    name = f"{realtime.RealtimeResponseCreateParams.__module__.rsplit('.', 1)[-1]}.RealtimeResponseCreateParams"
    listed = generator.definitions[name]["properties"]["input"]["anyOf"][0]
    listed["items"] = _any_of([listed["items"], generator.model(realtime.ResponseItemReference)])


def text(document: Schema) -> str:
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    TARGET.write_text(text(generate()), encoding="utf-8")
