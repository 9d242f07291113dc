"""What was spent, as a table, as JSON and as comma-separated values."""

import csv
import io
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from seedance_mcp.ledger import history
from seedance_mcp.ledger.database import Transaction
from seedance_mcp.ledger.history import Sums
from seedance_mcp.money import usd
from seedance_mcp.report.days import day_of, start_of, zone
from seedance_mcp.report.table import table

GROUPS = ("day", "model", "agent", "rail")


@dataclass(frozen=True, slots=True)
class Spend:
    """Sums by one of ``GROUPS``, in order; days are the operator's, and ``since`` is the first of them."""

    by: str
    since: date | None
    lines: Mapping[str, Sums]

    @property
    def whole(self) -> Sums:
        return sum(self.lines.values(), Sums())


def read_spend(tx: Transaction, by: str, since: date | None) -> Spend:
    """A statement: what was spent from ``since`` on."""
    lines: dict[str, Sums] = defaultdict(Sums)
    column = "quarter" if by == "day" else by
    for (group,), sums in history.spend(tx, start_of(since) if since else 0, [column]).items():
        lines[day_of(group).isoformat() if by == "day" else group] += sums
    return Spend(by, since, dict(sorted(lines.items())))


def per_second(sums: Sums) -> int | None:
    """What a finished second has cost: micro-USD, rounded to a hundredth of a cent.

    All that was paid counts, for clips that failed and for uploads and fees too; None where no clip was saved.
    """
    return (sums.paid + 50 * sums.seconds) // (100 * sums.seconds) * 100 if sums.seconds else None


def as_table(spend: Spend) -> str:
    """In dollars; what was written off, spent outside or refunded has a column only where there is any."""
    whole = spend.whole
    rare = [name for name in ("written_off", "outside") if getattr(whole, name)]
    amounts = ["settled", "claimed", "held", *rare, "fees", "total", *(["refunded"] if whole.refunded else [])]
    groups = dict(spend.lines) if len(spend.lines) == 1 else {**spend.lines, "sum": whole}
    numbers = ["payments", *(name.replace("_", " ") for name in amounts), "per second"]
    rows = [
        (group, str(sums.payments), *(usd(getattr(sums, name)) for name in amounts), _shown(per_second(sums)) or "-")
        for group, sums in groups.items()
    ]
    return table([spend.by, *numbers], rows, numbers=numbers)


def as_json(spend: Spend) -> dict[str, object]:
    return {
        "by": spend.by,
        "since": spend.since.isoformat() if spend.since else None,
        "time_zone": zone(),
        "rows": [{spend.by: group, **_fields(sums)} for group, sums in spend.lines.items()],
        "sum": _fields(spend.whole),
    }


def as_csv(spend: Spend) -> str:
    """One line a group, without a sum; the names are those of the JSON."""
    written = io.StringIO()
    writer = csv.DictWriter(written, [spend.by, *_fields(Sums())], lineterminator="\n")
    writer.writeheader()
    writer.writerows({spend.by: group, **_fields(sums)} for group, sums in spend.lines.items())
    return written.getvalue()


def _fields(sums: Sums) -> dict[str, object]:
    names = ("settled", "claimed", "held", "written_off", "outside", "fees", "total", "refunded")
    return {
        "payments": sums.payments,
        **{f"{name}_usd": usd(getattr(sums, name)) for name in names},
        "finished_seconds": sums.seconds,
        "usd_per_finished_second": _shown(per_second(sums)),
    }


def _shown(amount: int | None) -> str | None:
    return None if amount is None else usd(amount)
