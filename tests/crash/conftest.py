"""Somebody who buys on a local chain."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

    from tests.crash.customer import Customer
    from tests.peers.chain import Anvil
    from tests.peers.x402_seller import X402Seller


@pytest.fixture
def customer(chain: "Anvil", x402_seller: "X402Seller", payer: "LocalAccount", tmp_path: Path) -> "Customer":
    from tests.crash.customer import make_customer  # noqa: PLC0415 - with the SDKs behind the counterparts

    return make_customer(tmp_path / "home", chain, x402_seller)
