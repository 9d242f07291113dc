"""The operator's policy file: TOML with decimal strings, read strictly."""

import hashlib
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from seedance_mcp.errors import InvalidPolicy
from seedance_mcp.guard.keys import CAPS, MODELS, REQUIRED, TABLES
from seedance_mcp.guard.positions import Key, Position, nearest, positions
from seedance_mcp.guard.usage import RAILS, WINDOWS
from seedance_mcp.guard.values import LONGEST_VALIDITY, VERSION, Value

__all__ = ["BUILT_IN", "LONGEST_VALIDITY", "RAILS", "Caps", "Mistake", "Policy", "mistakes", "parse_policy"]

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


@dataclass(frozen=True, slots=True)
class Mistake:
    """What is wrong about one key; ``place`` is where it stands, or None for what is missing altogether."""

    key: Key
    what: str
    place: Position | None = None

    def __str__(self) -> str:
        return self.what if self.place is None else f"{self.what} (at line {self.place[0]}, column {self.place[1]})"


def parse_policy(text: str) -> Policy:
    """Raises InvalidPolicy with the key, what was found there, what is allowed, and the line and column."""
    policy, found = _read(text)
    if policy is None:
        raise InvalidPolicy(str(found[0]))
    return policy


def mistakes(text: str) -> Sequence[Mistake]:
    """Everything that ``parse_policy`` would refuse ``text`` for, from top to bottom."""
    return _read(text)[1]


def _read(text: str) -> tuple[Policy | None, Sequence[Mistake]]:
    try:
        document = tomllib.loads(text, parse_float=_Number)
    except (ValueError, RecursionError) as error:  # more than TOMLDecodeError: a number of 5000 digits, deep nesting
        return None, [_syntax(str(error))]
    reader = _Reader(list(_numbers(document, ())))
    policy = None if reader.found else _policy(reader, document, hashlib.sha256(text.encode()).hexdigest())
    if not reader.found:
        return policy, ()
    places = positions(text)
    placed = [Mistake(found.key, found.what, nearest(places, found.key)) for found in reader.found]
    return None, sorted(placed, key=lambda mistake: mistake.place or (0, 0))


def _policy(reader: "_Reader", document: Mapping[str, object], digest: str) -> Policy:
    """What ``reader`` finds no mistakes in is a whole policy."""
    reader.table((), document, {"version": VERSION}, tables=(*TABLES, "models", "agents"))
    if "version" not in document:
        reader.wrong(("version",), "the policy needs `version = 1`")
    of = {name: reader.table((name,), document.get(name, {}), values) for name, values in TABLES.items()}
    # A misspelt cap is told as that, and not as a missing one too.
    if not of["caps"].keys() >= set(REQUIRED) and not any(mistake.key[0] == "caps" for mistake in reader.found):
        reader.wrong(("caps",), f"the policy's [caps] needs {', '.join(REQUIRED[:-1])} and {REQUIRED[-1]}")
    approval, price, rails = of["approval"], of["price"], of["rails"]
    return Policy(
        caps=Caps(**of["caps"]),
        approval_above=approval.get("above"),
        approval_expires=approval.get("expires", 900),
        over_quote=price.get("over_quote", 0),
        over_table=price.get("over_table", 250_000),
        pay_to=of["studio"].get("pay_to") or None,
        rails=rails.get("order", RAILS),
        valid_for=rails.get("valid_for", 120),
        rpc_agree=rails.get("rpc_agree", 2),
        models=reader.caps("models", document, MODELS),
        agents=reader.caps("agents", document),
        digest=digest,
    )


@dataclass(slots=True)
class _Reader:
    """Reads tables and goes on after a mistake, so that all of them are found at once."""

    found: list[Mistake] = field(default_factory=list)

    def wrong(self, key: Key, what: str) -> None:
        self.found.append(Mistake(key, what))

    def table(
        self, path: Key, content: object, values: Mapping[str, Value[Any]], tables: Sequence[str] = ()
    ) -> dict[str, Any]:
        """What was read under each known key; ``tables`` are keys that are read elsewhere."""
        read: dict[str, Any] = {}
        for key, value in self.members(path, content).items():
            if key in values:
                try:
                    read[key] = values[key].read(value)
                except ValueError as error:
                    self.wrong((*path, key), f"the policy's {_dotted(*path, key)}: {error}")
            elif key not in tables:
                known = [*values, *tables]
                near = get_close_matches(key, known, 1)
                hint = f"did you mean `{near[0]}`?" if near else f"allowed are {', '.join(known)}"
                self.wrong((*path, key), f"the policy has an unknown key `{_dotted(*path, key)}`; {hint}")
        return read

    def caps(self, kind: str, document: Mapping[str, object], names: Sequence[str] = ()) -> dict[str, Caps]:
        """Caps by name. A limit on a model that is never bought limits nothing, so a wrong one of ``names`` is told."""
        members = self.members((kind,), document.get(kind, {}))
        for name in members:
            if names and name not in names:
                near = get_close_matches(name, names, 1) or names
                self.wrong((kind, name), f"the policy limits an unknown model `{name}`; did you mean `{near[0]}`?")
        return {name: Caps(**self.table((kind, name), content, CAPS)) for name, content in members.items()}

    def members(self, path: Key, content: object) -> Mapping[str, object]:
        if isinstance(content, dict):
            return content
        self.wrong(path, f"the policy's `{_dotted(*path)}` must be a table, written as [{_dotted(*path)}]")
        return {}


class _Number(str):
    """A float as it was written: there is no place for one."""

    __slots__ = ()


def _numbers(content: object, path: Key) -> Iterator[Mistake]:
    if isinstance(content, _Number):
        number = content[:40]
        yield Mistake(path, f'the policy has the number {number}: write amounts and shares as strings, like "{number}"')
    elif isinstance(content, dict):
        for key, inner in content.items():
            yield from _numbers(inner, (*path, key))
    elif isinstance(content, list):
        for inner in content:
            yield from _numbers(inner, path)


def _syntax(error: str) -> Mistake:
    """``tomllib`` ends its message with the place, which stays in there as it is told."""
    match = re.fullmatch(r"(.*) \(at line ([0-9]+), column ([0-9]+)\)", error, re.DOTALL)
    what = f"the policy is not valid TOML: {match[1] if match else error}"
    return Mistake((), what, (int(match[2]), int(match[3])) if match else None)


def _dotted(*path: str) -> str:
    return ".".join(path)
