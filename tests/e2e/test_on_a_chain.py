"""A whole purchase from the x402 SDK's seller, paid in Circle's USD Coin on a local chain."""

import json
from typing import TYPE_CHECKING

import av

from tests.e2e.home import PAYER, Home

if TYPE_CHECKING:
    from tests.peers.chain import Anvil
    from tests.peers.studio import Job
    from tests.peers.x402_seller import X402Seller

UPLOAD, CLIP = 10_000, 412_500


async def test_a_clip_costs_exactly_its_prices_on_the_chain_and_in_the_ledger(
    chain_home: Home, chain: "Anvil", x402_seller: "X402Seller"
) -> None:
    had, block = chain.balance(PAYER), chain.block_number()
    picture = chain_home.picture()
    x402_seller.studio.jobs = Rendered()
    async with chain_home.server() as agent:
        upload = await agent.ok("upload_image", path=str(picture))
        bought = await agent.ok("generate_video", prompt="waves", image=upload["image_url"])
        clip = await agent.clip(bought["job_id"])

    assert (upload["charged_usd"], bought["charged_usd"]) == ("0.01", "0.4125")
    assert had - chain.balance(PAYER) == UPLOAD + CLIP
    assert [transfer.amount for transfer in chain.transfers(block)] == [UPLOAD, CLIP]
    assert [transfer.transaction for transfer in chain.transfers(block)] == [
        upload["transaction"],
        bought["transaction"],
    ]
    assert [payment["amount"] for payment in chain_home.payments()] == [UPLOAD, CLIP]
    assert len(x402_seller.credentials) == 2
    (line,) = json.loads(chain_home.run("spend", "--by", "rail", "--json"))["rows"]
    assert (line["rail"], line["total_usd"]) == ("x402", "0.4225")
    assert clip.parent == chain_home.clips
    with av.open(str(clip)) as video:
        assert video.streams.video[0].codec_context.name == "h264"


class Rendered(dict[str, "Job"]):
    """The seller's jobs, each complete as soon as it is made."""

    def __setitem__(self, job_id: str, job: "Job") -> None:
        job.status, job.progress = "complete", 100
        super().__setitem__(job_id, job)
