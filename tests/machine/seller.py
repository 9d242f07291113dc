"""A seller that may settle and answer as it likes, in any combination. It only ever sees bytes."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import httpx

from seedance_mcp.orders import SHIPPED_PAY_TO
from seedance_mcp.payment.wire import encode
from seedance_mcp.studio.models import UPLOAD_PATH, Answer, Job
from tests.machine.chain import Authorization, Ground
from tests.machine.clock import Clock
from tests.machine.credentials import base_challenge, read_credential, receipt, tempo_challenge

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


class Deed(StrEnum):
    """What the seller does with signed bytes, at once or later."""

    TAKE = "takes the money"
    FAIL = "takes it to the chain, where it fails"
    KEEP = "keeps it"


@dataclass
class Seller:
    """``deed`` is what it does as soon as it is sent a signature, before it replies with ``reply``.

    It offers ``rails``, and pays Tempo's fees where ``sponsored``.
    """

    clock: Clock
    chains: Mapping[str, Ground]
    prices: dict[str, int]
    deed: Deed = Deed.TAKE
    reply: Reply = Reply.RECEIPT
    rails: tuple[str, ...] = ("x402", "mpp")
    sponsored: bool = False
    pay_to: str = SHIPPED_PAY_TO
    dated: bool = True
    held: list[Authorization] = field(default_factory=list)
    jobs: list[Job] = field(default_factory=list)
    _challenges: int = 0

    def receive(self, headers: Mapping[str, str]) -> Authorization:
        """Signed bytes arrived: from here on the money can be taken."""
        authorization = read_credential(headers)
        if authorization not in self.held:
            self.held.append(authorization)
        self.do(self.deed, authorization)
        return authorization

    def do(self, deed: Deed, authorization: Authorization) -> None:
        if deed is not Deed.KEEP:
            self.chains[authorization.rail].take(authorization, fails=deed is Deed.FAIL)

    def quote(self, path: str) -> Answer:
        return self._answer(402, self._challenge(path, None))

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
                return self._answer(402, self._challenge(path, "verification failed"))
            case Reply.USED:
                return self._answer(402, self._refusal("nonce_already_used"))
            case Reply.PENDING:
                return self._answer(402, self._refusal("settlement_pending"))
            case Reply.GARBAGE:
                return self._answer(200, {"payment-response": "ÿ?", "payment-receipt": "ÿ?"}, b"\xff\x00[")
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
        transfer = self.chains[paid.rail].transfers.get(paid.nonce)
        transaction = transfer.transaction if transfer else f"0x{len(self.held):x}"
        return receipt(paid, "0x" + transaction[2:].rjust(64, "0"))

    def _refusal(self, reason: str) -> dict[str, str]:
        return {"payment-response": encode({"success": False, "errorReason": reason})}

    def _challenge(self, path: str, error: str | None) -> dict[str, str]:
        price, headers = self.prices["upload" if path == UPLOAD_PATH else path.split("/")[-2]], dict[str, str]()
        if "x402" in self.rails:
            headers |= base_challenge(path, price, self.pay_to, error)
        if "mpp" in self.rails:
            self._challenges += 1
            name, now = f"challenge-{self._challenges}", self.clock.true // 1000
            headers |= tempo_challenge(name, price, self.pay_to, sponsored=self.sponsored, now=now)
        return headers

    def _answer(self, status: int, headers: dict[str, str], body: bytes = b"{}") -> Answer:
        return Answer(status, headers, body, self.clock.true // 1000 if self.dated else None)
