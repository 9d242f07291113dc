"""The embedded seller on a line that can break, with its clips rendered before anybody asks."""

from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from seedance_mcp.sandbox import Sandbox, serve
from seedance_mcp.sandbox.render import Clip, Shot, frame_size, render
from tests.e2e.home import PAYER

FUNDS = 10_000_000


@dataclass(slots=True)
class Seller:
    """An ASGI app. ``breaking``: the next payment arrives and is taken, and nothing comes back until it is mended."""

    sandbox: Sandbox
    breaking: bool = False
    _broken: bool = field(default=False, init=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._broken:
            await Response(status_code=503)(scope, receive, send)
            return
        if self.breaking and any(name == b"payment-signature" for name, _ in scope["headers"]):
            self._broken = True
            self.sandbox.faults.answer = "lost"
        await self.sandbox.app(scope, receive, send)

    def mend(self) -> None:
        self.breaking = self._broken = False
        self.sandbox.faults.answer = "normal"


@asynccontextmanager
async def open_seller(picture: Path, prompt: str, seconds: int) -> AsyncIterator[tuple[Seller, str]]:
    """A seller with a take of ``picture`` in two sizes, and its origin.

    They are rendered beforehand: a server that finds a clip unfinished asks again only after ten seconds.
    """
    shots = [_shot(picture, prompt, seconds, height) for height in (480, 720)]
    with ThreadPoolExecutor() as pool:
        clips = dict(zip(shots, pool.map(lambda shot: render(shot, _ignore), shots), strict=True))

    def pick(wanted: Shot, _report: Callable[[int], None]) -> Clip:
        return next(clip for shot, clip in clips.items() if shot.height == wanted.height)

    sandbox = Sandbox(renderer=pick)
    sandbox.fund(PAYER, FUNDS)
    seller = Seller(sandbox)
    async with serve(seller) as origin:
        try:
            yield seller, origin
        finally:
            sandbox.close()


def _shot(picture: Path, prompt: str, seconds: int, height: int) -> Shot:
    width, _ = frame_size(f"{height}p", "16:9")
    frames = (picture.read_bytes(),)
    return Shot(prompt=prompt, frames=frames, width=width, height=height, seconds=seconds, audio=True)


def _ignore(_percent: int) -> None:
    """Nobody waits for the rendering."""
