"""A reservation like the corridor's, and the bare INSERT that it is measured against."""

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter_ns

import apsw

from seedance_mcp.guard.decision import decide, scopes
from seedance_mcp.guard.policy import Policy, parse_policy
from seedance_mcp.guard.usage import Proposal, Usage, Verdict
from seedance_mcp.ledger import payments, reservations
from seedance_mcp.ledger.sqlite import SQLite
from seedance_mcp.ledger.states import Intent, Purchase

ORIGIN, TOKEN, PAY_TO = "https://seller.example", "0xtoken", "0xrecipient"
MODELS, AGENTS, RAILS = ("seedance", "seedance-fast", "upload"), ("storyboard", "trailer", "default"), ("x402", "mpp")
PRICE = 360_000
_CAPS = """\
per_payment = "1.00"
per_hour = "1000000"
per_day = "1000000"
per_week = "1000000"
per_month = "1000000"
"""
POLICY = f"version = 1\n[caps]\n{_CAPS}[models.{MODELS[0]}]\n{_CAPS}[agents.{AGENTS[0]}]\n{_CAPS}"
"""Caps of every window on the wallet, the model and the agent; all of them are far away."""


@dataclass
class Desk:
    """Reserves in one ledger, as one process."""

    database: SQLite
    owner: str = field(default_factory=lambda: secrets.token_hex(16))
    policy: Policy = field(default_factory=lambda: parse_policy(POLICY))

    @property
    def needed(self) -> Sequence[tuple[str, str]]:
        limited = scopes(self.policy, MODELS[0], AGENTS[0])
        return [(scope, window) for scope, caps in limited for window, _ in caps.money()]

    def rule(self, usage: Usage) -> Verdict:
        return decide(self.policy, usage, PROPOSAL)

    async def reserve(self) -> int:
        """Nanoseconds of one durable reservation, which is given back when they are counted."""
        wanted, needed, now = intent(), self.needed, time.time_ns() // 1_000_000
        began = perf_counter_ns()
        bought = await self.database.write(reservations.reserve, wanted, needed, self.rule, self.owner, now)
        took = perf_counter_ns() - began
        assert isinstance(bought, Purchase), bought
        await self.database.write(payments.release, bought.payment, self.owner, now, "measured")
        return took


class Bare:
    """One row into one table: the least that is durable."""

    def __init__(self, path: Path) -> None:
        self._connection = apsw.Connection(str(path))
        self._connection.set_busy_timeout(60_000)
        self._connection.execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL").fetchall()
        self._connection.execute("CREATE TABLE IF NOT EXISTS bare (at INTEGER)")

    def insert(self) -> int:
        """Nanoseconds."""
        began = perf_counter_ns()
        self._connection.execute("INSERT INTO bare VALUES (?)", (began,))
        return perf_counter_ns() - began

    def close(self) -> None:
        self._connection.close()


def intent() -> Intent:
    """Another clip each time."""
    key = secrets.token_bytes(32)
    request = {"prompt": "a slow camera move over a misty valley at dawn " * 3, "seed": key.hex(), "duration": 5}
    return Intent(
        key=key, subject=key, agent=AGENTS[0], model=MODELS[0], take=1, generation=1, request=request, rail=RAILS[0],
        network="eip155:8453", token=TOKEN, origin=ORIGIN, payer="0xpayer", pay_to=PAY_TO, amount=PRICE, fee=0,
        policy="digest", proposal=PROPOSED,
    )  # fmt: skip


PROPOSAL = Proposal(
    agent=AGENTS[0], model=MODELS[0], price=PRICE, fee=0, rail=RAILS[0], pay_to=PAY_TO, shipped_pay_to=PAY_TO,
    quoted=PRICE, table=PRICE, generation=1, balance=10**12,
)  # fmt: skip
PROPOSED = {name: getattr(PROPOSAL, name) for name in Proposal.__dataclass_fields__}
