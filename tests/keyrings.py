"""Keyrings that work, fail and hang, as backends of the keyring library."""

from __future__ import annotations

import threading
from collections.abc import Callable

from keyring.backend import KeyringBackend


class Memory(KeyringBackend):
    """A keyring that works."""

    priority = 1

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # keyring's own
        self.entries: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.entries[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.entries[service, username]


class Raising(Memory):
    """A keyring whose every answer is an exception, made from the password it was given."""

    def __init__(self, error: Callable[[str], BaseException]) -> None:
        super().__init__()
        self._error = error

    def get_password(self, service: str, username: str) -> str | None:
        raise self._error("")

    def set_password(self, service: str, username: str, password: str) -> None:
        raise self._error(password)


class Hanging(Memory):
    """A keyring that answers when it is released, as one does that waits for somebody to unlock it."""

    def __init__(self) -> None:
        super().__init__()
        self.released = threading.Event()

    def get_password(self, service: str, username: str) -> str | None:
        self.released.wait()
        return None

    def set_password(self, service: str, username: str, password: str) -> None:
        self.released.wait()
