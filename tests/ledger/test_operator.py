import pytest

from seedance_mcp.ledger import operator
from seedance_mcp.ledger.operator import Quote, SpendLine
from seedance_mcp.ledger.states import DAY, State
from tests.guard.examples import OTHER, PAY_TO
from tests.ledger.examples import CLIP, NOW, SELLER, USDC, Desk, intent


def quote(quote_id: str = "q_1", expires_at: int = NOW + 600_000) -> Quote:
    return Quote(quote_id, "storyboard", {"duration": 5, "resolution": "720p", "audio": None}, CLIP, expires_at)


async def test_a_freeze_lasts_until_it_is_lifted(desk: Desk) -> None:
    assert not await desk.database.write(operator.unfreeze, desk.now)
    await desk.database.write(operator.freeze, "first", desk.now)
    await desk.database.write(operator.freeze, "second", desk.now)
    assert (await desk.usage()).frozen == "second"
    assert await desk.database.write(operator.unfreeze, desk.now)
    assert (await desk.usage()).frozen is None


async def test_unfreezing_changes_no_balance(desk: Desk) -> None:
    await desk.at(State.UNKNOWN)
    before = await desk.spent(window="total")
    await desk.database.write(operator.freeze, "a leak", desk.now)
    await desk.database.write(operator.unfreeze, desk.now)
    assert await desk.spent(window="total") == before


async def test_the_operator_moves_the_trusted_recipient_and_hears_of_the_old_one(desk: Desk) -> None:
    async def trust(pay_to: str) -> str | None:
        return await desk.database.write(
            operator.trust, origin=SELLER, rail="x402", token=USDC, pay_to=pay_to, now=desk.now
        )

    assert await trust(PAY_TO) is None
    assert await trust(OTHER) == PAY_TO
    await desk.reserve()
    assert (await desk.usage()).pinned == OTHER, "a purchase never moves it"


async def test_a_quote_is_found_as_it_was_given(desk: Desk) -> None:
    await desk.database.write(operator.keep_quote, quote(), desk.now)
    assert await desk.database.read(operator.quote, "q_1") == quote()
    assert await desk.database.read(operator.quote, "q_2") is None


async def test_a_quote_is_forgotten_a_day_after_its_end(desk: Desk) -> None:
    await desk.database.write(operator.keep_quote, quote(), desk.now)
    desk.now = quote().expires_at + DAY
    await desk.database.write(operator.keep_quote, quote("q_2"), desk.now)
    assert await desk.database.read(operator.quote, "q_1") is not None
    desk.now += 1
    await desk.database.write(operator.keep_quote, quote("q_3"), desk.now)
    assert await desk.database.read(operator.quote, "q_1") is None


async def test_a_ledger_remembers_that_it_saw_a_policy_file(desk: Desk) -> None:
    assert not await desk.database.read(operator.policy_seen, file=False)
    assert await desk.database.write(operator.policy_seen, file=True)
    assert await desk.database.read(operator.policy_seen, file=False)


async def test_nothing_spent_is_no_line(desk: Desk) -> None:
    await desk.at(State.RELEASED, intent("one"))
    await desk.at(State.EXPIRED, intent("two"))
    assert await desk.database.read(operator.spend, 0, "day") == []


async def test_spending_is_told_apart_by_how_sure_it_is(desk: Desk) -> None:
    for number, state in enumerate([State.SETTLED, State.CLAIMED, State.UNKNOWN, State.RESERVED]):
        await desk.at(state, intent(str(number), amount=CLIP + number, fee=7))
    assert await desk.database.read(operator.spend, 0, "rail") == [
        SpendLine("x402", 4, settled=CLIP + 7, claimed=CLIP + 8, held=2 * CLIP + 5 + 14, fees=28)
    ]


@pytest.mark.parametrize(
    ("by", "groups"),
    [
        ("day", {"2023-11-14": CLIP + 10_000, "2023-11-15": CLIP}),
        ("model", {"seedance": 2 * CLIP, "upload": 10_000}),
        ("agent", {"storyboard": CLIP + 10_000, "trailer": CLIP}),
        ("rail", {"mpp": CLIP, "x402": CLIP + 10_000}),
    ],
)
async def test_spending_is_grouped(desk: Desk, by: str, groups: dict[str, int]) -> None:
    await desk.at(State.SETTLED, intent("one", model="upload", amount=10_000))
    await desk.at(State.SETTLED, intent("two"))
    desk.now += DAY
    await desk.at(State.SETTLED, intent("three", agent="trailer", rail="mpp"))
    lines = await desk.database.read(operator.spend, 0, by)
    assert {line.group: line.settled for line in lines} == groups
    assert sum(line.payments for line in lines) == 3


async def test_spending_can_start_later(desk: Desk) -> None:
    await desk.at(State.SETTLED, intent("one"))
    desk.now += 1
    await desk.at(State.SETTLED, intent("two"))
    assert [line.payments for line in await desk.database.read(operator.spend, NOW + 1, "model")] == [1]
