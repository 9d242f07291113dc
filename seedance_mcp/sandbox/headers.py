"""JSON in a header: standard base64, as x402 version 2 and Sign-in-with-X send it."""

import base64
import json
from collections.abc import Mapping
from typing import Any


def pack(value: Mapping[str, object]) -> str:
    return base64.b64encode(json.dumps(value, separators=(",", ":")).encode()).decode()


def unpack(header: str) -> dict[str, Any]:
    """The JSON object in a header. Raises ValueError for anything else."""
    value = json.loads(base64.b64decode(header, validate=True))
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return value
