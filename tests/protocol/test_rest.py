"""Requests as bytes and answers as values; nothing is sent here."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from email.parser import BytesParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtcli.errors import AuthError, RtcliError, ServiceError, UsageError
from rtcli.protocol import rest, retry
from rtcli.protocol.dialects import AZURE, DIALECTS, LOCALAI, OPENAI, SDP, SPEACHES
from rtcli.protocol.refusal import one_line
from rtcli.protocol.rest import Endpoint, HttpAnswer, HttpRequest
from rtcli.protocol.secret import Secret


MARKED = "sk-marked-0123456789abcdef"
KEY = Secret(MARKED)
OFFER = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\n"
ANSWER = "v=0\r\no=- 2 2 IN IP4 127.0.0.1\r\n"


def shown_headers(request: HttpRequest) -> dict[str, str]:
    return {name: v.reveal() if isinstance(v, Secret) else v for name, v in request.headers.items()}


def answer(status: int, body: str | bytes | dict[str, Any] = b"", **headers: str) -> HttpAnswer:
    raw = json.dumps(body) if isinstance(body, dict) else body
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpAnswer(status, named, raw.encode() if isinstance(raw, str) else raw, (KEY,))


# ---- requests -------------------------------------------------------------------------------------------------------


def test_a_minted_key_carries_session_expiry_and_identity() -> None:
    endpoint = Endpoint(organization="org_1", project="proj_1", safety_id="hash")
    request = rest.client_secret_request(endpoint, KEY, {"type": "realtime"}, expires_after=60)
    assert (request.method, request.url) == ("POST", "https://api.openai.com/v1/realtime/client_secrets")
    assert (request.step, request.content_type, request.repeatable) == ("token", "application/json", True)
    assert json.loads(request.body) == {
        "expires_after": {"anchor": "created_at", "seconds": 60},
        "session": {"type": "realtime"},
    }
    assert shown_headers(request) == {
        "Authorization": f"Bearer {MARKED}",
        "OpenAI-Organization": "org_1",
        "OpenAI-Project": "proj_1",
        "OpenAI-Safety-Identifier": "hash",
    }


def test_a_call_with_an_ephemeral_key_is_the_bare_offer_and_no_identity() -> None:
    endpoint = Endpoint(organization="org_1", project="proj_1", safety_id="hash")
    request = rest.call_request(endpoint, Secret("ek_1"), OFFER, model="gpt-realtime-2")
    assert (request.method, request.url) == ("POST", "https://api.openai.com/v1/realtime/calls")
    assert (request.body, request.content_type) == (OFFER.encode(), "application/sdp")
    assert shown_headers(request) == {"Authorization": "Bearer ek_1", "Accept": "application/sdp"}
    assert not request.repeatable


def test_a_direct_call_is_the_two_parts_the_official_sdk_writes() -> None:
    request = rest.direct_call_request(Endpoint(), KEY, OFFER, {"type": "realtime", "instructions": "grüß"})
    assert request.content_type is not None
    boundary = request.content_type.removeprefix("multipart/form-data; boundary=")
    assert request.body.decode() == (
        f'--{boundary}\r\nContent-Disposition: form-data; name="sdp"\r\nContent-Type: application/sdp\r\n\r\n'
        f"{OFFER}\r\n"
        f'--{boundary}\r\nContent-Disposition: form-data; name="session"\r\nContent-Type: application/json\r\n\r\n'
        '{"type":"realtime","instructions":"grüß"}\r\n'
        f"--{boundary}--\r\n"
    )
    assert not request.repeatable


@given(st.binary(max_size=50), st.binary(max_size=50))
def test_any_two_contents_survive_a_multipart_body(first: bytes, second: bytes) -> None:
    body, content_type = rest.multipart([("a", "application/octet-stream", first), ("b", "text/plain", second)])
    boundary = content_type.removeprefix("multipart/form-data; boundary=").encode()
    assert boundary not in first + second
    opening, *parts, closing = body.split(b"--" + boundary)
    assert (opening, closing) == (b"", b"--\r\n")
    assert [part.split(b"\r\n\r\n", 1)[1].removesuffix(b"\r\n") for part in parts] == [first, second]


def test_an_outside_judge_reads_the_multipart_body() -> None:
    body, content_type = rest.multipart(
        [("sdp", "application/sdp", OFFER.encode()), ("session", "application/json", b"{}")]
    )
    message = BytesParser().parsebytes(f"Content-Type: {content_type}\r\n\r\n".encode() + body)
    names = [part.get_param("name", header="content-disposition") for part in message.walk() if not part.is_multipart()]
    assert names == ["sdp", "session"]
    assert all(part.get_filename() is None for part in message.walk())


def test_an_app_server_is_asked_without_a_key() -> None:
    token = rest.server_token_request("http://127.0.0.1:3000")
    assert (token.method, token.url, token.secrets, token.step) == ("GET", "http://127.0.0.1:3000/token", (), "token")
    session = rest.server_session_request("https://voice.example.com/api/", OFFER, {"X-Team": Secret("t0p-secret")})
    assert session.url == "https://voice.example.com/api/session"
    assert (session.body, session.content_type) == (OFFER.encode(), "application/sdp")
    assert shown_headers(session) == {"Accept": "application/sdp", "X-Team": "t0p-secret"}


def test_hanging_up_is_a_post_to_the_calls_own_path() -> None:
    request = rest.hangup_request(Endpoint(), KEY, "rtc_1")
    assert request is not None
    assert (request.method, request.url) == ("POST", "https://api.openai.com/v1/realtime/calls/rtc_1/hangup")
    assert shown_headers(request) == {"Authorization": f"Bearer {MARKED}"}


def test_the_users_own_headers_win_whatever_their_case() -> None:
    endpoint = Endpoint(headers={"authorization": Secret("Basic abc"), "X-Trace": "1"})
    request = rest.client_secret_request(endpoint, KEY)
    assert shown_headers(request) == {"authorization": "Basic abc", "X-Trace": "1"}
    assert request.secrets == (Secret("abc"),)


def test_a_base_url_keeps_its_path_and_query() -> None:
    endpoint = Endpoint("https://gw.example.com/openai/v1/?tenant=7", SPEACHES)
    request = rest.call_request(endpoint, None, OFFER, model="m/1")
    assert request.url == "https://gw.example.com/openai/v1/realtime?tenant=7&model=m%2F1"


@pytest.mark.parametrize("key", ["", "sk-1 ", "sk-1\n", "sk-\u201c1\u201d", "sk 1", "sk\t1"])
def test_a_key_no_header_can_carry_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(AuthError) as caught:
        rest.client_secret_request(Endpoint(), Secret(key))
    assert not key.strip() or key.strip() not in str(caught.value)


def test_no_key_shows_in_a_request() -> None:
    for request in (
        rest.client_secret_request(Endpoint(), KEY),
        rest.client_secret_request(Endpoint(dialect=AZURE), KEY),
        rest.call_request(Endpoint(), KEY, OFFER),
        rest.direct_call_request(Endpoint(), KEY, OFFER, {"tools": [{"authorization": MARKED}]}),
    ):
        assert MARKED not in repr(request)
        assert MARKED not in str(request)
        assert request.secrets == (KEY,)


# ---- dialects -------------------------------------------------------------------------------------------------------


def test_azure_takes_an_api_key_in_its_own_header_and_tokens_as_bearer() -> None:
    endpoint = Endpoint("https://res.openai.azure.com/openai/v1", AZURE)
    minted = rest.client_secret_request(endpoint, KEY, {"type": "realtime", "model": "my-deployment"})
    assert minted.url == "https://res.openai.azure.com/openai/v1/realtime/client_secrets"
    assert shown_headers(minted) == {"api-key": MARKED}
    entra = rest.client_secret_request(endpoint, Secret("eyJhbGciOi.x.y"))
    assert shown_headers(entra) == {"Authorization": "Bearer eyJhbGciOi.x.y"}
    call = rest.call_request(endpoint, Secret("ek_1"), OFFER)
    assert shown_headers(call)["Authorization"] == "Bearer ek_1"
    assert call.content_type == "application/sdp"


def test_azures_filter_hides_events_nobody_may_wait_for() -> None:
    for hidden in ("session.created", "error", "response.created", "response.done", "output_audio_buffer.cleared"):
        assert not AZURE.carries(hidden)
        assert OPENAI.carries(hidden)
    for carried in ("input_audio_buffer.speech_started", "output_audio_buffer.stopped", "response.output_text.delta"):
        assert AZURE.carries(carried)


def test_localai_gets_offer_and_model_as_json_and_answers_json() -> None:
    request = rest.call_request(Endpoint("http://127.0.0.1:8080/v1", LOCALAI), None, OFFER, model="gpt")
    assert json.loads(request.body) == {"sdp": OFFER, "model": "gpt"}
    assert (request.content_type, request.secrets) == ("application/json", ())
    assert rest.parse_call(answer(201, {"sdp": ANSWER, "session_id": "s"})) == rest.CallAnswer(ANSWER, None)


def test_speaches_gets_the_model_in_the_query_and_answers_200_plain_text() -> None:
    request = rest.call_request(Endpoint("http://127.0.0.1:8000/v1", SPEACHES), None, OFFER, model="m")
    assert request.url == "http://127.0.0.1:8000/v1/realtime?model=m"
    told = rest.parse_call(answer(200, ANSWER, content_type="text/plain; charset=utf-8"))
    assert told == rest.CallAnswer(ANSWER, None)


def test_a_bare_sdp_server_is_hung_up_by_delete() -> None:
    request = rest.hangup_request(Endpoint("http://127.0.0.1:8765/v1", SDP), None, "a1-b2")
    assert request is not None
    assert (request.method, request.url) == ("DELETE", "http://127.0.0.1:8765/v1/realtime/calls/a1-b2")
    assert rest.hangup_request(Endpoint(dialect=LOCALAI), None, "x") is None


def test_a_dialect_is_found_by_its_own_name() -> None:
    assert {name: dialect.name for name, dialect in DIALECTS.items()} == {name: name for name in DIALECTS}
    assert all(dialect.mints or not dialect.multipart for dialect in DIALECTS.values())


# ---- answers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("document", "expires"),
    [
        ({"value": "ek_1", "expires_at": 17, "session": {"id": "sess_1"}}, 17),
        ({"client_secret": {"value": "ek_1", "expires_at": 18}}, 18),
        ({"client_secret": "ek_1"}, None),
        ({"token": "ek_1"}, None),
        ({"value": "ek_1", "expires_at": "soon"}, None),
        ({"value": "ek_1", "client_secret": None}, None),
    ],
)
def test_a_key_is_read_from_every_shape_servers_use(document: dict[str, Any], expires: float | None) -> None:
    minted = rest.parse_client_secret(answer(200, document))
    assert (minted.value.reveal(), minted.expires_at, minted.document) == ("ek_1", expires, document)
    assert "ek_1" not in repr(minted)


def test_a_key_of_a_gateway_need_not_look_like_one() -> None:
    assert rest.parse_client_secret(answer(200, {"value": "gAAAAAB-blob=="})).value.reveal() == "gAAAAAB-blob=="


@pytest.mark.parametrize("document", [{}, {"value": ""}, {"value": 3}, {"value": None, "session": {}}, {"key": MARKED}])
def test_an_answer_without_a_key_says_so_and_shows_nothing(document: dict[str, Any]) -> None:
    with pytest.raises(ServiceError) as caught:
        rest.parse_client_secret(answer(200, document))
    assert str(caught.value) == "the answer holds no key"


@pytest.mark.parametrize("value", ["ek_a\r\nX-Evil: 1", "ek_ü", "ek a"])
def test_a_minted_key_that_no_header_can_hold_is_the_services_fault(value: str) -> None:
    with pytest.raises(ServiceError, match="holds a character no key has"):
        rest.parse_client_secret(answer(200, {"value": value}))


@pytest.mark.parametrize("status", [200, 201, 202])
@pytest.mark.parametrize(
    ("location", "call_id"),
    [
        ("/v1/realtime/calls/rtc_u1_9c65", "rtc_u1_9c65"),
        ("https://api.openai.com/v1/realtime/calls/rtc_1?x=rtc_2#f", "rtc_1"),
        ("/v1/realtime/calls/rtc_1/", "rtc_1"),
        ("/v1/realtime/calls/rtc_1/hangup", "rtc_1"),
        ("/v1/realtime/calls/8f14e45f-ceea", "8f14e45f-ceea"),
        ("", None),
        ("/", None),
        ("/calls/..", None),
        ("/calls/rtc_\x1b[2J", None),
        ("/calls/rtc_%2e%2e", None),
        ("/calls/rtc_" + "x" * 300, None),
        ("http://[broken/rtc_1", None),
    ],
)
def test_the_call_id_is_the_last_fitting_segment_of_location(status: int, location: str, call_id: str | None) -> None:
    assert rest.parse_call(answer(status, ANSWER, location=location)) == rest.CallAnswer(ANSWER, call_id)


def test_without_location_there_is_a_call_and_no_id() -> None:
    assert rest.parse_call(answer(201, "\ufeff\n" + ANSWER)) == rest.CallAnswer(ANSWER, None)
    assert rest.parse_call(answer(201, {"sdp": ANSWER, "id": "c0ffee"})) == rest.CallAnswer(ANSWER, "c0ffee")


OVERLOAD = {"error": {"message": "Slow down.", "type": "server_error", "code": "slow_down", "param": None}}


@pytest.mark.parametrize(
    ("given", "kind", "line"),
    [
        (
            answer(400, {"error": {"message": "Invalid SDP offer.", "type": "invalid_request_error",
                                   "code": "invalid_offer"}}, x_request_id="req_1"),
            ServiceError, "400 Bad Request: Invalid SDP offer. (invalid_offer, request req_1)",
        ),
        (
            answer(400, {"error": {"message": "Unknown parameter.", "code": "unknown_parameter",
                                   "param": "session.voice"}}),
            ServiceError, "400 Bad Request: Unknown parameter. (unknown_parameter, param session.voice)",
        ),
        (
            answer(401, {"error": {"message": f"Incorrect API key provided: {MARKED}.", "code": "invalid_api_key"}}),
            AuthError, "401 Unauthorized: Incorrect API key provided: ***. (invalid_api_key)",
        ),
        (
            answer(401, {"error": {"message": "Incorrect API key provided: sk-proj-****cdef."}}),
            AuthError, "401 Unauthorized: Incorrect API key provided: ***",
        ),
        (answer(403, {"error": {"message": "Country not supported"}}), AuthError,
         "403 Forbidden: Country not supported"),
        (answer(200, {"error": {"message": "Quota", "code": "insufficient_quota"}}), ServiceError,
         "200 OK: Quota (insufficient_quota)"),
        (answer(200, {"error": {"message": "Bad key", "code": "invalid_api_key"}}), AuthError,
         "200 OK: Bad key (invalid_api_key)"),
        (answer(503, OVERLOAD), ServiceError, "503 Service Unavailable: Slow down. (slow_down)"),
        (answer(500, {"error": "opus backend missing"}), ServiceError,
         "500 Internal Server Error: opus backend missing"),
        (answer(422, {"detail": "no sdp"}), ServiceError, "422 Unprocessable Entity: no sdp"),
        (answer(404, {"error": {"code": 404}}), ServiceError, '404 Not Found: "{"error": {"code": 404}}" (404)'),
        (answer(400, "Failed to parse SDP"), ServiceError, '400 Bad Request: "Failed to parse SDP"'),
        (answer(500, ""), ServiceError, "500 Internal Server Error: an empty answer"),
        (answer(599, b"\xff\xfe\x00"), ServiceError, "599: 3 bytes that are no text"),
        (
            answer(502, "<html><head><title>502 Bad\n Gateway &amp; co</title></head></html>"),
            ServiceError, '502 Bad Gateway: a web page titled "502 Bad Gateway & co"',
        ),
        (answer(403, "<!DOCTYPE html><p>blocked", content_type="text/html"), AuthError, "403 Forbidden: a web page"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("parse", [rest.parse_call, rest.parse_client_secret])
def test_an_error_is_told_in_the_servers_own_words(
    parse: Callable[[HttpAnswer], object], given: HttpAnswer, kind: type[RtcliError], line: str
) -> None:
    with pytest.raises(kind) as caught:
        parse(given)
    assert str(caught.value).rstrip(".") == line.rstrip(".")
    assert MARKED not in repr(vars(caught.value))


@pytest.mark.parametrize(
    ("body", "got"),
    [
        ("", "an empty answer"),
        ("ok", '"ok"'),
        ("<html><title>Sign in</title>", 'a web page titled "Sign in"'),
        ({"sdp": 3}, '"{"sdp": 3}"'),
    ],
)
def test_a_200_that_is_neither_an_answer_nor_an_error_is_refused(body: Any, got: str) -> None:
    with pytest.raises(ServiceError) as caught:
        rest.parse_call(answer(200, body))
    assert str(caught.value) == f"200 OK: expected an SDP answer, got {got}"


def test_an_error_carries_what_programs_need() -> None:
    error = rest.parse_error(
        answer(429, {"error": {**OVERLOAD["error"], "param": "p"}}, x_request_id="req_9", retry_after="7")
    )
    assert isinstance(error, ServiceError)
    assert (error.status, error.code, error.kind, error.param) == (429, "slow_down", "server_error", "p")
    assert (error.request_id, error.retry_after) == ("req_9", 7.0)


@given(st.integers(100, 999), st.binary(max_size=200), st.text(max_size=20))
def test_any_answer_makes_one_short_printable_line(status: int, body: bytes, told: str) -> None:
    given_answer = HttpAnswer(status, {"x-request-id": told, "retry-after": told, "location": told}, body, (KEY,))
    line = str(rest.parse_error(given_answer, wanted="an SDP answer"))
    assert line.isprintable()
    assert len(line) < 700
    for read in (rest.parse_call, rest.parse_client_secret):
        with contextlib.suppress(RtcliError):
            read(given_answer)
    retry.retry_after(given_answer, 0)


def test_a_long_or_hostile_message_becomes_one_short_line() -> None:
    hostile = "\x1b]0;owned\x07line one\r\nline\u202e two " + MARKED + " " + "A" * 100_000
    error = rest.parse_error(answer(400, {"error": {"message": hostile, "code": "x\n" * 500}}))
    assert str(error).isprintable()
    assert len(str(error)) < 500
    assert MARKED not in str(error)


def test_a_key_cut_by_the_length_limit_is_masked_before_the_cut() -> None:
    unmarked = "A9f-no-prefix-secret-0123456789"
    padded = "." * 285 + unmarked
    told = HttpAnswer(400, {}, json.dumps({"error": {"message": padded}}).encode(), (Secret(unmarked),))
    assert "A9f" not in str(rest.parse_error(told))
    assert "A9f" not in str(rest.parse_error(HttpAnswer(400, {}, padded.encode(), (Secret(unmarked),))))


def test_one_line_keeps_short_text_and_cuts_long_text() -> None:
    assert one_line("  a\tb\nc  ") == "a b c"
    assert one_line("x" * 20, 10) == "x" * 7 + "..."


@pytest.mark.parametrize(
    ("name", "value"),
    [("", "x"), ("X Y", "x"), ("X:", "x"), ("Xé", "x"), ("X", "a\r\nEvil: 1"), ("X", "a\nb"), ("X", "\u201c")],
)
def test_a_header_that_can_not_be_sent_is_a_usage_error(name: str, value: str) -> None:
    with pytest.raises(UsageError) as caught:
        rest.check_header(name, value)
    assert value not in str(caught.value) or value == "x"


@pytest.mark.parametrize(("name", "value"), [("X-Trace", "a b\tc"), ("x_y", "")])
def test_a_header_that_can_be_sent_passes(name: str, value: str) -> None:
    rest.check_header(name, value)
