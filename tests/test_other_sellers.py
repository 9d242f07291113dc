"""Sellers built otherwise than the sandbox, and as rightly: each of these once kept a purchase from working."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from seedance_mcp.app import App, open_app
from seedance_mcp.clip_order import ClipOrder
from seedance_mcp.errors import StudioRejected
from seedance_mcp.guard.usage import Outcome
from seedance_mcp.ledger.states import State
from seedance_mcp.payment.wallet import Wallet
from seedance_mcp.sandbox import Faults, Sandbox, serve
from seedance_mcp.sandbox.blobs import Blob
from seedance_mcp.sandbox.render import Clip, Shot
from seedance_mcp.settings import Settings


def rendered(_shot: Shot, _report: Callable[[int], None]) -> Clip:
    return Clip(b"a clip", b"a thumbnail")


class Otherwise(Sandbox):
    """Gives the next of ``answers`` to a request by method and path, and the sandbox's own once they are used up."""

    def __init__(self, faults: Faults) -> None:
        super().__init__(renderer=rendered, faults=faults)
        self.answers: dict[tuple[str, str], list[Response]] = {}
        self._own, self.app.app = self.app.app, self._answer

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        prepared = self.answers.get((scope.get("method", ""), scope["path"]), [])
        await (prepared.pop(0) if prepared else self._own)(scope, receive, send)

    @property
    def paid(self) -> list[int]:
        return [transfer.value for transfer in self.bank.transfers]

    def seen(self, method: str, path: str) -> int:
        return sum(request.method == method and request.path == path for request in self.requests)


def picture() -> bytes:
    file = BytesIO()
    Image.new("RGB", (640, 360), (30, 90, 160)).save(file, "PNG")
    return file.getvalue()


@asynccontextmanager
async def customer(folder: Path, **faults: Any) -> AsyncIterator[tuple[Otherwise, App]]:
    seller, wallet = Otherwise(Faults(**faults)), Wallet.create()
    seller.fund(wallet.address, 100_000_000)
    async with serve(seller) as origin:
        settings = Settings.for_sandbox({"SEEDANCE_OUTPUT_DIR": str(folder / "clips")})
        async with open_app(settings.at(origin, f"sqlite:{folder / 'l.db'}"), wallet=wallet, sandbox=True) as app:
            yield seller, app


async def test_a_schema_that_stands_only_in_the_402_is_enough(tmp_path: Path) -> None:
    async with customer(tmp_path) as (seller, app):
        for path in ("/openapi.json", "/api/openapi.json"):
            seller.answers["GET", path] = [Response("not here", 404)]
        estimate = await app.clips.estimate(ClipOrder())
        assert (estimate.price, estimate.live) == (412_500, True)
        assert not any("payment-signature" in request.headers for request in seller.requests)


async def test_an_image_whose_bytes_are_stored_is_only_confirmed_by_the_next_call(tmp_path: Path) -> None:
    async with customer(tmp_path) as (seller, app):
        image = await app.uploads.read(picture())
        seller.answers["POST", "/api/upload/confirm"] = [JSONResponse({"success": False, "error": "no"}, 400)]
        with pytest.raises(StudioRejected):
            await app.uploads.host(image)
        assert (await app.uploads.host(image)).charged == 0
        assert (seller.seen("PUT", "/blob/"), seller.paid) == (1, [10_000])


async def test_a_store_that_knows_no_head_does_not_make_an_image_be_paid_again(tmp_path: Path) -> None:
    async with customer(tmp_path) as (seller, app):
        image = await app.uploads.read(picture())
        first = await app.uploads.host(image)
        seller.answers["HEAD", httpx.URL(first.url).path] = [Response(status_code=404)]
        again = await app.uploads.host(image)
        assert (again.url, again.charged, again.reused) == (first.url, 0, True)
        assert seller.paid == [10_000]


async def test_an_accepted_clip_without_a_receipt_is_not_asked_for_a_second_time(tmp_path: Path) -> None:
    async with customer(tmp_path, receipt=False) as (seller, app):
        # Nobody can ask this chain, so that the seller's answer is all there is.
        seller.answers["POST", "/rpc"] = [Response(status_code=503) for _ in range(50)]
        seller.blobs.stored["lake.png"] = Blob(picture(), "image/png")
        bought = await app.clips.generate(ClipOrder(prompt="waves", image=f"{seller_url(app)}/blob/lake.png"))
        assert (bought.purchase.payment.state, len(seller.jobs)) == (State.UNKNOWN, 1)
        assert bought.purchase.job is not None
        assert bought.purchase.job.id in seller.jobs
        assert sum("payment-signature" in request.headers for request in seller.requests) == 1


async def test_an_estimate_refuses_what_the_clock_would_refuse(tmp_path: Path) -> None:
    async with customer(tmp_path) as (_, app):
        app.corridor.now = lambda: app.now() + 3_600_000
        verdict = (await app.clips.estimate(ClipOrder())).verdict
        assert (verdict.outcome, verdict.code) == (Outcome.REFUSE, "clock")


def seller_url(app: App) -> str:
    return app.settings.studio_url
