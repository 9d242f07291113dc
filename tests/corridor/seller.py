"""A seller behind an HTTP client, which answers what a test tells it to."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from email.utils import formatdate

import httpx

from seedance_mcp.orders import SHIPPED_PAY_TO
from seedance_mcp.payment.wire import decode, encode
from seedance_mcp.studio.models import UPLOAD_PATH
from tests.corridor.examples import PRICE
from tests.ledger.examples import NOW
from tests.machine.credentials import base_challenge, tempo_challenge

Reply = httpx.Response | Exception | Callable[[], Awaitable[httpx.Response]]

TICKET = {"uploadId": "u1", "clientToken": "token", "pathname": "a/b.png"}


@dataclass(frozen=True)
class Request:
    path: str
    body: bytes
    credential: str | None


class Seller:
    """Answers paid requests with the next of ``answers``, and with a job or a ticket once they are used up."""

    def __init__(self, log: list[str]) -> None:
        self.log = log
        self.requests: list[Request] = []
        self.price: Reply | None = None
        """The answer to unpaid requests, if it is not a proper one."""
        self.answers: list[Reply] = []
        self.listed: list[Mapping[str, object]] = []
        self.rails = ["x402"]
        self.cost = PRICE
        self.seconds, self.patience = NOW // 1000, 300

    @property
    def paid(self) -> list[Request]:
        return [request for request in self.requests if request.credential is not None]

    async def answer(self, request: httpx.Request) -> httpx.Response:
        seen = Request(request.url.path, request.content, request.headers.get("x-credential"))
        self.requests.append(seen)
        if seen.path == "/api/jobs":
            return said(200, self.listed)
        if seen.credential is None:
            return await _given(self.price or self._challenge(seen.path))
        self.log.append("send")
        return await _given(self.answers.pop(0) if self.answers else self.accepted(seen.path))

    def accepted(self, path: str = "") -> httpx.Response:
        return said(200, TICKET if path == UPLOAD_PATH else {"jobId": f"job-{len(self.paid)}"}, x_paid="0xclaimed")

    def _challenge(self, path: str) -> httpx.Response:
        headers = {"date": formatdate(self.seconds, usegmt=True)}
        if "x402" in self.rails:
            document = decode(base_challenge(path, self.cost, SHIPPED_PAY_TO, None)["payment-required"])
            assert isinstance(document, dict)
            document["accepts"][0]["maxTimeoutSeconds"] = self.patience
            headers["payment-required"] = encode(document)
        if "mpp" in self.rails:
            # It was made a while ago.
            headers |= tempo_challenge("c1", self.cost, SHIPPED_PAY_TO, sponsored=True, now=self.seconds - 280)
        return httpx.Response(402, headers=headers, json={})


def said(status: int, body: object = None, **headers: str) -> httpx.Response:
    """An answer of the seller's; ``x_paid`` stands for the header ``x-paid``."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, headers=named, json={} if body is None else body)


async def _given(reply: Reply) -> httpx.Response:
    if isinstance(reply, Exception):
        raise reply
    return reply if isinstance(reply, httpx.Response) else await reply()
