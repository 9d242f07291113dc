"""Statements on alerts: raised once, told once, and kept until a webhook has them."""

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from seedance_mcp.ledger.audit import canonical
from seedance_mcp.ledger.database import Transaction
from seedance_mcp.ledger.states import DAY, Payment
from seedance_mcp.ledger.views import UNRESOLVED, as_payment, must

LEASE = 30_000
"""Milliseconds that one sender has an alert to itself: more than an attempt may take."""
LIFE = DAY
"""Milliseconds after which an alert is news no more, and neither told nor sent."""
KEPT = 30 * DAY
"""Milliseconds for which an alert is kept that nothing is asked of any more."""
RECIPIENT = "recipient "
"""Begins the happenings of recipients: as many as a seller names, so they give way to all others."""

_WAITING = "status = 'waiting' AND raised_at > :now - :life"


@dataclass(frozen=True, slots=True)
class Alert:
    """``happening`` names what it is about, ``type`` its kind for programs; ``facts`` are JSON values, amounts in USD
    as decimal strings. Nothing secret, and nothing that an agent wrote."""

    happening: str
    type: str
    message: str
    facts: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Parcel:
    """An alert in the hands of one sender. ``attempt`` counts from 1 and tells this hand-out from later ones."""

    id: int
    message_id: str
    body: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Post:
    """``waiting`` alerts are still to be sent; ``lost`` are those of the last week that were tried in vain."""

    waiting: int = 0
    lost: int = 0


def standing(tx: Transaction, happenings: Iterable[str]) -> Mapping[str, int]:
    """The rows of those that an alert stands for."""
    sql = "SELECT id FROM alerts WHERE happening = :happening AND stands = 1"
    found = {happening: tx.one(sql, happening=happening) for happening in happenings}
    return {happening: row["id"] for happening, row in found.items() if row is not None}


def standing_since(tx: Transaction, prefix: str, then: int) -> int:
    """How many alerts stand whose happening begins with ``prefix`` and that were raised after ``then``."""
    row = tx.one(
        """SELECT count(*) AS alerts FROM alerts
           WHERE stands = 1 AND raised_at > :then AND happening LIKE :prefix || '%'""",
        prefix=prefix, then=then,
    )  # fmt: skip
    return int(must(row)["alerts"])


def prune(tx: Transaction, now: int) -> None:
    """Forget what is long over; the day of a recipient is, whether it stands or not."""
    tx.do(
        """DELETE FROM alerts
           WHERE raised_at < :now - :kept AND (stands = 0 OR happening LIKE :recipient || '%')""",
        now=now, kept=KEPT, recipient=RECIPIENT,
    )  # fmt: skip


def unanswered(tx: Transaction, now: int) -> list[Payment]:
    """Payments that left, and whose answer nobody alive waits for."""
    rows = tx.all(f"SELECT * FROM payments WHERE {UNRESOLVED} AND sent_at IS NOT NULL ORDER BY id", now=now)
    return [as_payment(row) for row in rows]


def add(tx: Transaction, alert: Alert, now: int) -> None:
    """Raise an alert, unless one of the same happening stands."""
    moment = datetime.fromtimestamp(now // 1000, UTC).isoformat().replace("+00:00", "Z")
    body = {"type": alert.type, "timestamp": moment, "data": {"message": alert.message, **alert.facts}}
    tx.do(
        """INSERT INTO alerts (message_id, happening, message, body, raised_at, next_at)
           VALUES (:message_id, :happening, :message, :body, :now, :now) ON CONFLICT DO NOTHING""",
        message_id=f"msg_{secrets.token_hex(12)}", happening=alert.happening, message=alert.message,
        body=canonical(body), now=now,
    )  # fmt: skip


def end(tx: Transaction, alert_id: int) -> None:
    """What the alert told of is over: the next time is another happening."""
    tx.do("UPDATE alerts SET stands = 0 WHERE id = :id", id=alert_id)


def drop(tx: Transaction, kind: str) -> None:
    """What these told of is over, so it is news to nobody any more."""
    tx.do(
        """UPDATE alerts SET stands = 0, told = 1, status = iif(status = 'waiting', 'dropped', status)
           WHERE body ->> 'type' = :kind AND stands = 1""",
        kind=kind,
    )


def untold(tx: Transaction, now: int) -> list[str]:
    """The messages that no process has said yet, oldest first."""
    rows = tx.all(
        "SELECT message FROM alerts WHERE told = 0 AND raised_at > :now - :life ORDER BY id", now=now, life=LIFE
    )
    return [row["message"] for row in rows]


def take_untold(tx: Transaction, now: int) -> list[str]:
    """The same, for the caller to say: no other process gets them."""
    messages = untold(tx, now)
    tx.do("UPDATE alerts SET told = 1 WHERE told = 0")
    return messages


def is_due(tx: Transaction, now: int) -> bool:
    """Whether an alert can be sent now."""
    sql = f"SELECT 1 FROM alerts WHERE {_WAITING} AND next_at <= :now LIMIT 1"
    return tx.one(sql, now=now, life=LIFE) is not None


def hand_out(tx: Transaction, now: int) -> Parcel | None:
    """The alert that waits longest, recipients last, for the caller alone to send within ``LEASE``."""
    row = tx.one(
        f"""SELECT * FROM alerts WHERE {_WAITING} AND next_at <= :now
            ORDER BY happening LIKE :recipient || '%', next_at, id LIMIT 1""",
        now=now, life=LIFE, recipient=RECIPIENT,
    )  # fmt: skip
    if row is None:
        return None
    tx.do(
        "UPDATE alerts SET attempts = attempts + 1, next_at = :now + :lease WHERE id = :id",
        id=row["id"], now=now, lease=LEASE,
    )  # fmt: skip
    return Parcel(row["id"], row["message_id"], row["body"], row["attempts"] + 1)


def delivered(tx: Transaction, parcel: Parcel) -> None:
    tx.do("UPDATE alerts SET status = 'delivered' WHERE id = :id", id=parcel.id)


def unwanted(tx: Transaction, parcel: Parcel) -> None:
    """The receiver wants no such message, now or later."""
    tx.do("UPDATE alerts SET status = 'unwanted' WHERE id = :id", id=parcel.id)


def postpone(tx: Transaction, parcel: Parcel, again_at: int) -> None:
    """The attempt failed. It says nothing about a later one, which another sender may be making by now."""
    tx.do(
        "UPDATE alerts SET next_at = :again_at WHERE id = :id AND attempts = :attempt",
        id=parcel.id, attempt=parcel.attempt, again_at=again_at,
    )  # fmt: skip


def post(tx: Transaction, now: int) -> Post:
    """How many alerts are on their way, or did not arrive."""
    row = must(tx.one(
        f"""SELECT count(CASE WHEN {_WAITING} THEN 1 END) AS waiting,
                   count(CASE WHEN status NOT IN ('delivered', 'dropped') AND attempts > 0 AND NOT ({_WAITING})
                              AND raised_at > :now - 7 * :life THEN 1 END) AS lost
            FROM alerts""", now=now, life=LIFE))  # fmt: skip
    return Post(**row)
