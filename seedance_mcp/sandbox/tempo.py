"""USDC.e on Tempo as far as the sandbox needs it: transfers with a memo, fees in the token, expiring nonces.

Sources: TIP-20 (the token), TIP-1009 (expiring nonces), TIP-1010 (base fee). The amounts of gas are what a Tempo node
of hardfork T4 uses up.
"""

from collections.abc import Callable
from dataclasses import dataclass

from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from seedance_mcp.sandbox.chain import Chain, Event, Reverted, data, topic, transfer_event
from seedance_mcp.sandbox.envelope import Envelope
from seedance_mcp.sandbox.signatures import word

CHAIN_ID = 4217
NETWORK = f"eip155:{CHAIN_ID}"
USDC_E = "0x20C000000000000000000000b9537d11c60E8b50"
FEE_MANAGER = "0xfeEC000000000000000000000000000000000000"

BASE_FEE = 20_000_000_000
ATTO_PER_MICRO = 10**12
GAS = 51_419
GAS_OF_A_NEW_RECIPIENT = 298_619
GAS_OF_A_FAILURE = 35_644

EXPIRING_NONCE_KEY = 2**256 - 1
LONGEST_VALIDITY = 30

TRANSFER_WITH_MEMO = keccak(text="transferWithMemo(address,uint256,bytes32)")[:4]
MEMO_EVENT = "0x" + keccak(text="TransferWithMemo(address,address,uint256,bytes32)").hex()


class Poor(Reverted):
    """The fee payer has not the most that the fee can be, or the sender not the amount on top of what it may owe."""


@dataclass(frozen=True, slots=True)
class Payment:
    """What one call of ``transferWithMemo`` says; ``amount`` in micro-USD, ``memo`` has 32 bytes."""

    recipient: str
    amount: int
    memo: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class TempoTransaction:
    """A mined one. ``fee`` and ``value`` in micro-USD, ``gas_price`` in attodollars; a plain one has no ``memo``."""

    transaction: str
    block: int
    sender: str
    recipient: str
    value: int
    memo: bytes | None
    gas_used: int
    gas_price: int
    fee_payer: str
    succeeded: bool

    @property
    def fee(self) -> int:
        return micros(self.gas_used * self.gas_price)

    @property
    def events(self) -> list[Event]:
        """A node lists the fee's own transfer last, that of a failed transaction too."""
        events = []
        if self.succeeded:
            events.append(transfer_event(self.sender, self.recipient, self.value))
            if self.memo is not None:
                topics = MEMO_EVENT, topic(self.sender), topic(self.recipient), "0x" + self.memo.hex()
                events.append(Event(topics, data(self.value)))
        return [*events, transfer_event(self.fee_payer, FEE_MANAGER, self.fee)]

    @property
    def receipt(self) -> dict[str, object]:
        return {
            "type": "0x76",
            "from": self.sender.lower(),
            "to": USDC_E.lower(),
            "gasUsed": hex(self.gas_used),
            "effectiveGasPrice": hex(self.gas_price),
            "feePayer": self.fee_payer.lower(),
        }


class Tempo(Chain[TempoTransaction]):
    """Throw ``fails_next``, and the next transaction is mined without effect: its fee is charged, its amount is not."""

    chain_id = CHAIN_ID
    token = USDC_E
    code = "0xef"
    genesis = 1_760_000_000
    block_milliseconds = 500

    def __init__(self, clock: Callable[[], int]) -> None:
        super().__init__(clock)
        self.fails_next = False
        self._known: set[tuple[str, bytes]] = set()

    def check(self, envelope: Envelope) -> None:
        """Raises Reverted where a node would not take the transaction now, or it would fail in a block."""
        payment = self._admit(envelope)
        debt = bound(envelope) if envelope.fee_payer == envelope.sender else 0
        if self.balance(envelope.sender) < payment.amount + debt:
            raise Poor("the sender has not the amount")

    def mine(self, envelope: Envelope) -> TempoTransaction:
        """Takes the transaction into a block, once, and charges its fee. Raises Reverted where a node would not."""
        payment, payer = self._admit(envelope), envelope.fee_payer
        assert payer is not None
        self._known.add((envelope.sender, envelope.digest))
        debt = bound(envelope) if payer == envelope.sender else 0
        succeeded = not self.fails_next and self.balance(envelope.sender) >= payment.amount + debt
        self.fails_next = False
        return self._execute(
            TempoTransaction(
                transaction=envelope.hash,
                block=self.height,
                sender=envelope.sender,
                recipient=payment.recipient,
                value=payment.amount,
                memo=payment.memo,
                gas_used=self._gas(payment.recipient) if succeeded else GAS_OF_A_FAILURE,
                gas_price=min(envelope.max_fee, BASE_FEE + envelope.max_priority_fee),
                fee_payer=payer,
                succeeded=succeeded,
            )
        )

    def send(self, sender: str, recipient: str, value: int) -> TempoTransaction:
        sender, recipient = to_checksum_address(sender), to_checksum_address(recipient)
        transaction = TempoTransaction(
            transaction="0x" + keccak(b"transfer" + word(self.chain_id) + word(len(self.transactions))).hex(),
            block=self.height,
            sender=sender,
            recipient=recipient,
            value=value,
            memo=None,
            gas_used=self._gas(recipient),
            gas_price=BASE_FEE,
            fee_payer=sender,
            succeeded=True,
        )
        if self.balance(sender) < value + transaction.fee:
            raise Poor("the sender has not the amount")
        return self._execute(transaction)

    def _execute(self, transaction: TempoTransaction) -> TempoTransaction:
        self._move(transaction.fee_payer, FEE_MANAGER, transaction.fee)
        if transaction.succeeded:
            self._move(transaction.sender, transaction.recipient, transaction.value)
        self.transactions.append(transaction)
        return transaction

    def _admit(self, envelope: Envelope) -> Payment:
        now, payer = self.clock(), envelope.fee_payer
        _require(envelope.chain_id == CHAIN_ID, "it is for another chain")
        _require((envelope.nonce_key, envelope.nonce) == (EXPIRING_NONCE_KEY, 0), "its nonce does not expire")
        _require(now < envelope.valid_before, "it has expired")
        _require(envelope.valid_before <= now + LONGEST_VALIDITY, "it is valid for longer than an expiring nonce may")
        _require(envelope.valid_after <= now, "it is not valid yet")
        _require((envelope.sender, envelope.digest) not in self._known, "it has been mined already")
        payment = read_payment(envelope)
        _require(BASE_FEE <= envelope.max_fee >= envelope.max_priority_fee, "it is underpriced")
        _require(envelope.gas_limit >= self._gas(payment.recipient), "its gas limit is below what it uses")
        _require(envelope.fee_token == USDC_E, "its fee is not in USDC.e")
        if payer is None:
            raise Reverted("nobody has signed to pay its fee")
        if self.balance(payer) < bound(envelope):
            raise Poor("the fee payer has not the most that the fee can be")
        return payment

    def _gas(self, recipient: str) -> int:
        return GAS if self.balance(recipient) else GAS_OF_A_NEW_RECIPIENT


def read_payment(envelope: Envelope) -> Payment:
    """Raises Reverted for anything but one transfer of USDC.e with a memo."""
    _require(len(envelope.calls) == 1, "it makes more than one call, or none")
    [call] = envelope.calls
    _require((call.to, call.value) == (USDC_E, 0), "it does not call USDC.e, or sends other money")
    selector, arguments = call.data[:4], call.data[4:]
    _require((selector, len(arguments)) == (TRANSFER_WITH_MEMO, 96), "it is no transfer with a memo")
    _require(arguments[:12] == bytes(12), "its recipient is no address")
    return Payment(to_checksum_address(arguments[12:32]), int.from_bytes(arguments[32:64], "big"), arguments[64:])


def bound(envelope: Envelope) -> int:
    """The most that the fee can be, in micro-USD: the fee payer must have it, and gets back what was not used."""
    return micros(envelope.gas_limit * envelope.max_fee)


def micros(attodollars: int) -> int:
    """Micro-USD, rounded up."""
    return -(-attodollars // ATTO_PER_MICRO)


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Reverted(otherwise)
