"""A chain as far as the sandbox needs one: the balances of one dollar token, and the blocks that the clock makes."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Generic, Protocol, TypeVar

from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from seedance_mcp.sandbox.signatures import address_word, word

BALANCE_OF = keccak(text="balanceOf(address)")[:4]
TRANSFER = "0x" + keccak(text="Transfer(address,address,uint256)").hex()


class Reverted(Exception):
    """The chain would not execute this; ``args[0]`` says why."""


@dataclass(frozen=True, slots=True)
class Event:
    """One log of the chain's token, as JSON-RPC writes it."""

    topics: tuple[str, ...]
    data: str


class Transaction(Protocol):
    """A mined one. ``transaction`` is its 0x-prefixed hash."""

    @property
    def transaction(self) -> str: ...

    @property
    def block(self) -> int: ...

    @property
    def succeeded(self) -> bool: ...

    @property
    def events(self) -> list[Event]: ...

    @property
    def receipt(self) -> dict[str, object]:
        """What its receipt says beyond its place, its status and its logs."""


T = TypeVar("T", bound=Transaction)


class Chain(ABC, Generic[T]):
    """``balances`` is keyed by checksummed address, in micro-USD; ``transactions`` are the mined ones, oldest first.

    ``finality`` is how many blocks the finalised head lies behind the newest one.
    """

    chain_id: ClassVar[int]
    token: ClassVar[str]
    code: ClassVar[str]
    """The token's; a reader only looks whether there is any."""
    genesis: ClassVar[int]
    block_milliseconds: ClassVar[int]

    def __init__(self, clock: Callable[[], int]) -> None:
        self.clock = clock
        self.balances: dict[str, int] = {}
        self.transactions: list[T] = []
        self.finality = 0

    @property
    def transfers(self) -> list[T]:
        """The transactions that moved money."""
        return [transaction for transaction in self.transactions if transaction.succeeded]

    @property
    def height(self) -> int:
        return max(0, (self.clock() - self.genesis) * 1000 // self.block_milliseconds)

    @property
    def finalized(self) -> int:
        return max(0, self.height - self.finality)

    def timestamp(self, block: int) -> int:
        """Epoch seconds."""
        return self.genesis + block * self.block_milliseconds // 1000

    def block_hash(self, block: int) -> str:
        return "0x" + keccak(b"block" + word(self.chain_id) + word(block)).hex()

    def balance(self, address: str) -> int:
        return self.balances.get(to_checksum_address(address), 0)

    def fund(self, address: str, micros: int) -> None:
        """``micros`` more for ``address``, from nowhere; fewer if negative."""
        self.balances[to_checksum_address(address)] = self.balance(address) + micros

    @abstractmethod
    def send(self, sender: str, recipient: str, value: int) -> T:
        """A plain transfer by the wallet's owner, which no seller knows of. Raises Reverted without the money."""

    def view(self, selector: bytes, arguments: bytes, block: int) -> int:  # noqa: ARG002 - balances have no history
        """What a view function of the token answers. Raises Reverted for one that it does not have."""
        if selector == BALANCE_OF and len(arguments) == 32:
            return self.balance("0x" + arguments[12:].hex())
        raise Reverted("execution reverted")

    def _move(self, sender: str, recipient: str, value: int) -> None:
        self.fund(sender, -value)
        self.fund(recipient, value)


def topic(address: str) -> str:
    return "0x" + address_word(address).hex()


def data(value: int) -> str:
    return "0x" + word(value).hex()


def transfer_event(sender: str, recipient: str, value: int) -> Event:
    return Event((TRANSFER, topic(sender), topic(recipient)), data(value))
