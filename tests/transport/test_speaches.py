"""Envelopes, fragments and beta names of speaches, hostile ones included."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtcli.transport.base import Down, Message, Opened, PeerStats, Signal
from rtcli.transport.speaches import MOST, MOST_FRAGMENTS, Envelopes, SpeachesPeer, unwrapping


def full(text: str) -> str:
    return json.dumps({"id": "event_1", "type": "full_message", "data": b64encode(text.encode()).decode()})


def fragments(text: str, *, size: int = 800, name: str = "event_1") -> list[str]:
    data = b64encode(text.encode()).decode()
    parts = [data[at : at + size] for at in range(0, len(data), size)]
    return [partial(part, index, len(parts), name) for index, part in enumerate(parts)]


def partial(data: object, index: object, total: object, name: object = "event_1") -> str:
    envelope = {"id": name, "type": "partial_message", "data": data, "fragment_index": index, "total_fragments": total}
    return json.dumps(envelope)


def delivered(*messages: str | bytes) -> list[Any]:
    """What a call gets when these arrive, read as JSON."""
    signals: list[Signal] = []
    take = unwrapping(signals.append)
    for message in messages:
        take(Message(message))
    return [json.loads(signal.data) for signal in signals if isinstance(signal, Message)]


# ---- envelopes ------------------------------------------------------------------------------------------------------


@given(st.text(max_size=3000), st.randoms(use_true_random=False), st.integers(1, 900))
def test_fragments_become_the_message_in_whatever_order_they_come(text: str, order: Any, size: int) -> None:
    parts = fragments(text, size=size) or [full(text)]
    order.shuffle(parts)
    envelopes = Envelopes()
    opened = [envelopes.open(part) for part in parts]
    assert opened == [None] * (len(parts) - 1) + [text]


def test_messages_may_come_in_between_and_among_one_another() -> None:
    first, second = fragments("a" * 2000, name="event_a"), fragments("b" * 2000, name="event_b")
    envelopes = Envelopes()
    opened = [envelopes.open(part) for pair in zip(first, second, strict=True) for part in pair]
    assert [text for text in opened if text is not None] == ["a" * 2000, "b" * 2000]
    assert envelopes.open(full("c")) == "c"


def test_a_fragment_that_comes_twice_counts_once() -> None:
    first, *rest = fragments("a" * 2000)
    envelopes = Envelopes()
    opened = [envelopes.open(part) for part in (first, first, *rest)]
    assert opened == [None] * (1 + len(rest)) + ["a" * 2000]


def test_what_is_no_envelope_comes_as_it_is() -> None:
    for text in ('{"type": "session.created"}', "no JSON", "[1]", '"full_message"', b"\xff\xfe"):
        assert Envelopes().open(text) == text


@pytest.mark.parametrize(
    "broken",
    [
        json.dumps({"type": "full_message", "id": "1"}),
        json.dumps({"type": "full_message", "id": "1", "data": 7}),
        json.dumps({"type": "full_message", "id": "1", "data": "not base64!"}),
        json.dumps({"type": "full_message", "id": "1", "data": b64encode(b"\xff\xfe").decode()}),
        partial("YQ==", 0, 0),
        partial("YQ==", -1, 1),
        partial("YQ==", 1, 1),
        partial("YQ==", 0, MOST_FRAGMENTS + 1),
        partial("YQ==", "0", 1),
        partial("YQ==", 0, None),
        partial("YQ==", 0, 1, name=5),
        partial(["YQ=="], 0, 1),
        partial("not base64!", 0, 1),
    ],
)
def test_a_broken_envelope_is_shown_and_ends_nothing(broken: str) -> None:
    envelopes = Envelopes()
    assert envelopes.open(broken) == broken
    assert envelopes.open(full("next")) == "next"


@pytest.mark.parametrize("size", [0, 1000])
def test_fragments_of_messages_that_never_become_whole_are_bounded(size: int) -> None:
    envelopes = Envelopes()
    most = MOST // (size + 100)
    for number in range(most + 500):
        assert envelopes.open(partial("x" * size, 0, 2, name=f"event_{number}")) is None
    assert len(envelopes._waiting) == most
    whole = fragments("still working " * 200)
    assert [envelopes.open(part) for part in whole][-1] == "still working " * 200


def test_a_message_larger_than_the_bound_is_dropped_and_the_next_one_is_heard() -> None:
    envelopes = Envelopes()
    for index in range(3):
        envelopes.open(partial("x" * MOST, index, 3))
    assert envelopes._size <= MOST
    assert envelopes.open(full("next")) == "next"


# ---- names ----------------------------------------------------------------------------------------------------------


def test_events_are_delivered_under_their_present_names() -> None:
    event = {"type": "response.text.delta", "delta": "hi", "item_id": "i", "response_id": "r"}
    (got,) = delivered(full(json.dumps(event)))
    assert got == {**event, "type": "response.output_text.delta"}


def test_an_event_that_has_its_present_name_is_not_rewritten() -> None:
    signals: list[Signal] = []
    odd = '{ "type" : "response.created" }'
    unwrapping(signals.append)(Message(full(odd)))
    assert signals == [Message(odd)]


def test_other_signals_pass() -> None:
    signals: list[Signal] = []
    take = unwrapping(signals.append)
    for signal in (Opened(), Down("gone", orderly=True)):
        take(signal)
    assert signals == [Opened(), Down("gone", orderly=True)]


class Peer:
    """Notes what is sent."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    async def offer(self) -> str:
        return "offer"

    async def accept(self, answer: str, *, limit: float) -> None: ...

    async def answer(self, offer: str) -> str:
        return "answer"

    def send(self, text: str) -> None:
        self.sent.append(text)

    @property
    def buffered(self) -> int:
        return 7

    async def stats(self) -> PeerStats:
        return PeerStats(None, 0, 0, 0, None, 7)

    async def close(self) -> None: ...


def sent(*events: dict[str, Any]) -> list[Any]:
    peer = Peer()
    for event in events:
        SpeachesPeer(peer).send(json.dumps(event))
    return [json.loads(text) for text in peer.sent]


def test_events_go_out_under_their_beta_names() -> None:
    update = {"type": "session.update", "session": {"type": "realtime", "output_modalities": ["text"]}}
    say = {"type": "conversation.item.create", "item": {"role": "user", "content": [{"type": "input_text"}]}}
    assert sent(update, say) == [{"type": "session.update", "session": {"modalities": ["text"]}}, say]


def test_an_event_that_speaches_refuses_is_left_out() -> None:
    cancel = {"type": "response.cancel"}
    assert sent(cancel, {"type": "output_audio_buffer.clear"}) == [cancel]


def test_what_is_no_event_goes_out_as_it_is() -> None:
    peer = Peer()
    SpeachesPeer(peer).send("no JSON")
    assert peer.sent == ["no JSON"]
    assert SpeachesPeer(peer).buffered == 7
