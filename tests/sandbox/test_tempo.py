"""The chain without a seller before it."""

import attrs
import pytest
from eth_account import Account
from mpp.methods.tempo.fee_payer_envelope import encode_fee_payer_envelope

from seedance_mcp.sandbox import Sandbox
from seedance_mcp.sandbox.chain import Reverted
from seedance_mcp.sandbox.envelope import decode
from seedance_mcp.sandbox.x402 import PAY_TO
from tests.sandbox.buyer import CLIP, KEYS, SEEDANCE
from tests.sandbox.tempo_buyer import USDC_E, TempoBuyer

PRICE = 330_000
SPONSOR = Account.from_key(KEYS[1])


async def test_a_transaction_is_mined_once(sandbox: Sandbox, tempo_buyer: TempoBuyer) -> None:
    envelope = decode(tempo_buyer.transaction(await tempo_buyer.quote(SEEDANCE, CLIP)).encode())
    sandbox.tempo.mine(envelope)

    with pytest.raises(Reverted, match="mined already"):
        sandbox.tempo.mine(envelope)

    assert sandbox.tempo.balance(PAY_TO) == PRICE


async def test_a_transaction_whose_money_is_gone_by_its_block_fails_and_costs_its_fee(
    sandbox: Sandbox, tempo_buyer: TempoBuyer
) -> None:
    envelope = decode(tempo_buyer.transaction(await tempo_buyer.quote(SEEDANCE, CLIP)).encode())
    sandbox.tempo.check(envelope)
    sandbox.tempo.balances[tempo_buyer.address] = PRICE + 24_999

    mined = sandbox.tempo.mine(envelope)

    assert not mined.succeeded
    assert sandbox.tempo.balance(tempo_buyer.address) == PRICE + 24_999 - mined.fee
    assert sandbox.tempo.balance(PAY_TO) == 0


async def test_a_transaction_that_expires_before_its_block_costs_nothing(
    sandbox: Sandbox, tempo_buyer: TempoBuyer
) -> None:
    envelope = decode(tempo_buyer.transaction(await tempo_buyer.quote(SEEDANCE, CLIP)).encode())
    sandbox.tempo.check(envelope)
    tempo_buyer.buyer.clock.now += 25

    with pytest.raises(Reverted, match="expired"):
        sandbox.tempo.mine(envelope)

    assert sandbox.tempo.balance(tempo_buyer.address) == 10_000_000


async def test_a_transaction_with_a_fee_payers_signature_is_paid_for_by_the_one_who_signed(
    sandbox: Sandbox, tempo_buyer: TempoBuyer
) -> None:
    challenge = await tempo_buyer.quote(SEEDANCE, CLIP)
    transaction = tempo_buyer.transaction(challenge, fee_token=None, awaiting_fee_payer=True)
    complete = attrs.evolve(transaction, fee_token=bytes.fromhex(USDC_E[2:])).sign(KEYS[1], for_fee_payer=True)
    sandbox.fund(SPONSOR.address, 25_000, rail="mpp")

    mined = sandbox.tempo.mine(decode(complete.encode()))

    assert (mined.sender, mined.fee_payer) == (tempo_buyer.address, SPONSOR.address)
    assert mined.transaction == "0x" + complete.hash().hex()
    assert sandbox.tempo.balance(tempo_buyer.address) == 10_000_000 - PRICE
    assert sandbox.tempo.balance(SPONSOR.address) == 25_000 - mined.fee


async def test_a_fee_payer_without_the_most_of_the_fee_is_not_taken(sandbox: Sandbox, tempo_buyer: TempoBuyer) -> None:
    challenge = await tempo_buyer.quote(SEEDANCE, CLIP)
    transaction = tempo_buyer.transaction(challenge, fee_token=None, awaiting_fee_payer=True)
    complete = attrs.evolve(transaction, fee_token=bytes.fromhex(USDC_E[2:])).sign(KEYS[1], for_fee_payer=True)
    sandbox.fund(SPONSOR.address, 24_999, rail="mpp")

    with pytest.raises(Reverted, match="fee payer"):
        sandbox.tempo.mine(decode(complete.encode()))


async def test_an_envelope_that_nobody_pays_for_is_not_taken(sandbox: Sandbox, tempo_buyer: TempoBuyer) -> None:
    challenge = await tempo_buyer.quote(SEEDANCE, CLIP)
    transaction = tempo_buyer.transaction(challenge, fee_token=None, awaiting_fee_payer=True)

    with pytest.raises(Reverted):
        sandbox.tempo.mine(decode(encode_fee_payer_envelope(transaction)))

    assert not sandbox.tempo.transactions
