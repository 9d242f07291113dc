from dataclasses import replace
from typing import Any

import pytest

from seedance_mcp.clips import Bought, Estimate
from seedance_mcp.guard.budget import Budget, Line
from seedance_mcp.guard.usage import Outcome, Verdict
from seedance_mcp.ledger.operator import Quote
from seedance_mcp.ledger.states import OPEN, PAID, ClipJob, Payment, Purchase, State, Upload
from seedance_mcp.payment.offer import Offer
from seedance_mcp.payment.tokens import BASE_USDC
from seedance_mcp.results import budget_result, estimate_result, generate_result, job_result, upload_result
from seedance_mcp.standing import Status, progress, status_of
from seedance_mcp.uploads import Hosted

NOON = 1_700_049_600_000
BUDGET = Budget(False, 1_640_000, [Line("wallet", "hour", cap=2_000_000, spent=300_000, held=60_000)])


def payment(state: State = State.CLAIMED, **changes: Any) -> Payment:
    values: dict[str, Any] = dict.fromkeys(Payment.__dataclass_fields__)
    return Payment(
        **(values | {"state": state, "amount": 360_000, "rail": "x402", "transaction_hash": "0xpaid"} | changes)
    )


def job(**changes: Any) -> ClipJob:
    waiting = ClipJob("job-1", "pur_1", "pending", None, None, None, None, None, None, False, NOON, NOON)
    return replace(waiting, **changes)


def purchase(state: State = State.CLAIMED, **changes: Any) -> Purchase:
    plain = Purchase("pur_1", b"key", "ada", "seedance", 1, 1, {}, NOON, payment(state), None, None)
    return replace(plain, **changes)


SAVED = job(status="complete", progress=100, video_path="/clips/dawn.mp4")
LOST = job(status="complete", lost=True, error="the link is dead")
FAILED = job(status="failed", error="No faces, please.")
UPLOAD = Upload("pur_1", "ab" * 32, 640, 360, None, None, None, "https://images.example/1.jpg")


@pytest.mark.parametrize(
    ("bought", "status"),
    [
        *[(purchase(state), "payment_unknown") for state in sorted(OPEN | PAID)],
        (purchase(State.EXPIRED), "failed"),
        (purchase(State.RELEASED), "failed"),
        (purchase(job=job()), "pending"),
        (purchase(job=job(status="loading", progress=10)), "loading"),
        (purchase(job=job(status="complete", progress=100)), "loading"),
        (purchase(job=SAVED), "complete"),
        (purchase(job=LOST), "complete"),
        (purchase(job=FAILED), "failed"),
        (purchase(State.UNKNOWN, job=SAVED), "complete"),
        (purchase(upload=UPLOAD), "complete"),
        (purchase(upload=replace(UPLOAD, url=None)), "payment_unknown"),
    ],
)
def test_a_clip_is_complete_only_once_it_is_on_disk_or_never_will_be(bought: Purchase, status: Status) -> None:
    assert status_of(bought, NOON) == status


@pytest.mark.parametrize(
    ("bought", "error"),
    [
        (purchase(job=job()), None),
        (purchase(job=SAVED), None),
        (purchase(upload=UPLOAD), None),
        (
            purchase(State.UNKNOWN),
            (
                "The outcome of the payment of $0.36 is not known yet; it counts against the budget; "
                "do not buy again, call check_job."
            ),
        ),
        (
            purchase(State.CLAIMED),
            "$0.36 was charged, and the seller has not named the job yet; do not buy again, call check_job.",
        ),
        (
            purchase(State.EXPIRED),
            "The payment of $0.36 was never taken, and nothing was charged; buy again if it is still wanted.",
        ),
        (
            purchase(job=FAILED),
            (
                'The seller could not make the clip: it says "No faces, please". $0.36 was charged; '
                "call generate_video again with take=2 to buy another take."
            ),
        ),
        (
            purchase(job=job(status="failed")),
            (
                "The seller could not make the clip. $0.36 was charged; "
                "call generate_video again with take=2 to buy another take."
            ),
        ),
        (
            purchase(job=LOST),
            "$0.36 was charged, and the clip cannot be had any more: the link is dead. Tell the operator.",
        ),
        (purchase(job=job(error="the disk is full")), "the disk is full; it is tried again."),
    ],
)
def test_what_went_wrong_is_told_with_what_became_of_the_money(bought: Purchase, error: str | None) -> None:
    assert job_result(bought, NOON).error == error


def test_a_job_is_told_whole() -> None:
    told = job_result(
        purchase(job=job(progress=40, video_url="https://v/1", thumbnail_url="https://t/1", links_die_at=NOON + 999)),
        NOON,
    )
    assert told.model_dump() == {
        "status": "pending",
        "progress": 40,
        "video_path": None,
        "video_url": "https://v/1",
        "thumbnail_url": "https://t/1",
        "expires_at": "2023-11-15T12:00:00Z",
        "price_usd": "0.36",
        "error": None,
        "purchase_id": "pur_1",
        "job_id": "job-1",
        "findings": None,
        "resources": [],
    }


@pytest.mark.parametrize(
    ("bought", "told"),
    [
        (purchase(State.UNKNOWN), (0, 100, "The payment is being looked up.")),
        (purchase(State.EXPIRED), (0, 100, "The payment was never taken.")),
        (purchase(job=job()), (0, 100, "The seller has accepted the job.")),
        (purchase(job=job(status="loading", progress=40)), (40, 100, "The clip is being rendered: 40 %.")),
        (purchase(job=job(status="complete", progress=100)), (99, 100, "The clip is being saved.")),
        (purchase(job=SAVED), (100, 100, "The clip is saved.")),
        (purchase(job=LOST), (100, 100, "The clip cannot be had any more.")),
        (purchase(job=FAILED), (0, 100, "The job failed.")),
    ],
)
def test_progress_reaches_a_hundred_only_at_the_end(bought: Purchase, told: tuple[int, int, str]) -> None:
    assert progress(bought, NOON) == told


@pytest.mark.parametrize(
    ("bought", "next_step"),
    [
        (purchase(State.UNKNOWN), "Do not buy again. Call check_job with purchase_id pur_1."),
        (purchase(State.EXPIRED), "The payment was never taken. Call generate_video again to buy the clip."),
        (purchase(job=job()), "Call check_job with job_id job-1 and wait_seconds=50 until status is complete."),
        (purchase(job=SAVED), "The clip is at /clips/dawn.mp4."),
        (
            purchase(job=FAILED, take=2),
            "The job failed: call generate_video again with take=3 to buy another take.",
        ),
    ],
)
def test_the_next_useful_call_is_named(bought: Purchase, next_step: str) -> None:
    assert generate_result(Bought(bought, duplicate=True), BUDGET, NOON).next == next_step


def test_a_purchase_tells_what_this_call_paid() -> None:
    told = generate_result(Bought(purchase(job=job()), duplicate=False, charged=360_000, upload=10_000), BUDGET, NOON)
    assert (told.price_usd, told.upload_usd, told.charged_usd) == ("0.36", "0.01", "0.37")
    assert (told.purchase_id, told.job_id, told.status, told.duplicate) == ("pur_1", "job-1", "pending", False)
    assert (told.rail, told.transaction) == ("x402", "0xpaid")


def test_an_upload_is_told_whole() -> None:
    paid = purchase(payment=payment(amount=10_000), upload=UPLOAD)
    told = upload_result(Hosted("https://images.example/1.jpg", paid, charged=0, reused=True), BUDGET)
    assert (told.image_url, told.sha256, told.width, told.height) == (UPLOAD.url, "ab" * 32, 640, 360)
    assert (told.price_usd, told.charged_usd, told.reused) == ("0.01", "0.00", True)


@pytest.mark.parametrize(
    ("outcome", "verdict"),
    [(Outcome.ALLOW, "allowed"), (Outcome.ASK, "needs_approval"), (Outcome.REFUSE, "refused")],
)
def test_an_estimate_carries_the_verdict_and_its_reason(outcome: Outcome, verdict: str) -> None:
    told = estimate_result(Estimate(1, False, None, (), Verdict(outcome, "code", "because"), BUDGET), "2025-11-01")
    assert (told.verdict, told.reason) == (verdict, "because")


def test_an_estimate_from_a_quote_tells_its_offers() -> None:
    quote = Quote("q_1", "ada", {}, 412_500, NOON)
    offer = Offer("x402", BASE_USDC.network, 412_500, BASE_USDC, "0xrecipient", 300, {}, fee=500)
    told = estimate_result(
        Estimate(412_500, True, quote, (offer,), Verdict(Outcome.ALLOW, "", ""), BUDGET), "2025-11-01"
    )
    assert (told.price_usd, told.source, told.table_date) == ("0.4125", "live_quote", "2025-11-01")
    assert (told.quote_id, told.expires_at) == ("q_1", "2023-11-15T12:00:00Z")
    assert [one.model_dump() for one in told.offers] == [
        {"rail": "x402", "network": "eip155:8453", "amount_usd": "0.4125", "fee_usd": "0.0005"}
    ]


def test_an_estimate_from_the_table_has_no_quote() -> None:
    told = estimate_result(Estimate(1, False, None, (), Verdict(Outcome.ALLOW, "", ""), BUDGET), "2025-11-01")
    assert (told.source, told.quote_id, told.expires_at, told.offers) == ("price_table", None, None, [])


def test_a_budget_is_told_in_dollars() -> None:
    assert budget_result(BUDGET).model_dump() == {
        "frozen": False,
        "left_usd": "1.64",
        "windows": [
            {
                "scope": "wallet",
                "window": "hour",
                "cap_usd": "2.00",
                "spent_usd": "0.30",
                "held_usd": "0.06",
                "left_usd": "1.64",
            }
        ],
    }
