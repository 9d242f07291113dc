"""What was found out about a set-up: for programs and as text."""

from collections import Counter
from collections.abc import Callable, Sequence

from seedance_mcp.checkup import Finding, Status
from seedance_mcp.report.table import plain

_WIDTH = max(map(len, Status))


def as_json(findings: Sequence[Finding]) -> dict[str, object]:
    return {
        "ready": is_ready(findings),
        "checks": [
            {
                "check": found.check,
                "status": found.status.value,
                "found": found.what,
                "todo": found.todo or None,
                "facts": dict(found.facts),
            }
            for found in findings
        ],
    }


def as_text(findings: Sequence[Finding], paint: Callable[[str], str] = lambda cell: cell) -> str:
    """Two columns and what was found; what is to be done stands on a line of its own. ``paint`` is given a status."""
    names = max(len(found.check) for found in findings)
    lines = []
    for found in findings:
        lines.append(f"{paint(found.status.ljust(_WIDTH))}  {found.check.ljust(names)}  {plain(found.what)}")
        if found.todo:
            lines.append(f"{'':{_WIDTH + 2 + names}}  -> {plain(found.todo)}")
    return "\n".join([*lines, "", _sum(findings)])


def is_ready(findings: Sequence[Finding]) -> bool:
    """Whether nothing keeps the server from buying."""
    return all(found.status is not Status.FAILED for found in findings)


def _sum(findings: Sequence[Finding]) -> str:
    count = Counter(found.status for found in findings)
    warnings = _counted(count[Status.WARNING], "warning")
    if failures := count[Status.FAILED]:
        keep = "keeps" if failures == 1 else "keep"
        return f"{_counted(failures, 'failure')} {keep} the server from buying; {warnings}."
    return f"Nothing keeps the server from buying; {warnings}."


def _counted(number: int, thing: str) -> str:
    return f"{number or 'no'} {thing}{'' if number == 1 else 's'}"
