"""A payment of each rail, signed a minute before the newest block."""

from typing import Any

from seedance_mcp.ledger.states import Payment, State
from seedance_mcp.payment.tokens import BASE_USDC, TEMPO_USDCE
from tests.rails.nodes import NOW, PAYER

PAY_TO, OTHER = "0x07F067959297767c887dbfA3C72379c66E82a045", "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"
CLIP, BOUND = 412_500, 25_000
MARK = bytes(range(32))
RESERVED, DEADLINE = NOW - 60, NOW + 60


def payment(rail: str, **changes: Any) -> Payment:
    token = BASE_USDC if rail == "x402" else TEMPO_USDCE
    known = {
        "id": 1,
        "purchase": "pur_0123456789",
        "attempt": 1,
        "serial": 0,
        "state": State.UNKNOWN,
        "owner": "",
        "agent": "storyboard",
        "model": "seedance",
        "rail": rail,
        "network": token.network,
        "token": token.address,
        "origin": "https://seller.example",
        "payer": PAYER,
        "pay_to": PAY_TO,
        "amount": CLIP,
        "fee": 0 if rail == "x402" else BOUND,
        "nonce": MARK,
        "deadline": DEADLINE,
        "reserved_at": RESERVED * 1000,
    }
    values: dict[str, Any] = {name: (known | changes).get(name) for name in Payment.__dataclass_fields__}
    return Payment(**values)
