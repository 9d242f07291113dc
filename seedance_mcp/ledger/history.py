"""Statements for reports: they may read the whole ledger, which no decision ever does."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from seedance_mcp.ledger.database import Row, Transaction
from seedance_mcp.ledger.entries import OUTSIDE
from seedance_mcp.ledger.states import Purchase, State
from seedance_mcp.ledger.views import find

QUARTER = 900_000
"""Milliseconds. In every time zone a day begins on a quarter of an hour of UTC."""

_COUNTED = "payments.standing <> 'void' AND payments.reserved_at >= :since"
_COLUMNS = {
    "quarter": f"payments.reserved_at / {QUARTER}",
    "model": "payments.model",
    "agent": "payments.agent",
    "rail": "payments.rail",
}
UNASSIGNED = "unassigned"
"""The agent and the model of refunds of which nobody can say what they are for."""
_REFUNDED = {
    "quarter": f"refunds.mined_at / {QUARTER}",
    "model": f"coalesce(purchases.model, '{UNASSIGNED}')",
    "agent": f"coalesce(purchases.agent, '{UNASSIGNED}')",
    "rail": "refunds.rail",
}


@dataclass(frozen=True, slots=True)
class Sums:
    """What payments add up to: micro-USD, each of it in one of the amounts only, so that ``total`` is their sum.

    ``settled`` and ``fees`` are final on the chain; ``claimed`` is what the seller says, ``held`` has an open outcome
    and ``written_off`` was given up, these three with the bounds of their fees; ``outside`` left the wallet by other
    means than this ledger's. ``payments`` counts what was bought, ``seconds`` are those of the clips that were saved.
    ``refunded`` came back, and lessens none of these: no limit ever counts it.
    """

    payments: int = 0
    settled: int = 0
    claimed: int = 0
    held: int = 0
    written_off: int = 0
    outside: int = 0
    fees: int = 0
    seconds: int = 0
    refunded: int = 0

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(
            self.payments + other.payments,
            self.settled + other.settled,
            self.claimed + other.claimed,
            self.held + other.held,
            self.written_off + other.written_off,
            self.outside + other.outside,
            self.fees + other.fees,
            self.seconds + other.seconds,
            self.refunded + other.refunded,
        )

    @property
    def total(self) -> int:
        return self.settled + self.claimed + self.held + self.written_off + self.outside + self.fees

    @property
    def paid(self) -> int:
        """What was bought for it: clips and uploads with fees, without what is open or was given up."""
        return self.settled + self.claimed + self.fees


def spend(tx: Transaction, since: int, by: Sequence[str]) -> Mapping[tuple[Any, ...], Sums]:
    """Counted payments reserved from ``since`` (epoch ms) on, summed for each combination of the columns ``by``.

    A refund stands where it came back, whenever its payment was.
    Columns are ``quarter`` (a number: ``reserved_at // QUARTER``), ``model``, ``agent`` and ``rail``.
    """
    columns = ", ".join(f"{_COLUMNS[name]} AS {name}" for name in by)
    groups = ", ".join(_COLUMNS[name] for name in by)
    sums: dict[tuple[Any, ...], Sums] = defaultdict(Sums)
    for row in tx.all(
        f"""SELECT {columns}, state, model = '{OUTSIDE}' AS outside, sum(amount) AS amount, sum(fee) AS fee,
                   count(CASE WHEN amount > 0 THEN 1 END) AS payments, sum(seconds) AS seconds
            FROM payments WHERE {_COUNTED} GROUP BY {groups}, payments.state, payments.model = '{OUTSIDE}'""",
        since=since,
    ):
        sums[tuple(row[name] for name in by)] += _sums(row)
    for row in _refunded(tx, since, by):
        sums[tuple(row[name] for name in by)] += Sums(refunded=row["amount"])
    return sums


def _refunded(tx: Transaction, since: int, by: Sequence[str]) -> list[Row]:
    columns = ", ".join(f"{_REFUNDED[name]} AS {name}" for name in by)
    groups = ", ".join(_REFUNDED[name] for name in by)
    return tx.all(
        f"""SELECT {columns}, sum(amount) AS amount FROM refunds LEFT JOIN purchases ON purchases.id = refunds.purchase
            WHERE mined_at >= :since GROUP BY {groups}""",
        since=since,
    )


def _sums(row: Row) -> Sums:
    payments, amount, fee, seconds = (int(row[name]) for name in ("payments", "amount", "fee", "seconds"))
    if row["outside"]:
        return Sums(outside=amount + fee)
    match State(row["state"]):
        case State.SETTLED:
            return Sums(payments, settled=amount, fees=fee, seconds=seconds)
        case State.CLAIMED:
            return Sums(payments, claimed=amount + fee, seconds=seconds)
        case State.WRITTEN_OFF:
            return Sums(payments, written_off=amount + fee, seconds=seconds)
        case _:
            return Sums(payments, held=amount + fee, seconds=seconds)


def clips(tx: Transaction, finished: int, now: int) -> list[Purchase]:
    """Clips that were bought or wait for an answer: all that more is to come of, and the last ``finished`` others.

    Newest first.
    """
    rows = [
        *tx.all("SELECT id FROM purchases WHERE closed = 0 AND kind = 'bought' AND model <> 'upload'"),
        *tx.all(
            """SELECT id FROM purchases WHERE model <> 'upload' AND id IN (
                   SELECT purchase FROM approvals
                   WHERE used_at IS NULL AND expires_at > :now AND answer IS NOT 'denied')""",
            now=now,
        ),
        *tx.all(
            """SELECT purchases.id FROM payments JOIN purchases ON purchases.id = payments.purchase
               WHERE purchases.closed = 1 AND purchases.kind = 'bought' AND payments.model <> 'upload'
                 AND payments.standing <> 'void'
               ORDER BY payments.id DESC LIMIT :finished""",
            finished=finished,
        ),
    ]
    ids = dict.fromkeys(row["id"] for row in rows)
    found = [purchase for purchase_id in ids if (purchase := find(tx, purchase_id)) is not None]
    return sorted(found, key=lambda purchase: (purchase.created_at, purchase.payment.id), reverse=True)
