"""The seller takes the money and does not say so. Whatever is called next, it is taken once."""

from typing import TYPE_CHECKING

import pytest

from tests.e2e.home import PAYER, Home

if TYPE_CHECKING:
    from tests.peers.chain import Anvil
    from tests.peers.x402_seller import Fault, X402Seller

UPLOAD, CLIP = 10_000, 412_500
NO_CHAIN = {"BASE_RPC_URL": "http://127.0.0.1:9"}
"""The discard port: nobody answers."""


@pytest.mark.parametrize("fault", [500, 402, "drop", "hang"])
async def test_one_debit_whatever_happens_after_the_settlement(
    fault: "Fault", chain_home: Home, chain: "Anvil", x402_seller: "X402Seller"
) -> None:
    await buy_six_times(fault, chain_home, chain, x402_seller)


@pytest.mark.parametrize("fault", [500, 402, "drop"])
async def test_one_debit_even_when_the_chain_cannot_be_asked(
    fault: "Fault", chain_home: Home, chain: "Anvil", x402_seller: "X402Seller"
) -> None:
    await buy_six_times(fault, chain_home.having(**NO_CHAIN), chain, x402_seller)


async def buy_six_times(fault: "Fault", home: Home, chain: "Anvil", seller: "X402Seller") -> None:
    """Each call is answered within the minute that clients wait, or the client raises."""
    home.picture()
    async with home.server() as agent:
        upload = await agent.ok("upload_image", path="lake.png")
        had, paid = chain.balance(PAYER), len(seller.credentials)
        seller.after_settlement = fault
        answers = [
            await agent.call("generate_video", prompt="waves", image=upload["image_url"], duration=5) for _ in range(6)
        ]
        (job_id,) = seller.studio.jobs
        found = await agent.ok("check_job", job_id=job_id)

    assert had - chain.balance(PAYER) == CLIP
    assert not any("Nothing was charged" in str(answer.content) for answer in answers)
    assert len(set(seller.credentials[paid:])) == 1
    assert [payment["amount"] for payment in home.payments()] == [UPLOAD, CLIP]
    last = answers[-1].structured_content
    assert last is not None
    assert (last["job_id"], last["charged_usd"], last["duplicate"]) == (job_id, "0.00", True)
    assert found["purchase_id"] == last["purchase_id"]
