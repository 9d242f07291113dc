"""The blob store behind an upload: what its client token allows, and what its errors mean.

The token is ``vercel_blob_client_<store>_<base64("<hmac>.<base64 JSON>")>``. Its JSON holds ``validUntil`` in epoch
milliseconds and may hold ``maximumSizeInBytes`` and ``allowedContentTypes`` (``@vercel/blob``, client uploads).
"""

import base64
import json
import re
from collections.abc import Mapping
from fnmatch import fnmatchcase

from seedance_mcp.errors import StudioError, StudioRejected, StudioUnavailable
from seedance_mcp.studio.answers import outage, told
from seedance_mcp.studio.models import Answer, UploadTicket

_CODE = re.compile(r"[a-z_]{1,64}", re.ASCII)
_NEW_TICKET = "Call upload_image again; a new upload is paid anew."


def check_token(ticket: UploadTicket, size: int, content_type: str, now: float) -> None:
    """Raises StudioRejected, with the store's own code, if the store would turn the file away.

    A token that cannot be read allows everything here: the store will say what it thinks.
    """
    terms = _terms(ticket)
    until, largest, allowed = valid_until(ticket), terms.get("maximumSizeInBytes"), terms.get("allowedContentTypes")
    if until is not None and now >= until:
        raise StudioRejected("the upload's token has run out", next=_NEW_TICKET, code="client_token_expired")
    if isinstance(largest, int) and size > largest:
        raise StudioRejected(f"the file has {size} bytes; the upload allows {largest}", code="file_too_large")
    if isinstance(allowed, list) and not any(fnmatchcase(content_type, str(kind)) for kind in allowed):
        raise StudioRejected(f"the upload does not allow {content_type}", code="content_type_not_allowed")


def valid_until(ticket: UploadTicket) -> int | None:
    """Epoch seconds at which the ticket dies: by its token, else by the seller's word, else None."""
    stated = _terms(ticket).get("validUntil")
    return stated // 1000 if isinstance(stated, int) else ticket.expires_at


def headers_for(ticket: UploadTicket, content_type: str) -> dict[str, str]:
    """The headers of the PUT; the token is the only credential in them."""
    return {
        "authorization": f"Bearer {ticket.client_token}",
        "content-type": content_type,
        "x-content-type": content_type,
        "x-api-version": "11",
    }


def rejection(answer: Answer) -> StudioError:
    """The error for a PUT that did not succeed."""
    if answer.status < 400:
        return outage(answer)
    return StudioRejected(
        told(f"the blob store refused the file ({answer.status})", answer),
        next=_NEW_TICKET if _code(answer) == "client_token_expired" else "Call again with the same image in a minute.",
        code=_code(answer),
    )


def _code(answer: Answer) -> str:
    try:
        body = answer.json()
    except StudioUnavailable:
        body = None
    error = body.get("error") if isinstance(body, dict) else None
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, str) and _CODE.fullmatch(code) else "blob_rejected"


def _terms(ticket: UploadTicket) -> Mapping[str, object]:
    payload = ticket.client_token.split("_", 4)[-1]
    try:
        _, _, terms = base64.b64decode(payload, validate=True).partition(b".")
        decoded = json.loads(base64.b64decode(terms, validate=True))
    except (ValueError, RecursionError):
        return {}
    return decoded if isinstance(decoded, dict) else {}
