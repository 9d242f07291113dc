"""What one check found."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Status(StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    """Something cannot be bought until this is mended."""


@dataclass(frozen=True, slots=True)
class Finding:
    """``todo`` is what the operator does about it, empty for what is fine; ``facts`` are JSON values for programs."""

    check: str
    status: Status
    what: str
    todo: str = ""
    facts: Mapping[str, object] = field(default_factory=dict)


def ok(check: str, what: str, **facts: object) -> Finding:
    return Finding(check, Status.OK, what, "", facts)


def warning(check: str, what: str, todo: str, **facts: object) -> Finding:
    return Finding(check, Status.WARNING, what, todo, facts)


def failed(check: str, what: str, todo: str, **facts: object) -> Finding:
    return Finding(check, Status.FAILED, what, todo, facts)
