"""Challenges as the seller's framework writes them, and headers to put them in."""

import base64
import json
from dataclasses import replace
from typing import Any

from seedance_mcp.payment.tokens import BASE_USDC

KEY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
"""Account 0 of the mnemonic that anvil and hardhat share."""
ADDRESS = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"

ORIGIN = "https://stablestudio.dev"
URL = f"{ORIGIN}/api/generate/seedance/i2v"
PAY_TO = "0x07f067959297767c887dbfa3c72379c66e82a045"
USDC = "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913"
BASE_SEPOLIA_USDC = replace(
    BASE_USDC, network="eip155:84532", chain_id=84532, address="0x036CbD53842c5426634e7929541eC2318f3dCF7e", name="USDC"
)
"""Test money, which is never accepted."""
NOW = 1_800_000_000


def entry(**changes: Any) -> dict[str, Any]:
    """An entry of ``accepts`` that is fine but for the changes; a change to ``...`` leaves the key out."""
    whole = {
        "scheme": "exact",
        "network": "eip155:8453",
        "amount": "412500",
        "asset": USDC,
        "payTo": PAY_TO,
        "maxTimeoutSeconds": 300,
        "extra": {"name": "USD Coin", "version": "2"},
    } | changes
    return {key: value for key, value in whole.items() if value is not ...}


def document(*entries: Any, **changes: Any) -> dict[str, Any]:
    whole = {
        "x402Version": 2,
        "error": "Payment required",
        "resource": {"url": URL, "description": "Seedance", "mimeType": "application/json"},
        "accepts": list(entries) or [entry()],
    } | changes
    return {key: value for key, value in whole.items() if value is not ...}


def encoded(value: Any) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.b64encode(data).decode()


def required(value: Any) -> dict[str, str]:
    """The headers of a 402; bytes are taken as they are."""
    return {"payment-required": encoded(value)}


def decoded(header: str) -> Any:
    return json.loads(base64.b64decode(header, validate=True))


def login(*, accepts: Any = (), chains: Any = None, **info: Any) -> dict[str, Any]:
    """A sign-in challenge, with changes to its fields as in ``entry``."""
    fields = {
        "domain": "stablestudio.dev",
        "uri": f"{ORIGIN}/api/jobs",
        "version": "1",
        "nonce": "a1b2c3d4e5f67890a1b2c3d4e5f67890",
        "issuedAt": "2027-01-15T08:00:00.000Z",
        "expirationTime": "2027-01-15T08:05:00.000Z",
    } | info
    return {
        "x402Version": 2,
        "accepts": list(accepts),
        "extensions": {
            "sign-in-with-x": {
                "info": {key: value for key, value in fields.items() if value is not ...},
                "supportedChains": [{"chainId": "eip155:8453", "type": "eip191"}] if chains is None else chains,
            }
        },
    }


USDCE = "0x20C000000000000000000000b9537d11c60E8b50"
EXPIRES = "2027-01-15T08:05:00.000Z"
"""Five minutes after NOW."""


def charge(*, details: Any = None, **changes: Any) -> dict[str, Any]:
    """The request of an MPP charge, with changes as in ``entry``; ``details`` are changes to methodDetails."""
    whole = {
        "amount": "412500",
        "currency": USDCE,
        "recipient": PAY_TO,
        "methodDetails": {
            key: value for key, value in ({"chainId": 4217} | (details or {})).items() if value is not ...
        },
    } | changes
    return {key: value for key, value in whole.items() if value is not ...}


def url_safe(value: Any) -> str:
    """Base64url without padding, of JSON or of bytes as they are."""
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def payment(request: Any = None, **changes: Any) -> str:
    """One Payment challenge of WWW-Authenticate, with changes to its parameters as in ``entry``.

    ``request`` is encoded, unless it is a string, which is taken as it is.
    """
    whole = {
        "id": "kM9xPqWvT2nJrHsY4aDfEb",
        "realm": "stablestudio.dev",
        "method": "tempo",
        "intent": "charge",
        "request": request
        if request is ... or isinstance(request, str)
        else url_safe(charge() if request is None else request),
        "expires": EXPIRES,
    } | changes
    return "Payment " + ", ".join(f'{name}="{value}"' for name, value in whole.items() if value is not ...)
