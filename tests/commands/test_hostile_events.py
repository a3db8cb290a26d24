"""A call survives whatever comes over its data channel: a real process, a real peer, one hostile message at a time."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.program import rtcli
from tests.services import Event, OpenAi


FLOOD = 5_000

HOSTILE: dict[str, Iterable[str | bytes]] = {
    "an unknown type": ['{"type":"some.new.event","event_id":"e","more":{"a":[1]}}'],
    "an event of 200 kB": [json.dumps({"type": "big.event", "event_id": "e", "pad": "x" * 200_000})],
    "invalid JSON": ['{"type":', "{'type': 1}", "NaN", "[" * 100_000],
    "no object": ["[]", '"text"', "3", "null", "true"],
    "no type": ["{}", '{"event_id":"e"}'],
    "a wrong type of type": ['{"type":3}', '{"type":null}', '{"type":{"a":1}}'],
    "missing fields": ['{"type":"response.created"}', '{"type":"response.output_text.delta"}', '{"type":"error"}'],
    "wrong shapes": [
        '{"type":"response.created","response":[]}',
        '{"type":"response.done","response":{"id":7,"output":"x"}}',
        '{"type":"conversation.item.added","item":{"content":[3]}}',
        '{"type":"session.updated","session":"x"}',
        '{"type":"input_audio_buffer.speech_started","item_id":{},"audio_start_ms":"soon"}',
    ],
    "control characters": ['{"type":"x\\u001b]0;owned\\u0007","text":"\\u202e\\u0000"}', "\x1b[2J\x00"],
    "empty and binary messages": ["", b"", b"\x00\xff\xfe", b'{"type":"some.bytes","event_id":"e"}'],
    "a flood": [json.dumps({"type": "flood.drop", "event_id": str(number)}) for number in range(FLOOD)],
}


class Hostile(OpenAi):
    """Says hostile things before each answer."""

    def __init__(self, messages: Iterable[str | bytes]) -> None:
        super().__init__()
        self._messages = list(messages)

    async def call(self, offer: bytes, session: Event | None = None, **how: Any) -> str:
        def first_the_worst(event: Event) -> Iterable[str | bytes]:
            worst = self._messages if event.get("type") == "response.created" else []
            return [*worst, json.dumps(event)]

        return await super().call(offer, session, form=first_the_worst, **how)


@pytest.mark.parametrize("kind", HOSTILE)
def test_the_call_goes_on_and_its_answer_comes(tmp_path: Path, kind: str) -> None:
    messages = list(HOSTILE[kind])
    with Hostile(messages) as service:
        done = rtcli(
            "talk", "--base-url", f"{service.url}/v1", "--text", "--json", home=tmp_path, stdin="hello there\n"
        )
    lines = [json.loads(line) for line in done.out.splitlines()]
    assert done.status == 0, done.err
    assert "Traceback" not in done.err
    assert [line for line in lines if line["type"] == "rtcli.turn" and line["speaker"] == "model"], done.out
    told = [line for line in lines if _is_hostile(line)]
    assert len(told) >= len(messages)
    if kind == "a flood":
        assert [line["event_id"] for line in told] == [str(number) for number in range(FLOOD)]


def _is_hostile(line: dict[str, Any]) -> bool:
    """Kept and shown: an unknown event as it came, what is no event as a warning with what came."""
    unknown = line["_rt"]["dir"] == "in" and line["type"].startswith(("some.", "big.", "flood.", "x"))
    return unknown or (line["type"] == "rtcli.warning" and line.get("code") == "protocol_error")
