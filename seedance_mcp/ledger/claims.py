"""What was paid and not delivered, what was sent back for it, and which refund is for which purchase."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from seedance_mcp.ledger import refunds
from seedance_mcp.ledger.database import Transaction
from seedance_mcp.ledger.refunds import Refund
from seedance_mcp.ledger.states import Purchase, State
from seedance_mcp.ledger.views import find

SKEW = 60_000
"""Milliseconds by which a block's clock may be behind the one that reserved the payment."""

_SUSPECTS = """
SELECT purchases.id FROM purchases JOIN payments ON payments.purchase = purchases.id
LEFT JOIN jobs ON jobs.purchase = purchases.id
LEFT JOIN uploads ON uploads.purchase = purchases.id
WHERE kind = 'bought' AND attempt = (SELECT max(attempt) FROM payments last WHERE last.purchase = purchases.id)
  AND payments.state IN ('claimed', 'settled') AND payments.reserved_at >= :since
  AND jobs.video_path IS NULL AND uploads.url IS NULL AND (jobs.id IS NULL OR jobs.status = 'failed' OR jobs.lost = 1)
ORDER BY payments.reserved_at, purchases.id"""


class Why(StrEnum):
    """What the seller owes the money back for."""

    NO_JOB = "no job"
    JOB_FAILED = "job failed"
    CLIP_LOST = "clip lost"
    UPLOAD_LOST = "upload lost"


@dataclass(frozen=True, slots=True)
class Claim:
    """A purchase that was paid and not delivered, with what was sent back for it."""

    purchase: Purchase
    why: Why
    refunds: Sequence[Refund]

    @property
    def amount(self) -> int:
        """The price, in micro-USD. The network's fee is not the seller's to give back."""
        return self.purchase.payment.amount

    @property
    def refunded(self) -> int:
        return sum(refund.amount for refund in self.refunds)

    @property
    def open(self) -> bool:
        return self.refunded < self.amount


def claims(tx: Transaction, since: int, now: int) -> list[Claim]:
    """Claims for what was bought from ``since`` on, oldest first; times are epoch milliseconds. Reads the history."""
    by_purchase = defaultdict(list)
    for refund in refunds.booked(tx):
        by_purchase[refund.purchase].append(refund)
    suspects = [find(tx, row["id"]) for row in tx.all(_SUSPECTS, since=since)]
    return [
        Claim(purchase, why, by_purchase[purchase.id])
        for purchase in suspects
        if purchase is not None and (why := why_owed(purchase, now)) is not None
    ]


def why_owed(purchase: Purchase, now: int) -> Why | None:
    """Why the seller owes the price of a purchase, or None: not paid, delivered, or still to be delivered.

    What it only says was paid is no claim for a missing job yet, since that payment may still come to nothing.
    """
    job, upload = purchase.job, purchase.upload
    if not purchase.paid:
        return None
    if job is not None:
        if job.video_path is not None:
            return None
        return Why.JOB_FAILED if job.status == "failed" else Why.CLIP_LOST if job.lost else None
    if purchase.payment.state is not State.SETTLED or (upload is not None and upload.url is not None):
        return None
    if purchase.model != "upload":
        return Why.NO_JOB
    # While its ticket lives, the next call puts the image where it was paid for.
    alive = upload is not None and upload.ticket is not None and now < (upload.ticket_dies_at or 0)
    return None if alive else Why.UPLOAD_LOST


def plan(tx: Transaction, now: int) -> list[tuple[Refund, str]]:
    """What each refund was for, as the id of a purchase, where that is certain and not said yet. Reads the history.

    A memo names its payment. Without one, as many refunds of one amount as there are open claims of that price, with
    the same seller and wallet, are for these claims; any other number could be for any of them.
    """
    left = refunds.unassigned(tx)
    if not left:
        return []
    named = {refund: purchase for refund in left if (purchase := _named(tx, refund)) is not None}
    found, owed = defaultdict(list), defaultdict(list)
    for refund in left:
        if refund not in named:
            found[refund.network, refund.payer, refund.sender, refund.amount].append(refund)
    for claim in claims(tx, 0, now):
        payment = claim.purchase.payment
        if not claim.refunds and payment.purchase not in named.values():
            owed[payment.network, payment.payer, payment.pay_to.lower(), payment.amount].append(claim)
    return [*named.items(), *(pair for terms, some in owed.items() for pair in _pairs(some, found[terms]))]


def assign(tx: Transaction, pairs: Sequence[tuple[Refund, str]], now: int) -> None:
    """Write a plan down. A refund that another process has assigned meanwhile is left as it is."""
    for refund, purchase in pairs:
        refunds.assign(tx, refund, purchase, now)


def _pairs(owed: Sequence[Claim], found: Sequence[Refund]) -> list[tuple[Refund, str]]:
    """Which of the refunds is for which of the claims, both alike and oldest first; nothing where that is a guess."""
    possible = [refund for refund in found if any(_is_later(refund, claim) for claim in owed)]
    if len(possible) != len(owed) or not all(map(_is_later, possible, owed)):
        return []
    return [(refund, claim.purchase.id) for refund, claim in zip(possible, owed, strict=True)]


def _named(tx: Transaction, refund: Refund) -> str | None:
    """The purchase whose payment had the refund's memo."""
    row = refund.memo and tx.one(
        """SELECT purchase FROM payments WHERE network = :network AND nonce = :memo AND payer = :payer
           AND lower(pay_to) = :sender AND standing <> 'void'""",
        network=refund.network, memo=refund.memo, payer=refund.payer, sender=refund.sender,
    )  # fmt: skip
    return row["purchase"] if row else None


def _is_later(refund: Refund, claim: Claim) -> bool:
    return refund.mined_at + SKEW >= claim.purchase.payment.reserved_at
