"""The kinds of values in a policy file: how each is read, and its JSON Schema, side by side so that they agree."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from seedance_mcp.guard.usage import RAILS
from seedance_mcp.money import parse_share, parse_usd

LONGEST_VALIDITY = 300
T = TypeVar("T")
_DURATION = re.compile(r"([1-9][0-9]{0,5})([smhd])", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Value(Generic[T]):
    """``read`` takes what TOML holds and raises ValueError saying what is allowed; ``schema`` is of what it takes."""

    read: Callable[[object], T]
    schema: Mapping[str, object]

    def about(self, description: str) -> "Value[T]":
        """The same with a text that an editor shows beside the key."""
        return replace(self, schema={**self.schema, "description": description})


def whole(least: int, most: int) -> Value[int]:
    def read(value: object) -> int:
        if type(value) is not int or not least <= value <= most:
            raise ValueError(f"{value!r} is not a whole number from {least} to {most}")
        return value

    return Value(read, {"type": "integer", "minimum": least, "maximum": most})


def _version(value: object) -> int:
    if type(value) is not int or value != 1:
        raise ValueError(f"{value!r} is not 1, the only version there is")
    return value


def _usd(value: object) -> int:
    if not isinstance(value, str):
        raise ValueError(f'{value!r} is not an amount: write it as a string, like "2.50"')
    return parse_usd(value)


def _share(value: object) -> int:
    if not isinstance(value, str):
        raise ValueError(f'{value!r} is not a share: write it as a string, like "0.25"')
    return parse_share(value)


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


_DECIMAL = {"type": "string", "pattern": r"^(0|[1-9][0-9]{0,8})(\.[0-9]{1,6})?$"}
VERSION = Value(_version, {"const": 1})
USD = Value(_usd, _DECIMAL)
"""Read as micro-USD."""
SHARE = Value(_share, _DECIMAL)
"""Read as parts per million."""
DURATION = Value(_duration, {"type": "string", "pattern": f"^{_DURATION.pattern}$"})
"""Read as seconds."""
VALIDITY = Value(_validity, {"type": "string", "pattern": "^(([3-9][0-9]|[12][0-9]{2}|300)s|[1-5]m)$"})
RECIPIENTS = Value(
    _recipients,
    {
        "anyOf": [
            {"const": "first-use"},
            {"type": "array", "minItems": 1, "items": {"type": "string", "pattern": f"^{_ADDRESS.pattern}$"}},
        ]
    },
)
ORDER = Value(_rails, {"type": "array", "minItems": 1, "uniqueItems": True, "items": {"enum": list(RAILS)}})
