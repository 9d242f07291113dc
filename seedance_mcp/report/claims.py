"""What was paid and not delivered: a list for the operator, and for each claim what the seller has to be told."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from seedance_mcp.ledger import claims, refunds
from seedance_mcp.ledger.claims import Claim, Why
from seedance_mcp.ledger.database import Transaction
from seedance_mcp.ledger.refunds import Refund
from seedance_mcp.money import dollars, usd
from seedance_mcp.report.days import local, start_of
from seedance_mcp.report.table import table
from seedance_mcp.words import visible

if TYPE_CHECKING:
    from seedance_mcp.refunds import Looked

_HEAD = ("purchase", "day", "model", "amount", "rail", "why", "state")
_REASONS = {
    Why.NO_JOB: "no job was ever named",
    Why.JOB_FAILED: "the job failed",
    Why.CLIP_LOST: "the clip could not be had before its link died",
    Why.UPLOAD_LOST: "the image was never stored",
}
_WORDS = 300


@dataclass(frozen=True, slots=True)
class Claims:
    """Claims for what was bought from ``since`` on, and ``others``: refunds that came since then for no claim."""

    since: date | None
    claims: Sequence[Claim]
    others: Sequence[Refund]

    @property
    def amount(self) -> int:
        return sum(claim.amount for claim in self.claims)

    @property
    def refunded(self) -> int:
        return sum(claim.refunded for claim in self.claims)

    @property
    def open(self) -> int:
        return sum(claim.amount - claim.refunded for claim in self.claims if claim.open)


def read_claims(tx: Transaction, since: date | None, now: int) -> Claims:
    """A statement; ``since`` is the operator's day."""
    start = start_of(since) if since else 0
    every = claims.claims(tx, 0, now)
    claimed = {claim.purchase.id for claim in every}
    others = [one for one in refunds.booked(tx) if one.purchase not in claimed and one.mined_at >= start]
    return Claims(since, [claim for claim in every if claim.purchase.payment.reserved_at >= start], others)


def as_table(found: Claims) -> str:
    rows = [
        (
            claim.purchase.id,
            local(claim.purchase.payment.reserved_at).strftime("%Y-%m-%d"),
            claim.purchase.model,
            usd(claim.amount),
            claim.purchase.payment.rail,
            str(claim.why),
            _state(claim),
        )
        for claim in found.claims
    ]
    return table(_HEAD, [*rows, ("sum", "", "", usd(found.amount), "", "", "")], numbers=("amount",))


def as_sentences(found: Claims) -> list[str]:
    """What is open and what came back, with the refunds that are for no claim."""
    told = [f"Open: {dollars(found.open)}. Refunded: {dollars(found.refunded)}."] if found.claims else []
    for refund in found.others:
        purpose = f"for {refund.purchase}, which is no claim" if refund.purchase else "for no claim that it names"
        told.append(
            f"{dollars(refund.amount)} came back over {refund.rail} on {local(refund.mined_at):%Y-%m-%d} {purpose}: "
            f"{refund.transaction}"
        )
    return told


def as_looked(looked: Iterable["Looked"]) -> list[str]:
    """What was booked by a look for refunds, and how far it did not come."""
    told = []
    for one in looked:
        if one.booked:
            told.append(f"{one.booked} refund{'s' if one.booked > 1 else ''} over {one.rail} found and booked.")
        if one.problem is not None:
            since = f"since {_time(one.until)}" if one.until else "at all yet"
            told.append(f"Refunds over {one.rail} have not been looked up {since}. {one.problem}.")
    return told


def as_json(found: Claims, looked: Iterable["Looked"]) -> dict[str, object]:
    return {
        "since": found.since.isoformat() if found.since else None,
        "claims": [_line(claim) for claim in found.claims],
        "sum": {
            "claims": len(found.claims),
            "amount_usd": usd(found.amount),
            "open_usd": usd(found.open),
            "refunded_usd": usd(found.refunded),
        },
        "other_refunds": [_refund(refund) for refund in found.others],
        "looked_up": [
            {
                "rail": one.rail,
                "booked": one.booked,
                "until": _time(one.until) if one.until else None,
                "problem": one.problem,
            }
            for one in looked
        ],
    }


def bundle(claim: Claim) -> dict[str, object]:
    """All that the seller needs to find the payment and what was asked for: nothing in it is secret."""
    purchase, payment, job = claim.purchase, claim.purchase.payment, claim.purchase.job
    return {
        **_line(claim),
        "fee_usd": usd(payment.fee),
        "payment": str(payment.state),
        "network": payment.network,
        "token": payment.token,
        "transaction": payment.transaction_hash,
        "nonce": f"0x{payment.nonce.hex()}" if payment.nonce else None,
        "wallet": payment.payer,
        "recipient": payment.pay_to,
        "seller": payment.origin,
        "job_id": job.id if job else None,
        "seller_says": visible(job.error, _WORDS) if job and job.error and claim.why is Why.JOB_FAILED else None,
        "problem": visible(job.error, _WORDS) if job and job.error and claim.why is Why.CLIP_LOST else None,
        "sent_at": _time(payment.sent_at) if payment.sent_at else None,
        "known_since": _time(payment.ended_at) if payment.ended_at else None,
        "job_changed_at": _time(job.updated_at) if job else None,
        "path": payment.path,
        "request": json.loads(payment.body) if payment.body else dict(purchase.request),
        "refunds": [_refund(refund) for refund in claim.refunds],
    }


def as_text(claim: Claim) -> str:
    """The bundle as a letter. In ASCII nothing that an agent or the seller wrote can steer a terminal."""
    told = bundle(claim)
    asked = f"Please send {dollars(claim.amount - claim.refunded)} back to the wallet named below."
    lines = [f"{name + ':':<14}{told[key]}" for name, key in _LETTER if told[key] is not None]
    words = [f'The seller says: "{told["seller_says"]}"'] if told["seller_says"] else []
    words += [f"What went wrong: {told['problem']}"] if told["problem"] else []
    back = [
        f"{dollars(refund.amount)} came back at {_time(refund.mined_at)}: {refund.transaction}"
        for refund in claim.refunds
    ]
    parts = [
        [f"Paid and not delivered: {_REASONS[claim.why]}. " + (asked if claim.open else "It was refunded.")],
        lines,
        words,
        back,
        [f"The request, sent to {told['path']}:", json.dumps(told["request"], indent=2)],
    ]
    return "\n\n".join("\n".join(part) for part in parts if part)


_LETTER = (
    ("Purchase", "purchase_id"),
    ("Job", "job_id"),
    ("Model", "model"),
    ("Amount, USD", "amount_usd"),
    ("Network", "network"),
    ("Token", "token"),
    ("Transaction", "transaction"),
    ("Nonce", "nonce"),
    ("Wallet", "wallet"),
    ("Recipient", "recipient"),
    ("Seller", "seller"),
    ("Bought at", "bought_at"),
    ("Sent at", "sent_at"),
    ("Known since", "known_since"),
    ("Job since", "job_changed_at"),
)


def _line(claim: Claim) -> dict[str, object]:
    payment = claim.purchase.payment
    return {
        "purchase_id": claim.purchase.id,
        "bought_at": _time(payment.reserved_at),
        "model": claim.purchase.model,
        "amount_usd": usd(claim.amount),
        "refunded_usd": usd(claim.refunded),
        "rail": payment.rail,
        "why": str(claim.why),
        "state": _state(claim),
    }


def _refund(refund: Refund) -> dict[str, object]:
    return {
        "amount_usd": usd(refund.amount),
        "rail": refund.rail,
        "network": refund.network,
        "transaction": refund.transaction,
        "log_index": refund.index,
        "sender": refund.sender,
        "wallet": refund.payer,
        "mined_at": _time(refund.mined_at),
        "purchase_id": refund.purchase,
    }


def _state(claim: Claim) -> str:
    return "open" if claim.open else "refunded"


def _time(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
