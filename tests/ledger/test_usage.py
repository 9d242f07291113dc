import pytest

from seedance_mcp.guard.usage import WALLET, WINDOWS, Spent
from seedance_mcp.ledger import operator, payments, views
from seedance_mcp.ledger.states import DAY, OPEN, State
from tests.ledger.examples import CLIP, ME, NOW, Desk, intent

BOUNDED = [window for window, length in WINDOWS.items() if length is not None]


async def test_a_fresh_ledger_has_spent_nothing(desk: Desk) -> None:
    usage = await desk.usage((WALLET, "day"))
    assert usage.spent == {(WALLET, "day"): Spent()}
    assert (usage.frozen, usage.clock_ahead, usage.pinned, usage.generation, usage.outstanding) == (
        None, 0, None, None, 0,
    )  # fmt: skip
    assert usage.unresolved == {WALLET: 0}


@pytest.mark.parametrize("window", BOUNDED)
async def test_a_settled_payment_leaves_its_window_to_the_millisecond(desk: Desk, window: str) -> None:
    await desk.at(State.SETTLED)
    length = WINDOWS[window]
    assert length is not None
    desk.now = NOW + length - 1
    assert await desk.spent(window=window) == Spent(CLIP, 0, 1, {"x402": CLIP})
    desk.now += 1
    assert await desk.spent(window=window) == Spent()


async def test_the_total_forgets_nothing(desk: Desk) -> None:
    await desk.at(State.SETTLED)
    desk.now += 10_000 * DAY
    assert await desk.spent(window="total") == Spent(CLIP, 0, 1)


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("state", sorted(OPEN))
async def test_an_open_payment_is_in_every_window_at_any_age(desk: Desk, state: State, window: str) -> None:
    await desk.at(state)
    desk.now += 10_000 * DAY
    rails = {} if window == "total" else {"x402": CLIP}
    assert await desk.spent(window=window) == Spent(total=CLIP, held=CLIP, count=1, rails=rails)


@pytest.mark.parametrize("state", [State.RELEASED, State.EXPIRED])
async def test_what_was_proven_unpaid_does_not_count(desk: Desk, state: State) -> None:
    await desk.at(state)
    assert await desk.spent(window="total") == Spent()


@pytest.mark.parametrize("state", [State.CLAIMED, State.SETTLED])
async def test_what_was_paid_counts_and_is_not_held(desk: Desk, state: State) -> None:
    await desk.at(state)
    assert await desk.spent() == Spent(total=CLIP, held=0, count=1, rails={"x402": CLIP})


async def test_a_clock_that_goes_back_frees_nothing(desk: Desk) -> None:
    await desk.at(State.SETTLED)
    desk.now -= 30 * DAY
    assert (await desk.spent()).total == CLIP


async def test_fees_count(desk: Desk) -> None:
    await desk.reserve(intent(fee=700))
    assert await desk.spent() == Spent(CLIP + 700, CLIP + 700, 1, {"x402": CLIP + 700})


async def test_scopes_count_their_own_payments(desk: Desk) -> None:
    await desk.at(State.SETTLED, intent("one", agent="ada"))
    await desk.at(State.UNKNOWN, intent("two", agent="bob", model="upload", amount=10_000))
    usage = await desk.usage(
        *((scope, "day") for scope in (WALLET, "agent:ada", "agent:bob", "agent:eve", "model:seedance", "model:upload"))
    )
    assert {scope: spent.total for (scope, _), spent in usage.spent.items()} == {
        WALLET: CLIP + 10_000,
        "agent:ada": CLIP,
        "agent:bob": 10_000,
        "agent:eve": 0,
        "model:seedance": CLIP,
        "model:upload": 10_000,
    }
    assert usage.unresolved == {
        WALLET: 1, "agent:ada": 0, "agent:bob": 1, "agent:eve": 0, "model:seedance": 0, "model:upload": 1,
    }  # fmt: skip


async def test_a_name_with_a_colon_or_a_quote_is_only_a_name(desk: Desk) -> None:
    await desk.reserve(intent(agent="a:b' OR '1'='1"))
    assert (await desk.spent("agent:a:b' OR '1'='1")).total == CLIP
    assert (await desk.spent("agent:a")).total == 0


async def unresolved(desk: Desk) -> int:
    return (await desk.usage((WALLET, "hour"))).unresolved[WALLET]


async def test_a_payment_is_unresolved_once_nobody_alive_works_on_it(desk: Desk) -> None:
    await desk.at(State.SENT, intent("one"))
    await desk.at(State.SIGNED, intent("two"))
    await desk.at(State.RESERVED, intent("three"))
    await desk.at(State.CLAIMED, intent("four"))
    assert await unresolved(desk) == 0
    desk.now += payments.LEASE - 1
    assert await unresolved(desk) == 0
    desk.now += 1
    assert await unresolved(desk) == 2


async def test_a_payment_whose_answer_takes_too_long_is_unresolved_though_somebody_waits(desk: Desk) -> None:
    await desk.at(State.SENT)
    desk.now += views.IN_FLIGHT
    await desk.database.write(payments.beat, ME, desk.now)
    assert await unresolved(desk) == 0
    desk.now += 1
    assert await unresolved(desk) == 1


async def test_what_may_still_leave_the_wallet_is_outstanding(desk: Desk) -> None:
    for number, state in enumerate((*sorted(OPEN), State.CLAIMED, State.SETTLED, State.EXPIRED, State.RELEASED)):
        await desk.at(state, intent(str(number), fee=5))
    await desk.reserve(intent("other rail", rail="mpp"))
    assert (await desk.usage()).outstanding == 4 * (CLIP + 5)


async def test_the_generation_of_the_last_payment_is_known(desk: Desk) -> None:
    old = await desk.at(State.CLAIMED, intent("old", generation=1))
    await desk.at(State.CLAIMED, intent("new", generation=2))
    await desk.at(State.CLAIMED, intent("picture", generation=None))
    await desk.at(State.RELEASED, intent("never paid", generation=3))
    assert (await desk.usage()).generation == 2
    assert not await desk.move(old, State.CLAIMED)
    assert (await desk.usage()).generation == 2, "what is told twice changes nothing"
    await desk.database.write(operator.accept_generation, 3, desk.now)
    assert (await desk.usage()).generation == 3


async def test_a_clock_behind_the_ledger_s_is_noticed_beyond_a_minute(desk: Desk) -> None:
    await desk.reserve()
    desk.now = NOW - 60_000
    assert (await desk.usage()).clock_ahead == 0
    desk.now -= 1
    assert (await desk.usage()).clock_ahead == 60_001


async def test_the_ledger_s_clock_never_goes_back(desk: Desk) -> None:
    await desk.reserve(intent("one"))
    desk.now -= 30_000
    await desk.reserve(intent("two"))
    desk.now = NOW - 60_001
    assert (await desk.usage()).clock_ahead == 60_001


async def test_a_freeze_is_seen_with_its_reason(desk: Desk) -> None:
    await desk.database.write(operator.freeze, "a leak", desk.now)
    assert (await desk.usage()).frozen == "a leak"
