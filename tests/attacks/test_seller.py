"""A seller that lies about what is paid, to whom, how, and what became of it: over x402."""

import base64
import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

import seedance_mcp.app
from seedance_mcp.fetching import Fetcher
from seedance_mcp.mp4 import is_mp4
from tests.attacks.hostile import CLIP as VIDEO
from tests.attacks.hostile import PAY_TO, PNG, Conduct, Hostile, paid_receipt, picture
from tests.attacks.rpc import Rpc
from tests.attacks.target import NOTHING, ONCE, Clock, Target, open_target, payments, settle_down
from tests.attacks.wire import Fate, Reply, opened
from tests.payment.examples import document, encoded, entry, login, payment

CLIP, UPLOAD = 412_500, 10_000
STRANGER = "0x" + "5e" * 20
SEPOLIA, SEPOLIA_USDC = "eip155:84532", "0x036CbD53842c5426634e7929541eC2318f3dCF7e"
TEN_YEARS = 10 * 365 * 86_400
REDIRECTS = (301, 302, 303, 307, 308)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """An app that waits a second for an answer."""
    monkeypatch.setattr(seedance_mcp.app, "ANSWER_SECONDS", 1)


def moved(to: Hostile, status: int = 307, **told: Any) -> Reply:
    return Reply(status, headers=(("Location", f"{to.origin}/api/generate/seedance/i2v"), *told.get("headers", ())))


# What is asked for


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


# What is answered to a payment

LIES: Mapping[str, Reply | Fate] = {
    "200 and nothing": Reply(),
    "200 and noise": Reply(200, b"\xff\x00["),
    "200 and a refusal": Reply(200, {"success": False, "error": "no"}),
    "204": Reply(204),
    "400": Reply(400, {"success": False, "error": "Validation failed", "issues": []}),
    "401": Reply(401),
    "402 and nothing": Reply(402),
    "402 and the same again": Reply(402, headers=(("PAYMENT-REQUIRED", encoded(document(resource=...))),)),
    "402 and MPP": Reply(402, headers=(("WWW-Authenticate", payment(realm="127.0.0.1")),)),
    "402, pending": Reply(402, headers=(paid_receipt("", success=False, errorReason="settlement_pending"),)),
    "404": Reply(404),
    "409": Reply(409),
    "429": Reply(429, headers=(("Retry-After", "0"),)),
    "500": Reply(500, {"success": False, "error": "Settlement failed"}),
    "503": Reply(503),
    "reset": Fate.RESET,
    "hang": Fate.HANG,
    "stall": Reply(200, b"{", stalls=True),
    "endless": Reply(200, forever=b"x" * 65_536),
    "a receipt without a hash": Reply(200, headers=(paid_receipt("", transaction=...),)),
    "a receipt with half a hash": Reply(200, headers=(paid_receipt("", transaction="0x12"),)),
    "a receipt of a failure": Reply(200, headers=(paid_receipt("", success=False),)),
    "a receipt of almost a success": Reply(200, headers=(paid_receipt("", success="true"),)),
    "a receipt of another network": Reply(200, headers=(paid_receipt("", network=SEPOLIA),)),
    "a receipt of another payer": Reply(200, headers=(paid_receipt("", payer=STRANGER),)),
    "a receipt that is noise": Reply(200, headers=(("PAYMENT-RESPONSE", "=?="),)),
    "a receipt of the other rail": Reply(200, headers=(("Payment-Receipt", paid_receipt("")[1]),)),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
async def test_whatever_is_answered_to_a_payment_nothing_more_is_signed(
    impatient: None, newcomer: Target, lie: Reply | Fate
) -> None:
    newcomer.seller.behave(Conduct(paid=lie))
    for _ in range(2):
        told = str((await newcomer.agent.call("generate_video", **newcomer.request())).content)
        assert "Nothing was charged" not in told
    assert (newcomer.signed.wallet, newcomer.signed.ledger, newcomer.signed.distinct) == (1, 1, 1)
    assert newcomer.states == ["unknown"]
    for arguments in ({"take": 2}, {"prompt": "more waves"}, {"model": "seedance-fast"}):
        assert (await newcomer.refuses(**arguments)).code in {"unresolved", "other_take_unresolved"}
    assert newcomer.counted == newcomer.seller.takeable == CLIP


async def test_a_402_for_ever_gets_a_few_copies_of_one_signature(newcomer: Target) -> None:
    newcomer.seller.behave(Conduct(paid=LIES["402 and the same again"]))
    for _ in range(10):
        await newcomer.agent.call("generate_video", **newcomer.request())
    assert (newcomer.signed.distinct, newcomer.signed.wallet) == (1, 1)
    assert newcomer.signed.sent <= 20


@pytest.mark.parametrize("status", [200, 400, 402, 500, 503])
async def test_a_forged_receipt_is_a_claim_that_counts_and_never_a_settlement(newcomer: Target, status: int) -> None:
    newcomer.seller.behave(Conduct(paid=Reply(status, headers=(paid_receipt("forged"),))))
    for _ in range(2):
        await newcomer.agent.call("generate_video", **newcomer.request())
    await newcomer.app.recovery.sweep()
    assert newcomer.states == ["claimed"]
    assert newcomer.counted == CLIP
    assert newcomer.signed == ONCE


@pytest.mark.parametrize("amount", ["1", "412499", "999999999999"])
async def test_a_receipt_of_another_amount_changes_nothing_that_is_counted(newcomer: Target, amount: str) -> None:
    newcomer.seller.behave(Conduct(receipt={"amount": amount}))
    await newcomer.buys()
    assert newcomer.counted == newcomer.seller.takeable == CLIP


async def test_a_settlement_after_a_400_is_found_on_the_chain_and_counts(
    seller: Hostile, rpc: Rpc, clock: Clock, tmp_path: Path
) -> None:
    seller.behave(Conduct(paid=LIES["400"]))
    async with open_target(settle_down(tmp_path / "home", seller, rpc), seller, clock) as target:
        await target.agent.call("generate_video", **target.request())
        assert target.states == ["unknown"]
        rpc.take(*seller.authorizations)
        await target.app.recovery.sweep()
        assert target.states == ["settled"]
        await target.agent.call("generate_video", **target.request())
        assert (target.signed.wallet, target.signed.distinct, target.counted) == (1, 1, CLIP)


async def test_goods_of_one_payment_are_not_taken_for_those_of_another(newcomer: Target) -> None:
    first = await newcomer.buys(prompt="one")
    newcomer.seller.behave(Conduct(goods={"jobId": first["job_id"]}))
    second = await newcomer.buys(prompt="two")
    assert first["job_id"] not in {second["job_id"], None}
    assert newcomer.signed.distinct == 2


# Redirects


@pytest.mark.parametrize("status", REDIRECTS)
@pytest.mark.parametrize("with_challenge", [True, False])
async def test_a_redirect_before_signing_is_not_followed(
    customer: Target, elsewhere: Hostile, status: int, with_challenge: bool
) -> None:
    demand = moved(elsewhere, status)
    customer.seller.behave(Conduct(demand=demand) if with_challenge else Conduct(required=None, demand=demand))
    await customer.refuses()
    assert elsewhere.requests == []


@pytest.mark.parametrize("status", REDIRECTS)
async def test_a_redirect_of_a_payment_is_not_followed(newcomer: Target, elsewhere: Hostile, status: int) -> None:
    newcomer.seller.behave(Conduct(paid=moved(elsewhere, status)))
    for _ in range(3):
        await newcomer.agent.call("generate_video", **newcomer.request())
    assert elsewhere.requests == []
    assert (newcomer.signed.distinct, newcomer.states) == (1, ["unknown"])


async def test_a_redirect_of_the_schema_is_not_followed(newcomer: Target, elsewhere: Hostile) -> None:
    away = moved(elsewhere)
    newcomer.seller.behave(Conduct(routes={"GET /openapi.json": away, "GET /api/openapi.json": away}))
    await newcomer.refuses()
    assert elsewhere.requests == []


async def test_a_redirect_of_the_sign_in_takes_no_proof_along(newcomer: Target, elsewhere: Hostile) -> None:
    bought = await newcomer.buys()
    await newcomer.ends(bought["job_id"])
    newcomer.seller.behave(Conduct(login=moved(elsewhere)))
    second = await newcomer.buys(prompt="more waves")
    assert "redirect" in (await newcomer.ends(second["job_id"]))["error"]
    assert elsewhere.requests == []


async def test_a_redirect_of_an_upload_takes_neither_token_nor_picture_along(
    newcomer: Target, elsewhere: Hostile
) -> None:
    newcomer.home.picture()
    newcomer.seller.behave(Conduct(routes={"PUT /blob/": moved(elsewhere)}))
    problem = await newcomer.agent.fails("upload_image", path="lake.png")
    assert problem.charged_usd == "0.01"
    assert elsewhere.requests == []


async def test_a_redirect_of_a_picture_or_clip_is_not_followed(newcomer: Target, elsewhere: Hostile) -> None:
    seller = newcomer.seller
    seller.files["/pictures/moved.png"] = moved(elsewhere)
    assert (await newcomer.refuses(image=f"{seller.origin}/pictures/moved.png")).code == "redirected"
    seller.files["/moved.mp4"] = moved(elsewhere)
    seller.behave(Conduct(job={"result": {"videoUrl": f"{seller.origin}/moved.mp4"}}))
    bought = await newcomer.buys()
    assert "redirect" in (await newcomer.ends(bought["job_id"]))["error"]
    assert elsewhere.requests == []


# Money on a free route


def demands(seller: Hostile) -> list[Reply]:
    """A 402 with a price on a route that is free: alone, beside a sign-in, of either rail, in header or body."""
    priced, host = entry(amount="1"), seller.origin.removeprefix("http://")
    asked = login(domain=host, uri=f"{seller.origin}/api/jobs", accepts=[priced], expirationTime=...)
    plain = document(priced, resource={"url": seller.origin})
    return [
        Reply(402, headers=(("PAYMENT-REQUIRED", encoded(plain)),)),
        Reply(402, headers=(("PAYMENT-REQUIRED", encoded(asked)),)),
        Reply(402, asked),
        Reply(402, {"x402Version": 1, "accepts": [{"maxAmountRequired": "1"}]}),
        Reply(402, headers=(("WWW-Authenticate", payment(realm=host)),)),
        Reply(402, login(domain=host, accepts=[entry(amount="0"), entry(amount="1")])),
        Reply(401, headers=(("WWW-Authenticate", payment(realm=host)),)),
    ]


async def test_a_payment_demanded_on_a_polling_route_is_never_made(newcomer: Target) -> None:
    for number, demand in enumerate(demands(newcomer.seller)):
        newcomer.seller.behave()
        bought = await newcomer.buys(prompt=f"wave {number}", model="seedance-fast")
        newcomer.seller.behave(Conduct(login=demand))
        before = newcomer.signed
        job = await newcomer.ends(bought["job_id"])
        assert job["status"] in {"pending", "loading"}
        assert newcomer.signed - before == NOTHING
    paid = {seen.path for seen in newcomer.seller.requests if seen.credential is not None}
    assert paid == {"/api/generate/seedance-fast/i2v"}


async def test_a_payment_demanded_for_confirming_an_upload_is_never_made(newcomer: Target) -> None:
    newcomer.home.picture()
    newcomer.seller.behave(Conduct(login=demands(newcomer.seller)[1]))
    problem = await newcomer.agent.fails("upload_image", path="lake.png")
    assert problem.charged_usd == "0.01"
    assert newcomer.signed == ONCE


# What a finished job leads to


def inner_links(seller: Hostile, elsewhere: Hostile) -> Sequence[str]:
    port = elsewhere.origin.rpartition(":")[2]
    return [
        f"{elsewhere.origin}/files/x.mp4",
        f"http://localhost:{port}/files/x.mp4",
        f"https://127.0.0.1:{port}/files/x.mp4",
        f"https://2130706433:{port}/files/x.mp4",
        f"https://[::ffff:127.0.0.1]:{port}/files/x.mp4",
        f"{seller.origin}@127.0.0.1:{port}/files/x.mp4",
        f"{seller.origin.replace('127', 'me:you@127')}/files/x.mp4",
        "https://169.254.169.254/latest/meta-data/",
        "https://10.0.0.1/x.mp4",
        "https://[fd00::1]/x.mp4",
        "https://0.0.0.0/x.mp4",
        "file:///etc/passwd",
        "ftp://127.0.0.1/x.mp4",
        "data:video/mp4;base64,AAAA",
        "../../../etc/passwd",
        "",
    ]


async def test_a_clip_is_never_fetched_from_an_internal_address(newcomer: Target, elsewhere: Hostile) -> None:
    links = inner_links(newcomer.seller, elsewhere)
    for number, url in enumerate(links):
        newcomer.seller.behave(Conduct(job={"result": {"videoUrl": url, "thumbnailUrl": url}}))
        bought = await newcomer.buys(prompt=f"wave {number}", model="seedance-fast")
        job = await newcomer.ends(bought["job_id"])
        assert job["video_path"] is None, url
    assert elsewhere.connections == 0
    assert list(newcomer.home.clips.iterdir()) == []
    assert newcomer.signed.distinct == len(links)


BODIES: Mapping[str, Reply] = {
    "a page": Reply(body=b"<html>", headers=(("Content-Type", "video/mp4"),)),
    "nothing": Reply(body=b""),
    "half a video": Reply(body=VIDEO[:-9]),
    "a video and more": Reply(body=VIDEO + b"#!/bin/sh"),
    "a length beyond any disk": Reply(body=VIDEO, headers=(("Content-Length", str(10**13)),)),
    "another coding": Reply(body=VIDEO, headers=(("Content-Encoding", "gzip"),)),
    "endless": Reply(body=VIDEO, forever=b"\0" * 65_536),
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
async def test_an_endless_or_other_body_is_no_clip_and_leaves_nothing(
    newcomer: Target, monkeypatch: pytest.MonkeyPatch, body: Reply
) -> None:
    monkeypatch.setattr(Fetcher.save, "__defaults__", (10_000_000, is_mp4))
    newcomer.seller.files["/clip.mp4"] = body
    newcomer.seller.behave(Conduct(job={"result": {"videoUrl": f"{newcomer.seller.origin}/clip.mp4"}}))
    bought = await newcomer.buys()
    job = await newcomer.ends(bought["job_id"])
    assert job["error"] is not None
    assert list(newcomer.home.clips.iterdir()) == []


async def test_a_picture_that_does_not_end_is_cut_off_before_anything_is_signed(newcomer: Target) -> None:
    newcomer.seller.files["/endless.png"] = Reply(body=picture(), headers=PNG, forever=b"\0" * 1_000_000)
    assert (await newcomer.refuses(image=f"{newcomer.seller.origin}/endless.png")).code == "too_large"


async def test_what_is_signed_is_what_was_judged(newcomer: Target) -> None:
    """The bytes on the wire: body, recipient, amount, token and nonce are those of the ledger's row."""
    await newcomer.buys()
    (seen,) = [seen for seen in newcomer.seller.requests if seen.credential is not None]
    (row,) = newcomer.payments
    credential = opened(seen.credential or "")
    signed = credential["payload"]["authorization"]
    assert (signed["to"], signed["value"], signed["nonce"]) == (row["pay_to"], str(CLIP), f"0x{row['nonce'].hex()}")
    assert (int(signed["validBefore"]), signed["from"]) == (row["deadline"], row["payer"])
    assert (seen.body.decode(), seen.path) == (row["body"], row["path"])
    assert credential["accepted"]["amount"] == str(CLIP)
    assert base64.b64encode(base64.b64decode(seen.credential or "")).decode() == seen.credential
