"""The service's shapes as data, against the SDK they were generated from."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from rtcli.protocol import shapes


def _generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_schemas", Path(__file__).with_name("generate_schemas.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except ModuleNotFoundError as missing:
        if os.environ.get("RTCLI_REQUIRE_ALL") == "1":
            raise
        pytest.skip(
            f"NOT CHECKED: whether the schemas drifted from the official SDK, which is not installed: {missing}"
        )
    return module


def test_the_shapes_are_those_of_the_installed_sdk() -> None:
    generated = json.loads(json.dumps(_generator().generate()))
    held = {**shapes.schemas()}
    del generated["sdk"], held["sdk"]
    assert held == generated, "uv run python tests/protocol/generate_schemas.py"


def test_every_reference_leads_somewhere() -> None:
    def references(node: Any) -> set[str]:
        if isinstance(node, dict):
            inner = set().union(*map(references, node.values()))
            return inner | ({node["$ref"]} if "$ref" in node else set())
        return set().union(*map(references, node)) if isinstance(node, list) else set()

    defined = {f"#/$defs/{name}" for name in shapes.schemas()["$defs"]}
    assert references(shapes.schemas()) == defined


def test_names_for_completion_come_from_the_sdk() -> None:
    assert "gpt-realtime-2" in shapes.known_models()
    assert {"marin", "cedar", "alloy"} <= set(shapes.known_voices())
    assert "gpt-transcribe" in shapes.known_transcribers()


OPTIONS: dict[str, Any] = {
    "anyOf": [
        {"type": "array", "items": {"enum": ["a", "b"]}},
        {"enum": ["all"]},
        {
            "type": "object",
            "properties": {"type": {"enum": ["x"]}, "n": {"type": "integer"}},
            "required": ["type", "n"],
        },
        {"type": "object", "properties": {"type": {"enum": ["y"]}}, "required": ["type"]},
        {"type": "null"},
    ]
}


@pytest.mark.parametrize("value", [["a", "b"], [], "all", {"type": "x", "n": 2.0}, {"type": "y"}, None])
def test_a_value_that_fits_one_option_has_no_findings(value: Any) -> None:
    assert list(shapes.findings(value, OPTIONS, "v")) == []


@pytest.mark.parametrize(
    ("value", "finding"),
    [
        (["a", "c"], 'v[1]: expected "a" or "b", got "c"'),
        ("some", 'v: expected list or "all" or object, got "some"'),
        (True, 'v: expected list or "all" or object, got true'),
        ({"type": "x", "n": "2"}, 'v.n: expected integer, got "2"'),
        ({"type": "x", "n": True}, "v.n: expected integer, got true"),
        ({"type": "x"}, "v.n: missing"),
        ({"type": "y", "n": 1}, "v.n: unknown field"),
        ({"type": "z"}, 'v.type: expected "x" or "y", got "z"'),
        ({}, 'v.type: expected "x" or "y", got nothing'),
    ],
)
def test_a_finding_is_about_the_option_that_was_meant(value: Any, finding: str) -> None:
    assert [str(found) for found in shapes.findings(value, OPTIONS, "v")] == [finding]
