import pytest

from seedance_mcp.guard.usage import Outcome, Verdict
from seedance_mcp.ledger import history, reservations
from seedance_mcp.ledger.approvals import Asking
from seedance_mcp.ledger.history import QUARTER, Sums
from seedance_mcp.ledger.states import State
from tests.ledger.examples import CLIP, NOW, Desk, intent
from tests.report.examples import alter, clip, failed, outside


async def test_nothing_spent_is_no_line(desk: Desk) -> None:
    await desk.at(State.RELEASED, intent("one"))
    await desk.at(State.EXPIRED, intent("two"))
    assert await desk.database.read(history.spend, 0, ["quarter"]) == {}


async def test_every_micro_dollar_is_told_once_and_by_how_sure_it_is(desk: Desk) -> None:
    for number, state in enumerate([State.RESERVED, State.SIGNED, State.SENT, State.UNKNOWN, State.CLAIMED]):
        await desk.at(state, intent(str(number), fee=7))
    settled = await desk.at(State.SETTLED, intent("settled", fee=7))
    await alter(desk, settled, fee=3)
    given_up = await desk.at(State.UNKNOWN, intent("given up", fee=7))
    await alter(desk, given_up, state="written_off")
    spent = await desk.database.read(history.spend, 0, ["rail"])
    assert spent == {
        ("x402",): Sums(7, settled=CLIP, claimed=CLIP + 7, held=4 * (CLIP + 7), written_off=CLIP + 7, fees=3)
    }
    assert spent["x402",].total == 7 * CLIP + 6 * 7 + 3
    assert spent["x402",].paid == 2 * CLIP + 7 + 3, "what is open or was given up has bought nothing yet"


async def test_a_fee_of_a_failed_transaction_is_spending_and_no_payment(desk: Desk) -> None:
    await failed(desk, 1_500)
    assert await desk.database.read(history.spend, 0, ["model"]) == {("seedance",): Sums(fees=1_500)}


async def test_what_left_the_wallet_by_other_means_is_told_apart(desk: Desk) -> None:
    await desk.at(State.SETTLED, intent("bought"))
    await outside(desk, 9_000_000)
    assert await desk.database.read(history.spend, 0, ["quarter", "model"]) == {
        (NOW // QUARTER, "outside"): Sums(outside=9_000_000),
        (NOW // QUARTER, "seedance"): Sums(1, settled=CLIP),
    }


async def test_seconds_are_those_of_clips_that_are_on_disk(desk: Desk) -> None:
    await clip(desk, "short", seconds=4)
    await clip(desk, "long", seconds=12)
    await clip(desk, "running", seconds=5, saved=False)
    await clip(desk, "free", seconds=5, state=State.EXPIRED)
    await desk.at(State.SETTLED, intent("image", model="upload", request={"sha256": "00"}))
    seconds = {
        group: sums.seconds for (group,), sums in (await desk.database.read(history.spend, 0, ["model"])).items()
    }
    assert seconds == {"seedance": 16, "upload": 0}


@pytest.mark.parametrize(
    ("by", "groups"),
    [
        ("quarter", {NOW // QUARTER: CLIP + 10_000, NOW // QUARTER + 1: CLIP}),
        ("model", {"seedance": 2 * CLIP, "upload": 10_000}),
        ("agent", {"storyboard": CLIP + 10_000, "trailer": CLIP}),
        ("rail", {"mpp": CLIP, "x402": CLIP + 10_000}),
    ],
)
async def test_spending_is_grouped(desk: Desk, by: str, groups: dict[object, int]) -> None:
    await desk.at(State.SETTLED, intent("one", model="upload", amount=10_000))
    await desk.at(State.SETTLED, intent("two"))
    desk.now += QUARTER
    await desk.at(State.SETTLED, intent("three", agent="trailer", rail="mpp"))
    spent = await desk.database.read(history.spend, 0, [by])
    assert {group: sums.settled for (group,), sums in spent.items()} == groups
    assert sum(sums.payments for sums in spent.values()) == 3


async def test_spending_can_start_later(desk: Desk) -> None:
    await clip(desk, "one")
    desk.now += 1
    await clip(desk, "two", seconds=7)
    spent = await desk.database.read(history.spend, NOW + 1, ["model"])
    assert spent == {("seedance",): Sums(1, settled=CLIP, seconds=7)}


async def test_all_unfinished_clips_are_listed_and_the_last_finished_ones(desk: Desk) -> None:
    await clip(desk, "oldest", saved=False)
    for name in ("first", "second", "third"):
        desk.now += 1
        await clip(desk, name)
    await desk.at(State.EXPIRED, intent("never paid"))
    await desk.at(State.SETTLED, intent("image", model="upload"))
    await outside(desk, CLIP)
    listed = await desk.database.read(history.clips, 2, desk.now)
    assert [purchase.request["prompt"] for purchase in listed] == ["third", "second", "oldest"]


async def test_a_clip_that_waits_for_an_answer_is_listed_until_it_is_too_late(desk: Desk) -> None:
    asking = Asking(600_000, lambda usage, verdict: "Buy it?")
    await desk.database.write(
        reservations.reserve, intent(), (), lambda usage: Verdict(Outcome.ASK, "above", "dear"), "me", NOW, asking
    )
    assert len(await desk.database.read(history.clips, 0, NOW + 599_999)) == 1
    assert await desk.database.read(history.clips, 0, NOW + 600_000) == []
