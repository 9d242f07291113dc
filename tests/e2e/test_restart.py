"""Processes die, and several share one ledger."""

import json
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.to_thread import run_sync

from seedance_mcp.money import parse_usd
from tests.e2e.home import Agent, Home
from tests.e2e.raw import RawServer
from tests.e2e.shop import Shop

UPLOAD, CLIP = 10_000, 412_500
OTHER_KEY = "0x5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a"
OTHER = "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"
"""Account 2 of the mnemonic that anvil and hardhat share."""


async def test_a_clip_bought_before_a_crash_is_saved_by_the_next_server_and_by_collect(
    shop: Shop, tmp_path: Path
) -> None:
    # Each has a wallet of its own: what one wallet spends over another ledger is counted in this one.
    served, collected = shop.home(tmp_path / "served"), shop.home(tmp_path / "collected").having(PRIVATE_KEY=OTHER_KEY)
    shop.sandbox.fund(OTHER, CLIP)
    picture = shop.picture()
    shop.rendering.clear()
    jobs = [buy_and_die(home, picture) for home in (served, collected)]
    shop.rendering.set()

    async with served.server(), anyio.create_task_group() as group:
        group.start_soon(appears, served)
        told = await run_sync(collected.run, "collect")

    # What the killed server left behind may have been faster.
    assert told in {"1 job done.\n", "No job was waiting for its clip.\n"}
    with anyio.fail_after(60):
        await appears(collected)
    for home, job in zip((served, collected), jobs, strict=True):
        (clip,) = home.clips.iterdir()
        async with home.server() as agent:
            assert await agent.clip(job) == clip
        assert [payment["amount"] for payment in home.payments()] == [CLIP]
    assert (shop.taken, shop.sandbox.bank.balance(OTHER)) == (CLIP, 0)


def buy_and_die(home: Home, picture: str) -> str:
    """The job of a clip whose server is killed as soon as it has answered."""
    with RawServer(home) as server:
        bought = server.call("generate_video", prompt=f"waves for {home.folder.name}", image=picture)
        server.kill()
    job_id: str = bought["structuredContent"]["job_id"]
    return job_id


async def appears(home: Home) -> None:
    """Wait for a clip without asking any server: nothing but the folder tells."""
    while not list(home.clips.glob("*.mp4")):  # noqa: ASYNC110 - a folder has no event to wait for
        await anyio.sleep(0.1)


@pytest.mark.parametrize(("local", "prices"), [(False, [CLIP]), (True, [UPLOAD, CLIP])])
async def test_identical_calls_of_two_servers_are_paid_once_between_them(
    shop: Shop, home: Home, local: bool, prices: list[int]
) -> None:
    answers: list[dict[str, Any]] = []
    image = home.picture().name if local else shop.picture()

    async def buy(agent: Agent) -> None:
        answers.append(await agent.ok("generate_video", prompt="waves", image=image))

    async with home.server() as one, home.server() as other, anyio.create_task_group() as group:
        group.start_soon(buy, one)
        group.start_soon(buy, other)

    assert [payment["amount"] for payment in home.payments()] == prices
    assert len(shop.credentials) == len(prices)
    assert shop.taken == sum(prices)
    assert sum(parse_usd(answer["charged_usd"]) for answer in answers) == sum(prices)
    assert [answer["duplicate"] for answer in answers].count(True) == 1
    assert len({answer["job_id"] for answer in answers}) == 1


async def test_agents_on_one_ledger_do_not_see_each_others_jobs(shop: Shop, home: Home) -> None:
    shop.rendering.clear()
    request = {"prompt": "waves", "image": shop.picture()}
    async with home.having(AGENT="ann").server() as ann, home.having(AGENT="bob").server() as bob:
        hers = await ann.ok("generate_video", **request)
        for ids in ({"job_id": hers["job_id"]}, {"purchase_id": hers["purchase_id"]}):
            assert (await bob.fails("check_job", **ids)).code == "not_found"
        assert (await bob.ok("check_job"))["jobs"] == []
        (seen,) = (await ann.ok("check_job"))["jobs"]
        his = await bob.ok("generate_video", **request)

    assert seen["job_id"] == hers["job_id"]
    assert not his["duplicate"]
    assert [payment["agent"] for payment in home.payments()] == ["ann", "bob"]
    spent = json.loads(home.run("spend", "--by", "agent", "--json"))
    assert (spent["sum"]["total_usd"], [row["agent"] for row in spent["rows"]]) == ("0.825", ["ann", "bob"])
