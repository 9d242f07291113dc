"""What the tools answer: the typed results, and how a record of the ledger becomes one."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, Field

from seedance_mcp.errors import sentence
from seedance_mcp.ledger.states import UNCOUNTED, State
from seedance_mcp.money import dollars, usd

if TYPE_CHECKING:
    from collections.abc import Mapping

    from seedance_mcp.clips import Bought, Estimate
    from seedance_mcp.guard.budget import Budget
    from seedance_mcp.ledger.states import ClipJob, Purchase
    from seedance_mcp.uploads import Hosted

Usd = Annotated[str, Field(description='Dollars as a decimal string, such as "0.36".')]
Status = Literal["awaiting_approval", "denied", "payment_unknown", "pending", "loading", "complete", "failed"]


class WindowLine(BaseModel):
    """One limit of the operator's policy."""

    scope: str = Field(description="wallet, model:NAME or agent:NAME.")
    window: str = Field(description="hour, day, week, month (all rolling) or total.")
    cap_usd: Usd
    spent_usd: Usd
    held_usd: Usd = Field(description="Payments whose outcome is open; they count.")
    left_usd: Usd


class BudgetResult(BaseModel):
    """What may still be spent."""

    frozen: bool = Field(description="The operator has stopped all purchases.")
    left_usd: Usd = Field(description="The least that any limit leaves.")
    windows: list[WindowLine]


class OfferResult(BaseModel):
    """One way to pay that the seller offers."""

    rail: str
    network: str
    amount_usd: Usd
    fee_usd: Usd


class EstimateResult(BaseModel):
    """A price, and what the policy says about it."""

    price_usd: Usd
    source: Literal["live_quote", "price_table"] = Field(description="The seller's own quote, or our dated table.")
    table_date: str = Field(description="The day of the price table.")
    quote_id: str | None = Field(description="Give it to generate_video to be charged no more than this price.")
    expires_at: str | None = Field(description="When quote_id stops being valid (UTC).")
    offers: list[OfferResult]
    verdict: Literal["allowed", "needs_approval", "refused"]
    reason: str = Field(description="Why, with the numbers.")
    draft: str | None = Field(None, description="A much cheaper way to see the same idea first, if there is one.")
    budget: BudgetResult


class UploadResult(BaseModel):
    """An image that the seller can fetch."""

    image_url: str = Field(description="Use it as image or last_image of generate_video.")
    sha256: str = Field(description="Of the bytes that were given.")
    width: int
    height: int
    price_usd: Usd
    charged_usd: Usd = Field(description="By this call.")
    reused: bool = Field(description="The same bytes were paid for before.")
    purchase_id: str
    transaction: str | None
    budget: BudgetResult


class GenerateResult(BaseModel):
    """A purchase and its job."""

    purchase_id: str
    job_id: str | None
    status: Status
    price_usd: Usd
    upload_usd: Usd = Field(description="What this call paid for uploads.")
    charged_usd: Usd = Field(description="What this call paid in all.")
    rail: str
    transaction: str | None
    duplicate: bool = Field(description="This request was bought before: this is that purchase.")
    budget: BudgetResult
    next: str = Field(description="The next useful call.")


class FindingsResult(BaseModel):
    """What was seen and heard in the saved clip."""

    remarks: list[str] = Field(description="What is not as it should be; empty if all is well.")
    length_ms: int | None = None
    width: int | None = None
    height: int | None = None
    codec: str | None = None
    audio: Literal["present", "silent", "none"] | None = None
    black_ms: list[tuple[int, int]] = Field(description="Stretches without a picture, from and to.")
    frozen_ms: list[tuple[int, int]] = Field(description="Stretches in which nothing moves.")
    first_frame_likeness: int | None = Field(None, description="Of the first frame and the given image, in percent.")
    last_frame_likeness: int | None = Field(None, description="Of the last frame and last_image, in percent.")


class JobResult(BaseModel):
    """A job as it stands."""

    status: Status | None = None
    progress: int | None = Field(None, description="Percent.")
    video_path: str | None = Field(None, description="The clip on the server's disk.")
    video_url: str | None = Field(None, description="The seller's link; it dies at expires_at.")
    thumbnail_url: str | None = None
    expires_at: str | None = Field(None, description="When the seller's links die (UTC).")
    price_usd: Usd | None = None
    error: str | None = None
    purchase_id: str | None = None
    job_id: str | None = None
    findings: FindingsResult | None = Field(None, description="Of a saved clip: judge the take by it.")
    resources: list[str] = Field([], description="To read: a contact sheet and a thumbnail (JPEG), and the clip.")


class ReceiptResult(BaseModel):
    """One payment, as the ledger holds it. ``settled`` is what the chain shows, ``claimed`` what the seller says."""

    purchase_id: str
    agent: str
    model: str
    state: str
    amount_usd: Usd
    fee_usd: Usd
    rail: str
    network: str
    token: str
    payer: str
    pay_to: str
    seller: str
    transaction: str | None
    nonce: str | None
    reserved_at: str
    sent_at: str | None
    ended_at: str | None
    job_id: str | None
    request: dict[str, Any]


class CheckResult(JobResult):
    """One job, or all unfinished ones in ``jobs``."""

    jobs: list[JobResult] | None = Field(None, description="Without an id: every unfinished job.")


def budget_result(budget: "Budget") -> BudgetResult:
    return BudgetResult(
        frozen=budget.frozen,
        left_usd=usd(budget.left),
        windows=[
            WindowLine(
                scope=line.scope,
                window=line.window,
                cap_usd=usd(line.cap),
                spent_usd=usd(line.spent),
                held_usd=usd(line.held),
                left_usd=usd(line.left),
            )
            for line in budget.lines
        ],
    )


def estimate_result(estimate: "Estimate", table_date: str) -> EstimateResult:
    verdict = {"allow": "allowed", "ask": "needs_approval", "refuse": "refused"}[estimate.verdict.outcome]
    return EstimateResult.model_validate(
        {
            "price_usd": usd(estimate.price),
            "source": "live_quote" if estimate.live else "price_table",
            "table_date": table_date,
            "quote_id": estimate.quote.id if estimate.quote else None,
            "expires_at": _time(estimate.quote.expires_at) if estimate.quote else None,
            "offers": [
                {"rail": o.rail, "network": o.network, "amount_usd": usd(o.amount), "fee_usd": usd(o.fee)}
                for o in estimate.offers
            ],
            "verdict": verdict,
            "reason": estimate.verdict.reason,
            "draft": _draft(estimate),
            "budget": budget_result(estimate.budget).model_dump(),
        }
    )


def _draft(estimate: "Estimate") -> str | None:
    draft = estimate.draft
    if draft is None:
        return None
    return (
        f'A draft with model="{draft.model}" and resolution="{draft.resolution}" costs about {dollars(draft.price)}: '
        "judge that first."
    )


def upload_result(hosted: "Hosted", budget: "Budget") -> UploadResult:
    purchase, upload = hosted.purchase, hosted.purchase.upload
    assert upload is not None
    return UploadResult(
        image_url=hosted.url,
        sha256=upload.sha256,
        width=upload.width,
        height=upload.height,
        price_usd=usd(purchase.payment.amount),
        charged_usd=usd(hosted.charged),
        reused=hosted.reused,
        purchase_id=purchase.id,
        transaction=purchase.payment.transaction_hash,
        budget=budget_result(budget),
    )


def generate_result(bought: "Bought", budget: "Budget", now: int) -> GenerateResult:
    purchase = bought.purchase
    return GenerateResult(
        purchase_id=purchase.id,
        job_id=purchase.job.id if purchase.job else None,
        status=status_of(purchase, now),
        price_usd=usd(purchase.payment.amount),
        upload_usd=usd(bought.upload),
        charged_usd=usd(bought.charged + bought.upload),
        rail=purchase.payment.rail,
        transaction=purchase.payment.transaction_hash,
        duplicate=bought.duplicate,
        budget=budget_result(budget),
        next=_next(bought, now),
    )


def job_result(purchase: "Purchase", now: int) -> JobResult:
    """``now`` is epoch milliseconds: a question that nobody answered in time was answered with no."""
    job = purchase.job
    status = status_of(purchase, now)
    return JobResult(
        status=status,
        progress=job.progress if job else None,
        video_path=job.video_path if job else None,
        video_url=job.video_url if job else None,
        thumbnail_url=job.thumbnail_url if job else None,
        expires_at=_time(job.links_die_at) if job and job.links_die_at else None,
        price_usd=usd(purchase.payment.amount),
        error=_error(purchase, job, status),
        purchase_id=purchase.id,
        job_id=job.id if job else None,
        findings=_findings(job.findings) if job and job.findings is not None else None,
        resources=picture_uris(job) if job else [],
    )


def receipt(purchase: "Purchase") -> ReceiptResult:
    payment = purchase.payment
    return ReceiptResult(
        purchase_id=purchase.id,
        agent=purchase.agent,
        model=purchase.model,
        state=str(payment.state),
        amount_usd=usd(payment.amount),
        fee_usd=usd(payment.fee),
        rail=payment.rail,
        network=payment.network,
        token=payment.token,
        payer=payment.payer,
        pay_to=payment.pay_to,
        seller=payment.origin,
        transaction=payment.transaction_hash,
        nonce=f"0x{payment.nonce.hex()}" if payment.nonce else None,
        reserved_at=_time(payment.reserved_at),
        sent_at=_time(payment.sent_at) if payment.sent_at else None,
        ended_at=_time(payment.ended_at) if payment.ended_at else None,
        job_id=purchase.job.id if purchase.job else None,
        request=dict(purchase.request),
    )


def picture_uris(job: "ClipJob") -> list[str]:
    """What can be read of a saved clip."""
    if job.video_path is None:
        return []
    return [f"seedance://jobs/{job.id}/{name}" for name in ("contact-sheet", "thumbnail", "video")]


def _findings(seen: "Mapping[str, Any]") -> FindingsResult:
    audio = None if seen["has_audio"] is None else "present" if seen["has_audio"] else "none"
    return FindingsResult.model_validate(
        {
            **{name: seen[name] for name in ("remarks", "length_ms", "width", "height", "codec")},
            "audio": "silent" if seen["silent"] else audio,
            "black_ms": [(one["start_ms"], one["end_ms"]) for one in seen["black"]],
            "frozen_ms": [(one["start_ms"], one["end_ms"]) for one in seen["frozen"]],
            "first_frame_likeness": seen["first_likeness"],
            "last_frame_likeness": seen["last_likeness"],
        }
    )


def status_of(purchase: "Purchase", now: int) -> Status:
    """``complete`` only once the clip is on disk, or never will be."""
    job = purchase.job
    if purchase.payment.state is State.INTENDED and purchase.approval is not None:
        return "awaiting_approval" if purchase.approval.stands(now) else "denied"
    if job is None:
        uploaded = purchase.upload is not None and purchase.upload.url is not None
        if uploaded:
            return "complete"
        return "failed" if purchase.payment.state in UNCOUNTED | {State.WRITTEN_OFF} else "payment_unknown"
    if job.video_path is not None or job.lost:
        return "complete"
    if job.status == "failed":
        return "failed"
    return "pending" if job.status == "pending" else "loading"


def progress(purchase: "Purchase", now: int) -> tuple[int, int, str]:
    """How far a clip is, of 100, in words for a person who waits."""
    job, status = purchase.job, status_of(purchase, now)
    done = (job.progress if job else None) or 0
    words = {
        "awaiting_approval": "A human is asked whether to pay.",
        "denied": "The payment was not approved.",
        "payment_unknown": "The payment is being looked up.",
        "pending": "The seller has accepted the job.",
        "loading": f"The clip is being rendered: {done} %." if done < 100 else "The clip is being saved.",
        "complete": "The clip cannot be had any more." if job is not None and job.lost else "The clip is saved.",
        "failed": "The job failed." if job is not None else "The payment was never taken.",
    }
    return (100 if status == "complete" else min(done, 99), 100, words.get(status, status))


def _error(purchase: "Purchase", job: "ClipJob | None", status: Status) -> str | None:
    if status in {"awaiting_approval", "denied"}:
        return _unanswered(purchase, status)
    if job is None:
        return None if status == "complete" else _undelivered(purchase)
    money = _money(purchase)
    if job.status == "failed":
        told = f': it says "{job.error.rstrip(".")}"' if job.error else ""
        failure = sentence(f"The seller could not make the clip{told}")
        way = "raise take to try again" if purchase.paid else "call check_job before you buy again"
        return f"{failure} {money}; {way}."
    if job.lost:
        loss = sentence(f"{money}, and the clip cannot be had any more: {job.error}")
        return f"{loss} Tell the operator."
    return f"{job.error}; it is tried again." if job.error else None


def _unanswered(purchase: "Purchase", status: Status) -> str:
    approval = purchase.approval
    assert approval is not None
    if approval.answer == "approved" and status == "awaiting_approval":
        return "It is approved, and nothing was charged yet; call generate_video again with the same arguments."
    if status == "awaiting_approval":
        return (
            f"Nothing was charged. The operator is asked until {_time(approval.expires_at)}: "
            f"`seedance-mcp approve {purchase.id}`; then call generate_video again with the same arguments."
        )
    if approval.answer == "denied":
        return f"Nothing was charged: {approval.answered_by} said no, which holds for 24 hours."
    return "Nothing was charged: nobody answered in time. Call generate_video again to ask once more."


def _undelivered(purchase: "Purchase") -> str:
    money = _money(purchase)
    if purchase.payment.state in UNCOUNTED:
        return f"{money}; buy again if it is still wanted."
    if purchase.payment.state is State.WRITTEN_OFF:
        return f"{money}, and the operator gave it up; it stays counted."
    if purchase.model == "upload":
        return f"{money}, and the image is not stored yet; call upload_image again with the same image."
    if purchase.paid:
        return f"{money}, and the seller has not named the job yet; do not buy again, call check_job."
    return f"{money}; it counts; do not buy again, call check_job."


def _money(purchase: "Purchase") -> str:
    amount = dollars(purchase.payment.amount)
    if purchase.paid:
        return f"{amount} was charged"
    if purchase.payment.state in UNCOUNTED:
        return f"The payment of {amount} was never taken, and nothing was charged"
    return f"The outcome of the payment of {amount} is not known yet"


def _next(bought: "Bought", now: int) -> str:
    purchase, job = bought.purchase, bought.purchase.job
    if purchase.payment.state is State.INTENDED:
        return _unanswered(purchase, status_of(purchase, now))
    if job is None and purchase.payment.state in UNCOUNTED:
        return "The payment was never taken. Call generate_video again to buy the clip."
    if job is None:
        return f"Do not buy again. Call check_job with purchase_id {purchase.id}."
    if job.video_path is not None:
        return f"The clip is at {job.video_path}."
    if job.status == "failed":
        return f"The job failed. Call generate_video again with take={purchase.take + 1} to buy another take."
    return f"Call check_job with job_id {job.id} and wait_seconds=50 until status is complete."


def _time(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
