"""What the chain says, read over JSON-RPC: balances, used authorizations, and the transfers they made.

Sources: Ethereum JSON-RPC specification; EIP-20 and EIP-3009 for the calls and events. A host may lie: whoever needs
more than one opinion asks each of ``Chain.hosts``.
"""

import json
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import count, pairwise
from typing import TypeVar

import httpx

from seedance_mcp.errors import ChainError

MAX_ANSWER = 1024 * 1024

BALANCE_OF = "0x70a08231"
AUTHORIZATION_STATE = "0xe94a0102"
AUTHORIZATION_USED = "0x98de503528ee59b575ef0c0a2576a82497bfc029a5685b209e9ec333479b10a5"
TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_WORD = re.compile(r"0x[0-9a-fA-F]{64}")
_QUANTITY = re.compile(r"0x[0-9a-fA-F]{1,12}")
"""48 bits hold any block number and any time in seconds that can be meant."""
_CODE = re.compile(r"0x(?:[0-9a-fA-F]{2})*")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Block:
    """``timestamp`` in epoch seconds."""

    number: int
    hash: str
    timestamp: int


@dataclass(frozen=True, slots=True)
class Transfer:
    """``amount`` in atomic units, ``to`` in lower case, ``timestamp`` (epoch seconds) the block's."""

    transaction: str
    block: int
    timestamp: int
    to: str
    amount: int


class Host:
    """One JSON-RPC host. Every method raises ChainError for whatever is not a proper answer of the right chain."""

    def __init__(self, http: httpx.AsyncClient, url: str, chain_id: int) -> None:
        self._http = http
        self._url = url
        self._chain_id = chain_id
        self._verified = False
        self._ids = count(1)
        # The path or query of an RPC address is often an API key: only the host is ever shown.
        self.name = httpx.URL(url).host

    async def balance(self, token: str, owner: str) -> int:
        """Atomic units of ``token`` held at the newest block."""
        return int(await self._call(token, BALANCE_OF + _padded(owner), "latest"), 16)

    async def authorization_used(self, token: str, payer: str, nonce: bytes, *, block: int | str = "latest") -> bool:
        """Whether the EIP-3009 nonce is used or cancelled at ``block`` (a number or a tag)."""
        word = await self._call(token, AUTHORIZATION_STATE + _padded(payer) + _nonce(nonce), _tag(block))
        state = int(word, 16)
        if state not in (0, 1):
            raise self._error("answered with something else than yes or no")
        return state == 1

    async def block(self, block: int | str) -> Block:
        """The block of a number or a tag."""
        found = _members(await self._ask("eth_getBlockByNumber", _tag(block), False))
        number = self._quantity(found.get("number"))
        if isinstance(block, int) and number != block:
            raise self._error("answered with another block")
        return Block(number, self._match(_WORD, found.get("hash")), self._quantity(found.get("timestamp")))

    async def finalized(self) -> Block:
        return await self.block("finalized")

    async def latest(self) -> Block:
        return await self.block("latest")

    async def authorization_transfer(
        self, token: str, payer: str, nonce: bytes, from_block: int, *, to_block: int | str = "latest"
    ) -> Transfer | None:
        """The transfer that used up the nonce, or None: not used in these blocks, or cancelled without a transfer."""
        topics = [AUTHORIZATION_USED, "0x" + _padded(payer), "0x" + _nonce(nonce)]
        query = {"address": token, "fromBlock": _tag(from_block), "toBlock": _tag(to_block), "topics": topics}
        used = [log for log in self._logs(await self._ask("eth_getLogs", query)) if _is_event(log, token, topics)]
        if not used:
            return None
        transaction = self._match(_WORD, used[0].get("transactionHash"))
        receipt = _members(await self._ask("eth_getTransactionReceipt", transaction))
        if receipt.get("status") != "0x1" or receipt.get("transactionHash") != transaction:
            raise self._error("has no successful receipt for a transaction that it lists")
        to, amount = self._made_transfer(self._logs(receipt.get("logs")), token, topics)
        block = await self.block(self._quantity(receipt.get("blockNumber")))
        if receipt.get("blockHash") != block.hash:
            raise self._error("changed its mind about a block")
        return Transfer(transaction, block.number, block.timestamp, to, amount)

    def _made_transfer(self, logs: list[dict[str, object]], token: str, used: list[str]) -> tuple[str, int]:
        """Recipient and amount of the Transfer that follows AuthorizationUsed.

        FiatToken emits one right after the other, so the order tells apart several authorizations in one transaction.
        """
        for log, after in pairwise(logs):
            if _is_event(log, token, used) and _is_event(after, token, [TRANSFER, used[1]]):
                topics = after.get("topics")
                word = self._match(_WORD, topics[2] if isinstance(topics, list) and len(topics) == 3 else None)
                return "0x" + word[-40:].lower(), int(self._match(_WORD, after.get("data")), 16)
        raise self._error("lists an authorization without its transfer")

    async def _call(self, to: str, data: str, block: str) -> str:
        """One word from a contract. An address without code answers every call with nothing, so that is looked at."""
        if self._match(_CODE, await self._ask("eth_getCode", _address(to), block)) == "0x":
            raise self._error("knows no contract at the token's address")
        return self._match(_WORD, await self._ask("eth_call", {"to": to, "data": data}, block))

    async def _ask(self, method: str, *params: object) -> object:
        if not self._verified:
            chain = self._quantity(await self._post("eth_chainId"))
            if chain != self._chain_id:
                raise self._error(f"serves chain {chain}, not {self._chain_id}")
            self._verified = True
        return await self._post(method, *params)

    async def _post(self, method: str, *params: object) -> object:
        request_id = next(self._ids)
        request = {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}
        try:
            async with self._http.stream("POST", self._url, json=request, follow_redirects=False) as response:
                if response.status_code != 200:
                    raise self._error(f"answered with status {response.status_code}")
                answer = _members(json.loads(await self._read(response)))
        except httpx.HTTPError as error:
            raise self._error(f"cannot be reached ({type(error).__name__})") from None
        except (ValueError, RecursionError):
            raise self._error("answered with something else than JSON") from None
        if answer.get("id") != request_id or answer.get("jsonrpc") != "2.0":
            raise self._error("answered another question")
        if "result" not in answer or answer.get("error") is not None:
            raise self._error(f"refused {method}")
        return answer["result"]

    async def _read(self, response: httpx.Response) -> bytes:
        data = bytearray()
        async for chunk in response.aiter_bytes():
            data += chunk
            if len(data) > MAX_ANSWER:
                raise self._error("answered with too many bytes")
        return bytes(data)

    def _logs(self, logs: object) -> list[dict[str, object]]:
        if not isinstance(logs, list):
            raise self._error("answered without a list of logs")
        return [_members(log) for log in logs]

    def _quantity(self, value: object) -> int:
        return int(self._match(_QUANTITY, value), 16)

    def _match(self, shape: re.Pattern[str], value: object) -> str:
        if not isinstance(value, str) or not shape.fullmatch(value):
            raise self._error("answered in the wrong form")
        return value

    def _error(self, what: str) -> ChainError:
        return ChainError(f"The RPC host {self.name} {what}")


class Chain:
    """The same reads from the first of several hosts that answers properly; ChainError when none does."""

    def __init__(self, http: httpx.AsyncClient, urls: Sequence[str], chain_id: int) -> None:
        self._hosts = tuple(Host(http, url, chain_id) for url in urls)

    @property
    def hosts(self) -> tuple[Host, ...]:
        """Readers of each host alone, for questions on which several must agree."""
        return self._hosts

    async def balance(self, token: str, owner: str) -> int:
        return await self._first(lambda host: host.balance(token, owner))

    async def authorization_used(self, token: str, payer: str, nonce: bytes, *, block: int | str = "latest") -> bool:
        return await self._first(lambda host: host.authorization_used(token, payer, nonce, block=block))

    async def finalized(self) -> Block:
        return await self._first(Host.finalized)

    async def latest(self) -> Block:
        return await self._first(Host.latest)

    async def block(self, block: int | str) -> Block:
        return await self._first(lambda host: host.block(block))

    async def authorization_transfer(
        self, token: str, payer: str, nonce: bytes, from_block: int, *, to_block: int | str = "latest"
    ) -> Transfer | None:
        return await self._first(
            lambda host: host.authorization_transfer(token, payer, nonce, from_block, to_block=to_block)
        )

    async def _first(self, read: Callable[[Host], Awaitable[T]]) -> T:
        reasons = []
        for host in self._hosts:
            try:
                return await read(host)
            except ChainError as error:
                reasons.append(error.what)
        raise ChainError("; ".join(reasons) or "No RPC host is configured")


def _members(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _is_event(log: dict[str, object], token: str, topics: list[str]) -> bool:
    """Whether the log is ``token``'s, not undone by a reorganisation, and starts with these topics."""
    address, found = log.get("address"), log.get("topics")
    if not isinstance(address, str) or not isinstance(found, list) or log.get("removed"):
        return False
    named = [str(topic).lower() for topic in found[: len(topics)]]
    return address.lower() == token.lower() and named == [topic.lower() for topic in topics]


def _tag(block: int | str) -> str:
    return hex(block) if isinstance(block, int) else block


def _address(address: str) -> str:
    if not _ADDRESS.fullmatch(address):
        raise ValueError("an address is 0x and 40 hexadecimal digits")
    return address


def _padded(address: str) -> str:
    return _address(address)[2:].lower().rjust(64, "0")


def _nonce(nonce: bytes) -> str:
    if len(nonce) != 32:
        raise ValueError("a nonce is 32 bytes")
    return nonce.hex()
