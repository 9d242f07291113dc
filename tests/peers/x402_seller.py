"""The studio's routes sold by the x402 Python SDK, settled on a local chain.

Its verification, its settlement and its sign-in checks are the SDK's, so they can tell when this project is wrong.
"""

from contextlib import ExitStack
from functools import partial
from threading import Event
from typing import Literal, NamedTuple, Self

import anyio.to_thread
from eth_typing import HexStr
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Message, Receive, Scope, Send
from web3.types import RPCEndpoint
from x402 import x402FacilitatorSync, x402ResourceServer
from x402.extensions.bazaar import declare_discovery_extension
from x402.extensions.sign_in_with_x import (
    CreateSIWxResourceServerExtensionOptions,
    DeclareSIWxOptions,
    InMemorySIWxStorage,
    create_siwx_resource_server_extension,
    declare_siwx_extension,
)
from x402.http.middleware.fastapi import FastAPIAdapter, PaymentMiddlewareASGI
from x402.http.types import HTTPRequestContext, PaymentOption, RouteConfig
from x402.mechanisms.evm import FacilitatorWeb3Signer
from x402.mechanisms.evm.exact import register_exact_evm_facilitator, register_exact_evm_server
from x402.mechanisms.evm.types import TransactionReceipt
from x402.schemas import (
    AssetAmount,
    PaymentPayload,
    PaymentPayloadV1,
    PaymentRequirements,
    PaymentRequirementsV1,
    SettleResponse,
    SupportedResponse,
    VerifyResponse,
)

from tests.peers.loopback import Loopback
from tests.peers.studio import SALES, SIGNED_IN, Sale, Studio
from tests.peers.usdc import USDC

NETWORK = "eip155:8453"
PAY_TO = "0x07F067959297767c887dbfA3C72379c66E82a045"
FACILITATOR_KEY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
"""Account 0 of the mnemonic that anvil and hardhat share: it pays the gas of settlements."""

Fault = Literal[402, 500, "hang", "drop"]


class Seen(NamedTuple):
    method: str
    path: str
    headers: dict[str, str]


class X402Seller:
    """A context manager that serves at ``origin``.

    ``after_settlement`` is what befalls the answer to a payment once its money has moved: a bare 402 or 500 without
    a receipt (with one, if ``keep_receipt``), silence until the caller goes away, or a reset connection;
    ``spoiled`` is set once that has begun.
    ``single_use_logins`` makes it refuse a sign-in proof that it has accepted before.
    While the chain makes no blocks by itself, a payment is answered with ``settlement_pending``.
    """

    def __init__(self, rpc_url: str) -> None:
        self.requests: list[Seen] = []
        self.credentials: list[str] = []
        self.after_settlement: Fault | None = None
        self.keep_receipt = False
        self.spoiled = Event()
        self._loopback = Loopback()
        self.origin = self._loopback.origin
        self.studio = Studio(self.origin)
        self._logins = Logins()
        self._app = self._build(rpc_url)
        self._undo = ExitStack()

    @property
    def single_use_logins(self) -> bool:
        return self._logins.single_use

    @single_use_logins.setter
    def single_use_logins(self, single_use: bool) -> None:
        self._logins.single_use = single_use

    def __enter__(self) -> Self:
        self._undo.enter_context(self._loopback.serve(self))
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Write down what arrives, and spoil what leaves."""
        headers = dict(Headers(scope=scope))
        self.requests.append(Seen(scope["method"], scope["path"], headers))
        if "payment-signature" in headers:
            self.credentials.append(headers["payment-signature"])
        answer: list[Message] = []

        async def hold(message: Message) -> None:
            answer.append(message)

        await self._app(scope, receive, hold)
        if self.after_settlement is not None and _settled(answer[0]):
            receipt = {"PAYMENT-RESPONSE": Headers(raw=answer[0]["headers"])["payment-response"]}
            await self._spoil(self.after_settlement, receipt, scope, receive, send)
        else:
            for message in answer:
                await send(message)

    async def _spoil(self, fault: Fault, receipt: dict[str, str], scope: Scope, receive: Receive, send: Send) -> None:
        self.spoiled.set()
        if isinstance(fault, int):
            body = {} if fault == 402 else {"success": False, "error": "Settlement failed"}
            await JSONResponse(body, fault, receipt if self.keep_receipt else None)(scope, receive, send)
            return
        if fault == "drop":
            self._loopback.drop(tuple(scope["client"]))
        while (await receive())["type"] != "http.disconnect":
            pass

    def _build(self, rpc_url: str) -> Starlette:
        server = register_exact_evm_server(x402ResourceServer(Facilitator(rpc_url)), NETWORK)
        options = CreateSIWxResourceServerExtensionOptions(storage=self._logins, origin=self.origin)
        server.register_extension(create_siwx_resource_server_extension(options))
        routes = {f"POST {path}": _paid(sale) for path, sale in SALES.items()}
        routes |= {route: _signed_in() for route in SIGNED_IN}
        app = self.studio.app()
        app.user_middleware = [
            Middleware(RefuseInvalidBodies),
            Middleware(PaymentMiddlewareASGI, routes=routes, server=server),
        ]
        return app


class Cashier(FacilitatorWeb3Signer):
    """Does not wait on a chain whose blocks are made by the test: what is not mined by now is left pending."""

    def wait_for_transaction_receipt(self, tx_hash: str) -> TransactionReceipt:
        automine = RPCEndpoint("anvil_getAutomine")
        if not self._w3.provider.make_request(automine, [])["result"]:
            self._w3.eth.get_transaction_receipt(HexStr(tx_hash))  # raises if there is none
        return super().wait_for_transaction_receipt(tx_hash)


class Facilitator:
    """The SDK's facilitator in worker threads: one that waits for a block does not hold up the other requests."""

    def __init__(self, rpc_url: str) -> None:
        signer = Cashier(FACILITATOR_KEY, rpc_url, confirmation_timeout_seconds=30)
        self._facilitator = register_exact_evm_facilitator(x402FacilitatorSync(), signer, NETWORK)

    async def verify(
        self, payload: PaymentPayload | PaymentPayloadV1, requirements: PaymentRequirements | PaymentRequirementsV1
    ) -> VerifyResponse:
        return await anyio.to_thread.run_sync(self._facilitator.verify, payload, requirements)

    async def settle(
        self, payload: PaymentPayload | PaymentPayloadV1, requirements: PaymentRequirements | PaymentRequirementsV1
    ) -> SettleResponse:
        return await anyio.to_thread.run_sync(self._facilitator.settle, payload, requirements)

    def get_supported(self) -> SupportedResponse:
        return self._facilitator.get_supported()


class Logins(InMemorySIWxStorage):
    """The SDK's store of sign-ins, with the nonces that the SDK leaves to its users."""

    def __init__(self) -> None:
        super().__init__()
        self.single_use = False
        self._nonces: set[str] = set()

    def has_used_nonce(self, nonce: str) -> bool:
        return self.single_use and nonce in self._nonces

    def record_nonce(self, nonce: str) -> None:
        self._nonces.add(nonce)

    has_record_nonce = record_nonce  # x402 2.25 looks for this name to learn whether nonces are tracked


class RefuseInvalidBodies(BaseHTTPMiddleware):
    """The studio checks a body before the payment that came with it: an uncharged 400, whatever was signed."""

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        sale = SALES.get(request.url.path)
        if sale and "payment-signature" in request.headers and sale.complete(await request.body()) is None:
            return JSONResponse({"success": False, "error": "Validation failed", "issues": []}, 400)
        return await call_next(request)


def _paid(sale: Sale) -> RouteConfig:
    return RouteConfig(
        accepts=PaymentOption(
            scheme="exact",
            pay_to=PAY_TO,
            price=partial(_price, sale),
            network=NETWORK,
            max_timeout_seconds=300,
        ),
        extensions=declare_discovery_extension(sale.example, sale.schema, body_type="json"),
    )


def _signed_in() -> RouteConfig:
    return RouteConfig(accepts=[], extensions=declare_siwx_extension(DeclareSIWxOptions(network=NETWORK)))


async def _price(sale: Sale, context: HTTPRequestContext) -> AssetAmount:
    assert isinstance(context.adapter, FastAPIAdapter)
    # The adapter has no way to read a body, which its Request keeps for the handler.
    body = await context.adapter._request.body()
    return AssetAmount(amount=str(sale.quote(body)), asset=USDC, extra={"name": "USD Coin", "version": "2"})


def _settled(start: Message) -> bool:
    return start["status"] == 200 and "payment-response" in Headers(raw=start["headers"])
