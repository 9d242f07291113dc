"""USDC on Base as far as the sandbox needs it: balances, EIP-3009 transfers, and the blocks they fall into."""

from collections.abc import Callable
from dataclasses import dataclass

from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from seedance_mcp.sandbox.signatures import address_word, recover, typed_data_digest, word

CHAIN_ID = 8453
NETWORK = f"eip155:{CHAIN_ID}"
USDC = "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913"
NAME, VERSION = "USD Coin", "2"

GENESIS = 1_686_789_347  # Base mainnet's first block; since then one block every two seconds
BLOCK_SECONDS = 2

DOMAIN_SEPARATOR = keccak(
    keccak(text="EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")
    + keccak(text=NAME)
    + keccak(text=VERSION)
    + word(CHAIN_ID)
    + address_word(USDC)
)
TRANSFER_TYPE = keccak(
    text="TransferWithAuthorization(address from,address to,uint256 value,"
    "uint256 validAfter,uint256 validBefore,bytes32 nonce)"
)


class Reverted(Exception):
    """The transfer would fail on the chain; ``args[0]`` is the facilitator's word for the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorization:
    """The message of EIP-3009 ``transferWithAuthorization``: checksummed addresses, micro-USD, epoch seconds."""

    sender: str
    recipient: str
    value: int
    valid_after: int
    valid_before: int
    nonce: bytes

    def digest(self) -> bytes:
        fields = address_word(self.sender) + address_word(self.recipient)
        fields += word(self.value) + word(self.valid_after) + word(self.valid_before) + self.nonce
        return typed_data_digest(DOMAIN_SEPARATOR, keccak(TRANSFER_TYPE + fields))


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """A mined transfer. ``transaction`` and ``block_hash`` are 0x-prefixed hashes."""

    transaction: str
    block: int
    sender: str
    recipient: str
    value: int
    nonce: bytes

    @property
    def block_hash(self) -> str:
        return block_hash(self.block)


class Bank:
    """``balances`` is keyed by checksummed address, in micro-USD.

    ``used`` maps (checksummed address, nonce) to the block that used or cancelled it. ``finality`` is how many blocks
    the finalised head lies behind the newest one.
    """

    def __init__(self, clock: Callable[[], int]) -> None:
        self.clock = clock
        self.balances: dict[str, int] = {}
        self.used: dict[tuple[str, bytes], int] = {}
        self.transfers: list[Transfer] = []
        self.finality = 0

    @property
    def height(self) -> int:
        return max(0, (self.clock() - GENESIS) // BLOCK_SECONDS)

    def balance(self, address: str) -> int:
        return self.balances.get(to_checksum_address(address), 0)

    def fund(self, address: str, micros: int) -> None:
        self.balances[to_checksum_address(address)] = self.balance(address) + micros

    def cancel(self, address: str, nonce: bytes) -> None:
        """What ``cancelAuthorization`` does: the nonce is spent, no money moves."""
        self.used[to_checksum_address(address), nonce] = self.height

    def check(self, authorization: Authorization, signature: bytes) -> None:
        """Raises Reverted where the contract's ``transferWithAuthorization`` would revert now."""
        now = self.clock()
        if not authorization.valid_after < now:
            raise Reverted("invalid_exact_evm_payload_authorization_valid_after")
        if not now < authorization.valid_before:
            raise Reverted("invalid_exact_evm_payload_authorization_valid_before")
        try:
            signer = recover(authorization.digest(), signature)
        except ValueError as error:
            raise Reverted("invalid_exact_evm_payload_signature") from error
        if signer != authorization.sender:
            raise Reverted("invalid_exact_evm_payload_signature")
        if (authorization.sender, authorization.nonce) in self.used:
            raise Reverted("invalid_exact_evm_nonce_already_used")
        if self.balance(authorization.sender) < authorization.value:
            raise Reverted("insufficient_funds")

    def settle(self, authorization: Authorization, signature: bytes) -> Transfer:
        """Moves the money, once. Raises Reverted like ``check``."""
        self.check(authorization, signature)
        self.used[authorization.sender, authorization.nonce] = self.height
        self.fund(authorization.sender, -authorization.value)
        self.fund(authorization.recipient, authorization.value)
        transfer = Transfer(
            transaction="0x" + keccak(b"transaction" + authorization.digest()).hex(),
            block=self.height,
            sender=authorization.sender,
            recipient=authorization.recipient,
            value=authorization.value,
            nonce=authorization.nonce,
        )
        self.transfers.append(transfer)
        return transfer


def block_hash(number: int) -> str:
    return "0x" + keccak(b"block" + word(number)).hex()
