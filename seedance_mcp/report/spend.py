"""The spend table, as text."""

from collections.abc import Sequence

from seedance_mcp.ledger.operator import SpendLine
from seedance_mcp.money import usd

_HEAD = ("payments", "settled", "claimed", "held", "fees", "total")


def spend_table(lines: Sequence[SpendLine], by: str) -> str:
    """One row a group and a sum, in dollars; ``claimed`` is what the seller says, ``held`` has an open outcome."""
    if not lines:
        return "Nothing has been spent."
    rows = [(by, *_HEAD), *map(_row, lines)]
    if len(lines) > 1:
        rows.append(_row(_sum(lines)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    printed = [
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    ]
    return "\n".join([printed[0], "-" * len(printed[0]), *printed[1:]])


def _row(line: SpendLine) -> tuple[str, ...]:
    amounts = (line.settled, line.claimed, line.held, line.fees, line.settled + line.claimed + line.held)
    return (line.group, str(line.payments), *(usd(amount) for amount in amounts))


def _sum(lines: Sequence[SpendLine]) -> SpendLine:
    names = ("payments", "settled", "claimed", "held", "fees")
    return SpendLine("sum", *(sum(getattr(line, name) for line in lines) for name in names))
