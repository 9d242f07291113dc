"""How payments may end, with the chains as the truth. Each sentence is something wrong."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from seedance_mcp.ledger.database import Row
from seedance_mcp.ledger.states import State
from tests.machine.chain import Lie
from tests.machine.truth import Rows

if TYPE_CHECKING:
    from tests.machine.world import World

FINAL = frozenset({State.SETTLED, State.RELEASED, State.EXPIRED, State.WRITTEN_OFF})
BELIEVED = frozenset({Lie.FORGE, Lie.AHEAD})
"""One host is enough to make a payment count for longer than it should; it only never gives budget back."""


def is_made_up(world: "World", row: Row) -> bool:
    """Whether a settlement is in the ledger that is not on the chain."""
    transfer = world.chains[row["rail"]].moved(row["nonce"], by=world.chains[row["rail"]].final)
    return transfer is None or transfer.transaction != row["transaction_hash"]


def ended(world: "World", row: Row) -> Iterator[str]:
    """A payment has just come to its state."""
    chain, name = world.chains[row["rail"]], f"payment {row['id']}"
    match State(row["state"]):
        case State.RELEASED if row["nonce"] is not None:
            yield f"{name}: budget came back for signed bytes"
        case State.EXPIRED:
            if row["nonce"] in chain.transfers or row["nonce"] in chain.cancelled:
                yield f"{name} expired, and it was used"
            failed = chain.failures.get(row["nonce"])
            in_vain = failed is not None and failed.block <= chain.final
            if not in_vain and chain.final_time <= row["deadline"]:
                yield f"{name} expired, and it could still be used"
        case State.SETTLED if is_made_up(world, row):
            lies = {witness.lie for process in world.processes for witness in process.witnesses[row["rail"]]}
            if lies.isdisjoint(BELIEVED):
                yield f"{name} is settled, and nothing is final on the chain"
        case State.SETTLED:
            if row["counted_at"] < chain.transfers[row["nonce"]].timestamp * 1000:
                yield f"{name} is counted before its block"


def charged(world: "World", entry: Row, old: Rows, rows: Rows) -> Iterator[str]:
    """The fee of a transaction that failed was booked: as its payment's budget came back, and at its block."""
    name, chain = f"entry {entry['id']}", world.chains[entry["rail"]]
    final = {failure.transaction: memo for memo, failure in chain.failures.items() if failure.block <= chain.final}
    memo = final.get(entry["transaction_hash"])
    if memo is None:
        yield f"{name}: no final transaction of this hash failed"
        return
    (payment,) = [number for number, row in rows.items() if row["nonce"] == memo]
    if rows[payment]["state"] != "expired" or old[payment]["state"] == "expired":
        yield f"{name}: its payment is {rows[payment]['state']}"
    if entry["counted_at"] < chain.failures[memo].timestamp * 1000:
        yield f"{name} is counted before its block"


def recovered(world: "World", rows: Rows, made_up: set[int]) -> Iterator[str]:
    """Nothing is open but what was cancelled on the chain, and the ledger counts just what moved.

    What was written off is left as it is, and ``made_up`` are settlements that a host has lied about.
    """
    for row in rows.values():
        chain, state, name = world.chains[row["rail"]], State(row["state"]), f"payment {row['id']}"
        if row["kind"] != "bought" or row["nonce"] in chain.cancelled or state is State.WRITTEN_OFF:
            continue
        if state not in {*FINAL, State.INTENDED}:
            yield f"{name} is still {state}"
        paid = chain.is_taken(row["nonce"], row["deadline"])
        if (state is State.SETTLED) != (paid or row["id"] in made_up):
            yield f"{name} is {state} in the end"
        elif paid and row["id"] not in made_up and row["fee"] != chain.fees[row["nonce"]]:
            yield f"{name} cost a fee of {chain.fees[row['nonce']]}, and {row['fee']} is counted in the end"
