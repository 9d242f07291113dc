"""The seller's side of MPP, method tempo and intent charge: challenges, credentials and receipts.

Sources: the Payment HTTP authentication scheme (draft-ietf-httpauth-payment), the tempo charge intent
(draft-tempo-charge-00), and the memo by which its SDKs (mppx, pympp) know a challenge's own transfer.
"""

import base64
import hashlib
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from eth_keys.datatypes import PrivateKey
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak
from starlette.datastructures import Headers

from seedance_mcp.sandbox.chain import Reverted
from seedance_mcp.sandbox.envelope import Envelope, decode
from seedance_mcp.sandbox.faults import Faults
from seedance_mcp.sandbox.headers import pack_url_safe, unpack_url_safe
from seedance_mcp.sandbox.rails import Refused, Sale, Settlement
from seedance_mcp.sandbox.siwx import timestamp
from seedance_mcp.sandbox.tempo import ATTO_PER_MICRO, NETWORK, USDC_E, Poor, Tempo, read_payment
from seedance_mcp.sandbox.x402 import PAY_TO

LIFETIME = 300
"""Seconds that a challenge is open for."""
MEMO_TAG = keccak(text="mpp")[:4] + b"\x01"

SPONSOR = PrivateKey(keccak(text="pays the fees in the sandbox"))
"""No secret: its money is the sandbox's."""
SPONSOR_FUNDS = 1_000_000_000
MAX_GAS = 2_000_000
MAX_FEE = 100_000_000_000
MAX_PRIORITY_FEE = 10_000_000_000
MAX_TOTAL_FEE = 50_000
"""Micro-USD. With the other three, what mppx's sponsors pay at most."""

_TITLES = {
    "malformed-credential": "Malformed Credential",
    "invalid-challenge": "Invalid Challenge",
    "payment-expired": "Payment Expired",
    "invalid-payload": "Invalid Payload",
    "verification-failed": "Verification Failed",
    "internal-payment-error": "Internal Payment Error",
}
_HEX = re.compile(r"0x(?:[0-9a-fA-F]{2})+")
_SOURCE = re.compile(rf"did:pkh:{NETWORK}:(0x[0-9a-fA-F]{{40}})")


@dataclass(frozen=True, slots=True)
class Challenge:
    """One that is out. ``expires`` in epoch seconds."""

    url: str
    expires: int
    parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Payment:
    till: "Mpp"
    challenge: Challenge
    envelope: Envelope

    @property
    def payer(self) -> str:
        return self.envelope.sender

    def settle(self) -> Settlement:
        return self.till.settle(self)


class Mpp:
    """The rail on Tempo. ``sponsored``: the seller pays the fee; ``digest``: a challenge is for one request body.

    A challenge is good for its route and amount, and for one transaction that reaches the chain.
    """

    def __init__(self, chain: Tempo, faults: Faults, *, sponsored: bool, digest: bool) -> None:
        self.chain = chain
        self.faults = faults
        self.sponsored = sponsored
        self.digest = digest
        self._open: dict[str, Challenge] = {}
        chain.fund(SPONSOR.public_key.to_checksum_address(), SPONSOR_FUNDS)

    def credential(self, headers: Headers) -> str | None:
        scheme, _, value = headers.get("authorization", "").partition(" ")
        return value.strip() if scheme.lower() == "payment" else None

    def challenge(self, sale: Sale, error: str) -> dict[str, str]:  # noqa: ARG002 - there is no place for it here
        expires = self.chain.clock() + LIFETIME
        challenge_id = secrets.token_urlsafe(24)
        parameters = {"id": challenge_id, **self._terms(sale), "expires": timestamp(expires)}
        self._open[challenge_id] = Challenge(sale.url, expires, parameters)
        return {"www-authenticate": "Payment " + ", ".join(f'{name}="{text}"' for name, text in parameters.items())}

    def verify(self, credential: str, sale: Sale) -> Payment:
        """The payment in an ``Authorization: Payment`` header. Raises Refused."""
        try:
            fields = unpack_url_safe(credential)
            echo, payload, source = fields["challenge"], fields["payload"], fields["source"]
        except (ValueError, KeyError) as error:
            raise _refused("malformed-credential", f"The credential is malformed: {error}.") from error
        challenge = self._answered(echo, sale)
        envelope = _signed(payload)
        _verify(_is_of(source, envelope), "the source is not who signed the transaction")
        if self.sponsored:
            _check_sponsorship(envelope)
            envelope = envelope.sponsored_by(SPONSOR, USDC_E)
        else:
            _verify(envelope.fee_payer == envelope.sender, "the seller does not pay the fee")
        self._check_terms(envelope, challenge, sale)
        try:
            self.chain.check(envelope)
        except Poor as error:
            # mppx simulates the transaction, and takes whatever that says for an error of its own.
            raise _refused("internal-payment-error", "An internal payment error occurred.", status=500) from error
        except Reverted as error:
            raise _unverified(error.args[0]) from error
        return Payment(self, challenge, envelope)

    def settle(self, payment: Payment) -> Settlement:
        challenge_id = payment.challenge.parameters["id"]
        if not self.faults.settle or challenge_id not in self._open:
            return Settlement(succeeded=False)
        try:
            mined = self.chain.mine(payment.envelope)
        except Reverted:
            return Settlement(succeeded=False)
        del self._open[challenge_id]
        if not mined.succeeded:
            return Settlement(succeeded=False)
        receipt = {
            "method": "tempo",
            "reference": mined.transaction,
            "status": "success",
            "timestamp": timestamp(self.chain.clock()),
        }
        return Settlement(succeeded=True, receipt={"payment-receipt": pack_url_safe(receipt)})

    def _check_terms(self, envelope: Envelope, challenge: Challenge, sale: Sale) -> None:
        try:
            payment = read_payment(envelope)
        except Reverted as error:
            raise _unverified(error.args[0]) from error
        _verify(payment.recipient == to_checksum_address(self._recipient), "it pays another recipient")
        _verify(payment.amount == sale.amount, "it pays another amount")
        _verify(payment.memo[:5] == MEMO_TAG, "its memo is not one of MPP")
        _verify(payment.memo[5:15] == _part("realm", challenge)[:10], "its memo names another realm")
        _verify(payment.memo[25:] == _part("id", challenge)[:7], "its memo is not bound to this challenge")
        _verify(envelope.valid_before <= challenge.expires, "it is valid for longer than its challenge")

    @property
    def _recipient(self) -> str:
        return self.faults.pay_to or PAY_TO

    def _terms(self, sale: Sale) -> dict[str, str]:
        """What a challenge for the sale says, apart from its id and its end."""
        chain_id = (self.faults.network or NETWORK).rpartition(":")[2]
        details = {"chainId": int(chain_id) if chain_id.isdigit() else chain_id}
        request = {
            "amount": str(sale.amount),
            "currency": self.faults.asset or USDC_E,
            "methodDetails": details | ({"feePayer": True} if self.sponsored else {}),
            "recipient": self._recipient,
        }
        host = urlsplit(sale.url).hostname
        terms = {"realm": str(host), "method": "tempo", "intent": "charge", "request": pack_url_safe(request)}
        if self.digest:
            sha256 = base64.b64encode(hashlib.sha256(sale.body).digest()).decode()
            terms["digest"] = f"sha-256={sha256}"  # without RFC 9530's colons, as the SDKs write it
        return terms

    def _answered(self, echo: object, sale: Sale) -> Challenge:
        """The challenge that a credential answers, which must be this sale's."""
        challenge = self._open.get(str(echo["id"])) if isinstance(echo, dict) and "id" in echo else None
        if challenge is None or challenge.parameters != echo:
            raise _refused("invalid-challenge", "The challenge was not made here, or has been used, or was changed.")
        terms = self._terms(sale)
        if challenge.url != sale.url or any(challenge.parameters.get(name) != text for name, text in terms.items()):
            raise _refused("invalid-challenge", "The challenge is for another route, amount or body.")
        if challenge.expires <= self.chain.clock():
            raise _refused("payment-expired", f"Payment expired at {challenge.parameters['expires']}.")
        return challenge


def _signed(payload: object) -> Envelope:
    match payload:
        case {"type": "transaction", "signature": str(text)} if _HEX.fullmatch(text):
            try:
                return decode(bytes.fromhex(text[2:]))
            except ValueError as error:
                raise _refused("invalid-payload", f"The credential's payload is invalid: {error}.") from error
        case _:
            raise _refused("invalid-payload", "The credential's payload is not a signed transaction.")


def _is_of(source: object, envelope: Envelope) -> bool:
    match = _SOURCE.fullmatch(source) if isinstance(source, str) else None
    return match is not None and to_checksum_address(match[1]) == envelope.sender


def _check_sponsorship(envelope: Envelope) -> None:
    _verify(envelope.fee_payer is None, "it leaves no place for the seller to pay the fee")
    affordable = (
        envelope.gas_limit <= MAX_GAS
        and envelope.max_fee <= MAX_FEE
        and envelope.max_priority_fee <= MAX_PRIORITY_FEE
        and envelope.gas_limit * envelope.max_fee <= MAX_TOTAL_FEE * ATTO_PER_MICRO
    )
    _verify(affordable, "its fee could be more than the seller pays")


def _part(name: str, challenge: Challenge) -> bytes:
    return keccak(text=challenge.parameters[name])


def _verify(holds: bool, otherwise: str) -> None:
    if not holds:
        raise _unverified(otherwise)


def _unverified(reason: str) -> Refused:
    return _refused("verification-failed", f"Payment verification failed: {reason}.")


def _refused(kind: str, detail: str, *, status: int = 402) -> Refused:
    """With the problem details (RFC 9457) by which the scheme says why."""
    problem: dict[str, Any] = {"type": f"https://paymentauth.org/problems/{kind}", "title": _TITLES[kind]}
    return Refused(kind, status=status, problem=problem | {"status": status, "detail": detail})
