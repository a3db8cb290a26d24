"""The sandbox's service: ephemeral keys and calls, without HTTP around it."""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from rtcli.records import dataclass
from rtcli.sandbox.call import Call, Limits, Parts
from rtcli.sandbox.faults import Faults
from rtcli.sandbox.refusal import Refusal
from rtcli.sandbox.session import Session
from rtcli.sandbox.shapes import Check, mapping, record, text, whole


_log = logging.getLogger(__name__)

_MOST_KEYS = 10_000
_DEFAULT_SECONDS = 600
_CHECK_SECRET: Check = record(
    {},
    {
        "expires_after": record({}, {"anchor": text("created_at"), "seconds": whole(10, 7200)}),
        "session": mapping,
    },
)
_DEFAULT_SESSION: Mapping[str, Any] = {"type": "realtime"}


@dataclass(frozen=True, slots=True)
class _Key:
    expires_at: float
    """Epoch seconds."""
    session: Mapping[str, Any]
    """As it was asked for."""


class Service:
    """Lives on one event loop, where it must be made."""

    def __init__(
        self,
        parts: Parts,
        *,
        limits: Limits | None = None,
        seed: int | None = None,
        faults: Faults | None = None,
        session: Mapping[str, Any] | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`seed` makes the ids of calls, items and events the same in every run; keys stay unguessable.

        `session`: of a key or a call that is asked for without one.
        """
        self._parts = parts
        self._unasked = session or _DEFAULT_SESSION
        self.faults = faults or Faults()
        self._limits = limits or Limits()
        if self.faults.session is not None:
            self._limits = replace(self._limits, session=self.faults.session)
        self._random = random.Random(seed)  # noqa: S311 - names, not secrets
        self._wall = wall
        self._keys: dict[str, _Key] = {}
        self._calls: dict[str, Call] = {}

    # --- keys ---------------------------------------------------------------------------------------------------------

    def mint(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """What `POST /v1/realtime/client_secrets` answers. Raises Refusal."""
        _CHECK_SECRET(asked, "")
        session = asked.get("session", self._unasked)
        effective = self._session(session, expires_at=0)
        seconds = asked.get("expires_after", {}).get("seconds", _DEFAULT_SECONDS)
        expires_at = int(self._wall()) + (seconds if self.faults.key is None else int(self.faults.key))
        self._forget_keys()
        value = f"ek_{secrets.token_hex(16)}"
        self._keys[value] = _Key(expires_at, session)
        return {"value": value, "expires_at": expires_at, "session": effective.view()}

    def _forget_keys(self) -> None:
        now = self._wall()
        self._keys = {value: key for value, key in self._keys.items() if key.expires_at > now}
        while len(self._keys) >= _MOST_KEYS:
            del self._keys[next(iter(self._keys))]

    def check_key(self, key: str) -> None:
        """Any key opens the sandbox, but an ephemeral one must be its own and not expired. Raises Refusal (401)."""
        if not key:
            raise Refusal("You didn't provide an API key.", kind="invalid_request_error", status=401)
        if key.startswith("ek_") and (key not in self._keys or self._keys[key].expires_at <= self._wall()):
            raise Refusal("Incorrect or expired ephemeral key provided.", code="invalid_api_key", status=401)

    # --- calls --------------------------------------------------------------------------------------------------------

    async def call(self, offer: str, key: str, session: Mapping[str, Any] | None) -> tuple[str, str]:
        """Begin a call: its id and the SDP answer. Raises Refusal.

        `session`: what came with the offer, overriding what the key was minted for.
        """
        minted = self._keys[key].session if key in self._keys else self._unasked
        effective = self._session(minted, expires_at=int(self._wall() + self._limits.session))
        if session is not None:
            effective = self._session(session, expires_at=int(self._wall() + self._limits.session))
        if not offer.lstrip().startswith("v=0"):
            raise _invalid_offer()
        if len(self._calls) >= self._limits.calls:
            raise Refusal("Too many calls.", code="server_is_overloaded", kind="server_error", status=503)
        call = Call(
            self._new_id("rtc"),
            effective,
            self._parts,
            limits=self._limits,
            new_id=self._new_id,
            ended=self._forget_call,
        )
        self._calls[call.id] = call
        return call.id, await self._answer(call, offer)

    @staticmethod
    async def _answer(call: Call, offer: str) -> str:
        try:
            return await call.answer(offer)
        except ValueError as error:
            _log.info("an offer was refused: %s", error)
            raise _invalid_offer() from error
        except TimeoutError as error:
            raise Refusal("The offer could not be answered in time.", kind="server_error", status=504) from error

    async def hang_up(self, call_id: str) -> None:
        """End a call. Raises Refusal (404)."""
        await self.find(call_id).close()

    def find(self, call_id: str) -> Call:
        """A call that is open or opening. Raises Refusal (404)."""
        call = self._calls.get(call_id)
        if call is None:
            raise Refusal(f"No call with id '{call_id[:64]}'.", code="call_not_found", status=404)
        return call

    @property
    def calls(self) -> int:
        """How many are open or opening."""
        return len(self._calls)

    async def stop(self) -> None:
        """End every call. The engine belongs to who made it."""
        await asyncio.gather(*(call.close() for call in self._calls.values()), return_exceptions=True)

    def _forget_call(self, call_id: str) -> None:
        self._calls.pop(call_id, None)

    def _session(self, asked: Mapping[str, Any], *, expires_at: int) -> Session:
        return Session(self._new_id("sess"), asked, expires_at=expires_at)

    def _new_id(self, prefix: str) -> str:
        return f"{prefix}_{self._random.getrandbits(96):024x}"


def _invalid_offer() -> Refusal:
    return Refusal("Invalid SDP offer. Please try again with a WHIP-compliant offer.", code="invalid_offer")
