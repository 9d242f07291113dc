"""What counts without having been bought here: the wallet's other transfers, and fees of transactions that failed."""

import hashlib
from dataclasses import dataclass

from seedance_mcp.ledger import audit
from seedance_mcp.ledger.database import Transaction
from seedance_mcp.ledger.states import Payment, State
from seedance_mcp.ledger.views import OPEN_NOW, must

OUTSIDE = "outside"
"""The agent and the model that other transfers are counted under."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A transfer out of the wallet. ``amount`` micro-USD, ``at`` epoch milliseconds of its block.

    ``marks`` are the nonces or memos of its transaction, by which a payment of ours is told.
    """

    rail: str
    network: str
    token: str
    payer: str
    to: str
    amount: int
    transaction: str
    index: int
    at: int
    marks: tuple[bytes, ...] = ()


def is_known(tx: Transaction, payer: str, network: str) -> bool:
    """Whether nothing that this wallet spent lately can be missing here."""
    return tx.one("SELECT 1 FROM wallets WHERE payer = :payer AND network = :network",
                  payer=payer, network=network) is not None  # fmt: skip


def vouch(tx: Transaction, payer: str, network: str, how: str, now: int) -> None:
    """From now on the wallet's spending is known. ``how``: ``new``, ``scanned`` or ``vouched`` for by the operator."""
    tx.do(
        """INSERT INTO wallets (payer, network, how, known_at) VALUES (:payer, :network, :how, :now)
           ON CONFLICT (payer, network) DO UPDATE SET how = excluded.how, known_at = excluded.known_at""",
        payer=payer, network=network, how=how, now=now,
    )  # fmt: skip
    audit.append(tx, "wallet", now, {"payer": payer, "network": network, "how": how})


def doubt(tx: Transaction, payer: str, now: int) -> None:
    """The wallet was used elsewhere: what it spent has to be looked up again."""
    if tx.do("DELETE FROM wallets WHERE payer = :payer", payer=payer):
        audit.append(tx, "wallet", now, {"payer": payer, "how": "used elsewhere"})


def scanned(tx: Transaction, seen: list[Seen], payer: str, network: str, now: int) -> int:
    """Book the transfers that match no payment of this ledger; how many there were."""
    fresh = [transfer for transfer in seen if not _is_ours(tx, transfer)]
    for transfer in fresh:
        _book_outside(tx, transfer, now)
    vouch(tx, payer, network, "scanned", now)
    return len(fresh)


def book_fee(tx: Transaction, payment: Payment, fee: int, transaction: str, block_time: int, now: int) -> None:
    """A transaction that failed moved its fee (micro-USD) all the same: it counts where the payment would have."""
    key = hashlib.sha256(f"fee {payment.id}".encode()).digest()
    if fee == 0 or tx.one("SELECT 1 FROM purchases WHERE key = :key", key=key) is not None:
        return
    _settled(
        tx, "fee", f"fee_{payment.id}", key, now,
        agent=payment.agent, model=payment.model, rail=payment.rail, network=payment.network, token=payment.token,
        origin=payment.origin, payer=payment.payer, pay_to=payment.pay_to, amount=0, fee=min(fee, payment.fee),
        transaction=transaction, at=max(block_time * 1000, payment.reserved_at),
    )  # fmt: skip


def _is_ours(tx: Transaction, seen: Seen) -> bool:
    if tx.one("SELECT 1 FROM payments WHERE transaction_hash = :transaction", transaction=seen.transaction) is not None:
        return True
    # The fee of a transaction that failed leaves no mark; its hash was known before.
    by_signed_hash = f"""SELECT 1 FROM payments WHERE ({OPEN_NOW} OR payments.state = 'written_off')
                         AND signed_hash = :transaction"""
    if tx.one(by_signed_hash, transaction=seen.transaction) is not None:
        return True
    by_mark = """SELECT 1 FROM payments WHERE network = :network AND token = :token AND nonce = :mark
                 AND standing <> 'void'"""
    return any(tx.one(by_mark, network=seen.network, token=seen.token, mark=mark) for mark in seen.marks)


def _book_outside(tx: Transaction, seen: Seen, now: int) -> None:
    name = hashlib.sha256(f"{seen.network} {seen.transaction} {seen.index}".encode())
    _settled(
        tx, "outside", f"out_{name.hexdigest()[:16]}", name.digest(), now,
        agent=OUTSIDE, model=OUTSIDE, rail=seen.rail, network=seen.network, token=seen.token, origin="",
        payer=seen.payer, pay_to=seen.to, amount=seen.amount, fee=0, transaction=seen.transaction, at=seen.at,
    )  # fmt: skip


def _settled(tx: Transaction, kind: str, entry_id: str, key: bytes, now: int, **payment: object) -> None:
    tx.do(
        """INSERT INTO purchases (id, key, subject, agent, model, take, generation, request, created_at, closed, kind)
           VALUES (:id, :key, :key, :agent, :model, 1, NULL, '{}', :now, 1, :kind)""",
        id=entry_id, key=key, agent=payment["agent"], model=payment["model"], now=now, kind=kind,
    )  # fmt: skip
    tx.do(
        """INSERT INTO payments (purchase, attempt, serial, state, owner, agent, model, rail, network, token, origin,
                                 payer, pay_to, amount, fee, policy, transaction_hash, reserved_at, ended_at,
                                 counted_at)
           VALUES (:id, 1, 0, 'settled', '', :agent, :model, :rail, :network, :token, :origin, :payer, :pay_to,
                   :amount, :fee, '', :transaction, :at, :now, :at)""",
        id=entry_id, now=now, **payment,
    )  # fmt: skip
    row = must(tx.one("SELECT id FROM payments WHERE purchase = :id", id=entry_id))
    audit.append(tx, "entry", now, {"payment": row["id"], "purchase": entry_id, "kind": kind,
                                    "to": str(State.SETTLED), "transaction": payment["transaction"],
                                    "amount": payment["amount"], "fee": payment["fee"]})  # fmt: skip
