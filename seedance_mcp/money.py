"""Whole micro-dollars, and the only place that knows decimals.

Money is an ``int`` of 10^-6 USD from the policy file to the signature. USDC and USDC.e have six decimals, so one
micro-dollar is also one atomic unit on every rail.
"""

import re
from decimal import Decimal

USD = 1_000_000
"""One dollar, in micro-dollars."""

PARTS = 1_000_000
"""Shares (``over_quote``, ``over_table``) are whole parts per million."""

_DIGITS = 20
_DECIMAL = re.compile(r"(0|[1-9][0-9]{0,8})(?:\.([0-9]{1,6}))?", re.ASCII)


def parse_usd(text: str) -> int:
    """Micro-dollars of a decimal string such as ``"0.36"``.

    Raises ValueError for anything but plain ASCII digits with at most six decimals, below one billion dollars.
    """
    match = _DECIMAL.fullmatch(text)
    if match is None:
        raise ValueError(
            f'{text[:40]!r} is not an amount in dollars: write digits with at most 6 decimals, like "0.36"'
        )
    whole, decimals = match[1], match[2] or ""
    return int(whole) * USD + int(decimals.ljust(6, "0"))


def parse_share(text: str) -> int:
    """Parts per million of a decimal share such as ``"0.25"``. Raises ValueError like ``parse_usd``."""
    try:
        return parse_usd(text)
    except ValueError:
        raise ValueError(f'{text[:40]!r} is not a share: write digits with at most 6 decimals, like "0.25"') from None


def from_number(value: Decimal | str | int) -> int:
    """Micro-dollars of what a client sent for a price: a string, or a JSON number (as ``Decimal``).

    Raises ValueError, also for numbers that would only fit after rounding.
    """
    if isinstance(value, Decimal):
        if not value.is_finite() or abs(value.adjusted()) > _DIGITS:
            raise ValueError("that is not an amount in dollars: write one with at most 6 decimals, like 0.36")
        value = format(value, "f")
        if "." in value:
            value = value.rstrip("0").rstrip(".")
    return parse_usd(str(value))


def usd(micros: int) -> str:
    """The decimal string of an amount, at least two decimals: ``360000`` is ``"0.36"``, ``412500`` is ``"0.4125"``."""
    sign, micros = ("-", -micros) if micros < 0 else ("", micros)
    whole, rest = divmod(micros, USD)
    decimals = f"{rest:06d}".rstrip("0").ljust(2, "0")
    return f"{sign}{whole}.{decimals}"


def dollars(micros: int) -> str:
    """The same with a dollar sign, for sentences: ``"$0.36"``."""
    return f"-${usd(-micros)}" if micros < 0 else f"${usd(micros)}"


def raised(amount: int, share: int) -> int:
    """``amount`` plus ``share`` parts per million of it, rounded down."""
    return amount + amount * share // PARTS
