from dataclasses import replace

import pytest

from seedance_mcp.ledger import claims, jobs, refunds
from seedance_mcp.ledger.check import check_ledger
from seedance_mcp.ledger.claims import Why
from seedance_mcp.ledger.history import QUARTER, UNASSIGNED, Sums, spend
from seedance_mcp.ledger.refunds import Refund
from seedance_mcp.ledger.states import Payment, State
from seedance_mcp.refunds import Looked
from seedance_mcp.report.claims import as_looked, as_sentences, as_text, read_claims
from tests.guard.examples import PAY_TO
from tests.ledger.examples import CLIP, NOW, USDC, Desk, intent
from tests.report.examples import clip

IMAGE = {"sha256": "00", "width": 640, "height": 480}
BACK = Refund("x402", "eip155:8453", USDC, "0xpayer", PAY_TO.lower(), CLIP, "0xback", 3, NOW + 60_000)


async def owed(desk: Desk) -> list[Why]:
    return [claim.why for claim in await desk.database.read(claims.claims, 0, desk.now)]


async def end(desk: Desk, payment: Payment, status: str, error: str | None = "it broke") -> None:
    await desk.database.write(
        jobs.update, f"job-{payment.purchase}", status=status, progress=None, video_url=None, thumbnail_url=None,
        links_die_at=None, error=error, now=desk.now,
    )  # fmt: skip


async def with_job(desk: Desk, state: State = State.SETTLED, name: str = "dawn") -> Payment:
    payment = await desk.at(state, intent(name))
    await desk.database.write(jobs.add, payment.purchase, f"job-{payment.purchase}", desk.now)
    return payment


async def book(desk: Desk, *found: Refund) -> None:
    for refund in found:
        assert await desk.database.write(refunds.book, refund, desk.now)
    await desk.database.write(claims.assign, await desk.database.read(claims.plan, desk.now), desk.now)


@pytest.mark.parametrize(
    ("state", "why"),
    [
        (State.SETTLED, [Why.NO_JOB]),
        (State.CLAIMED, []),
        (State.UNKNOWN, []),
        (State.EXPIRED, []),
        (State.RELEASED, []),
    ],
)
async def test_a_job_that_nobody_named_is_owed_once_its_payment_is_final(
    desk: Desk, state: State, why: list[Why]
) -> None:
    await desk.at(state)
    assert await owed(desk) == why


@pytest.mark.parametrize(("state", "why"), [(State.SETTLED, [Why.JOB_FAILED]), (State.CLAIMED, [Why.JOB_FAILED])])
async def test_a_job_that_failed_is_owed(desk: Desk, state: State, why: list[Why]) -> None:
    payment = await with_job(desk, state)
    assert await owed(desk) == []
    await end(desk, payment, "failed")
    assert await owed(desk) == why


async def test_a_job_that_failed_and_was_not_paid_is_not_owed(desk: Desk) -> None:
    await end(desk, await with_job(desk, State.UNKNOWN), "failed")
    assert await owed(desk) == []


async def test_a_clip_is_owed_only_once_it_cannot_be_had_any_more(desk: Desk) -> None:
    payment = await with_job(desk)
    await desk.database.write(jobs.note_error, f"job-{payment.purchase}", "the disk is full", False, desk.now)
    assert await owed(desk) == []
    await desk.database.write(jobs.note_error, f"job-{payment.purchase}", "it is gone", True, desk.now)
    assert await owed(desk) == [Why.CLIP_LOST]


async def test_an_image_is_owed_once_its_ticket_is_worthless(desk: Desk) -> None:
    payment = await desk.at(State.SETTLED, intent(model="upload", request=IMAGE))
    assert await owed(desk) == [Why.UPLOAD_LOST]
    purchase = await desk.find(payment.purchase)
    await desk.database.write(jobs.keep_ticket, purchase, b"sealed", desk.now + 1)
    assert await owed(desk) == []
    desk.now += 1
    assert await owed(desk) == [Why.UPLOAD_LOST]
    await desk.database.write(jobs.finish_upload, payment.purchase, "https://blob.example/1.png")
    assert await owed(desk) == []


async def test_a_clip_that_was_saved_is_not_owed(desk: Desk) -> None:
    await clip(desk, "dawn")
    assert await owed(desk) == []


async def test_a_refund_answers_a_claim_and_is_no_spending(desk: Desk) -> None:
    payment = await desk.at(State.SETTLED)
    await book(desk, BACK)
    (claim,) = await desk.database.read(claims.claims, 0, desk.now)
    assert (claim.open, claim.refunded) == (False, CLIP)
    assert f"$0.36 came back at 2023-11-14T22:14:20Z: {BACK.transaction}" in as_text(claim)
    spent = await desk.database.read(spend, 0, ["model", "agent"])
    assert spent == {(payment.model, payment.agent): Sums(1, settled=CLIP, refunded=CLIP)}
    assert spent[payment.model, payment.agent].total == CLIP


async def test_a_plan_that_was_made_twice_is_told_once(desk: Desk) -> None:
    payment = await desk.at(State.SETTLED)
    await desk.database.write(refunds.book, BACK, desk.now)
    plan = await desk.database.read(claims.plan, desk.now)
    assert plan == [(BACK, payment.purchase)]
    for _ in range(2):
        await desk.database.write(claims.assign, plan, desk.now)
    assert await check_ledger(desk.database) == []
    rows = await desk.database.read(lambda tx: tx.all("SELECT entry FROM audit"))
    assert sum(refunds.ASSIGNED in row["entry"] for row in rows) == 1


async def test_a_part_that_came_back_leaves_the_claim_open(desk: Desk) -> None:
    payment = await desk.at(State.SETTLED)
    part = replace(BACK, amount=60_000)
    await book(desk, part)
    await desk.database.write(refunds.assign, part, payment.purchase, desk.now)
    (claim,) = await desk.database.read(claims.claims, 0, desk.now)
    assert claim.open
    assert "Please send $0.30 back" in as_text(claim)


async def test_a_refund_that_is_for_no_claim_is_listed_and_shown_in_the_spending(desk: Desk) -> None:
    saved = await clip(desk, "dawn")
    await book(desk, BACK, replace(BACK, index=4, memo=saved.nonce))
    found = await desk.database.read(read_claims, None, desk.now)
    assert [claim.purchase.id for claim in found.claims] == []
    assert [line.partition(" on ")[0] for line in as_sentences(found)] == ["$0.36 came back over x402"] * 2
    assert "for no claim that it names" in as_sentences(found)[0]
    assert f"for {saved.purchase}, which is no claim" in as_sentences(found)[1]
    spent = await desk.database.read(spend, 0, ["model"])
    assert {model: sums.refunded for (model,), sums in spent.items()} == {"seedance": CLIP, UNASSIGNED: CLIP}


async def test_a_refund_stands_on_the_day_that_it_came(desk: Desk) -> None:
    await desk.at(State.SETTLED)
    await book(desk, replace(BACK, mined_at=NOW + 96 * QUARTER))
    spent = await desk.database.read(spend, NOW + 1, ["quarter"])
    assert spent == {(NOW // QUARTER + 96,): Sums(refunded=CLIP)}


async def test_the_same_event_is_booked_once(desk: Desk) -> None:
    await book(desk, BACK)
    assert not await desk.database.write(refunds.book, replace(BACK, amount=1), desk.now)
    assert [refund.amount for refund in await desk.database.read(refunds.booked)] == [CLIP]


def test_how_far_a_look_came_is_told_only_where_it_fell_short() -> None:
    assert as_looked([Looked("x402", 0, NOW, None)]) == []
    assert as_looked([Looked("x402", 2, NOW, "No host answered"), Looked("mpp", 1, None, None)]) == [
        "2 refunds over x402 found and booked.",
        "Refunds over x402 have not been looked up since 2023-11-14T22:13:20Z. No host answered.",
        "1 refund over mpp found and booked.",
    ]
