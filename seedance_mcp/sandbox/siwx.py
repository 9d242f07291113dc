"""The seller's side of Sign-in-with-X on Base: a challenge, and the judgement of the proof that answers it."""

import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from eth_utils.address import is_address, to_checksum_address

from seedance_mcp.sandbox.bank import NETWORK
from seedance_mcp.sandbox.headers import unpack
from seedance_mcp.sandbox.signatures import recover, text_digest

EXTENSION = "sign-in-with-x"
LIFETIME = 300
"""Seconds that a proof is accepted for, from its ``issuedAt``."""

_CHAIN_ID = NETWORK.partition(":")[2]


class BadProof(Exception):
    """``args[0]`` is one of the ``siwx_…`` words."""


class Logins:
    """Challenges that are out, and who answers them.

    With ``track_nonces`` each challenge is answered once. Without, a proof serves every route until it is too old.
    """

    def __init__(self, clock: Callable[[], int], *, track_nonces: bool) -> None:
        self.clock = clock
        self.track_nonces = track_nonces
        self._open: set[str] = set()

    def challenge(self, url: str) -> dict[str, object]:
        """The JSON of a 402 that asks for a login, for header and body alike."""
        nonce = secrets.token_hex(16)
        self._open.add(nonce)
        now = self.clock()
        info = {
            "domain": urlsplit(url).hostname,  # without its port, as the live service sends it
            "uri": url,
            "version": "1",
            "nonce": nonce,
            "issuedAt": timestamp(now),
            "expirationTime": timestamp(now + LIFETIME),
            "statement": "Sign in to StableStudio",
            "resources": [url],
        }
        chains = [
            {"chainId": NETWORK, "type": "eip191"},
            {"chainId": "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp", "type": "ed25519"},
        ]
        return {
            "x402Version": 2,
            "error": "Sign in required",
            "resource": {"url": url},
            "accepts": [],
            "extensions": {EXTENSION: {"info": info, "supportedChains": chains}},
        }

    def judge(self, proof: str, url: str) -> str:
        """The checksummed address that a ``SIGN-IN-WITH-X`` header proves for ``url``. Raises BadProof."""
        try:
            fields = unpack(proof)
            self._check_binding(fields, url)
            self._check_time(fields)
            address = to_checksum_address(fields["address"])
            digest = text_digest(message(fields, address))
            signature = bytes.fromhex(fields["signature"].removeprefix("0x"))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BadProof("siwx_malformed") from error
        try:
            signer = recover(digest, signature)
        except ValueError as error:
            raise BadProof("siwx_invalid_signature") from error
        if signer != address:
            raise BadProof("siwx_invalid_signature")
        if self.track_nonces:
            if fields["nonce"] not in self._open:
                raise BadProof("siwx_nonce_used")
            self._open.remove(fields["nonce"])
        return address

    def _check_binding(self, fields: dict[str, Any], url: str) -> None:
        here, there = urlsplit(url), urlsplit(fields["uri"])
        bound = (
            fields["domain"] in (here.hostname, here.netloc)
            and (there.scheme, there.netloc) == (here.scheme, here.netloc)
            and fields["version"] == "1"
            and fields["chainId"] == NETWORK
            and fields["type"] == "eip191"
            and is_address(fields["address"])
        )
        if not bound:
            raise BadProof("siwx_malformed")

    def _check_time(self, fields: dict[str, Any]) -> None:
        now = self.clock()
        issued = _seconds(fields["issuedAt"])
        expires = _seconds(fields["expirationTime"]) if "expirationTime" in fields else issued + LIFETIME
        starts = _seconds(fields["notBefore"]) if "notBefore" in fields else issued
        if issued > now or starts > now:
            raise BadProof("siwx_malformed")
        if now >= min(issued + LIFETIME, expires):
            raise BadProof("siwx_expired")


def message(fields: dict[str, Any], address: str) -> str:
    """The EIP-4361 text that ``address`` must have signed. Raises KeyError or TypeError on malformed fields."""
    statement = fields.get("statement")
    lines = [
        f"{fields['domain']} wants you to sign in with your Ethereum account:",
        address,
        "",
        *([statement, ""] if statement is not None else [""]),
        f"URI: {fields['uri']}",
        f"Version: {fields['version']}",
        f"Chain ID: {_CHAIN_ID}",
        f"Nonce: {fields['nonce']}",
        f"Issued At: {fields['issuedAt']}",
    ]
    optional = (("Expiration Time", "expirationTime"), ("Not Before", "notBefore"), ("Request ID", "requestId"))
    lines += [f"{label}: {fields[name]}" for label, name in optional if name in fields]
    if "resources" in fields:
        lines += ["Resources:", *(f"- {resource}" for resource in fields["resources"])]
    return "\n".join(lines)


def timestamp(seconds: int) -> str:
    """ISO 8601 in UTC with milliseconds and ``Z``, as JavaScript writes it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def _seconds(text: str) -> int:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a time without its zone")
    return int(moment.timestamp())
