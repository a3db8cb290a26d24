"""Which requests each way in makes, what they carry, and what they never carry."""

from __future__ import annotations

import asyncio
import io
import json
import os
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import keyring
import pytest
from cryptography import x509

from rtcli import ways
from rtcli.errors import AuthError, ConnectError, RtcliError, ServerAuthError, ServiceError, UsageError
from rtcli.protocol.codec import JsonObject
from rtcli.protocol.rest import CallAnswer
from rtcli.settings import resolve
from tests.certificates import self_signed
from tests.keyrings import Memory
from tests.services import Proxy, Said, Scripted, error, minted, parts_of


MARKED = "sk-marked-0123456789abcdef"
OFFER = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\n"
ANSWER = Said(201, b"v=0\r\nanswer\r\n", "application/sdp", {"Location": "/v1/realtime/calls/rtc_1"})


@pytest.fixture(autouse=True)
def _nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No key, no proxy, no configuration of this machine."""
    for name in os.environ:
        if name.startswith(("RTCLI_", "OPENAI_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    before = keyring.get_keyring()
    keyring.set_keyring(Memory())
    yield
    keyring.set_keyring(before)


@dataclass
class Placed:
    """How placing a call went."""

    answer: CallAnswer | None
    error: RtcliError | None
    steps: list[str]
    update: JsonObject | None = None
    url: str = ""

    @property
    def line(self) -> str:
        return str(self.error)


def place(*, sandbox: bool = False, token_stdin: bool = False, config: Path | None = None, **flags: Any) -> Placed:
    """Take the way that these flags (and this file) ask for, up to the answer."""
    placed = Placed(None, None, [])

    async def main() -> None:
        offer = asyncio.get_running_loop().create_future()
        offer.set_result(OFFER)
        settings = resolve(flags, environ=os.environ, config_file=config)
        key = ways.ready_key(from_stdin=token_stdin)
        async with ways.way_in(settings, sandbox=sandbox, ready_key=key) as way:
            placed.update, placed.url = way.update, way.url
            placed.answer = await way.signalling.place(offer, placed.steps.append)

    try:
        asyncio.run(main())
    except RtcliError as caught:
        placed.error = caught
    return placed


def refusal(**how: Any) -> str:
    """What is said to a way that can not be taken."""
    placed = place(**how)
    assert isinstance(placed.error, UsageError), placed
    return placed.line


# ---- the service ----------------------------------------------------------------------------------------------------


def test_by_default_a_key_is_minted_with_the_session_and_the_bare_offer_goes_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", MARKED)
    monkeypatch.setenv("OPENAI_ORG_ID", "org-1")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-1")
    with Scripted(minted("ek_1"), ANSWER) as service:
        placed = place(base_url=f"{service.url}/v1", safety_id="user-7", voice="cedar")
    mint, call = service.asked
    assert placed.answer == CallAnswer("v=0\r\nanswer\r\n", "rtc_1")
    assert placed.steps == ["token", "call"]
    assert placed.update is None
    assert mint.line == "POST /v1/realtime/client_secrets"
    assert mint.headers["authorization"] == f"Bearer {MARKED}"
    assert (mint.headers["openai-organization"], mint.headers["openai-project"]) == ("org-1", "proj-1")
    assert mint.headers["openai-safety-identifier"] == "user-7"
    session = mint.document["session"]
    assert (session["type"], session["model"]) == ("realtime", "gpt-realtime-2")
    assert session["audio"]["output"]["voice"] == "cedar"
    assert call.line == "POST /v1/realtime/calls"
    assert call.body.decode() == OFFER
    assert call.headers["authorization"] == "Bearer ek_1"
    assert call.headers["content-type"] == "application/sdp"
    assert not [name for name in call.headers if name.startswith("openai-")]


def test_directly_offer_and_session_go_in_one_request_with_the_api_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", MARKED)
    monkeypatch.setenv("OPENAI_ORG_ID", "org-1")
    with Scripted(ANSWER) as service:
        placed = place(base_url=f"{service.url}/v1", direct=True, safety_id_hash="anna@example.com")
    (call,) = service.asked
    assert placed.answer
    assert placed.answer.call_id == "rtc_1"
    assert call.line == "POST /v1/realtime/calls"
    assert call.headers["authorization"] == f"Bearer {MARKED}"
    assert call.headers["openai-organization"] == "org-1"
    assert call.headers["openai-safety-identifier"] == sha256(b"anna@example.com").hexdigest()
    parts = parts_of(call)
    assert list(parts) == ["sdp", "session"]
    assert parts["sdp"].decode() == OFFER
    assert json.loads(parts["session"])["model"] == "gpt-realtime-2"
    boundary = call.headers["content-type"].removeprefix("multipart/form-data; boundary=")
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="%s"\r\nContent-Type: %s\r\n\r\n'
    sdp = head % ("sdp", "application/sdp") + OFFER
    session = head % ("session", "application/json") + parts["session"].decode()
    assert call.body.decode() == f"{sdp}\r\n{session}\r\n--{boundary}--\r\n"


def test_a_key_in_the_beta_shape_is_a_key() -> None:
    legacy = Said(200, b'{"id": "sess_1", "client_secret": {"value": "ek_old", "expires_at": 1}}')
    with Scripted(legacy, ANSWER) as service:
        place(base_url=f"{service.url}/v1")
    assert service.asked[1].headers["authorization"] == "Bearer ek_old"


@pytest.mark.parametrize(
    ("location", "call_id"),
    [
        ({}, None),
        ({"Location": "https://api.openai.com/v1/realtime/calls/rtc_far?x=1"}, "rtc_far"),
        ({"Location": "/v1/realtime/calls/0b7f-4e"}, "0b7f-4e"),
    ],
)
def test_a_call_is_known_by_its_location_if_there_is_one(location: dict[str, str], call_id: str | None) -> None:
    with Scripted(minted(), Said(200, b"v=0\r\n", "application/sdp", location)) as service:
        placed = place(base_url=f"{service.url}/v1")
    assert placed.answer == CallAnswer("v=0\r\n", call_id)


def test_the_users_headers_go_along_and_a_secret_one_is_read_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GATEWAY", "gw-marked-secret")
    with Scripted(minted(), ANSWER) as service:
        place(base_url=f"{service.url}/v1", headers=["X-Team: voice", "X-Gateway: env:GATEWAY"])
    for asked in service.asked:
        assert (asked.headers["x-team"], asked.headers["x-gateway"]) == ("voice", "gw-marked-secret")


def test_a_variable_that_a_header_names_and_nobody_set_is_a_usage_error() -> None:
    assert "GATEWAY" in refusal(base_url="http://127.0.0.1:9/v1", headers=["X-Gateway: env:GATEWAY"])


def test_a_safety_identifier_that_no_header_can_hold_is_a_usage_error() -> None:
    assert "OpenAI-Safety-Identifier" in refusal(base_url="http://127.0.0.1:9/v1", safety_id="ü")


def test_a_live_model_is_refused_before_anything_is_asked() -> None:
    with Scripted(minted(), ANSWER) as service:
        line = refusal(base_url=f"{service.url}/v1", model="gpt-live-1")
    assert "gpt-live-1" in line
    assert service.asked == []


# ---- an app server --------------------------------------------------------------------------------------------------


def test_a_server_gets_the_offer_and_never_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RTCLI_API_KEY", MARKED)
    monkeypatch.setenv("OPENAI_ORG_ID", "org-1")
    monkeypatch.setenv("COOKIE", "session=cookie-secret")
    with Scripted(Said(200, b"v=0\r\n", "application/sdp")) as server:
        placed = place(server=server.url, headers=["Cookie: env:COOKIE"], safety_id="user-7", voice="cedar")
    (asked,) = server.asked
    assert placed.answer == CallAnswer("v=0\r\n", None)
    assert (asked.line, asked.body.decode()) == ("POST /session", OFFER)
    assert asked.headers["content-type"] == "application/sdp"
    assert asked.headers["cookie"] == "session=cookie-secret"
    assert "authorization" not in asked.headers
    assert MARKED not in str(asked)
    assert not [name for name in asked.headers if name.startswith("openai-")]
    assert placed.update == {"type": "realtime", "audio": {"output": {"voice": "cedar"}}}


def test_a_server_in_token_mode_gives_the_key_and_the_service_never_sees_its_headers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RTCLI_API_KEY", MARKED)
    monkeypatch.setenv("COOKIE", "session=cookie-secret")
    with Scripted(minted("ek_server")) as server, Scripted(ANSWER) as service:
        placed = place(
            server=server.url, server_mode="token", base_url=f"{service.url}/v1", headers=["Cookie: env:COOKIE"]
        )
    (token,), (call,) = server.asked, service.asked
    assert placed.answer
    assert placed.answer.call_id == "rtc_1"
    assert (token.line, token.headers["cookie"]) == ("GET /token", "session=cookie-secret")
    assert "authorization" not in token.headers
    assert (call.line, call.headers["authorization"]) == ("POST /v1/realtime/calls", "Bearer ek_server")
    assert "cookie" not in call.headers
    assert MARKED not in str(token) + str(call)


@pytest.mark.parametrize("mode", ["unified", "token"])
def test_a_server_that_refuses_us_is_not_answered_with_advice_about_our_key(mode: str) -> None:
    with Scripted(Said(401, b"who are you?", "text/plain")) as server:
        placed = place(server=server.url, server_mode=mode)
    assert isinstance(placed.error, ServerAuthError)


@pytest.mark.parametrize("mode", ["unified", "token"])
def test_a_server_that_answers_errors_with_200_is_seen_through(mode: str) -> None:
    said = {"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}
    with Scripted(Said(200, json.dumps(said).encode())) as server:
        placed = place(server=server.url, server_mode=mode)
    assert isinstance(placed.error, ServiceError)
    assert "You exceeded your current quota" in placed.line
    assert placed.error.code == "insufficient_quota"


@pytest.mark.parametrize("way", ["server", "ready key"])
def test_a_session_made_elsewhere_gets_only_what_was_said(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if way == "ready key":
        monkeypatch.setenv("RTCLI_EPHEMERAL_KEY", "ek_ready")
    with Scripted(Said(200, b"v=0\r\n", "application/sdp")) as there:
        where: dict[str, Any] = {"server": there.url} if way == "server" else {"base_url": f"{there.url}/v1"}
        assert place(**where).update is None
        assert place(**where, text=True).update == {"type": "realtime", "output_modalities": ["text"]}
        assert "--model" in refusal(**where, model="gpt-realtime-2")
        monkeypatch.setenv("RTCLI_MODEL", "gpt-realtime-2")
        assert place(**where).update is None


# ---- a ready key ----------------------------------------------------------------------------------------------------


def test_a_ready_key_opens_the_call_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RTCLI_EPHEMERAL_KEY", "ek_ready")
    monkeypatch.setenv("RTCLI_API_KEY", MARKED)
    with Scripted(ANSWER) as service:
        placed = place(base_url=f"{service.url}/v1", safety_id="user-7")
    (call,) = service.asked
    assert placed.answer
    assert placed.steps == ["call"]
    assert call.headers["authorization"] == "Bearer ek_ready"
    assert MARKED not in str(call)
    assert "openai-safety-identifier" not in call.headers


def test_a_ready_key_is_read_from_the_first_line_of_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("ek_piped\nand more\n"))
    with Scripted(ANSWER) as service:
        assert place(base_url=f"{service.url}/v1", token_stdin=True).answer
    assert service.asked[0].headers["authorization"] == "Bearer ek_piped"


def test_standard_input_without_a_key_is_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))
    assert isinstance(place(base_url="http://127.0.0.1:9/v1", token_stdin=True).error, AuthError)


def test_a_key_is_not_typed_for_all_to_see(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO("ek_typed\n")
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdin", terminal)
    assert "terminal" in refusal(base_url="http://127.0.0.1:9/v1", token_stdin=True)


@pytest.mark.parametrize("dialect", ["sdp", "localai", "speaches"])
def test_a_service_that_mints_no_keys_takes_no_ready_one(dialect: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RTCLI_EPHEMERAL_KEY", "ek_ready")
    assert dialect in refusal(base_url="http://127.0.0.1:9/v1", dialect=dialect)


# ---- one way at a time ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "flags",
    [
        {"sandbox": True, "direct": True},
        {"sandbox": True, "server": "http://127.0.0.1:9"},
        {"sandbox": True, "base_url": "http://127.0.0.1:9/v1"},
        {"sandbox": True, "dialect": "azure"},
        {"sandbox": True, "token_stdin": True},
        {"direct": True, "server": "http://127.0.0.1:9"},
        {"direct": True, "token_stdin": True},
        {"server": "http://127.0.0.1:9", "token_stdin": True},
    ],
)
def test_two_ways_on_one_command_line_exclude_one_another(
    flags: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("ek_piped\n"))
    assert "exclude one another" in refusal(**flags)


def test_two_ways_in_the_environment_exclude_one_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RTCLI_EPHEMERAL_KEY", "ek_ready")
    monkeypatch.setenv("RTCLI_SERVER", "http://127.0.0.1:9")
    line = refusal()
    assert "RTCLI_EPHEMERAL_KEY" in line
    assert "RTCLI_SERVER" in line


def test_the_command_line_wins_against_a_key_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RTCLI_EPHEMERAL_KEY", "ek_ready")
    with Scripted(ANSWER) as service:
        assert place(base_url=f"{service.url}/v1", direct=True).answer
        assert place(server=service.url).answer
    direct, server = service.asked
    assert "ek_ready" not in str(direct) + str(server)


def test_a_key_in_the_environment_wins_against_a_server_in_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RTCLI_EPHEMERAL_KEY", "ek_ready")
    config = tmp_path / "config.toml"
    with Scripted(ANSWER) as server, Scripted(ANSWER) as service:
        config.write_text(f'server = "{server.url}"\n')
        monkeypatch.setenv("OPENAI_BASE_URL", f"{service.url}/v1")
        assert place(config=config).answer
    assert (len(server.asked), len(service.asked)) == (0, 1)


def test_the_sandbox_never_sees_a_real_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RTCLI_API_KEY", MARKED)
    monkeypatch.setenv("RTCLI_EPHEMERAL_KEY", "ek_ready")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-marked")
    asked: list[str] = []

    async def main() -> None:
        from rtcli.transport.http import Http

        ask = Http.ask

        async def listening(self: Http, request: Any) -> Any:
            asked.append(f"{request.url} {[(n, getattr(v, 'reveal', str)()) for n, v in request.headers.items()]}")
            return await ask(self, request)

        async def offer() -> str:
            raise ConnectError("call", "that was enough")

        monkeypatch.setattr(Http, "ask", listening)
        settings = resolve({}, environ=os.environ, config_file=None)
        async with ways.way_in(settings, sandbox=True, ready_key=ways.ready_key(from_stdin=False)) as way:
            assert way.dialect.name == "openai"
            with pytest.raises(ConnectError, match="enough"):
                await way.signalling.place(offer(), lambda _: None)

    monkeypatch.setattr("rtcli.wiring.make_engine", _scripted_engine)
    asyncio.run(main())
    (mint,) = asked
    assert mint.startswith("http://127.0.0.1:")
    assert MARKED not in mint
    assert "ek_ready" not in mint
    assert "org-marked" not in mint


def _scripted_engine(_: str | None) -> Any:
    from rtcli.sandbox.engine.scripted import ScriptedEngine
    from rtcli.wiring import MadeEngine

    return MadeEngine(ScriptedEngine())


# ---- keys and hosts -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "host"),
    [
        ({}, "api.openai.com"),
        ({"direct": True}, "api.openai.com"),
        ({"base_url": "https://name.openai.azure.com/openai/v1"}, "name.openai.azure.com"),
        ({"base_url": "https://gateway.example.test/v1", "dialect": "azure"}, "gateway.example.test"),
    ],
)
def test_openai_and_azure_are_not_called_without_a_key(flags: dict[str, Any], host: str) -> None:
    placed = place(**flags)
    assert isinstance(placed.error, AuthError)
    assert host in placed.line


def test_loopback_gets_a_placeholder_and_no_organisation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "org-1")
    with Scripted(minted(), ANSWER) as service:
        assert place(base_url=f"{service.url}/v1").answer
    mint = service.asked[0]
    assert mint.headers["authorization"].startswith("Bearer rtcli-")
    assert "openai-organization" not in mint.headers


@pytest.mark.parametrize(
    "flags",
    [
        {"base_url": "http://192.0.2.1/v1"},
        {"base_url": "http://192.0.2.1/v1", "direct": True},
        {"base_url": "http://192.0.2.1/v1", "dialect": "sdp"},
        {"server": "http://192.0.2.1", "server_mode": "token"},
        {"server": "https://voice.example.test", "server_mode": "token", "base_url": "http://192.0.2.1/v1"},
    ],
)
def test_no_key_travels_over_plain_http(flags: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RTCLI_API_KEY", MARKED)
    line = refusal(**flags)
    assert "192.0.2.1" in line
    assert MARKED not in line


def test_nor_does_a_ready_or_a_freshly_minted_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "192.0.2.1" in refusal(base_url="http://192.0.2.1/v1")
    monkeypatch.setenv("RTCLI_EPHEMERAL_KEY", "ek_ready")
    assert "192.0.2.1" in refusal(base_url="http://192.0.2.1/v1")


@pytest.mark.parametrize("flags", [{"base_url": "http://192.0.2.1/v1"}, {"server": "http://192.0.2.1"}])
def test_nor_is_one_minted_to_be_taken_away(flags: dict[str, str]) -> None:
    settings = resolve(flags, environ={}, config_file=None)
    with pytest.raises(UsageError, match=r"192\.0\.2\.1"):
        asyncio.run(ways.mint(settings))


def test_plain_http_without_a_key_is_let_through(monkeypatch: pytest.MonkeyPatch) -> None:
    """To a server that keeps the key to itself; a header may be a credential."""
    monkeypatch.setenv("RTCLI_API_KEY", MARKED)
    with Scripted(Said(200, b"v=0\r\n", "application/sdp")) as server, Proxy(server.port) as proxy:
        assert "192.0.2.1" in refusal(server="http://192.0.2.1", headers=["X-Team: voice"], proxy=proxy.url)
        assert server.asked == []
        placed = place(server="http://192.0.2.1", proxy=proxy.url)
    assert placed.answer, placed.error
    assert MARKED not in str(server.asked) + "".join(proxy.heads)


@pytest.mark.parametrize("direct", [False, True])
def test_a_redirect_carries_no_key_to_another_host(direct: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RTCLI_API_KEY", MARKED)
    with Scripted(minted(), ANSWER) as thief:
        away = Said(307, headers={"Location": f"{thief.url}/v1/realtime/client_secrets"})
        with Scripted(away) as service:
            placed = place(base_url=f"{service.url}/v1", direct=direct)
    assert isinstance(placed.error, ServiceError)
    assert len(service.asked) == 1
    assert thief.asked == []
    assert MARKED not in placed.line


# ---- on the way -----------------------------------------------------------------------------------------------------

HOST = "api.example.test"


@pytest.fixture
def authority(tmp_path: Path) -> tuple[ssl.SSLContext, Path]:
    """TLS for HOST, and the file with the authority that vouches for it."""
    bundle, private = self_signed(x509.DNSName(HOST), tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(bundle, private)
    return context, bundle


def test_a_proxy_and_an_own_authority_lead_to_the_service_and_the_proxy_sees_no_key(
    authority: tuple[ssl.SSLContext, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RTCLI_API_KEY", MARKED)
    tls, bundle = authority
    with Scripted(minted(), ANSWER, tls=tls) as service, Proxy(service.port) as proxy:
        placed = place(base_url=f"https://{HOST}/v1", proxy=proxy.url, ca_bundle=str(bundle))
    assert placed.answer, placed.error
    assert proxy.heads[0].startswith(f"CONNECT {HOST}:443 ")
    assert MARKED not in "".join(proxy.heads)
    assert service.asked[0].headers["authorization"] == f"Bearer {MARKED}"
    assert placed.url == f"https://{HOST}/v1"


def test_an_unknown_authority_is_not_trusted_and_gets_no_key(
    authority: tuple[ssl.SSLContext, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RTCLI_API_KEY", MARKED)
    with Scripted(minted(), ANSWER, tls=authority[0]) as service, Proxy(service.port) as proxy:
        placed = place(base_url=f"https://{HOST}/v1", proxy=proxy.url)
    assert isinstance(placed.error, ConnectError)
    assert "certificate" in placed.line
    assert service.asked == []


# ---- dialects -------------------------------------------------------------------------------------------------------


def test_azure_gets_the_key_in_its_own_header_and_the_deployment_as_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RTCLI_API_KEY", "azure-marked-key")
    with Scripted(minted("ek_azure"), ANSWER) as service:
        place(base_url=f"{service.url}/openai/v1?webrtcfilter=on", dialect="azure", model="my-deployment")
        place(base_url=f"{service.url}/openai/v1", dialect="azure", model="my-deployment", direct=True)
    mint, call, direct = service.asked
    assert mint.headers["api-key"] == direct.headers["api-key"] == "azure-marked-key"
    assert call.headers["authorization"] == "Bearer ek_azure"
    assert not {"authorization", "api-key"} <= mint.headers.keys() | direct.headers.keys()
    assert "azure-marked-key" not in str(call)
    assert call.line == "POST /openai/v1/realtime/calls?webrtcfilter=on"
    assert mint.document["session"] == {"type": "realtime", "model": "my-deployment"}


@pytest.mark.parametrize(
    ("dialect", "line", "kind", "body"),
    [
        ("sdp", "POST /v1/realtime/calls", "application/sdp", OFFER),
        ("localai", "POST /v1/realtime/calls", "application/json", {"sdp": OFFER, "model": "a/b"}),
        ("speaches", "POST /v1/realtime?model=a%2Fb", "application/sdp", OFFER),
    ],
)
def test_services_without_ephemeral_keys_get_the_offer_with_the_api_key(
    dialect: str, line: str, kind: str, body: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RTCLI_API_KEY", MARKED)
    flags: dict[str, Any] = {} if dialect == "sdp" else {"model": "a/b"}
    with Scripted(ANSWER) as service:
        placed = place(base_url=f"{service.url}/v1", dialect=dialect, instructions="Be brief.", **flags)
    (call,) = service.asked
    assert placed.answer, placed.error
    assert (call.line, call.headers["content-type"]) == (line, kind)
    assert (call.document if isinstance(body, dict) else call.body.decode()) == body
    assert call.headers["authorization"] == f"Bearer {MARKED}"
    assert placed.update == {"type": "realtime", "instructions": "Be brief."}


def test_a_foreign_service_is_sent_nothing_of_openais() -> None:
    with Scripted(ANSWER) as service:
        assert place(base_url=f"{service.url}/v1", dialect="localai", model="m").update is None


def test_a_server_that_has_one_model_is_not_asked_for_another() -> None:
    assert "--model" in refusal(base_url="http://127.0.0.1:9/v1", dialect="sdp", model="m")


def test_localais_errors_are_told_in_its_words() -> None:
    with Scripted(Said(400, b'{"error": "model is required"}')) as service:
        assert "model is required" in place(base_url=f"{service.url}/v1", dialect="localai").line


# ---- taking a call back ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "key", "line"),
    [
        ({}, "Bearer sk-", "POST /v1/realtime/calls/rtc_1/hangup"),
        ({"direct": True}, "Bearer sk-", "POST /v1/realtime/calls/rtc_1/hangup"),
        ({"dialect": "azure"}, "sk-", "POST /v1/realtime/calls/rtc_1/hangup"),
        ({"dialect": "sdp"}, "Bearer sk-", "DELETE /v1/realtime/calls/rtc_1"),
        ({"dialect": "localai"}, "", ""),
    ],
)
def test_a_call_is_taken_back_as_its_service_wants_it(
    flags: dict[str, Any], key: str, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RTCLI_API_KEY", MARKED)

    async def main(base_url: str) -> None:
        settings = resolve({"base_url": base_url, **flags}, environ=os.environ, config_file=None)
        async with ways.way_in(settings, sandbox=False) as way:
            await way.signalling.withdraw("rtc_1")

    with Scripted(error(404, "no such call")) as service:
        asyncio.run(main(f"{service.url}/v1"))
    assert service.lines == ([line] if line else [])
    for asked in service.asked:
        sent = asked.headers.get("api-key", asked.headers.get("authorization", ""))
        assert sent.startswith(key)
        assert sent.endswith(MARKED)
