"""The service behind the app server: requests go out with a key that only this side has, answers come back."""

from __future__ import annotations

from dataclasses import replace

from starlette.responses import Response

from rtcli.asgi.refusals import refusal
from rtcli.errors import RtcliError
from rtcli.protocol import rest
from rtcli.protocol.codec import JsonObject, text_of
from rtcli.protocol.rest import Endpoint, HttpAnswer, HttpRequest
from rtcli.protocol.secret import Secret
from rtcli.records import dataclass
from rtcli.transport.signalling import Http


_PASSED_ON = ("location", "retry-after", "retry-after-ms", "x-request-id", "x-should-retry")


@dataclass(frozen=True, slots=True)
class Upstream:
    http: Http
    endpoint: Endpoint
    key: Secret | None

    async def mint(self, document: JsonObject, safety_id: str | None) -> HttpAnswer:
        """`document`: what `POST /realtime/client_secrets` takes. Raises ServiceError when there is no answer."""
        if not self.endpoint.dialect.mints:
            raise refusal("The service behind this server mints no keys: use POST /session.", status=404)
        request = rest.client_secret_request(self._for(safety_id), self.key)
        return await self._ask(replace(request, body=text_of(document).encode()))

    async def call(self, offer: str, session: JsonObject, safety_id: str | None) -> HttpAnswer:
        """An offer with its session, under our key. Raises ServiceError when there is no answer."""
        there = self._for(safety_id)
        if there.dialect.multipart:
            return await self._ask(rest.direct_call_request(there, self.key, offer, session))
        model = session.get("model")
        named = model if isinstance(model, str) else None
        return await self._ask(rest.call_request(there, self.key, offer, model=named))

    async def relay(self, offer: str, key: Secret) -> HttpAnswer:
        """An offer under an ephemeral key that a client has. Raises ServiceError when there is no answer."""
        return await self._ask(rest.call_request(replace(self.endpoint, headers={}), key, offer))

    def _for(self, safety_id: str | None) -> Endpoint:
        return replace(self.endpoint, safety_id=safety_id) if safety_id else self.endpoint

    async def _ask(self, request: HttpRequest) -> HttpAnswer:
        try:
            # Once: whoever asked us knows better how long to go on, and the answer tells when.
            return await self.http.ask(replace(request, repeatable=False))
        except RtcliError as error:
            raise refusal(str(error), code="upstream_failed", kind="server_error", status=502) from None


def passed_on(answer: HttpAnswer, key: Secret | None) -> Response:
    """Status, body and what a client needs of the headers; a key that the service repeats is masked."""
    body = answer.body
    for secret in filter(None, (key, *answer.secrets)):
        body = body.replace(secret.reveal().encode(), b"***")
    headers = {name: answer.headers[name] for name in _PASSED_ON if _is_plain(answer.headers.get(name, ""))}
    kind = answer.headers.get("content-type", "")
    headers["content-type"] = kind if _is_plain(kind) else "application/octet-stream"
    return Response(body, status_code=answer.status, headers=headers)


def _is_plain(value: str) -> bool:
    return bool(value) and value.isascii() and value.isprintable()
