"""A policy written out again: every default filled in, one way to write each value."""

import json
import re
from collections.abc import Iterator, Mapping

from seedance_mcp.guard.keys import CAPS
from seedance_mcp.guard.policy import Caps, Policy
from seedance_mcp.money import usd

_BARE = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_UNITS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


def document(policy: Policy) -> dict[str, object]:
    """What the file would hold, as TOML or JSON values. Read again it is the same policy, but for the digest."""
    approval: dict[str, object] = {"expires": _duration(policy.approval_expires)}
    if policy.approval_above is not None:
        approval = {"above": usd(policy.approval_above), **approval}
    tables = {
        "version": 1,
        "caps": _caps(policy.caps),
        "approval": approval,
        "price": {"over_quote": _share(policy.over_quote), "over_table": _share(policy.over_table)},
        "studio": {"pay_to": "first-use" if policy.pay_to is None else list(policy.pay_to)},
        "rails": {
            "order": list(policy.rails),
            "valid_for": _duration(policy.valid_for),
            "rpc_agree": policy.rpc_agree,
        },
        "models": {name: _caps(caps) for name, caps in policy.models.items()},
        "agents": {name: _caps(caps) for name, caps in policy.agents.items()},
    }
    return {name: content for name, content in tables.items() if content}


def as_toml(content: Mapping[str, object]) -> str:
    """``document`` as the text of a file."""
    return "\n".join(_lines(content, "")) + "\n"


def _lines(content: Mapping[str, object], path: str) -> Iterator[str]:
    tables = {}
    for key, value in content.items():
        if isinstance(value, Mapping):
            tables[key] = value
        else:
            yield f"{_key(key)} = {_quoted(value)}"
    for key, table in tables.items():
        name = f"{path}.{_key(key)}" if path else _key(key)
        if not table or not all(isinstance(value, Mapping) for value in table.values()):
            yield f"\n[{name}]"
        yield from _lines(table, name)


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _quoted(key)


def _quoted(value: object) -> str:
    """JSON's strings, numbers and lists are TOML's, but for one control character that JSON leaves as it is."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _caps(caps: Caps) -> dict[str, object]:
    values = {name: getattr(caps, name) for name in CAPS}
    counted = ("payments_per_hour", "payments_per_day", "unresolved")
    return {name: value if name in counted else usd(value) for name, value in values.items() if value is not None}


def _share(parts: int) -> str:
    """Parts per million have as many decimals as micro-USD."""
    return usd(parts)


def _duration(seconds: int) -> str:
    unit, length = next((unit, length) for unit, length in _UNITS if seconds % length == 0)
    return f"{seconds // length}{unit}"
