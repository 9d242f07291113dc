from seedance_mcp.ledger import operator
from seedance_mcp.ledger.operator import Quote
from seedance_mcp.ledger.states import DAY, State
from tests.guard.examples import OTHER, PAY_TO
from tests.ledger.examples import CLIP, NOW, SELLER, USDC, Desk


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
