"""What may not be paid is not signed: nothing on the wire, nothing in the ledger, and a reason with its numbers."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from seedance_mcp.sandbox import Faults
from tests.e2e.home import Agent, Home, Problem
from tests.e2e.shop import Shop, open_shop

CLIP = 412_500
STRANGER = "0x" + "5e" * 20
TESTNET, TESTNET_USDC = "eip155:84532", "0x036CbD53842c5426634e7929541eC2318f3dCF7e"


@dataclass(frozen=True)
class Market:
    """One server for all tests here: no refusal leaves anything behind that another test could notice."""

    shop: Shop
    home: Home
    agent: Agent

    def signed(self) -> list[tuple[int, bytes | None]]:
        """Every payment with its signature's nonce; what became of an earlier one may be found out meanwhile."""
        return [(row["id"], row["nonce"]) for row in self.home.payments()]

    async def refuses(self, **arguments: object) -> Problem:
        """How a clip is refused, after making sure that nothing was signed for it."""
        signed, rows = len(self.shop.credentials), self.signed()
        problem = await self.agent.fails("generate_video", **self.request(**arguments))
        assert len(self.shop.credentials) == signed
        assert self.signed() == rows
        assert problem.charged_usd == "0.00"
        assert "Nothing was charged." in problem.text
        return problem

    async def buys(self, **arguments: object) -> dict[str, Any]:
        return await self.agent.ok("generate_video", **self.request(**arguments))

    def request(self, **arguments: object) -> dict[str, object]:
        return {"prompt": "waves", "image": f"{self.shop.origin}/blob/lake.png"} | arguments

    @contextmanager
    def seller(self, **switches: object) -> Iterator[None]:
        """The seller misbehaves meanwhile."""
        faults, good = self.shop.sandbox.faults, Faults()
        for name, value in switches.items():
            setattr(faults, name, value)
        try:
            yield
        finally:
            for name in switches:
                setattr(faults, name, getattr(good, name))


@pytest.fixture(scope="module")
async def market(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Market]:
    async with open_shop() as shop:
        shop.picture()
        home = shop.home(tmp_path_factory.mktemp("market") / "home")
        home.write_policy()
        async with home.server() as agent:
            # A first purchase, so that there is something to count and a recipient to compare with.
            market = Market(shop, home, agent)
            await market.buys(prompt="the first one")
            yield market


@pytest.fixture(autouse=True)
def roomy(market: Market) -> None:
    market.home.write_policy()


@pytest.mark.parametrize(
    ("caps", "code", "numbers"),
    [
        ({"per_payment": "0.40"}, "per_payment", ["$0.4125", "$0.40"]),
        ({"per_hour": "0.80"}, "per_hour", ["$0.4125", "$0.80", "is used", "is left"]),
        ({"per_day": "0.80"}, "per_day", ["$0.4125", "$0.80", "is used", "is left"]),
        ({"total": "0.80"}, "total", ["$0.4125", "$0.80", "is used", "is left"]),
        ({"payments_per_hour": 1}, "payments_per_hour", ["1 of 1 payments"]),
        ({"payments_per_day": 1}, "payments_per_day", ["1 of 1 payments"]),
    ],
)
async def test_a_cap_that_is_reached_refuses(
    market: Market, caps: dict[str, str | int], code: str, numbers: list[str]
) -> None:
    market.home.write_policy(caps)
    problem = await market.refuses()
    assert problem.code == code
    assert [number for number in numbers if number not in problem.text] == []


@pytest.mark.parametrize(
    "offer", [{"asset": TESTNET_USDC}, {"network": TESTNET}, {"network": TESTNET, "asset": TESTNET_USDC}]
)
async def test_another_token_or_network_is_never_paid(market: Market, offer: dict[str, str]) -> None:
    with market.seller(**offer):
        problem = await market.refuses()
    assert problem.code == "bad_challenge"
    assert "not accepted" in problem.text or "not the pinned token" in problem.text


async def test_a_challenge_dearer_than_the_quote_is_refused(market: Market) -> None:
    quote = await market.agent.ok("estimate_cost", model="seedance", duration=5, resolution="720p", aspect_ratio="16:9")
    assert quote["price_usd"] == "0.4125"
    with market.seller(quote_extra=1):
        problem = await market.refuses(quote_id=quote["quote_id"], aspect_ratio="16:9")
    assert problem.code == "over_quote"
    assert "the seller now asks $0.412501, the quote was $0.4125" in problem.text


async def test_a_price_far_above_the_table_is_refused(market: Market) -> None:
    with market.seller(quote_extra=CLIP):
        problem = await market.refuses()
    assert problem.code == "over_table"
    assert "$0.825 where the price table expects $0.4125" in problem.text


async def test_a_quote_at_the_route_maximum_means_an_invalid_request(market: Market) -> None:
    with market.seller(quote_extra=10_000_000 - CLIP):
        problem = await market.refuses()
    assert problem.code == "maximum_quote"
    assert "$10.00" in problem.text
    assert "$0.4125" in problem.text


async def test_a_recipient_that_changed_is_refused(market: Market) -> None:
    with market.seller(pay_to=STRANGER):
        problem = await market.refuses()
    assert problem.code == "pay_to"
    assert STRANGER in problem.text.lower()
    assert "seedance-mcp trust" in problem.next


@pytest.mark.parametrize("most", ["0.41", 0])
async def test_the_call_can_lower_the_limit(market: Market, most: object) -> None:
    problem = await market.refuses(max_price_usd=most)
    assert problem.code == "max_price"
    assert "$0.4125 is above the call's max_price_usd" in problem.text


async def test_the_call_cannot_raise_the_limit(market: Market) -> None:
    market.home.write_policy({"per_payment": "0.40"})
    problem = await market.refuses(max_price_usd="100")
    assert problem.code == "per_payment"


async def test_the_limit_of_a_call_covers_the_upload_too(market: Market) -> None:
    market.home.picture()
    problem = await market.refuses(image="lake.png", max_price_usd="0.4125")
    assert problem.code == "max_price"
    assert "$0.4125 with $0.01 for uploads is above" in problem.text


async def test_frozen_refuses_until_unfrozen(market: Market) -> None:
    market.home.run("freeze", "--why", "holidays")
    problem = await market.refuses(prompt="frozen waves")
    market.home.run("unfreeze", answer="y\n")
    assert problem.code == "frozen"
    assert "(holidays)" in problem.text
    assert (await market.buys(prompt="frozen waves"))["charged_usd"] == "0.4125"


async def test_a_broken_policy_keeps_the_one_before_in_force(market: Market) -> None:
    market.home.write_policy({"per_payment": "0.40"})
    await market.refuses()
    market.home.policy.write_text("version = 1\n[caps]\nper_payment = 1000.0\n")
    assert (await market.refuses()).code == "per_payment"


async def test_estimate_foretells_the_refusal(market: Market) -> None:
    market.home.write_policy({"per_payment": "0.40"})
    told = await market.agent.ok("estimate_cost", model="seedance", duration=5, resolution="720p")
    problem = await market.refuses()
    assert told["verdict"] == "refused"
    assert told["reason"] in problem.text
