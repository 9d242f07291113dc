"""USDC on Base as far as the sandbox needs it: EIP-3009 transfers beside plain ones."""

from collections.abc import Callable
from dataclasses import dataclass

from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from seedance_mcp.sandbox.chain import Chain, Event, Reverted, topic, transfer_event
from seedance_mcp.sandbox.signatures import address_word, recover, typed_data_digest, word

CHAIN_ID = 8453
NETWORK = f"eip155:{CHAIN_ID}"
USDC = "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913"
NAME, VERSION = "USD Coin", "2"

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
AUTHORIZATION_STATE = keccak(text="authorizationState(address,bytes32)")[:4]
AUTHORIZATION_USED = "0x" + keccak(text="AuthorizationUsed(address,bytes32)").hex()


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
    """A mined transfer. ``transaction`` and ``block_hash`` are 0x-prefixed hashes; a plain one has no ``nonce``."""

    transaction: str
    block: int
    block_hash: str
    sender: str
    recipient: str
    value: int
    nonce: bytes | None

    succeeded = True

    @property
    def events(self) -> list[Event]:
        """What ``transferWithAuthorization`` or ``transfer`` emits, in its order."""
        moved = transfer_event(self.sender, self.recipient, self.value)
        if self.nonce is None:
            return [moved]
        return [Event((AUTHORIZATION_USED, topic(self.sender), "0x" + self.nonce.hex()), "0x"), moved]

    @property
    def receipt(self) -> dict[str, object]:
        return {"to": USDC.lower()}


class Bank(Chain[Transfer]):
    """``used`` maps (checksummed address, nonce) to the block that used or cancelled it.

    ``args[0]`` of what it raises is the facilitator's word for the reason.
    """

    chain_id = CHAIN_ID
    token = USDC
    code = "0x60806040"
    genesis = 1_686_789_347  # Base mainnet's first block; since then one block every two seconds
    block_milliseconds = 2000

    def __init__(self, clock: Callable[[], int]) -> None:
        super().__init__(clock)
        self.used: dict[tuple[str, bytes], int] = {}

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
        transaction = keccak(b"transaction" + authorization.digest())
        return self._mine(
            transaction, authorization.sender, authorization.recipient, authorization.value, authorization.nonce
        )

    def send(self, sender: str, recipient: str, value: int) -> Transfer:
        if self.balance(sender) < value:
            raise Reverted("insufficient_funds")
        transaction = keccak(b"transfer" + word(len(self.transactions)))
        return self._mine(transaction, to_checksum_address(sender), to_checksum_address(recipient), value, None)

    def view(self, selector: bytes, arguments: bytes, block: int) -> int:
        if selector != AUTHORIZATION_STATE or len(arguments) != 64:
            return super().view(selector, arguments, block)
        used_at = self.used.get((to_checksum_address(arguments[12:32]), arguments[32:]))
        return int(used_at is not None and used_at <= block)

    def _mine(self, transaction: bytes, sender: str, recipient: str, value: int, nonce: bytes | None) -> Transfer:
        self._move(sender, recipient, value)
        transfer = Transfer(
            transaction="0x" + transaction.hex(),
            block=self.height,
            block_hash=self.block_hash(self.height),
            sender=sender,
            recipient=recipient,
            value=value,
            nonce=nonce,
        )
        self.transactions.append(transfer)
        return transfer
