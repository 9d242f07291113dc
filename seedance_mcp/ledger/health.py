"""Whether a ledger is sound, as far as a few seconds tell."""

from dataclasses import dataclass

from seedance_mcp.ledger import audit, check
from seedance_mcp.ledger.database import Transaction
from seedance_mcp.ledger.views import must

LARGE = 50_000
"""Rows of the audit chain above which a ledger is not read whole: that would take minutes."""


@dataclass(frozen=True, slots=True)
class Health:
    """``rows`` are those of the audit chain; ``problems`` one sentence each, None where it is too large to read."""

    identity: str
    kind: str
    schema: int
    journal: str
    rows: int
    problems: tuple[str, ...] | None


def health(tx: Transaction) -> Health:
    ledger = must(tx.one("SELECT id, kind FROM ledger"))
    rows, _ = audit.head(tx)
    return Health(
        identity=ledger["id"],
        kind=ledger["kind"],
        schema=must(tx.one("PRAGMA user_version"))["user_version"],
        journal=must(tx.one("PRAGMA journal_mode"))["journal_mode"],
        rows=rows,
        problems=_problems(tx) if rows <= LARGE else None,
    )


def _problems(tx: Transaction) -> tuple[str, ...]:
    broken = [row["quick_check"] for row in tx.all("PRAGMA quick_check(1)") if row["quick_check"] != "ok"]
    return tuple(broken or check.problems(tx))
