"""The RPC hosts of each rail: whether each serves the right chain, and whether they agree."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from seedance_mcp.chain import Block, Host
from seedance_mcp.checkup.asking import ask_each
from seedance_mcp.checkup.finding import Finding, ok, warning
from seedance_mcp.errors import ChainError
from seedance_mcp.guard.policy import Policy
from seedance_mcp.payment.tokens import Token
from seedance_mcp.rails.rail import Rail
from seedance_mcp.timing import now

_VARIABLES = {"x402": "SEEDANCE_BASE_RPC_URL", "mpp": "SEEDANCE_TEMPO_RPC_URL"}


@dataclass(frozen=True, slots=True)
class Hosts:
    """What the hosts of one rail say. ``blocks`` is what each of ``names`` knows as the newest block that is final for
    all of them, or why it says nothing.

    ``ahead``: seconds by which this machine's clock is ahead of the newest block that any of them has.
    """

    token: Token
    names: tuple[str, ...]
    blocks: tuple[Block | ChainError, ...]
    ahead: int | None

    @property
    def variable(self) -> str:
        return _VARIABLES[self.token.rail]

    @property
    def answered(self) -> list[tuple[str, Block]]:
        both = zip(self.names, self.blocks, strict=True)
        return [(name, block) for name, block in both if not isinstance(block, ChainError)]

    @property
    def problems(self) -> list[str]:
        return [found.what for found in self.blocks if isinstance(found, ChainError)]


async def ask_hosts(rail: Rail) -> Hosts:
    """Two rounds of questions: how far each is, and what it knows about a block that all have."""
    heads = await ask_each({host: _heads(host) for host in rail.chain.hosts})
    answered = {host: found for host, found in heads.items() if not isinstance(found, ChainError)}
    number = min((final.number for _, final, _ in answered.values()), default=0)
    blocks = await ask_each({host: _block(host, number) for host in answered})
    silent = {host: found for host, found in heads.items() if isinstance(found, ChainError)}
    return Hosts(
        token=rail.token,
        names=tuple(host.name for host in rail.chain.hosts),
        blocks=tuple((blocks | silent)[host] for host in rail.chain.hosts),
        ahead=min((ahead for _, _, ahead in answered.values()), default=None),
    )


def check_hosts(hosts: Hosts, policy: Policy | None) -> Finding:
    """Never a failure: a payment can be made without them, and one that stays unanswered is held until they agree."""
    check, variable = f"rpc {hosts.token.rail}", hosts.variable
    needed = policy.rpc_agree if policy else 1
    known = {block.hash for _, block in hosts.answered}
    names = _and([name for name, _ in hosts.answered])
    count = len(hosts.answered)
    facts = {
        "rail": hosts.token.rail,
        "chain_id": hosts.token.chain_id,
        "hosts": list(hosts.names),
        "answered": count,
        "agree": len(known) == 1,
        "needed": needed,
    }
    todo = f"Name other hosts in {variable}, with commas between. Until then an unanswered payment stays held."
    problems = "; ".join(hosts.problems)
    if count == 0:
        return warning(check, problems, todo, **facts)
    number = hosts.answered[0][1].number
    if len(known) > 1:
        return warning(check, f"{names} do not agree on block {number:,}: one of them is wrong", todo, **facts)
    what = f"{names} serve{'s' * (count == 1)} chain {hosts.token.chain_id}"
    what += f" and agree on block {number:,}" if count > 1 else ""
    what += f"; {problems[0].lower()}{problems[1:]}" if problems else ""
    if count < needed:
        return warning(check, f"{what}; {needed} must agree that a payment expired", todo, **facts)
    return warning(check, what, f"Name another host in {variable}.", **facts) if problems else ok(check, what, **facts)


def _heads(host: Host) -> Callable[[], Awaitable[tuple[Block, Block, int]]]:
    """The newest block, the newest final one, and the seconds by which our clock is ahead of the former."""

    async def ask() -> tuple[Block, Block, int]:
        latest = await host.latest()
        return latest, await host.finalized(), now() // 1000 - latest.timestamp

    return ask


def _block(host: Host, number: int) -> Callable[[], Awaitable[Block]]:
    return lambda: host.block(number)


def _and(names: Sequence[str]) -> str:
    return " and ".join(part for part in (", ".join(names[:-1]), *names[-1:]) if part)
