"""Our headers against a seller that is the x402 SDK's, settled on Circle's contract."""

import time
from typing import TYPE_CHECKING

import httpx
import pytest

from seedance_mcp.login import WalletLogin
from seedance_mcp.payment.challenge import Challenge, parse_challenge
from seedance_mcp.payment.wallet import Wallet
from seedance_mcp.payment.x402 import Credential, read_receipt, refusal_reason, sign

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

    from tests.peers.chain import Anvil
    from tests.peers.x402_seller import X402Seller

CLIP = {
    "prompt": "waves",
    "image": "https://example.com/a.png",
    "duration": "5",
    "resolution": "720p",
    "aspect_ratio": "16:9",
}


async def test_our_payment_settles_once_and_its_receipt_names_the_transfer(
    x402_seller: "X402Seller", chain: "Anvil", payer: "LocalAccount"
) -> None:
    wallet, before, had = Wallet.from_hex(payer.key.hex()), chain.block_number(), chain.balance(payer.address)
    url = f"{x402_seller.origin}/api/generate/seedance/i2v"
    async with httpx.AsyncClient(trust_env=False) as http:
        quote = await http.post(url, json=CLIP)
        challenge = parse_challenge(quote.headers, quote.content, url)
        credential = paid(wallet, challenge)
        headers = {credential.header: credential.value}
        bought = await http.post(url, json=CLIP, headers=headers)
        again = await http.post(url, json=CLIP, headers=headers)

    assert bought.status_code == 200, bought.text
    receipt = read_receipt(bought.headers, network="eip155:8453", payer=wallet.address)
    (transfer,) = chain.transfers(before)
    assert receipt is not None
    assert receipt.transaction == transfer.transaction
    assert had - chain.balance(payer.address) == challenge.offers[0].amount
    assert again.status_code == 402
    assert refusal_reason(again.headers) == "invalid_exact_evm_nonce_already_used"


def paid(wallet: Wallet, challenge: Challenge) -> Credential:
    offer = challenge.require_offer()[0]
    return sign(wallet, challenge, offer, nonce=bytes(range(32)), valid_before=int(time.time()) + 120)


@pytest.mark.parametrize("single_use", [False, True])
async def test_our_login_opens_the_free_routes(
    x402_seller: "X402Seller", payer: "LocalAccount", single_use: bool
) -> None:
    x402_seller.single_use_logins = single_use
    auth = WalletLogin(Wallet.from_hex(payer.key.hex()), x402_seller.origin)
    async with httpx.AsyncClient(trust_env=False, auth=auth, base_url=x402_seller.origin) as http:
        for _ in range(2):
            assert (await http.get("/api/jobs")).status_code == 200
    assert not x402_seller.credentials
    assert len(x402_seller.requests) == (4 if single_use else 3)
