"""The ledger next to the chain, on which nothing is hidden and nothing is a lie. Each sentence is something wrong."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from seedance_mcp.guard.policy import Caps, Policy
from seedance_mcp.guard.usage import WALLET, WINDOWS
from seedance_mcp.ledger.database import Row
from seedance_mcp.ledger.states import UNCOUNTED, State
from tests.machine.chain import Authorization

if TYPE_CHECKING:
    from tests.machine.world import World

Rows = Mapping[int, Row]


def against_the_chain(world: "World", rows: Rows, slack: int) -> Iterator[str]:
    """``slack`` is the seconds by which an entry may have grown too old in the eyes of the ledger."""
    yield from _uncounted(world, rows)
    yield from _beyond_a_cap(world, rows, slack)
    yield from _paid_twice(world, rows)


def _uncounted(world: "World", rows: Rows) -> Iterator[str]:
    """The ledger counts every transfer that ever happened, once, and for just what it was."""
    for nonce, transfer in world.base.transfers.items():
        found = [(row["amount"], row["pay_to"].lower()) for row in counted(rows) if row["nonce"] == nonce]
        if found != [(transfer.amount, transfer.to)]:
            yield f"a transfer of {transfer.amount} to {transfer.to} is counted as {found}"


def _beyond_a_cap(world: "World", rows: Rows, slack: int) -> Iterator[str]:
    """Money that moved within any window is at most the cap under which the last of its payments was admitted."""
    taken = world.base.transfers
    moved = [(row, taken[row["nonce"]]) for row in counted(rows) if row["nonce"] in taken]
    for _, last in moved:
        for window, length in WINDOWS.items():
            since = last.timestamp - length // 1000 + slack if length is not None else 0
            inside = [row for row, one in moved if since < one.timestamp <= last.timestamp]
            for scope in {scope for row in inside for scope in scopes(row)}:
                together = [row for row in inside if in_scope(row, scope)]
                newest = max(together, key=lambda row: int(row["id"]))
                cap = dict(caps_of(policy_of(world, newest), scope).money()).get(window)
                total = sum(row["amount"] for row in together)
                if cap is not None and total > cap:
                    yield f"{total} moved per {window} in {scope}, and the cap was {cap}"


def _paid_twice(world: "World", rows: Rows) -> Iterator[str]:
    """No purchase has two signatures abroad that could both be used, or was paid twice."""
    base, live = world.base, dict[str, Authorization]()
    for held in world.seller.held:
        usable = held.valid_before > base.block(base.head).timestamp and not base.is_used(held.nonce)
        if usable and live.setdefault(held.purchase, held) != held:
            yield f"two live authorizations for {held.purchase}"
    paid: dict[str, set[bytes]] = {}
    for row in rows.values():
        if row["nonce"] in base.transfers:
            paid.setdefault(row["purchase"], set()).add(row["nonce"])
    yield from (f"{purchase} was paid {len(nonces)} times" for purchase, nonces in paid.items() if len(nonces) > 1)


def counted(rows: Rows) -> list[Row]:
    return [row for row in rows.values() if State(row["state"]) not in UNCOUNTED]


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
    return kind == WALLET or row[kind] == name
