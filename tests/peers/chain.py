"""A local chain that says it is Base, with Circle's own USD Coin on it."""

from typing import NamedTuple

from eth_utils.address import to_checksum_address

from tests.peers import usdc
from tests.peers.evm import DEPLOYER, Evm
from tests.peers.usdc import USDC

CHAIN_ID = 8453
OWNER = DEPLOYER
"""The token's owner and minter."""

TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"


class Transfer(NamedTuple):
    """One Transfer event of the token; ``amount`` in micro-USD, addresses checksummed."""

    block: int
    transaction: str
    sender: str
    recipient: str
    amount: int


class Anvil(Evm):
    options = ("--chain-id", str(CHAIN_ID))

    def deploy(self) -> None:
        usdc.deploy(self, self._modules, OWNER)

    def mint(self, address: str, amount: int) -> None:
        """``amount`` micro-USD of new USDC; needs automine."""
        self.transact(OWNER, USDC, "mint(address,uint256)", address, amount)

    def balance(self, address: str) -> int:
        """USDC of ``address`` in micro-USD."""
        return int(self.read(USDC, "balanceOf(address)", address), 16)

    def authorization_used(self, payer: str, nonce: str | bytes) -> bool:
        """EIP-3009 ``authorizationState``; ``nonce`` is 32 bytes, raw or as 0x hex."""
        raw = nonce if isinstance(nonce, bytes) else bytes.fromhex(nonce.removeprefix("0x"))
        return int(self.read(USDC, "authorizationState(address,bytes32)", payer, raw), 16) == 1

    def domain_separator(self) -> str:
        """The token's EIP-712 domain separator, 0x hex."""
        return self.read(USDC, "DOMAIN_SEPARATOR()")

    def transfers(self, since: int) -> list[Transfer]:
        """The token's transfers after block ``since``, mints included, oldest first."""
        return [
            Transfer(
                int(log["blockNumber"], 16),
                log["transactionHash"],
                to_checksum_address(log["topics"][1][-40:]),
                to_checksum_address(log["topics"][2][-40:]),
                int(log["data"], 16),
            )
            for log in self.logs(USDC, TRANSFER, since)
        ]
