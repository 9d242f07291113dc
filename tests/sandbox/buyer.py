"""A buyer whose signatures are made by eth_account, not by anything of this repository."""

import base64
import json
from dataclasses import dataclass, field
from typing import Any

import httpx
from eth_account import Account
from eth_account.messages import encode_defunct
from eth_account.signers.local import LocalAccount
from x402.extensions.sign_in_with_x.message import create_siwx_message

KEYS = (
    "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
    "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
)
"""Accounts 0 and 1 of the mnemonic that anvil and hardhat share."""

ORIGIN = "http://127.0.0.1:9402"
SEEDANCE = "/api/generate/seedance/i2v"
FAST = "/api/generate/seedance-fast/i2v"
CLIP = {"prompt": "the lake wakes up", "image": "https://pictures.example/lake.jpg", "duration": "4"}
CLIP_2 = {"prompt": "the lake wakes up", "urls": ["https://pictures.example/lake.jpg"], "duration": "4"}

USDC_DOMAIN = {
    "name": "USD Coin",
    "version": "2",
    "chainId": 8453,
    "verifyingContract": "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913",
}
TRANSFER_TYPES = {
    "TransferWithAuthorization": [
        {"name": "from", "type": "address"},
        {"name": "to", "type": "address"},
        {"name": "value", "type": "uint256"},
        {"name": "validAfter", "type": "uint256"},
        {"name": "validBefore", "type": "uint256"},
        {"name": "nonce", "type": "bytes32"},
    ]
}


class Clock:
    """Epoch seconds that only move when told to."""

    def __init__(self) -> None:
        self.now = 1_790_000_001

    def __call__(self) -> int:
        return self.now


def pack(value: object) -> str:
    return base64.b64encode(json.dumps(value).encode()).decode()


def unpack(header: str) -> Any:
    return json.loads(base64.b64decode(header, validate=True))


def challenge_of(answer: httpx.Response) -> Any:
    assert answer.status_code == 402, answer.text
    return unpack(answer.headers["payment-required"])


@dataclass
class Buyer:
    http: httpx.AsyncClient
    clock: Clock
    account: LocalAccount = field(default_factory=lambda: Account.from_key(KEYS[0]))
    nonces: int = 0

    async def quote(self, path: str, body: object) -> Any:
        return challenge_of(await self.http.post(path, json=body))

    def authorization(self, offer: dict[str, Any], **changes: object) -> dict[str, Any]:
        self.nonces += 1
        fields = {
            "from": self.account.address,
            "to": offer["payTo"],
            "value": offer["amount"],
            "validAfter": "0",
            "validBefore": str(self.clock.now + 120),
            "nonce": f"0x{self.nonces:064x}",
        }
        return fields | changes

    def sign(self, authorization: dict[str, Any], **domain: object) -> str:
        message = {
            name: int(value) if name in ("value", "validAfter", "validBefore") else value
            for name, value in authorization.items()
        }
        signed = self.account.sign_typed_data(USDC_DOMAIN | domain, TRANSFER_TYPES, message)
        return "0x" + signed.signature.hex()

    def credential(self, challenge: dict[str, Any], signature: str | None = None, **changes: object) -> str:
        offer = challenge["accepts"][0]
        authorization = self.authorization(offer, **changes)
        payload = {"signature": signature or self.sign(authorization), "authorization": authorization}
        return envelope(challenge, payload)

    async def pay(self, path: str, body: object, credential: str | None = None) -> httpx.Response:
        if credential is None:
            credential = self.credential(await self.quote(path, body))
        return await self.http.post(path, json=body, headers={"PAYMENT-SIGNATURE": credential})

    async def login(self, path: str, **changes: object) -> str:
        """A SIGN-IN-WITH-X header that answers a fresh challenge for GET ``path``."""
        challenge = challenge_of(await self.http.get(path))
        return self.proof(challenge, **changes)

    def proof(self, challenge: dict[str, Any], **changes: object) -> str:
        info = challenge["extensions"]["sign-in-with-x"]["info"] | {"chainId": "eip155:8453", "type": "eip191"}
        info |= changes
        text = create_siwx_message(info, self.account.address)
        signature = self.account.sign_message(encode_defunct(text=text)).signature.hex()
        return pack(info | {"address": self.account.address, "signature": f"0x{signature}"})

    async def get(self, path: str) -> httpx.Response:
        """GET on a route that asks for a login."""
        return await self.http.get(path, headers={"SIGN-IN-WITH-X": await self.login(path)})


def envelope(challenge: dict[str, Any], payload: dict[str, Any], /, **changes: object) -> str:
    whole = {
        "x402Version": 2,
        "accepted": challenge["accepts"][0],
        "payload": payload,
        "resource": challenge["resource"],
        "extensions": challenge["extensions"],
    }
    return pack(whole | changes)
