"""How a purchase stands: in one word, in percent, and in sentences that say what became of the money and what to do."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from seedance_mcp.errors import sentence
from seedance_mcp.ledger.states import UNCOUNTED, State
from seedance_mcp.money import dollars

if TYPE_CHECKING:
    from seedance_mcp.ledger.states import Purchase

Status = Literal["awaiting_approval", "denied", "payment_unknown", "pending", "loading", "complete", "failed"]


def status_of(purchase: "Purchase", now: int) -> Status:
    """``complete`` only once the clip is on disk, or never will be.

    ``now`` is epoch milliseconds: a question that nobody answered in time was answered with no.
    """
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


def problem(purchase: "Purchase", now: int) -> str | None:
    """What keeps the clip from being there, if anything does."""
    job, status = purchase.job, status_of(purchase, now)
    if status in {"awaiting_approval", "denied"}:
        return _unanswered(purchase, status)
    if job is None:
        return None if status == "complete" else _undelivered(purchase)
    money = _money(purchase)
    if job.status == "failed":
        told = f': it says "{job.error.rstrip(".")}"' if job.error else ""
        failure = sentence(f"The seller could not make the clip{told}")
        way = _another_take(purchase) if purchase.paid else "call check_job before you buy again"
        return f"{failure} {money}; {way}."
    if job.lost:
        loss = sentence(f"{money}, and the clip cannot be had any more: {job.error}")
        return f"{loss} Tell the operator."
    return f"{job.error}; it is tried again." if job.error else None


def next_step(purchase: "Purchase", now: int) -> str:
    """What to do after a call that bought, or tried to."""
    job = purchase.job
    if purchase.payment.state is State.INTENDED:
        return _unanswered(purchase, status_of(purchase, now))
    if job is None and purchase.payment.state in UNCOUNTED:
        return "The payment was never taken. Call generate_video again to buy the clip."
    if job is None:
        return f"Do not buy again. Call check_job with purchase_id {purchase.id}."
    if job.video_path is not None:
        return f"The clip is at {job.video_path}."
    if job.status == "failed":
        return sentence(f"The job failed: {_another_take(purchase)}")
    return f"Call check_job with job_id {job.id} and wait_seconds=50 until status is complete."


def utc(milliseconds: int) -> str:
    """``2026-05-01T12:00:00Z``."""
    return datetime.fromtimestamp(milliseconds // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _another_take(purchase: "Purchase") -> str:
    return f"call generate_video again with take={purchase.take + 1} to buy another take"


def _unanswered(purchase: "Purchase", status: Status) -> str:
    approval = purchase.approval
    assert approval is not None
    if approval.answer == "approved" and status == "awaiting_approval":
        return "It is approved, and nothing was charged yet; call generate_video again with the same arguments."
    if status == "awaiting_approval":
        return (
            f"Nothing was charged. The purchase waits until {utc(approval.expires_at)} for the operator to run "
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
    return f"{money}; it counts against the budget; do not buy again, call check_job."


def _money(purchase: "Purchase") -> str:
    amount = dollars(purchase.payment.amount)
    if purchase.paid:
        return f"{amount} was charged"
    if purchase.payment.state in UNCOUNTED:
        return f"The payment of {amount} was never taken, and nothing was charged"
    return f"The outcome of the payment of {amount} is not known yet"
