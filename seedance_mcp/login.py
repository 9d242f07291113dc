"""Sign-in with the wallet for the seller's free routes, as an ``httpx.Auth``."""

import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx

from seedance_mcp.errors import BadLogin
from seedance_mcp.payment import siwx
from seedance_mcp.payment.wire import clean, origin, parse_json

if TYPE_CHECKING:
    from seedance_mcp.payment.wallet import Wallet

MAX_REQUESTS = 4
MAX_BODY = 64 * 1024
PROOF_SECONDS = 240
"""How long a proof without an end of its own is presented again: servers take one for about five minutes."""


def _epoch_seconds() -> int:
    return int(time.time())


@dataclass(frozen=True, slots=True)
class _Proof:
    header: str
    until: int


class WalletLogin(httpx.Auth):
    """Proves to one ``origin`` that the caller holds the wallet. One instance may serve many requests at once.

    The last proof is presented first; a server that wants a fresh one says so with a 402. Use it on a client that does
    not follow redirects, for a proof that was sent along to another host cannot be called back. No answer of the
    seller makes it pay: a 402 that demands money raises BadLogin, and so does a seller that is never satisfied.
    """

    def __init__(self, wallet: "Wallet", origin: str, clock: Callable[[], int] = _epoch_seconds) -> None:
        self._wallet = wallet
        self._origin = _origin(origin)
        self._clock = clock
        self._last: _Proof | None = None

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        self._require_origin(request.url)
        proof = self._last if self._last is not None and self._clock() < self._last.until else None
        challenge, why = None, ""
        for _ in range(MAX_REQUESTS):
            if challenge is not None:
                proof = self._prove(challenge, str(request.url))
            _present(request, proof)
            response = yield request
            if response.status_code != 402:
                self._last = proof or self._last
                return
            if self._last is proof:
                self._last = None
            self._require_origin(response.url)
            body = await _read(response)
            challenge = siwx.read_login_challenge(response.headers, body)
            if challenge is None and proof is None:
                raise BadLogin(f"The seller answered 402 on a free route without a sign-in challenge{_reason(body)}")
            proof, why = None, _reason(body)
        raise BadLogin(
            f"The seller did not take the sign-in{why}", next="Check this computer's clock, then call again."
        )

    def sync_auth_flow(self, _: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        raise RuntimeError("WalletLogin serves asynchronous clients only")

    def _prove(self, challenge: Mapping[str, object], url: str) -> _Proof:
        now = self._clock()
        header = siwx.answer(self._wallet, challenge, url=url, now=now)
        end = siwx.expires_at(challenge)
        return _Proof(header, now + PROOF_SECONDS if end is None else min(end, now + PROOF_SECONDS))

    def _require_origin(self, url: httpx.URL) -> None:
        if _origin(str(url)) != self._origin:
            raise BadLogin("A sign-in is only for the seller's own origin; nothing was signed")


class _Bounded(httpx.AsyncByteStream):
    """An answer's bytes, until there are too many of them."""

    def __init__(self, stream: httpx.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for chunk in self._stream:
            size += len(chunk)
            if size > MAX_BODY:
                raise BadLogin(f"The seller's sign-in challenge is larger than {MAX_BODY // 1024} KB")
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


async def _read(response: httpx.Response) -> bytes:
    assert isinstance(response.stream, httpx.AsyncByteStream)
    response.stream = _Bounded(response.stream)
    try:
        return await response.aread()
    except httpx.DecodingError:
        raise BadLogin("The seller's sign-in challenge cannot be decoded") from None


def _present(request: httpx.Request, proof: _Proof | None) -> None:
    request.headers.pop(siwx.HEADER, None)
    if proof is not None:
        request.headers[siwx.HEADER] = proof.header


def _reason(body: bytes) -> str:
    try:
        document = parse_json(body)
    except ValueError:
        return ""
    word = clean(document.get("error"), 60) if isinstance(document, dict) else ""
    return f'; it says: "{word}"' if word else ""


def _origin(url: str) -> tuple[str, str, int]:
    try:
        return origin(url)
    except ValueError as reason:
        raise BadLogin(f"The address of the sign-in {reason}") from None
