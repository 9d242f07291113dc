"""What sellers sent back: booked beside the payments, where no limit ever counts it."""

from collections.abc import Sequence
from dataclasses import dataclass

from seedance_mcp.ledger import audit
from seedance_mcp.ledger.database import Row, Transaction

_PAID = "kind = 'bought' AND nonce IS NOT NULL AND state <> 'expired'"
"""SQL: signed for and not proven to be worthless. Recipients of these may have something to give back."""
_OLDEST_FIRST = "ORDER BY mined_at, transaction_hash, log_index"
_TOLD = ("network", "rail", "token", "payer", "sender", "amount", "mined_at")
BOOKED, ASSIGNED = "refund", "refund assigned"
"""Events of the audit chain."""


@dataclass(frozen=True, slots=True)
class Refund:
    """A transfer back. ``amount`` micro-USD, ``mined_at`` epoch milliseconds of its block.

    ``purchase`` is what it was for, or None while that cannot be told.
    """

    rail: str
    network: str
    token: str
    payer: str
    sender: str
    amount: int
    transaction: str
    index: int
    mined_at: int
    memo: bytes | None = None
    purchase: str | None = None


@dataclass(frozen=True, slots=True)
class Paid:
    """A wallet that has paid on one chain, those whom it has paid, and since when (epoch milliseconds)."""

    payer: str
    recipients: frozenset[str]
    since: int


@dataclass(frozen=True, slots=True)
class Reached:
    """The last block that was looked through, and its time in epoch milliseconds."""

    block: int
    at: int


def wallets(tx: Transaction, network: str, token: str) -> list[Paid]:
    """The wallets that have paid in this token here. Reads all payments."""
    rows = tx.all(
        f"""SELECT payer, pay_to, min(reserved_at) AS since
            FROM payments JOIN purchases ON purchases.id = payments.purchase
            WHERE {_PAID} AND network = :network AND lower(token) = lower(:token) GROUP BY payer, pay_to""",
        network=network,
        token=token,
    )
    payers = sorted({row["payer"] for row in rows})
    return [_paid(payer, [row for row in rows if row["payer"] == payer]) for payer in payers]


def _paid(payer: str, rows: Sequence[Row]) -> Paid:
    return Paid(payer, frozenset(row["pay_to"].lower() for row in rows), min(row["since"] for row in rows))


def reached(tx: Transaction, payer: str, network: str) -> Reached | None:
    row = tx.one(
        "SELECT block, block_time AS at FROM refund_scans WHERE payer = :payer AND network = :network",
        payer=payer,
        network=network,
    )
    return Reached(**row) if row else None


def reach(tx: Transaction, payer: str, network: str, reached: Reached) -> None:
    """Everything up to there was looked through."""
    tx.do(
        """INSERT INTO refund_scans (payer, network, block, block_time) VALUES (:payer, :network, :block, :at)
           ON CONFLICT (payer, network) DO UPDATE SET block = excluded.block, block_time = excluded.block_time
           WHERE excluded.block > refund_scans.block""",
        payer=payer, network=network, block=reached.block, at=reached.at,
    )  # fmt: skip


def book(tx: Transaction, refund: Refund, now: int) -> bool:
    """Write a refund down; False where it is there already."""
    fresh = tx.do(
        """INSERT INTO refunds (network, transaction_hash, log_index, rail, token, payer, sender, amount, memo,
                                mined_at)
           VALUES (:network, :transaction, :index, :rail, :token, :payer, :sender, :amount, :memo, :mined_at)
           ON CONFLICT DO NOTHING""",
        transaction=refund.transaction, index=refund.index, memo=refund.memo,
        **{name: getattr(refund, name) for name in _TOLD},
    )  # fmt: skip
    if fresh:
        audit.append(tx, BOOKED, now, facts(refund))
    return bool(fresh)


def assign(tx: Transaction, refund: Refund, purchase_id: str, now: int) -> None:
    """Say what a refund was for. Nothing happens where that has been said already."""
    changed = tx.do(
        """UPDATE refunds SET purchase = :purchase WHERE network = :network AND transaction_hash = :transaction
           AND log_index = :index AND purchase IS NULL""",
        purchase=purchase_id, network=refund.network, transaction=refund.transaction, index=refund.index,
    )  # fmt: skip
    if changed:
        audit.append(tx, ASSIGNED, now, {
            "network": refund.network, "transaction": refund.transaction, "index": refund.index,
            "purchase": purchase_id,
        })  # fmt: skip


def facts(refund: Refund) -> dict[str, object]:
    """A refund as the audit chain tells it: all but what it was for, which is told on its own."""
    return {
        "transaction": refund.transaction,
        "index": refund.index,
        "memo": refund.memo.hex() if refund.memo is not None else None,
        **{name: getattr(refund, name) for name in _TOLD},
    }


def booked(tx: Transaction) -> list[Refund]:
    """All of them, oldest first."""
    return [_refund(row) for row in tx.all(f"SELECT * FROM refunds {_OLDEST_FIRST}")]


def unassigned(tx: Transaction) -> list[Refund]:
    """Those of which nobody has said what they were for, oldest first."""
    return [_refund(row) for row in tx.all(f"SELECT * FROM refunds WHERE purchase IS NULL {_OLDEST_FIRST}")]


def _refund(row: Row) -> Refund:
    return Refund(
        transaction=row["transaction_hash"],
        index=row["log_index"],
        memo=bytes(row["memo"]) if row["memo"] is not None else None,
        purchase=row["purchase"],
        **{name: row[name] for name in _TOLD},
    )
