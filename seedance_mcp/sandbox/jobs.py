"""Jobs, and the queue that renders their clips one at a time."""

import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from seedance_mcp.sandbox.render import Clip, Shot, render
from seedance_mcp.sandbox.siwx import timestamp

Renderer = Callable[[Shot, Callable[[int], None]], Clip]
"""Makes a clip; reports its progress, 0 to 100, to the callable, which raises to stop it."""


@dataclass(slots=True, kw_only=True)
class Job:
    """``body`` is the accepted request with its defaults; times are epoch seconds; ``done`` is set at the end."""

    owner: str
    type: str
    body: dict[str, Any]
    created_at: int
    id: str = field(default_factory=lambda: "c" + secrets.token_hex(12))
    status: str = "pending"
    progress: int = 0
    error: str | None = None
    clip: Clip | None = None
    finished_at: int | None = None
    done: threading.Event = field(default_factory=threading.Event)

    def view(self, origin: str) -> dict[str, object]:
        """The job as the API shows it."""
        view: dict[str, object] = {
            "jobId": self.id,
            "type": self.type,
            "status": self.status,
            "progress": self.progress,
            "createdAt": timestamp(self.created_at),
            "input": self.body,
        }
        if self.status == "complete":
            files = f"{origin}/files/{self.id}"
            view["result"] = {"videoUrl": f"{files}.mp4", "thumbnailUrl": f"{files}.jpg"}
        if self.error is not None:
            view["error"] = self.error
        return view


class Stopped(Exception):
    """The sandbox is closing."""


class RenderQueue:
    """Each job has a thread, and the lock lets one of them render; a thread that waits costs nothing."""

    def __init__(self, clock: Callable[[], int], renderer: Renderer = render) -> None:
        self.clock = clock
        self.renderer = renderer
        self._turn = threading.Lock()
        self._threads: dict[threading.Thread, threading.Event] = {}

    def put(self, job: Job, shot: Shot) -> None:
        stop = threading.Event()
        thread = threading.Thread(target=self._work, args=(job, shot, stop), name=f"render-{job.id}", daemon=True)
        self._threads[thread] = stop
        thread.start()

    def close(self) -> None:
        """Stops what is queued or under way, and waits for it."""
        running = list(self._threads.items())
        for _, stop in running:
            stop.set()
        for thread, _ in running:
            thread.join()

    def _work(self, job: Job, shot: Shot, stop: threading.Event) -> None:
        def report(percent: int) -> None:
            if stop.is_set():
                raise Stopped
            job.status, job.progress = "loading", percent

        try:
            with self._turn:
                report(0)
                clip = self.renderer(shot, report)
        except Stopped:
            return
        except Exception as error:  # noqa: BLE001 - whatever went wrong, the client is told that its job failed
            self.finish(job, error=str(error))
        else:
            self.finish(job, clip=clip)
        finally:
            del self._threads[threading.current_thread()]

    def finish(self, job: Job, *, clip: Clip | None = None, error: str | None = None) -> None:
        job.finished_at = self.clock()
        job.clip, job.error = clip, error
        job.progress = 0 if clip is None else 100
        job.status = "failed" if clip is None else "complete"
        job.done.set()
