"""The MPP challenges in a 402 answer, read into offers: method tempo, intent charge.

Sources: the Payment HTTP authentication scheme (draft-ietf-httpauth-payment), the tempo charge intent
(draft-tempo-charge-00), Content-Digest (RFC 9530).
"""

import base64
import hashlib
import re
from collections.abc import Mapping

from seedance_mcp.payment.authenticate import Authentication, read_challenges
from seedance_mcp.payment.offer import Declined, MppChallenge, Offer, amount, recipient, require, text
from seedance_mcp.payment.tokens import ACCEPTED_MPP, NOT_ACCEPTED_MPP, TEMPO_USDCE, Token, token_for
from seedance_mcp.payment.wire import MAX_BYTES, clean, decode_url_safe, epoch_seconds, origin

HEADER = "www-authenticate"
MAX_CHALLENGES = 32
MAX_REQUEST = 16 * 1024
"""Characters of the request parameter; the SDKs of both sides stop there."""

LONGEST_VALIDITY = 25
"""Seconds. Tempo drops an expiring nonce that is more than 30 s ahead (300 s since hardfork T11)."""

GAS_LIMIT = 1_000_000
MAX_FEE_PER_GAS = 25_000_000_000
"""Attodollars (10^-18 USD): a quarter above the base fee of TIP-1010."""
FEE_BOUND = GAS_LIMIT * MAX_FEE_PER_GAS // 10**12
"""Micro-USD that one transaction of ours can cost at most."""

_ID = re.compile(r"[\x21-\x7e]{1,512}")
_ANSWER_HEADERS = {"authorization": "Authorization", "payment-authorization": "Payment-Authorization"}


def read_charges(
    headers: Mapping[str, str], url: str, *, request_body: bytes | None, now: int
) -> list[Offer | Declined]:
    """The judged Payment challenges of an answer to a request for ``url``; other schemes beside them are ignored.

    Header names are in lower case, ``request_body`` is what a challenge with a digest must fit, ``now`` is in epoch
    seconds.
    """
    header = headers.get(HEADER, "")
    if len(header) > MAX_BYTES:
        return [Declined("", "", f"WWW-Authenticate is larger than {MAX_BYTES // 1024} KB")]
    try:
        challenges = [challenge for challenge in read_challenges(header) if challenge.scheme == "payment"]
    except ValueError as reason:
        return [Declined("", "", f"WWW-Authenticate {reason}")]
    if len(challenges) > MAX_CHALLENGES:
        return [Declined("", "", f"WWW-Authenticate has more than {MAX_CHALLENGES} Payment challenges")]
    return [_judge(challenge, url, request_body, now) for challenge in challenges]


def _judge(challenge: Authentication, url: str, request_body: bytes | None, now: int) -> Offer | Declined:
    parameters = dict(challenge.parameters)
    try:
        require(len(parameters) == len(challenge.parameters), "it has a parameter twice")
        require(parameters.get("method") == "tempo", "only the method tempo is paid")
        require(parameters.get("intent") == "charge", "only the intent charge is paid")
        require(origin(url).is_named(text(parameters, "realm")), "the realm is not this host")
        _check_digest(parameters.get("digest"), request_body)
        return _offer(parameters, now)
    except ValueError as reason:
        return Declined(clean(parameters.get("method"), 80), clean(parameters.get("intent"), 40), str(reason))


def _check_digest(digest: str | None, body: bytes | None) -> None:
    if digest is None:
        return
    if body is None:
        raise ValueError("it has a digest of a request body, and there was none")
    sha256 = base64.b64encode(hashlib.sha256(body).digest()).decode()
    # RFC 9530 puts colons around the base64; the SDKs do not.
    require(digest in (f"sha-256={sha256}", f"sha-256=:{sha256}:"), "its digest is not that of the request body")


def _offer(parameters: Mapping[str, str], now: int) -> Offer:
    challenge_id, request = text(parameters, "id"), _request(text(parameters, "request"))
    require(_ID.fullmatch(challenge_id) is not None, "its id is not plain ASCII")
    header = _ANSWER_HEADERS.get(parameters.get("header", "Authorization").lower())
    if header is None:
        raise ValueError("it wants its answer in another header")
    expires = _expires(parameters.get("expires"), now)
    sponsored = _sponsored(request.get("methodDetails"))
    token = _token(text(request, "currency"))
    require(request.get("amount") != "0", "an amount of 0 is a login, and never a payment")
    return Offer(
        rail=token.rail,
        network=token.network,
        amount=amount(request),
        token=token,
        pay_to=recipient(request, "recipient", token),
        max_timeout_seconds=LONGEST_VALIDITY if expires is None else min(LONGEST_VALIDITY, expires - now),
        raw=request,
        fee=0 if sponsored else FEE_BOUND,
        expires=expires,
        mpp=MppChallenge(challenge_id, parameters["realm"], header, sponsored, parameters),
    )


def _request(encoded: str) -> Mapping[str, object]:
    require(len(encoded) <= MAX_REQUEST, "the request is too large")
    try:
        request = decode_url_safe(encoded)
    except ValueError as reason:
        raise ValueError(f"the request {reason}") from None
    if not isinstance(request, dict):
        raise ValueError("the request is not an object")
    return request


def _expires(time: str | None, now: int) -> int | None:
    if time is None:
        return None
    try:
        expires = epoch_seconds(time)
    except ValueError as reason:
        raise ValueError(f"expires {reason}") from None
    require(expires > now, "it has expired")
    return expires


def _sponsored(details: object) -> bool:
    """Whether the seller pays the fee. Raises ValueError for details that change what is paid, where or how."""
    if not isinstance(details, dict):
        raise ValueError("methodDetails is not an object")
    chain_id, modes = details.get("chainId"), details.get("supportedModes", ["pull"])
    # A chain that is not named is no mainnet: the draft's default is the test network.
    require(type(chain_id) is int and chain_id == TEMPO_USDCE.chain_id, "chainId is not that of Tempo's mainnet")
    require("splits" not in details, "it splits the amount")
    # The SDKs ignore a memo of the seller's; sellers that do not would refuse ours, which recovery cannot do without.
    require("memo" not in details, "it asks for a memo of its own")
    require(isinstance(modes, list) and "pull" in modes, "supportedModes leaves no place for a signed transaction")
    sponsored = details.get("feePayer", False)
    if not isinstance(sponsored, bool):
        raise ValueError("feePayer is neither true nor false")
    return sponsored


def _token(currency: str) -> Token:
    token = token_for(TEMPO_USDCE.network, currency, ACCEPTED_MPP)
    if token is None:
        other = token_for(TEMPO_USDCE.network, currency, NOT_ACCEPTED_MPP)
        raise ValueError(f"the currency {other.symbol if other else 'it names'} is not accepted")
    return token
