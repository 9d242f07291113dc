"""What can happen, as rules; after each of them everything is judged."""

from functools import partial

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from seedance_mcp.ledger import operator, payments
from seedance_mcp.orders import SHIPPED_PAY_TO
from tests.machine.chain import Lie
from tests.machine.process import Call, Process
from tests.machine.seams import Fault, Seam
from tests.machine.seller import ANOTHER_ADDRESS, Deed, Reply
from tests.machine.store import Store
from tests.machine.world import FUNDS, POOR, PRICES, World, orders, policies

HOUR, DAY = 3600, 86_400
CALLS = 3

slots = st.integers(0, 1)
chosen_orders = st.integers(0, len(orders()) - 1)
seams = st.sampled_from(list(Seam))
nths = st.sampled_from([1, 1, 1, 2, 3, 4])
replies = st.sampled_from(list(Reply))
deeds = st.sampled_from([Deed.TAKE, Deed.TAKE, Deed.KEEP, Deed.FAIL])
rails = st.sampled_from(["x402", "mpp"])
lies = st.sampled_from([Lie.NONE] * 6 + list(Lie))
offers = st.sampled_from([("x402", "mpp")] * 3 + [("x402",), ("mpp",)])
funds = st.sampled_from([FUNDS, FUNDS, None, POOR])
jumps = st.sampled_from([0] * 9 + [HOUR, -HOUR, DAY + HOUR])
faults = st.sampled_from([Fault.NONE] * 6 + [Fault.BUSY, Fault.FROZEN])


class Machine(RuleBasedStateMachine):
    def store(self) -> Store:
        raise NotImplementedError

    @initialize(
        same_machine=st.booleans(),
        policy=st.integers(0, len(policies()) - 1),
        deed=deeds,
        reply=replies,
        ahead=st.sampled_from([0, 0, 0, 55, -55]),
    )
    def begin(self, same_machine: bool, policy: int, deed: Deed, reply: Reply, ahead: int) -> None:
        self.world = World(self.store(), same_machine=same_machine)
        self.world.clock.skew = ahead * 1000
        self.world.policy = self.world.policies[policy]
        self.seller_changes(deed, reply)

    def teardown(self) -> None:
        if hasattr(self, "world"):
            try:
                if not self.world.judge.wrong:
                    self.world.recover()
                    self.world.judge.after_step()
            finally:
                self.world.close()

    @invariant()
    def everything_holds(self) -> None:
        if hasattr(self, "world"):
            self.judge()

    def judge(self) -> None:
        for process in self.world.processes:
            self.world.collect(process)
        self.world.judge.after_step()

    # Processes.

    def process(self, slot: int) -> Process | None:
        process = self.world.processes[slot]
        return process if len(process.calls) < CALLS else None

    def waiting(self, slot: int) -> tuple[Process, list[Call]]:
        process = self.world.processes[slot]
        return process, [call for call in process.calls if call.at is not None]

    @rule(slot=slots, order=chosen_orders, seam=seams, nth=nths)
    def buy(self, slot: int, order: int, seam: Seam, nth: int) -> None:
        if process := self.process(slot):
            process.proceed_to(self.world.buy(process, orders()[order]), seam, nth)

    @rule(slot=slots, order=chosen_orders)
    def buy_to_the_end(self, slot: int, order: int) -> None:
        if process := self.process(slot):
            self.world.finish(process, self.world.buy(process, orders()[order]))

    @rule(slot=slots, order=chosen_orders)
    def estimate_and_buy(self, slot: int, order: int) -> None:
        if process := self.process(slot):
            self.world.predict(process, orders()[order])

    @rule(slot=slots, which=st.integers(0, 7))
    def look_up(self, slot: int, which: int) -> None:
        purchases = sorted({row["purchase"] for row in self.world.judge.rows.values()})
        if (process := self.process(slot)) and purchases:
            purchase = purchases[which % len(purchases)]
            process.start("look up", lambda: process.recovery.look_up(purchase))

    @rule(slot=slots)
    def sweep(self, slot: int) -> None:
        if process := self.process(slot):
            process.start("sweep", process.recovery.sweep)

    @rule(slot=slots)
    def sweep_to_the_end(self, slot: int) -> None:
        if process := self.process(slot):
            self.world.finish(process, process.start("sweep", process.recovery.sweep))

    @rule(slot=slots, which=st.integers(0, CALLS - 1), seam=seams, fault=faults, jump=jumps)
    def go_on(self, slot: int, which: int, seam: Seam, fault: Fault, jump: int) -> None:
        process, calls = self.waiting(slot)
        if calls:
            call = calls[which % len(calls)]
            self.stumble(process, call, fault, jump)
            process.proceed_to(call, seam)

    @rule(slot=slots, order=chosen_orders, seam=seams, nth=nths, fault=faults, jump=jumps)
    def buy_and_stumble(self, slot: int, order: int, seam: Seam, nth: int, fault: Fault, jump: int) -> None:
        if process := self.process(slot):
            call = self.world.buy(process, orders()[order])
            process.proceed_to(call, seam, nth)
            self.stumble(process, call, fault, jump)
            self.world.finish(process, call)

    def stumble(self, process: Process, call: Call, fault: Fault, jump: int) -> None:
        """Past one seam, with a fault there and a clock that is ``jump`` seconds off for that long."""
        if fault is Fault.FROZEN:
            self.freeze(frozen=True)
        self.world.clock.skew += jump * 1000
        process.proceed(call, fault)
        self.world.clock.skew -= jump * 1000
        if fault is Fault.FROZEN:
            self.freeze(frozen=False)

    @rule(slot=slots, order=chosen_orders, seam=seams, nth=nths, others=seams, late=st.booleans(), ends=st.booleans())
    def both_buy(self, slot: int, order: int, seam: Seam, nth: int, others: Seam, late: bool, ends: bool) -> None:
        """One is stopped; the other is asked for the same, after the lease is over if it is ``late``; one goes on."""
        first, second = self.process(slot), self.process(1 - slot)
        if first and second:
            call = self.world.buy(first, orders()[order])
            first.proceed_to(call, seam, nth)
            self.world.tick(16 if late else 0)
            second.proceed_to(self.world.buy(second, orders()[order]), others)
            if ends:
                self.world.finish(first, call)

    @rule(slot=slots)
    def go_on_to_the_end(self, slot: int) -> None:
        process, calls = self.waiting(slot)
        for call in calls:
            self.world.finish(process, call)

    @rule(slot=slots, which=st.integers(0, CALLS - 1))
    def give_up(self, slot: int, which: int) -> None:
        process, calls = self.waiting(slot)
        if calls:
            process.give_up(calls[which % len(calls)])

    @rule(slot=slots)
    def show_life(self, slot: int) -> None:
        process = self.world.processes[slot]
        process.door.write(payments.beat, process.owner, self.world.clock.wall())

    @rule(slot=slots)
    def crash(self, slot: int) -> None:
        self.world.crash(slot)

    @rule()
    def good_day(self) -> None:
        """Nothing that happened stands in the way of a purchase; most sequences would soon end in refusals else."""
        self.freeze(frozen=False)
        self.wall_clock_jumps(0)
        self.seller_asks(price=100, swapped=False)
        self.seller_offers(rails=("x402", "mpp"), sponsored=False)
        self.wallet_is_funded(FUNDS, FUNDS)

    # The seller and the chain.

    @rule(deed=deeds, reply=replies)
    def seller_changes(self, deed: Deed, reply: Reply) -> None:
        self.world.seller.deed, self.world.seller.reply = deed, reply

    @rule(rails=offers, sponsored=st.sampled_from([False, False, True]))
    def seller_offers(self, rails: tuple[str, ...], sponsored: bool) -> None:
        self.world.seller.rails, self.world.seller.sponsored = rails, sponsored

    @rule(price=st.sampled_from([100] * 4 + [120, 200]), swapped=st.sampled_from([False] * 5 + [True]))
    def seller_asks(self, price: int, swapped: bool) -> None:
        self.world.seller.prices = {model: usual * price // 100 for model, usual in PRICES.items()}
        self.world.seller.pay_to = ANOTHER_ADDRESS if swapped else SHIPPED_PAY_TO

    @rule(which=st.integers(0, 7), deed=st.sampled_from([Deed.TAKE, Deed.TAKE, Deed.FAIL]))
    def seller_takes_late(self, which: int, deed: Deed) -> None:
        held = self.world.seller.held
        if held:
            self.world.seller.do(deed, held[-1 - which % len(held)])

    @rule(which=st.integers(0, 7))
    def wallet_cancels(self, which: int) -> None:
        held = self.world.seller.held
        if held:
            cancelled = held[-1 - which % len(held)]
            self.world.chains[cancelled.rail].cancel(cancelled)

    @rule(rail=rails)
    def reorganise(self, rail: str) -> None:
        self.world.chains[rail].reorganise()

    @rule(rail=rails, lag=st.sampled_from([0, 10, 60, 10_000]))
    def finality_changes(self, rail: str, lag: int) -> None:
        self.world.chains[rail].lag = lag

    @rule(rail=rails, host=st.sampled_from([0, 0, 1]), lie=lies)
    def host_lies(self, rail: str, host: int, lie: Lie) -> None:
        self.world.lie(rail, host, lie)

    @rule(slot=slots, rail=rails, host=st.integers(0, 1), lie=lies, seconds=st.sampled_from([0, 5, 125, 400]))
    def sweep_while_a_host_lies(self, slot: int, rail: str, host: int, lie: Lie, seconds: int) -> None:
        self.world.lie(rail, host, lie)
        self.world.tick(seconds)
        self.sweep_to_the_end(slot)

    @rule(
        slot=slots,
        order=chosen_orders,
        deed=deeds,
        reply=replies,
        host=st.integers(0, 1),
        lie=lies,
        seconds=st.sampled_from([5, 125, 400]),
    )
    def buy_and_sweep(self, slot: int, order: int, deed: Deed, reply: Reply, host: int, lie: Lie, seconds: int) -> None:
        """The life of one payment, with a host that lies about its end."""
        self.good_day()
        self.seller_changes(deed, reply)
        self.buy_to_the_end(slot, order)
        if held := self.world.seller.held:
            self.sweep_while_a_host_lies(slot, held[-1].rail, host, lie, seconds)

    @rule(rail=rails, amount=st.sampled_from([1, 150_000, 900_000]))
    def wallet_spends_elsewhere(self, rail: str, amount: int) -> None:
        self.world.chains[rail].spend(amount)

    # Time.

    @rule(seconds=st.sampled_from([1, 5, 16, 16, 125, 310, 400, HOUR, DAY + HOUR]))
    def time_passes(self, seconds: int) -> None:
        self.world.tick(seconds)

    @rule(seconds=st.sampled_from([0] * 6 + [50, 50, -50, 61, -61, HOUR, -HOUR, DAY + HOUR, 10 * 365 * DAY]))
    def wall_clock_jumps(self, seconds: int) -> None:
        self.world.clock.skew = seconds * 1000

    # The operator.

    @rule(policy=st.integers(0, len(policies()) - 1))
    def policy_changes(self, policy: int) -> None:
        self.world.policy = self.world.policies[policy]

    @rule(base=funds, tempo=funds)
    def wallet_is_funded(self, base: int | None, tempo: int | None) -> None:
        self.world.funded = {"x402": base, "mpp": tempo}

    @rule(which=st.integers(0, 7))
    def operator_writes_off(self, which: int) -> None:
        rows = self.world.judge.rows.values()
        if signed := [row["id"] for row in rows if row["nonce"] and row["state"] != "expired"]:
            self.world.write_off(signed[-1 - which % len(signed)])

    @rule(approved=st.sampled_from([True, True, False]))
    def human_answers(self, approved: bool) -> None:
        self.world.answer(approved=approved)

    @rule(slot=slots)
    def look_up_what_was_given_up(self, slot: int) -> None:
        if process := self.process(slot):
            for payment in self.world.given_up()[:1]:
                process.start("look up what was given up", partial(process.recovery.look_up, payment.purchase))

    @rule(rail=rails)
    def scan(self, rail: str) -> None:
        self.world.scan(rail)

    @rule(frozen=st.sampled_from([False, False, True]))
    def freeze(self, frozen: bool) -> None:
        now = self.world.clock.wall()
        if frozen:
            self.world.operate(operator.freeze, "for a while", now)
        else:
            self.world.operate(operator.unfreeze, now)

    @rule()
    def recover(self) -> None:
        self.world.recover()
