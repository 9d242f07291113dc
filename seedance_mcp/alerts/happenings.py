"""What else is worth an alert: a payment without an answer, a strange recipient, a freeze."""

from collections.abc import Iterator
from dataclasses import dataclass

from seedance_mcp.guard.policy import Policy
from seedance_mcp.ledger import audit, operator, views
from seedance_mcp.ledger.alerts import RECIPIENT, Alert, add, drop
from seedance_mcp.ledger.database import Transaction
from seedance_mcp.ledger.states import DAY, Payment
from seedance_mcp.money import dollars, usd
from seedance_mcp.orders import Quote


@dataclass(frozen=True, slots=True)
class Recipient:
    """Whom a challenge of ``seller`` would have paid in ``token``, an address as ``pay_to`` is."""

    seller: str
    rail: str
    token: str
    pay_to: str


def recipients(seller: str, quote: Quote) -> Iterator[Recipient]:
    """Whom each offer of a quote would pay."""
    for offer in quote.challenge.offers:
        yield Recipient(seller, offer.rail, offer.token.address, offer.pay_to)


def unknown_payment(payment: Payment) -> Alert:
    """Once for each payment, however long it takes until the chain decides."""
    cost = payment.amount + payment.fee
    message = (
        f"A payment of {dollars(cost)} for {payment.model} left and has no answer ({payment.purchase}, agent "
        f"{payment.agent}): it stays counted until the chain tells what became of it"
    )
    facts = {
        "purchase_id": payment.purchase,
        "attempt": payment.attempt,
        "amount_usd": usd(cost),
        "model": payment.model,
        "agent": payment.agent,
        "rail": payment.rail,
    }
    return Alert(f"unknown payment {payment.id}", "payment.unknown", message, facts)


def strange_recipient(recipient: Recipient, known: tuple[str, ...], now: int, *, listed: bool) -> Alert:
    """Once a day for each address, on whichever rail it was named first. ``listed``: ``known`` are the policy's.

    No command with the address in it: the address is the seller's word, and would be one paste away from being paid.
    """
    new = recipient.pay_to
    todo = (
        "the operator's policy lists who is paid (studio.pay_to)"
        if listed
        else "check the address with the seller, then see `seedance-mcp trust --help`"
    )
    message = (
        f"{recipient.seller} wants to be paid at {new} over {recipient.rail}, and known is "
        f"{' or '.join(known) or 'nobody'}: nothing is paid there; {todo}"
    )
    facts = {"seller": recipient.seller, "rail": recipient.rail, "pay_to": new, "known": list(known)}
    happening = f"{RECIPIENT}{recipient.seller} {new.lower()} {now // DAY}"
    return Alert(happening, "recipient.changed", message, facts)


def known_recipients(policy: Policy, pinned: str | None, shipped: str) -> tuple[str, ...]:
    """Whom the guard would pay: those of the policy, else the pinned one, else the one of this version."""
    return policy.pay_to if policy.pay_to is not None else (pinned or shipped,)


def is_among(address: str, known: tuple[str, ...]) -> bool:
    return address.lower() in (one.lower() for one in known)


def freeze(tx: Transaction, why: str | None, now: int) -> tuple[str, bool]:
    """Freeze all purchases and raise the alert of it, in one transaction: the reason, and False if all is as it was.

    Without ``why`` a freeze that stands keeps its reason.
    """
    frozen = views.usage(tx, (), "", "", "", now).frozen
    if why is None and frozen is not None:
        return frozen, False
    why = why or "by the operator"
    operator.freeze(tx, why, now)
    row, _ = audit.head(tx)
    message = f"All purchases were frozen ({why}); `seedance-mcp unfreeze` allows them again"
    add(tx, Alert(f"freeze {row}", "spending.frozen", message, {"why": why}), now)
    return why, True


def unfreeze(tx: Transaction, now: int) -> bool:
    """Undo it, and say of it no more; False when nothing was frozen."""
    drop(tx, "spending.frozen")
    return operator.unfreeze(tx, now)
