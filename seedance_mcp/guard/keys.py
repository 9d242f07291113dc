"""Every key that a policy file may hold, with what is allowed there and what it does."""

from collections.abc import Mapping
from typing import Any

from seedance_mcp.guard.values import (
    DURATION,
    ORDER,
    RECIPIENTS,
    SHARE,
    USD,
    VALIDITY,
    Value,
    whole,
)

MODELS = ("seedance", "seedance-fast", "upload")
_COUNT = whole(0, 1_000_000)

CAPS: Mapping[str, Value[int]] = {
    "per_payment": USD.about("The most that one payment may cost, in USD with fees."),
    "per_hour": USD.about("The most in any 60 minutes, in USD."),
    "per_day": USD.about("The most in any 24 hours, in USD."),
    "per_week": USD.about("The most in any 7 days, in USD."),
    "per_month": USD.about("The most in any 30 days, in USD."),
    "total": USD.about("The most ever, in USD."),
    "payments_per_hour": _COUNT.about("The most payments in any 60 minutes."),
    "payments_per_day": _COUNT.about("The most payments in any 24 hours."),
    "unresolved": _COUNT.about("Payments with an unknown outcome from which on nothing more is bought."),
}
TABLES: Mapping[str, Mapping[str, Value[Any]]] = {
    "caps": CAPS,
    "approval": {
        "above": USD.about("Ask the human for a payment of more than this, in USD."),
        "expires": DURATION.about("Without an answer within this time the answer is no."),
    },
    "price": {
        "over_quote": SHARE.about("The share by which the seller may ask for more than the quote that was shown."),
        "over_table": SHARE.about("The share by which a quote may be above the price table."),
    },
    "studio": {
        "pay_to": RECIPIENTS.about("Who may be paid: a list of addresses, or whom the first payment went to."),
    },
    "rails": {
        "order": ORDER.about("The rails that may be paid over, the preferred one first."),
        "valid_for": VALIDITY.about("The longest life of a signed authorization, from 30 to 300 seconds."),
        "rpc_agree": whole(1, 9).about(
            "RPC hosts that must agree before an unanswered payment expires or a refund is booked."
        ),
    },
}
REQUIRED = ("per_payment", "per_hour", "per_day")
"""Of [caps]."""
