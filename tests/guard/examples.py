"""A policy, a ledger's usage and a proposal to start from; tests change what they are about."""

from dataclasses import replace
from typing import Any

from seedance_mcp.guard.policy import BUILT_IN, Caps, Policy, parse_policy
from seedance_mcp.guard.usage import Proposal, Usage

PAY_TO = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
OTHER = "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"
AGENT, MODEL = "storyboard", "seedance"


def policy(**changes: Any) -> Policy:
    """The built-in one, changed; keys of ``Caps`` change the wallet's caps."""
    built_in = parse_policy(BUILT_IN)
    caps = {name: changes.pop(name) for name in list(changes) if name in Caps.__dataclass_fields__}
    return replace(built_in, caps=replace(built_in.caps, **caps), **changes)


def usage(**changes: Any) -> Usage:
    """A fresh ledger's."""
    fresh = Usage(frozen=None, clock_ahead=0, spent={}, unresolved={}, pinned=None, generation=None)
    return replace(fresh, **changes)


def proposal(**changes: Any) -> Proposal:
    """A clip for $0.36 that the built-in policy allows."""
    plain = Proposal(
        agent=AGENT,
        model=MODEL,
        price=360_000,
        fee=0,
        rail="x402",
        pay_to=PAY_TO,
        shipped_pay_to=PAY_TO,
        quoted=None,
        table=360_000,
        generation=1,
    )
    return replace(plain, **changes)
