"""The service that the settings name: where it is, what goes along to it, its key, and the client that asks it."""

from __future__ import annotations

import asyncio
import hashlib
import os
from dataclasses import replace
from typing import TYPE_CHECKING

from rtcli.settings import Settings


if TYPE_CHECKING:
    from rtcli.protocol.rest import Endpoint
    from rtcli.protocol.secret import Secret
    from rtcli.transport.http import Http


def http_client(settings: Settings) -> Http:
    from rtcli.transport.http import Http, Limits

    proxy = settings.proxy.reveal(os.environ) if settings.proxy else None
    bundle = str(settings.ca_bundle) if settings.ca_bundle else None
    return Http(proxy=proxy, ca_bundle=bundle, limits=Limits(connect=settings.connect_timeout))


def endpoint(settings: Settings) -> Endpoint:
    """The service, and what goes along with every request to it. Raises UsageError."""
    from rtcli.protocol.dialects import DIALECTS
    from rtcli.protocol.rest import Endpoint, check_header

    hashed = settings.safety_id_hash
    if settings.safety_id:
        check_header("OpenAI-Safety-Identifier", settings.safety_id)
    return Endpoint(
        settings.base_url,
        DIALECTS[settings.dialect],
        headers=own_headers(settings),
        organization=os.environ.get("OPENAI_ORG_ID") or None,
        project=os.environ.get("OPENAI_PROJECT_ID") or None,
        safety_id=hashlib.sha256(hashed.encode()).hexdigest() if hashed else settings.safety_id,
    )


def own_headers(settings: Settings) -> dict[str, str | Secret]:
    """The user's own. Any of them may be a credential, so none goes where a key would not."""
    return {name: value.reveal(os.environ) for name, value in settings.headers.items()}


async def with_key(settings: Settings, *, has_terminal: bool) -> tuple[Endpoint, Secret | None]:
    """The service and the API key for it. Raises AuthError, UsageError.

    `has_terminal`: somebody can unlock the keyring.
    """
    return await asyncio.to_thread(with_key_now, settings, has_terminal=has_terminal)


def with_key_now(settings: Settings, *, has_terminal: bool) -> tuple[Endpoint, Secret | None]:
    """The same, where waiting for the keyring holds up nobody."""
    from rtcli.keys import PLACEHOLDER, key_for

    there = endpoint(settings)
    found = key_for(
        settings.base_url, settings.dialect, environ=os.environ, profile=settings.profile, has_terminal=has_terminal
    )
    if found is None or found.secret == PLACEHOLDER:
        there = replace(there, organization=None, project=None)  # they go along with a standard key
    return there, found.secret if found else None
