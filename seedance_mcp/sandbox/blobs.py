"""The blob store: upload tickets, the PUT that redeems one, and the public pictures."""

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from seedance_mcp.sandbox.catalogue import IMAGE_TYPES
from seedance_mcp.sandbox.recording import here
from seedance_mcp.sandbox.siwx import timestamp

TOKEN_SECONDS = 300
SIZE_LIMIT = 30_000_000
_TOKEN_PREFIX = "vercel_blob_client_sandbox_"  # noqa: S105 - a public prefix


@dataclass(slots=True, kw_only=True)
class Upload:
    """A ticket. ``url`` is None until its bytes have arrived."""

    id: str
    owner: str
    pathname: str
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Blob:
    data: bytes
    content_type: str


class BlobError(Exception):
    """``args`` are the HTTP status, the code and the message."""


class Blobs:
    """``uploads`` is keyed by upload id, ``stored`` by the pathname of the public URL."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self.clock = clock
        self.uploads: dict[str, Upload] = {}
        self.stored: dict[str, Blob] = {}
        self._secret = secrets.token_bytes(32)

    def ticket(self, body: dict[str, Any], owner: str) -> dict[str, object]:
        """A new upload, as ``POST /api/upload`` answers it."""
        upload_id = "c" + secrets.token_hex(12)
        name = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in body["filename"])
        upload = Upload(id=upload_id, owner=owner, pathname=f"uploads/{upload_id}/{name}")
        self.uploads[upload_id] = upload
        expires = self.clock() + TOKEN_SECONDS
        claims = {
            "pathname": upload.pathname,
            "validUntil": expires * 1000,
            "maximumSizeInBytes": min(body.get("size", SIZE_LIMIT), SIZE_LIMIT),
            "allowedContentTypes": IMAGE_TYPES,
        }
        return {
            "uploadId": upload_id,
            "clientToken": self._seal(claims),
            "pathname": upload.pathname,
            "expiresAt": timestamp(expires),
        }

    async def put(self, request: Request) -> Response:
        try:
            return JSONResponse(self._store(request, await request.body()))
        except BlobError as error:
            status, code, message = error.args
            return JSONResponse({"error": {"code": code, "message": message}}, status)

    async def get(self, request: Request) -> Response:
        blob = self.stored.get(request.path_params["pathname"])
        return Response(status_code=404) if blob is None else Response(blob.data, media_type=blob.content_type)

    def _store(self, request: Request, data: bytes) -> dict[str, object]:
        claims = self._open(request.headers.get("authorization", ""))
        pathname = request.query_params.get("pathname", "")
        content_type = request.headers.get("x-content-type", "")
        if claims["validUntil"] <= self.clock() * 1000:
            raise BlobError(403, "client_token_expired", "The client token has expired.")
        if pathname != claims["pathname"]:
            raise BlobError(403, "client_token_pathname_mismatch", "The client token is for another pathname.")
        if content_type not in claims["allowedContentTypes"]:
            raise BlobError(400, "content_type_not_allowed", f"{content_type[:80]} is not allowed.")
        if len(data) > claims["maximumSizeInBytes"]:
            raise BlobError(400, "file_too_large", "The file is larger than its client token allows.")
        stem, dot, suffix = pathname.rpartition(".")
        public = f"{stem}-{secrets.token_hex(8)}.{suffix}" if dot else f"{pathname}-{secrets.token_hex(8)}"
        self.stored[public] = Blob(data, content_type)
        url = f"{here(request)}/blob/{quote(public)}"
        self.uploads[pathname.split("/")[1]].url = url
        return {"url": url, "downloadUrl": f"{url}?download=1", "pathname": public, "contentType": content_type}

    def _seal(self, claims: dict[str, object]) -> str:
        payload = base64.b64encode(json.dumps(claims).encode()).decode()
        return _TOKEN_PREFIX + base64.b64encode(f"{self._mac(payload)}.{payload}".encode()).decode()

    def _open(self, authorization: str) -> dict[str, Any]:
        scheme, _, token = authorization.partition(" ")
        try:
            sealed = base64.b64decode(token.removeprefix(_TOKEN_PREFIX), validate=True).decode()
            mac, _, payload = sealed.partition(".")
            genuine = scheme == "Bearer" and hmac.compare_digest(mac, self._mac(payload))
        except (ValueError, TypeError):  # not base64, or not ASCII
            genuine = False
        if not genuine:
            raise BlobError(403, "forbidden", "The client token is not valid.")
        claims: dict[str, Any] = json.loads(base64.b64decode(payload))
        return claims

    def _mac(self, payload: str) -> str:
        return hmac.new(self._secret, payload.encode(), hashlib.sha256).hexdigest()
