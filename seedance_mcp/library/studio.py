"""``Studio``: the corridor, its guard and its ledger under the names that a Python program would use."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import replace
from os import environ
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, Unpack, overload

import anyio

from seedance_mcp.app import FAULTS, App, open_app, open_sandbox
from seedance_mcp.clips import Bought
from seedance_mcp.errors import InvalidSettings, Refused
from seedance_mcp.ledger.states import Purchase
from seedance_mcp.library.records import budget_of, clip_order, estimate_of, failure_of, job_of, upload_of
from seedance_mcp.library.values import (
    AwaitingApproval,
    Budget,
    Clip,
    ClipIdea,
    ClipRequest,
    Estimate,
    Job,
    Upload,
)
from seedance_mcp.orders import awaiting_approval, outcome_unknown
from seedance_mcp.settings import Settings

FOREVER = float("inf")
ENDED = frozenset({"complete", "failed", "denied", "awaiting_approval"})


class Studio:
    """Buys clips for one agent, within its operator's policy: ``async with Studio.from_env() as studio``.

    While it is entered, paid clips are watched and saved. Errors are those of ``seedance_mcp.errors``: each tells what
    happened to the money. Calls may run side by side, and a call that is cancelled still records what it paid.
    """

    def __init__(self, opening: Callable[[], AbstractAsyncContextManager[App]]) -> None:
        self._opening = opening
        self._entered: AbstractAsyncContextManager[App] | None = None
        self._open: App | None = None

    @classmethod
    def from_env(cls, *, image_roots: Sequence[Path] = ()) -> Self:
        """The operator's wallet, policy and ledger, as the variables ``SEEDANCE_*`` name them.

        ``image_roots`` are folders that images may be read from, besides SEEDANCE_IMAGE_ROOTS. SEEDANCE_PRIVATE_KEY is
        taken out of the environment, so that a process gets one such studio. Raises InvalidSettings.
        """
        settings = _reading(Settings.from_env(), image_roots)
        return cls(lambda: open_app(settings, outlived=True))

    @classmethod
    def sandbox(cls, *, generation: int = 1, faults: Sequence[str] = (), image_roots: Sequence[Path] = ()) -> Self:
        """An embedded seller, a throw-away wallet and ledger: no money, no network.

        ``faults`` are those of ``seedance-mcp serve --fault``. Raises InvalidSettings.
        """
        if unknown := set(faults).difference(FAULTS):
            raise InvalidSettings(f"{min(unknown)!r} is no fault of the sandbox; there are {', '.join(FAULTS)}")
        settings = _reading(Settings.for_sandbox(dict(environ)), image_roots)
        return cls(lambda: open_sandbox(settings, generation=generation, faults=faults))

    async def __aenter__(self) -> Self:
        self._entered = _watched(self._opening)
        self._open = await self._entered.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        assert self._entered is not None
        self._open = None
        return await self._entered.__aexit__(kind, error, traceback)

    async def estimate(self, **idea: Unpack[ClipIdea]) -> Estimate:
        """What a clip would cost now, and what the policy would say. Free, and nothing is held."""
        return estimate_of(await self._app.clips.estimate(clip_order(idea)))

    async def upload(self, image: str | Path | bytes, *, name: str | None = None) -> Upload:
        """Put an image (a path, a public https URL, or its bytes) where the seller can fetch it, for a cent.

        The same bytes are paid for once. ``name`` is its file name at the seller's.
        """
        uploads = self._app.uploads
        self._app.corridor.require_wallet()
        if isinstance(image, bytes):
            picture = await uploads.read(image)
        elif str(image).startswith(("https://", "http://")):
            picture = await uploads.source(None, str(image))
        else:
            picture = await uploads.source(str(image), None)
        with _approvals():
            return upload_of(await uploads.host(picture, name=name))

    @overload
    async def generate(self, *, wait: Literal[True] = True, **request: Unpack[ClipRequest]) -> Clip: ...
    @overload
    async def generate(self, *, wait: bool, **request: Unpack[ClipRequest]) -> Job: ...
    async def generate(self, *, wait: bool = True, **request: Unpack[ClipRequest]) -> Job:
        """Buy a clip and wait until it is on disk; without ``wait``, until it is paid and its job known.

        The same request is never paid twice: it is answered with the first purchase. Raises Refused when the policy
        says no, AwaitingApproval when a human has to say yes first, OutcomeUnknown when nothing proves yet what became
        of the payment, ClipFailed.
        """
        with _approvals():
            bought = await self._app.clips.generate(clip_order(request))
            if bought.purchase.unanswered:
                error = awaiting_approval(bought.purchase)
                error.charged = bought.upload
                raise error
        if bought.purchase.job is None and not bought.purchase.paid:
            raise outcome_unknown(bought.purchase, bought.upload)
        self._app.watcher.wake()
        return await self._finished(bought) if wait else self._job(bought)

    async def job(self, purchase_id: str) -> Job:
        """A purchase as it stands: a ``Clip`` once it is on disk. Raises NotFound."""
        return self._job(Bought(await self._find(purchase_id), duplicate=False))

    async def jobs(self) -> list[Job]:
        """Every purchase that is not finished, oldest first."""
        return [self._job(Bought(purchase, duplicate=False)) for purchase in await self._app.clips.pending()]

    async def watch(self, job: Job | str) -> AsyncIterator[Job]:
        """A job, or the one of a purchase id, as it stands, and again each time it changed, until it has ended."""
        async for _, seen in self._followed(Bought(await self._find(job), duplicate=False)):
            yield seen

    async def wait(self, job: Job | str) -> Clip:
        """Wait until the clip of a job, or of a purchase id, is on disk. Raises NotFound, AwaitingApproval, ClipFailed.

        Giving up (``asyncio.timeout``, ``anyio.fail_after``) changes nothing: the clip is saved all the same.
        """
        return await self._finished(Bought(await self._find(job), duplicate=False))

    async def budget(self, model: str = "seedance") -> Budget:
        """What may still be spent on ``model`` (uploads are the model ``upload``)."""
        return budget_of(await self._app.clips.budget(model))

    @property
    def _app(self) -> App:
        if self._open is None:
            raise RuntimeError("a Studio is used inside of `async with`")
        return self._open

    async def _find(self, job: Job | str) -> Purchase:
        purchase_id = job if isinstance(job, str) else job.purchase_id
        return await self._app.clips.purchase(job_id=None, purchase_id=purchase_id)

    async def _followed(self, bought: Bought) -> AsyncIterator[tuple[Bought, Job]]:
        """The purchase now, and each time it changed, until it has ended one way or the other."""
        job = self._job(bought)
        yield bought, job
        if job.status in ENDED:
            return
        async for purchase in self._app.watcher.follow(bought.purchase, FOREVER):
            seen = replace(bought, purchase=purchase)
            job = self._job(seen)
            yield seen, job
            if job.status in ENDED:
                return

    async def _finished(self, bought: Bought) -> Clip:
        async for seen, job in self._followed(bought):  # noqa: B007 - the last one is wanted
            purchase = seen.purchase
        looked = self._job(replace(bought, purchase=await self._app.eyes.look(purchase)))
        if isinstance(looked, Clip):
            return looked
        if purchase.unanswered:
            with _approvals():
                raise awaiting_approval(purchase)
        raise failure_of(purchase)

    def _job(self, bought: Bought) -> Job:
        return job_of(bought, self._app.now())


@asynccontextmanager
async def _watched(opening: Callable[[], AbstractAsyncContextManager[App]]) -> AsyncIterator[App]:
    """The app with its watcher running beside whatever the caller does."""
    failure: Exception | None = None
    async with opening() as app, anyio.create_task_group() as group:
        group.start_soon(app.watcher.run)
        group.start_soon(app.alerts.run)
        try:
            yield app
        except Exception as error:  # noqa: BLE001 - raised again below
            # Through the task group it would reach the caller as a group of one.
            failure = error
        group.cancel_scope.cancel()
    if failure is not None:
        raise failure


@contextmanager
def _approvals() -> Iterator[None]:
    """What a human has to approve first is an error of its own."""
    try:
        yield
    except Refused as error:
        if error.code != AwaitingApproval.code:
            raise
        raise AwaitingApproval(
            error.what, next=error.next, charged=error.charged, purchase_id=error.purchase_id
        ) from None


def _reading(settings: Settings, image_roots: Sequence[Path]) -> Settings:
    return replace(settings, image_roots=(*settings.image_roots, *(folder.resolve() for folder in image_roots)))
