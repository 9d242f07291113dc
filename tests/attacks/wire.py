"""Loopback servers that can answer anything, and what they saw."""

import asyncio
import json
import socket
import threading
from base64 import b64decode, urlsafe_b64decode
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, cast

import anyio.to_thread
import uvicorn
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

_RESET = "seedance-test-reset"


class Fate(Enum):
    """What can happen to a request that gets no answer."""

    HANG = auto()
    RESET = auto()


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer. A ``body`` that is not bytes is sent as JSON; ``forever`` is sent after it again and again.

    An answer that ``stalls`` never ends its body.
    """

    status: int = 200
    body: object = b""
    headers: Sequence[tuple[str, str]] = ()
    forever: bytes = b""
    stalls: bool = False

    @property
    def content(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


@dataclass(frozen=True, slots=True)
class Seen:
    """A request as it arrived."""

    method: str
    path: str
    query: str
    headers: Headers
    body: bytes

    @property
    def credential(self) -> str | None:
        """What pays for it on either rail; whoever reads it can take the money."""
        mpp = (self.headers.get(name) for name in ("authorization", "payment-authorization"))
        paid = (value for value in mpp if value is not None and value.lower().startswith("payment "))
        return self.headers.get("payment-signature") or self.headers.get("x-payment") or next(paid, None)

    @property
    def everything(self) -> bytes:
        """All its bytes, for looking for what must not be among them."""
        head = "\n".join(f"{name}: {value}" for name, value in self.headers.items())
        return f"{self.method} {self.path}?{self.query}\n{head}\n\n".encode() + self.body


Answer = Callable[[Seen], Awaitable[Reply | Fate]]


class Recorder:
    """An ASGI app that keeps every request and asks ``answer`` what to say to it.

    ``connections`` counts those too that never came to a request.
    """

    def __init__(self, answer: Answer) -> None:
        self.requests: list[Seen] = []
        self.connections = 0
        self._judge = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        seen = Seen(
            scope["method"],
            scope["path"],
            scope["query_string"].decode("latin-1"),
            Headers(scope=scope),
            await _body(receive),
        )
        self.requests.append(seen)
        match await self._judge(seen):
            case Fate.RESET:
                scope["extensions"][_RESET]()
            case Fate.HANG:
                await _gone(receive)
            case Reply() as reply:
                await _send(reply, receive, send)


def opened(credential: str) -> dict[str, Any]:
    """The JSON inside a credential of either rail."""
    text = credential.partition(" ")[2] or credential
    padded = text + "=" * (-len(text) % 4)
    decode = urlsafe_b64decode if credential != text else b64decode
    return cast("dict[str, Any]", json.loads(decode(padded)))


@asynccontextmanager
async def serve(app: Recorder) -> AsyncIterator[str]:
    """The origin of ``app`` on a free port of 127.0.0.1, served from a thread; it dates no answer by itself."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    config = uvicorn.Config(
        app,
        http=_Resettable,
        loop="asyncio",
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="error",
        access_log=False,
        proxy_headers=False,
        date_header=False,
        server_header=False,
        h11_max_incomplete_event_size=1_000_000,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(thread.join)


class _Resettable(H11Protocol):
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        cast("Recorder", self.app).connections += 1

    def handle_events(self) -> None:
        super().handle_events()
        scope = cast("dict[str, dict[str, object]] | None", self.scope)
        if scope is not None:
            scope.setdefault("extensions", {})[_RESET] = self.transport.abort


async def _body(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send(reply: Reply, receive: Receive, send: Send) -> None:
    content = reply.content
    unending = reply.stalls or bool(reply.forever)
    headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in reply.headers]
    if not unending and not any(name == b"content-length" for name, _ in headers):
        headers.append((b"content-length", b"%d" % len(content)))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": content, "more_body": unending})
    if unending:
        leaving = asyncio.ensure_future(_gone(receive))
        while reply.forever and not leaving.done():
            await send({"type": "http.response.body", "body": reply.forever, "more_body": True})
            await asyncio.sleep(0)
        await leaving
