"""A buyer on Tempo whose transactions are pytempo's, whose headers and memos are pympp's."""

from dataclasses import dataclass
from typing import Any

import httpx
import rlp  # type: ignore[import-untyped]  # it carries no annotations
from eth_abi.abi import encode
from eth_account.signers.local import LocalAccount
from eth_typing import Hash32
from eth_utils.crypto import keccak
from mpp import Challenge, Credential
from mpp.methods.tempo import attribution
from mpp.methods.tempo.fee_payer_envelope import encode_fee_payer_envelope
from pytempo import Call, TempoTransaction  # type: ignore[import-untyped]  # it carries no annotations

from tests.sandbox.buyer import Buyer

USDC_E = "0x20C000000000000000000000b9537d11c60E8b50"
TRANSFER_WITH_MEMO = "95777d59"


def challenge_of(answer: httpx.Response) -> Challenge:
    return Challenge.from_www_authenticate(answer.headers["www-authenticate"])


def call_of(recipient: str, amount: int, memo: str, *, to: str = USDC_E, selector: str = TRANSFER_WITH_MEMO) -> Any:
    arguments = encode(["address", "uint256", "bytes32"], [recipient, amount, bytes.fromhex(memo[2:])])
    return Call.create(to=to, data=bytes.fromhex(selector) + arguments)


def memo_of(challenge: Challenge) -> str:
    return attribution.encode(challenge.id, challenge.realm, "a purchase")


def signed(fields: list[Any], account: LocalAccount) -> bytes:
    """A transaction of the RLP fields as they are, under a signature that fits them."""
    unsigned = fields[:13]
    signature = account.unsafe_sign_hash(Hash32(keccak(b"\x76" + rlp.encode(unsigned)))).signature
    return bytes(b"\x76" + rlp.encode([*unsigned, bytes(signature)]))


@dataclass
class TempoBuyer:
    buyer: Buyer

    @property
    def address(self) -> str:
        return self.buyer.account.address

    async def quote(self, path: str, body: object) -> Challenge:
        answer = await self.buyer.http.post(path, json=body)
        assert answer.status_code == 402, answer.text
        return challenge_of(answer)

    def transaction(self, challenge: Challenge, **changes: Any) -> Any:
        """pytempo's, signed. ``changes`` go to it as they are, but for ``payment``: what changes in the one call."""
        request, sponsored = challenge.request, "feePayer" in challenge.request["methodDetails"]
        terms = {"recipient": request["recipient"], "amount": int(request["amount"]), "memo": memo_of(challenge)}
        call = call_of(**terms | changes.pop("payment", {}))
        fields = {
            "chain_id": 4217,
            "gas_limit": 1_000_000,
            "max_fee_per_gas": 25_000_000_000,
            "max_priority_fee_per_gas": 1_000_000_000,
            "nonce_key": 2**256 - 1,
            "valid_before": self.buyer.clock.now + 25,
            "fee_token": None if sponsored else USDC_E,
            "awaiting_fee_payer": sponsored,
            "calls": (call,),
        }
        return TempoTransaction.create(**fields | changes).sign("0x" + self.buyer.account.key.hex())

    def credential(self, challenge: Challenge, transaction: Any = None, **changes: Any) -> str:
        """The value of Authorization. ``changes`` replace what pympp would put into the credential."""
        transaction = transaction or self.transaction(challenge)
        raw = encode_fee_payer_envelope(transaction) if transaction.awaiting_fee_payer else transaction.encode()
        fields: dict[str, Any] = {
            "challenge": challenge.to_echo(),
            "payload": {"type": "transaction", "signature": "0x" + bytes(raw).hex()},
            "source": f"did:pkh:eip155:4217:{self.address}",
        }
        return Credential(**fields | changes).to_authorization()

    async def present(self, path: str, body: object, credential: str) -> httpx.Response:
        return await self.buyer.http.post(path, json=body, headers={"Authorization": credential})

    async def present_raw(self, path: str, body: object, challenge: Challenge, raw: bytes) -> httpx.Response:
        """With these bytes in the place of the transaction."""
        payload = {"type": "transaction", "signature": f"0x{raw.hex()}"}
        return await self.present(path, body, self.credential(challenge, payload=payload))

    async def pay(self, path: str, body: object, **changes: Any) -> httpx.Response:
        """Ask for a quote, and answer it with a transaction with these changes."""
        challenge = await self.quote(path, body)
        return await self.present(path, body, self.credential(challenge, self.transaction(challenge, **changes)))
