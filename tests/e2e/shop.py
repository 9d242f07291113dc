"""The embedded studio as somebody else's: served from the test's process, looked at and spoiled by the test."""

import json
from base64 import b64decode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from threading import Event
from typing import Any

from PIL import Image

from seedance_mcp.sandbox import Sandbox, serve
from seedance_mcp.sandbox.blobs import Blob
from seedance_mcp.sandbox.render import Clip, Shot
from tests.e2e.home import KEY, PAYER, Home, make_home
from tests.peers.clip import clip

FUNDS = 1_000_000_000


@dataclass
class Shop:
    """A sandbox at ``origin``; ``shots`` are the clips that it was asked to render.

    It renders at once, or as soon as ``rendering`` is set again.
    """

    sandbox: Sandbox
    origin: str
    shots: list[Shot]
    rendering: Event

    @property
    def credentials(self) -> list[str]:
        """Every payment that was seen, over either rail, as often as it was seen."""
        asked = [request.headers for request in self.sandbox.requests if not request.path.startswith("/blob/")]
        seen = (headers.get("payment-signature") or headers.get("authorization") for headers in asked)
        return [credential for credential in seen if credential is not None]

    @property
    def authorizations(self) -> list[dict[str, Any]]:
        """The signed message of each credential."""
        return [json.loads(b64decode(credential))["payload"]["authorization"] for credential in self.credentials]

    @property
    def taken(self) -> int:
        """Micro-USD that left the payer's account."""
        return 2 * FUNDS - self.sandbox.bank.balance(PAYER) - self.sandbox.tempo.balance(PAYER)

    def asked(self, path: str) -> list[dict[str, Any]]:
        """The bodies of the paid requests to ``path``."""
        seen = self.sandbox.requests
        return [json.loads(r.body) for r in seen if r.path == path and "payment-signature" in r.headers]

    def picture(self, name: str = "lake.png", size: tuple[int, int] = (640, 360)) -> str:
        """The URL of an image on the seller's own host."""
        file = BytesIO()
        Image.new("RGB", size, (30, 90, 160)).save(file, "PNG")
        self.sandbox.blobs.stored[name] = Blob(file.getvalue(), "image/png")
        return f"{self.origin}/blob/{name}"

    def home(self, folder: Path, **settings: str) -> Home:
        """Somebody who buys here."""
        urls = {
            "STUDIO_URL": self.origin,
            "BLOB_URL": f"{self.origin}/blob/",
            "BASE_RPC_URL": f"{self.origin}/rpc",
            "TEMPO_RPC_URL": f"{self.origin}/rpc/tempo",
        }
        return make_home(folder, **urls, PRIVATE_KEY=KEY, **settings)


@asynccontextmanager
async def open_shop(generation: int = 1) -> AsyncIterator[Shop]:
    shots: list[Shot] = []
    rendering = Event()
    rendering.set()

    def render(shot: Shot, _report: Callable[[int], None]) -> Clip:
        shots.append(shot)
        rendering.wait()
        return Clip(clip(), b"a thumbnail")

    sandbox = Sandbox(generation=generation, renderer=render)
    sandbox.fund(PAYER, FUNDS)
    async with serve(sandbox) as origin:
        try:
            yield Shop(sandbox, origin, shots, rendering)
        finally:
            rendering.set()
