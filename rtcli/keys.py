"""The API key: where it comes from, and which hosts get one.

RTCLI_API_KEY > OPENAI_API_KEY > the system keyring. The keyring is asked in a daemon thread with a limit: on a machine
without a desktop a D-Bus backend may wait for ever for somebody to unlock it (jaraco/keyring#569), and so may its
import. Whatever goes wrong there is a reason to tell, never the end of a command that can do without.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import TypeVar

from rtcli.errors import AuthError, UsageError
from rtcli.protocol.hosts import host_of, is_loopback, key_demanded, key_may_travel
from rtcli.protocol.secret import Secret
from rtcli.records import dataclass


SERVICE = "rtcli"
VARIABLES = ("RTCLI_API_KEY", "OPENAI_API_KEY")
LONGEST = 16_384
"""Characters; an access token of Azure has a few thousand."""
PLACEHOLDER = Secret("rtcli-without-a-key")
"""What loopback gets when there is no key: clients and servers of this protocol expect some bearer token."""

LIMIT = 3.0
"""Seconds the keyring has when nobody can answer its prompt."""
LIMIT_AT_TERMINAL = 60.0
"""Seconds it has when somebody may have to unlock it."""

_Answer = TypeVar("_Answer")


class KeyringTrouble(AuthError):
    """The system keyring can not do what it is asked. The message never holds what was to be stored."""


class KeyKept(KeyringTrouble):
    """A key that was to be removed was not, or there is none that could be."""


@dataclass(frozen=True, slots=True)
class FoundKey:
    secret: Secret
    origin: str
    """The name of a variable, "keyring", "keyring (profile NAME)", or "placeholder"."""


@dataclass(frozen=True, slots=True)
class Search:
    """How looking for a key went."""

    key: FoundKey | None
    reason: str = ""
    """Why there is none: a fragment for people."""
    keyring_works: bool = True
    """So that a key could be put there."""


def search_key(environ: Mapping[str, str], profile: str | None, *, has_terminal: bool) -> Search:
    """Look in the variables, then in the keyring. Raises AuthError when what is there can not be a key."""
    for name in VARIABLES:
        if environ.get(name, "").strip():
            return Search(FoundKey(checked(environ[name], name), name))
    unset = " and ".join(VARIABLES) + " are not set"
    try:
        stored = stored_key(profile, has_terminal=has_terminal)
    except KeyringTrouble as trouble:
        return Search(None, f"{unset}, and {trouble}", keyring_works=False)
    if stored is None:
        return Search(None, f"{unset}, and the {keyring_entry(profile)} is empty")
    return Search(stored)


def find_key(environ: Mapping[str, str], profile: str | None, *, has_terminal: bool) -> FoundKey | None:
    """The key of `search_key`, without the reason."""
    return search_key(environ, profile, has_terminal=has_terminal).key


def key_for(
    base_url: str, dialect: str, *, environ: Mapping[str, str], profile: str | None, has_terminal: bool
) -> FoundKey | None:
    """The API key that a call to the service at `base_url` carries; None: it carries none.

    Raises AuthError when the service demands one and there is none, UsageError when it would travel unencrypted.
    """
    search = search_key(environ, profile, has_terminal=has_terminal)
    if search.key is not None:
        refuse_plain_http(base_url)
        return search.key
    if is_loopback(host_of(base_url)):
        return FoundKey(PLACEHOLDER, "placeholder")
    if demanded(base_url, dialect):
        kind = AuthError if search.keyring_works else KeyringTrouble
        raise kind(f"no API key for {host_of(base_url)}: {search.reason}")
    return None


def demanded(base_url: str, dialect: str) -> bool:
    """Whether a call to the service there is pointless without a key."""
    return dialect == "azure" or key_demanded(base_url)


def refuse_plain_http(url: str) -> None:
    """Raise UsageError when a key sent to `url` could be read on the way."""
    if not key_may_travel(url):
        raise UsageError(f"a key would travel unencrypted over http to {host_of(url)}")


def checked(text: str, origin: str) -> Secret:
    """`text` without the white space around it. Raises AuthError when it can not stand in an HTTP header."""
    key = text.strip()
    if not key:
        raise AuthError(f"the key from {origin} is empty")
    if len(key) > LONGEST:
        raise AuthError(f"the key from {origin} has {len(key)} characters; the longest known has a few thousand")
    # 0x21 to 0x7e: what a bearer token may consist of, and no way to end the header's line.
    if not all("!" <= character <= "~" for character in key):
        raise AuthError(f"the key from {origin} holds a space, a control character or a character outside ASCII")
    return Secret(key)


# The keyring


def keyring_user(profile: str | None) -> str:
    return profile or "default"


def keyring_entry(profile: str | None) -> str:
    """Its name for people."""
    return f"keyring entry {SERVICE}/{keyring_user(profile)}"


def stored_key(profile: str | None, *, has_terminal: bool) -> FoundKey | None:
    """The key in the keyring, None when it has none. Raises KeyringTrouble."""

    def read() -> str | None:
        import keyring

        return keyring.get_password(SERVICE, keyring_user(profile))

    text = _within(read, has_terminal=has_terminal)
    if text is None or not text.strip():
        return None
    origin = f"keyring (profile {profile})" if profile else "keyring"
    return FoundKey(checked(text, origin), origin)


def store_key(profile: str | None, key: Secret, *, has_terminal: bool) -> None:
    """Put the key into the keyring. Raises KeyringTrouble."""

    def write() -> None:
        import keyring

        keyring.set_password(SERVICE, keyring_user(profile), key.reveal())

    _within(write, has_terminal=has_terminal, hidden=key)


def delete_key(profile: str | None, *, has_terminal: bool) -> bool:
    """Take the key out of the keyring; False when there was none. Raises KeyringTrouble."""

    def delete() -> bool:
        import keyring

        # Backends tell a missing entry from one they may not delete by the text of one exception only.
        if keyring.get_password(SERVICE, keyring_user(profile)) is None:
            return False
        keyring.delete_password(SERVICE, keyring_user(profile))
        return True

    return _within(delete, has_terminal=has_terminal)


def keyring_name(*, has_terminal: bool) -> str:
    """The backend in use. Raises KeyringTrouble."""

    def name() -> str:
        import keyring

        return str(keyring.get_keyring().name)

    return _within(name, has_terminal=has_terminal)


def _within(ask: Callable[[], _Answer], *, has_terminal: bool, hidden: Secret | None = None) -> _Answer:
    """What `ask` returns, from a thread that is left behind when it takes too long.

    A daemon thread of our own: one of a pool would be waited for when the process ends.
    """
    answers: list[_Answer] = []
    errors: list[BaseException] = []
    done = threading.Event()

    def run() -> None:
        try:
            answers.append(ask())
        except BaseException as error:  # noqa: BLE001 - a plugin may raise anything, and it must not print a traceback
            errors.append(error)
        finally:
            done.set()

    threading.Thread(target=run, name="keyring", daemon=True).start()
    limit = LIMIT_AT_TERMINAL if has_terminal else LIMIT
    if not done.wait(limit):
        raise KeyringTrouble(f"the keyring did not answer within {limit:g} s")
    if errors:
        raise KeyringTrouble(_reason(errors[0], hidden)) from None
    return answers[0]


def _reason(error: BaseException, hidden: Secret | None) -> str:
    if isinstance(error, ImportError):
        return "the keyring package can not be loaded"
    kind = type(error).__name__
    if kind == "NoKeyringError":
        return "this machine has no keyring"
    said = " ".join(str(error).split())[:200]
    if hidden is not None and hidden.reveal() in str(error):
        said = ""
    return f"the keyring failed: {kind}: {said}" if said else f"the keyring failed: {kind}"
