"""A local chain that says it is Base, with Circle's own USD Coin on it."""

import time
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from shutil import which
from subprocess import DEVNULL, PIPE, STDOUT, Popen
from threading import Thread
from typing import IO, Any, NamedTuple, Self

import httpx
from eth_abi.abi import encode
from eth_utils.abi import function_signature_to_4byte_selector
from eth_utils.address import to_checksum_address

from tests.peers import usdc
from tests.peers.usdc import USDC

CHAIN_ID = 8453
OWNER = "0xa0Ee7A142d267C1f36714E4a8F75612F20a79720"
"""The token's owner and minter: account 9 of the mnemonic that anvil and hardhat share."""

TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
READY = "Listening on "


class Transfer(NamedTuple):
    """One Transfer event of the token; ``amount`` in micro-USD, addresses checksummed."""

    block: int
    transaction: str
    sender: str
    recipient: str
    amount: int


class Anvil:
    """A context manager: the node runs, and the token stands, while it is entered. ``url`` is its JSON-RPC address."""

    url: str

    def __init__(self, modules: Path) -> None:
        self._modules = modules

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            self.url = undo.enter_context(_node(find_anvil(self._modules)))
            self._http = undo.enter_context(httpx.Client(base_url=self.url, trust_env=False, timeout=30))
            usdc.deploy(self, self._modules, OWNER)
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    def rpc(self, method: str, *params: Any) -> Any:
        """``result`` of a JSON-RPC call; RuntimeError with the node's words for an error."""
        answer = self._http.post("/", json={"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).json()
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def transact(self, sender: str, to: str, signature: str, *arguments: Any) -> None:
        """Call a contract from an account that anvil holds the key of. RuntimeError if it reverts or is never mined."""
        if not self.rpc("anvil_getAutomine"):
            raise RuntimeError(f"{signature} would wait for a block for ever: switch automine on first")
        call = {"from": sender, "to": to, "data": _calldata(signature, arguments)}
        receipt = self.rpc("eth_sendTransactionSync", call)
        if receipt["status"] != "0x1":
            raise RuntimeError(f"{signature} reverted")

    def mint(self, address: str, amount: int) -> None:
        """``amount`` micro-USD of new USDC; needs automine."""
        self.transact(OWNER, USDC, "mint(address,uint256)", address, amount)

    def balance(self, address: str) -> int:
        """USDC of ``address`` in micro-USD."""
        return int(self._read("balanceOf(address)", address), 16)

    def authorization_used(self, payer: str, nonce: str | bytes) -> bool:
        """EIP-3009 ``authorizationState``; ``nonce`` is 32 bytes, raw or as 0x hex."""
        raw = nonce if isinstance(nonce, bytes) else bytes.fromhex(nonce.removeprefix("0x"))
        return int(self._read("authorizationState(address,bytes32)", payer, raw), 16) == 1

    def domain_separator(self) -> str:
        """The token's EIP-712 domain separator, 0x hex."""
        return self._read("DOMAIN_SEPARATOR()")

    def block_number(self) -> int:
        return int(self.rpc("eth_blockNumber"), 16)

    def timestamp(self) -> int:
        """Of the latest block, in epoch seconds."""
        return int(self.rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)

    def transfers(self, since: int) -> list[Transfer]:
        """The token's transfers after block ``since``, mints included, oldest first."""
        if since >= self.block_number():
            return []
        query = {"address": USDC, "topics": [TRANSFER], "fromBlock": hex(since + 1), "toBlock": "latest"}
        return [
            Transfer(
                int(log["blockNumber"], 16),
                log["transactionHash"],
                to_checksum_address(log["topics"][1][-40:]),
                to_checksum_address(log["topics"][2][-40:]),
                int(log["data"], 16),
            )
            for log in self.rpc("eth_getLogs", query)
        ]

    def mine(self, blocks: int = 1) -> None:
        self.rpc("anvil_mine", hex(blocks))

    def set_automine(self, on: bool) -> None:
        self.rpc("evm_setAutomine", on)

    def set_next_timestamp(self, seconds: int) -> None:
        """The next block's time, in epoch seconds; blocks after it go on from there."""
        self.rpc("evm_setNextBlockTimestamp", hex(seconds))

    @contextmanager
    def isolated(self) -> Iterator[Self]:
        """Everything done within, blocks, balances and clock, is undone at the end."""
        snapshot = self.rpc("evm_snapshot")
        try:
            yield self
        finally:
            self.rpc("anvil_dropAllTransactions")
            self.set_automine(True)
            self.rpc("evm_revert", snapshot)
            # A revert turns the clock back to the snapshot's block; authorizations are made by the real one.
            self.rpc("evm_setTime", int(time.time()))

    def _read(self, signature: str, *arguments: Any) -> str:
        call = {"to": USDC, "data": _calldata(signature, arguments)}
        word: str = self.rpc("eth_call", call, "latest")
        return word


def find_anvil(modules: Path) -> str:
    """The locked binary, or on a platform that the lock file lacks, one from the PATH."""
    binary = next(modules.glob("@foundry-rs/anvil-*/bin/anvil*"), None) or which("anvil")
    if binary is None:
        raise RuntimeError(
            "anvil is neither in package-lock.json for this platform nor on the PATH: "
            "add @foundry-rs/anvil-<os>-<arch> to the optionalDependencies, or install Foundry"
        )
    return str(binary)


@contextmanager
def _node(binary: str) -> Iterator[str]:
    """A running node's URL."""
    command = [binary, "--chain-id", str(CHAIN_ID), "--host", "127.0.0.1", "--port", "0"]
    with Popen(command, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT, text=True) as process:
        assert process.stdout is not None
        try:
            url = "http://" + _address(process.stdout)
            # anvil prints every call, and would stand still with a full pipe.
            drain = Thread(target=deque, args=[process.stdout, 0])
            drain.start()
            yield url
        finally:
            process.terminate()
        drain.join()


def _address(output: IO[str]) -> str:
    seen = []
    for line in output:
        if line.startswith(READY):
            return line.removeprefix(READY).strip()
        seen.append(line)
    raise RuntimeError(f"anvil ended before it listened:\n{''.join(seen)}")


def _calldata(signature: str, arguments: tuple[Any, ...]) -> str:
    types = [kind for kind in signature[signature.index("(") + 1 : -1].split(",") if kind]
    return "0x" + (function_signature_to_4byte_selector(signature) + encode(types, arguments)).hex()
