"""A seller that may settle and answer as it likes, in any combination. It only ever sees bytes."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import httpx

from seedance_mcp.orders import SHIPPED_PAY_TO
from seedance_mcp.payment.tokens import BASE_USDC
from seedance_mcp.payment.wire import decode, encode
from seedance_mcp.studio.models import UPLOAD_PATH, Answer, Job
from tests.machine.chain import Authorization, Base
from tests.machine.clock import Clock

ORIGIN = "https://seller.example"
ANOTHER_ADDRESS = "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"


class Reply(StrEnum):
    """What the seller says to signed bytes, whatever it did with them."""

    RECEIPT = "200 with a receipt"
    PLAIN = "200 without a receipt"
    ERROR_RECEIPT = "500 with a receipt"
    AGAIN = "402 again"
    USED = "402, the nonce is used"
    PENDING = "402, the settlement is pending"
    WRONG = "400"
    BROKEN = "500"
    MOVED = "307"
    GARBAGE = "200 and noise"
    LOST = "nothing"
    RESET = "a reset connection"


@dataclass
class Seller:
    """``settles``: takes the money as soon as it is sent a signature, before it replies with ``reply``."""

    clock: Clock
    base: Base
    prices: dict[str, int]
    settles: bool = True
    reply: Reply = Reply.RECEIPT
    pay_to: str = SHIPPED_PAY_TO
    dated: bool = True
    held: list[Authorization] = field(default_factory=list)
    jobs: list[Job] = field(default_factory=list)

    def receive(self, path: str, headers: Mapping[str, str]) -> Authorization:
        """Signed bytes arrived: from here on the money can be taken."""
        document = decode(headers["PAYMENT-SIGNATURE"])
        assert isinstance(document, dict)
        signed = document["payload"]["authorization"]
        purchase = document["extensions"]["payment-identifier"]["info"]["id"]
        authorization = Authorization(
            purchase,
            bytes.fromhex(signed["nonce"][2:]),
            signed["to"],
            int(signed["value"]),
            int(signed["validBefore"]),
        )
        if authorization not in self.held:
            self.held.append(authorization)
        if self.settles:
            self.base.take(authorization)
        return authorization

    def quote(self, path: str) -> Answer:
        return self._answer(402, {"payment-required": encode(self._challenge(path, None))})

    def answer(self, path: str, body: bytes, paid: Authorization) -> Answer:
        """Raises what httpx raises when there is no answer."""
        match self.reply:
            case Reply.LOST:
                raise httpx.ReadTimeout("nothing came")
            case Reply.RESET:
                raise httpx.ReadError("the connection broke")
            case Reply.RECEIPT:
                return self._answer(200, self._receipt(paid), self._goods(path, body))
            case Reply.PLAIN:
                return self._answer(200, {}, self._goods(path, body))
            case Reply.ERROR_RECEIPT:
                return self._answer(500, self._receipt(paid))
            case Reply.AGAIN:
                return self._answer(402, {"payment-required": encode(self._challenge(path, "verification failed"))})
            case Reply.USED:
                return self._answer(402, self._refusal("nonce_already_used"))
            case Reply.PENDING:
                return self._answer(402, self._refusal("settlement_pending"))
            case Reply.GARBAGE:
                return self._answer(200, {"payment-response": "ÿ?"}, b"\xff\x00[")
            case Reply.WRONG:
                return self._answer(400, {}, b'{"error": "no"}')
            case Reply.MOVED:
                return self._answer(307, {"location": "https://elsewhere.example/"})
            case Reply.BROKEN:
                return self._answer(500, {})

    def _goods(self, path: str, body: bytes) -> bytes:
        if path == UPLOAD_PATH:
            return json.dumps({"uploadId": "u1", "clientToken": "token", "pathname": "a/b.png"}).encode()
        job = Job(
            f"job-{len(self.jobs)}",
            "pending",
            created_at=self.clock.true // 1000,
            body=json.loads(body),
            type=f"{path.split('/')[-2]}-i2v",
        )
        self.jobs.append(job)
        return json.dumps({"jobId": job.id}).encode()

    def _receipt(self, paid: Authorization) -> dict[str, str]:
        # Where nothing was taken this is a lie, and it has the same form.
        transfer = self.base.transfers.get(paid.nonce)
        transaction = "0x" + (transfer.transaction if transfer else f"0x{len(self.held):x}")[2:].rjust(64, "0")
        return {"payment-response": encode({"success": True, "transaction": transaction, "network": BASE_USDC.network})}

    def _refusal(self, reason: str) -> dict[str, str]:
        return {"payment-response": encode({"success": False, "errorReason": reason})}

    def _challenge(self, path: str, error: str | None) -> dict[str, object]:
        offer = {
            "scheme": "exact",
            "network": BASE_USDC.network,
            "asset": BASE_USDC.address,
            "amount": str(self.prices["upload" if path == UPLOAD_PATH else path.split("/")[-2]]),
            "payTo": self.pay_to.lower(),
            "maxTimeoutSeconds": 300,
            "extra": {"name": BASE_USDC.name, "version": BASE_USDC.version},
        }
        return {
            "x402Version": 2,
            "resource": {"url": ORIGIN + path},
            "accepts": [offer],
            "extensions": {"payment-identifier": {"info": {"required": False}}},
            **({"error": error} if error else {}),
        }

    def _answer(self, status: int, headers: dict[str, str], body: bytes = b"{}") -> Answer:
        return Answer(status, headers, body, self.clock.true // 1000 if self.dated else None)
