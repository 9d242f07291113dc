"""The counterparts, started when a test first asks for one.

They are imported by their fixtures: the SDKs behind them take seconds, which most tests need not wait for.
"""

# ruff: noqa: PLC0415

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

    from tests.peers.chain import Anvil
    from tests.peers.mppx import Mppx
    from tests.peers.mppx_seller import MppxSeller
    from tests.peers.tempo import Tempo
    from tests.peers.x402_seller import X402Seller

# How fast a machine is says nothing about what is tested.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

PAYER_KEY = "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"
"""Account 1 of the mnemonic that anvil and hardhat share."""


LONG = ("test_frameworks", "test_release", "test_transcript", "machine/", "gates/", "crash/", "e2e/", "library/")
"""Files whose tests take long, the longest first: begun last, they would leave all workers but one without work."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: next((place for place, name in enumerate(LONG) if name in item.nodeid), len(LONG)))


@pytest.fixture(scope="session")
def anvil() -> Iterator["Anvil"]:
    from tests.peers.chain import Anvil
    from tests.peers.node import install

    with Anvil(install()) as node:
        yield node


@pytest.fixture
def chain(anvil: "Anvil") -> Iterator["Anvil"]:
    """Base with USD Coin; what a test does to it is undone afterwards."""
    with anvil.isolated():
        yield anvil


@pytest.fixture
def payer(chain: "Anvil") -> "LocalAccount":
    """An account with 100 USDC on ``chain``."""
    from eth_account import Account

    account: LocalAccount = Account.from_key(PAYER_KEY)
    chain.mint(account.address, 100_000_000)
    return account


@pytest.fixture
def x402_seller(chain: "Anvil") -> Iterator["X402Seller"]:
    from tests.peers.x402_seller import X402Seller

    with X402Seller(chain.url) as seller:
        yield seller


@pytest.fixture(scope="session")
def tempo_node() -> Iterator["Tempo"]:
    from tests.peers.node import install
    from tests.peers.tempo import Tempo

    with Tempo(install()) as node:
        yield node


@pytest.fixture
def tempo(tempo_node: "Tempo") -> Iterator["Tempo"]:
    """Tempo with USDC.e; what a test does to it is undone afterwards."""
    with tempo_node.isolated():
        yield tempo_node


@pytest.fixture(scope="session")
def mppx_till(tempo_node: "Tempo") -> Iterator["Mppx"]:
    from tests.peers.mppx import Mppx
    from tests.peers.mppx_seller import SPONSOR_KEY
    from tests.peers.x402_seller import PAY_TO

    with Mppx("mppx_till.mjs", tempo_node.url, PAY_TO, SPONSOR_KEY) as till:
        yield till


@pytest.fixture
def mppx_seller(mppx_till: "Mppx", tempo: "Tempo", chain: "Anvil") -> Iterator["MppxSeller"]:
    """Sells on ``tempo``, and can on ``chain``."""
    from tests.peers.mppx_seller import MppxSeller

    with MppxSeller(mppx_till, chain.url) as seller:
        yield seller
