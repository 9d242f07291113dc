"""The moves of a payment from state to state. Each is a compare-and-set on (id, state, owner)."""

from typing import Any

from seedance_mcp.guard.usage import Outcome, Verdict
from seedance_mcp.ledger import audit
from seedance_mcp.ledger.database import Transaction
from seedance_mcp.ledger.states import MOVES, PAID, SAFETY, Payment, State
from seedance_mcp.ledger.views import (
    HELD_NOW,
    as_payment,
    must,
    payment_now,
)

GONE = frozenset({State.RELEASED, State.EXPIRED, State.WRITTEN_OFF})
"""Nobody waits for anything of such a payment."""
LEASE = 15_000
"""Milliseconds after its last sign of life from which a process's open payments may be taken over."""


def beat(tx: Transaction, owner: str, now: int) -> None:
    """Say that ``owner`` is alive."""
    tx.do(
        "INSERT INTO owners (token, lease_until) VALUES (:owner, :until) "
        "ON CONFLICT (token) DO UPDATE SET lease_until = excluded.lease_until",
        owner=owner,
        until=now + LEASE,
    )
    tx.do("DELETE FROM owners WHERE lease_until < :long_ago", long_ago=now - 1000 * LEASE)


def bury(tx: Transaction) -> None:
    """Forget the leases of processes that left payments open and have certainly ended, before they run out."""
    left = tx.all(f"SELECT owner FROM payments WHERE {HELD_NOW} AND owner <> ''")
    for owner in {row["owner"] for row in left}:
        if tx.is_gone(owner):
            tx.do("DELETE FROM owners WHERE token = :owner", owner=owner)


def sign(
    tx: Transaction,
    payment: Payment,
    owner: str,
    *,
    nonce: bytes,
    deadline: int,
    path: str,
    body: str,
    sealed: bytes,
    now: int,
    signed_hash: str | None = None,
) -> bool:
    """Make the signed bytes durable. Only after this has answered True may one of them leave the process.

    False where purchases were frozen, or another process took this one over, since the reservation.
    """
    if _frozen(tx) is not None:
        return False
    return move(
        tx, payment, State.SIGNED, owner, now,
        """nonce = :nonce, signed_hash = :signed_hash, deadline = :deadline, path = :path, body = :body,
           sealed = :sealed""",
        nonce=nonce, signed_hash=signed_hash, deadline=deadline, path=path, body=body, sealed=sealed,
    )  # fmt: skip


def send(tx: Transaction, payment: Payment, owner: str, now: int) -> Verdict | None:
    """Permission to put the signed bytes on the wire now, or the verdict why not. Asked before every presentation."""
    row = tx.one("SELECT state, owner, deadline FROM payments WHERE id = :id", id=payment.id) or {}
    if row.get("owner") != owner or row.get("state") not in ("signed", "sent", "unknown"):
        return Verdict(Outcome.REFUSE, "taken_over", "another process has taken this payment over")
    frozen = _frozen(tx)
    if frozen is not None:
        return Verdict(Outcome.REFUSE, "frozen", f"all purchases are frozen ({frozen})")
    if now >= (row["deadline"] - SAFETY) * 1000:
        return Verdict(Outcome.REFUSE, "too_late", "the signed authorization is about to expire")
    beat(tx, owner, now)
    if row["state"] == State.SIGNED:
        move(tx, payment, State.SENT, owner, now, "sent_at = :now")
    return None


def claim(tx: Transaction, payment: Payment, transaction_hash: str | None, now: int) -> bool:
    """The seller says that it was paid. Counted at the deadline until the chain tells the block's time."""
    return move(
        tx, payment, State.CLAIMED, None, now,
        "transaction_hash = :hash, ended_at = :now, counted_at = deadline * 1000, owner = ''",
        hash=transaction_hash,
    )  # fmt: skip


def park(tx: Transaction, payment: Payment, owner: str, now: int, why: str) -> bool:
    """The outcome is open, and nobody owns the payment any more: the next call or recovery takes it up."""
    if payment_now(tx, payment.id).state in (State.SIGNED, State.UNKNOWN):
        left = "UPDATE payments SET owner = '', note = :why WHERE id = :id AND owner = :owner"
        return tx.do(left, id=payment.id, owner=owner, why=why) == 1
    return move(tx, payment, State.UNKNOWN, owner, now, "owner = '', note = :note", why=why, note=why)


def settle(
    tx: Transaction, payment: Payment, transaction_hash: str, block_time: int, now: int, *, fee: int = 0
) -> bool:
    """A final transfer on the chain matches. ``block_time`` is epoch seconds, ``fee`` what it cost in micro-USD.

    No transfer is older than its reservation or younger than its deadline, and no fee is above its bound, whatever a
    lying host says.
    """
    return move(
        tx, payment, State.SETTLED, None, now,
        """transaction_hash = :hash, ended_at = coalesce(ended_at, :now), sealed = NULL, owner = '',
           counted_at = min(max(:at, reserved_at), deadline * 1000), fee = min(fee, :fee)""",
        hash=transaction_hash, at=block_time * 1000, fee=fee,
    )  # fmt: skip


def expire(tx: Transaction, payment: Payment, now: int) -> bool:
    """The chain proved that the authorization was never used and never can be: the budget comes back."""
    return move(tx, payment, State.EXPIRED, None, now, "ended_at = :now, counted_at = :now, sealed = NULL, owner = ''")


def write_off(tx: Transaction, payment: Payment, now: int) -> bool:
    """The operator gives up: nobody waits for the outcome any more, and it stays counted at its deadline.

    False before the deadline, and for a payment whose outcome is not open.
    """
    if payment.deadline is None or now < payment.deadline * 1000:
        return False
    return move(
        tx, payment, State.WRITTEN_OFF, None, now,
        "ended_at = :now, counted_at = deadline * 1000, sealed = NULL, owner = ''",
    )  # fmt: skip


def release(tx: Transaction, payment: Payment, owner: str, now: int, why: str) -> bool:
    """Nothing was signed: the budget comes back."""
    return move(tx, payment, State.RELEASED, owner, now, "ended_at = :now, counted_at = :now, owner = ''", why=why)


def close_or_open(tx: Transaction, purchase_id: str) -> None:
    """Nothing more is to come once the payment is gone, or is paid and the clip or image is there or never will be.

    A job that failed closes nothing while its payment may still be a live authorization. A payment that was taken for
    gone and turns out settled opens its purchase again.
    """
    last = must(tx.one("SELECT state FROM payments WHERE purchase = :id ORDER BY attempt DESC LIMIT 1", id=purchase_id))
    closed = last["state"] in GONE or (last["state"] in PAID and _is_delivered(tx, purchase_id))
    tx.do("UPDATE purchases SET closed = :closed WHERE id = :id AND closed <> :closed", id=purchase_id, closed=closed)


def _is_delivered(tx: Transaction, purchase_id: str) -> bool:
    return tx.one(
        """SELECT 1 FROM uploads WHERE purchase = :id AND url IS NOT NULL
           UNION ALL SELECT 1 FROM jobs WHERE purchase = :id
                     AND (video_path IS NOT NULL OR lost = 1 OR status = 'failed')""",
        id=purchase_id,
    ) is not None  # fmt: skip


def release_own(tx: Transaction, owner: str, now: int) -> None:
    """Give back what ``owner`` reserved and neither signed nor gave back; it must not be paying anything right now."""
    rows = tx.all(f"SELECT * FROM payments WHERE {HELD_NOW} AND state = 'reserved' AND owner = :owner", owner=owner)
    for row in rows:
        release(tx, as_payment(row), owner, now, "it was never signed")


def adopt(tx: Transaction, payment: Payment, owner: str, now: int) -> Payment | None:
    """Take over an open payment that nobody alive owns, or None."""
    beat(tx, owner, now)
    bury(tx)
    taken = tx.do(
        f"""UPDATE payments SET owner = :owner
           WHERE id = :id AND state = :state AND {HELD_NOW} AND (owner = :owner OR NOT EXISTS
           (SELECT 1 FROM owners WHERE owners.token = payments.owner AND owners.lease_until > :now))""",
        owner=owner,
        id=payment.id,
        state=str(payment.state),
        now=now,
    )
    return payment_now(tx, payment.id) if taken else None


def release_abandoned(tx: Transaction, owner: str, now: int) -> int:
    """Give back what dead processes reserved and never signed; the number of payments released."""
    bury(tx)
    rows = tx.all(
        f"""SELECT * FROM payments WHERE {HELD_NOW} AND state = 'reserved' AND owner <> :owner AND NOT EXISTS
            (SELECT 1 FROM owners WHERE owners.token = payments.owner AND owners.lease_until > :now)""",
        owner=owner,
        now=now,
    )
    adopted = [adopt(tx, as_payment(row), owner, now) for row in rows]
    return sum(release(tx, payment, owner, now, "its process ended") for payment in adopted if payment is not None)


def move(
    tx: Transaction, payment: Payment, to: State, owner: str | None, now: int, assignments: str, why: str = "",
    **values: object,
) -> bool:  # fmt: skip
    """Compare-and-set. False: the row is not where the mover believed it was, and the mover discards what it holds."""
    origins = [state for state, targets in MOVES.items() if to in targets]
    held = tx.one(
        "SELECT state, owner, amount, fee, pay_to, token, network FROM payments WHERE id = :id", id=payment.id
    )
    if held is None or held["state"] not in origins or (owner is not None and held["owner"] != owner):
        return False
    tx.do(f"UPDATE payments SET state = :to, {assignments} WHERE id = :id", to=str(to), id=payment.id,
          **{**values, **({"now": now} if ":now" in assignments else {})})  # fmt: skip
    close_or_open(tx, payment.purchase)
    if to in PAID:
        tx.do(
            "UPDATE ledger SET generation = coalesce((SELECT generation FROM purchases WHERE id = :id), generation)",
            id=payment.purchase,
        )
    facts: dict[str, Any] = {"payment": payment.id, "purchase": payment.purchase, "from": held["state"], "to": str(to)}
    if "hash" in values:
        facts["transaction"] = values["hash"]
    if to is State.SIGNED:
        facts |= {name: held[name] for name in ("amount", "fee", "pay_to", "token", "network")}
    audit.append(tx, "move", now, {**facts, **({"why": why} if why else {})})
    return True


def _frozen(tx: Transaction) -> str | None:
    """Why purchases are frozen, or None."""
    why: str | None = must(tx.one("SELECT frozen FROM ledger"))["frozen"]
    return why
