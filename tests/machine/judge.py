"""Looks at every transaction, every signature and every byte that leaves, with the chain as the truth."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from seedance_mcp.errors import LedgerBusy, LedgerError, Refused, SeedanceError
from seedance_mcp.guard.usage import WALLET, WINDOWS, Verdict
from seedance_mcp.ledger.check import problems
from seedance_mcp.ledger.database import Row
from seedance_mcp.ledger.states import MOVES, NEVER, OPEN, SAFETY, Intent, Payment, Purchase, State
from seedance_mcp.ledger.views import IN_FLIGHT
from seedance_mcp.orders import LONGEST_AHEAD
from tests.machine import endings
from tests.machine.chain import Authorization
from tests.machine.credentials import mark
from tests.machine.process import Call, Process
from tests.machine.seams import Killed
from tests.machine.store import Door
from tests.machine.truth import Rows, against_the_chain, caps_of, counted, in_scope, policy_of, scopes

if TYPE_CHECKING:
    from tests.machine.world import World

CLOCK_TOLERANCE = 60
LONGEST_VALIDITY = 300
"""Seconds of true time after which no signature may be good for anything, whatever the wall clock said."""
SLACK = LONGEST_AHEAD + CLOCK_TOLERANCE
"""A host that makes up the time of a block can make an entry older by the validity of its signature."""
TERMS = ("id", "purchase", "attempt", "serial", "agent", "model", "rail", "network", "token", "origin", "payer",
         "pay_to", "amount", "policy", "reserved_at")  # fmt: skip
SIGNED = ("nonce", "signed_hash", "deadline", "path", "body")
APPROVED = ("purchase", "amount", "fee", "pay_to", "token", "policy")
UNRESOLVED_DEFAULT = {WALLET: 3, "agent": 1}


class Judge:
    def __init__(self, world: "World", door: Door) -> None:
        self.world = world
        self._door = door
        self.rows: Rows = {}
        self._owners: dict[str, int] = {}
        self._now = 0
        self._changed = False
        self.wrong: list[str] = []
        self.lied: set[int] = set()
        self.decision: str | None = None
        self.decided_on: Rows = {}
        self._allowed_to_send: dict[str, list[bytes]] = {}
        self._bytes: dict[Authorization, str] = {}
        self._granted: list[tuple[object, ...]] = []

    def require(self, holds: bool, what: str) -> None:
        if not holds:
            self.wrong.append(what)

    def read(self) -> Rows:
        joined = "payments JOIN purchases ON purchases.id = payments.purchase"
        return {row["id"]: row for row in self._door.all(f"SELECT payments.*, key, kind FROM {joined}")}

    def dump(self) -> list[list[Row]]:
        tables = ("payments", "purchases", "approvals", "jobs", "owners", "pins", "ledger", "totals", "audit")
        return [self._door.all(f"SELECT * FROM {table}") for table in tables]

    def last_lease(self) -> int:
        return max((row["lease_until"] for row in self._door.all("SELECT * FROM owners")), default=0)

    # The seams call these.

    def before(self, process: Process, name: str, args: tuple[object, ...]) -> str | None:
        self._owners = {row["token"]: row["lease_until"] for row in self._door.all("SELECT * FROM owners")}
        # The time may have been read before the transaction could begin.
        told = [argument for argument in args if isinstance(argument, int)]
        self._now = told[0] if told else self.world.clock.wall()
        frozen: str | None = self._door.all("SELECT frozen FROM ledger")[0]["frozen"]
        return frozen

    def after(self, process: Process, name: str, args: tuple[object, ...], frozen: str | None, result: object) -> None:
        old, self.rows = self.rows, self.read()
        self._changed = True
        for number, row in self.rows.items():
            before = old.get(number)
            if before is None and row["kind"] == "fee":
                self.wrong += endings.charged(self.world, row, old, self.rows)
            elif before is None:
                self._admitted(process, row, old, frozen)
            elif before != row:
                self._moved(process, before, row, frozen)
        intent = next((argument for argument in args if isinstance(argument, Intent)), None)
        if intent is not None:
            self._decided(process, intent, result)
            self.decided_on = old
        if isinstance(result, Payment):
            self._may_send(process, self.rows[result.id], frozen)

    def signed(self, process: Process) -> None:
        call = process.current()
        assert call is not None
        call.signatures += 1
        reserved = [row for row in self.rows.values() if row["state"] == "reserved" and row["owner"] == process.owner]
        self.require(bool(reserved), "signed without a reservation")

    def sent(self, process: Process, paid: Authorization, headers: Mapping[str, str]) -> None:
        value = headers["PAYMENT-SIGNATURE" if paid.rail == "x402" else "Authorization"]
        self.require(self._bytes.setdefault(paid, value) == value, "other bytes for the same authorization")
        allowed = self._allowed_to_send.get(process.owner, [])
        self.require(paid.nonce in allowed, "sent without permission")
        self._allowed_to_send[process.owner] = [nonce for nonce in allowed if nonce != paid.nonce]
        rows = [row for row in self.rows.values() if (row["nonce"], row["deadline"]) == (paid.nonce, paid.valid_before)]
        self.require(len(rows) == 1, "bytes left that the ledger does not know")
        for row in rows:
            self.require(
                (row["rail"], mark(row["purchase"]), row["amount"], row["pay_to"].lower())
                == (paid.rail, paid.purchase, paid.amount, paid.pay_to),
                "the bytes that left differ from the row",
            )
            self.require(paid.rail == "x402" or row["signed_hash"] in (None, paid.transaction), "another transaction")
            self.require(bool(row["fee"]) == paid.pays_fee, "a fee that was not reserved, or will not be charged")
            self.require(row["state"] not in ("reserved", "signed", "released"), f"sent while {row['state']}")

    def ended(self, call: Call) -> None:
        """How a call ended: only by a result, or by an error that the product means to raise."""
        assert call.task is not None
        error = None if call.task.cancelled() else call.task.exception()
        if error is None or isinstance(error, Killed):
            return
        self.require(
            isinstance(error, SeedanceError) and (isinstance(error, LedgerBusy) or not isinstance(error, LedgerError)),
            f"{call.name} ended with {error!r}",
        )
        if isinstance(error, Refused) and error.code != Refused.code:
            self.require(call.signatures == 0, "refused, and signed all the same")

    # One transaction.

    def _admitted(self, process: Process, new: Row, old: Rows, frozen: str | None) -> None:
        policy, cost = policy_of(self.world, new), new["amount"] + new["fee"]
        asks = policy.approval_above is not None and cost > policy.approval_above
        if new["state"] == "intended":
            self.require(asks, "a human is asked about what the policy allows")
            return
        self.require(new["state"] == "reserved" and new["owner"] == process.owner, "a payment that begins elsewhere")
        self.require(frozen is None, "admitted while frozen")
        if asks:
            terms = tuple(new[term] for term in APPROVED)
            self.require(terms in self._granted, "admitted unapproved")
            self._granted = [granted for granted in self._granted if granted != terms]
        for scope in scopes(new):
            caps = caps_of(policy, scope)
            together = [row for row in counted(self.rows) if in_scope(row, scope)]
            # A wall clock that was looked at is right to a minute.
            limits = [(window, cap, "amount") for window, cap in caps.money()]
            limits += [(window, cap, "count") for window, cap in caps.counts()]
            for window, cap, what in limits:
                length = WINDOWS[window]
                since = -1 if length is None else self.world.clock.true + CLOCK_TOLERANCE * 1000 - length
                costs = [one["amount"] + one["fee"] for one in together if one["counted_at"] > since]
                used = sum(costs) if what == "amount" else len(costs)
                self.require(used <= cap, f"{used} of {cap} admitted per {window} in {scope}")
            self.require(caps.per_payment is None or cost <= caps.per_payment, "above per_payment")
            unset = UNRESOLVED_DEFAULT.get(scope.partition(":")[0])
            most = unset if caps.unresolved is None else caps.unresolved
            held = [one for one in old.values() if in_scope(one, scope) and self._is_unresolved(one)]
            self.require(most is None or len(held) < most, f"admitted beside {len(held)} unresolved in {scope}")

    def _moved(self, process: Process, old: Row, new: Row, frozen: str | None) -> None:
        before, after = State(old["state"]), State(new["state"])
        me, name = process.owner, f"payment {new['id']} ({before} to {after})"
        self.require(after is before or after in MOVES[before], f"{name}: no such move")
        self.require(all(old[term] == new[term] for term in TERMS), f"{name}: its terms changed")
        kept = before is State.RESERVED or all(old[term] == new[term] for term in SIGNED)
        self.require(kept, f"{name}: what was signed changed")
        less = after is State.SETTLED and before is not after and new["fee"] <= old["fee"]
        self.require(less or new["fee"] == old["fee"], f"{name}: its fee changed from {old['fee']} to {new['fee']}")
        if before is after:
            self.require(before not in endings.FINAL, f"{name}: a final payment changed")
        mine = old["owner"] == me
        if after is State.SIGNED and before is not after:
            self.require(mine, f"{name}: signed by {me}, which does not own it")
        elif after not in {State.CLAIMED, State.SETTLED, State.EXPIRED}:
            # The others are what a seller or the chain has proved: it does not matter who writes it down.
            self.require(mine or not self._is_alive(old["owner"]), f"{name}: moved by {me} under a living owner")
        if after is State.SIGNED and before is not after:
            self.require(frozen is None, f"{name}: signed while frozen")
            latest = self.world.clock.true // 1000 + LONGEST_VALIDITY
            self.require(new["deadline"] <= latest, f"{name}: valid for {new['deadline'] - latest} s too long")
            again = [row for row in self.rows.values() if row["nonce"] and row["purchase"] == new["purchase"]]
            self.require(all(row["rail"] == new["rail"] for row in again), f"{name}: it was signed for another rail")
            nonces = {row["nonce"] for row in again if row["rail"] == "x402" and row["serial"] == new["serial"]}
            self.require(len(nonces) <= 1, f"{name}: a second nonce")
            self.world.wanted[new["nonce"]] = (new["pay_to"], new["amount"])
        if after is not before:
            self.wrong += endings.ended(self.world, new)
            if after is State.SETTLED and endings.is_made_up(self.world, new):
                self.lied.add(new["id"])

    def _decided(self, process: Process, intent: Intent, result: object) -> None:
        if isinstance(result, Verdict):
            self.decision = result.code
        elif isinstance(result, Purchase) and result.unanswered:
            self.decision = "asked"
        elif isinstance(result, Purchase):
            mine = result.payment.state is State.RESERVED and result.payment.owner == process.owner
            self.decision = "allowed" if mine else "met its first purchase"
            others = [
                row for row in self._same_subject(intent) if row["id"] != result.payment.id and mine
                and State(row["state"]) in OPEN and (row["key"] == intent.key or self._is_unresolved(row))
            ]  # fmt: skip
            self.require(not others, "bought while an earlier payment for it is open")

    def _may_send(self, process: Process, row: Row, frozen: str | None) -> None:
        self.require(frozen is None, "allowed to send while frozen")
        self.require(row["owner"] == process.owner, "allowed to send by a process that does not own it")
        self.require(self.world.clock.wall() < (row["deadline"] - SAFETY) * 1000, "allowed to send too late")
        self._allowed_to_send.setdefault(process.owner, []).append(row["nonce"])

    def _same_subject(self, intent: Intent) -> list[Row]:
        rows = self._door.all(
            "SELECT payments.*, purchases.key, purchases.subject FROM payments "
            "JOIN purchases ON purchases.id = payments.purchase"
        )
        return [row for row in rows if row["subject"] == intent.subject]

    def _is_alive(self, owner: str) -> bool:
        return self._owners.get(owner, 0) > self._now and not self.world.is_gone(owner)

    def _is_unresolved(self, row: Row) -> bool:
        if row["state"] not in ("signed", "sent"):
            return bool(row["state"] == "unknown")
        waits = self._now - (row["sent_at"] or NEVER)
        return waits > IN_FLIGHT or not self._is_alive(row["owner"])

    def death_is_unnoticed(self) -> bool:
        """Whether a decision would first clear away what the dead left, which an estimate only looks at."""
        self._now = self.world.clock.wall()
        self._owners = {row["token"]: row["lease_until"] for row in self._door.all("SELECT * FROM owners")}
        left = [row for row in self.rows.values() if row["state"] == "reserved" and not self._is_alive(row["owner"])]
        return bool(left) or any(map(self.world.is_gone, self._owners))

    # The operator.

    def answered(self, purchase: str, *, approved: bool) -> None:
        """A yes is for the terms that were asked about, once; whatever was said before is void."""
        self._granted = [granted for granted in self._granted if granted[0] != purchase]
        asked = [row for row in self.rows.values() if (row["purchase"], row["state"]) == (purchase, "intended")]
        if approved:
            self._granted += [tuple(row[term] for term in APPROVED) for row in asked]

    def booked(self, old: Rows) -> None:
        """A scan added entries, and nothing else."""
        self.rows, self._changed = self.read(), True
        self.require(old.items() <= self.rows.items(), "a scan changed a payment")

    def written_off(self, old: Rows, payment: Payment, done: bool) -> None:
        self.rows, self._changed = self.read(), True
        others = {number: row for number, row in self.rows.items() if not done or number != payment.id}
        self.require(others.items() <= old.items(), "a write-off changed another payment")
        if done:
            row, before = self.rows[payment.id], old[payment.id]
            self.require(before["state"] in ("signed", "sent", "unknown"), f"written off while {before['state']}")
            self.require(row["counted_at"] == row["deadline"] * 1000, "written off, and not counted at its deadline")
            self.require(self.world.clock.wall() >= row["deadline"] * 1000, "written off before its deadline")

    # The whole.

    def after_step(self) -> None:
        self.wrong += against_the_chain(self.world, self.rows, slack=SLACK if self.lied else CLOCK_TOLERANCE)
        if self._changed:
            self._changed = False
            self.wrong += self._door.read(problems)
        assert not self.wrong, "\n".join(self.wrong)

    def recovered(self) -> None:
        self.wrong += endings.recovered(self.world, self.rows, self.lied)
