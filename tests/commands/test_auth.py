from __future__ import annotations

import getpass
import io
import json
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import keyring
import pytest
from keyring.errors import NoKeyringError

from rtcli import keys, wiring
from rtcli.commands.auth import MOST_TYPED, app
from rtcli.errors import AuthError, NetworkError, ServiceError, UsageError
from tests.keyrings import Hanging, Memory, Raising
from tests.program import COMMAND, environment, rtcli


KEY = "sk-proj-MARKED0123456789abcdefghij"

Run = Callable[..., tuple[str, str]]
"""Runs `rtcli auth ...` with this on standard input: standard output, standard error."""


@dataclass
class Service:
    """A service that notes what it is asked and answers what it is told to."""

    url: str = ""
    status: int = 200
    body: bytes = b'{"value": "ek_x", "expires_at": 1, "session": {}}'
    asked: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)


@pytest.fixture
def service() -> Iterator[Service]:
    made = Service()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            made.asked.append((f"{self.command} {self.path}", headers, body))
            self.send_response(made.status)
            self.send_header("Content-Length", str(len(made.body)))
            self.end_headers()
            self.wfile.write(made.body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield made
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without keys in its variables, whose configuration is this test's."""
    for name in [name for name in os.environ if name.startswith(("RTCLI_", "OPENAI_"))]:
        monkeypatch.delenv(name)
    path = tmp_path / "config.toml"
    path.write_text("")
    monkeypatch.setenv("RTCLI_CONFIG", str(path))
    return path


@pytest.fixture(autouse=True)
def stored() -> Iterator[dict[tuple[str, str], str]]:
    """What the keyring holds; no test ever asks the keyring of this machine."""
    before = keyring.get_keyring()
    backend = Memory()
    keyring.set_keyring(backend)
    yield backend.entries
    keyring.set_keyring(before)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """Nothing these commands print may hold the key, or a piece of it."""
    seen = ""

    def run_auth(*arguments: str, stdin: bytes = b"") -> tuple[str, str]:
        nonlocal seen
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        try:
            app(list(arguments), standalone_mode=False)
        except Exception as error:
            seen += str(error)
            raise
        finally:
            out, err = capsys.readouterr()
            seen += out + err
        return out, err

    yield run_auth
    assert "MARKED" not in seen
    assert KEY[-6:] not in seen


# login


def test_a_piped_key_is_checked_and_stored(
    run: Run, service: Service, stored: dict[tuple[str, str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RTCLI_BASE_URL", service.url)
    monkeypatch.setenv("OPENAI_ORG_ID", "org-1")
    out, err = run("login", stdin=f"  {KEY}\r\n".encode())
    assert (out, err) == ("", "stored in the keyring entry rtcli/default; 127.0.0.1 accepts it\n")
    assert stored == {("rtcli", "default"): KEY}
    [(line, headers, body)] = service.asked
    assert line == "POST /v1/realtime/client_secrets"
    assert (headers["authorization"], headers["openai-organization"]) == (f"Bearer {KEY}", "org-1")
    assert json.loads(body) == {"expires_after": {"anchor": "created_at", "seconds": 10}}


def test_the_check_goes_where_the_profile_goes_and_speaks_its_dialect(
    run: Run, service: Service, stored: dict[tuple[str, str], str], config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.write_text(f'[profiles.azure]\nbase_url = "{service.url}"\ndialect = "azure"\nheaders.X-Team = "env:TEAM"\n')
    monkeypatch.setenv("TEAM", "blue")
    run("login", "-p", "azure", stdin=KEY.encode())
    [(_, headers, _)] = service.asked
    assert (headers["api-key"], headers["x-team"]) == (KEY, "blue")
    assert "authorization" not in headers
    assert stored == {("rtcli", "azure"): KEY}


@pytest.mark.parametrize(("status", "expected"), [(401, AuthError), (403, AuthError), (400, ServiceError)])
def test_a_key_that_is_refused_is_not_stored(
    run: Run,
    service: Service,
    stored: dict[tuple[str, str], str],
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    expected: type[Exception],
) -> None:
    monkeypatch.setenv("RTCLI_BASE_URL", service.url)
    service.status = status
    service.body = json.dumps({"error": {"message": f"Incorrect API key provided: {KEY}", "code": "x"}}).encode()
    with pytest.raises(expected, match="Incorrect API key"):
        run("login", stdin=KEY.encode())
    assert stored == {}


def test_a_key_whose_account_is_out_of_credit_is_stored(
    run: Run, service: Service, stored: dict[tuple[str, str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RTCLI_BASE_URL", service.url)
    service.status = 429
    service.body = b'{"error": {"message": "You exceeded your current quota.", "code": "insufficient_quota"}}'
    _, err = run("login", stdin=KEY.encode())
    assert err.startswith("stored in the keyring entry rtcli/default; 127.0.0.1 knows it, and says: ")
    assert "exceeded your current quota" in err
    assert stored == {("rtcli", "default"): KEY}


def test_a_key_that_could_not_be_checked_is_not_stored(
    run: Run, stored: dict[tuple[str, str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RTCLI_BASE_URL", "http://127.0.0.1:1/v1")
    with pytest.raises(NetworkError, match="refuses connections"):
        run("login", stdin=KEY.encode())
    assert stored == {}


def test_the_check_never_sends_the_key_unencrypted_to_another_machine(
    run: Run, stored: dict[tuple[str, str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RTCLI_BASE_URL", "http://192.0.2.1/v1")
    with pytest.raises(UsageError, match="plain http"):
        run("login", stdin=KEY.encode())
    assert stored == {}


def test_unchecked_nobody_is_asked(
    run: Run, service: Service, stored: dict[tuple[str, str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RTCLI_BASE_URL", service.url)
    _, err = run("login", "--no-check", stdin=KEY.encode())
    assert err == "stored in the keyring entry rtcli/default; not checked\n"
    monkeypatch.setenv("RTCLI_DIALECT", "localai")
    _, err = run("login", stdin=KEY.encode())
    assert "not checked, because localai has nothing cheap to ask for" in err
    assert service.asked == []
    assert stored == {("rtcli", "default"): KEY}


@pytest.mark.parametrize(
    ("stdin", "expected"),
    [
        (b"", "the key from standard input is empty"),
        (b" \n", "the key from standard input is empty"),
        (f"{KEY}\n{KEY}".encode(), "holds a space, a control character"),
        (f"{KEY}\u200b".encode(), "a character outside ASCII"),
        (f"{KEY}\x1b[2J".encode(), "a control character"),
        (b"\xff\xfe" + KEY.encode(), "standard input holds no text"),
        (KEY.encode() + b"a" * MOST_TYPED, "standard input holds more than"),
        (b"ek_68af296e8e408191a1120ab6383263c2", "this is an ephemeral key"),
    ],
)
def test_what_can_not_be_an_api_key_is_refused(
    run: Run, stored: dict[tuple[str, str], str], stdin: bytes, expected: str
) -> None:
    with pytest.raises(AuthError, match=expected):
        run("login", "--no-check", stdin=stdin)
    assert stored == {}


def test_a_byte_order_mark_before_the_key_is_dropped(run: Run, stored: dict[tuple[str, str], str]) -> None:
    run("login", "--no-check", stdin=f"\ufeff{KEY}\r\n".encode())
    assert stored == {("rtcli", "default"): KEY}


def test_at_a_terminal_the_key_is_asked_for(
    run: Run, stored: dict[tuple[str, str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wiring, "stdin_is_terminal", lambda: True)
    monkeypatch.setattr(getpass, "getpass", lambda prompt: KEY if prompt == "API key: " else "")
    run("login", "--no-check")
    assert stored == {("rtcli", "default"): KEY}


def test_a_terminal_that_can_not_hide_the_key_is_not_asked(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def seen_by_all(_: str) -> str:
        warnings.warn("Can not control echo on the terminal.", getpass.GetPassWarning, stacklevel=2)
        raise AssertionError("asked all the same")

    monkeypatch.setattr(wiring, "stdin_is_terminal", lambda: True)
    monkeypatch.setattr(getpass, "getpass", seen_by_all)
    with pytest.raises(UsageError, match="this terminal would show the key"):
        run("login", "--no-check")


def test_nothing_typed_is_no_key(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def ended(_: str) -> str:
        raise EOFError

    monkeypatch.setattr(wiring, "stdin_is_terminal", lambda: True)
    monkeypatch.setattr(getpass, "getpass", ended)
    with pytest.raises(AuthError, match="no key was typed"):
        run("login", "--no-check")


def test_a_variable_that_goes_before_the_stored_key_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-another")
    assert "OPENAI_API_KEY is set and goes before it\n" in run("login", "--no-check", stdin=KEY.encode())[1]
    assert "OPENAI_API_KEY is still set, and is used until it is unset\n" in run("logout")[1]


def test_a_missing_profile_is_refused_before_anything_is_read(run: Run, config: Path) -> None:
    config.write_text("[profiles.work]")
    with pytest.raises(UsageError, match=r"no profile wrok in .*; there are: work"):
        run("login", "-p", "wrok", stdin=KEY.encode())


# A keyring that is missing, raises, or hangs


@pytest.mark.parametrize("command", ["login", "logout", "status"])
@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (lambda _: NoKeyringError("No recommended backend was available."), "this machine has no keyring"),
        (lambda password: RuntimeError(f"can not store {password}"), "the keyring failed: RuntimeError"),
    ],
)
def test_a_keyring_that_raises_is_told_in_one_line(
    run: Run, command: str, error: Callable[[str], Exception], expected: str
) -> None:
    keyring.set_keyring(Raising(error))
    arguments = [command, "--no-check"] if command == "login" else [command]
    with pytest.raises(AuthError, match=expected) as told:
        run(*arguments, stdin=KEY.encode())
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("command", ["login", "logout", "status"])
def test_a_keyring_that_hangs_is_told_in_one_line(run: Run, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = Hanging()
    keyring.set_keyring(backend)
    monkeypatch.setattr(keys, "LIMIT", 0.05)
    monkeypatch.setattr(keys, "LIMIT_AT_TERMINAL", 0.05)
    arguments = [command, "--no-check"] if command == "login" else [command]
    with pytest.raises(AuthError, match=r"the keyring did not answer within 0\.05 s"):
        run(*arguments, stdin=KEY.encode())
    backend.released.set()


def test_a_missing_keyring_package_is_told_in_one_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(AuthError, match="the key was not stored: the keyring package can not be loaded"):
        run("login", "--no-check", stdin=KEY.encode())


# logout


def test_logout_removes_the_key_of_its_profile_alone(
    run: Run, stored: dict[tuple[str, str], str], config: Path
) -> None:
    stored.update({("rtcli", "default"): KEY, ("rtcli", "work"): KEY, ("rtcli", "gone"): KEY})
    config.write_text('default_profile = "work"\n[profiles.work]\n')
    assert run("logout") == ("", "the keyring entry rtcli/work was removed\n")
    assert run("logout") == ("", "the keyring entry rtcli/work was empty already\n")
    assert run("logout", "-p", "gone", "-q") == ("", "")
    assert stored == {("rtcli", "default"): KEY}


# status


def test_status_says_where_the_key_comes_from(
    run: Run, stored: dict[tuple[str, str], str], config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.write_text("[profiles.work]")
    stored["rtcli", "work"] = KEY
    out, err = run("status", "-p", "work")
    assert out.splitlines() == [
        "profile\twork",
        "host\tapi.openai.com",
        "needed\tyes",
        "key\tkeyring (profile work)",
        "length\t20 to 99 characters",
    ]
    assert err == ""
    monkeypatch.setenv("OPENAI_API_KEY", KEY * 5)
    assert json.loads(run("status", "--json")[0]) == {
        "profile": None,
        "host": "api.openai.com",
        "needed": True,
        "key": "OPENAI_API_KEY",
        "length": "100 to 199 characters",
    }


def test_status_fails_when_a_key_is_needed_and_there_is_none(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(AuthError, match=r"^no API key for api\.openai\.com: RTCLI_API_KEY and OPENAI_API_KEY are not"):
        run("status")


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ('base_url = "http://127.0.0.1:8776/v1"', "127.0.0.1"),
        ('server = "https://voice.example.com"', "voice.example.com"),
    ],
)
def test_status_is_content_without_a_key_where_none_is_needed(run: Run, config: Path, text: str, host: str) -> None:
    config.write_text(text)
    out, err = run("status")
    assert f"host\t{host}\nneeded\tno\nkey\tnone\n" in out
    assert err.startswith(f"no API key, and none is needed for {host}: ")


def test_a_key_of_any_length_gives_nothing_of_itself_away(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    lengths = {}
    for count in (1, 19, 20, 99, 100, 199, 200, 5000):
        monkeypatch.setenv("RTCLI_API_KEY", "k" * count)
        out, _ = run("status")
        assert "kk" not in out
        lengths[count] = out.splitlines()[-1].partition("\t")[2]
    assert lengths == {
        1: "under 20 characters",
        19: "under 20 characters",
        20: "20 to 99 characters",
        99: "20 to 99 characters",
        100: "100 to 199 characters",
        199: "100 to 199 characters",
        200: "200 characters or more",
        5000: "200 characters or more",
    }


# As a program


def backend(name: str) -> dict[str, str]:
    return {"PYTHON_KEYRING_BACKEND": f"tests.keyrings.{name}", "PYTHONPATH": str(Path(__file__).parents[2])}


def test_the_statuses_and_streams_are_those_of_the_contract(tmp_path: Path) -> None:
    status = rtcli("auth", "status", home=tmp_path)
    assert (status.status, len(status.err.splitlines())) == (3, 1)
    assert "no API key for api.openai.com" in status.err
    stored = rtcli("auth", "login", "--no-check", home=tmp_path, stdin=KEY, env=backend("Memory"))
    assert (stored.status, stored.out) == (0, "")
    refused = rtcli("auth", "login", "--no-check", home=tmp_path, stdin=KEY)
    assert (refused.status, refused.out, len(refused.err.splitlines())) == (3, "", 1)
    assert "the key was not stored: this machine has no keyring" in refused.err
    assert "MARKED" not in status.err + stored.err + refused.err


def test_who_logs_out_is_not_told_to_set_a_key(tmp_path: Path) -> None:
    done = rtcli("auth", "logout", home=tmp_path)
    assert done.status == 3
    assert done.err == (
        "rtcli: no key was removed: this machine has no keyring; `rtcli auth status` says where a key comes from\n"
    )


def test_a_hanging_keyring_does_not_keep_the_program(tmp_path: Path) -> None:
    done = rtcli("auth", "status", home=tmp_path, env=backend("Hanging"))
    assert done.status == 3
    assert "the keyring did not answer within 3 s" in done.err


@pytest.mark.skipif(sys.platform == "win32", reason="a pseudo terminal is POSIX's")
def test_what_is_typed_at_the_prompt_is_not_echoed(tmp_path: Path) -> None:
    import pty

    ours, theirs = pty.openpty()
    program = subprocess.Popen(
        [*COMMAND, "auth", "login", "--no-check"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment(tmp_path, **backend("Memory")),
        start_new_session=True,
    )
    os.close(theirs)
    seen = b""
    while b"API key: " not in seen:
        seen += os.read(ours, 1024)
    os.write(ours, KEY.encode() + b"\n")
    while b"not checked" not in seen:
        seen += os.read(ours, 1024)
    assert program.wait(timeout=60) == 0
    os.close(ours)
    assert b"MARKED" not in seen
