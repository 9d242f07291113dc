"""Everything outside the processes, what an operator does, and how a purchase is asked for."""

import logging
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import seedance_mcp
from seedance_mcp.errors import BadChallenge, LedgerBusy
from seedance_mcp.guard.policy import BUILT_IN, Caps, Policy, parse_policy
from seedance_mcp.guard.usage import Outcome
from seedance_mcp.ledger import approvals, entries, payments, views
from seedance_mcp.ledger.states import UNCOUNTED, Payment, Purchase
from seedance_mcp.money import USD
from seedance_mcp.orders import Order
from seedance_mcp.payment.tokens import BASE_USDC, TEMPO_USDCE
from seedance_mcp.purchase import Corridor
from seedance_mcp.studio.models import UPLOAD_PATH, generate_path
from seedance_mcp.timing import begin_call
from seedance_mcp.uploads import Uploads
from tests.machine.base import Base
from tests.machine.chain import Ground, Lie
from tests.machine.clock import Clock, StandingLoop
from tests.machine.judge import Judge
from tests.machine.process import Call, Process
from tests.machine.seller import Seller
from tests.machine.store import Store
from tests.machine.tempo import Tempo

T = TypeVar("T")

PRICES = {"seedance": 400_000, "seedance-fast": 150_000, "upload": 10_000}
FUNDS = 50 * USD
POOR = 60_000
"""Micro-USD that pay for uploads and for no clip."""
ABOVE = "above_approval"
TOKENS = {"x402": BASE_USDC, "mpp": TEMPO_USDCE}


def policies() -> list[Policy]:
    """From wide to narrow; each has its own digest."""
    built_in = parse_policy(BUILT_IN)
    caps = built_in.caps
    tight = replace(caps, per_hour=900_000, per_day=1_300_000, unresolved=2)
    patient = {agent: Caps(unresolved=3) for agent in ("storyboard", "trailer")}
    changed = [
        replace(built_in, agents=patient, valid_for=300),
        replace(built_in, caps=tight, valid_for=300, rails=("mpp", "x402")),
        replace(built_in, caps=replace(tight, total=2_000_000, payments_per_hour=3), rails=("x402",)),
        replace(built_in, caps=replace(caps, per_hour=450_000), models={"seedance": Caps(per_day=800_000)}),
        replace(built_in, agents={"storyboard": Caps(per_day=600_000, unresolved=2)}, valid_for=30, rails=("mpp",)),
        replace(built_in, approval_above=200_000, caps=replace(tight, payments_per_day=4), rails=("mpp", "x402")),
    ]
    return [replace(policy, digest=f"policy {number}") for number, policy in enumerate(changed)]


def orders() -> list[Order]:
    """Few, so that calls meet one another."""

    def clip(agent: str, model: str, take: int = 1) -> Order:
        return Order(agent=agent, model=model, request={"prompt": "dawn"}, take=take, table=PRICES[model])

    image = {"sha256": "ab" * 32, "width": 640, "height": 480}
    return [
        clip("storyboard", "seedance"),
        clip("storyboard", "seedance", take=2),
        clip("storyboard", "seedance-fast"),
        clip("trailer", "seedance"),
        Order(agent="trailer", model="upload", request=image, table=PRICES["upload"]),
    ]


class World:
    """``same_machine``: processes see at once that another one has died, not only when its lease has run out."""

    def __init__(self, store: Store, *, same_machine: bool) -> None:
        self.clock = Clock()
        self.loop = StandingLoop(self.clock)
        self.store = store
        self.chains: Mapping[str, Ground] = {"x402": Base(self.clock), "mpp": Tempo(self.clock)}
        self.seller = Seller(self.clock, self.chains, dict(PRICES))
        self.policies = policies()
        self.policy = self.policies[0]
        self.funded: dict[str, int | None] = dict.fromkeys(self.chains, FUNDS)
        """What each rail's balance began with; None where it cannot be read."""
        self.scanned = dict.fromkeys(self.chains, 0)
        """How many of the transfers that went elsewhere the ledger was told of."""
        self.wanted: dict[bytes, tuple[str, int]] = {}
        self._same_machine = same_machine
        self._dead: set[str] = set()
        self._started = 0
        self._operator = store.door("operator", self.is_gone)
        self.judge = Judge(self, self._operator)
        self.processes = [self.open(), self.open()]
        self._complaints = _Complaints(self.judge)
        logging.getLogger(seedance_mcp.__name__).addHandler(self._complaints)

    def open(self) -> Process:
        self._started += 1
        return Process(self, f"process-{self._started}")

    def crash(self, slot: int) -> None:
        """Kill a process and start it anew."""
        process = self.processes[slot]
        self._dead.add(process.owner)
        process.kill()
        self.processes[slot] = self.open()

    def is_gone(self, owner: str) -> bool:
        return self._same_machine and owner in self._dead

    def funds(self, rail: str) -> int | None:
        begun = self.funded[rail]
        return None if begun is None else max(begun - self.chains[rail].gone, 0)

    def operate(self, statement: Callable[..., T], *args: Any) -> T:
        """A command of the operator, which no process of ours makes. It changes no payment."""
        before = self.judge.rows
        result = self._operator.write(statement, *args)
        self.judge.require(self.judge.read() == before, f"{statement} changed a payment")
        return result

    def scan(self, rail: str) -> None:
        """The ledger is told of every transfer out of the wallet, as a new one is; it books those that are not its own.

        Told twice, it books nothing more.
        """
        before, token, chain = self.judge.rows, TOKENS[rail], self.chains[rail]
        payer, now = self.processes[0].corridor.require_wallet().address, self.clock.wall()
        marks: dict[str, tuple[bytes, ...]] = {seen.transaction: (nonce,) for nonce, seen in chain.transfers.items()}
        seen = [
            entries.Seen(rail, token.network, token.address, payer, transfer.to, transfer.amount,
                         transfer.transaction, 0, transfer.timestamp * 1000, marks.get(transfer.transaction, ()))
            for transfer in (*chain.transfers.values(), *chain.charged(), *chain.elsewhere)
        ]  # fmt: skip
        self._operator.write(entries.scanned, seen, payer, token.network, now)
        self.scanned[rail] = len(chain.elsewhere)
        self.judge.booked(before)

    def write_off(self, payment_id: int) -> None:
        """The operator gives a payment up, which stays counted."""
        before, payment = self.judge.rows, self._operator.read(views.payment_now, payment_id)
        done = self._operator.write(payments.write_off, payment, self.clock.wall())
        self.judge.written_off(before, payment, done)

    def answer(self, *, approved: bool) -> None:
        """A human answers the oldest question that waits for one."""
        now = self.clock.wall()
        for purchase in self._operator.read(approvals.waiting, now)[:1]:
            done = partial(approvals.answer, approved=approved, by="the operator", now=now)
            self.operate(done, purchase.approval)
            self.judge.answered(purchase.id, approved=approved)

    def given_up(self) -> list[Payment]:
        return self._operator.read(views.given_up)

    def tick(self, seconds: int) -> None:
        self.clock.true += seconds * 1000
        for chain in self.chains.values():
            chain.grow()
        self.loop.drain()

    def lie(self, rail: str, host: int, lie: Lie) -> None:
        """At most one host of each chain lies."""
        for process in self.processes:
            for number, witness in enumerate(process.witnesses[rail]):
                witness.lie = lie if number == host else Lie.NONE

    def buy(self, process: Process, order: Order) -> Call:
        return process.start(f"buy {order.model}", lambda: _buy(process.corridor, order))

    def finish(self, process: Process, call: Call) -> None:
        """Let a call run as far as it comes without time passing."""
        call.free = True
        process.proceed(call)
        call.free = False

    def collect(self, process: Process) -> None:
        """Look at how calls ended, and forget them."""
        for call in [call for call in process.calls if call.ended]:
            process.calls.remove(call)
            self.judge.ended(call)

    def predict(self, process: Process, order: Order) -> None:
        """Estimate, then buy at once: the decision is the one that was predicted."""
        before = self.judge.dump()
        verdict = self._run(_preview(process.corridor, order))
        rows, self.judge.decision = self.judge.rows, None
        self.judge.require(self.judge.dump() == before, "an estimate changed the ledger")
        if self.judge.death_is_unnoticed():
            return
        call = self.buy(process, order)
        while call.at is not None and self.judge.decision is None:
            process.proceed(call)
        decided = self.judge.decision
        same = self.judge.decided_on == rows
        if same and decided not in {None, "met its first purchase"}:
            asks = verdict == ABOVE and decided == "asked"
            self.judge.require(decided == verdict or asks, f"{verdict} was predicted and {decided} decided")

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    def recover(self) -> None:
        """All processes die, the world becomes honest, time passes, and a new one takes up what is left: twice."""
        for rail in self.chains:
            self.lie(rail, 0, Lie.NONE)
        for slot in range(len(self.processes)):
            self.crash(slot)
        self.clock.skew = 0
        for chain in self.chains.values():
            chain.lag = 10
        # A process that died while its clock was ahead left a lease that is as far ahead.
        self.tick(max(600, (self.judge.last_lease() - self.clock.true) // 1000 + 1))
        process, seen = self.processes[0], []
        for _ in range(2):
            self.finish(process, process.start("sweep", process.recovery.sweep))
            self.collect(process)
            seen.append(self.judge.read())
        self.judge.require(seen[0] == seen[1], "a second recovery changed what the first one had made")
        self.judge.recovered()

    def close(self) -> None:
        logging.getLogger(seedance_mcp.__name__).removeHandler(self._complaints)
        for process in self.processes:
            process.kill()
        self.loop.close()
        self.store.close()


class _Complaints(logging.Handler):
    """What the product did not expect and lived with."""

    def __init__(self, judge: Judge) -> None:
        super().__init__()
        self._judge = judge

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        self._judge.require(isinstance(error, LedgerBusy), f"{record.getMessage()}: {error!r}")


async def _preview(corridor: Corridor, order: Order) -> str:
    quote = await corridor.quote(*_request(order))
    try:
        verdict = (await corridor.preview(order, quote)).verdict
    except BadChallenge:
        return "nothing to decide on"
    return "allowed" if verdict.outcome is Outcome.ALLOW else verdict.code


async def _buy(corridor: Corridor, order: Order) -> Purchase:
    begin_call()
    async with corridor.turn(order.key):
        known, replaces = await corridor.known(order), None
        if known is not None:
            purchase, _ = await corridor.resume(known)
            if purchase.payment.state not in UNCOUNTED:
                if order.model != "upload" or not purchase.paid or purchase.delivered:
                    return purchase
                # The rule of uploads by which one that was paid and never delivered may be bought again.
                await Uploads(corridor, None, (), order.agent)._require_replaceable(purchase, 0)  # type: ignore[arg-type]
                replaces = purchase.id
        quote = await corridor.quote(*_request(order))
        purchase, _ = await corridor.buy(replace(order, replaces=replaces), quote)
        return purchase


def _request(order: Order) -> tuple[str, Mapping[str, object]]:
    if order.model == "upload":
        return UPLOAD_PATH, {"filename": "a.png", "contentType": "image/png", "size": 1}
    return generate_path(order.model), dict(order.request)
