"""Ethereum JSON-RPC over a chain of the sandbox: the reads that balances and recovery need, with mainnet's shapes."""

from typing import TYPE_CHECKING, Any

from eth_utils.address import to_checksum_address
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from seedance_mcp.sandbox.chain import Chain, Reverted, Transaction, data

if TYPE_CHECKING:
    from collections.abc import Callable

ZERO_WORD = data(0)


class RpcError(Exception):
    """``args`` are the JSON-RPC code and message."""


class Rpc:
    def __init__(self, chain: Chain[Any]) -> None:
        self.chain = chain
        self.methods: dict[str, Callable[..., object]] = {
            "eth_chainId": lambda: hex(chain.chain_id),
            "eth_blockNumber": lambda: hex(chain.height),
            "eth_getBlockByNumber": self.block,
            "eth_getCode": self.code,
            "eth_call": self.call,
            "eth_getLogs": self.logs,
            "eth_getTransactionReceipt": self.receipt,
        }

    async def answer(self, request: Request) -> Response:
        try:
            asked = await request.json()
            number, method, params = asked.get("id"), asked["method"], asked.get("params", [])
        except (ValueError, KeyError, AttributeError):
            return JSONResponse({"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "invalid request"}})
        try:
            outcome: dict[str, object] = {"result": self._run(method, params)}
        except RpcError as error:
            outcome = {"error": {"code": error.args[0], "message": error.args[1]}}
        except (ValueError, TypeError, KeyError, IndexError, AttributeError):
            outcome = {"error": {"code": -32602, "message": "invalid params"}}
        return JSONResponse({"jsonrpc": "2.0", "id": number, **outcome})

    def _run(self, method: str, params: list[Any]) -> object:
        if method not in self.methods:
            raise RpcError(-32601, f"the method {method} does not exist")
        return self.methods[method](*params)

    def number(self, tag: str) -> int:
        """The height that a block parameter names."""
        heads = {"earliest": 0, "latest": self.chain.height, "pending": self.chain.height}
        heads |= {"finalized": self.chain.finalized, "safe": self.chain.finalized}
        return heads[tag] if tag in heads else int(tag, 16)

    def block(self, tag: str, full: bool = False) -> dict[str, object] | None:  # noqa: ARG002 - JSON-RPC's
        number = self.number(tag)
        if number > self.chain.height:
            return None
        return {
            "number": hex(number),
            "hash": self.chain.block_hash(number),
            "parentHash": self.chain.block_hash(number - 1) if number else ZERO_WORD,
            "timestamp": hex(self.chain.timestamp(number)),
            "transactions": [mined.transaction for mined in self.chain.transactions if mined.block == number],
        }

    def code(self, address: str, tag: str = "latest") -> str:
        self.number(tag)
        return self.chain.code if to_checksum_address(address) == self.chain.token else "0x"

    def call(self, call: dict[str, str], tag: str = "latest") -> str:
        """A view function of the token; balances are those of the newest block, whichever was asked for."""
        if to_checksum_address(call["to"]) != self.chain.token:
            return "0x"
        asked = bytes.fromhex((call.get("data") or call["input"]).removeprefix("0x"))
        try:
            return data(self.chain.view(asked[:4], asked[4:], self.number(tag)))
        except Reverted as revert:
            raise RpcError(3, revert.args[0]) from revert

    def logs(self, wanted: dict[str, Any]) -> list[dict[str, object]]:
        first, last = self.number(wanted.get("fromBlock", "latest")), self.number(wanted.get("toBlock", "latest"))
        addresses = wanted.get("address", self.chain.token)
        addresses = [addresses] if isinstance(addresses, str) else addresses
        if self.chain.token not in [to_checksum_address(address) for address in addresses]:
            return []
        return [
            log
            for mined in self.chain.transactions
            if first <= mined.block <= last
            for log in self._logs(mined)
            if _matches(log["topics"], wanted.get("topics", []))
        ]

    def receipt(self, transaction: str) -> dict[str, object] | None:
        for mined in self.chain.transactions:
            if mined.transaction == transaction.lower():
                status = hex(mined.succeeded)
                return {**self._place(mined), "status": status, "logs": self._logs(mined), **mined.receipt}
        return None

    def _place(self, mined: Transaction) -> dict[str, object]:
        return {
            "transactionHash": mined.transaction,
            "transactionIndex": "0x0",
            "blockNumber": hex(mined.block),
            "blockHash": self.chain.block_hash(mined.block),
        }

    def _logs(self, mined: Transaction) -> list[dict[str, Any]]:
        place = {**self._place(mined), "address": self.chain.token.lower(), "removed": False}
        return [
            {**place, "topics": list(event.topics), "data": event.data, "logIndex": hex(index)}
            for index, event in enumerate(mined.events)
        ]


def _matches(topics: list[str], wanted: list[str | list[str] | None]) -> bool:
    """The filter of ``eth_getLogs``: by position, null for any, a list for alternatives."""
    if len(wanted) > len(topics):
        return False
    for topic, choice in zip(topics, wanted, strict=False):
        choices = [choice] if isinstance(choice, str) else choice
        if choices is not None and topic not in [alternative.lower() for alternative in choices]:
            return False
    return True
