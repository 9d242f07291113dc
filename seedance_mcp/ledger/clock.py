"""The ledger's own clock: the newest moment at which anything was reserved. Only the operator sets it back."""

from seedance_mcp.ledger import audit
from seedance_mcp.ledger.database import Transaction
from seedance_mcp.ledger.views import must


def ahead(tx: Transaction, now: int) -> int:
    """Milliseconds by which it is ahead of ``now`` (epoch milliseconds), 0 when it is not."""
    return max(0, _shown(tx) - now)


def reset(tx: Transaction, now: int) -> int | None:
    """Set it to ``now``; what it showed before, or None when it was not ahead.

    The entries keep their times, so that none of them leaves a window by this.
    """
    shown = _shown(tx)
    if shown <= now:
        return None
    tx.do("UPDATE ledger SET clock = :now", now=now)
    audit.append(tx, "clock", now, {"from": shown, "to": now})
    return shown


def _shown(tx: Transaction) -> int:
    return int(must(tx.one("SELECT clock FROM ledger"))["clock"])
