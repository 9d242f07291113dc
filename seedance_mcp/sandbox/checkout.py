"""The paid routes, in the live service's order: parse, validate, price, verify, deliver, settle, answer."""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

import anyio
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from seedance_mcp.sandbox.catalogue import Body, Ware
from seedance_mcp.sandbox.faults import Faults
from seedance_mcp.sandbox.pictures import BadImageURL
from seedance_mcp.sandbox.rails import Rail, Refused, Sale
from seedance_mcp.sandbox.recording import here
from seedance_mcp.sandbox.silence import NoAnswer

Deliver = Callable[[Request, Ware, Body, str], Awaitable[dict[str, Any]]]
"""Makes what was bought for the payer's address, and gives the answer's JSON. Raises BadImageURL."""


class Checkout:
    """Offers all of its rails in one 402; a request pays over one of them."""

    def __init__(self, rails: Sequence[Rail], faults: Faults) -> None:
        self.rails = rails
        self.faults = faults

    async def sell(self, ware: Ware, deliver: Deliver, request: Request) -> Response:
        body = ware.completed(_parse(await request.body()))
        issues = ware.problems(body)
        presented = [(rail, text) for rail in self.rails if (text := rail.credential(request.headers)) is not None]
        if issues or not isinstance(body, dict):
            if presented:
                return _error(400, "Validation failed", issues=issues)
            # The live service does not judge a body before it is paid for: it quotes the route's maximum.
            return self._challenge(await self._sale(request, ware, ware.maximum))
        sale = await self._sale(request, ware, ware.price(body))
        if not presented:
            return self._challenge(sale)
        if len(presented) > 1:
            return _error(400, "A request is paid for once")
        if self.faults.redirect:
            return RedirectResponse(f"{here(request)}/moved{ware.path}", 307)
        [(rail, credential)] = presented
        return await self._take(rail, credential, sale, partial(deliver, request, ware, body))

    async def _take(
        self, rail: Rail, credential: str, sale: Sale, deliver: Callable[[str], Awaitable[dict[str, Any]]]
    ) -> Response:
        try:
            payment = rail.verify(credential, sale)
        except Refused as refusal:
            return self._challenge(sale, refusal.args[0], status=refusal.status, problem=refusal.problem)
        try:
            answer = await deliver(payment.payer)
        except BadImageURL:
            return _error(400, "Invalid image URL")
        # From here on the job exists, whatever becomes of the payment.
        settlement = payment.settle()
        response = self._answer(sale, answer) if settlement.succeeded else _error(500, "Settlement failed")
        if self.faults.receipt:
            response.headers.update(settlement.receipt)
        await anyio.sleep(self.faults.slow_ms / 1000)
        return response if self.faults.answer == "normal" else NoAnswer(drop=self.faults.answer == "lost")

    async def _sale(self, request: Request, ware: Ware, price: int) -> Sale:
        return Sale(
            url=here(request) + ware.path,
            amount=price + self.faults.quote_extra,
            body=await request.body(),
            extensions={"bazaar": ware.bazaar()},
        )

    def _answer(self, sale: Sale, answer: dict[str, Any]) -> Response:
        match self.faults.after_settlement:
            case None:
                return JSONResponse(answer)
            case 402:
                return self._challenge(sale, "payment_failed")
            case 500:
                return _error(500, "Internal server error")

    def _challenge(
        self,
        sale: Sale,
        error: str = "Payment required",
        *,
        status: int = 402,
        problem: Mapping[str, object] | None = None,
    ) -> Response:
        headers: dict[str, str] = {}
        for rail in self.rails:
            headers |= rail.challenge(sale, error)
        if problem is None:
            return Response(status_code=status, headers=headers)
        return JSONResponse(problem, status, headers, media_type="application/problem+json")


def _parse(body: bytes) -> object:
    """The JSON in ``body``; None, which no schema accepts, where there is none."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _error(status: int, words: str, **more: object) -> Response:
    return JSONResponse({"success": False, "error": words, **more}, status)
