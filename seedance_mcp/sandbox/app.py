"""The service: its state, and the table of its routes."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from seedance_mcp.sandbox import catalogue, pictures
from seedance_mcp.sandbox.bank import Bank
from seedance_mcp.sandbox.blobs import Blobs
from seedance_mcp.sandbox.catalogue import Body, Ware
from seedance_mcp.sandbox.checkout import Checkout
from seedance_mcp.sandbox.faults import Faults
from seedance_mcp.sandbox.headers import pack
from seedance_mcp.sandbox.jobs import Job, Renderer, RenderQueue
from seedance_mcp.sandbox.mpp import Mpp
from seedance_mcp.sandbox.rails import Rail, RailName
from seedance_mcp.sandbox.recording import Recorder, Seen, here
from seedance_mcp.sandbox.render import Shot, frame_size, render
from seedance_mcp.sandbox.rpc import Rpc
from seedance_mcp.sandbox.siwx import BadProof, Logins
from seedance_mcp.sandbox.tempo import Tempo
from seedance_mcp.sandbox.x402 import X402


def epoch_seconds() -> int:
    return int(time.time())


class NotSignedIn(Exception):
    """``args[0]`` is the refused proof's ``siwx_…`` word, or None where there was no proof."""


class Sandbox:
    """An ASGI ``app`` and all that a test or the demo may look at or turn.

    ``requests`` is everything seen on the wire, ``jobs`` is keyed by job id; ``bank`` holds the money on Base, whose
    JSON-RPC is at ``/rpc``, and ``tempo`` that on Tempo, at ``/rpc/tempo``. ``clock`` gives epoch seconds and also
    drives both chains' blocks; clips can be fetched for ``link_seconds`` after they are done. The blob store is at
    ``/blob/``.

    ``rails`` are the ways to pay that a 402 offers. With ``sponsored`` the seller pays Tempo's fees; with ``digest`` an
    MPP challenge serves only the body that it was made for.
    """

    def __init__(
        self,
        *,
        generation: int = 1,
        track_nonces: bool = True,
        rails: Sequence[RailName] = ("x402", "mpp"),
        sponsored: bool = False,
        digest: bool = False,
        faults: Faults | None = None,
        clock: Callable[[], int] = epoch_seconds,
        link_seconds: int = 1200,
        renderer: Renderer = render,
    ) -> None:
        self._faults = faults or Faults()
        self.clock = clock
        self.link_seconds = link_seconds
        self.rails = tuple(rails)
        self.requests: list[Seen] = []
        self.jobs: dict[str, Job] = {}
        self.bank = Bank(clock)
        self.tempo = Tempo(clock)
        self.blobs = Blobs(clock)
        self._logins = Logins(clock, track_nonces=track_nonces)
        self._queue = RenderQueue(clock, renderer)
        self._clips = catalogue.wares(generation)
        self._tills: dict[RailName, Rail] = {
            "x402": X402(self.bank, self._faults),
            "mpp": Mpp(self.tempo, self._faults, sponsored=sponsored, digest=digest),
        }
        self.app = Recorder(Starlette(routes=self._routes(), exception_handlers=self._handlers), self.requests, clock)

    @property
    def faults(self) -> Faults:
        """Throw its switches; it cannot be replaced."""
        return self._faults

    def fund(self, address: str, micros: int, rail: RailName | None = None) -> None:
        """``micros`` more for ``address`` on each of the rails, or on one."""
        if rail != "mpp":
            self.bank.fund(address, micros)
        if rail != "x402":
            self.tempo.fund(address, micros)

    def close(self) -> None:
        """Stops the clips that are being rendered. ``serve`` does it on the way out."""
        self._queue.close()

    def _routes(self) -> list[Route]:
        tills = [self._tills[name] for name in self.rails]
        checkout = Checkout(tills, self.faults)
        desk = checkout if self.faults.uploads else Checkout(tills, Faults())
        clips = [
            Route(ware.path, partial(checkout.sell, ware, self._make_job), methods=["POST"]) for ware in self._clips
        ]
        upload = partial(desk.sell, catalogue.UPLOAD, self._make_ticket)
        return [
            *clips,
            Route(catalogue.UPLOAD.path, upload, methods=["POST"]),
            Route("/api/upload/confirm", self._confirm, methods=["POST"]),
            Route("/api/jobs", self._list, methods=["GET"]),
            Route("/api/jobs/{job}", self._show, methods=["GET"]),
            Route("/api/jobs/{job}", self._delete, methods=["DELETE"]),
            Route("/files/{file}", self._file, methods=["GET"]),
            Route("/blob/", self.blobs.put, methods=["PUT"]),
            Route("/blob/{pathname:path}", self.blobs.get, methods=["GET"]),
            Route("/rpc", Rpc(self.bank).answer, methods=["POST"]),
            Route("/rpc/tempo", Rpc(self.tempo).answer, methods=["POST"]),
            Route("/openapi.json", self._openapi, methods=["GET"]),
            Route("/api/openapi.json", self._openapi, methods=["GET"]),
            Route("/llms.txt", self._llms, methods=["GET"]),
            Route("/agents.txt", self._llms, methods=["GET"]),
        ]

    async def _make_job(self, request: Request, ware: Ware, body: Body, payer: str) -> dict[str, Any]:
        frames = [await pictures.load(url, self.blobs) for url in catalogue.images(body)]
        width, height = frame_size(catalogue.resolution(body), catalogue.aspect_ratio(body))
        shot = Shot(
            prompt=body["prompt"],
            frames=tuple(frames),
            width=width,
            height=height,
            seconds=int(body["duration"]),
            audio=body.get("generate_audio", True),
            camera_fixed=body.get("camera_fixed", False),
        )
        job = Job(owner=payer, type=ware.type, body=body, created_at=self.clock())
        self.jobs[job.id] = job
        if self.faults.job == "ok":
            self._queue.put(job, shot)
        elif self.faults.job == "failed":
            self._queue.finish(job, error="The model could not make a clip of this input.")
        else:
            job.status, job.progress = "loading", 40
        return {
            "success": True,
            "jobId": job.id,
            "status": "pending",
            "type": job.type,
            "pollUrl": f"{here(request)}/api/jobs/{job.id}",
        }

    async def _make_ticket(self, _request: Request, _ware: Ware, body: Body, payer: str) -> dict[str, Any]:
        return self.blobs.ticket(body, payer)

    def _caller(self, request: Request) -> str:
        """The address that signed in. Raises NotSignedIn."""
        proof = request.headers.get("sign-in-with-x")
        if proof is None:
            raise NotSignedIn(None)
        try:
            return self._logins.judge(proof, here(request) + request.url.path)
        except BadProof as error:
            raise NotSignedIn(error.args[0]) from error

    def _own_job(self, request: Request) -> Job:
        caller = self._caller(request)
        job = self.jobs.get(request.path_params["job"])
        if job is None:
            raise HTTPException(404, "Job not found")
        if job.owner != caller:
            raise HTTPException(403, "This job belongs to another wallet")
        return job

    async def _show(self, request: Request) -> Response:
        return JSONResponse(self._own_job(request).view(here(request)))

    async def _delete(self, request: Request) -> Response:
        job = self._own_job(request)
        if job.status != "failed":
            raise HTTPException(400, "Only a failed job can be deleted")
        del self.jobs[job.id]
        return JSONResponse({"success": True})

    async def _list(self, request: Request) -> Response:
        caller = self._caller(request)
        try:
            limit = min(max(int(request.query_params.get("limit", "20")), 1), 100)
        except ValueError:
            raise HTTPException(400, "limit is not a number") from None
        status = request.query_params.get("status")
        own = [job for job in reversed(self.jobs.values()) if job.owner == caller and status in (None, job.status)]
        return JSONResponse({"jobs": [job.view(here(request)) for job in own[:limit]]})

    async def _confirm(self, request: Request) -> Response:
        caller = self._caller(request)
        try:
            body = await request.json()
            upload, url = self.blobs.uploads.get(body["uploadId"]), body["blobUrl"]
        except (ValueError, KeyError, TypeError):
            raise HTTPException(400, "Validation failed") from None
        if upload is None:
            raise HTTPException(404, "Upload not found")
        if upload.owner != caller:
            raise HTTPException(403, "This upload belongs to another wallet")
        if upload.url != url:
            raise HTTPException(400, "Invalid blob URL")
        return JSONResponse({"success": True, "upload": {"id": upload.id, "blobUrl": url}})

    async def _file(self, request: Request) -> Response:
        name, _, suffix = request.path_params["file"].rpartition(".")
        job = self.jobs.get(name)
        if job is None or job.clip is None or job.finished_at is None or self.faults.dead_link:
            raise HTTPException(404, "No such file")
        if self.clock() >= job.finished_at + self.link_seconds:
            raise HTTPException(404, "This link is dead")
        if suffix == "mp4":
            return Response(job.clip.video, media_type="video/mp4")
        return Response(job.clip.thumbnail, media_type="image/jpeg")

    async def _openapi(self, request: Request) -> Response:
        return JSONResponse(catalogue.openapi([*self._clips, catalogue.UPLOAD], here(request), self.rails))

    async def _llms(self, _request: Request) -> Response:
        return PlainTextResponse(catalogue.llms_txt([*self._clips, catalogue.UPLOAD], self.rails))

    async def _ask_for_login(self, request: Request, error: Exception) -> Response:
        if error.args[0] is not None:
            return JSONResponse({"error": error.args[0]}, 402)
        challenge = self._logins.challenge(here(request) + request.url.path)
        return JSONResponse(challenge, 402, headers={"payment-required": pack(challenge)})

    async def _explain(self, _request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return JSONResponse({"success": False, "error": error.detail}, error.status_code, headers=error.headers)

    @property
    def _handlers(self) -> dict[Any, Any]:
        return {NotSignedIn: self._ask_for_login, HTTPException: self._explain}
