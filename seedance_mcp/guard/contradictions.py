"""What an operator can hardly have meant: limits of a valid policy that never bind, or that forbid everything."""

from collections.abc import Iterator, Mapping, Sequence

from seedance_mcp.guard.decision import UNRESOLVED
from seedance_mcp.guard.keys import CAPS
from seedance_mcp.guard.policy import Caps, Mistake, Policy
from seedance_mcp.guard.positions import Key
from seedance_mcp.guard.usage import WALLET
from seedance_mcp.money import dollars

_MONEY = ("per_payment", "per_hour", "per_day", "per_week", "per_month", "total")
"""Each contains the ones before it, so its cap binds them too."""
_COUNTS = ("payments_per_hour", "payments_per_day")
_DEFAULT = "seedance"


def contradictions(policy: Policy, prices: Mapping[str, int]) -> Sequence[Mistake]:
    """``prices`` are micro-USD: what an upload, and a clip without further wishes of each model, costs."""
    found = [*_within(policy.caps, ("caps",)), *_too_little(policy.caps, ("caps",), _DEFAULT, prices)]
    found += _approval(policy)
    for name, caps in policy.models.items():
        key = ("models", name)
        found += [*_within(caps, key), *_above(caps, policy.caps, key), *_too_little(caps, key, name, prices)]
    for name, caps in policy.agents.items():
        key = ("agents", name)
        found += [*_within(caps, key), *_above(caps, policy.caps, key), *_too_little(caps, key, _DEFAULT, prices)]
    return found


def _within(caps: Caps, key: Key) -> Iterator[Mistake]:
    """Caps of one scope that another cap of it makes idle."""
    for names in (_MONEY, _COUNTS):
        for place, name in enumerate(names):
            wider = [(cap, other) for other in names[place + 1 :] if (cap := getattr(caps, other)) is not None]
            least, other = min(wider, default=(None, ""))
            cap = getattr(caps, name)
            if cap is not None and least is not None and cap > least:
                yield _idle((*key, name), f"{name} ({_told(name, cap)}) is above {other} ({_told(other, least)})")
    if caps == Caps():
        yield Mistake(key, f"[{'.'.join(key)}] is empty, so it limits nothing")


def _above(caps: Caps, wallet: Caps, key: Key) -> Iterator[Mistake]:
    """Caps of one model or agent that the same cap of the wallet makes idle."""
    for name in CAPS:
        cap, whole = getattr(caps, name), getattr(wallet, name)
        whole = UNRESOLVED[WALLET] if name == "unresolved" and whole is None else whole
        if cap is not None and whole is not None and cap > whole:
            yield _idle((*key, name), f"{name} ({_told(name, cap)}) is above that of [caps] ({_told(name, whole)})")


def _too_little(caps: Caps, key: Key, model: str, prices: Mapping[str, int]) -> Iterator[Mistake]:
    what = "an upload" if model == "upload" else f"a default clip of {model}"
    for name in CAPS:
        cap = getattr(caps, name)
        if name in _MONEY and cap is not None and cap < prices[model]:
            told = f"{name} ({dollars(cap)}) is less than {what} costs ({dollars(prices[model])})"
            yield Mistake((*key, name), told)
        elif cap == 0:
            yield Mistake((*key, name), f"{name} is 0, so nothing is ever bought")


def _approval(policy: Policy) -> Iterator[Mistake]:
    above = policy.approval_above
    caps = [(cap, name) for name in _MONEY if (cap := getattr(policy.caps, name)) is not None]
    least, name = min(caps)
    if above is not None and above >= least:
        told = f"approval.above ({dollars(above)}) is not below {name} ({dollars(least)}), which refuses first"
        yield Mistake(("approval", "above"), f"{told}: nobody is ever asked because of the price")


def _idle(key: Key, why: str) -> Mistake:
    return Mistake(key, f"{why}, so it never binds")


def _told(name: str, cap: int) -> str:
    return dollars(cap) if name in _MONEY else str(cap)
