"""Answers that never come."""

from typing import TYPE_CHECKING

from starlette.responses import Response

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

DROP = "sandbox.drop"
"""ASGI extension of ``serve``: a callable that resets the request's connection."""


class NoAnswer(Response):
    """Waits until the client has left; with ``drop`` it is the connection that goes first."""

    def __init__(self, *, drop: bool) -> None:
        super().__init__()
        self.drop = drop

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:  # noqa: ARG002 - nothing to send
        if self.drop:
            drop = scope.get("extensions", {}).get(DROP)
            if drop is None:
                raise ConnectionResetError("the sandbox drops the connection")
            drop()
        while (await receive())["type"] != "http.disconnect":
            pass
