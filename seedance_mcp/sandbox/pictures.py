"""The picture behind an image URL. Nothing beyond this machine is ever asked for it."""

from ipaddress import ip_address
from urllib.parse import unquote, urlsplit

import httpx

from seedance_mcp.sandbox.blobs import Blobs

LIMIT = 30_000_000


class BadImageURL(Exception):
    """The URL does not lead straight to a picture."""


async def load(url: str, blobs: Blobs) -> bytes | None:
    """The bytes behind ``url``, or None for a public address, which a drawn picture stands in for."""
    parts = urlsplit(url)
    if not _is_loopback(parts.hostname or ""):
        return None
    if parts.path.startswith("/blob/"):
        blob = blobs.stored.get(unquote(parts.path.removeprefix("/blob/")))
        if blob is not None:
            return blob.data
    if parts.scheme != "http":
        raise BadImageURL(url)
    try:
        return await _fetch(url)
    except httpx.HTTPError as error:
        raise BadImageURL(url) from error


async def _fetch(url: str) -> bytes:
    data = bytearray()
    async with httpx.AsyncClient(trust_env=False, timeout=5) as http, http.stream("GET", url) as answer:
        if answer.status_code != 200 or not answer.headers.get("content-type", "").startswith("image/"):
            raise BadImageURL(url)
        async for chunk in answer.aiter_bytes():
            data += chunk
            if len(data) > LIMIT:
                raise BadImageURL(url)
    return bytes(data)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
