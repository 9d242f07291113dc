"""Purchases for $0.36, brought to any state by the moves that the corridor makes."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from seedance_mcp.guard.usage import WALLET, Outcome, Spent, Usage, Verdict
from seedance_mcp.ledger import payments, reservations, views
from seedance_mcp.ledger.database import Database
from seedance_mcp.ledger.reservations import Rule
from seedance_mcp.ledger.states import Intent, Payment, Purchase, State
from tests.guard.examples import PAY_TO

NOW = 1_700_000_000_000
CLIP = 360_000
VALID = 120
ME, ANOTHER = "me", "another"
SELLER, USDC = "https://seller.example", "0xtoken"
REFUSAL = Verdict(Outcome.REFUSE, "no", "because of this test")


def allow(usage: Usage) -> Verdict:
    return Verdict(Outcome.ALLOW, "allowed", "in this test")


def refuse(usage: Usage) -> Verdict:
    return REFUSAL


def intent(name: str = "dawn", take: int = 1, **changes: Any) -> Intent:
    """One clip; another ``name`` or ``take`` is another purchase."""
    plain = Intent(
        key=f"{name}/{take}".encode(),
        subject=name.encode(),
        agent="storyboard",
        model="seedance",
        take=take,
        generation=1,
        request={"prompt": name},
        rail="x402",
        network="eip155:8453",
        token=USDC,
        origin=SELLER,
        payer="0xpayer",
        pay_to=PAY_TO,
        amount=CLIP,
        fee=0,
        policy="digest",
    )
    return replace(plain, **changes)


@dataclass
class Desk:
    """A ledger and a clock that tests may turn, in epoch milliseconds."""

    database: Database
    now: int = NOW

    async def ask(
        self,
        what: Intent | None = None,
        *,
        owner: str = ME,
        rule: Rule = allow,
        needed: Sequence[tuple[str, str]] = ((WALLET, "hour"),),
    ) -> Purchase | Verdict:
        return await self.database.write(reservations.reserve, what or intent(), needed, rule, owner, self.now)

    async def reserve(self, what: Intent | None = None, *, owner: str = ME) -> Purchase:
        answer = await self.ask(what, owner=owner)
        assert isinstance(answer, Purchase)
        return answer

    async def sign(self, payment: Payment, owner: str = ME, nonce: bytes | None = None) -> bool:
        return await self.database.write(
            payments.sign,
            payment,
            owner,
            nonce=nonce or nonce_of(payment),
            deadline=self.now // 1000 + VALID,
            path="/api/generate",
            body="{}",
            sealed=b"sealed credential",
            now=self.now,
        )

    async def at(self, state: State, what: Intent | None = None, *, owner: str = ME) -> Payment:
        """A new payment in ``state``."""
        payment = (await self.reserve(what, owner=owner)).payment
        for move in PATHS[state]:
            await self.move(payment, move, owner)
        payment = await self.look(payment)
        assert payment.state is state
        return payment

    async def move(self, payment: Payment, to: State, owner: str = ME) -> bool:
        """Try one move; whether it was made."""
        write = self.database.write
        match to:
            case State.SIGNED:
                return await self.sign(payment, owner)
            case State.SENT:
                return await write(payments.send, payment, owner, self.now) is None
            case State.UNKNOWN:
                return await write(payments.park, payment, owner, self.now, "no answer")
            case State.CLAIMED:
                return await write(payments.claim, payment, "0xclaimed", self.now)
            case State.SETTLED:
                return await write(payments.settle, payment, "0xsettled", self.now // 1000, self.now)
            case State.EXPIRED:
                return await write(payments.expire, payment, self.now)
            case State.RELEASED:
                return await write(payments.release, payment, owner, self.now, "not signed")
        raise AssertionError(to)

    async def look(self, payment: Payment) -> Payment:
        return await self.database.read(views.payment_now, payment.id)

    async def find(self, purchase_id: str) -> Purchase:
        found = await self.database.read(views.find, purchase_id)
        assert found is not None
        return found

    async def usage(self, *needed: tuple[str, str]) -> Usage:
        return await self.database.read(views.usage, needed, SELLER, "x402", USDC, self.now)

    async def spent(self, scope: str = WALLET, window: str = "hour") -> Spent:
        return (await self.usage((scope, window))).spent[scope, window]


PATHS: dict[State, list[State]] = {
    State.RESERVED: [],
    State.RELEASED: [State.RELEASED],
    State.SIGNED: [State.SIGNED],
    State.SENT: [State.SIGNED, State.SENT],
    State.UNKNOWN: [State.SIGNED, State.SENT, State.UNKNOWN],
    State.CLAIMED: [State.SIGNED, State.SENT, State.CLAIMED],
    State.SETTLED: [State.SIGNED, State.SENT, State.SETTLED],
    State.EXPIRED: [State.SIGNED, State.SENT, State.UNKNOWN, State.EXPIRED],
}


def nonce_of(payment: Payment) -> bytes:
    return hashlib.sha256(f"{payment.purchase}/{payment.serial}".encode()).digest()
