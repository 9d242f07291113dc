"""A seller that lies about what is to be paid, to whom and how: over x402, before it holds a signature."""

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.attacks.hostile import PAY_TO, Conduct, Hostile
from tests.attacks.target import NOTHING, Clock, Target, open_target, payments, settle_down
from tests.attacks.wire import Fate, Reply, opened
from tests.payment.examples import document, encoded, entry

CLIP, UPLOAD = 412_500, 10_000
STRANGER = "0x" + "5e" * 20
SEPOLIA, SEPOLIA_USDC = "eip155:84532", "0x036CbD53842c5426634e7929541eC2318f3dCF7e"
TEN_YEARS = 10 * 365 * 86_400


@pytest.mark.parametrize(
    "amount",
    [
        *["0", "-1", "1e6", " 1", "1 ", "+1", "01", "1.0", "0x10", "\uff11\uff12", "\u0664\u0661", "", "1\n"],
        *[str(2**63), str(2**256), "9" * 10_000, 412_500, 1.5, True, None, ["412500"], ...],
    ],
)
async def test_an_amount_that_is_no_plain_positive_number_is_never_signed(customer: Target, amount: Any) -> None:
    customer.seller.behave(Conduct(offers=[{"amount": amount}]))
    problem = await customer.refuses()
    assert problem.code == "bad_challenge"
    assert len(problem.text) < 500


@pytest.mark.parametrize("amount", ["0", "-1", "1e6", "01", str(2**63), 10_000, ...])
async def test_an_upload_at_an_amount_that_is_no_plain_positive_number_is_never_signed(
    customer: Target, amount: Any
) -> None:
    customer.home.picture()
    customer.seller.behave(Conduct(offers=[{"amount": amount}]))
    assert (await customer.signs_nothing("upload_image", path="lake.png")).code == "bad_challenge"


@pytest.mark.parametrize("amount", [990_000, 10_000_000, 20_000_000])
async def test_a_quote_at_a_maximum_of_the_route_is_never_signed(customer: Target, amount: int) -> None:
    customer.home.write_policy({"per_payment": "100.00"}, above="100.00")
    customer.seller.behave(Conduct(offers=[{"amount": str(amount)}]))
    assert (await customer.refuses()).code == "maximum_quote"
    customer.home.picture()
    assert (await customer.signs_nothing("upload_image", path="lake.png")).code == "over_table"


async def test_a_price_that_creeps_up_never_moves_the_table_it_is_judged_by(newcomer: Target) -> None:
    dearest = CLIP * 5 // 4
    asked = [CLIP, dearest, dearest + 1, dearest * 5 // 4, dearest]
    newcomer.seller.behave(Conduct(turns=[{"amount": str(amount)} for amount in asked]))
    await newcomer.buys(prompt="one")
    await newcomer.buys(prompt="two")
    for prompt in ("three", "four"):
        assert (await newcomer.refuses(prompt=prompt)).code == "over_table"
    await newcomer.buys(prompt="five")
    assert [int(one["value"]) for one in newcomer.seller.authorizations] == [CLIP, dearest, dearest]


@pytest.mark.parametrize("shown", [1, UPLOAD, CLIP - 1])
async def test_a_low_quote_first_binds_the_payment_that_names_it(customer: Target, shown: int) -> None:
    customer.seller.behave(Conduct(turns=[{"amount": str(shown)}, {"amount": str(CLIP)}]))
    quote = await customer.agent.ok("estimate_cost", model="seedance", duration=5, resolution="720p")
    problem = await customer.refuses(quote_id=quote["quote_id"], aspect_ratio="16:9")
    assert problem.code == "over_quote"


async def test_a_low_quote_until_the_upload_is_paid_does_not_raise_the_limit_of_the_call(newcomer: Target) -> None:
    newcomer.home.picture()
    newcomer.seller.behave(Conduct(turns=[{"amount": str(UPLOAD)}, {"amount": str(CLIP)}]))
    problem = await newcomer.agent.fails("generate_video", prompt="waves", image="lake.png", max_price_usd="0.20")
    assert (problem.code, problem.charged_usd) == ("max_price", "0.01")
    assert [int(one["value"]) for one in newcomer.seller.authorizations] == [UPLOAD]


@pytest.mark.parametrize("pay_to", [STRANGER, "0x" + "00" * 20, PAY_TO[:-1], "stablestudio.eth", None])
async def test_a_recipient_that_is_not_the_known_one_gets_nothing(newcomer: Target, pay_to: object) -> None:
    swapped, newcomer.seller.conduct = Conduct(offers=[{"payTo": pay_to}]), Conduct()
    newcomer.seller.behave(swapped)
    assert (await newcomer.refuses()).code in {"pay_to", "bad_challenge"}
    newcomer.seller.behave()
    await newcomer.buys()
    newcomer.seller.behave(swapped)
    for arguments in ({"prompt": "more waves"}, {"take": 2}):
        assert (await newcomer.refuses(**arguments)).code in {"pay_to", "bad_challenge"}
    assert [one["to"] for one in newcomer.seller.authorizations] == [PAY_TO]


async def test_racing_first_uses_pay_only_the_known_recipient(seller: Hostile, clock: Clock, tmp_path: Path) -> None:
    """Two processes of one ledger that has seen no recipient yet, and a seller who names two."""
    home = settle_down(tmp_path / "home", seller)
    seller.behave(Conduct(turns=[{"payTo": to} for to in [STRANGER, PAY_TO] * 4]))
    async with (
        open_target(home, seller, clock) as one,
        open_target(home, seller, clock) as other,
        anyio.create_task_group() as group,
    ):
        for number in range(8):
            agent = (one, other)[number % 2].agent
            group.start_soon(partial(agent.call, "generate_video", **one.request(prompt=f"wave {number}")))
    assert {one["to"] for one in seller.authorizations} == {PAY_TO}
    assert payments(home)


async def test_racing_first_uses_that_the_operator_trusts_pin_the_one_that_was_trusted(
    seller: Hostile, clock: Clock, tmp_path: Path
) -> None:
    home = settle_down(tmp_path / "home", seller)
    home.policy.write_text(home.policy.read_text() + f'\n[studio]\npay_to = ["{STRANGER}"]\n')
    seller.behave(Conduct(turns=[{"payTo": to} for to in [PAY_TO, STRANGER] * 4]))
    async with open_target(home, seller, clock) as target, anyio.create_task_group() as group:
        for number in range(8):
            group.start_soon(partial(target.agent.call, "generate_video", **target.request(prompt=f"wave {number}")))
    assert {one["to"].lower() for one in seller.authorizations} == {STRANGER}


OFFERS: Mapping[str, Mapping[str, Any]] = {
    "another token": {"asset": SEPOLIA_USDC},
    "the token of another chain": {"network": SEPOLIA, "asset": SEPOLIA_USDC},
    "another network": {"network": "eip155:1"},
    "a network by its old name": {"network": "base"},
    "solana": {"network": "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp"},
    "the money of another rail": {"network": "eip155:4217", "asset": "0x20C000000000000000000000b9537d11c60E8b50"},
    "eighteen decimals": {"amount": "412500000000000000", "extra": {"decimals": 18}},
    "another domain name": {"extra": {"name": "USDC", "version": "2"}},
    "another domain version": {"extra": {"name": "USD Coin", "version": "1"}},
    "another contract in the domain": {"extra": {"verifyingContract": STRANGER}},
    "permit2": {"extra": {"assetTransferMethod": "permit2"}},
    "upto": {"scheme": "upto"},
    "a batch": {"scheme": "batch-settlement"},
    "payment upfront": {"extra": {"paymentFlow": "upfront"}},
    "escrow": {"extra": {"paymentFlow": "escrow"}},
    "version 1": {"maxAmountRequired": "412500", "amount": ...},
    "both versions": {"maxAmountRequired": "412500"},
    "the token as recipient": {"payTo": "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913"},
    "no time": {"maxTimeoutSeconds": 0},
    "negative time": {"maxTimeoutSeconds": -60},
    "too little time": {"maxTimeoutSeconds": 10},
    "fractions of time": {"maxTimeoutSeconds": 60.5},
    "time in words": {"maxTimeoutSeconds": "60"},
    "true time": {"maxTimeoutSeconds": True},
}


@pytest.mark.parametrize("offer", OFFERS.values(), ids=OFFERS)
async def test_an_offer_that_is_not_the_pinned_one_is_never_signed(customer: Target, offer: Mapping[str, Any]) -> None:
    customer.seller.behave(Conduct(offers=[offer]))
    assert (await customer.refuses()).code == "bad_challenge"


@pytest.mark.parametrize("decimals", [2, 18, "6"])
async def test_what_the_seller_says_of_decimals_changes_no_amount(newcomer: Target, decimals: object) -> None:
    newcomer.seller.behave(Conduct(offers=[{"extra": {"name": "USD Coin", "version": "2", "decimals": decimals}}]))
    await newcomer.agent.call("generate_video", **newcomer.request())
    assert newcomer.seller.takeable <= CLIP
    assert newcomer.counted == newcomer.seller.takeable


async def test_a_dearer_offer_named_first_is_passed_over(newcomer: Target) -> None:
    dear, foreign = {"amount": str(CLIP * 5 // 4)}, {"network": SEPOLIA, "asset": SEPOLIA_USDC, "amount": "1"}
    newcomer.seller.behave(Conduct(offers=[dear, foreign, {}, dear]))
    bought = await newcomer.buys()
    assert (bought["charged_usd"], newcomer.seller.takeable) == ("0.4125", CLIP)
    accepted = opened(newcomer.seller.credentials[0])["accepted"]
    assert (accepted["amount"], accepted["network"]) == (str(CLIP), "eip155:8453")


async def test_a_challenge_in_the_body_alone_is_never_signed(customer: Target) -> None:
    first = {"x402Version": 1, "accepts": [entry(maxAmountRequired=str(CLIP), network="base", amount=...)]}
    second = document(resource={"url": customer.seller.origin})
    for body in (first, second):
        customer.seller.behave(Conduct(required=None, demand=Reply(402, body)))
        assert (await customer.refuses()).code == "bad_challenge"
    assert not any("x-payment" in seen.headers for seen in customer.seller.requests)


@pytest.mark.parametrize("seconds", [TEN_YEARS, 2**63, 10**19, 300])
async def test_a_signature_is_never_valid_longer_than_the_policy_says(
    newcomer: Target, clock: Clock, seconds: int
) -> None:
    newcomer.seller.behave(Conduct(offers=[{"maxTimeoutSeconds": seconds}]))
    await newcomer.buys()
    (signed,) = newcomer.seller.authorizations
    assert (signed["validAfter"], int(signed["validBefore"])) == ("0", clock.now // 1000 + 120)


@pytest.mark.parametrize(
    "url",
    [
        "https://stablestudio.dev/api/generate/seedance/i2v",
        "http://127.0.0.1:1/api/generate/seedance/i2v",
        "http://127.0.0.1.evil.example/",
        "{origin}@evil.example/",
        "//evil.example/",
        "not a url",
        None,
    ],
)
async def test_a_challenge_for_a_resource_of_another_origin_is_never_signed(customer: Target, url: str | None) -> None:
    named = url and url.format(origin=customer.seller.origin)
    customer.seller.behave(Conduct(challenge={"resource": {"url": named}}))
    assert (await customer.refuses()).code == "bad_challenge"


DEEP = b'{"x402Version":2,"accepts":' + b"[" * 2_000 + b"]" * 2_000 + b"}"
TWICE = json.dumps(document()).replace('"amount"', '"amount":"1","amount"').encode()
HEADERS: Mapping[str, str] = {
    "oversized": encoded(document(error="x" * 40_000)),
    "far beyond any header": encoded(document(error="x" * 300_000)),
    "a crowd of entries": encoded(document(*[entry()] * 33)),
    "deeply nested": encoded(DEEP),
    "a key twice": encoded(TWICE),
    "not base64": "{}",
    "base64 with gaps": encoded(document())[:40] + " " + encoded(document())[40:],
    "base64 of the other alphabet": "_-" + encoded(document()),
    "cut short": encoded(document())[:-5],
    "not UTF-8": encoded(b'{"x402Version":2,"error":"\xff\xfe","accepts":[]}'),
    "UTF-16": encoded(json.dumps(document()).encode("utf-16")),
    "not JSON": encoded(b"pay me"),
    "a list": encoded([document()]),
    "a number of 10,000 digits": encoded(b'{"x402Version":' + b"2" * 10_000 + b"}"),
    "not a number": encoded(b'{"x402Version":2,"accepts":[NaN]}'),
    "version 1": encoded(document(x402Version=1)),
    "version true": encoded(document(x402Version=True)),
    "version 2.0": encoded(b'{"x402Version":2.0,"accepts":[]}'),
    "two challenges": f"{encoded(document())}, {encoded(document())}",
    "nothing": encoded(b""),
    "no way to pay": encoded(document(accepts=[])),
    "entries that are none": encoded(document(accepts=["exact", 7, None, [entry()]])),
}


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
async def test_a_challenge_that_two_readers_could_read_differently_is_never_signed(
    customer: Target, header: str
) -> None:
    customer.seller.behave(Conduct(required=header))
    problem = await customer.refuses()
    assert problem.code in {"bad_challenge", "studio_unavailable"}
    assert len(problem.text) < 1_000


async def test_two_challenge_headers_are_not_one(customer: Target) -> None:
    required = encoded(document(resource={"url": customer.seller.origin}))
    customer.seller.behave(Conduct(demand=Reply(402, headers=(("PAYMENT-REQUIRED", required),))))
    assert (await customer.refuses()).code == "bad_challenge"


@pytest.mark.parametrize("status", [200, 201, 401, 403, 500])
async def test_a_challenge_of_another_status_is_never_signed(customer: Target, status: int) -> None:
    customer.seller.behave(Conduct(demand=Reply(status)))
    await customer.refuses()


@pytest.mark.parametrize("fate", [Fate.HANG, Fate.RESET, Reply(402, b"x", stalls=True)])
async def test_a_seller_that_is_slow_with_its_price_gets_no_signature(
    impatient: None, newcomer: Target, fate: Fate | Reply
) -> None:
    newcomer.seller.behave(Conduct(routes={"POST /api/generate/seedance/i2v": fate}))
    await newcomer.refuses()
    assert newcomer.signed == NOTHING


async def test_an_endless_price_is_cut_off(newcomer: Target) -> None:
    newcomer.seller.behave(Conduct(required=None, demand=Reply(402, forever=b"x" * 65_536)))
    assert (await newcomer.refuses()).code == "bad_challenge"
