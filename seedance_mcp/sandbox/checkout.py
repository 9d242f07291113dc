"""The paid routes, in the live service's order: parse, validate, price, verify, deliver, settle, answer."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from seedance_mcp.sandbox import x402
from seedance_mcp.sandbox.bank import Bank, Reverted
from seedance_mcp.sandbox.catalogue import Body, Ware
from seedance_mcp.sandbox.faults import Faults
from seedance_mcp.sandbox.pictures import BadImageURL
from seedance_mcp.sandbox.recording import here
from seedance_mcp.sandbox.silence import NoAnswer

Deliver = Callable[[Request, Ware, Body, str], Awaitable[dict[str, Any]]]
"""Makes what was bought for the payer's address, and gives the answer's JSON. Raises BadImageURL."""


class Checkout:
    def __init__(self, bank: Bank, faults: Faults) -> None:
        self.bank = bank
        self.faults = faults

    async def sell(self, ware: Ware, deliver: Deliver, request: Request) -> Response:
        body = ware.completed(_parse(await request.body()))
        issues = ware.problems(body)
        credential = request.headers.get("payment-signature")
        if issues and credential is None:
            # The live service does not judge a body before it is paid for: it quotes the route's maximum.
            return self._challenge(request, ware, x402.offers(ware.maximum, self.faults))
        if issues or not isinstance(body, dict):
            return _error(400, "Validation failed", issues=issues)
        offered = x402.offers(ware.price(body), self.faults)
        if credential is None:
            return self._challenge(request, ware, offered)
        if self.faults.redirect:
            return RedirectResponse(f"{here(request)}/moved{ware.path}", 307)
        try:
            payment = x402.verify(credential, offered, self.bank)
        except x402.BadCredential as error:
            return self._challenge(request, ware, offered, error=error.args[0])
        return await self._charge(request, ware, offered, payment, deliver(request, ware, body, payment.payer))

    async def _charge(
        self,
        request: Request,
        ware: Ware,
        offered: list[x402.Offer],
        payment: x402.Payment,
        delivery: Awaitable[dict[str, Any]],
    ) -> Response:
        try:
            answer = await delivery
        except BadImageURL:
            return _error(400, "Invalid image URL")
        # From here on the job exists, whatever becomes of the payment.
        receipt, settled = self._settle(payment)
        response = self._answer(request, ware, offered, answer) if settled else _error(500, "Settlement failed")
        if self.faults.receipt:
            response.headers["payment-response"] = receipt
        await anyio.sleep(self.faults.slow_ms / 1000)
        return response if self.faults.answer == "normal" else NoAnswer(drop=self.faults.answer == "lost")

    def _settle(self, payment: x402.Payment) -> tuple[str, bool]:
        """The receipt, and whether money moved."""
        if not self.faults.settle:
            return x402.payment_response(payment, error="transaction_failed"), False
        try:
            transfer = self.bank.settle(payment.authorization, payment.signature)
        except Reverted as revert:
            return x402.payment_response(payment, error=revert.args[0]), False
        return x402.payment_response(payment, transaction=transfer.transaction), True

    def _answer(self, request: Request, ware: Ware, offered: list[x402.Offer], answer: dict[str, Any]) -> Response:
        match self.faults.after_settlement:
            case None:
                return JSONResponse(answer)
            case 402:
                return self._challenge(request, ware, offered, error="payment_failed")
            case 500:
                return _error(500, "Internal server error")

    def _challenge(
        self, request: Request, ware: Ware, offered: list[x402.Offer], error: str = "Payment required"
    ) -> Response:
        url = here(request) + ware.path
        header = x402.payment_required(url, offered, extensions={"bazaar": ware.bazaar()}, error=error)
        return Response(status_code=402, headers={"payment-required": header})


def _parse(body: bytes) -> object:
    """The JSON in ``body``; None, which no schema accepts, where there is none."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _error(status: int, words: str, **more: object) -> Response:
    return JSONResponse({"success": False, "error": words, **more}, status)
