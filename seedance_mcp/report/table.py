"""Tables as text."""

import unicodedata
from collections.abc import Callable, Collection, Sequence


def table(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    numbers: Collection[str],
    paint: Callable[[str], str] = lambda cell: cell,
) -> str:
    """Columns under their names, those named in ``numbers`` aligned to the right.

    ``paint`` is given each cell with its padding. What an agent or the seller wrote cannot steer a terminal.
    """
    printed = [[plain(cell) for cell in row] for row in (head, *rows)]
    widths = [max(map(len, column)) for column in zip(*printed, strict=True)]
    lines = []
    for row in printed:
        cells = [
            paint(cell.rjust(width) if name in numbers else cell.ljust(width))
            for name, cell, width in zip(head, row, widths, strict=True)
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join([lines[0], "-" * (sum(widths) + 2 * (len(widths) - 1)), *lines[1:]])


def plain(text: str) -> str:
    """``text`` on one line, without control and bidirectional characters."""
    return "".join(" " if unicodedata.category(character)[0] in "CZ" else character for character in text)
