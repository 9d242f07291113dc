import base64
import io
import json
from typing import Any

import httpx
import pytest
from PIL import Image

from seedance_mcp.sandbox import Sandbox
from tests.sandbox.buyer import CLIP, ORIGIN, SEEDANCE, Buyer
from tests.sandbox.conftest import Shots

WANTED = {"filename": "my lake.png", "contentType": "image/png", "size": 2000}


def png(colour: str = "teal") -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (320, 320), colour).save(data, "PNG")
    return data.getvalue()


async def put(
    buyer: Buyer, ticket: dict[str, Any], data: bytes, content_type: str = "image/png", **changes: str
) -> httpx.Response:
    headers = {"authorization": f"Bearer {ticket['clientToken']}", "x-content-type": content_type}
    params = {"pathname": ticket["pathname"]}
    return await buyer.http.put(
        "/blob/", params=params | changes, content=data, headers=headers | {"x-api-version": "11"}
    )


async def upload(buyer: Buyer, data: bytes) -> str:
    ticket = (await buyer.pay("/api/upload", WANTED)).json()
    return str((await put(buyer, ticket, data)).json()["url"])


async def test_an_upload_is_paid_put_confirmed_and_public(sandbox: Sandbox, buyer: Buyer) -> None:
    ticket = (await buyer.pay("/api/upload", WANTED)).json()
    assert set(ticket) == {"uploadId", "clientToken", "pathname", "expiresAt"}
    assert [transfer.value for transfer in sandbox.bank.transfers] == [10_000]

    stored = (await put(buyer, ticket, png())).json()
    assert stored["contentType"] == "image/png"
    assert "my-lake" in stored["pathname"]

    body = {"uploadId": ticket["uploadId"], "blobUrl": stored["url"]}
    asked = await buyer.http.post("/api/upload/confirm", json=body)
    proof = buyer.proof(asked.json())
    confirmed = await buyer.http.post("/api/upload/confirm", json=body, headers={"SIGN-IN-WITH-X": proof})
    assert confirmed.json() == {"success": True, "upload": {"id": ticket["uploadId"], "blobUrl": stored["url"]}}

    public = await buyer.http.get(stored["url"])
    assert (public.content, public.headers["content-type"]) == (png(), "image/png")


async def test_the_token_says_what_it_is_good_for(buyer: Buyer) -> None:
    ticket = (await buyer.pay("/api/upload", WANTED)).json()

    sealed = ticket["clientToken"].removeprefix("vercel_blob_client_").partition("_")[2]
    claims = json.loads(base64.b64decode(base64.b64decode(sealed).partition(b".")[2]))

    assert claims["pathname"] == ticket["pathname"]
    assert claims["validUntil"] == (buyer.clock.now + 300) * 1000
    assert claims["maximumSizeInBytes"] == 2000


async def test_the_blob_store_says_what_is_wrong(buyer: Buyer) -> None:
    ticket = (await buyer.pay("/api/upload", WANTED)).json()

    async def code(ticket: dict[str, Any], data: bytes = b"x", **changes: str) -> str:
        answer = await put(buyer, ticket, data, **changes)
        assert answer.status_code in (400, 403)
        return str(answer.json()["error"]["code"])

    assert await code(ticket, content_type="text/html") == "content_type_not_allowed"
    assert await code(ticket, bytes(2001)) == "file_too_large"
    assert await code(ticket, pathname="uploads/elsewhere.png") == "client_token_pathname_mismatch"
    forged = ticket["clientToken"][:-8] + "AAAAAAA="
    assert await code(ticket | {"clientToken": forged}) == "forbidden"
    assert await code(ticket | {"clientToken": "nonsense"}) == "forbidden"
    buyer.clock.now += 300
    assert await code(ticket) == "client_token_expired"


@pytest.mark.parametrize(
    ("changes", "status"),
    [({"uploadId": "c0"}, 404), ({"blobUrl": ORIGIN + "/blob/other.png"}, 400), ({"blobUrl": None}, 400)],
)
async def test_only_what_was_put_can_be_confirmed(buyer: Buyer, changes: dict[str, object], status: int) -> None:
    ticket = (await buyer.pay("/api/upload", WANTED)).json()
    url = (await put(buyer, ticket, png())).json()["url"]
    proof = buyer.proof((await buyer.http.post("/api/upload/confirm")).json())

    body = {"uploadId": ticket["uploadId"], "blobUrl": url} | changes
    answer = await buyer.http.post("/api/upload/confirm", json=body, headers={"SIGN-IN-WITH-X": proof})

    assert answer.status_code == status


async def test_an_uploaded_picture_is_the_first_frame(sandbox: Sandbox, buyer: Buyer, shots: Shots) -> None:
    url = await upload(buyer, png())
    job_id = (await buyer.pay(SEEDANCE, CLIP | {"image": url})).json()["jobId"]

    assert sandbox.jobs[job_id].done.wait(30)
    assert shots[0].frames == (png(),)
    assert (shots[0].width, shots[0].height, shots[0].seconds) == (1280, 720, 4)


async def test_a_public_picture_is_never_asked_for(sandbox: Sandbox, buyer: Buyer, shots: Shots) -> None:
    job_id = (await buyer.pay(SEEDANCE, CLIP | {"last_image": "https://pictures.example/b.jpg"})).json()["jobId"]

    assert sandbox.jobs[job_id].done.wait(30)
    assert shots[0].frames == (None, None)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/x.png", "https://127.0.0.1:1/x.png", ORIGIN + "/blob/gone.png"])
async def test_a_loopback_url_without_a_picture_is_an_uncharged_400(sandbox: Sandbox, buyer: Buyer, url: str) -> None:
    answer = await buyer.pay(SEEDANCE, CLIP | {"image": url})

    assert (answer.status_code, answer.json()["error"]) == (400, "Invalid image URL")
    assert not sandbox.jobs
    assert not sandbox.bank.transfers
