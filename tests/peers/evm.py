"""A local chain, run by Foundry's anvil."""

import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from shutil import which
from subprocess import DEVNULL, PIPE, STDOUT, Popen
from threading import Thread
from typing import IO, Any, ClassVar, Self

import httpx
from eth_abi.abi import encode
from eth_utils.abi import function_signature_to_4byte_selector

DEPLOYER = "0xa0Ee7A142d267C1f36714E4a8F75612F20a79720"
"""Account 9 of the mnemonic that anvil and hardhat share."""

READY = "Listening on "


class Evm(ABC):
    """A context manager: the node runs, and all contracts stand, while it is entered. ``url`` is its JSON-RPC address.

    Every transaction has its own block at once, until automine is switched off.
    """

    options: ClassVar[tuple[str, ...]]
    url: str

    def __init__(self, modules: Path) -> None:
        self._modules = modules

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            self.url = undo.enter_context(_node([find_anvil(self._modules), *self.options]))
            self._http = undo.enter_context(httpx.Client(base_url=self.url, trust_env=False, timeout=30))
            self.deploy()
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    @abstractmethod
    def deploy(self) -> None: ...

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

    def read(self, contract: str, signature: str, *arguments: Any) -> str:
        """What a view function answers, as 0x hex."""
        call = {"to": contract, "data": _calldata(signature, arguments)}
        answer: str = self.rpc("eth_call", call, "latest")
        return answer

    def logs(self, contract: str, topic: str, since: int) -> list[dict[str, Any]]:
        """The events of one kind after block ``since``, oldest first."""
        if since >= self.block_number():
            return []
        query = {"address": contract, "topics": [topic], "fromBlock": hex(since + 1), "toBlock": "latest"}
        logs: list[dict[str, Any]] = self.rpc("eth_getLogs", query)
        return logs

    def block_number(self, tag: str = "latest") -> int:
        return int(self.rpc("eth_getBlockByNumber", tag, False)["number"], 16)

    def timestamp(self) -> int:
        """Of the latest block, in epoch seconds."""
        return int(self.rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)

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
            # A revert turns the clock back to the snapshot's block; payments are signed by the real one.
            self.rpc("evm_setTime", int(time.time()))


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
def _node(command: list[str]) -> Iterator[str]:
    """A running node's URL."""
    command = [*command, "--host", "127.0.0.1", "--port", "0"]
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
