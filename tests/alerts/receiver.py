"""The operator's webhook: a real HTTP server that keeps what it was sent and answers as it is told."""

import base64
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from threading import Event
from typing import Any

from anyio.to_thread import run_sync
from standardwebhooks import Webhook
from starlette.types import Receive, Scope, Send

from tests.peers.loopback import Loopback

SECRET = "whsec_" + base64.b64encode(b"an alert's secret of 32 bytes ..").decode()


@dataclass(frozen=True)
class Message:
    headers: Mapping[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def type(self) -> str:
        return str(json.loads(self.body)["type"])

    def verified(self) -> dict[str, Any]:
        """What it says, if the public library finds it signed with ``SECRET`` just now."""
        content: dict[str, Any] = Webhook(SECRET).verify(self.body, dict(self.headers))
        assert set(content) == {"type", "timestamp", "data"}
        return content


class Receiver:
    """``answers`` are the statuses of the next answers, 204 after them; while ``open`` is cleared none is given."""

    def __init__(self) -> None:
        self._loopback = Loopback()
        self._new: Queue[Message] = Queue()
        self.url = f"{self._loopback.origin}/hooks/path-is-secret"
        self.got: list[Message] = []
        self.answers: list[int] = []
        self.open = Event()
        self.open.set()

    @contextmanager
    def serving(self) -> Iterator["Receiver"]:
        with self._loopback.serve(self):
            try:
                yield self
            finally:
                self.open.set()

    def taken(self) -> Message:
        """The same, for a thread."""
        return self._new.get(timeout=60)

    async def next(self) -> Message:
        """The next message that was not asked for yet, once it is there."""
        return await run_sync(self.taken)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body, more = b"", True
        while more:
            part = await receive()
            body, more = body + part.get("body", b""), part.get("more_body", False)
        message = Message({name.decode(): value.decode() for name, value in scope["headers"]}, body)
        self.got.append(message)
        self._new.put(message)
        await run_sync(self.open.wait)
        status = self.answers.pop(0) if self.answers else 204
        headers = [(b"location", b"/elsewhere")] if status == 302 else []
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if status == 204 else b"an answer"})


def secret_file(folder: Path) -> Path:
    path = folder / "alert-secret"
    path.touch(0o600)
    path.write_text(f"{SECRET}\n")
    return path
