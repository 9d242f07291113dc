"""A sign-in challenge, answered with a proof that the wallet is ours: never with money.

Sources: x402 extension sign-in-with-x; EIP-4361 for the text; EIP-191 for its signature.
"""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from seedance_mcp.errors import BadLogin
from seedance_mcp.payment.tokens import BASE_USDC
from seedance_mcp.payment.wire import MAX_BYTES, TIME, decode, encode, epoch_seconds, origin, parse_json

if TYPE_CHECKING:
    from seedance_mcp.payment.wallet import Wallet

HEADER = "SIGN-IN-WITH-X"
EXTENSION = "sign-in-with-x"
CHAIN = {"chainId": BASE_USDC.network, "type": "eip191"}
MAX_RESOURCES = 16

_NONCE = re.compile(r"[A-Za-z0-9]{8,128}")
_WORD = re.compile(r"[\x21-\x7e]{1,2048}")
_STATEMENT = re.compile(r"[\x20-\x7e]{1,500}")
_FIELDS = (
    ("domain", _WORD, True),
    ("statement", _STATEMENT, False),
    ("uri", _WORD, True),
    ("version", re.compile("1"), True),
    ("nonce", _NONCE, True),
    ("issuedAt", TIME, True),
    ("expirationTime", TIME, False),
    ("notBefore", TIME, False),
    ("requestId", _WORD, False),
)
"""Name, shape, and whether a challenge must have it. No shape lets a line break through."""


def read_login_challenge(headers: Mapping[str, str], body: bytes) -> Mapping[str, object] | None:
    """The challenge of a 402 on a free route, from its header or else its body; header names in lower case.

    None when it asks for no sign-in. Raises BadLogin when either of them demands a payment, or the header is garbled.
    """
    documents = [document for document in (_from_header(headers), _from_body(body)) if document is not None]
    for document in documents:
        _refuse_payment(document)
    return next((document for document in documents if _extension(document) is not None), None)


def answer(wallet: "Wallet", challenge: Mapping[str, object], *, url: str, now: int) -> str:
    """The SIGN-IN-WITH-X header for a request to ``url``; ``now`` in epoch seconds.

    Raises BadLogin for whatever should not be signed: another domain or origin, a chain that is not Base, fields that
    could forge lines of the signed text, a challenge outside its time, a demand for money.
    """
    _refuse_payment(challenge)
    extension = _extension(challenge)
    if extension is None:
        raise BadLogin("The seller's sign-in challenge has no sign-in-with-x extension")
    fields = _fields(extension)
    _check_place(fields, url)
    _check_time(fields, now)
    _check_chain(extension.get("supportedChains"))
    signature = wallet.sign_message(_message(fields, wallet.address))
    return encode({**fields, "address": wallet.address, **CHAIN, "signature": f"0x{signature.hex()}"})


def expires_at(challenge: Mapping[str, object]) -> int | None:
    """When the challenge's proof ends, in epoch seconds; None when it names no end. Raises BadLogin like ``answer``."""
    extension = _extension(challenge)
    end = _fields(extension).get("expirationTime") if extension is not None else None
    return _seconds(end) if isinstance(end, str) else None


def _from_header(headers: Mapping[str, str]) -> Mapping[str, object] | None:
    header = headers.get("payment-required")
    if header is None:
        return None
    try:
        document = decode(header)
    except ValueError as reason:
        raise BadLogin(f"The seller's PAYMENT-REQUIRED header {reason}") from None
    return document if isinstance(document, dict) else None


def _from_body(body: bytes) -> Mapping[str, object] | None:
    try:
        document = parse_json(body) if len(body) <= MAX_BYTES else None
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def _refuse_payment(challenge: Mapping[str, object]) -> None:
    accepts = challenge.get("accepts")
    if accepts is None:
        return
    if not isinstance(accepts, list) or not all(_costs_nothing(entry) for entry in accepts):
        raise BadLogin("A payment was demanded on a free route; nothing was signed")


def _costs_nothing(entry: object) -> bool:
    if not isinstance(entry, dict):
        return False
    # maxAmountRequired is what version 1 called the amount.
    amounts = [entry[key] for key in ("amount", "maxAmountRequired") if key in entry]
    return bool(amounts) and all(amount == "0" or (type(amount) is int and amount == 0) for amount in amounts)


def _extension(challenge: Mapping[str, object]) -> Mapping[str, object] | None:
    extensions = challenge.get("extensions")
    extension = extensions.get(EXTENSION) if isinstance(extensions, dict) else None
    return extension if isinstance(extension, dict) else None


def _fields(extension: Mapping[str, object]) -> dict[str, str | list[str]]:
    """The fields of the signed text that the challenge has, in its order."""
    info = extension.get("info")
    if not isinstance(info, dict):
        raise BadLogin("The seller's sign-in challenge has no fields")
    fields: dict[str, str | list[str]] = {}
    for name, shape, required in _FIELDS:
        value = info.get(name)
        if (value is None and not required) or (name == "statement" and value == ""):
            continue
        if not isinstance(value, str) or not shape.fullmatch(value):
            raise BadLogin(f"The seller's sign-in challenge has an unusable {name}")
        fields[name] = value
    if info.get("resources"):
        fields["resources"] = _resources(info["resources"])
    return fields


def _resources(resources: object) -> list[str]:
    if not isinstance(resources, list) or len(resources) > MAX_RESOURCES:
        raise BadLogin(f"The seller's sign-in challenge has no list of at most {MAX_RESOURCES} resources")
    if not all(isinstance(resource, str) and _WORD.fullmatch(resource) for resource in resources):
        raise BadLogin("The seller's sign-in challenge has an unusable resource")
    return resources


def _check_place(fields: Mapping[str, str | list[str]], url: str) -> None:
    try:
        here, there = origin(url), origin(str(fields["uri"]))
    except ValueError:
        raise BadLogin("The seller's sign-in challenge does not name this site") from None
    if not here.is_named(str(fields["domain"])):
        raise BadLogin("The seller's sign-in challenge is for another domain")
    if there != here:
        raise BadLogin("The seller's sign-in challenge is for a URI of another origin")


def _check_time(fields: Mapping[str, str | list[str]], now: int) -> None:
    _seconds(str(fields["issuedAt"]))
    if "expirationTime" in fields and _seconds(str(fields["expirationTime"])) <= now:
        raise BadLogin("The seller's sign-in challenge has expired")
    if "notBefore" in fields and _seconds(str(fields["notBefore"])) > now:
        raise BadLogin("The seller's sign-in challenge is not valid yet")


def _check_chain(chains: object) -> None:
    entries = chains if isinstance(chains, list) else []
    if not any(isinstance(entry, dict) and CHAIN.items() <= entry.items() for entry in entries):
        raise BadLogin(f"The seller's sign-in challenge does not take {CHAIN['chainId']} with {CHAIN['type']}")


def _seconds(time: str) -> int:
    try:
        return epoch_seconds(time)
    except ValueError:
        raise BadLogin("The seller's sign-in challenge has a time that does not exist") from None


def _message(fields: Mapping[str, str | list[str]], address: str) -> str:
    """EIP-4361's text. Without a statement its line goes, and the blank lines on both sides of it stay."""
    lines = [f"{fields['domain']} wants you to sign in with your Ethereum account:", address, ""]
    if "statement" in fields:
        lines.append(str(fields["statement"]))
    lines += [
        "",
        f"URI: {fields['uri']}",
        f"Version: {fields['version']}",
        f"Chain ID: {BASE_USDC.chain_id}",
        f"Nonce: {fields['nonce']}",
        f"Issued At: {fields['issuedAt']}",
    ]
    for name, label in (
        ("expirationTime", "Expiration Time"),
        ("notBefore", "Not Before"),
        ("requestId", "Request ID"),
    ):
        if name in fields:
            lines.append(f"{label}: {fields[name]}")
    if "resources" in fields:
        lines += ["Resources:", *(f"- {resource}" for resource in fields["resources"])]
    return "\n".join(lines)
