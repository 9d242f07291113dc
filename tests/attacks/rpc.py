"""A JSON-RPC host of Base that can lie. Its blocks come every two seconds of its clock."""

import hashlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from tests.attacks.wire import Recorder, Reply, Seen, serve

USDC = "0x833589fcd6edb6e08f4c7c32d4f71b54bda02913"
AUTHORIZATION_USED = "0x98de503528ee59b575ef0c0a2576a82497bfc029a5685b209e9ec333479b10a5"
TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"


@dataclass(frozen=True, slots=True)
class Belief:
    """What a host says, true or not. ``ahead`` is in seconds; another ``branch`` is another chain of block hashes."""

    chain_id: int = 8453
    code: str = "0x60"
    balance: int = 1_000_000_000
    ahead: int = 0
    branch: str = ""
    uses_everything: bool = False
    up: bool = True


TRUE = Belief()


@dataclass(frozen=True, slots=True)
class Taken:
    """An authorization that was used in ``block``."""

    nonce: str
    payer: str
    to: str
    amount: int
    block: int

    @property
    def transaction(self) -> str:
        return _hash(f"transaction {self.nonce}")


class Rpc(Recorder):
    """``clock`` gives epoch milliseconds. ``taken`` is what happened on the chain, as far as this host tells."""

    def __init__(self, clock: Callable[[], int]) -> None:
        super().__init__(self._reply)
        self.origin = ""
        self.belief = TRUE
        self.taken: list[Taken] = []
        self._clock = clock

    def believe(self, **changes: Any) -> None:
        self.belief = replace(TRUE, **changes)

    def take(self, authorization: dict[str, Any]) -> None:
        """Use an authorization, as a facilitator would, in the newest block."""
        signed = authorization
        self.taken.append(
            Taken(signed["nonce"], signed["from"], signed["to"], int(signed["value"]), self._clock() // 2000)
        )

    @property
    def newest(self) -> int:
        return (self._clock() // 1000 + self.belief.ahead) // 2

    async def _reply(self, seen: Seen) -> Reply:
        asked = json.loads(seen.body)
        if not self.belief.up:
            return Reply(503)
        return Reply(
            body={"jsonrpc": "2.0", "id": asked["id"], "result": self._result(asked["method"], asked["params"])}
        )

    def _result(self, method: str, params: list[Any]) -> object:
        match method:
            case "eth_chainId":
                return hex(self.belief.chain_id)
            case "eth_getCode":
                return self.belief.code
            case "eth_blockNumber":
                return hex(self.newest)
            case "eth_getBlockByNumber":
                return self._block(self._number(params[0]))
            case "eth_call":
                return self._call(params[0]["data"], self._number(params[1]))
            case "eth_getLogs":
                return self._logs(params[0])
            case "eth_getTransactionReceipt":
                return next((self._receipt(one) for one in self.taken if one.transaction == params[0]), None)
        return None

    def _number(self, tag: str) -> int:
        return self.newest if tag in ("latest", "finalized", "safe") else int(tag, 16)

    def _block(self, number: int) -> dict[str, str] | None:
        if number > self.newest:
            return None
        return {"number": hex(number), "hash": self._hash_of(number), "timestamp": hex(2 * number)}

    def _hash_of(self, number: int) -> str:
        return _hash(f"{self.belief.branch} block {number}")

    def _call(self, data: str, block: int) -> str:
        if self.belief.code == "0x":
            return "0x"
        if data.startswith("0x70a08231"):
            return _word(self.belief.balance)
        nonce = f"0x{data[-64:]}"
        used = any(one.nonce == nonce and one.block <= block for one in self.taken)
        return _word(used or self.belief.uses_everything)

    def _logs(self, query: dict[str, Any]) -> list[dict[str, Any]]:
        first, last = self._number(query["fromBlock"]), self._number(query.get("toBlock", "latest"))
        logs = [log for one in self.taken if first <= one.block <= last for log in self._receipt(one)["logs"]]
        return [log for log in logs if _matches(log["topics"], query["topics"])]

    def _receipt(self, one: Taken) -> dict[str, Any]:
        payer, to = _padded(one.payer), _padded(one.to)
        common = {
            "address": USDC,
            "transactionHash": one.transaction,
            "blockNumber": hex(one.block),
            "blockHash": self._hash_of(one.block),
            "logIndex": "0x0",
        }
        logs = [
            common | {"topics": [AUTHORIZATION_USED, payer, one.nonce], "data": "0x"},
            common | {"topics": [TRANSFER, payer, to], "data": _word(one.amount)},
        ]
        return common | {"status": "0x1", "logs": logs}


@asynccontextmanager
async def open_rpc(clock: Callable[[], int]) -> AsyncIterator[Rpc]:
    rpc = Rpc(clock)
    async with serve(rpc) as origin:
        rpc.origin = origin
        yield rpc


def _matches(topics: list[str], wanted: list[Any]) -> bool:
    def fits(topic: str, want: Any) -> bool:
        choices = want if isinstance(want, list) else [want]
        return want is None or topic.lower() in [str(choice).lower() for choice in choices]

    return len(wanted) <= len(topics) and all(map(fits, topics, wanted))


def _hash(text: str) -> str:
    return "0x" + hashlib.sha256(text.encode()).hexdigest()


def _word(number: int) -> str:
    return f"0x{int(number):064x}"


def _padded(address: str) -> str:
    return "0x" + address[2:].lower().rjust(64, "0")
