"""How the app's records become what the library gives back, and a caller's words an order."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, cast

from seedance_mcp.clip_order import ClipOrder
from seedance_mcp.clips import Bought
from seedance_mcp.clips import Estimate as Found
from seedance_mcp.errors import InvalidArgument, Money, sentence
from seedance_mcp.guard import budget as guard
from seedance_mcp.ledger.states import UNCOUNTED, Purchase, State
from seedance_mcp.library.values import (
    Budget,
    Clip,
    ClipFailed,
    ClipIdea,
    ClipRequest,
    Estimate,
    Job,
    Limit,
    Micros,
    Upload,
)
from seedance_mcp.money import dollars, from_number
from seedance_mcp.results import job_result
from seedance_mcp.uploads import Hosted

VERDICTS: dict[str, Literal["allowed", "needs_approval", "refused"]] = {
    "allow": "allowed",
    "ask": "needs_approval",
    "refuse": "refused",
}


def clip_order(given: ClipIdea | ClipRequest) -> ClipOrder:
    """Raises TypeError for a name that no clip has, InvalidArgument for a limit that is no amount."""
    order = cast("dict[str, Any]", dict(given))
    for name in ("image", "last_image"):
        if isinstance(order.get(name), Path):
            order[name] = str(order[name])
    limit = order.pop("max_price_usd", None)
    try:
        return ClipOrder(**order, max_price=None if limit is None else from_number(limit))
    except ValueError as error:
        raise InvalidArgument(f"max_price_usd: {error}") from None


def estimate_of(found: Found) -> Estimate:
    quote = found.quote
    return Estimate(
        price=Micros(found.price),
        live=found.live,
        quote_id=quote.id if quote else None,
        expires_at=datetime.fromtimestamp(quote.expires_at // 1000, UTC) if quote else None,
        verdict=VERDICTS[found.verdict.outcome],
        reason=found.verdict.reason,
        budget=budget_of(found.budget),
    )


def upload_of(hosted: Hosted) -> Upload:
    purchase, stored = hosted.purchase, hosted.purchase.upload
    assert stored is not None
    return Upload(
        url=hosted.url,
        sha256=stored.sha256,
        width=stored.width,
        height=stored.height,
        price=Micros(purchase.payment.amount),
        charged=Micros(hosted.charged),
        reused=hosted.reused,
        purchase_id=purchase.id,
        transaction=purchase.payment.transaction_hash,
    )


def job_of(bought: Bought, now: int) -> Job:
    """A ``Clip`` once it is on disk. ``now`` is epoch milliseconds."""
    seen, payment = job_result(bought.purchase, now), bought.purchase.payment
    facts: dict[str, Any] = {
        "purchase_id": bought.purchase.id,
        "job_id": seen.job_id,
        "status": seen.status,
        "progress": seen.progress,
        "price": Micros(payment.amount),
        "charged": Micros(bought.charged + bought.upload),
        "rail": payment.rail,
        "transaction": payment.transaction_hash,
        "duplicate": bought.duplicate,
        "error": seen.error,
    }
    if seen.video_path is None:
        return Job(**facts)
    remarks = tuple(seen.findings.remarks) if seen.findings else ()
    return Clip(**facts, path=Path(seen.video_path), remarks=remarks)


def budget_of(budget: guard.Budget) -> Budget:
    return Budget(
        frozen=budget.frozen,
        left=Micros(budget.left),
        limits=[
            Limit(
                scope=line.scope,
                window=line.window,
                cap=Micros(line.cap),
                spent=Micros(line.spent),
                held=Micros(line.held),
                left=Micros(line.left),
            )
            for line in budget.lines
        ],
    )


def failure_of(purchase: Purchase) -> ClipFailed:
    """Why there is no clip and never will be one."""
    seen, amount = purchase.job, purchase.payment.amount
    if purchase.payment.state is State.WRITTEN_OFF:
        what = f"the operator gave up the payment of {dollars(amount)}, whose outcome nobody knows"
        return ClipFailed(what, next="Talk to the operator.", money=Money.UNKNOWN, purchase_id=purchase.id)
    if seen is None or purchase.payment.state in UNCOUNTED:
        what = f"the payment of {dollars(amount)} was never taken"
        return ClipFailed(what, next="Buy the clip again.", purchase_id=purchase.id)
    told = f": {seen.error}" if seen.error else ""
    what = "the clip was made and cannot be had any more" if seen.lost else "the seller could not make the clip"
    way = "Tell the operator." if seen.lost else f"Call again with take={purchase.take + 1} for another try."
    paid = amount if purchase.paid else 0
    return ClipFailed(sentence(what + told), next=way, charged=paid, purchase_id=purchase.id)
