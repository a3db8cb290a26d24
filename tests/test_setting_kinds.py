from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rtcli import setting_kinds as kinds
from rtcli.errors import UsageError
from rtcli.setting_kinds import IceServer, Kind, Place, Sensitive, plain


HERE = Place("here")


def read(kind: Kind, value: object) -> Any:
    return kind.read(value, HERE)


def fits(kind: Kind, value: object) -> bool:
    try:
        read(kind, value)
    except (TypeError, ValueError):
        return False
    return True


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (kinds.text(), ["a", " a ", "é"], ["", " ", "a\nb", "a\x1b", "\udcff", 1, None, ["a"]]),
        (kinds.switch(), [True, False], [0, 1, "true", None]),
        (kinds.number("", 0, 1), [0, 1, 0.5], [-0.1, 1.1, True, "0.5", float("nan"), float("inf"), None]),
        (kinds.number("", 0, 9, whole=True), [0, 9, 3.0], [0.5, 10, True, "3"]),
        (
            kinds.url(),
            ["https://a.example/v1", "http://[::1]:80"],
            ["a.example", "ftp://a", "https://u:p@a", "https://"],
        ),
        (kinds.file(), ["a.pem", "~/a.pem", Path("a")], ["", 1, "a\nb", "~nobody-of-this-name/a"]),
        (kinds.text_or_file(), ["", "a\nb", "@f"], [1, "\udcff"]),
        (
            kinds.proxy(),
            ["http://p:80", "https://p", "socks5://p:1", "socks5h://p", "env:PROXY", "http://u:p@p"],
            [
                "p:80",
                "ftp://p",
                "http://",
                "env:",
                "env:A-B",
                "http://p\n:1",
                "http://p:99999",
                "http://[p",
                "http://p q",
                1,
            ],
        ),
        (
            kinds.headers(),
            [{}, {"A": "b"}, ["A: b"], ["A:"], {"A": "Bearer env:B"}],
            [{"A b": "c"}, {"": "c"}, {"A": "b\r\nC: d"}, {"A": "é"}, {"A": 1}, ["A"], {"A": "env:B-C"}, 1],
        ),
        (
            kinds.ice_servers(),
            [[], ["stun:a"], ["turns:u:p@a:443?transport=tcp"], ["turn:u:env:P@a"], ["turn:u:p@ss@a"]],
            ["stun:a", ["a"], ["stun:"], ["stun://a"], ["turn:u@a"], ["turn::p@a"], ["turn:u:@a"], ["stun:a b"], [1]],
        ),
        (
            kinds.prices(),
            [{}, {"m": {"text_in": 1}}],
            [[], {"m": 1}, {"m": {"text_in": "1"}}, {"m": {"text_in": -1}}, "m"],
        ),
    ],
)
def test_what_fits_and_what_does_not(kind: Kind, good: list[object], bad: list[object]) -> None:
    assert [value for value in good if not fits(kind, value)] == []
    assert [value for value in bad if fits(kind, value)] == []


def test_a_value_is_read_late_from_its_variable() -> None:
    proxy: Sensitive = read(kinds.proxy(), "env:PX")
    header: Sensitive = read(kinds.headers(), {"Authorization": "Bearer env:TOKEN"})["Authorization"]
    [server] = read(kinds.ice_servers(), ["turn:me:env:PW@t.example:3478"])
    environ = {"PX": "http://u:p@proxy.example\n", "PW": "hunter2", "TOKEN": "marked"}
    assert proxy.reveal(environ).reveal() == "http://u:p@proxy.example"
    assert header.reveal(environ).reveal() == "Bearer marked"
    assert isinstance(server, IceServer)
    assert (server.url, server.username) == ("turn:t.example:3478", "me")
    assert server.credential is not None
    assert server.credential.reveal(environ).reveal() == "hunter2"
    assert [proxy.exposed, header.exposed, server.credential.exposed] == [False] * 3


def test_a_variable_that_is_not_set_is_refused_by_the_place_that_names_it() -> None:
    header: Sensitive = read(kinds.headers(), {"X-Team": "env:TOKEN"})["X-Team"]
    for environ in ({}, {"TOKEN": " "}):
        with pytest.raises(UsageError, match=r"^here\.X-Team takes its value from TOKEN, which is not set$"):
            header.reveal(environ)


@pytest.mark.parametrize("value", ["hunter2\nX: y", "hunter2\x00", "hunter2\u2019"])
def test_a_variable_that_can_not_be_sent_is_refused_without_showing_it(value: str) -> None:
    header: Sensitive = read(kinds.headers(), {"A": "env:TOKEN"})["A"]
    with pytest.raises(UsageError, match="holds a character that can not be sent") as refused:
        header.reveal({"TOKEN": value})
    assert "hunter2" not in str(refused.value)


def test_a_value_written_as_it_is_works_and_is_masked() -> None:
    proxy: Sensitive = read(kinds.proxy(), "http://me:hunter2@proxy.example:80")
    headers = read(kinds.headers(), ["authorization: Basic hunter2", "X-Any: hunter2"])
    servers = read(kinds.ice_servers(), ["turn:me:hunter2@t.example", "stun:s.example"])
    assert proxy.reveal({}).reveal() == "http://me:hunter2@proxy.example:80"
    assert headers["X-Any"].reveal({}).reveal() == "hunter2"
    assert plain(proxy) == "http://***@proxy.example:80"
    assert plain(headers) == {"authorization": "***", "X-Any": "***"}
    assert plain(servers) == ["turn:me:***@t.example", "stun:s.example"]
    assert "hunter2" not in repr((proxy, headers, servers))
    assert (proxy.exposed, headers["authorization"].exposed, headers["X-Any"].exposed) == (True, True, False)
    assert read(kinds.proxy(), "http://proxy.example").exposed is False
