"""The ledger next to the chains, on which nothing is hidden and nothing is a lie. Each sentence is something wrong."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from seedance_mcp.guard.policy import Caps, Policy
from seedance_mcp.guard.usage import WALLET, WINDOWS
from seedance_mcp.ledger.database import Row
from seedance_mcp.ledger.states import UNCOUNTED, State
from tests.machine.chain import Authorization

if TYPE_CHECKING:
    from tests.machine.world import World

Rows = Mapping[int, Row]


@dataclass(frozen=True, slots=True)
class Debit:
    """Money that left the wallet: for which payment, when (epoch seconds), and how much with its fee."""

    row: Row
    at: int
    cost: int

    @property
    def bought(self) -> bool:
        return bool(self.row["kind"] == "bought")


def against_the_chain(world: "World", rows: Rows, slack: int) -> Iterator[str]:
    """``slack`` is the seconds by which an entry may have grown too old in the eyes of the ledger."""
    yield from _uncounted(world, rows)
    yield from _wrong_entries(world, rows)
    yield from _beyond_a_cap(world, rows, slack)
    yield from _paid_twice(world, rows)


def _uncounted(world: "World", rows: Rows) -> Iterator[str]:
    """The ledger counts every transfer that ever happened, once, for just what it was, and never less than its fee."""
    for chain in world.chains.values():
        for nonce, transfer in chain.transfers.items():
            found = [row for row in counted(rows) if row["nonce"] == nonce]
            if [(row["amount"], row["pay_to"].lower()) for row in found] != [(transfer.amount, transfer.to)]:
                yield f"a transfer of {transfer.amount} to {transfer.to} is counted by {len(found)} payments"
            elif found[0]["fee"] < chain.fees[nonce]:
                yield f"payment {found[0]['id']} cost a fee of {chain.fees[nonce]}, and {found[0]['fee']} is counted"
        for memo, failure in chain.failures.items():
            fees = [row["fee"] for row in counted(rows) if row["nonce"] == memo]
            fees += [row["fee"] for row in entries(rows, "fee") if row["transaction_hash"] == failure.transaction]
            if chain.fees[memo] and (len(fees) != 1 or fees[0] < chain.fees[memo]):
                yield f"a transaction that failed cost {chain.fees[memo]}, and {fees} are counted"


def _wrong_entries(world: "World", rows: Rows) -> Iterator[str]:
    """What counts without having been bought here is what happened: fees of failures, and what went elsewhere."""
    failed = {
        failure.transaction: chain.fees[memo]
        for chain in world.chains.values()
        for memo, failure in chain.failures.items()
    }
    for row in entries(rows, "fee"):
        if failed.get(row["transaction_hash"]) != row["fee"]:
            yield f"entry {row['id']} is a fee of {row['fee']} that nothing cost"
    for rail, chain in world.chains.items():
        booked = [row for row in entries(rows, "outside") if row["rail"] == rail]
        spent = {(transfer.transaction, transfer.amount) for transfer in chain.elsewhere[: world.scanned[rail]]}
        if len(booked) != len(spent) or {(row["transaction_hash"], row["amount"]) for row in booked} != spent:
            yield f"over {rail} went {spent} elsewhere, and there are {len(booked)} entries for it"


def _beyond_a_cap(world: "World", rows: Rows, slack: int) -> Iterator[str]:
    """Money that moved within any window is at most the cap under which the last of its payments was admitted."""
    moved = list(_debits(world, rows))
    for last in moved:
        for window, length in WINDOWS.items():
            since = last.at - length // 1000 + slack if length is not None else 0
            inside = [one for one in moved if since < one.at <= last.at]
            for scope in {scope for one in inside for scope in scopes(one.row)}:
                yield from _above(world, [one for one in inside if in_scope(one.row, scope)], scope, window)


def _above(world: "World", together: list[Debit], scope: str, window: str) -> Iterator[str]:
    bought = [one for one in together if one.bought]
    if not bought:
        return
    newest = max((one.row for one in bought), key=lambda row: int(row["id"]))
    cap = dict(caps_of(policy_of(world, newest), scope).money()).get(window)
    # What was found out after it was admitted, nobody could have known.
    total = sum(one.cost for one in together if one.bought or one.row["id"] < newest["id"])
    if cap is not None and total > cap:
        yield f"{total} moved per {window} in {scope}, and the cap was {cap}"


def _debits(world: "World", rows: Rows) -> Iterator[Debit]:
    for chain in world.chains.values():
        for row in rows.values():
            nonce = row["nonce"]
            if nonce in chain.transfers and State(row["state"]) not in UNCOUNTED:
                transfer = chain.transfers[nonce]
                yield Debit(row, transfer.timestamp, transfer.amount + chain.fees[nonce])
            elif nonce in chain.failures:
                yield Debit(row, chain.failures[nonce].timestamp, chain.fees[nonce])
    for row in entries(rows, "outside"):
        for transfer in world.chains[row["rail"]].elsewhere:
            if transfer.transaction == row["transaction_hash"]:
                yield Debit(row, transfer.timestamp, transfer.amount)


def _paid_twice(world: "World", rows: Rows) -> Iterator[str]:
    """Nothing that was asked for has two signatures abroad that could both be used, over whichever rails.

    And no purchase was paid twice.
    """
    signed = {(row["nonce"], row["deadline"]): row for row in rows.values()}
    live = dict[bytes, Authorization]()
    for held in world.seller.held:
        chain, row = world.chains[held.rail], signed.get((held.nonce, held.valid_before))
        usable = held.valid_before > chain.block(chain.head).timestamp and not chain.is_used(held.nonce)
        if usable and row is not None and live.setdefault(row["key"], held) != held:
            yield f"two live authorizations for {row['purchase']}"
    paid: dict[str, set[bytes]] = {}
    for row in rows.values():
        if any(row["nonce"] in chain.transfers for chain in world.chains.values()):
            paid.setdefault(row["purchase"], set()).add(row["nonce"])
    yield from (f"{purchase} was paid {len(nonces)} times" for purchase, nonces in paid.items() if len(nonces) > 1)


def counted(rows: Rows) -> list[Row]:
    return [row for row in rows.values() if State(row["state"]) not in UNCOUNTED]


def entries(rows: Rows, kind: str) -> list[Row]:
    return [row for row in rows.values() if row["kind"] == kind]


def policy_of(world: "World", row: Row) -> Policy:
    """The policy under which the payment was admitted."""
    return next(policy for policy in world.policies if policy.digest == row["policy"])


def scopes(row: Row) -> tuple[str, ...]:
    return WALLET, f"model:{row['model']}", f"agent:{row['agent']}"


def caps_of(policy: Policy, scope: str) -> Caps:
    kind, _, name = scope.partition(":")
    if kind == WALLET:
        return policy.caps
    return (policy.models if kind == "model" else policy.agents).get(name, Caps())


def in_scope(row: Row, scope: str) -> bool:
    kind, _, name = scope.partition(":")
    return kind == WALLET or bool(row[kind] == name)
