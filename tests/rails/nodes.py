"""JSON-RPC hosts of an imagined chain: blocks as steady as a clock, and the events that a test puts into them."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from seedance_mcp.balance import Balance
from seedance_mcp.chain import Chain
from seedance_mcp.chain.eip3009 import AUTHORIZATION_STATE, AUTHORIZATION_USED, AuthorizationHost
from seedance_mcp.chain.rpc import TRANSFER
from seedance_mcp.chain.tip20 import TRANSFER_WITH_MEMO, MemoHost
from seedance_mcp.payment.tokens import BASE_USDC, TEMPO_USDCE, Token
from seedance_mcp.rails.base import BaseRail
from seedance_mcp.rails.tempo import TempoRail

NOW = 1_700_000_000
"""Epoch seconds of the newest block, and a whole number of blocks since 1970."""
PAYER = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
GAS_PRICE = 20_000_000_000
"""Attodollars; 10^12 of them are a micro-dollar."""


@dataclass
class Node:
    """One host's view. ``fork`` makes its blocks other ones; ``down`` and ``widest`` make it refuse questions.

    ``ahead`` is by how many seconds it tells the time of each block wrongly.
    """

    token: Token
    seconds: int = 2
    latest: int = 0
    finalized: int = 0
    fork: str = ""
    ahead: int = 0
    down: bool = False
    widest: int | None = None
    """Blocks that a question for events may span."""
    used: dict[bytes, int] = field(default_factory=dict)
    """The block in which each nonce was used up."""
    events: list[dict[str, Any]] = field(default_factory=list)
    receipts: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: list[tuple[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.latest = self.latest or NOW // self.seconds
        self.finalized = self.finalized or self.latest

    @property
    def spans(self) -> list[tuple[int, int]]:
        """First and last block of each question for events that was answered."""
        queries = [params[0] for method, params in self.asked if method == "eth_getLogs"]
        return [(int(query["fromBlock"], 16), int(query["toBlock"], 16)) for query in queries]

    def at(self, time: int) -> int:
        """The number of the block at ``time``, in epoch seconds."""
        return time // self.seconds

    def hash(self, number: int) -> str:
        return "0x" + hashlib.sha256(f"{number}{self.fork}".encode()).hexdigest()

    def transaction(
        self, name: str, block: int, *events: tuple[list[str], int], status: str = "0x1", gas: int = 50_000
    ) -> str:
        """Mine one with ``events``, which are topics and an amount; its hash."""
        transaction = hash_of(name)
        logs = [
            {
                "address": self.token.address.lower(),
                "topics": topics,
                "data": f"0x{amount:064x}",
                "transactionHash": transaction,
                "blockNumber": hex(block),
                "blockHash": self.hash(block),
                "logIndex": hex(len(self.events) + index),
                "removed": False,
            }
            for index, (topics, amount) in enumerate(events)
        ]
        self.events += logs
        self.receipts[transaction] = {
            "transactionHash": transaction,
            "status": status,
            "blockNumber": hex(block),
            "blockHash": self.hash(block),
            "gasUsed": hex(gas),
            "effectiveGasPrice": hex(GAS_PRICE),
            "logs": logs,
        }
        return transaction

    def authorized(self, nonce: bytes, to: str, amount: int, block: int) -> str:
        """A payment by an EIP-3009 authorization."""
        self.used[nonce] = block
        used, moved = [AUTHORIZATION_USED, topic(PAYER), "0x" + nonce.hex()], [TRANSFER, topic(PAYER), topic(to)]
        return self.transaction(f"by {nonce.hex()}", block, (used, 0), (moved, amount))

    def with_memo(self, memo: bytes, to: str, amount: int, block: int, *, name: str = "", gas: int = 50_000) -> str:
        """A payment by a transfer with a memo."""
        moved, named = (
            [TRANSFER, topic(PAYER), topic(to)],
            [TRANSFER_WITH_MEMO, topic(PAYER), topic(to), "0x" + memo.hex()],
        )
        return self.transaction(name or f"by {memo.hex()}", block, (moved, amount), (named, amount), gas=gas)

    def between(
        self, sender: str, to: str, amount: int, block: int, name: str = "back", *, memo: bytes | None = None
    ) -> str:
        """A transfer of anybody's."""
        parties = [topic(sender), topic(to)]
        events = [([TRANSFER, *parties], amount)]
        if memo is not None:
            events.append(([TRANSFER_WITH_MEMO, *parties, "0x" + memo.hex()], amount))
        return self.transaction(name, block, *events)

    def plain(self, to: str, amount: int, block: int, name: str = "plain") -> str:
        return self.transaction(name, block, ([TRANSFER, topic(PAYER), topic(to)], amount))

    def __call__(self, request: httpx.Request) -> httpx.Response:
        question = httpx.Response(200, content=request.content).json()
        method, params = question["method"], question["params"]
        if self.down:
            raise httpx.ConnectError("refused")
        if method == "eth_getLogs" and self._is_too_wide(params[0]):
            error = {"code": -32602, "message": "the range is too wide"}
            return httpx.Response(200, json={"jsonrpc": "2.0", "id": question["id"], "error": error})
        self.asked.append((method, params))
        answer = {"jsonrpc": "2.0", "id": question["id"], "result": self._answer(method, *params)}
        return httpx.Response(200, json=answer)

    def _answer(self, method: str, *params: Any) -> object:
        match method:
            case "eth_chainId":
                return hex(self.token.chain_id)
            case "eth_getCode":
                return "0x6080"
            case "eth_getBlockByNumber":
                return self._block(self._number(params[0]))
            case "eth_getTransactionReceipt":
                return self.receipts.get(params[0])
            case "eth_call":
                return f"0x{self._call(params[0]['data'], self._number(params[1])):064x}"
            case "eth_getLogs":
                first, last = self._number(params[0]["fromBlock"]), self._number(params[0]["toBlock"])
                return [log for log in self.events if first <= int(log["blockNumber"], 16) <= last]
        raise AssertionError(method)

    def _block(self, number: int) -> Mapping[str, str] | None:
        if number > self.latest:
            return None
        return {"number": hex(number), "hash": self.hash(number), "timestamp": hex(number * self.seconds + self.ahead)}

    def _number(self, block: str) -> int:
        return {"latest": self.latest, "finalized": self.finalized}.get(block) or int(block, 16)

    def _call(self, data: str, block: int) -> int:
        nonce = bytes.fromhex(data[-64:])
        return data.startswith(AUTHORIZATION_STATE) and self.used.get(nonce, block + 1) <= block

    def _is_too_wide(self, query: Mapping[str, str]) -> bool:
        span = self._number(query["toBlock"]) - self._number(query["fromBlock"]) + 1
        return self.widest is not None and span > self.widest


def hash_of(transaction: str) -> str:
    """Of the transaction that a node was given by this name."""
    return "0x" + hashlib.sha256(transaction.encode()).hexdigest()


def topic(address: str) -> str:
    return "0x" + address[2:].lower().rjust(64, "0")


def http_of(*nodes: Node) -> tuple[httpx.AsyncClient, list[str]]:
    """A client, and the addresses at which it finds the nodes."""
    by_name = {f"host{number}.example": node for number, node in enumerate(nodes)}
    http = httpx.AsyncClient(transport=httpx.MockTransport(lambda request: by_name[request.url.host](request)))
    return http, [f"https://{name}/" for name in by_name]


def base_rail(*nodes: Node) -> BaseRail:
    http, urls = http_of(*nodes)
    chain = Chain([AuthorizationHost(http, url, BASE_USDC.chain_id) for url in urls])
    return BaseRail(BASE_USDC, chain, Balance(chain, BASE_USDC.address, PAYER, lambda: NOW * 1000))


def tempo_rail(*nodes: Node) -> TempoRail:
    http, urls = http_of(*nodes)
    chain = Chain([MemoHost(http, url, TEMPO_USDCE.chain_id) for url in urls])
    return TempoRail(TEMPO_USDCE, chain, Balance(chain, TEMPO_USDCE.address, PAYER, lambda: NOW * 1000))
