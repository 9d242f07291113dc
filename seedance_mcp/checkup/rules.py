"""The policy, and what it would say to an everyday clip now."""

from collections.abc import Mapping
from dataclasses import dataclass

from seedance_mcp.checkup.finding import Finding, failed, ok, warning
from seedance_mcp.errors import InvalidPolicy
from seedance_mcp.guard.contradictions import contradictions
from seedance_mcp.guard.decision import decide
from seedance_mcp.guard.policy import BUILT_IN, Policy, parse_policy
from seedance_mcp.guard.usage import WALLET, Outcome, Proposal, Usage
from seedance_mcp.money import dollars
from seedance_mcp.orders import SHIPPED_PAY_TO
from seedance_mcp.policy_file import read_policy
from seedance_mcp.settings import Settings
from seedance_mcp.studio import prices

MODEL, SECONDS, PIXELS = "seedance", 5, "720p"
SIZE = f"{SECONDS} s at {PIXELS}"


@dataclass(frozen=True, slots=True)
class Clip:
    """The clip that an agent gets if it asks for nothing special; ``price`` is the table's, in micro-USD."""

    generation: int
    price: int

    def __str__(self) -> str:
        return f"a clip of {SIZE} for {dollars(self.price)}"


def everyday_clip(generation: int | None) -> Clip:
    generation = generation or prices.assumed(MODEL, SECONDS, PIXELS) or 1
    return Clip(generation, prices.estimate(MODEL, generation, SECONDS, PIXELS) or prices.most(MODEL, generation))


def check_policy(settings: Settings, usual: Mapping[str, int], *, seen: bool) -> tuple[Finding, Policy | None]:
    """The policy in force, or None. ``usual``: what each model costs at least. ``seen``: the ledger knows of a file."""
    try:
        policy = read_policy(settings.policy, (*settings.image_roots, settings.output_dir))
    except InvalidPolicy as error:
        return failed("policy", error.what, error.next), None
    if policy is None and (settings.policy_named or seen):
        why = "SEEDANCE_POLICY names it" if settings.policy_named else "the ledger was used under it"
        todo = "Bring it back, or write a new one as in the README."
        return failed("policy", f"{settings.policy} is not there, and {why}", todo), None
    if policy is None:
        policy = parse_policy(BUILT_IN)
        return ok("policy", f"built in ({_caps(policy)}), as there is no {settings.policy}", file=None), policy
    if doubts := contradictions(policy, usual):
        todo = "Run `seedance-mcp policy check`, which has them all."
        return warning("policy", f"{settings.policy}: {doubts[0].what}", todo, file=str(settings.policy)), policy
    return ok("policy", f"{settings.policy} ({_caps(policy)})", file=str(settings.policy)), policy


def check_purchase(policy: Policy, usage: Usage, clip: Clip, rail: str, agent: str) -> Finding:
    """What the policy would say to ``clip``, paid over ``rail``."""
    proposal = Proposal(
        agent=agent,
        model=MODEL,
        price=clip.price,
        fee=0,
        rail=rail,
        pay_to=usage.pinned or SHIPPED_PAY_TO,
        shipped_pay_to=SHIPPED_PAY_TO,
        quoted=None,
        table=clip.price,
        generation=clip.generation,
    )
    verdict = decide(policy, usage, proposal)
    spent = usage.spent[WALLET, "day"].total
    facts = {"verdict": verdict.outcome.value, "code": verdict.code}
    if verdict.outcome is Outcome.REFUSE:
        remedy = _remedy(verdict.code, verdict.remedy)
        return failed("budget", f"{clip} would be refused: {verdict.reason}", remedy, **facts)
    if verdict.outcome is Outcome.ASK:
        todo = "Answer when you are asked, or see `seedance-mcp policy explain`."
        return warning("budget", f"{clip} would wait for your approval: {verdict.reason}", todo, **facts)
    cap = policy.caps.per_day
    left = f"; {dollars(max(cap - spent, 0))} of {dollars(cap)} a day are left" if cap is not None else ""
    return ok("budget", f"{clip} would be allowed{left}", **facts)


def _remedy(code: str, remedy: str) -> str:
    if code == "clock":
        return "If this machine's clock is right, run `seedance-mcp doctor --reset-clock`."
    return remedy or "See `seedance-mcp policy explain`."


def _caps(policy: Policy) -> str:
    caps = policy.caps
    named = (("a payment", caps.per_payment), ("an hour", caps.per_hour), ("a day", caps.per_day))
    return ", ".join(f"{dollars(cap)} {name}" for name, cap in named if cap is not None)
