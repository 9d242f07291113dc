"""A local chain that says it is Tempo, with USDC.e at the address that it has there."""

from typing import NamedTuple

from eth_abi.abi import encode
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from tests.peers.evm import DEPLOYER, Evm

CHAIN_ID = 4217
USDC_E = "0x20C000000000000000000000b9537d11c60E8b50"
PATH_USD = "0x20c0000000000000000000000000000000000000"
ALPHA_USD = "0x20c0000000000000000000000000000000000001"
FEE_MANAGER = "0xfeEC000000000000000000000000000000000000"

# The storage of a TIP-20 token of Tempo's T4: what anvil gives AlphaUSD at genesis ends before slot 20.
TOKEN_SLOTS = range(20)
NAME_SLOT, SYMBOL_SLOT, BALANCES_SLOT = 2, 3, 9

TRANSFER_WITH_MEMO = "0x57bc7354aa85aed339e000bccffabbc529466af35f0772c8f8ee1145927de7f0"
LIQUIDITY = 1_000_000_000
ATTO_PER_MICRO = 10**12
"""Tempo prices gas in 10^-18 USD."""


class MemoTransfer(NamedTuple):
    """One TransferWithMemo event of USDC.e; ``amount`` in micro-USD, addresses checksummed, ``memo`` 32 bytes."""

    block: int
    transaction: str
    sender: str
    recipient: str
    amount: int
    memo: bytes


class Tempo(Evm):
    """Fees can be paid in USDC.e. ``block_number("finalized")`` is 64 blocks behind."""

    # T4 is the newest hardfork that anvil 1.7.1 knows.
    options = ("--network", "tempo", "--hardfork", "T4", "--chain-id", str(CHAIN_ID))

    def deploy(self) -> None:
        self.rpc("anvil_setCode", USDC_E, "0xef")  # a TIP-20 token's code is the node's; the account only has some
        for slot in TOKEN_SLOTS:
            self._store(slot, self.rpc("eth_getStorageAt", ALPHA_USD, hex(slot), "latest"))
        self._store(NAME_SLOT, _short_string("Bridged USDC (Stargate)"))
        self._store(SYMBOL_SLOT, _short_string("USDC.e"))
        # A block's maker takes its fees in pathUSD, so a fee in another token passes through a pool.
        self.transact(
            DEPLOYER, FEE_MANAGER, "mint(address,address,uint256,address)", USDC_E, PATH_USD, LIQUIDITY, DEPLOYER
        )

    def mint(self, address: str, amount: int) -> None:
        """``amount`` micro-USD more USDC.e for ``address``."""
        slot = keccak(encode(["address", "uint256"], [address, BALANCES_SLOT]))
        self._store(int.from_bytes(slot), _word(self.balance(address) + amount))

    def balance(self, address: str) -> int:
        """USDC.e of ``address`` in micro-USD."""
        return int(self.read(USDC_E, "balanceOf(address)", address), 16)

    def transfers(self, since: int) -> list[MemoTransfer]:
        """The token's transfers with a memo after block ``since``, oldest first."""
        return [
            MemoTransfer(
                int(log["blockNumber"], 16),
                log["transactionHash"],
                to_checksum_address(log["topics"][1][-40:]),
                to_checksum_address(log["topics"][2][-40:]),
                int(log["data"], 16),
                bytes.fromhex(log["topics"][3][2:]),
            )
            for log in self.logs(USDC_E, TRANSFER_WITH_MEMO, since)
        ]

    def fee(self, transaction: str) -> int:
        """What a mined transaction cost its fee payer on top of what it moved, in micro-USD."""
        receipt = self.rpc("eth_getTransactionReceipt", transaction)
        price = int(receipt["gasUsed"], 16) * int(receipt["effectiveGasPrice"], 16)
        return -(-price // ATTO_PER_MICRO)

    def _store(self, slot: int, word: str) -> None:
        self.rpc("anvil_setStorageAt", USDC_E, hex(slot), word)


def _word(number: int) -> str:
    return "0x" + number.to_bytes(32).hex()


def _short_string(text: str) -> str:
    """As Solidity stores a string of at most 31 bytes: left-aligned, twice its length in the last byte."""
    return "0x" + text.encode().ljust(31, b"\0").hex() + bytes([2 * len(text)]).hex()
