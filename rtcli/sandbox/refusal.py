"""The stand-in's way of saying no, the same over HTTP and on the data channel."""

from __future__ import annotations

from typing import Any

from rtcli.errors import ServiceError


class Refusal(ServiceError):
    """Something a client asked for that the service would not do.

    Over HTTP it becomes `{"error": {...}}` with `status`, on the data channel an `error` event.
    """

    status: int

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        kind: str = "invalid_request_error",
        status: int = 400,
    ) -> None:
        super().__init__(message, status=status, code=code, kind=kind, param=param)

    def body(self) -> dict[str, Any]:
        """`{"type", "code", "message", "param"}`, as both ways carry it."""
        return {"type": self.kind, "code": self.code, "message": str(self), "param": self.param}
