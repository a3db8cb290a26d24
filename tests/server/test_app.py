"""What the app server asks of the service behind it, and what it passes on."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import httpx
import pytest

from rtcli.protocol.dialects import SDP
from rtcli.protocol.rest import Endpoint
from rtcli.protocol.secret import Secret
from rtcli.server.config import Config, SafetyFrom
from rtcli.transport.http import Http
from tests.server.house import ANSWER, KEY, OFFER, SESSION, House, house
from tests.services import Said, error, minted, parts_of


def test_a_token_is_minted_for_the_servers_session_and_passed_on_as_it_came() -> None:
    with house(minted("ek_1")) as it:
        answer = it.http.get("/token")
        assert answer.json() == {"value": "ek_1", "expires_at": 4102444800, "session": {"type": "realtime"}}
        assert answer.headers["cache-control"] == "no-store"
        (asked,) = it.asked
        assert (asked.line, asked.document) == ("POST /v1/realtime/client_secrets", {"session": SESSION})
        assert asked.headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("kind", ["application/sdp", "text/plain", "text/plain; charset=UTF-8"])
def test_an_offer_goes_on_with_the_session_and_the_answer_comes_back_with_its_location(kind: str) -> None:
    with house() as it:
        answer = it.http.post("/session", content=OFFER, headers={"Content-Type": kind})
        assert (answer.status_code, answer.text) == (201, "v=0\r\nanswer")
        assert answer.headers["location"] == "/v1/realtime/calls/rtc_1"
        assert answer.headers["content-type"] == "application/sdp"
        (asked,) = it.asked
        parts = parts_of(asked)
        assert (asked.line, parts["sdp"], json.loads(parts["session"])) == (
            "POST /v1/realtime/calls",
            OFFER.encode(),
            SESSION,
        )
        assert asked.headers["authorization"] == f"Bearer {KEY}"


def test_another_content_type_is_refused_and_goes_nowhere() -> None:
    with house() as it:
        answer = it.http.post("/session", content=OFFER, headers={"Content-Type": "application/json"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "unsupported_content_type")
        assert it.asked == []


@pytest.mark.parametrize("status", [400, 401, 403, 429, 503])
def test_an_error_of_the_service_is_passed_on_with_its_status_body_and_delay_and_not_tried_again(status: int) -> None:
    said = error(status, "no", "some_code", Retry_After="7", x_request_id="req_up")
    with house(said) as it:
        for answer in (it.http.get("/token"), it.post_offer()):
            assert (answer.status_code, answer.json()) == (status, json.loads(said.body))
            assert (answer.headers["retry-after"], answer.headers["x-request-id"]) == ("7", "req_up")
        assert len(it.asked) == 2


def test_a_key_that_the_service_repeats_is_masked() -> None:
    with house(error(401, f"Incorrect API key provided: {KEY}.")) as it:
        answer = it.http.get("/token")
        assert answer.json()["error"]["message"] == "Incorrect API key provided: ***."
        assert KEY not in str(answer.headers)
        assert KEY not in "".join(it.log)


def test_a_service_that_is_down_is_a_502_in_one_line() -> None:
    with house(endpoint=Endpoint("http://127.0.0.1:9/v1")) as it:
        answer = it.http.get("/token")
        assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_failed")
        assert "refuses connections" in answer.json()["error"]["message"]


def test_the_safety_identifier_comes_from_our_side_alone() -> None:
    with house(minted(), safety_from=SafetyFrom.parsed("header:X-User")) as it:
        it.http.get("/token", headers={"X-User": "ada", "OpenAI-Safety-Identifier": "forged"})
        it.http.get("/token", headers={"OpenAI-Safety-Identifier": "forged"})
        first, second = it.asked
        assert first.headers["openai-safety-identifier"] == hashlib.sha256(b"ada").hexdigest()
        assert "openai-safety-identifier" not in second.headers


def test_a_cookie_can_be_the_safety_identifier_too() -> None:
    with house(safety_from=SafetyFrom.parsed("cookie:uid")) as it:
        it.post_offer(Cookie="a=b; uid=grace")
        assert it.asked[0].headers["openai-safety-identifier"] == hashlib.sha256(b"grace").hexdigest()


def test_sdks_bring_their_own_session_and_get_our_key() -> None:
    with house(minted()) as it:
        body = {"session": {"type": "realtime", "model": "gpt-other"}, "expires_after": {"seconds": 60}}
        it.http.post("/v1/realtime/client_secrets", json=body, headers={"Authorization": "Bearer anything"})
        assert it.asked[0].document == body
        assert it.asked[0].headers["authorization"] == f"Bearer {KEY}"


def test_an_ephemeral_key_opens_a_call_as_itself() -> None:
    with house() as it:
        it.post_offer("/v1/realtime/calls", Authorization="Bearer ek_minted")
        (asked,) = it.asked
        assert (asked.headers["authorization"], asked.body.decode()) == ("Bearer ek_minted", OFFER)


def test_a_call_without_a_session_gets_ours() -> None:
    with house() as it:
        it.post_offer("/v1/realtime/calls", Authorization="Bearer sk-unused")
        assert json.loads(parts_of(it.asked[0])["session"]) == SESSION
        files = {"sdp": (None, OFFER, "application/sdp"), "session": (None, '{"type":"realtime"}', "application/json")}
        it.http.post("/v1/realtime/calls", files=files)
        assert json.loads(parts_of(it.asked[1])["session"]) == {"type": "realtime"}
        assert [asked.headers["authorization"] for asked in it.asked] == [f"Bearer {KEY}"] * 2


def test_the_page_is_told_where_its_offers_go_and_no_credential() -> None:
    tool = {
        "type": "mcp",
        "server_label": "x",
        "authorization": "secret-of-a-tool",
        "headers": {"X": "secret-of-a-tool"},
    }
    with house(session={**SESSION, "tools": [tool]}) as it:
        told = it.http.get("/config")
        assert told.json()["calls_url"] == f"{it.service.url}/v1/realtime/calls"
        assert told.json()["session"]["instructions"] == "Be brief."
        assert told.json()["ways"] == ["session", "token"]
        assert "secret-of-a-tool" not in told.text
        assert KEY not in told.text


def test_a_service_that_takes_offers_alone_gets_offers_alone() -> None:
    with house(dialect=SDP) as it:
        assert it.http.get("/token").status_code == 404
        assert it.http.get("/config").json()["ways"] == ["session"]
        assert it.post_offer().status_code == 201
        assert it.asked[0].body.decode() == OFFER


def test_every_call_is_told_by_its_id() -> None:
    calls: list[str] = []

    async def told(call_id: str) -> None:
        calls.append(call_id)

    with house(ANSWER, error(400, "no"), ANSWER, on_call=told, relays_calls=True) as it:
        it.post_offer()
        it.post_offer()
        it.post_offer("/v1/realtime/calls", Authorization="Bearer ek_1")
        assert it.http.get("/config").json()["calls_url"] == "/v1/realtime/calls"
    assert calls == ["rtc_1", "rtc_1"]


def test_the_page_loads_nothing_from_elsewhere_and_connects_to_the_service_alone() -> None:
    with house() as it:
        page = it.http.get("/")
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert f"connect-src 'self' {it.service.url};" in policy
        assert "unsafe" not in policy
        assert "//" not in page.text.replace("<!doctype", "")
        for name in ("main.js", "realtime.js", "audio.js", "log.js", "stats.js", "style.css"):
            assert it.http.get(f"/{name}").status_code == 200


def test_the_answers_of_the_service_set_no_header_of_ours() -> None:
    with house(Said(200, b"{}", "application/json", {"Set-Cookie": "a=b", "Access-Control-Allow-Origin": "*"})) as it:
        answer = it.http.get("/token")
        assert "set-cookie" not in answer.headers
        assert "access-control-allow-origin" not in answer.headers


def _logged(it: House) -> str:
    return it.log[-1].split(" ", 1)[1]


def test_a_request_is_one_line_without_query_and_key() -> None:
    with house(minted()) as it:
        it.http.get("/token?secret=abc", headers={"Authorization": "Bearer sk-hidden"})
        assert _logged(it).startswith("127.0.0.1 GET /token 200 ")
        assert len(it.log) == 1


def test_no_secret_shows_in_the_configuration() -> None:
    config = Config(endpoint=Endpoint(), key=Secret(KEY), session=SESSION, http=Http(), secret=Secret("s" * 20))
    assert KEY not in repr(config)
    assert "ssss" not in repr(replace(config))


def test_only_the_guides_methods_are_answered() -> None:
    with house() as it:
        assert it.http.post("/token").status_code == 405
        assert it.http.get("/session").status_code == 405
        assert it.http.request("TRACE", "/token").status_code in {400, 405}
        assert isinstance(it.http.get("/nothing"), httpx.Response)
