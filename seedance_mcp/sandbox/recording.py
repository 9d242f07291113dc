"""What was seen on the wire."""

from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

BODY_LIMIT = 32_000_000


@dataclass(slots=True)
class Seen:
    """One request. Header names are lower case, repeated headers joined; ``status`` is None until an answer starts."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes
    status: int | None = None


class Recorder:
    """Notes every request before it is acted on, and dates every answer by the sandbox's own clock."""

    def __init__(self, app: "ASGIApp", requests: list[Seen], clock: Callable[[], int]) -> None:
        self.app = app
        self.requests = requests
        self.clock = clock

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        body = await _read(receive)
        if body is None:
            return
        headers = Headers(scope=scope)
        joined = {name: ", ".join(headers.getlist(name)) for name in headers}
        seen = Seen(scope["method"], scope["path"], scope["query_string"].decode(), joined, body)
        self.requests.append(seen)

        async def answering(message: "Message") -> None:
            if message["type"] == "http.response.start":
                seen.status = message["status"]
                date = formatdate(self.clock(), usegmt=True).encode()
                message = {**message, "headers": [*message["headers"], (b"date", date)]}
            await send(message)

        if len(body) > BODY_LIMIT:
            await Response(status_code=413)(scope, receive, answering)
        else:
            await self.app(scope, _replay(body, receive), answering)


async def _read(receive: "Receive") -> bytes | None:
    """The request's body, cut just above the limit; None if the client left before its end."""
    body = bytearray()
    while len(body) <= BODY_LIMIT:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if not message.get("more_body", False):
            break
    return bytes(body)


def _replay(body: bytes, receive: "Receive") -> "Receive":
    unread = [body]

    async def replaying() -> "Message":
        if unread:
            return {"type": "http.request", "body": unread.pop(), "more_body": False}
        return await receive()

    return replaying


def here(request: Request) -> str:
    """The origin that the client reached the sandbox under."""
    return f"{request.url.scheme}://{request.url.netloc}"
