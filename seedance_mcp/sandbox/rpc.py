"""Ethereum JSON-RPC over the bank: the reads that balances and recovery need, with Base mainnet's shapes."""

from typing import TYPE_CHECKING, Any

from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from seedance_mcp.sandbox.bank import BLOCK_SECONDS, CHAIN_ID, GENESIS, USDC, Bank, Transfer, block_hash
from seedance_mcp.sandbox.signatures import address_word, word

if TYPE_CHECKING:
    from collections.abc import Callable

BALANCE_OF = keccak(text="balanceOf(address)")[:4].hex()
AUTHORIZATION_STATE = keccak(text="authorizationState(address,bytes32)")[:4].hex()
AUTHORIZATION_USED = "0x" + keccak(text="AuthorizationUsed(address,bytes32)").hex()
TRANSFER = "0x" + keccak(text="Transfer(address,address,uint256)").hex()
ZERO_WORD = "0x" + bytes(32).hex()
CODE = "0x60806040"  # a reader only looks whether there is code


class RpcError(Exception):
    """``args`` are the JSON-RPC code and message."""


class Rpc:
    def __init__(self, bank: Bank) -> None:
        self.bank = bank
        self.methods: dict[str, Callable[..., object]] = {
            "eth_chainId": lambda: hex(CHAIN_ID),
            "eth_blockNumber": lambda: hex(bank.height),
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
        heads = {"earliest": 0, "latest": self.bank.height, "pending": self.bank.height}
        finalized = max(0, self.bank.height - self.bank.finality)
        heads |= {"finalized": finalized, "safe": finalized}
        return heads[tag] if tag in heads else int(tag, 16)

    def block(self, tag: str, full: bool = False) -> dict[str, object] | None:  # noqa: ARG002 - JSON-RPC's
        number = self.number(tag)
        if number > self.bank.height:
            return None
        return {
            "number": hex(number),
            "hash": block_hash(number),
            "parentHash": block_hash(number - 1) if number else ZERO_WORD,
            "timestamp": hex(GENESIS + number * BLOCK_SECONDS),
            "transactions": [transfer.transaction for transfer in self.bank.transfers if transfer.block == number],
        }

    def code(self, address: str, tag: str = "latest") -> str:
        self.number(tag)
        return CODE if to_checksum_address(address) == USDC else "0x"

    def call(self, call: dict[str, str], tag: str = "latest") -> str:
        """``balanceOf`` at the newest block, ``authorizationState`` at the block that was asked for."""
        if to_checksum_address(call["to"]) != USDC:
            return "0x"
        data = call.get("data") or call["input"]
        selector, address = data[2:10].lower(), to_checksum_address("0x" + data[34:74])
        if selector == BALANCE_OF and len(data) == 74:
            value = self.bank.balance(address)
        elif selector == AUTHORIZATION_STATE and len(data) == 138:
            used_at = self.bank.used.get((address, bytes.fromhex(data[74:])))
            value = int(used_at is not None and used_at <= self.number(tag))
        else:
            raise RpcError(3, "execution reverted")
        return "0x" + word(value).hex()

    def logs(self, wanted: dict[str, Any]) -> list[dict[str, object]]:
        first, last = self.number(wanted.get("fromBlock", "latest")), self.number(wanted.get("toBlock", "latest"))
        addresses = wanted.get("address", USDC)
        addresses = [addresses] if isinstance(addresses, str) else addresses
        if USDC not in [to_checksum_address(address) for address in addresses]:
            return []
        return [
            log
            for transfer in self.bank.transfers
            if first <= transfer.block <= last
            for log in _logs(transfer)
            if _matches(log["topics"], wanted.get("topics", []))
        ]

    def receipt(self, transaction: str) -> dict[str, object] | None:
        for transfer in self.bank.transfers:
            if transfer.transaction == transaction.lower():
                return {**_place(transfer), "status": "0x1", "to": USDC.lower(), "logs": _logs(transfer)}
        return None


def _place(transfer: Transfer) -> dict[str, object]:
    return {
        "transactionHash": transfer.transaction,
        "transactionIndex": "0x0",
        "blockNumber": hex(transfer.block),
        "blockHash": transfer.block_hash,
    }


def _logs(transfer: Transfer) -> list[dict[str, Any]]:
    """What ``transferWithAuthorization`` emits, in its order."""
    sender, recipient = _topic(transfer.sender), _topic(transfer.recipient)
    events = [
        ([AUTHORIZATION_USED, sender, "0x" + transfer.nonce.hex()], "0x"),
        ([TRANSFER, sender, recipient], "0x" + word(transfer.value).hex()),
    ]
    place = {**_place(transfer), "address": USDC.lower(), "removed": False}
    return [
        {**place, "topics": topics, "data": data, "logIndex": hex(index)} for index, (topics, data) in enumerate(events)
    ]


def _topic(address: str) -> str:
    return "0x" + address_word(address).hex()


def _matches(topics: list[str], wanted: list[str | list[str] | None]) -> bool:
    """The filter of ``eth_getLogs``: by position, null for any, a list for alternatives."""
    if len(wanted) > len(topics):
        return False
    for topic, choice in zip(topics, wanted, strict=False):
        choices = [choice] if isinstance(choice, str) else choice
        if choices is not None and topic not in [alternative.lower() for alternative in choices]:
            return False
    return True
