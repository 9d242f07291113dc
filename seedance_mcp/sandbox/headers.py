"""JSON in a header: standard base64, as x402 version 2 and Sign-in-with-X send it, and base64url, as MPP does."""

import base64
import json
import re
from collections.abc import Mapping
from typing import Any

_URL_SAFE = re.compile(r"[A-Za-z0-9_-]+")


def pack(value: Mapping[str, object]) -> str:
    return base64.b64encode(_compact(value)).decode()


def unpack(header: str) -> dict[str, Any]:
    """The JSON object in a header. Raises ValueError for anything else."""
    return _object(base64.b64decode(header, validate=True))


def pack_url_safe(value: Mapping[str, object]) -> str:
    """Without padding."""
    return base64.urlsafe_b64encode(_compact(value)).decode().rstrip("=")


def unpack_url_safe(header: str) -> dict[str, Any]:
    """The JSON object in a header, which has no padding. Raises ValueError for anything else."""
    if not _URL_SAFE.fullmatch(header):
        raise ValueError("not base64url without padding")
    return _object(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))


def _compact(value: Mapping[str, object]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _object(text: bytes) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return value
