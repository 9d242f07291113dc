"""The operator's days: the system's time zone (``TZ``) says where one ends. Everything in the ledger is in UTC."""

import time
from datetime import UTC, date, datetime

from seedance_mcp.ledger.history import QUARTER


def day_of(quarter: int) -> date:
    """The day that a quarter of an hour lies in, counted as in ``history.spend``."""
    return local(quarter * QUARTER).date()


def start_of(day: date) -> int:
    """Epoch milliseconds of the first moment of a day, also where the clocks are changed at midnight."""
    return int(datetime(day.year, day.month, day.day).timestamp()) * 1000  # noqa: DTZ001 - the system's zone is meant


def local(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds // 1000, UTC).astimezone()


def today() -> date:
    return datetime.now(UTC).astimezone().date()


def zone() -> str:
    """The names of the zone, such as ``CET/CEST``."""
    return "/".join(dict.fromkeys(time.tzname))
