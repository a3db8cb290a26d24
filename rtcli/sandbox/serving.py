"""The sandbox's HTTP server."""

from __future__ import annotations

from collections.abc import Callable

from rtcli.asgi.serving import Served, ThreadedServer
from rtcli.sandbox.app import create_app
from rtcli.sandbox.service import Service


class SandboxServer(ThreadedServer):
    """`start` once, `stop` once; both are called from outside the thread."""

    def __init__(self, make_service: Callable[[], Service], *, port: int = 0) -> None:
        """`make_service` is called in the server's thread, on its loop. `port` 0 takes a free one."""

        def make() -> Served:
            service = make_service()
            return Served(create_app(service), service.stop)

        super().__init__(make, name="sandbox", port=port, websockets=True)

    def start(self) -> str:
        """Serve; the base URL, when it takes connections. Raises UsageError when the port is taken."""
        return f"{super().start()}/v1"
