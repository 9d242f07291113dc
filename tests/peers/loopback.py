"""An ASGI application behind a real socket of this machine."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

Peer = tuple[str, int]


class Loopback:
    """An ephemeral port of 127.0.0.1, open from the start.

    Whoever connects before ``serve`` waits in the backlog, so the origin can be built into the application and
    nobody has to ask when the server is ready.
    """

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.origin = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._connections: dict[Peer, asyncio.Transport] = {}

    @contextmanager
    def serve(self, app: ASGIApp) -> Iterator[None]:
        config = uvicorn.Config(
            app,
            http=self._protocol(),
            loop="asyncio",
            ws="none",
            lifespan="off",
            log_config=None,
            proxy_headers=False,
            timeout_graceful_shutdown=2,
        )
        server = uvicorn.Server(config)
        thread = Thread(target=server.run, args=[[self._socket]])
        thread.start()
        try:
            yield
        finally:
            server.should_exit = True
            thread.join()
            self._socket.close()

    def drop(self, peer: Peer) -> None:
        """Reset the connection of an ASGI scope's ``client``. Only from within the application."""
        self._connections[peer].abort()

    def _protocol(self) -> type[asyncio.Protocol]:
        connections = self._connections

        class Tracked(H11Protocol):
            def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
                super().connection_made(transport)
                connections[transport.get_extra_info("peername")[:2]] = transport

        return Tracked
