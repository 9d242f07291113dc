"""The studio's routes sold by mppx on a local Tempo, and if wanted by the x402 SDK beside it, in one challenge.

What mppx says about a credential is final, so it can tell when this project is wrong.
"""

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.peers.mppx import Mppx
from tests.peers.studio import SALES, Sale
from tests.peers.x402_seller import FACILITATOR_KEY, Seen, X402Seller

SPONSOR_KEY = FACILITATOR_KEY
"""Its account has pathUSD from anvil's genesis, of which it pays the fees of sponsored payments."""


class Payment:
    """Stands where the x402 middleware leaves the payment that it has verified, which tells the studio the payer."""

    def __init__(self, payer: str) -> None:
        self.payload = {"authorization": {"from": payer}}


class MppxSeller(X402Seller):
    """A context manager that serves at ``origin``; ``till`` runs ``mppx_till.mjs``, and must outlast it.

    ``sponsored`` makes the seller pay the network's fee. ``offers_x402`` puts the challenge for Base into the same
    402, and lets it be paid. Sign-ins are checked by the x402 SDK either way; a job belongs to the address in the
    ``source`` of the credential that paid for it. ``credentials`` holds both rails' headers in order of arrival.
    The faults are those of X402Seller, with ``Payment-Receipt`` as the receipt.
    """

    def __init__(self, till: Mppx, base_url: str) -> None:
        super().__init__(base_url)
        self.sponsored = False
        self.offers_x402 = False
        self._till = till
        self._paid_for = self.studio.app()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        sale = SALES.get(scope["path"])
        if sale is None or (self.offers_x402 and "payment-signature" in headers):
            await super().__call__(scope, receive, send)
            return
        self.requests.append(Seen(scope["method"], scope["path"], dict(headers)))
        if "authorization" in headers:
            self.credentials.append(headers["authorization"])
        answer = await self._sell(sale, scope, await Request(scope, receive).body())
        if self.after_settlement is not None and "payment-receipt" in answer.headers:
            receipt = {"Payment-Receipt": answer.headers["payment-receipt"]}
            await self._spoil(self.after_settlement, receipt, scope, receive, send)
        else:
            await answer(scope, receive, send)

    async def _sell(self, sale: Sale, scope: Scope, body: bytes) -> Response:
        headers = Headers(scope=scope)
        if "authorization" in headers and sale.complete(body) is None:
            return JSONResponse({"success": False, "error": "Validation failed", "issues": []}, 400)
        verdict = await self._till.ask(
            url=self.origin + scope["path"],
            headers=dict(headers),
            amount=str(sale.quote(body)),
            sponsored=self.sponsored,
        )
        if verdict["paid"]:
            payer = verdict["source"].rpartition(":")[2]
            scope["state"] = {"payment_payload": Payment(payer)}
            answer = await _ask(self._paid_for, scope, body)
        else:
            answer = Response(verdict["body"], verdict["status"])
            if self.offers_x402:
                challenge = await _ask(self._app, scope, body)
                answer.headers["payment-required"] = challenge.headers["payment-required"]
        answer.headers.update(verdict["headers"])
        return answer


async def _ask(app: ASGIApp, scope: Scope, body: bytes) -> Response:
    """What ``app`` would answer."""
    messages: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        messages.append(message)

    await app(scope, receive, send)
    start, *parts = messages
    answer = Response(b"".join(part.get("body", b"") for part in parts), start["status"])
    answer.raw_headers = start["headers"]
    return answer
