"""An ASGI app on a loopback port."""

import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, cast

import anyio
import anyio.to_thread
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from seedance_mcp.sandbox.app import Sandbox
from seedance_mcp.sandbox.silence import DROP

if TYPE_CHECKING:
    from starlette.types import ASGIApp


class DroppableProtocol(H11Protocol):
    """Lets the app reset the connection that a request came on: uvicorn would answer 500 in its place."""

    def handle_events(self) -> None:
        super().handle_events()
        scope = cast("dict[str, dict[str, object]] | None", self.scope)
        if scope is not None:
            scope.setdefault("extensions", {})[DROP] = self.transport.abort


@asynccontextmanager
async def serve(app: "ASGIApp | Sandbox", port: int = 0) -> AsyncIterator[str]:
    """Serves ``app`` on 127.0.0.1 from a thread of its own, and yields the origin; port 0 takes a free one.

    Leaving it cuts requests that are still unanswered after a second, and clips that are still being rendered.
    """
    listener = socket.create_server(("127.0.0.1", port))
    # Small answers must not wait for the acknowledgement of the one before.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    config = uvicorn.Config(
        app.app if isinstance(app, Sandbox) else app,
        http=DroppableProtocol,
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_config=None,
        log_level="critical",
        access_log=False,
        date_header=not isinstance(app, Sandbox),  # it dates its answers itself
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],), name="sandbox", daemon=True)
    thread.start()  # the listener already queues connections, so nothing has to wait for the server
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        if isinstance(app, Sandbox):
            app.close()
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(thread.join)
