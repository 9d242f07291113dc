"""Bounded downloads from addresses that others name: finished clips, public images."""

import builtins
import os
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from itertools import count
from pathlib import Path
from socket import SOCK_STREAM
from typing import BinaryIO

import anyio
import httpx
from anyio.to_thread import run_sync

from seedance_mcp.errors import StudioRejected, StudioUnavailable
from seedance_mcp.mp4 import is_mp4

__all__ = ["Fetcher", "is_mp4", "is_public", "lookup"]

_NAT64 = IPv6Network("64:ff9b::/96")
_GLOBAL_UNICAST = IPv6Network("2000::/3")
_DEAD = frozenset({403, 404, 410})
"""403 too: object stores answer it to a signed link that has run out."""
_BUSY = frozenset({408, 425, 429})
_PART = ".seedance-"
_LEFT_SECONDS = 3600
"""After which a download that nothing was written to is nobody's any more."""


async def lookup(host: str, port: int) -> list[str]:
    """Every address of ``host``, best first. Raises OSError or UnicodeError."""
    return [str(entry[4][0]) for entry in await anyio.getaddrinfo(host, port, type=SOCK_STREAM)]


def is_public(address: str) -> bool:
    """Whether ``address`` belongs to the open internet, and to nothing of this machine or its network."""
    ip = ip_address(address.partition("%")[0])
    if isinstance(ip, IPv6Address):
        if ip in _NAT64:
            return is_public(str(IPv4Address(int(ip) & 0xFFFF_FFFF)))
        if ip not in _GLOBAL_UNICAST or ip.sixtofour or ip.teredo:  # the last two wrap an IPv4 address
            return False
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified)


class Fetcher:
    """Downloads over ``http`` from https URLs whose host has public addresses only. No redirect is followed.

    ``allow_hosts`` are loopback peers (``"host"`` or ``"host:port"``) that may be asked too, over http as well.
    ``patience`` bounds one download, in seconds. The connection goes to an address that was checked, whatever the name
    leads to a moment later; ``http`` must not be one that goes through a proxy.

    Raises StudioUnavailable where trying again may help, else StudioRejected with the code ``forbidden_address``,
    ``link_dead``, ``redirected``, ``too_large``, ``not_a_video``, ``not_an_image`` or ``download_refused``.
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        allow_hosts: frozenset[str] = frozenset(),
        *,
        patience: int = 900,
        resolve: Callable[[str, int], Awaitable[Sequence[str]]] = lookup,
    ) -> None:
        self._http = http
        self._allow_hosts = allow_hosts
        self._patience = patience
        self._resolve = resolve

    async def bytes(self, url: str, limit: int) -> tuple[builtins.bytes, str]:
        """A body of at most ``limit`` bytes, and its content type in lower case, without parameters."""
        body = bytearray()
        async with self._open(url, limit) as response:
            async for chunk in _bounded(response, limit):
                body += chunk
        kind: str = response.headers.get("content-type", "")
        return builtins.bytes(body), kind.partition(";")[0].strip().lower()

    async def image(self, url: str, limit: int = 30_000_000) -> builtins.bytes:
        """What the seller would get for a public image URL. Only its stated type is looked at, not the picture."""
        body, kind = await self.bytes(url, limit)
        if kind and not kind.startswith(("image/", "application/octet-stream", "binary/octet-stream")):
            raise StudioRejected(f"the link leads to {kind[:60]!r}, not to an image", code="not_an_image")
        return body

    async def alive(self, url: str) -> bool:
        """Whether a link still leads somewhere, without fetching it. False only when its host says that it is dead.

        A refused method or an outage says nothing about the link. Raises StudioRejected (``forbidden_address``).
        """
        # Some stores know no HEAD and answer it with 403 or 404, so only a GET is believed when it says so too.
        return await self._answers(url, "HEAD") or await self._answers(url, "GET")

    async def _answers(self, url: str, method: str) -> bool:
        try:
            async with self._open(url, None, method=method):
                return True
        except StudioRejected as error:
            if error.code == "forbidden_address":
                raise
            return error.code != "link_dead"
        except StudioUnavailable:
            return True

    def allows(self, url: str) -> bool:
        """Whether ``url`` is on one of the loopback peers that may be asked."""
        try:
            return self._allowed(httpx.URL(url))
        except httpx.InvalidURL:
            return False

    async def save(
        self,
        url: str,
        destination: Path,
        limit: int = 2_000_000_000,
        check: Callable[[Path], str | None] = is_mp4,
    ) -> Path:
        """Downloads to ``destination``, or to ``name-2.mp4`` and so on beside it if that name is taken: the path.

        Nobody ever sees a part of the file under that name. Raises OSError when the disk refuses.
        """
        async with self._open(url, limit) as response:
            descriptor, name = await run_sync(_temporary, destination.parent)
            part = Path(name)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    async for chunk in _bounded(response, limit):
                        await run_sync(file.write, chunk)
                    await run_sync(_flush, file)
                if problem := await run_sync(check, part):
                    raise StudioRejected(f"the download is not a video: {problem}", code="not_a_video")
                return await run_sync(_publish, part, destination)
            finally:
                _discard(part)

    @asynccontextmanager
    async def _open(self, url: str, limit: int | None, method: str = "GET") -> AsyncIterator[httpx.Response]:
        try:
            with anyio.fail_after(self._patience):
                response = await self._request(url, method)
                try:
                    _judge(response, limit)
                    yield response
                finally:
                    await response.aclose()
        except TimeoutError as error:
            raise StudioUnavailable(f"the download did not end within {self._patience} s") from error
        except httpx.TransportError as error:
            raise StudioUnavailable(f"the download failed ({type(error).__name__})") from error

    async def _request(self, text: str, method: str) -> httpx.Response:
        """The answer's head, from the first checked address that takes the connection."""
        url = self._parsed(text)
        for address in await self._addresses(url):
            request = self._http.build_request(
                method,
                url.copy_with(host=address),
                # One connection each: the next host at this address has to show a certificate of its own.
                headers={"host": url.netloc.decode(), "accept-encoding": "identity", "connection": "close"},
                extensions={"sni_hostname": url.raw_host.decode()},
            )
            try:
                return await self._http.send(request, stream=True, auth=None, follow_redirects=False)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                continue
        raise StudioUnavailable(f"{url.host} could not be reached")

    def _parsed(self, text: str) -> httpx.URL:
        try:
            url = httpx.URL(text)
        except httpx.InvalidURL:
            raise _forbidden("the link is not a URL") from None
        secure = url.scheme == "https" or (url.scheme == "http" and self._allowed(url))
        if not (secure and url.host and 0 < _port(url) < 65536) or url.userinfo:
            raise _forbidden("the link is not a plain https URL")
        return url

    def _allowed(self, url: httpx.URL) -> bool:
        return not self._allow_hosts.isdisjoint({url.host, f"{url.host}:{_port(url)}"})

    async def _addresses(self, url: httpx.URL) -> Sequence[str]:
        host = url.raw_host.decode()
        try:
            addresses = await self._resolve(host, _port(url))
        except (OSError, UnicodeError) as error:
            raise StudioUnavailable(f"the address of {host} could not be found") from error
        fits = _is_loopback if self._allowed(url) else is_public
        if not all(map(fits, addresses)):
            raise _forbidden(f"{host} leads to an address that is not on the open internet")
        return addresses


def _port(url: httpx.URL) -> int:
    return url.port or (443 if url.scheme == "https" else 80)


def _is_loopback(address: str) -> bool:
    return ip_address(address.partition("%")[0]).is_loopback


def _forbidden(what: str) -> StudioRejected:
    return StudioRejected(what, code="forbidden_address")


def _too_large(limit: int) -> StudioRejected:
    return StudioRejected(f"the download is larger than {limit:,} bytes", code="too_large")


def _judge(response: httpx.Response, limit: int | None) -> None:
    status, length = response.status_code, response.headers.get("content-length", "")
    if status >= 500 or status in _BUSY:
        raise StudioUnavailable(f"the download was answered with {status}")
    if status in _DEAD:
        raise StudioRejected(f"the link is dead: it was answered with {status}", code="link_dead")
    if 300 <= status < 400:
        raise StudioRejected("the link redirects, which is not followed", code="redirected")
    if status != 200 or response.headers.get("content-encoding", "identity") != "identity":
        raise StudioRejected(f"the download was answered with {status}, not with a plain body", code="download_refused")
    if limit is not None and length.isdecimal() and int(length[:20]) > limit:
        raise _too_large(limit)


async def _bounded(response: httpx.Response, limit: int) -> AsyncIterator[bytes]:
    received = 0
    async for chunk in response.aiter_bytes():
        received += len(chunk)
        if received > limit:
            raise _too_large(limit)
        yield chunk


def _temporary(folder: Path) -> tuple[int, str]:
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob(f"{_PART}*.part"):  # by a process that was killed
        with suppress(OSError):
            if left.stat().st_mtime_ns < time.time_ns() - _LEFT_SECONDS * 10**9:
                left.unlink()
    return tempfile.mkstemp(prefix=_PART, suffix=".part", dir=folder)


def _flush(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _publish(part: Path, destination: Path) -> Path:
    """Gives the finished file its name, or the next free one; another file is never written over."""
    for number in count(1):
        place = destination if number == 1 else destination.with_stem(f"{destination.stem}-{number}")
        with suppress(FileExistsError):
            _claim(part, place)
            return place
    raise AssertionError("the numbers ended")


def _claim(part: Path, place: Path) -> None:
    try:
        place.hardlink_to(part)
    except OSError:  # perhaps a file system without hard links: hold the name if it is free, then take it over
        os.close(os.open(place, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        part.replace(place)


def _discard(part: Path) -> None:
    part.unlink(missing_ok=True)
