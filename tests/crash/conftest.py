"""Somebody who buys on a local chain."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.crash.customer import Customer


@pytest.fixture
def rail() -> str:
    """``x402``, ``mpp``, or ``sponsored`` for mpp with the fee paid by the seller; tests on others say so."""
    return "x402"


@pytest.fixture
def customer(rail: str, request: pytest.FixtureRequest, tmp_path: Path) -> "Iterator[Customer]":
    from tests.crash.customer import make_customer  # noqa: PLC0415 - with the SDKs behind the counterparts

    chain = request.getfixturevalue("chain" if rail == "x402" else "tempo")
    seller = request.getfixturevalue("x402_seller" if rail == "x402" else "mppx_seller")
    customer = make_customer(tmp_path / "home", chain, seller)
    if rail == "sponsored":
        seller.sponsored = True
    yield customer
    # What outlives a server ends by itself when its ledger is gone.
    shutil.rmtree(customer.home.ledger.parent, ignore_errors=True)
