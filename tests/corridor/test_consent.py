"""What would be decided, asked before anything is paid."""

import pytest

from seedance_mcp.errors import BadChallenge, Refused, SeedanceError
from seedance_mcp.guard.usage import Outcome
from seedance_mcp.ledger import approvals, audit, operator
from seedance_mcp.ledger.states import Approval, Purchase, State
from seedance_mcp.ledger.views import must
from tests.corridor.examples import CLIP, PRICE
from tests.corridor.world import Process, World
from tests.guard.examples import policy


async def test_consent_is_not_needed_for_what_is_allowed(world: World, process: Process) -> None:
    assert await process.corridor.consent(CLIP, await process.quote()) is None
    assert await world.last() is None


async def test_consent_asks_once_and_reserves_nothing(world: World, process: Process) -> None:
    world.policy, quote = policy(approval_above=0), await process.quote()
    asked = await process.corridor.consent(CLIP, quote)
    assert asked is not None
    assert (asked.payment.state, asked.payment.serial) == (State.INTENDED, 0)
    assert await process.corridor.consent(CLIP, quote) == asked


async def test_consent_is_refused_where_buying_would_be(world: World, process: Process) -> None:
    world.policy = policy(per_payment=PRICE - 1)
    with pytest.raises(Refused):
        await process.corridor.consent(CLIP, await process.quote())


async def test_consent_wants_an_offer_that_can_be_paid(world: World, process: Process) -> None:
    world.seller.patience = 20
    with pytest.raises(BadChallenge):
        await process.corridor.consent(CLIP, await process.quote())


async def test_consent_wants_a_clock_that_is_right(world: World, process: Process) -> None:
    quote = await process.quote()
    world.now += 61_000
    with pytest.raises(SeedanceError) as told:
        await process.corridor.consent(CLIP, quote)
    assert told.value.code == "clock"


async def test_a_preview_tells_what_buying_would_decide(world: World, process: Process) -> None:
    before = await world.ledger.read(audit.head)
    shown = await process.corridor.preview(CLIP, await process.quote())
    assert (shown.verdict.code, shown.offer.amount, shown.policy) == ("allowed", PRICE, world.policy)
    assert ("agent:storyboard", "hour") in shown.usage.spent
    world.policy = policy(per_payment=PRICE - 1)
    assert (await process.corridor.preview(CLIP, await process.quote())).verdict.code == "per_payment"
    assert await world.ledger.read(audit.head) == before


async def test_a_preview_refuses_a_quote_that_buying_would_not_take(world: World, process: Process) -> None:
    quote = await process.quote()
    world.now += 61_000
    assert (await process.corridor.preview(CLIP, quote)).verdict.code == "clock"
    world.now -= 61_000
    world.seller.patience = 20
    assert (await process.corridor.preview(CLIP, await process.quote())).verdict.code == "bad_challenge"


@pytest.mark.parametrize(("approved", "told"), [(True, "approved"), (False, "denied")])
async def test_a_preview_knows_what_a_human_has_answered(
    world: World, process: Process, approved: bool, told: str
) -> None:
    world.policy = policy(approval_above=0)
    assert (await process.corridor.preview(CLIP, await process.quote())).verdict.code == "above_approval"
    asked = await process.corridor.consent(CLIP, await process.quote())
    assert asked is not None
    await world.ledger.write(approvals.answer, must(asked.approval), approved=approved, by="a human", now=world.now)
    shown = await process.corridor.preview(CLIP, await process.quote())
    assert (shown.verdict.code, shown.verdict.outcome is Outcome.ALLOW) == (told, approved)
    assert ("agent:storyboard", "hour") in shown.usage.spent


async def test_an_answer_is_for_the_question_that_was_read(world: World, process: Process) -> None:
    world.policy = policy(approval_above=0)
    first = await process.corridor.consent(CLIP, await process.quote())
    world.seller.cost = PRICE + 1
    world.now += 1
    second = await process.corridor.consent(CLIP, await process.quote())
    assert first is not None
    assert second is not None
    assert first.id == second.id

    async def say_yes(asked: Approval | None) -> Purchase | None:
        return await world.ledger.write(approvals.answer, must(asked), approved=True, by="a human", now=world.now)

    assert await say_yes(first.approval) is None
    assert must(must(await world.last()).approval).answer is None
    assert await say_yes(second.approval) is not None


async def test_a_yes_gives_way_to_a_limit_before_anything_is_paid(world: World, process: Process) -> None:
    world.policy = policy(approval_above=0)
    asked = must(await process.corridor.consent(CLIP, await process.quote()))
    await world.ledger.write(approvals.answer, must(asked.approval), approved=True, by="a human", now=world.now)
    assert await process.corridor.consent(CLIP, await process.quote()) is None
    await world.ledger.write(operator.freeze, "stop", world.now)
    with pytest.raises(Refused) as caught:
        await process.corridor.consent(CLIP, await process.quote())
    assert caught.value.code == "frozen"


async def test_a_preview_needs_no_wallet(world: World) -> None:
    process = world.open("somebody", wallet=None)
    assert (await process.corridor.preview(CLIP, await process.quote())).verdict.code == "allowed"
