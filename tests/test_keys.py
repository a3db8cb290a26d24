from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked, NoKeyringError

from rtcli import keys
from rtcli.errors import AuthError, UsageError
from rtcli.keys import FoundKey, KeyringTrouble
from rtcli.protocol.secret import Secret
from tests.keyrings import Hanging, Memory, Raising


KEY = "sk-proj-MARKED0123456789abcdefghij"
OPENAI = "https://api.openai.com/v1"
AZURE = "https://name.openai.azure.com/openai/v1"


@pytest.fixture(autouse=True)
def own_keyring() -> Iterator[None]:
    """No test ever asks the keyring of this machine."""
    before = keyring.get_keyring()
    keyring.set_keyring(Memory())
    yield
    keyring.set_keyring(before)


def using(backend: KeyringBackend) -> None:
    keyring.set_keyring(backend)


def found(environ: dict[str, str], profile: str | None = None) -> tuple[str, str] | None:
    key = keys.find_key(environ, profile, has_terminal=False)
    return None if key is None else (key.secret.reveal(), key.origin)


def for_host(base_url: str, environ: dict[str, str] | None = None, dialect: str = "openai") -> FoundKey | None:
    return keys.key_for(base_url, dialect, environ=environ or {}, profile=None, has_terminal=False)


# Where it comes from


def test_our_variable_beats_the_common_one_beats_the_keyring() -> None:
    keys.store_key(None, Secret("stored"), has_terminal=False)
    both = {"RTCLI_API_KEY": "ours", "OPENAI_API_KEY": "common"}
    assert found(both) == ("ours", "RTCLI_API_KEY")
    assert found({**both, "RTCLI_API_KEY": " "}) == ("common", "OPENAI_API_KEY")
    assert found({}) == ("stored", "keyring")


def test_with_a_variable_set_the_keyring_is_not_asked() -> None:
    using(Raising(lambda _: AssertionError("asked")))
    assert found({"OPENAI_API_KEY": KEY}) == (KEY, "OPENAI_API_KEY")


def test_each_profile_has_its_own_entry() -> None:
    backend = Memory()
    using(backend)
    keys.store_key("work", Secret("for-work"), has_terminal=False)
    keys.store_key(None, Secret("for-all"), has_terminal=False)
    assert backend.entries == {("rtcli", "work"): "for-work", ("rtcli", "default"): "for-all"}
    assert found({}, "work") == ("for-work", "keyring (profile work)")
    assert found({}, "team") is None


def test_a_stored_key_can_be_taken_away_once() -> None:
    keys.store_key("work", Secret(KEY), has_terminal=False)
    assert keys.delete_key("work", has_terminal=False) is True
    assert keys.delete_key("work", has_terminal=False) is False
    assert found({}, "work") is None


@pytest.mark.parametrize("around", ["{}\n", "  {}\r\n", "\t{}"])
def test_white_space_around_a_key_is_dropped(around: str) -> None:
    assert found({"OPENAI_API_KEY": around.format(KEY)}) == (KEY, "OPENAI_API_KEY")


@pytest.mark.parametrize(
    "text",
    [f"{KEY}\nX-Evil: 1", f"{KEY} {KEY}", f"{KEY}\x00", f"{KEY}\x1b[2J", f"{KEY}\u2019", f"{KEY}\u202e", KEY * 1000],
)
@pytest.mark.parametrize("origin", ["RTCLI_API_KEY", "OPENAI_API_KEY", "keyring"])
def test_what_can_not_be_a_key_is_refused_without_showing_it(text: str, origin: str) -> None:
    environ = {} if origin == "keyring" else {origin: text}
    keyring.set_password("rtcli", "default", text)
    with pytest.raises(AuthError) as refused:
        found(environ)
    assert f"the key from {origin} " in str(refused.value)
    assert "MARKED" not in str(refused.value)


# A keyring that is missing, raises, or hangs


def reason(*, has_terminal: bool = False) -> str:
    search = keys.search_key({}, None, has_terminal=has_terminal)
    assert search.key is None
    return search.reason


def test_an_empty_keyring_is_the_reason() -> None:
    assert reason() == "RTCLI_API_KEY and OPENAI_API_KEY are not set, and the keyring entry rtcli/default is empty"


def test_a_machine_without_a_keyring_is_the_reason() -> None:
    using(Raising(lambda _: NoKeyringError("No recommended backend was available. Install ...")))
    assert reason().endswith(", and this machine has no keyring")
    with pytest.raises(keys.KeyringTrouble, match=r"no API key for api\.openai\.com"):
        keys.key_for("https://api.openai.com/v1", "openai", environ={}, profile=None, has_terminal=False)


def test_a_missing_keyring_package_is_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    assert reason().endswith(", and the keyring package can not be loaded")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (KeyringLocked("Failed to unlock\nthe collection!"), "KeyringLocked: Failed to unlock the collection!"),
        (RuntimeError(), "RuntimeError"),
        (SystemExit("bye"), "SystemExit: bye"),
        (ValueError("x" * 5000), "ValueError: " + "x" * 200),
    ],
)
def test_a_keyring_that_raises_is_the_reason(
    error: BaseException, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    using(Raising(lambda _: error))
    assert reason().endswith(f", and the keyring failed: {expected}")
    assert capsys.readouterr() == ("", "")


def test_a_keyring_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "LIMIT", 0.05)
    monkeypatch.setattr(keys, "LIMIT_AT_TERMINAL", 0.1)
    backend = Hanging()
    using(backend)
    assert reason(has_terminal=False).endswith(", and the keyring did not answer within 0.05 s")
    assert reason(has_terminal=True).endswith(", and the keyring did not answer within 0.1 s")
    backend.released.set()


def test_the_keyring_has_a_short_limit_unless_somebody_can_unlock_it() -> None:
    assert (keys.LIMIT, keys.LIMIT_AT_TERMINAL) == (3.0, 60.0)


def test_a_process_whose_keyring_hangs_ends_all_the_same() -> None:
    script = """
import keyring
from rtcli import keys
from tests.keyrings import Hanging

keyring.set_keyring(Hanging())
keys.LIMIT = 0.2
print(keys.search_key({}, None, has_terminal=False).reason)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.endswith("the keyring did not answer within 0.2 s\n")
    assert done.stderr == ""


def test_a_keyring_that_repeats_the_key_in_its_error_is_not_quoted() -> None:
    using(Raising(lambda password: RuntimeError(f"can not store {password!r}")))
    with pytest.raises(KeyringTrouble) as trouble:
        keys.store_key(None, Secret(KEY), has_terminal=False)
    assert str(trouble.value) == "the keyring failed: RuntimeError"
    assert trouble.value.__cause__ is None
    assert trouble.value.__suppress_context__


# Which hosts get one


def test_the_service_and_azure_demand_a_key() -> None:
    for url, dialect in [(OPENAI, "openai"), (AZURE, "openai"), ("https://gateway.example/v1", "azure")]:
        with pytest.raises(AuthError, match=r"^no API key for .* are not set, and the keyring entry"):
            for_host(url, dialect=dialect)


def test_another_host_gets_a_key_when_one_is_set() -> None:
    assert for_host("https://gateway.example/v1") is None
    key = for_host("https://gateway.example/v1", {"OPENAI_API_KEY": KEY})
    assert key == FoundKey(Secret(KEY), "OPENAI_API_KEY")


@pytest.mark.parametrize("host", ["127.0.0.1:8776", "localhost", "[::1]:9", "127.9.9.9"])
def test_loopback_gets_a_placeholder_when_there_is_no_key(host: str) -> None:
    key = for_host(f"http://{host}/v1")
    assert key is not None
    assert (key.secret, key.origin) == (keys.PLACEHOLDER, "placeholder")
    real = for_host(f"http://{host}/v1", {"OPENAI_API_KEY": KEY})
    assert real is not None
    assert real.secret.reveal() == KEY


@pytest.mark.parametrize("host", ["api.openai.com", "192.168.1.2", "localhost.example", "127.0.0.1.example", "0.0.0.0"])
def test_a_key_never_travels_over_plain_http_to_another_machine(host: str) -> None:
    with pytest.raises(UsageError, match="would travel unencrypted over http") as refused:
        for_host(f"http://{host}/v1", {"OPENAI_API_KEY": KEY})
    assert KEY not in str(refused.value)


def test_plain_http_without_a_key_is_let_through() -> None:
    assert for_host("http://192.168.1.2:8080/v1") is None
    with pytest.raises(AuthError):
        for_host("http://api.openai.com/v1")
