"""StableStudio's routes as its first generation answers them, without the money: what is asked for, made and kept."""

import base64
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from jsonschema import Draft202012Validator
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from x402.extensions.sign_in_with_x import parse_siwx_header

from tests.peers.clip import clip

Schema = dict[str, Any]
MAXIMUM = 10_000_000
"""What a request that the schema refuses is quoted, in micro-USD."""

CLIP_BODY: Schema = {
    "type": "object",
    "properties": {
        "prompt": {"type": "string", "minLength": 1, "maxLength": 4000},
        "image": {"type": "string", "format": "uri"},
        "last_image": {"type": "string", "format": "uri"},
        "duration": {"type": "string", "enum": [str(seconds) for seconds in range(4, 13)], "default": "5"},
        "resolution": {"type": "string", "enum": ["480p", "720p", "1080p"], "default": "720p"},
        "aspect_ratio": {"type": "string", "enum": ["16:9", "9:16", "4:3", "3:4", "1:1", "21:9"], "default": "16:9"},
        "generate_audio": {"type": "boolean", "default": True},
        "camera_fixed": {"type": "boolean", "default": False},
        "seed": {"type": "integer"},
    },
    "required": ["prompt", "image", "duration", "resolution", "aspect_ratio", "generate_audio", "camera_fixed"],
    "additionalProperties": False,
}
UPLOAD_BODY: Schema = {
    "type": "object",
    "properties": {
        "filename": {"type": "string", "minLength": 1},
        "contentType": {"type": "string", "enum": [f"image/{kind}" for kind in ("jpeg", "jpg", "png", "gif", "webp")]},
        "size": {"type": "integer", "minimum": 1},
    },
    "required": ["filename", "contentType"],
    "additionalProperties": False,
}
EXAMPLE_CLIP = {
    "prompt": "a fox",
    "image": "https://example.com/fox.png",
    "duration": "5",
    "resolution": "720p",
    "aspect_ratio": "16:9",
    "generate_audio": True,
    "camera_fixed": False,
}
EXAMPLE_UPLOAD = {"filename": "fox.png", "contentType": "image/png"}


@dataclass(frozen=True, slots=True)
class Sale:
    """A paid route: what its body must be, and its price in micro-USD for a body that is."""

    schema: Schema
    example: Schema
    price: Callable[[Mapping[str, Any]], int]

    def complete(self, raw: bytes) -> dict[str, Any] | None:
        """The body with its defaults, or None if it is not JSON of the schema."""
        try:
            body = json.loads(raw)
        except ValueError:
            return None
        if isinstance(body, dict):
            fields = self.schema["properties"].items()
            body = {name: rule["default"] for name, rule in fields if "default" in rule} | body
        return body if Draft202012Validator(self.schema).is_valid(body) else None

    def quote(self, raw: bytes) -> int:
        body = self.complete(raw)
        return MAXIMUM if body is None else self.price(body)


def _per_second(rate: int) -> Callable[[Mapping[str, Any]], int]:
    return lambda body: rate * int(body["duration"])


SALES = {
    "/api/generate/seedance/i2v": Sale(CLIP_BODY, EXAMPLE_CLIP, _per_second(82_500)),
    "/api/generate/seedance-fast/i2v": Sale(CLIP_BODY, EXAMPLE_CLIP, _per_second(10_000)),
    "/api/upload": Sale(UPLOAD_BODY, EXAMPLE_UPLOAD, lambda _: 10_000),
}
SIGNED_IN = ("POST /api/upload/confirm", "GET /api/jobs", "GET /api/jobs/:id")


@dataclass(slots=True)
class Job:
    id: str
    owner: str
    type: str
    input: dict[str, Any]
    created_at: datetime
    status: str = "pending"
    progress: int = 0
    error: str | None = None

    def advance(self) -> None:
        """Each look at a job moves it on, so a test decides how fast time passes."""
        steps = {"pending": ("loading", 50), "loading": ("complete", 100)}
        self.status, self.progress = steps.get(self.status, (self.status, self.progress))


@dataclass(slots=True)
class Upload:
    id: str
    owner: str
    pathname: str
    content_type: str
    token: str
    data: bytes | None = None


@dataclass
class Studio:
    """The routes, and all that they remember. ``jobs`` may be edited by a test, e.g. to let one fail."""

    origin: str
    jobs: dict[str, Job] = field(default_factory=dict)
    uploads: dict[str, Upload] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/api/generate/{model}/i2v", self._generate, methods=["POST"]),
                Route("/api/upload", self._upload, methods=["POST"]),
                Route("/api/upload/confirm", self._confirm, methods=["POST"]),
                Route("/api/jobs", self._list_jobs),
                Route("/api/jobs/{id}", self._show_job),
                Route("/blob/", self._put_blob, methods=["PUT"]),
                Route("/blob/{pathname:path}", self._get_blob),
                Route("/files/{name}.mp4", self._clip),
                Route("/openapi.json", self._openapi),
            ]
        )

    async def _generate(self, request: Request) -> Response:
        job = Job(
            id=f"c{next(self._numbers):024d}",
            owner=_payer(request),
            type=f"{request.path_params['model']}-i2v",
            input=await request.json(),
            created_at=datetime.now(UTC),
        )
        self.jobs[job.id] = job
        return JSONResponse({"success": True, "jobId": job.id, "status": job.status, "type": job.type})

    async def _list_jobs(self, request: Request) -> Response:
        wanted = request.query_params.get("status")
        mine = [job for job in reversed(self.jobs.values()) if job.owner == _caller(request)]
        found = [job for job in mine if wanted in (None, job.status)]
        return JSONResponse({"jobs": [self._job(job) for job in found[: int(request.query_params.get("limit", "50"))]]})

    async def _show_job(self, request: Request) -> Response:
        job = self.jobs.get(request.path_params["id"])
        if job is None:
            return JSONResponse({"error": "Job not found"}, 404)
        if job.owner != _caller(request):
            return JSONResponse({"error": "Forbidden"}, 403)
        answer = self._job(job)
        job.advance()
        return JSONResponse(answer)

    def _job(self, job: Job) -> dict[str, Any]:
        answer: dict[str, Any] = {"id": job.id, "type": job.type, "status": job.status, "input": job.input}
        answer |= {"progress": job.progress, "createdAt": job.created_at.isoformat()}
        if job.status == "complete":
            answer["result"] = {"videoUrl": f"{self.origin}/files/{job.id}.mp4"}
        return answer | ({"error": job.error} if job.error else {})

    async def _upload(self, request: Request) -> Response:
        asked = await request.json()
        number = next(self._numbers)
        pathname = f"uploads/{number}/{asked['filename']}"
        expires = datetime.now(UTC) + timedelta(minutes=5)
        upload = Upload(
            f"u{number}", _payer(request), pathname, asked["contentType"], _blob_token(asked["contentType"], expires)
        )
        self.uploads[upload.id] = upload
        answer = {"uploadId": upload.id, "clientToken": upload.token, "pathname": pathname}
        return JSONResponse(answer | {"expiresAt": expires.isoformat()})

    async def _put_blob(self, request: Request) -> Response:
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        upload = next((one for one in self.uploads.values() if one.token == bearer), None)
        if upload is None or request.headers.get("x-api-version") != "11":
            return _blob_error(403, "forbidden")
        if upload.pathname != request.query_params.get("pathname"):
            return _blob_error(400, "client_token_pathname_mismatch")
        if upload.content_type != request.headers.get("x-content-type"):
            return _blob_error(400, "content_type_not_allowed")
        upload.data = await request.body()
        url = f"{self.origin}/blob/{upload.pathname}"
        answer = {"url": url, "downloadUrl": f"{url}?download=1", "pathname": upload.pathname}
        return JSONResponse(answer | {"contentType": upload.content_type})

    async def _get_blob(self, request: Request) -> Response:
        for upload in self.uploads.values():
            if upload.pathname == request.path_params["pathname"] and upload.data is not None:
                return Response(upload.data, media_type=upload.content_type)
        return Response(status_code=404)

    async def _confirm(self, request: Request) -> Response:
        asked = await request.json()
        upload = self.uploads.get(asked.get("uploadId"))
        if upload is None or upload.data is None:
            return JSONResponse({"success": False, "error": "Upload not found"}, 404)
        if upload.owner != _caller(request):
            return JSONResponse({"success": False, "error": "Forbidden"}, 403)
        return JSONResponse({"success": True, "upload": {"id": upload.id, "blobUrl": asked["blobUrl"]}})

    async def _clip(self, request: Request) -> Response:
        job = self.jobs.get(request.path_params["name"])
        return Response(status_code=404) if job is None else Response(clip(), media_type="video/mp4")

    async def _openapi(self, request: Request) -> Response:
        paths = {
            path: {
                "post": {"requestBody": {"required": True, "content": {"application/json": {"schema": sale.schema}}}}
            }
            for path, sale in SALES.items()
        }
        return JSONResponse({"openapi": "3.1.0", "info": {"title": "Studio", "version": "1"}, "paths": paths})


def _payer(request: Request) -> str:
    """Whoever signed the payment that the middleware has verified."""
    payer: str = request.state.payment_payload.payload["authorization"]["from"]
    return payer.lower()


def _caller(request: Request) -> str:
    """Whoever signed the proof that the middleware has verified."""
    return parse_siwx_header(request.headers["sign-in-with-x"]).address.lower()


def _blob_token(content_type: str, expires: datetime) -> str:
    """A client token in the shape of Vercel's blob store; nothing here checks its seal."""
    grant = {"validUntil": int(expires.timestamp()) * 1000, "maximumSizeInBytes": 30_000_000}
    sealed = base64.b64encode(json.dumps(grant | {"allowedContentTypes": [content_type]}).encode())
    seal = hashlib.sha256(sealed + expires.isoformat().encode()).hexdigest()
    return "vercel_blob_client_teststore_" + base64.b64encode(seal.encode() + b"." + sealed).decode()


def _blob_error(status: int, code: str) -> Response:
    return JSONResponse({"error": {"code": code, "message": code}}, status)
