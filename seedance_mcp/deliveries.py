"""What the seller's answer to a payment delivers: the job of a clip, or the ticket of an upload."""

import json

from seedance_mcp.errors import StudioUnavailable
from seedance_mcp.ledger.states import Payment, Purchase
from seedance_mcp.payment.wallet import Wallet
from seedance_mcp.studio.models import Answer, UploadTicket, accepted_job_id, parse_ticket


def unseal_ticket(wallet: Wallet, purchase: Purchase) -> UploadTicket | None:
    """The ticket of a paid upload whose bytes may still have to be put, or None."""
    if purchase.upload is None or purchase.upload.ticket is None:
        return None
    try:
        return UploadTicket(**json.loads(wallet.unseal(purchase.upload.ticket, context(purchase.payment))))
    except ValueError:  # it is another wallet's
        return None


def seal_ticket(wallet: Wallet, payment: Payment, ticket: UploadTicket) -> bytes:
    plain = {name: getattr(ticket, name) for name in UploadTicket.__dataclass_fields__}
    return wallet.seal(json.dumps(plain).encode(), context(payment))


def delivery(payment: Payment, answer: Answer) -> tuple[str | None, UploadTicket | None]:
    if not 200 <= answer.status < 300:
        return None, None
    try:
        document = answer.json()
        return (None, parse_ticket(document)) if payment.model == "upload" else (accepted_job_id(document), None)
    except StudioUnavailable:
        return None, None


def context(payment: Payment) -> bytes:
    return f"{payment.purchase}/{payment.attempt}".encode()
