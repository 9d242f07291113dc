"""What the tools answer: the typed results, and how a record of the ledger becomes one."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, Field

from seedance_mcp.money import dollars, usd
from seedance_mcp.standing import Status, next_step, problem, status_of, utc

if TYPE_CHECKING:
    from collections.abc import Mapping

    from seedance_mcp.clips import Bought, Estimate
    from seedance_mcp.guard.budget import Budget
    from seedance_mcp.ledger.states import ClipJob, Purchase
    from seedance_mcp.uploads import Hosted

Usd = Annotated[str, Field(description='Dollars as a decimal string, such as "0.36".')]


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
            "expires_at": utc(estimate.quote.expires_at) if estimate.quote else None,
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
        next=next_step(purchase, now),
    )


def job_result(purchase: "Purchase", now: int) -> JobResult:
    """``now`` is epoch milliseconds: a question that nobody answered in time was answered with no."""
    job = purchase.job
    return JobResult(
        status=status_of(purchase, now),
        progress=job.progress if job else None,
        video_path=job.video_path if job else None,
        video_url=job.video_url if job else None,
        thumbnail_url=job.thumbnail_url if job else None,
        expires_at=utc(job.links_die_at) if job and job.links_die_at else None,
        price_usd=usd(purchase.payment.amount),
        error=problem(purchase, now),
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
        reserved_at=utc(payment.reserved_at),
        sent_at=utc(payment.sent_at) if payment.sent_at else None,
        ended_at=utc(payment.ended_at) if payment.ended_at else None,
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
