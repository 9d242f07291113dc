"""The operator's policy file: TOML with decimal strings, read strictly."""

import hashlib
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Any, NoReturn, TypeVar

from seedance_mcp.errors import InvalidPolicy
from seedance_mcp.guard.usage import WINDOWS
from seedance_mcp.money import parse_share, parse_usd

BUILT_IN = """\
version = 1
[caps]
per_payment = "2.50"
per_hour = "5.00"
per_day = "10.00"
payments_per_day = 60
unresolved = 3
[approval]
above = "1.50"
expires = "15m"
[price]
over_quote = "0"
over_table = "0.25"
[studio]
pay_to = "first-use"
[rails]
order = ["x402", "mpp"]
valid_for = "120s"
rpc_agree = 2
"""

RAILS = ("x402", "mpp")
MODELS = ("seedance", "seedance-fast", "upload")
LONGEST_VALIDITY = 300
T = TypeVar("T")
_DURATION = re.compile(r"([1-9][0-9]{0,5})([smhd])", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """Limits of one scope, in micro-USD or payments; None is no limit of its own."""

    per_payment: int | None = None
    per_hour: int | None = None
    per_day: int | None = None
    per_week: int | None = None
    per_month: int | None = None
    total: int | None = None
    payments_per_hour: int | None = None
    payments_per_day: int | None = None
    unresolved: int | None = None

    def money(self) -> Iterable[tuple[str, int]]:
        """(window, cap) for each window with a cap in money."""
        for window in WINDOWS:
            cap = getattr(self, "total" if window == "total" else f"per_{window}")
            if cap is not None:
                yield window, cap

    def counts(self) -> Iterable[tuple[str, int]]:
        """(window, cap) for each window with a cap on the number of payments."""
        for window in ("hour", "day"):
            cap = getattr(self, f"payments_per_{window}")
            if cap is not None:
                yield window, cap


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The file, read. Amounts are micro-USD, shares parts per million, times seconds."""

    caps: Caps
    approval_above: int | None
    approval_expires: int
    over_quote: int
    over_table: int
    pay_to: tuple[str, ...] | None
    """The only recipients, or None for trust on first use."""
    rails: tuple[str, ...]
    valid_for: int
    rpc_agree: int
    models: Mapping[str, Caps]
    agents: Mapping[str, Caps]
    digest: str
    """SHA-256 of the file's text, hex."""


def parse_policy(text: str) -> Policy:
    """Raises InvalidPolicy with the key, what was found there and what is allowed."""
    try:
        document = tomllib.loads(text, parse_float=_refuse_number)
    except (ValueError, RecursionError) as error:  # more than TOMLDecodeError: a number of 5000 digits, deep nesting
        raise InvalidPolicy(f"the policy is not valid TOML: {error}") from None
    top = _Table("", document)
    if (version := top.take("version", _whole(1, 1))) != 1:
        raise InvalidPolicy(f"the policy needs `version = 1`, not {version!r}")
    caps = _caps(top.table("caps"))
    if caps.per_payment is None or caps.per_hour is None or caps.per_day is None:
        raise InvalidPolicy("the policy's [caps] needs per_payment, per_hour and per_day")
    approval, price, studio, rails = (top.table(name) for name in ("approval", "price", "studio", "rails"))
    policy = Policy(
        caps=caps,
        approval_above=approval.take("above", _usd),
        approval_expires=approval.take("expires", _duration) or 900,
        over_quote=price.take("over_quote", _share) or 0,
        over_table=_or(price.take("over_table", _share), 250_000),
        pay_to=studio.take("pay_to", _recipients) or None,
        rails=rails.take("order", _rails) or RAILS,
        valid_for=rails.take("valid_for", _validity) or 120,
        rpc_agree=rails.take("rpc_agree", _whole(1, 9)) or 2,
        models={_model(name): _caps(table) for name, table in top.tables("models")},
        agents={name: _caps(table) for name, table in top.tables("agents")},
        digest=hashlib.sha256(text.encode()).hexdigest(),
    )
    for table in (approval, price, studio, rails, top):
        table.finish()
    return policy


class _Table:
    """One TOML table; what was never asked for is an unknown key."""

    def __init__(self, name: str, content: object) -> None:
        if not isinstance(content, dict):
            raise InvalidPolicy(f"the policy's `{name}` must be a table, written as [{name}]")
        self.name = name
        self._content: dict[str, Any] = dict(content)
        self._known: list[str] = []

    def take(self, key: str, read: Callable[[object], T]) -> T | None:
        self._known.append(key)
        if key not in self._content:
            return None
        try:
            return read(self._content.pop(key))
        except ValueError as error:
            raise InvalidPolicy(f"the policy's {self.path(key)}: {error}") from None

    def table(self, key: str) -> "_Table":
        self._known.append(key)
        return _Table(self.path(key), self._content.pop(key, {}))

    def tables(self, key: str) -> list[tuple[str, "_Table"]]:
        self._known.append(key)
        content = _Table(self.path(key), self._content.pop(key, {}))
        return [(name, _Table(content.path(name), table)) for name, table in content.items()]

    def items(self) -> Iterable[tuple[str, object]]:
        return self._content.items()

    def finish(self) -> None:
        for key in self._content:
            near = get_close_matches(key, self._known, 1)
            hint = f"; did you mean `{near[0]}`?" if near else f"; allowed are {', '.join(self._known)}"
            raise InvalidPolicy(f"the policy has an unknown key `{self.path(key)}`{hint}")

    def path(self, key: str) -> str:
        return f"{self.name}.{key}" if self.name else key


def _model(name: str) -> str:
    """A limit on a model that is never bought limits nothing, so a wrong name is an error."""
    if name not in MODELS:
        near = get_close_matches(name, MODELS, 1)
        raise InvalidPolicy(f"the policy limits an unknown model `{name}`; did you mean `{(near or MODELS)[0]}`?")
    return name


def _caps(table: _Table) -> Caps:
    counted = ("payments_per_hour", "payments_per_day", "unresolved")
    limits = {
        field.name: table.take(field.name, _whole(0, 1_000_000) if field.name in counted else _usd)
        for field in fields(Caps)
    }
    table.finish()
    return Caps(**limits)


def _refuse_number(number: str) -> NoReturn:
    number = number[:40]
    raise InvalidPolicy(f'the policy has the number {number}: write amounts and shares as strings, like "{number}"')


def _usd(value: object) -> int:
    if not isinstance(value, str):
        raise ValueError(f'{value!r} is not an amount: write it as a string, like "2.50"')
    return parse_usd(value)


def _share(value: object) -> int:
    if not isinstance(value, str):
        raise ValueError(f'{value!r} is not a share: write it as a string, like "0.25"')
    return parse_share(value)


def _whole(least: int, most: int) -> Callable[[object], int]:
    def read(value: object) -> int:
        if type(value) is not int or not least <= value <= most:
            raise ValueError(f"{value!r} is not a whole number from {least} to {most}")
        return value

    return read


def _duration(value: object) -> int:
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f'{value!r} is not a time: write a number and s, m, h or d, like "15m"')
    return int(match[1]) * _SECONDS[match[2]]


def _validity(value: object) -> int:
    seconds = _duration(value)
    if not 30 <= seconds <= LONGEST_VALIDITY:
        raise ValueError(f'{value!r} is out of range: from "30s" to "{LONGEST_VALIDITY}s"')
    return seconds


def _recipients(value: object) -> tuple[str, ...]:
    if value == "first-use":
        return ()
    if isinstance(value, list) and value and all(isinstance(one, str) and _ADDRESS.fullmatch(one) for one in value):
        return tuple(value)
    raise ValueError(f'{value!r} is neither "first-use" nor a list of addresses (0x and 40 hex digits)')


def _rails(value: object) -> tuple[str, ...]:
    if isinstance(value, list) and value and all(one in RAILS and value.count(one) == 1 for one in value):
        return tuple(value)
    raise ValueError(f"{value!r} is not a list of {', '.join(RAILS)}")


def _or(value: int | None, default: int) -> int:
    return default if value is None else value
