"""A seller that lies over MPP: about the amount, the token, the chain, the recipient, the time, and what it got."""

import json
import time
from collections.abc import Mapping
from typing import Any

import pytest

import seedance_mcp.app
from tests.attacks.hostile import PAY_TO, Conduct, Hostile, mpp_receipt
from tests.attacks.target import Clock, Target
from tests.attacks.wire import Fate, Reply, opened
from tests.payment.examples import USDCE, charge, payment, url_safe

CLIP = 412_500
HOST = "127.0.0.1"
STRANGER = "0x" + "5e" * 20
PATH_USD, ALPHA_USD = "0x20c0000000000000000000000000000000000000", "0x20c0000000000000000000000000000000000001"
BASE_USDC = "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913"
FEE_BOUND = 25_000
LONGEST = 25
"""Seconds for which Tempo takes a transaction with an expiring nonce."""


def only(*charges: str, **told: Any) -> Conduct:
    """A seller without x402."""
    return Conduct(required=None, charges=charges, **told)


def asked(request: Any = None, **parameters: Any) -> str:
    """An honest challenge of this host, with changes to its parameters."""
    return payment(request, **({"realm": HOST} | parameters))


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """An app that waits a second for an answer."""
    monkeypatch.setattr(seedance_mcp.app, "ANSWER_SECONDS", 1)


REQUESTS: Mapping[str, Any] = {
    **{
        f"the amount {amount!r}"[:40]: charge(amount=amount)
        for amount in ["0", "01", "-1", "+1", " 1", "1e6", "1.0", "0x10", "\uff11", "", str(2**63), str(2**256)]
    },
    "an amount of 10,000 digits": charge(amount="9" * 10_000),
    "a number for an amount": charge(amount=CLIP),
    "no amount": charge(amount=...),
    "pathUSD": charge(currency=PATH_USD),
    "AlphaUSD": charge(currency=ALPHA_USD),
    "USDC of Base": charge(currency=BASE_USDC),
    "a stranger's token": charge(currency=STRANGER),
    "no currency": charge(currency=...),
    "a test network": charge(details={"chainId": 42431}),
    "Base": charge(details={"chainId": 8453}),
    "a chain in words": charge(details={"chainId": "4217"}),
    "no chain": charge(details={"chainId": ...}),
    "a true chain": charge(details={"chainId": True}),
    "no details": charge(methodDetails=None),
    "splits": charge(details={"splits": [{"recipient": STRANGER, "amount": "1"}]}),
    "no splits": charge(details={"splits": []}),
    "a memo": charge(details={"memo": "0x" + "11" * 32}),
    "push only": charge(details={"supportedModes": ["push"]}),
    "no mode": charge(details={"supportedModes": []}),
    "modes in words": charge(details={"supportedModes": "pull"}),
    "a fee payer in words": charge(details={"feePayer": "true"}),
    "the zero address": charge(recipient="0x" + "00" * 20),
    "the token as recipient": charge(recipient=USDCE),
    "a name as recipient": charge(recipient="stablestudio.eth"),
    "no recipient": charge(recipient=...),
    "a list": [charge()],
    "a key twice": json.dumps(charge()).replace('"amount"', '"amount":"1","amount"').encode(),
    "not JSON": b"pay me",
    "not UTF-8": b'{"amount":"\xff"}',
    "deeply nested": b"[" * 2_000 + b"]" * 2_000,
}


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
async def test_a_charge_that_is_not_the_pinned_one_is_never_signed(customer: Target, request_: Any) -> None:
    customer.seller.behave(only(asked(request_)))
    assert (await customer.refuses()).code == "bad_challenge"


@pytest.mark.parametrize("name", ["the amount '0'", "the amount '01'", "pathUSD", "splits", "push only"])
async def test_an_upload_by_a_charge_that_is_not_the_pinned_one_is_never_signed(customer: Target, name: str) -> None:
    customer.home.picture()
    customer.seller.behave(only(asked(REQUESTS[name])))
    assert (await customer.signs_nothing("upload_image", path="lake.png")).code == "bad_challenge"


WHOLE = url_safe(charge())
CHALLENGES: Mapping[str, str] = {
    "another method": asked(method="stripe"),
    "another intent": asked(intent="session"),
    "an intent in capitals": asked(intent="CHARGE"),
    "no method": asked(method=...),
    "a realm of another host": asked(realm="stablestudio.dev"),
    "a realm with another port": asked(realm=f"{HOST}:1"),
    "a realm that only begins so": asked(realm=f"{HOST}.evil.example"),
    "no realm": asked(realm=...),
    "expired": asked(expires="2020-01-01T00:00:00Z"),
    "expired by a name": asked(expires="never"),
    "expired on a day that is not": asked(expires="2027-02-30T00:00:00Z"),
    "a digest of another body": asked(digest="sha-256=" + "A" * 43 + "="),
    "a digest of another kind": asked(digest="md5=AAAA"),
    "no id": asked(id=...),
    "an id of spaces": asked(id=" "),
    "an answer in another header": asked(header="X-Api-Key"),
    "an answer in the cookies": asked(header="Cookie"),
    "padded": asked(WHOLE + "=="),
    "another alphabet": asked(f"+/{WHOLE}"),
    "cut short": asked(WHOLE[:-3]),
    "oversized": asked(description="x" * 40_000),
    "an oversized request": asked(charge(note="x" * 20_000)),
    "a parameter twice": asked(request=WHOLE) + f', request="{url_safe(charge(amount="1"))}"',
    "a quotation without an end": asked()[:-1],
    "two that run into one": asked().replace('"', ""),
    "a parameter before the scheme": f'id="x", {asked()}',
    "a crowd": ", ".join([asked()] * 33),
    "another scheme": asked().replace("Payment", "Bearer", 1),
    "nothing": "Payment",
}


@pytest.mark.parametrize("header", CHALLENGES.values(), ids=CHALLENGES)
async def test_a_tampered_challenge_is_never_signed(customer: Target, header: str) -> None:
    customer.seller.behave(only(header))
    problem = await customer.refuses()
    assert problem.code == "bad_challenge"
    assert len(problem.text) < 1_000


@pytest.mark.parametrize(
    ("amount", "code"), [(516_000, "over_table"), (990_000, "maximum_quote"), (10**10, "over_table")]
)
async def test_a_charge_above_the_table_is_never_signed(customer: Target, amount: int, code: str) -> None:
    customer.home.write_policy(
        {"per_payment": "100000.00", "per_hour": "100000.00", "per_day": "100000.00"}, above="9.00"
    )
    customer.seller.behave(only(asked(charge(amount=str(amount)))))
    assert (await customer.refuses()).code == code


async def test_a_recipient_that_is_not_the_known_one_gets_no_transfer(customer: Target) -> None:
    customer.seller.behave(only(asked(charge(recipient=STRANGER))))
    assert (await customer.refuses()).code == "pay_to"


async def test_a_redirect_before_signing_is_not_followed(customer: Target, elsewhere: Hostile) -> None:
    away = Reply(307, headers=(("Location", elsewhere.origin + "/api/generate/seedance/i2v"),))
    customer.seller.behave(only(asked(), demand=away))
    await customer.refuses()
    assert elsewhere.requests == []


@pytest.mark.parametrize("bad", [CHALLENGES["a realm of another host"], asked(charge(currency=PATH_USD, amount="1"))])
@pytest.mark.parametrize("merged", [True, False])
async def test_a_bad_challenge_beside_x402_is_passed_over(newcomer: Target, bad: str, merged: bool) -> None:
    newcomer.seller.behave(Conduct(charges=[f"{bad}, {bad}"] if merged else [bad, bad]))
    await newcomer.buys()
    assert (newcomer.seller.transfers, newcomer.seller.takeable) == ([], CLIP)


# What is signed


async def test_an_honest_charge_is_one_transfer_of_its_price(newcomer: Target, clock: Clock) -> None:
    newcomer.seller.behave(only(asked()))
    bought = await newcomer.buys()
    assert (bought["rail"], bought["charged_usd"]) == ("mpp", "0.4125")
    (transfer,) = newcomer.seller.transfers
    assert (transfer["amount"], transfer["to"], transfer["chain"]) == (CLIP, PAY_TO.lower(), 4217)
    assert transfer["token"] == USDCE.lower()
    assert clock.now // 1000 < transfer["until"] <= clock.now // 1000 + LONGEST
    assert transfer["fee"] <= FEE_BOUND
    assert newcomer.counted == CLIP + FEE_BOUND
    assert {seen.path for seen in newcomer.seller.requests if seen.credential} == {"/api/generate/seedance/i2v"}


@pytest.mark.parametrize("expires", ["2036-11-01T00:00:00Z", "9999-12-31T23:59:59Z", ...])
async def test_a_challenge_that_never_ends_gets_a_transfer_that_does(
    newcomer: Target, clock: Clock, expires: Any
) -> None:
    newcomer.seller.behave(only(asked(expires=expires)))
    await newcomer.buys()
    (transfer,) = newcomer.seller.transfers
    assert transfer["until"] <= clock.now // 1000 + LONGEST


async def test_a_challenge_that_ends_at_once_is_never_signed(newcomer: Target, clock: Clock) -> None:
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(clock.now // 1000 + 8))
    newcomer.seller.behave(only(asked(expires=soon)))
    assert (await newcomer.refuses()).code == "bad_challenge"


async def test_a_dearer_charge_named_first_is_passed_over(newcomer: Target) -> None:
    dear = asked(charge(amount=str(CLIP * 5 // 4)), id="dear")
    newcomer.seller.behave(only(f"{dear}, {asked(id='fair')}, {dear}"))
    await newcomer.buys()
    assert newcomer.seller.takeable == CLIP
    assert opened(newcomer.seller.credentials[0])["challenge"]["id"] == "fair"


async def test_a_recipient_that_changes_after_the_first_use_gets_no_transfer(newcomer: Target) -> None:
    newcomer.seller.behave(only(asked()))
    await newcomer.buys()
    newcomer.seller.behave(only(asked(charge(recipient=STRANGER))))
    assert (await newcomer.refuses(prompt="more waves")).code == "pay_to"
    assert [one["to"] for one in newcomer.seller.transfers] == [PAY_TO.lower()]


AGAIN = Reply(402, headers=(("WWW-Authenticate", asked(id="another-one")),))
LIES: Mapping[str, Reply | Fate] = {
    "200 and nothing": Reply(),
    "200 and a refusal": Reply(200, {"success": False, "error": "no"}),
    "400": Reply(400, {"type": "about:blank", "title": "Bad Request", "detail": "malformed"}),
    "401": Reply(401),
    "402 and nothing": Reply(402),
    "402 and another challenge": AGAIN,
    "402 and a problem document": Reply(402, {"type": "https://paymentauth.org/problems/verification-failed"}),
    "500": Reply(500, {"success": False, "error": "Settlement failed"}),
    "503": Reply(503),
    "reset": Fate.RESET,
    "hang": Fate.HANG,
    "a receipt without a hash": Reply(200, headers=(mpp_receipt("", reference=...),)),
    "a receipt with half a hash": Reply(200, headers=(mpp_receipt("", reference="0x12"),)),
    "a receipt of a failure": Reply(200, headers=(mpp_receipt("", status="failed"),)),
    "a receipt of another method": Reply(200, headers=(mpp_receipt("", method="stripe"),)),
    "a receipt that is noise": Reply(200, headers=(("Payment-Receipt", "=?="),)),
    "a receipt of the other rail": Reply(200, headers=(("PAYMENT-RESPONSE", mpp_receipt("")[1]),)),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
async def test_whatever_is_answered_to_a_transfer_nothing_more_is_signed(
    impatient: None, newcomer: Target, lie: Reply | Fate
) -> None:
    newcomer.seller.behave(only(asked(), paid=lie))
    for _ in range(2):
        told = str((await newcomer.agent.call("generate_video", **newcomer.request())).content)
        assert "Nothing was charged" not in told
    assert (newcomer.signed.wallet, newcomer.signed.ledger, newcomer.signed.distinct) == (1, 1, 1)
    assert newcomer.states == ["unknown"]
    for arguments in ({"take": 2}, {"prompt": "more waves"}):
        assert (await newcomer.refuses(**arguments)).code in {"unresolved", "other_take_unresolved"}
    assert newcomer.counted == newcomer.seller.takeable + FEE_BOUND


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_of_a_transfer_is_not_followed(newcomer: Target, elsewhere: Hostile, status: int) -> None:
    away = Reply(status, headers=(("Location", elsewhere.origin + "/api/generate/seedance/i2v"),))
    newcomer.seller.behave(only(asked(), paid=away))
    for _ in range(2):
        await newcomer.agent.call("generate_video", **newcomer.request())
    assert elsewhere.requests == []
    assert (newcomer.signed.distinct, newcomer.states) == (1, ["unknown"])


async def test_a_402_for_ever_gets_a_few_copies_of_one_transfer(newcomer: Target) -> None:
    newcomer.seller.behave(only(asked(), paid=AGAIN))
    for _ in range(10):
        await newcomer.agent.call("generate_video", **newcomer.request())
    assert (newcomer.signed.distinct, newcomer.signed.wallet) == (1, 1)
    assert newcomer.signed.sent <= 20


@pytest.mark.parametrize("status", [200, 400, 402, 500])
async def test_a_forged_receipt_is_a_claim_that_counts_and_never_a_settlement(newcomer: Target, status: int) -> None:
    newcomer.seller.behave(only(asked(), paid=Reply(status, headers=(mpp_receipt("forged"),))))
    for _ in range(2):
        await newcomer.agent.call("generate_video", **newcomer.request())
    await newcomer.app.recovery.sweep()
    assert newcomer.states == ["claimed"]
    assert newcomer.counted == CLIP + FEE_BOUND
    assert newcomer.signed.distinct == 1


@pytest.mark.parametrize("first", ["x402", "mpp"])
async def test_a_purchase_that_has_left_over_one_rail_is_never_paid_over_the_other(
    newcomer: Target, first: str
) -> None:
    over = {"x402": Conduct(), "mpp": only(asked())}
    second = "mpp" if first == "x402" else "x402"
    newcomer.seller.behave(only(asked(), paid=Reply(500)) if first == "mpp" else Conduct(paid=Reply(500)))
    await newcomer.agent.call("generate_video", **newcomer.request())
    newcomer.seller.behave(over[second])
    for _ in range(3):
        await newcomer.agent.call("generate_video", **newcomer.request())
    assert [row["rail"] for row in newcomer.payments] == [first]
    assert (newcomer.signed.distinct, newcomer.signed.wallet) == (1, 1)


async def test_one_challenge_serves_one_purchase(newcomer: Target) -> None:
    """Where the seller hands one out again and again, two purchases are two transfers that can be told apart."""
    newcomer.seller.behave(only(asked()))
    await newcomer.buys(prompt="one")
    await newcomer.agent.call("generate_video", **newcomer.request(prompt="two"))
    memos = [one["memo"] for one in newcomer.seller.transfers]
    assert len(set(memos)) == len(memos) == newcomer.signed.distinct


async def test_caps_hold_over_both_rails_together(newcomer: Target) -> None:
    newcomer.home.write_policy({"per_hour": "0.85"})
    await newcomer.buys(prompt="one")
    newcomer.seller.behave(only(asked()))
    await newcomer.agent.call("generate_video", **newcomer.request(prompt="two"))
    newcomer.seller.behave()
    assert (await newcomer.refuses(prompt="three")).code == "per_hour"
    assert newcomer.seller.takeable <= 850_000


async def test_a_fee_counts_so_that_no_transfer_passes_a_cap_with_it(newcomer: Target) -> None:
    newcomer.home.write_policy({"per_hour": "0.4374"})
    newcomer.seller.behave(only(asked()))
    assert (await newcomer.refuses()).code == "per_hour"
    newcomer.home.write_policy({"per_hour": "0.4375"})
    await newcomer.buys()


@pytest.mark.parametrize("sponsored", [True, False])
async def test_who_pays_the_fee_moves_no_other_amount(newcomer: Target, sponsored: bool) -> None:
    newcomer.seller.behave(only(asked(charge(details={"feePayer": sponsored}))))
    await newcomer.buys()
    (transfer,) = newcomer.seller.transfers
    assert (transfer["amount"], transfer["to"]) == (CLIP, PAY_TO.lower())
    assert newcomer.counted == CLIP + (0 if sponsored else FEE_BOUND)


async def test_a_policy_without_the_rail_signs_no_transfer(customer: Target) -> None:
    with customer.home.policy.open("a") as file:
        file.write('\n[rails]\norder = ["x402"]\n')
    customer.seller.behave(only(asked()))
    await customer.refuses()
    assert customer.seller.transfers == []
