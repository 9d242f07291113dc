"""Processes of the product, and everything outside them."""

import hashlib
import json
from dataclasses import replace
from typing import Any

import httpx

from seedance_mcp.continuity import Continuity
from seedance_mcp.deliveries import context
from seedance_mcp.guard.policy import Policy
from seedance_mcp.ledger import jobs, payments, views
from seedance_mcp.ledger.states import Purchase, State
from seedance_mcp.orders import Order, Quote
from seedance_mcp.payment.tokens import BASE_USDC, TEMPO_USDCE
from seedance_mcp.payment.wallet import Wallet
from seedance_mcp.purchase import Corridor
from seedance_mcp.recovery import Recovery
from seedance_mcp.sending import Sender
from seedance_mcp.studio.client import Studio
from seedance_mcp.studio.models import UPLOAD_PATH, generate_path
from tests.corridor.examples import CLIP, ENDED, OFFER, WALLET
from tests.corridor.ledger import Ledger
from tests.corridor.seller import Seller
from tests.corridor.till import Till
from tests.guard.examples import policy
from tests.ledger.examples import NOW, PATHS, Desk
from tests.machine.credentials import ORIGIN


class Watched(Continuity):
    def __init__(self, log: list[str]) -> None:
        self._log = log

    async def require(self) -> None:
        self._log.append("require")

    async def record(self) -> None:
        self._log.append("record")


class World:
    """Everything outside the processes. ``now`` is their wall clock in epoch milliseconds."""

    def __init__(self) -> None:
        self.now = NOW
        self.log: list[str] = []
        self.ledger = Ledger()
        self.seller = Seller(self.log)
        self.tills = {"x402": Till(BASE_USDC, self.log), "mpp": Till(TEMPO_USDCE, self.log)}
        self.http = httpx.AsyncClient(transport=httpx.MockTransport(self.seller.answer), trust_env=False)
        self.policy: Policy = policy()
        self.desk = Desk(self.ledger)

    @property
    def till(self) -> Till:
        return self.tills["x402"]

    def open(self, owner: str, wallet: Wallet | None = WALLET) -> "Process":
        return Process(self, owner, wallet)

    async def at(self, state: State, order: Order = CLIP, *, owner: str = ENDED, **changes: Any) -> Purchase:
        """A purchase whose payment was brought to ``state`` by ``owner``; ``changes`` are of its intent."""
        intent = order.intent(
            OFFER, order.proposal(OFFER, None), origin=ORIGIN, payer=WALLET.address, policy="digest", serial=0
        )
        purchase = await self.desk.reserve(replace(intent, **changes), owner=owner)
        for move in PATHS[state]:
            await self.move(purchase, move, owner)
        return await self.desk.find(purchase.id)

    async def move(self, purchase: Purchase, to: State, owner: str) -> None:
        payment = purchase.payment
        if to is State.SIGNED:
            assert await self.ledger.write(
                payments.sign,
                payment,
                owner,
                nonce=hashlib.sha256(purchase.key).digest(),
                deadline=NOW // 1000 + 120,
                path=generate_path("seedance"),
                body=json.dumps(dict(purchase.request)),
                sealed=WALLET.seal(json.dumps({"x-credential": purchase.id}).encode(), context(payment)),
                now=NOW,
            )
        else:
            assert await self.desk.move(payment, to, owner)

    async def deliver(self, purchase: Purchase, job: str = "job-0") -> Purchase:
        await self.ledger.write(jobs.deliver, purchase.id, job, self.now)
        return await self.desk.find(purchase.id)

    async def last(self, order: Order = CLIP) -> Purchase | None:
        return await self.ledger.read(views.latest, order.key)

    async def close(self) -> None:
        await self.http.aclose()
        await self.ledger.close()


class Process:
    def __init__(self, world: World, owner: str, wallet: Wallet | None) -> None:
        self.world = world
        studio = Studio(world.http, ORIGIN, f"{ORIGIN}/blob", None)
        common: dict[str, Any] = {
            "studio": studio,
            "database": world.ledger,
            "rails": world.tills,
            "owner": owner,
            "now": lambda: world.now,
        }
        self.recovery = Recovery(**common, policy=self._policy)
        self.sender = Sender(**common, wallet=wallet, recovery=self.recovery)
        self.corridor = Corridor(
            **common,
            wallet=wallet,
            policy=self._policy,
            continuity=Watched(world.log),
            sender=self.sender,
            recovery=self.recovery,
        )

    async def _policy(self) -> Policy:
        return self.world.policy

    async def quote(self, order: Order = CLIP) -> Quote:
        path = UPLOAD_PATH if order.model == "upload" else generate_path(order.model)
        return await self.corridor.quote(path, order.request)

    async def buy(self, order: Order = CLIP) -> tuple[Purchase, bool]:
        return await self.corridor.buy(order, await self.quote(order))
