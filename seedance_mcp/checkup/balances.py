"""What the wallet holds on each rail, and what that is enough for."""

from collections.abc import Awaitable, Callable, Mapping

from seedance_mcp.checkup.asking import ask_each
from seedance_mcp.checkup.finding import Finding, Status, failed, ok, warning
from seedance_mcp.checkup.rules import SIZE, Clip
from seedance_mcp.errors import ChainError
from seedance_mcp.guard.policy import Policy
from seedance_mcp.money import dollars, usd
from seedance_mcp.payment.charge import FEE_BOUND
from seedance_mcp.payment.tokens import Token
from seedance_mcp.rails.rail import Rail

_CHAINS = {8453: "Base", 4217: "Tempo"}


def place(token: Token) -> str:
    return f"{token.symbol} on {chain_name(token)}"


def chain_name(token: Token) -> str:
    return _CHAINS[token.chain_id]


async def read_balances(rails: Mapping[str, Rail], owner: str) -> Mapping[str, int | ChainError]:
    """Micro-USD by rail, or why it is not known: one chain's silence is no failure of the other."""
    return await ask_each({name: _reader(rail, owner) for name, rail in rails.items()})


def check_balances(
    rails: Mapping[str, Rail], found: Mapping[str, int | ChainError], clip: Clip, policy: Policy | None, address: str
) -> list[Finding]:
    """One line for each rail of the policy. An empty one is a failure only if there is no other to pay over."""
    names = [name for name in (policy.rails if policy else rails) if name in rails]
    lines = [_balance(rails[name], found[name], clip, policy, address) for name in names]
    if any(line.status is Status.OK for line in lines):
        return lines
    # With every balance known to be too small, nothing can be bought.
    if all(isinstance(found[name], int) for name in names):
        return [failed(line.check, line.what, line.todo, **line.facts) for line in lines]
    return lines


def _reader(rail: Rail, owner: str) -> Callable[[], Awaitable[int]]:
    return lambda: rail.chain.balance(rail.token.address, owner)


def _balance(rail: Rail, found: int | ChainError, clip: Clip, policy: Policy | None, address: str) -> Finding:
    check, where = f"balance {rail.name}", place(rail.token)
    facts: dict[str, object] = {"rail": rail.name, "token": rail.token.symbol, "network": rail.token.network}
    if not isinstance(found, int):
        todo = "A payment need not wait for it; see the hosts above."
        return warning(check, f"{where} is not known", todo, **facts, balance_usd=None, clips=None)
    # A payment on Tempo may cost its fee on top.
    clips = found // (clip.price + (FEE_BOUND if rail.name == "mpp" else 0))
    facts |= {"balance_usd": usd(found), "clips": clips}
    if clips == 0:
        return warning(
            check, f"{dollars(found)} {where}: too little for {clip}", f"Send {where} to {address}.", **facts
        )
    what = f"{dollars(found)} {where}: enough for {_count(clips)} of {SIZE} at {dollars(clip.price)}"
    return ok(check, what + _against_cap(found, policy), **facts)


def _against_cap(balance: int, policy: Policy | None) -> str:
    cap = policy.caps.per_day if policy else None
    if not cap:
        return ""
    if balance < cap:
        return f", less than the {dollars(cap)} that the policy allows a day"
    return f", {_count(balance // cap, 'day')} at the policy's {dollars(cap)} a day"


def _count(number: int, thing: str = "clip") -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"
