"""What payment and login headers are made of: base64 JSON, origins, times, and words of the seller.

Everything here reads hostile bytes: each failure is a ``ValueError`` whose text completes a sentence about the header
("is not base64"), and nothing of the input is in it.
"""

import base64
import binascii
import json
import math
import re
from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple
from urllib.parse import urlsplit

from seedance_mcp.words import visible

MAX_BYTES = 32 * 1024
MAX_DEPTH = 32
MAX_DIGITS = 20
TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:Z|[+-][0-9]{2}:[0-9]{2})")
"""RFC 3339."""

_PORTS = {"http": 80, "https": 443}
_URL = re.compile(r"[\x21-\x7e]{1,2048}")
_URL_SAFE = re.compile(r"[A-Za-z0-9_-]*")


class Origin(NamedTuple):
    scheme: str
    host: str
    port: int

    def is_named(self, domain: str) -> bool:
        """Whether ``domain`` is this host, with or without its port: frameworks differ in that."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return domain.lower() in (host, f"{host}:{self.port}")


def origin(url: str) -> Origin:
    """The origin of an absolute http(s) URL, its port filled in. Raises ValueError for anything else."""
    # urlsplit drops tabs and newlines and tolerates backslashes, which other readers of the same URL do not.
    if not _URL.fullmatch(url) or "\\" in url:
        raise ValueError("is not a plain ASCII URL")
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname or "@" in parts.netloc:
        raise ValueError("is not an absolute http(s) URL without a user name")
    port = parts.port
    return Origin(parts.scheme, parts.hostname, _PORTS[parts.scheme] if port is None else port)


def decode(header: str) -> object:
    """The JSON in a header of standard, padded base64. Raises ValueError."""
    if len(header) > MAX_BYTES:
        raise ValueError(f"is larger than {MAX_BYTES // 1024} KB")
    try:
        data = binascii.a2b_base64(header.encode("ascii"), strict_mode=True)
    except (binascii.Error, UnicodeEncodeError):
        raise ValueError("is not base64") from None
    return parse_json(data)


def encode(document: object) -> str:
    """Standard base64 of compact ASCII JSON."""
    return base64.b64encode(_compact(document)).decode("ascii")


def decode_url_safe(text: str) -> object:
    """The JSON in base64url without padding (RFC 4648, section 5). Raises ValueError."""
    if len(text) > MAX_BYTES:
        raise ValueError(f"is larger than {MAX_BYTES // 1024} KB")
    if not _URL_SAFE.fullmatch(text) or len(text) % 4 == 1:
        raise ValueError("is not base64url")
    return parse_json(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def encode_url_safe(document: object) -> str:
    """Base64url, without padding, of compact ASCII JSON."""
    return base64.urlsafe_b64encode(_compact(document)).decode("ascii").rstrip("=")


def epoch_seconds(time: str) -> int:
    """An RFC 3339 time in whole seconds, its fraction dropped. Raises ValueError."""
    if not TIME.fullmatch(time):
        raise ValueError("is not an RFC 3339 time")
    try:
        return int(datetime.fromisoformat(time).timestamp())
    except (ValueError, OverflowError):
        raise ValueError("is a time that does not exist") from None


def parse_json(data: bytes) -> object:
    """JSON that two readers cannot understand differently. Raises ValueError for anything else.

    Refused beside malformed text: duplicate keys, more than 32 levels, integers of more than 20 digits, numbers that
    are not finite.
    """
    try:
        document: object = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_int=_integer,
            parse_float=_finite,
            parse_constant=_finite,
        )
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8") from None
    except json.JSONDecodeError:
        raise ValueError("is not JSON") from None
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    _check_depth(document, MAX_DEPTH)
    return document


def clean(text: object, limit: int = 200) -> str:
    """Words of the seller, fit to be shown: one line of at most ``limit``, and nothing that cannot be seen."""
    return visible(text, limit) if isinstance(text, str) else ""


def _compact(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":"), allow_nan=False).encode("ascii")


def _unique(pairs: Iterable[tuple[str, object]]) -> dict[str, object]:
    members: dict[str, object] = {}
    for key, value in pairs:
        if key in members:
            raise ValueError("has a key twice")
        members[key] = value
    return members


def _integer(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise ValueError(f"has a number of more than {MAX_DIGITS} digits")
    return int(digits)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("has a number that is not finite")
    return number


def _check_depth(value: object, left: int) -> None:
    if not isinstance(value, dict | list):
        return
    if not left:
        raise ValueError("is nested too deeply")
    for child in value.values() if isinstance(value, dict) else value:
        _check_depth(child, left - 1)
