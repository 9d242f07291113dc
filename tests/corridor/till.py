"""A rail without a chain behind it."""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import anyio
from anyio.lowlevel import checkpoint

from seedance_mcp.balance import Balance
from seedance_mcp.chain import Chain, Transfer
from seedance_mcp.errors import ChainError
from seedance_mcp.ledger.states import Payment, State
from seedance_mcp.payment.challenge import Challenge, Offer
from seedance_mcp.payment.tokens import Token
from seedance_mcp.payment.wallet import Wallet
from seedance_mcp.rails.rail import Moved, Rail, Reading, Sight, Signed
from tests.corridor.examples import FUNDS
from tests.ledger.examples import NOW


class Funds(Balance):
    def __init__(self) -> None:
        self.held: int | None = FUNDS
        self.forgotten = 0

    async def read(self) -> int | None:
        await checkpoint()
        return self.held

    def forget(self) -> None:
        self.forgotten += 1


class Till(Rail):
    """A rail. ``used`` are the serials that the chain knows, ``block`` the time of its newest block."""

    def __init__(self, token: Token, log: list[str]) -> None:
        self.funds = Funds()
        super().__init__(token, Chain[Any](("one host", "another")), self.funds)
        self.log = log
        self.block: int | None = None
        self.used: set[int] = set()
        self.asked: list[int] = []
        self.dead = self.hangs = False
        self.when_asked: Callable[[], object] | None = None
        self.fails: BaseException | None = None
        self.signed: list[tuple[int, int]] = []
        self.looks = 0
        self.moves: set[State] = set()
        """States of payments whose transfer the chain shows."""

    async def newest(self) -> int | None:
        await checkpoint()
        return self.block

    def sign(
        self,
        wallet: Wallet,
        challenge: Challenge,
        offer: Offer,
        *,
        purchase_key: bytes,
        purchase_id: str,
        serial: int,
        deadline: int,
    ) -> Signed:
        self.log.append("sign")
        self.signed.append((serial, deadline))
        if self.fails is not None:
            raise self.fails
        nonce = hashlib.sha256(purchase_key + bytes([serial])).digest()
        return Signed({"x-credential": f"{purchase_id}/{serial}"}, nonce, deadline, None)

    def read(self, headers: Mapping[str, str], status: int, payer: str) -> Reading:
        paid = headers.get("x-paid")
        return Reading(paid is not None, paid, "x-pending" in headers, headers.get("x-reason"))

    async def look(self, payment: Payment) -> Sight:
        await checkpoint()
        self.looks += 1
        if payment.state not in self.moves:
            return None
        return Moved(Transfer("0xmoved", 1, NOW // 1000, payment.pay_to, payment.amount), 0, final=True)

    async def confirms(self, host: Any, payment: Payment, sight: Sight) -> bool:
        return True

    async def was_used(self, wallet: Wallet, purchase_key: bytes, serial: int) -> bool:
        self.asked.append(serial)
        assert len(self.asked) < 100
        if self.when_asked is not None:
            self.when_asked()
        if self.hangs:
            await anyio.sleep_forever()
        if self.dead:
            raise ChainError("no host answers")
        return serial in self.used
