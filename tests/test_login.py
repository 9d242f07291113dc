import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import httpx
import pytest
from x402.extensions.sign_in_with_x import parse_siwx_header, verify_siwx_signature

from seedance_mcp.errors import BadLogin
from seedance_mcp.login import MAX_BODY, PROOF_SECONDS, WalletLogin
from seedance_mcp.payment.wallet import Wallet
from tests.payment.examples import ADDRESS, KEY, NOW, ORIGIN, entry, login, required

JOBS = f"{ORIGIN}/api/jobs"


class Signatures(Wallet):
    """A wallet that counts what it signs."""

    __slots__ = ("count",)

    def __init__(self, key: bytes) -> None:
        super().__init__(key)
        self.count = 0

    def sign_digest(self, digest: bytes) -> bytes:
        self.count += 1
        return super().sign_digest(digest)


class Seller:
    """A free route whose proofs the x402 SDK judges. ``tracks_nonces`` takes each proof once."""

    def __init__(self, *, tracks_nonces: bool = False, asks_at_once: bool = False, **info: Any) -> None:
        self.requests: list[httpx.Request] = []
        self._tracks_nonces = tracks_nonces
        self._asks_at_once = asks_at_once
        self.info = info
        self._used: set[str] = set()

    @property
    def proofs(self) -> list[bool]:
        return ["sign-in-with-x" in request.headers for request in self.requests]

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(
            httpx.Request(request.method, request.url, headers=request.headers, content=request.content)
        )
        header = request.headers.get("sign-in-with-x")
        if header is None:
            return self._ask()
        payload = parse_siwx_header(header)
        verdict = await verify_siwx_signature(payload)
        if not verdict.is_valid or verdict.payer != ADDRESS:
            return httpx.Response(402, json={"error": "siwx_invalid_signature"})
        if self._tracks_nonces and payload.nonce in self._used:
            return self._ask() if self._asks_at_once else httpx.Response(402, json={"error": "siwx_nonce_used"})
        self._used.add(payload.nonce)
        return httpx.Response(200, json={"jobs": []})

    def _ask(self) -> httpx.Response:
        challenge = login(nonce=f"nonce{len(self.requests):08d}", **self.info)
        return httpx.Response(402, headers=required(challenge))


def client(seller: Callable[[httpx.Request], Any], auth: WalletLogin, **options: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.MockTransport(seller), auth=auth, **options)


def wallet_login(clock: Callable[[], int] = lambda: NOW) -> tuple[Signatures, WalletLogin]:
    wallet = Signatures.from_hex(KEY)
    return wallet, WalletLogin(wallet, ORIGIN, clock)


async def test_one_proof_serves_many_requests() -> None:
    seller, (wallet, auth) = Seller(), wallet_login()
    async with client(seller, auth) as http:
        for _ in range(3):
            assert (await http.get(JOBS)).status_code == 200
    assert seller.proofs == [False, True, True, True]
    assert wallet.count == 1


@pytest.mark.parametrize(("asks_at_once", "more"), [(False, [True, False, True]), (True, [True, True])])
async def test_a_server_that_takes_a_proof_once_is_asked_afresh(asks_at_once: bool, more: list[bool]) -> None:
    seller, (wallet, auth) = Seller(tracks_nonces=True, asks_at_once=asks_at_once), wallet_login()
    async with client(seller, auth) as http:
        assert (await http.get(JOBS)).status_code == 200
        assert (await http.get(JOBS)).status_code == 200
    assert seller.proofs == [False, True, *more]
    assert wallet.count == 2


@pytest.mark.parametrize(("end", "seconds"), [(..., PROOF_SECONDS), ("2027-01-15T08:00:30Z", 30)])
async def test_a_proof_is_not_presented_after_its_end(end: Any, seconds: int) -> None:
    now = [NOW]
    seller, (wallet, auth) = Seller(expirationTime=end), wallet_login(lambda: now[0])
    async with client(seller, auth) as http:
        await http.get(JOBS)
        now[0] += seconds - 1
        await http.get(JOBS)
        assert seller.proofs == [False, True, True]
        now[0] += 1
        seller.info = {"expirationTime": ...}
        await http.get(JOBS)
    assert seller.proofs == [False, True, True, False, True]
    assert wallet.count == 2


async def test_many_requests_at_once_all_sign_in() -> None:
    seller, (_, auth) = Seller(tracks_nonces=True), wallet_login()
    statuses = []

    async def look(http: httpx.AsyncClient) -> None:
        statuses.append((await http.get(JOBS)).status_code)

    async with client(seller, auth) as http:
        await http.get(JOBS)
        async with anyio.create_task_group() as group:
            for _ in range(8):
                group.start_soon(look, http)
    assert statuses == [200] * 8


async def test_the_body_is_sent_again_with_the_proof() -> None:
    seller, (_, auth) = Seller(), wallet_login()
    async with client(seller, auth) as http:
        await http.post(f"{ORIGIN}/api/upload/confirm", json={"uploadId": "u"})
    assert [request.content for request in seller.requests] == [b'{"uploadId":"u"}'] * 2


@pytest.mark.parametrize(
    "url",
    [
        "https://stablestudio.io/api/jobs",
        "http://stablestudio.dev/api/jobs",
        "https://stablestudio.dev:8443/api/jobs",
        "https://vercel.com/api/blob/",
    ],
)
async def test_another_origin_gets_nothing(url: str) -> None:
    seller, (wallet, auth) = Seller(), wallet_login()
    async with client(seller, auth) as http:
        with pytest.raises(BadLogin, match="own origin"):
            await http.get(url)
    assert not seller.requests
    assert wallet.count == 0


@pytest.mark.parametrize("status", [301, 307])
async def test_a_redirect_to_another_origin_gets_no_signature(status: int) -> None:
    def redirect(request: httpx.Request) -> httpx.Response:
        if request.url.host == "stablestudio.dev":
            return httpx.Response(status, headers={"location": "https://evil.example/"})
        return httpx.Response(402, headers=required(login(domain="evil.example", uri="https://evil.example/")))

    wallet, auth = wallet_login()
    async with client(redirect, auth, follow_redirects=True) as http:
        with pytest.raises(BadLogin, match="own origin"):
            await http.get(JOBS)
    assert wallet.count == 0


@pytest.mark.parametrize("challenge", [login(accepts=[entry()]), {"x402Version": 2, "accepts": [entry()]}])
async def test_a_demand_for_money_on_a_free_route_is_not_answered(challenge: dict[str, Any]) -> None:
    seen: list[httpx.Request] = []

    def demand(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(402, headers=required(challenge) | {"www-authenticate": 'Payment id="1"'})

    wallet, auth = wallet_login()
    async with client(demand, auth) as http:
        with pytest.raises(BadLogin, match="payment was demanded on a free route; nothing was signed"):
            await http.get(JOBS)
    assert len(seen) == 1
    assert wallet.count == 0


async def test_a_demand_for_money_after_a_proof_is_not_answered_either() -> None:
    seen: list[list[str]] = []

    def demand(request: httpx.Request) -> httpx.Response:
        seen.append([name for name in request.headers if "payment" in name or "authorization" in name])
        signed_in = "sign-in-with-x" in request.headers
        return httpx.Response(402, headers=required(login(accepts=[entry()] if signed_in else [])))

    wallet, auth = wallet_login()
    async with client(demand, auth) as http:
        with pytest.raises(BadLogin, match="payment was demanded"):
            await http.get(JOBS)
    assert seen == [[], []]
    assert wallet.count == 1


async def test_a_seller_that_is_never_satisfied_gets_four_requests() -> None:
    seen: list[httpx.Request] = []

    def ask(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(402, json=login() | {"error": "siwx_expired\u202e"})

    wallet, auth = wallet_login()
    async with client(ask, auth) as http:
        with pytest.raises(BadLogin, match='did not take the sign-in; it says: "siwx_expired"'):
            await http.get(JOBS)
    assert len(seen) == 4
    assert wallet.count == 3


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"error":"siwx_missing_header"}'])
async def test_a_402_without_a_challenge_is_not_repeated(body: bytes) -> None:
    seen: list[httpx.Request] = []

    def refuse(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(402, content=body)

    wallet, auth = wallet_login()
    async with client(refuse, auth) as http:
        with pytest.raises(BadLogin, match="without a sign-in challenge"):
            await http.get(JOBS)
    assert len(seen) == 1
    assert wallet.count == 0


async def test_an_endless_challenge_is_cut_off() -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 1024
            yield b" " * 1024

    _, auth = wallet_login()
    async with client(lambda _: httpx.Response(402, content=endless()), auth) as http:
        with pytest.raises(BadLogin, match="larger than 64 KB"):
            await http.get(JOBS)
    assert sent <= MAX_BODY + 2048


@pytest.mark.parametrize("status", [200, 401, 403, 404, 500])
async def test_any_other_answer_is_handed_on_unread(status: int) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"{}"

    _, auth = wallet_login()
    http = client(lambda _: httpx.Response(status, content=body()), auth)
    async with http, http.stream("GET", JOBS) as response:
        assert response.status_code == status
        assert not response.is_stream_consumed
        assert json.loads(await response.aread()) == {}


def test_a_synchronous_client_is_refused() -> None:
    _, auth = wallet_login()
    transport = httpx.MockTransport(lambda _: httpx.Response(200))
    with httpx.Client(transport=transport, auth=auth) as http, pytest.raises(RuntimeError, match="asynchronous"):
        http.get(JOBS)
