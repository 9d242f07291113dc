"""Purchases over MPP from mppx's seller, settled on a local Tempo; and both rails under one budget."""

from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest

from tests.e2e.home import KEY, PAYER, Agent, Home, make_home
from tests.e2e.test_on_a_chain import Rendered

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

    from tests.peers.chain import Anvil
    from tests.peers.mppx_seller import MppxSeller
    from tests.peers.tempo import Tempo
    from tests.peers.x402_seller import Fault

FUNDS = 100_000_000
UPLOAD, CLIP, CHEAP_CLIP = 10_000, 412_500, 40_000
CHEAP = {"model": "seedance-fast", "duration": 4, "resolution": "480p"}
FINALITY = 65
"""Blocks after which the node calls one finalized."""


@pytest.fixture
def tempo_home(chain: "Anvil", tempo: "Tempo", mppx_seller: "MppxSeller", tmp_path: Path) -> Home:
    """Somebody with money on Tempo alone, who buys from ``mppx_seller``."""
    tempo.mint(PAYER, FUNDS)
    mppx_seller.studio.jobs = Rendered()
    home = make_home(
        tmp_path / "home",
        STUDIO_URL=mppx_seller.origin,
        BLOB_URL=f"{mppx_seller.origin}/blob/",
        BASE_RPC_URL=chain.url,
        TEMPO_RPC_URL=tempo.url,
        PRIVATE_KEY=KEY,
    )
    write_policy(home)
    return home


def write_policy(home: Home, rails: str = '"x402", "mpp"', **caps: str | int) -> None:
    home.write_policy(caps)
    with home.policy.open("a") as file:
        file.write(f"\n[rails]\norder = [{rails}]\nrpc_agree = 1\n")


@pytest.mark.parametrize("sponsored", [False, True])
async def test_a_purchase_debits_its_price_and_its_fee(
    tempo_home: Home, tempo: "Tempo", mppx_seller: "MppxSeller", sponsored: bool
) -> None:
    mppx_seller.sponsored = sponsored
    block = tempo.block_number()
    picture = tempo_home.picture()
    async with tempo_home.server() as agent:
        upload = await agent.ok("upload_image", path=str(picture))
        bought = await agent.ok("generate_video", prompt="waves", image=upload["image_url"])
        assert bought["rail"] == "mpp"
        assert (await agent.clip(bought["job_id"])).is_file()

    transfers = tempo.transfers(block)
    assert [transfer.amount for transfer in transfers] == [UPLOAD, CLIP]
    assert [transfer.transaction for transfer in transfers] == [upload["transaction"], bought["transaction"]]
    fees = [0 if sponsored else tempo.fee(transfer.transaction) for transfer in transfers]
    assert FUNDS - tempo.balance(PAYER) == UPLOAD + CLIP + sum(fees)
    assert [row["fee"] for row in tempo_home.payments()] == ([0, 0] if sponsored else [25_000, 25_000])

    tempo.mine(FINALITY)
    tempo_home.run("reconcile")
    rows = tempo_home.payments()
    assert [(row["state"], row["amount"], row["fee"]) for row in rows] == [
        ("settled", UPLOAD, fees[0]),
        ("settled", CLIP, fees[1]),
    ]
    assert sum(row["amount"] + row["fee"] for row in rows) == FUNDS - tempo.balance(PAYER)
    assert len(mppx_seller.credentials) == 2


async def test_twenty_in_a_row_and_five_at_once(tempo_home: Home, tempo: "Tempo", mppx_seller: "MppxSeller") -> None:
    block = tempo.block_number()
    picture = tempo_home.picture()
    async with tempo_home.server() as agent:
        image = (await agent.ok("upload_image", path=str(picture)))["image_url"]
        for number in range(20):
            await buy(agent, f"waves {number}", image)
        async with anyio.create_task_group() as group:
            for number in range(5):
                group.start_soon(buy, agent, f"at once {number}", image)

    assert [transfer.amount for transfer in tempo.transfers(block)] == [UPLOAD] + 25 * [CHEAP_CLIP]
    assert len({transfer.memo for transfer in tempo.transfers(block)}) == 26
    assert len(set(mppx_seller.credentials)) == len(mppx_seller.credentials) == 26
    assert [row["state"] for row in tempo_home.payments()] == 26 * ["claimed"]


async def buy(agent: Agent, prompt: str, image: str) -> None:
    bought = await agent.ok("generate_video", prompt=prompt, image=image, **CHEAP)
    assert (bought["rail"], bought["charged_usd"], bought["duplicate"]) == ("mpp", "0.04", False)


@pytest.mark.parametrize("fault", [500, 402, "drop", "hang"])
async def test_one_settled_payment_on_both_chains_whatever_happens_after_it(
    fault: "Fault", tempo_home: Home, tempo: "Tempo", chain: "Anvil", payer: "LocalAccount", mppx_seller: "MppxSeller"
) -> None:
    """The seller takes the MPP credential and hangs, and offers x402 as well, which the wallet could pay too."""
    write_policy(tempo_home, '"mpp", "x402"')
    mppx_seller.offers_x402 = True
    picture = tempo_home.picture()
    async with tempo_home.server() as agent:
        image = (await agent.ok("upload_image", path=str(picture)))["image_url"]
        block, had, sent = tempo.block_number(), chain.balance(payer.address), len(mppx_seller.credentials)
        mppx_seller.after_settlement = fault
        answers = [await agent.call("generate_video", prompt="waves", image=image, **CHEAP) for _ in range(6)]
        (job_id,) = mppx_seller.studio.jobs
        found = await agent.ok("check_job", job_id=job_id)

    assert [transfer.amount for transfer in tempo.transfers(block)] == [CHEAP_CLIP]
    assert chain.balance(payer.address) == had
    assert len(set(mppx_seller.credentials[sent:])) == 1
    assert not any("Nothing was charged" in str(answer.content) for answer in answers)
    last = answers[-1].structured_content
    assert last is not None
    assert (last["job_id"], last["charged_usd"], last["duplicate"]) == (job_id, "0.00", True)
    assert found["purchase_id"] == last["purchase_id"]


async def test_the_second_rail_is_taken_when_the_wallet_cannot_pay_on_the_first(
    tempo_home: Home, tempo: "Tempo", chain: "Anvil", mppx_seller: "MppxSeller"
) -> None:
    mppx_seller.offers_x402 = True
    assert chain.balance(PAYER) == 0
    async with tempo_home.server() as agent:
        quote = await agent.ok("estimate_cost", **CHEAP)
        upload = await agent.ok("upload_image", path=str(tempo_home.picture()))
        assert upload["transaction"] is not None

    assert [(offer["rail"], offer["amount_usd"], offer["fee_usd"]) for offer in quote["offers"]] == [
        ("x402", "0.04", "0.00"),
        ("mpp", "0.04", "0.025"),
    ]
    assert quote["verdict"] == "allowed"
    assert [row["rail"] for row in tempo_home.payments()] == ["mpp"]


async def test_one_cap_holds_over_both_rails_and_the_reason_has_the_numbers_of_both(
    tempo_home: Home, tempo: "Tempo", chain: "Anvil", payer: "LocalAccount", mppx_seller: "MppxSeller"
) -> None:
    mppx_seller.offers_x402 = True
    mppx_seller.sponsored = True
    picture = tempo_home.picture()
    write_policy(tempo_home, '"x402", "mpp"', per_day="0.09")
    async with tempo_home.server() as agent:
        image = (await agent.ok("upload_image", path=str(picture)))["image_url"]
        over_base = await agent.ok("generate_video", prompt="one", image=image, **CHEAP)
        write_policy(tempo_home, '"mpp", "x402"', per_day="0.09")
        over_tempo = await agent.ok("generate_video", prompt="two", image=image, **CHEAP)
        sent, had = len(mppx_seller.credentials), (tempo.balance(PAYER), chain.balance(PAYER))
        refused = await agent.fails("generate_video", prompt="three", image=image, **CHEAP)

    assert (over_base["rail"], over_tempo["rail"]) == ("x402", "mpp")
    assert refused.code == "per_day"
    assert "$0.04 over mpp and $0.05 over x402" in refused.text
    assert "Nothing was charged." in refused.text
    assert (len(mppx_seller.credentials), (tempo.balance(PAYER), chain.balance(PAYER))) == (sent, had)
