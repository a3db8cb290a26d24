"""Where a request may go, and what it may carry there."""

from __future__ import annotations

import pytest

from rtcli.errors import UsageError
from rtcli.protocol import hosts


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST", "127.0.0.1", "127.8.9.10", "::1", "[::1]", "::ffff:127.0.0.1"]
)
def test_loopback_is_recognised(host: str) -> None:
    assert hosts.is_loopback(host)


@pytest.mark.parametrize(
    "host",
    ["", "localhost.evil.com", "127.0.0.1.nip.io", "127.1", "0.0.0.0", "10.0.0.1", "::", "::ffff:10.0.0.1",
     "0x7f000001", "evil-localhost", "localhost\\.evil.com"],
)  # fmt: skip
def test_what_only_looks_like_loopback_is_not(host: str) -> None:
    assert not hosts.is_loopback(host)


@pytest.mark.parametrize(
    ("url", "may"),
    [
        ("https://api.openai.com/v1", True),
        ("http://127.0.0.1:8776/v1", True),
        ("http://[::1]:8776/v1", True),
        ("http://api.openai.com/v1", False),
        ("http://192.168.1.5/v1", False),
        ("http://localhost.evil.com/v1", False),
        ("ftp://api.openai.com", False),
    ],
)
def test_a_key_travels_encrypted_or_not_at_all(url: str, may: bool) -> None:
    assert hosts.key_may_travel(url) is may


@pytest.mark.parametrize(
    ("url", "demanded"),
    [
        ("https://api.openai.com/v1", True),
        ("https://res.openai.azure.com/openai/v1", True),
        ("https://openai.azure.com.evil.com", False),
        ("https://notapi.openai.com.example", False),
        ("http://127.0.0.1:8776/v1", False),
        ("https://gateway.example.com/v1", False),
    ],
)
def test_openai_and_azure_are_pointless_without_a_key(url: str, demanded: bool) -> None:
    assert hosts.key_demanded(url) is demanded


@pytest.mark.parametrize(
    ("url", "clean"),
    [
        ("https://api.openai.com/v1/", "https://api.openai.com/v1"),
        (" http://127.0.0.1:3000 ", "http://127.0.0.1:3000"),
        ("https://h/v1?tenant=1#frag", "https://h/v1?tenant=1"),
        ("http://[::1]:80/v1", "http://[::1]:80/v1"),
    ],
)
def test_a_usable_url_is_kept_without_slash_and_fragment(url: str, clean: str) -> None:
    assert hosts.check_url(url) == clean


@pytest.mark.parametrize(
    "url",
    ["", "api.openai.com/v1", "ftp://h/", "https://", "https:///v1", "http://h:0/", "http://h:99999/", "http://[::1/",
     "https://user:pa55word@h/v1", "https://api.openai.com\\@evil.com/", "https://a b/", "javascript:alert(1)"],
)  # fmt: skip
def test_what_is_no_http_url_is_a_usage_error_without_its_password(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        hosts.check_url(url)
    assert "pa55word" not in str(caught.value)


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("/v2/x", "https://h:8443/v2/x"),
        ("y", "https://h:8443/v1/y"),
        ("https://other.example/", "https://other.example/"),
        ("//other.example/z#f", "https://other.example/z"),
        ("ftp://other.example/", None),
        ("file:///etc/passwd", None),
        ("https://u:p@other.example/", None),
        ("http://h:0/", None),
        ("http://[broken", None),
        ("https://h\\evil", None),
    ],
)
def test_a_redirect_leads_to_an_http_server_or_nowhere(location: str, target: str | None) -> None:
    assert hosts.redirect_target("https://h:8443/v1/x", location) == target


@pytest.mark.parametrize(
    ("url", "target", "may"),
    [
        ("https://h/a", "https://h/b", True),
        ("https://h/a", "https://H:443/b", True),
        ("http://h/a", "https://h/a", True),
        ("https://h/a", "http://h/a", False),
        ("https://h/a", "https://h:8443/a", False),
        ("http://127.0.0.1:1/a", "http://127.0.0.1:2/a", False),
        ("http://h:8080/a", "https://h/a", False),
        ("https://h/a", "https://h.evil.com/a", False),
        ("https://h/a", "https://sub.h/a", False),
    ],
)
def test_a_redirect_is_followed_on_the_same_server_only(url: str, target: str, may: bool) -> None:
    assert hosts.same_server(url, target) is may
