"""Tokens and money of a call, from what the service says it used.

The service reports each response and each transcription by itself (`response.done`, `...transcription.completed`);
here they are summed. Money is an estimate: known prices of known models, never the bill.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, fields, replace

from rtcli.errors import UsageError
from rtcli.protocol.codec import JsonObject
from rtcli.protocol.server_events import TokenDetails, Usage
from rtcli.records import dataclass


PRICES_READ = "2026-11"
"""When the prices below were read on OpenAI's model pages."""
PER_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens by kind. The cached ones are not counted again among the others."""

    text_in: int = 0
    text_cached: int = 0
    text_out: int = 0
    audio_in: int = 0
    audio_cached: int = 0
    audio_out: int = 0
    image_in: int = 0
    image_cached: int = 0

    def __add__(self, other: Tokens) -> Tokens:
        return Tokens(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    @property
    def input(self) -> int:
        return self.text_in + self.audio_in + self.image_in + self.cached

    @property
    def cached(self) -> int:
        return self.text_cached + self.audio_cached + self.image_cached

    @property
    def output(self) -> int:
        return self.text_out + self.audio_out


@dataclass(frozen=True, slots=True)
class Price:
    """Dollars per million tokens of each kind, or a minute of speech. None: not known, which is not nothing."""

    text_in: float | None = None
    text_cached: float | None = None
    text_out: float | None = None
    audio_in: float | None = None
    audio_cached: float | None = None
    audio_out: float | None = None
    image_in: float | None = None
    image_cached: float | None = None
    minute: float | None = None

    def of(self, tokens: Tokens, seconds: float) -> float | None:
        """Dollars; None when anything was used that has no price."""
        used = {f.name: getattr(tokens, f.name) / PER_MILLION for f in fields(tokens)} | {"minute": seconds / 60}
        priced = [(amount, getattr(self, name)) for name, amount in used.items() if amount]
        return None if any(price is None for _, price in priced) else sum(amount * price for amount, price in priced)


_LARGE = Price(4.00, 0.40, 24.00, 32.00, 0.40, 64.00, 5.00, 0.50)
PRICES: Mapping[str, Price] = {
    "gpt-realtime-2.1": _LARGE,
    "gpt-realtime-2": _LARGE,
    "gpt-realtime-2.1-mini": Price(0.60, 0.06, 2.40, 10.00, 0.30, 20.00, 0.80, 0.08),
    "gpt-realtime-1.5": replace(_LARGE, text_out=16.00),
    # Of the transcribers billed by token one price in and one out is known; it holds for speech in and text out.
    "gpt-4o-transcribe": Price(text_in=2.50, audio_in=2.50, text_out=10.00),
    "gpt-live-transcribe": Price(minute=0.017),
    "gpt-realtime-whisper": Price(minute=0.017),
    "gpt-transcribe": Price(minute=0.0045),
}


def price_table(own: Mapping[str, Mapping[str, float]]) -> Mapping[str, Price]:
    """The known prices, with the user's own in the place of whole entries. Raises UsageError for an unknown kind."""
    kinds = [f.name for f in fields(Price)]
    for model, given in own.items():
        if unknown := [kind for kind in given if kind not in kinds]:
            raise UsageError(f"prices.{model} has no {unknown[0]!a}; there are: {', '.join(kinds)}")
    return {**PRICES, **{model: Price(**given) for model, given in own.items()}}


@dataclass(frozen=True, slots=True)
class Share:
    """What one model used."""

    model: str
    tokens: Tokens = Tokens()
    seconds: float = 0.0
    """Speech billed by duration."""

    def cost(self, prices: Mapping[str, Price] = PRICES) -> float | None:
        """Dollars; None when the model's price is not known, or not in the unit that was used."""
        price = prices.get(self.model)
        return None if price is None else price.of(self.tokens, self.seconds)


@dataclass(frozen=True, slots=True)
class Bill:
    """Everything used so far, by model. A value: adding gives a new one."""

    shares: Mapping[str, Share] = field(default_factory=dict)
    prices: Mapping[str, Price] = field(default_factory=lambda: PRICES, repr=False)

    def plus_response(self, model: str, usage: Usage | None) -> Bill:
        return self if usage is None else self._plus(Share(model, response_tokens(usage)))

    def plus_transcription(self, model: str, usage: Usage | None) -> Bill:
        if usage is None:
            return self
        return self._plus(Share(model, transcription_tokens(usage), usage.seconds or 0.0))

    def _plus(self, used: Share) -> Bill:
        held = self.shares.get(used.model, Share(used.model))
        total = Share(used.model, held.tokens + used.tokens, held.seconds + used.seconds)
        return replace(self, shares={**self.shares, used.model: total})

    @property
    def tokens(self) -> Tokens:
        return sum((share.tokens for share in self.shares.values()), Tokens())

    @property
    def seconds(self) -> float:
        """Speech billed by duration."""
        return sum(share.seconds for share in self.shares.values())

    @property
    def cost(self) -> float | None:
        """Dollars, an estimate; None when any share has no known price."""
        costs = [share.cost(self.prices) for share in self.shares.values()]
        known = [cost for cost in costs if cost is not None]
        return sum(known) if len(known) == len(costs) else None

    @property
    def unpriced(self) -> list[str]:
        """Models whose share has no known price."""
        return [model for model, share in self.shares.items() if share.cost(self.prices) is None]

    @property
    def prices_of(self) -> str:
        """When the prices behind `cost` were read, or `configuration` where any of them is the user's own."""
        listed = all(self.prices.get(model) == PRICES.get(model) for model in self.shares)
        return PRICES_READ if listed else "configuration"

    def to_json(self) -> JsonObject:
        """The body of `rtcli.usage`. `cost_usd` is absent where it is not known."""
        told: JsonObject = {
            "input_tokens": self.tokens.input,
            "cached_tokens": self.tokens.cached,
            "output_tokens": self.tokens.output,
            "models": {name: self._share_json(share) for name, share in self.shares.items()},
        }
        cost = self.cost
        return told if cost is None else {**told, "cost_usd": round(cost, 6), "prices_of": self.prices_of}

    def _share_json(self, share: Share) -> JsonObject:
        counts = {f.name: getattr(share.tokens, f.name) for f in fields(share.tokens)}
        told: JsonObject = {name: count for name, count in counts.items() if count}
        if share.seconds:
            told["seconds"] = share.seconds
        cost = share.cost(self.prices)
        return told if cost is None else {**told, "cost_usd": round(cost, 6)}


def dollars(cost: float | None) -> str:
    """For people: `≈ $0.0123`, always marked as an estimate; `cost unknown` without a price."""
    if cost is None:
        return "cost unknown"
    return f"≈ ${cost:.4f}" if cost < 1 else f"≈ ${cost:.2f}"


def response_tokens(usage: Usage) -> Tokens:
    """Of `response.done`. Input counts there include the cached ones (SDK `realtime_response_usage.py`)."""
    given = usage.input_token_details or TokenDetails()
    cached = given.cached_tokens_details or TokenDetails(text_tokens=given.cached_tokens)
    made = usage.output_token_details or TokenDetails()
    if usage.input_token_details is None:
        given = TokenDetails(text_tokens=usage.input_tokens)
    if usage.output_token_details is None:
        made = TokenDetails(text_tokens=usage.output_tokens)
    return Tokens(
        text_in=_rest(given.text_tokens, cached.text_tokens),
        text_cached=_count(cached.text_tokens),
        text_out=_count(made.text_tokens),
        audio_in=_rest(given.audio_tokens, cached.audio_tokens),
        audio_cached=_count(cached.audio_tokens),
        audio_out=_count(made.audio_tokens),
        image_in=_rest(given.image_tokens, cached.image_tokens),
        image_cached=_count(cached.image_tokens),
    )


def transcription_tokens(usage: Usage) -> Tokens:
    """Of a transcription billed by tokens: speech (and a prompt) in, text out."""
    given = usage.input_token_details or TokenDetails(audio_tokens=usage.input_tokens)
    return Tokens(
        text_in=_count(given.text_tokens), audio_in=_count(given.audio_tokens), text_out=_count(usage.output_tokens)
    )


def _count(told: int | None) -> int:
    return max(0, told or 0)


def _rest(told: int | None, cached: int | None) -> int:
    return max(0, _count(told) - _count(cached))
