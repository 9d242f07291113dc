"""Signatures of webhooks, by the Standard Webhooks specification 1.0.0 (www.standardwebhooks.com)."""

import base64
import binascii
import hashlib
import hmac
import os
import stat
from collections.abc import Mapping
from pathlib import Path

from seedance_mcp.errors import InvalidSettings

PREFIX = "whsec_"
SHORTEST, LONGEST = 24, 64
"""Bytes of a secret, as the specification has them."""
_LARGEST_FILE = 1_000
_MAKE = "Write one: `(umask 077; openssl rand -base64 32 > FILE)`, and give the same to the receiver."

_NAME = (
    "Make a secret with `(umask 077; openssl rand -base64 32 > FILE)`, name the file in SEEDANCE_ALERT_SECRET_FILE, "
    "and give the secret to the receiver."
)


def read_secret(path: Path | None) -> bytes:
    """The secret in the first line of a file that only its owner can read. Raises InvalidSettings, without it."""
    if path is None:
        raise InvalidSettings("SEEDANCE_ALERT_URL is set without SEEDANCE_ALERT_SECRET_FILE", next=_NAME)
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            line = file.read(_LARGEST_FILE).partition(b"\n")[0].strip()
    except OSError as error:
        raise InvalidSettings(f"the alerts' secret {path} cannot be read ({error.strerror})", next=_MAKE) from None
    if os.name == "posix" and stat.S_IMODE(mode) & 0o077:
        raise InvalidSettings(f"the alerts' secret {path} can be read by other users", next=f"Run `chmod 600 {path}`.")
    try:
        secret = base64.b64decode(line.removeprefix(PREFIX.encode()), validate=True)
    except (binascii.Error, ValueError):
        secret = b""
    if not SHORTEST <= len(secret) <= LONGEST:
        raise InvalidSettings(
            f"{path} does not hold {SHORTEST} to {LONGEST} bytes in base64, with or without {PREFIX}", next=_MAKE
        )
    return secret


def signed(secret: bytes, message_id: str, body: bytes, now: int) -> Mapping[str, str]:
    """The headers of one attempt at ``now`` (epoch seconds) to send ``body``."""
    content = b".".join((message_id.encode(), str(now).encode(), body))
    signature = base64.b64encode(hmac.digest(secret, content, hashlib.sha256)).decode()
    return {"webhook-id": message_id, "webhook-timestamp": str(now), "webhook-signature": f"v1,{signature}"}
