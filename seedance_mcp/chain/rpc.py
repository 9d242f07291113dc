"""Blocks, balances and transfers of one token, from hosts that may be wrong, slow or gone.

Sources: Ethereum JSON-RPC specification; EIP-20.
"""

import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Generic, TypeVar

import anyio
import httpx

from seedance_mcp.errors import ChainError

MAX_ANSWER = 4 * 1024 * 1024

BALANCE_OF = "0x70a08231"
TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
PATIENCE = 2
"""Seconds that a host may take while there is another one to ask."""
SPAN = 1000
"""Blocks that one question for events spans: every public host allows as many."""
BLOCK_SECONDS = 2
"""Of Base; a chain with faster blocks takes a few questions more."""
LEAST = 10_000
"""Micro-USD of the least transfer to a wallet that is looked at: each one costs a question about its block, and with
dust somebody could make these as many as they like."""
_BLOCKS, _AMOUNTS = 2**32, 2**63
"""No number or time of a block, and no amount or place of an event, is as high. A ledger cannot hold more."""

ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
WORD = re.compile(r"0x[0-9a-fA-F]{64}")
_QUANTITY = re.compile(r"0x[0-9a-fA-F]{1,24}")
"""96 bits hold any block number, time, gas or price that can be meant."""
_CODE = re.compile(r"0x(?:[0-9a-fA-F]{2})*")

Log = Mapping[str, object]
Topics = Sequence[str | Sequence[str]]
"""Of an event, by place; several in one place are alternatives."""
T = TypeVar("T")
H = TypeVar("H", bound="Host")


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


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One Transfer event; ``index`` is the event's place in its block, ``amount`` in atomic units."""

    transaction: str
    index: int
    block: int
    to: str
    amount: int


@dataclass(frozen=True, slots=True)
class Incoming:
    """One Transfer event to a wallet, as a host tells all of it; ``index`` and ``amount`` as in Outgoing.

    ``memo`` is the 32 bytes that the sender wrote beside it, on a chain that has memos.
    """

    transaction: str
    index: int
    block: Block
    sender: str
    amount: int
    memo: bytes | None = None


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
        return int(await self.call(token, BALANCE_OF + padded(owner), "latest"), 16)

    async def block(self, block: int | str) -> Block:
        """The block of a number or a tag."""
        found = members(await self.ask("eth_getBlockByNumber", tag(block), False))
        number = self.quantity(found.get("number"))
        if isinstance(block, int) and number != block:
            raise self.error("answered with another block")
        timestamp = self.quantity(found.get("timestamp"))
        if max(number, timestamp) >= _BLOCKS:
            raise self.error("answered with a block that cannot be")
        return Block(number, self.match(WORD, found.get("hash")), timestamp)

    async def finalized(self) -> Block:
        return await self.block("finalized")

    async def latest(self) -> Block:
        return await self.block("latest")

    async def has_final(self, block: Block) -> bool:
        """Whether this very block is in the host's chain, and final there. Raises ChainError."""
        return await self.block(block.number) == block and block.number <= (await self.finalized()).number

    async def outgoing(self, token: str, owner: str, first: int, last: int) -> list[Outgoing]:
        """Every transfer of ``token`` away from ``owner`` in the blocks ``first`` to ``last``, oldest first."""
        found = []
        for log in await self.events(token, [TRANSFER, "0x" + padded(owner)], first, last):
            transaction, index, amount = self.moved(log)
            block = self.quantity(log.get("blockNumber"))
            found.append(Outgoing(transaction, index, block, self.party(log, 2), amount))
        return found

    async def incoming(self, token: str, owner: str, senders: Collection[str], first: int, last: int) -> list[Incoming]:
        """Every transfer of ``token`` from one of ``senders`` to ``owner`` in these blocks, oldest first.

        Those of less than LEAST are left out.
        """
        found = []
        blocks: dict[int, Block] = {}
        for log in await self.events(token, [TRANSFER, any_of(senders), "0x" + padded(owner)], first, last):
            number = self.quantity(log.get("blockNumber"))
            if not first <= number <= last:
                raise self.error("answered with events of other blocks")
            transaction, index, amount = self.moved(log)
            if max(amount, index) >= _AMOUNTS:
                raise self.error("answered with a transfer that cannot be")
            if amount >= LEAST:
                blocks[number] = self.holding(log, blocks.get(number) or await self.block(number))
                found.append(Incoming(transaction, index, blocks[number], self.party(log, 1), amount))
        return found

    async def events(self, token: str, topics: Topics, first: int, last: int | str) -> list[Log]:
        """The events of ``token`` that begin with ``topics``, in the blocks ``first`` to ``last``."""
        query = {"address": token, "fromBlock": tag(first), "toBlock": tag(last), "topics": topics}
        return [log for log in self.logs(await self.ask("eth_getLogs", query)) if is_event(log, token, topics)]

    async def topics(self, transaction: str, token: str) -> tuple[bytes, ...]:
        """The topics of all events of ``token`` in a transaction: nonces and memos are among them."""
        receipt = await self.receipt(transaction)
        if receipt is None:
            raise self.error("has no receipt for a transaction that it lists")
        logs = [log for log in self.logs(receipt.get("logs")) if is_event(log, token, [])]
        found = [topics for topics in (log.get("topics") for log in logs) if isinstance(topics, list)]
        return tuple(bytes.fromhex(self.match(WORD, topic)[2:]) for topics in found for topic in topics)

    async def receipt(self, transaction: str) -> Log | None:
        """The receipt of a mined transaction, or None where this host knows of none."""
        found = await self.ask("eth_getTransactionReceipt", transaction)
        if found is None:
            return None
        receipt = members(found)
        if receipt.get("transactionHash") != transaction:
            raise self.error("answered with another transaction")
        return receipt

    async def block_of(self, receipt: Log) -> Block:
        """The block that a receipt says it is in, if this host still thinks so."""
        return self.holding(receipt, await self.block(self.quantity(receipt.get("blockNumber"))))

    def holding(self, receipt: Log, block: Block) -> Block:
        """``block``, if that is the one that a receipt or log says it is in."""
        if receipt.get("blockHash") != block.hash:
            raise self.error("changed its mind about a block")
        return block

    async def call(self, to: str, data: str, block: str) -> str:
        """One word from a contract. An address without code answers every call with nothing, so that is looked at."""
        if self.match(_CODE, await self.ask("eth_getCode", address(to), block)) == "0x":
            raise self.error("knows no contract at the token's address")
        return self.match(WORD, await self.ask("eth_call", {"to": to, "data": data}, block))

    async def ask(self, method: str, *params: object) -> object:
        if not self._verified:
            chain = self.quantity(await self._post("eth_chainId"))
            if chain != self._chain_id:
                raise self.error(f"serves chain {chain}, not {self._chain_id}")
            self._verified = True
        return await self._post(method, *params)

    async def _post(self, method: str, *params: object) -> object:
        request_id = next(self._ids)
        request = {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}
        try:
            async with self._http.stream("POST", self._url, json=request, follow_redirects=False) as response:
                if response.status_code != 200:
                    raise self.error(f"answered with status {response.status_code}")
                answer = members(json.loads(await self._read(response)))
        except httpx.HTTPError as error:
            raise self.error(f"cannot be reached ({type(error).__name__})") from None
        except (ValueError, RecursionError):
            raise self.error("answered with something else than JSON") from None
        if answer.get("id") != request_id or answer.get("jsonrpc") != "2.0":
            raise self.error("answered another question")
        if "result" not in answer or answer.get("error") is not None:
            raise self.error(f"refused {method}")
        return answer["result"]

    async def _read(self, response: httpx.Response) -> bytes:
        data = bytearray()
        async for chunk in response.aiter_bytes():
            data += chunk
            if len(data) > MAX_ANSWER:
                raise self.error("answered with too many bytes")
        return bytes(data)

    def moved(self, log: Log) -> tuple[str, int, int]:
        """Transaction, place in its block and amount of a transfer's event."""
        transaction, amount = self.match(WORD, log.get("transactionHash")), self.match(WORD, log.get("data"))
        return transaction, self.quantity(log.get("logIndex")), int(amount, 16)

    def party(self, log: Log, place: int) -> str:
        """The address in one topic of a Transfer event, in lower case."""
        topics = log.get("topics")
        topic = self.match(WORD, topics[place] if isinstance(topics, list) and len(topics) == 3 else None)
        return f"0x{topic[-40:].lower()}"

    def logs(self, logs: object) -> list[Log]:
        if not isinstance(logs, list):
            raise self.error("answered without a list of logs")
        return [members(log) for log in logs]

    def quantity(self, value: object) -> int:
        return int(self.match(_QUANTITY, value), 16)

    def match(self, shape: re.Pattern[str], value: object) -> str:
        if not isinstance(value, str) or not shape.fullmatch(value):
            raise self.error("answered in the wrong form")
        return value

    def error(self, what: str) -> ChainError:
        return ChainError(f"The RPC host {self.name} {what}")


class Chain(Generic[H]):
    """The same reads from the first of several hosts that answers properly; ChainError when none does.

    Who is silent for a while loses its turn to the next one, and whoever answered last is asked first; the last of them
    may take as long as the caller waits.
    """

    def __init__(self, hosts: Sequence[H]) -> None:
        self.hosts = tuple(hosts)
        """Readers of each host alone, for questions on which several must agree."""
        self._in_turn = self.hosts

    async def first(self, read: Callable[[H], Awaitable[T]]) -> T:
        reasons = []
        for host in self._in_turn:
            is_last = host is self._in_turn[-1]
            try:
                with anyio.move_on_after(None if is_last else PATIENCE):
                    answer = await read(host)
                    self._in_turn = (host, *(other for other in self._in_turn if other is not host))
                    return answer
                reasons.append(f"The RPC host {host.name} did not answer in time")
            except ChainError as error:
                reasons.append(error.what)
        raise ChainError("; ".join(reasons) or "No RPC host is configured")

    async def balance(self, token: str, owner: str) -> int:
        return await self.first(lambda host: host.balance(token, owner))

    async def finalized(self) -> Block:
        return await self.first(lambda host: host.finalized())

    async def latest(self) -> Block:
        return await self.first(lambda host: host.latest())

    async def block(self, block: int | str) -> Block:
        return await self.first(lambda host: host.block(block))

    async def spans(self, since: int, until: int | None, latest: Block) -> AsyncIterator[tuple[int, int]]:
        """First and last block of pieces that cover all blocks from ``since`` to ``until`` (epoch seconds).

        In pieces, since RPC hosts bound the blocks of one question. Without ``until`` they end at ``latest``.
        """
        first = await self.block_before(since, latest)
        while first <= latest.number:
            last = min(first + SPAN - 1, latest.number)
            yield first, last
            if until is not None and (await self.block(last)).timestamp > until:
                return
            first = last + 1

    async def block_before(self, then: int, latest: Block) -> int:
        """A block that is not younger than ``then`` (epoch seconds), close to it on a chain of steady blocks."""
        back = max(latest.timestamp - then, 0) // BLOCK_SECONDS + 1
        while back < latest.number:
            if (await self.block(latest.number - back)).timestamp <= then:
                return latest.number - back
            back *= 2
        return 0


def members(value: object) -> Log:
    return value if isinstance(value, dict) else {}


def is_event(log: Log, token: str, topics: Topics) -> bool:
    """Whether the log is ``token``'s, not undone by a reorganisation, and starts with these topics."""
    emitter, found = log.get("address"), log.get("topics")
    if not isinstance(emitter, str) or not isinstance(found, list) or log.get("removed"):
        return False
    choices = [[topic] if isinstance(topic, str) else topic for topic in topics]
    named = [str(topic).lower() for topic in found[: len(topics)]]
    return (
        emitter.lower() == token.lower()
        and len(named) == len(choices)
        and all(topic in [one.lower() for one in among] for topic, among in zip(named, choices, strict=True))
    )


def tag(block: int | str) -> str:
    return hex(block) if isinstance(block, int) else block


def address(text: str) -> str:
    if not ADDRESS.fullmatch(text):
        raise ValueError("an address is 0x and 40 hexadecimal digits")
    return text


def padded(owner: str) -> str:
    return address(owner)[2:].lower().rjust(64, "0")


def any_of(owners: Collection[str]) -> list[str]:
    return ["0x" + padded(owner) for owner in sorted(owners)]


def word(content: bytes) -> str:
    """32 bytes as they stand in a call or a topic, without 0x."""
    if len(content) != 32:
        raise ValueError("a nonce or memo is 32 bytes")
    return content.hex()
