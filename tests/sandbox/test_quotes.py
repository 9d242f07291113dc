from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator

from seedance_mcp.sandbox import Faults, Sandbox
from tests.sandbox.buyer import CLIP, CLIP_2, FAST, ORIGIN, SEEDANCE, Buyer, Clock, challenge_of


def post(generation: int = 1) -> Any:
    app = Sandbox(generation=generation, clock=Clock()).app
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=ORIGIN)


@pytest.mark.parametrize(
    ("generation", "path", "extra", "amount"),
    [
        (1, SEEDANCE, {"duration": "4"}, 330_000),
        (1, SEEDANCE, {"duration": "12", "resolution": "1080p"}, 990_000),
        (1, FAST, {"duration": "5"}, 50_000),
        (1, "/api/generate/seedance/t2v", {"duration": "5"}, 412_500),
        (2, SEEDANCE, {"duration": "4", "outputResolution": "480p"}, 360_000),
        (2, SEEDANCE, {"duration": "5", "outputResolution": "720p"}, 1_200_000),
        (2, SEEDANCE, {"duration": "15", "outputResolution": "1080p"}, 8_100_000),
        (2, FAST, {"duration": "5", "outputResolution": "480p"}, 400_000),
        (2, FAST, {"duration": "5", "outputResolution": "720p"}, 840_000),
    ],
)
async def test_a_valid_body_is_quoted_exactly(generation: int, path: str, extra: dict[str, str], amount: int) -> None:
    body = (CLIP if generation == 1 else CLIP_2) | extra
    if path.endswith("t2v"):
        body = {"prompt": "a lake"} | extra
    async with post(generation) as http:
        answer = await http.post(path, json=body)

    assert answer.content == b""
    challenge = challenge_of(answer)
    assert challenge["x402Version"] == 2
    assert challenge["resource"]["url"] == ORIGIN + path
    base, solana = challenge["accepts"]
    assert base == {
        "scheme": "exact",
        "network": "eip155:8453",
        "amount": str(amount),
        "asset": "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913",
        "payTo": "0x07f067959297767c887dbfa3c72379c66e82a045",
        "maxTimeoutSeconds": 300,
        "extra": {"name": "USD Coin", "version": "2"},
    }
    assert solana["network"].startswith("solana:")


async def test_defaults_are_priced_as_they_are_filled_in(buyer: Buyer) -> None:
    short = {"prompt": CLIP["prompt"], "image": CLIP["image"]}

    assert (await buyer.quote(SEEDANCE, short))["accepts"][0]["amount"] == str(5 * 82_500)


INVALID: list[tuple[int, str, object]] = [
    (1, SEEDANCE, None),
    (1, SEEDANCE, []),
    (1, SEEDANCE, {}),
    (1, SEEDANCE, CLIP_2),
    (1, SEEDANCE, CLIP | {"duration": 5}),
    (1, SEEDANCE, CLIP | {"duration": "13"}),
    (1, SEEDANCE, CLIP | {"resolution": "4k"}),
    (1, SEEDANCE, CLIP | {"image": "lake.jpg"}),
    (1, SEEDANCE, CLIP | {"surprise": 1}),
    (2, SEEDANCE, CLIP),
    (2, SEEDANCE, CLIP_2 | {"urls": []}),
    (2, FAST, CLIP_2 | {"outputResolution": "1080p"}),
    (2, SEEDANCE, CLIP_2 | {"mode": "other"}),
]


@pytest.mark.parametrize(("generation", "path", "body"), INVALID)
async def test_an_invalid_body_is_quoted_the_routes_maximum(generation: int, path: str, body: object) -> None:
    async with post(generation) as http:
        answer = await http.post(path, json=body)

    assert challenge_of(answer)["accepts"][0]["amount"] == {1: "10000000", 2: "20000000"}[generation]


@pytest.mark.parametrize(("generation", "path", "body"), INVALID)
async def test_an_invalid_body_with_a_credential_is_a_400(generation: int, path: str, body: object) -> None:
    async with post(generation) as http:
        answer = await http.post(path, json=body, headers={"PAYMENT-SIGNATURE": "anything"})

    assert answer.status_code == 400
    said = answer.json()
    assert (said["success"], said["error"]) == (False, "Validation failed")
    assert said["issues"][0]["message"]


async def test_a_body_that_is_no_json_is_quoted_the_maximum(buyer: Buyer) -> None:
    for content in (b"", b"{", b"\xff"):
        answer = await buyer.http.post(SEEDANCE, content=content)
        assert challenge_of(answer)["accepts"][0]["amount"] == "10000000"


async def test_the_challenge_carries_the_schema_of_the_body(buyer: Buyer) -> None:
    challenge = await buyer.quote(SEEDANCE, CLIP)

    schema = challenge["extensions"]["bazaar"]["schema"]["properties"]["input"]["properties"]["body"]
    Draft202012Validator.check_schema(schema)
    assert schema["additionalProperties"] is False
    assert "duration" in schema["required"]  # although it has a default
    assert schema["properties"]["duration"]["enum"] == [str(seconds) for seconds in range(4, 13)]
    assert {"image", "last_image", "camera_fixed", "seed"} <= set(schema["properties"])


async def test_the_openapi_document_has_the_same_schema_under_both_addresses(buyer: Buyer) -> None:
    document = (await buyer.http.get("/openapi.json")).json()

    assert document == (await buyer.http.get("/api/openapi.json")).json()
    operation = document["paths"][SEEDANCE]["post"]
    challenge = await buyer.quote(SEEDANCE, CLIP)
    bazaar = challenge["extensions"]["bazaar"]["schema"]["properties"]["input"]["properties"]["body"]
    assert operation["requestBody"]["content"]["application/json"]["schema"] == bazaar
    assert operation["x-payment-info"]["price"]["max"] == "10.00"
    assert SEEDANCE in (await buyer.http.get("/llms.txt")).text


async def test_the_paid_routes_know_no_get_and_no_head(buyer: Buyer) -> None:
    for path in (SEEDANCE, "/api/upload"):
        assert (await buyer.http.get(path)).status_code == 405
        assert (await buyer.http.head(path)).status_code == 405


async def test_a_quote_has_no_effect(sandbox: Sandbox, buyer: Buyer) -> None:
    await buyer.quote(SEEDANCE, CLIP)

    assert not sandbox.jobs
    assert not sandbox.bank.transfers


async def test_a_false_seller_changes_what_it_offers(clock: Clock) -> None:
    faults = Faults(quote_extra=1, pay_to="0x" + "11" * 20, network="eip155:1", asset="0x" + "22" * 20)
    sandbox = Sandbox(faults=faults, clock=clock)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(sandbox.app), base_url=ORIGIN) as http:
        offer = (await Buyer(http, clock).quote(SEEDANCE, CLIP))["accepts"][0]

    assert offer["amount"] == "330001"
    assert (offer["payTo"], offer["network"], offer["asset"]) == (faults.pay_to, faults.network, faults.asset)


def test_there_are_two_generations() -> None:
    with pytest.raises(ValueError, match="1 or 2"):
        Sandbox(generation=3)
