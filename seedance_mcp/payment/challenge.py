"""A 402 answer, read into the offers that may be paid.

Sources: x402 v2 specification, PaymentRequired and its HTTP transport; ``charge`` reads what stands beside it for MPP.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from seedance_mcp.errors import BadChallenge
from seedance_mcp.payment.charge import read_charges
from seedance_mcp.payment.offer import Declined, Offer, amount, recipient, require, text
from seedance_mcp.payment.tokens import ACCEPTED, Token, token_for
from seedance_mcp.payment.wire import MAX_BYTES, clean, decode, origin, parse_json

__all__ = ["HEADER", "MAX_ENTRIES", "Challenge", "Declined", "Offer", "parse_challenge"]

HEADER = "payment-required"
MAX_ENTRIES = 32


@dataclass(frozen=True, slots=True)
class Challenge:
    """All offers, those of x402 first. ``resource``, ``extensions`` and ``error`` are of x402 alone.

    The first two are as parsed, to be echoed; ``error`` is the seller's word, cleaned.
    """

    offers: tuple[Offer, ...]
    declined: tuple[Declined, ...]
    resource: Mapping[str, object] | None
    extensions: Mapping[str, object]
    error: str | None

    def require_offer(self) -> tuple[Offer, ...]:
        """The offers. Raises BadChallenge with the reasons of all refusals when there are none."""
        if self.offers:
            return self.offers
        # What it calls them are the seller's words, and are marked as that.
        reasons = (f'the seller\'s "{d.scheme} on {d.network}": {d.reason}' for d in self.declined[:8])
        told = "; ".join(reasons) or "none at all"
        raise BadChallenge(f"The seller offers no way to pay that may be used ({told})")


def parse_challenge(
    headers: Mapping[str, str],
    body: bytes,
    url: str,
    *,
    request_body: bytes | None = None,
    now: int | None = None,
) -> Challenge:
    """The challenge in a 402 answer to a request for ``url``; header names in lower case, repeated ones comma-joined.

    ``request_body`` is what was sent, ``now`` is in epoch seconds (else the machine's clock): an MPP challenge may be
    bound to the one and ends at a time. An entry that may not be paid is declined with its reason; an x402 challenge of
    another shape, version or origin raises BadChallenge. One without entries is legal: that is a login.
    """
    judged = read_charges(headers, url, request_body=request_body, now=int(time.time()) if now is None else now)
    document: Mapping[str, object] = {}
    if HEADER in headers:
        document = _document(headers[HEADER])
        judged = [*map(_judge, _entries(document)), *judged]
    elif not judged:
        raise BadChallenge(_without_header(body))
    return Challenge(
        offers=tuple(entry for entry in judged if isinstance(entry, Offer)),
        declined=tuple(entry for entry in judged if isinstance(entry, Declined)),
        resource=_resource(document, url),
        extensions=_extensions(document),
        error=clean(document.get("error")) or None,
    )


def _document(header: str) -> Mapping[str, object]:
    try:
        document = decode(header)
    except ValueError as reason:
        raise BadChallenge(f"The seller's PAYMENT-REQUIRED header {reason}") from None
    if not isinstance(document, dict):
        raise BadChallenge("The seller's PAYMENT-REQUIRED header is not a JSON object")
    version = document.get("x402Version")
    if type(version) is not int or version != 2:
        raise BadChallenge("The seller's challenge is not of x402 version 2")
    return document


def _without_header(body: bytes) -> str:
    try:
        document = parse_json(body) if len(body) <= MAX_BYTES else None
    except ValueError:
        document = None
    if isinstance(document, dict) and "x402Version" in document:
        return "The seller sent its challenge in the body (x402 version 1), which is never paid"
    return "The seller's 402 has no PAYMENT-REQUIRED header"


def _entries(document: Mapping[str, object]) -> list[object]:
    entries = document.get("accepts")
    if not isinstance(entries, list) or len(entries) > MAX_ENTRIES:
        raise BadChallenge(f"The seller's challenge has no list of at most {MAX_ENTRIES} ways to pay")
    return entries


def _resource(document: Mapping[str, object], url: str) -> Mapping[str, object] | None:
    resource = document.get("resource")
    if resource is None:
        return None
    named = resource.get("url") if isinstance(resource, dict) else None
    if not isinstance(resource, dict) or not isinstance(named, str):
        raise BadChallenge("The seller's challenge does not name its resource by URL")
    try:
        same = origin(named) == origin(url)
    except ValueError:
        same = False
    if not same:
        raise BadChallenge("The seller's challenge is for a resource of another origin")
    return resource


def _extensions(document: Mapping[str, object]) -> Mapping[str, object]:
    extensions = document.get("extensions")
    if extensions is None:
        return {}
    if not isinstance(extensions, dict):
        raise BadChallenge("The seller's challenge has extensions that are not an object")
    return extensions


def _judge(entry: object) -> Offer | Declined:
    if not isinstance(entry, dict):
        return Declined("", "", "it is not an object")
    try:
        return _offer(entry)
    except ValueError as reason:
        return Declined(clean(entry.get("network"), 80), clean(entry.get("scheme"), 40), str(reason))


def _offer(entry: Mapping[str, object]) -> Offer:
    """Raises ValueError with the reason why the entry may not be paid."""
    require("maxAmountRequired" not in entry, "it is of x402 version 1")
    require(entry.get("scheme") == "exact", "only the scheme exact is paid")
    network, asset = text(entry, "network"), text(entry, "asset")
    require(any(token.network == network for token in ACCEPTED), "the network is not accepted")
    token = token_for(network, asset)
    if token is None:
        raise ValueError("the asset is not the pinned token")
    _check_extra(entry.get("extra"), token)
    return Offer(
        rail=token.rail,
        network=network,
        amount=amount(entry),
        token=token,
        pay_to=recipient(entry, "payTo", token),
        max_timeout_seconds=_timeout(entry.get("maxTimeoutSeconds")),
        raw=entry,
    )


def _check_extra(extra: object, token: Token) -> None:
    if extra is None:
        return
    if not isinstance(extra, dict):
        raise ValueError("extra is not an object")
    require(extra.get("name", token.name) == token.name, "extra.name is not the token's")
    require(extra.get("version", token.version) == token.version, "extra.version is not the token's")
    method = extra.get("assetTransferMethod", "eip3009")
    require(method == "eip3009", "extra.assetTransferMethod is not eip3009")
    require(extra.get("paymentFlow", "authorization") == "authorization", "extra.paymentFlow is not authorization")
    require("verifyingContract" not in extra, "extra names a verifyingContract")


def _timeout(value: object) -> int:
    # bool is an int in Python, and true is no number of seconds.
    if type(value) is not int or value < 1:
        raise ValueError("maxTimeoutSeconds is not a positive whole number")
    return value
