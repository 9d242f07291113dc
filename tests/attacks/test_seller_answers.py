"""A seller that lies about what became of a payment, or sends its buyer elsewhere: over x402."""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from seedance_mcp.fetching import Fetcher
from seedance_mcp.mp4 import is_mp4
from tests.attacks.hostile import CLIP as VIDEO
from tests.attacks.hostile import PNG, Conduct, Hostile, paid_receipt, picture
from tests.attacks.rpc import Rpc
from tests.attacks.target import NOTHING, ONCE, Clock, Target, open_target, settle_down
from tests.attacks.wire import Fate, Reply, opened
from tests.payment.examples import document, encoded, entry, login, payment

CLIP = 412_500
STRANGER = "0x" + "5e" * 20
SEPOLIA = "eip155:84532"
REDIRECTS = (301, 302, 303, 307, 308)


def moved(to: Hostile, status: int = 307, **told: Any) -> Reply:
    return Reply(status, headers=(("Location", f"{to.origin}/api/generate/seedance/i2v"), *told.get("headers", ())))


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
