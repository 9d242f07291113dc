"""Any policy, usage and proposal, crowded around the amounts where they meet."""

from dataclasses import replace

from hypothesis import strategies as st

from seedance_mcp.guard.policy import Caps, Policy
from seedance_mcp.guard.usage import WALLET, WINDOWS, Proposal, Spent, Usage, agent_scope, model_scope
from tests.guard.examples import AGENT, MODEL, OTHER, PAY_TO, policy, proposal

SCOPES = (WALLET, model_scope(MODEL), agent_scope(AGENT))

money = st.integers(0, 20_000_000)
some_money = st.none() | money
some_count = st.none() | st.integers(0, 20)


def caps() -> st.SearchStrategy[Caps]:
    return st.builds(
        Caps,
        per_payment=some_money,
        per_hour=some_money,
        per_day=some_money,
        per_week=some_money,
        per_month=some_money,
        total=some_money,
        payments_per_hour=some_count,
        payments_per_day=some_count,
        unresolved=some_count,
    )


def policies() -> st.SearchStrategy[Policy]:
    return st.builds(
        lambda wallet, **changes: policy(
            **{name: getattr(wallet, name) for name in Caps.__dataclass_fields__}, **changes
        ),
        caps().map(lambda some: replace(some, per_hour=some.per_hour or 5_000_000)),
        approval_above=some_money,
        over_quote=st.integers(0, 500_000),
        over_table=st.integers(0, 500_000),
        pay_to=st.none() | st.sampled_from([(PAY_TO,), (OTHER,), (OTHER, PAY_TO)]),
        rails=st.sampled_from([("x402",), ("mpp",), ("x402", "mpp")]),
        models=st.dictionaries(st.sampled_from([MODEL, "upload"]), caps()),
        agents=st.dictionaries(st.sampled_from([AGENT, "someone-else"]), caps()),
    )


@st.composite
def spent(draw: st.DrawFn) -> Spent:
    total = draw(money)
    return Spent(total, draw(st.integers(0, total)), draw(st.integers(0, 20)))


def usages() -> st.SearchStrategy[Usage]:
    return st.builds(
        Usage,
        frozen=st.none() | st.just("by the operator"),
        clock_ahead=st.sampled_from([0, 0, 0, 120_000]),
        spent=st.dictionaries(st.tuples(st.sampled_from(SCOPES), st.sampled_from(list(WINDOWS))), spent()),
        unresolved=st.dictionaries(st.sampled_from(SCOPES), st.integers(0, 4)),
        pinned=st.none() | st.sampled_from([PAY_TO, PAY_TO.lower(), OTHER]),
        generation=st.sampled_from([None, 1, 2]),
        outstanding=money,
    )


def proposals() -> st.SearchStrategy[Proposal]:
    return st.builds(
        proposal,
        price=st.integers(-1, 5_000_000),
        fee=st.integers(0, 10_000),
        pay_to=st.sampled_from([PAY_TO, PAY_TO.upper().replace("X", "x", 1), OTHER]),
        quoted=st.none() | st.integers(0, 5_000_000),
        table=st.none() | st.integers(0, 5_000_000),
        generation=st.sampled_from([None, 1, 2]),
        balance=some_money,
        limit=some_money,
        already=st.integers(0, 20_000),
        planned=st.integers(0, 20_000),
        planned_payments=st.integers(0, 2),
    )
