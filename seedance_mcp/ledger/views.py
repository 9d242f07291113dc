"""Statements that only look: usage for the decision, purchases by key and by id."""

import json
from collections.abc import Sequence
from typing import TypeVar

from seedance_mcp.guard.usage import Usage
from seedance_mcp.ledger.database import Row, Transaction
from seedance_mcp.ledger.states import Approval, ClipJob, Payment, Purchase, State, Upload
from seedance_mcp.ledger.windows import Open, spent

T = TypeVar("T")

OPEN_NOW = "payments.standing IN ('open', 'claimed')"
"""SQL: word for word the condition of the index over what is open, which keeps history out of every decision."""
HELD_NOW = f"({OPEN_NOW} AND payments.standing = 'open')"
"""SQL: of those the ones that count at any time; what is claimed and not final yet may be many."""
IN_FLIGHT = 30_000
"""Milliseconds that an answer may take before its payment counts as one with an unknown outcome."""
UNRESOLVED = f"""({HELD_NOW} AND (payments.state = 'unknown' OR (payments.state IN ('signed', 'sent') AND
    (payments.sent_at < :now - {IN_FLIGHT} OR NOT EXISTS
    (SELECT 1 FROM owners WHERE owners.token = payments.owner AND owners.lease_until > :now)))))"""
"""SQL: the signed bytes may still be used, and nobody alive is waiting for the answer. Wants ``:now``."""
_CLOCK_TOLERANCE = 60_000


def usage(tx: Transaction, needed: Sequence[tuple[str, str]], origin: str, rail: str, token: str, now: int) -> Usage:
    """What the decision looks at, for the (scope, window) pairs in ``needed``."""
    ledger = must(tx.one("SELECT clock, frozen, generation FROM ledger"))
    pin = tx.one("SELECT pay_to FROM pins WHERE origin = :origin AND rail = :rail AND token = :token",
                 origin=origin, rail=rail, token=token)  # fmt: skip
    ahead = ledger["clock"] - now
    held = _open(tx, now)
    within = {scope: [one for one in held if one.is_in(scope)] for scope, _ in needed}
    return Usage(
        frozen=ledger["frozen"],
        clock_ahead=ahead if ahead > _CLOCK_TOLERANCE else 0,
        spent=spent(tx, needed, within, now),
        unresolved={scope: sum(one.unresolved for one in some) for scope, some in within.items()},
        pinned=pin["pay_to"] if pin else None,
        generation=ledger["generation"],
        outstanding=sum(one.amount for one in held if one.rail == rail),
    )


def latest(tx: Transaction, key: bytes) -> Purchase | None:
    """The newest purchase with this purchase key."""
    row = tx.one("SELECT id FROM purchases WHERE key = :key ORDER BY created_at DESC, rowid DESC LIMIT 1", key=key)
    return find(tx, row["id"]) if row else None


def find(tx: Transaction, purchase_id: str) -> Purchase | None:
    row = tx.one(
        """SELECT purchases.*, jobs.id AS job, uploads.purchase AS upload, approvals.purchase AS approval FROM purchases
           LEFT JOIN jobs ON jobs.purchase = purchases.id LEFT JOIN uploads ON uploads.purchase = purchases.id
           LEFT JOIN approvals ON approvals.purchase = purchases.id WHERE purchases.id = :id""",
        id=purchase_id,
    )
    if row is None:
        return None

    def of(table: str, last: str = "") -> Row:
        return must(tx.one(f"SELECT * FROM {table} WHERE purchase = :id {last}", id=purchase_id))

    return Purchase(
        id=row["id"],
        key=bytes(row["key"]),
        agent=row["agent"],
        model=row["model"],
        take=row["take"],
        generation=row["generation"],
        request=json.loads(row["request"]),
        created_at=row["created_at"],
        payment=as_payment(of("payments", "ORDER BY attempt DESC LIMIT 1")),
        job=as_job(of("jobs")) if row["job"] is not None else None,
        upload=Upload(**of("uploads")) if row["upload"] is not None else None,
        approval=Approval(**of("approvals")) if row["approval"] is not None else None,
    )


def rail_of(tx: Transaction, key: bytes) -> str | None:
    """The rail that this purchase key has to stay on: the one that was signed for since it was last paid. None: any."""
    row = tx.one(
        """SELECT rail FROM payments JOIN purchases ON purchases.id = payments.purchase
           WHERE purchases.key = :key AND nonce IS NOT NULL AND payments.id > (
               SELECT coalesce(max(paid.id), 0) FROM payments paid JOIN purchases ON purchases.id = paid.purchase
               WHERE purchases.key = :key AND paid.state IN ('claimed', 'settled'))
           LIMIT 1""",
        key=key,
    )
    return row["rail"] if row else None


def since(tx: Transaction, key: bytes, then: int) -> int:
    """How many purchases with this key were begun after ``then``."""
    return int(must(tx.one("SELECT count(*) AS n FROM purchases WHERE key = :key AND created_at > :then",
                            key=key, then=then))["n"])  # fmt: skip


def given_up(tx: Transaction) -> list[Payment]:
    """Every payment that was written off. Looks through the history."""
    return [as_payment(row) for row in tx.all("SELECT * FROM payments WHERE state = 'written_off' ORDER BY id")]


def open_payments(tx: Transaction) -> list[Payment]:
    """Every payment whose outcome the chain has not decided yet, oldest first."""
    rows = tx.all(f"SELECT * FROM payments WHERE {OPEN_NOW} AND state <> 'reserved' ORDER BY id")
    return [as_payment(row) for row in rows]


def payment_now(tx: Transaction, payment_id: int) -> Payment:
    return as_payment(must(tx.one("SELECT * FROM payments WHERE id = :id", id=payment_id)))


def as_job(row: Row) -> ClipJob:
    known = {name: row[name] for name in ClipJob.__dataclass_fields__}
    findings = json.loads(row["findings"]) if row["findings"] is not None else None
    return ClipJob(**{**known, "lost": bool(row["lost"]), "findings": findings})


def alive(tx: Transaction, owner: str, now: int) -> bool:
    """Whether a process that owns payments has shown a sign of life within its lease."""
    lease = tx.one("SELECT 1 FROM owners WHERE token = :owner AND lease_until > :now", owner=owner, now=now)
    return lease is not None and not tx.is_gone(owner)


def next_serial(tx: Transaction, key: bytes) -> int:
    """The number of the next authorization for this purchase key: it moves on only past those that were paid."""
    row = must(tx.one(
        """SELECT coalesce(max(payments.serial) + 1, 0) AS n FROM payments
           JOIN purchases ON purchases.id = payments.purchase
           WHERE purchases.key = :key AND payments.state IN ('claimed', 'settled')""", key=key))  # fmt: skip
    return int(row["n"])


def _open(tx: Transaction, now: int) -> list[Open]:
    rows = tx.all(
        f"""SELECT agent, model, rail, sum(amount + fee) AS amount, count(*) AS payments,
                   count(CASE WHEN {UNRESOLVED} THEN 1 END) AS unresolved
            FROM payments WHERE {HELD_NOW} GROUP BY agent, model, rail""",
        now=now,
    )
    return [Open(**row) for row in rows]


def as_payment(row: Row) -> Payment:
    known = {name: row[name] for name in Payment.__dataclass_fields__}
    return Payment(**{**known, "state": State(row["state"])})


def must(row: T | None) -> T:
    assert row is not None
    return row
