"""Starts the app when it is first wanted, in the background: ``tools/list`` must not wait for keys and databases."""

import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from importlib import import_module
from typing import TYPE_CHECKING

import anyio
from anyio.to_thread import run_sync

from seedance_mcp.errors import SeedanceError

if TYPE_CHECKING:
    from seedance_mcp.app import App

IDLE_SECONDS = 2
"""Without a call the app starts by itself after this: jobs of an earlier run wait for their clips."""

logger = logging.getLogger(__name__)

Open = Callable[[], AbstractAsyncContextManager["App"]]


class Runtime:
    """Holds the one ``App`` of a server. ``opener`` names the function that opens it, as ``module:function``.

    The module is imported, in a thread, only when the app is wanted.
    """

    def __init__(self, opener: Callable[[], Open]) -> None:
        self._opener = opener
        self._wanted = anyio.Event()
        self._settled = anyio.Event()
        self._app: App | None = None
        self._problem: Exception | None = None

    async def app(self) -> "App":
        """The app. Raises what kept it from starting; the next call tries again."""
        if self._app is None:
            settled = self._settled
            self._wanted.set()
            await settled.wait()
        if self._app is None:
            assert self._problem is not None
            raise self._problem
        return self._app

    async def run(self) -> None:
        """Serve the app until cancelled. Context managers are entered and left in this one task."""
        with anyio.move_on_after(IDLE_SECONDS):
            await self._wanted.wait()
        while True:
            try:
                opened = await run_sync(self._opener)
                async with opened() as app, anyio.create_task_group() as group:
                    self._app = app
                    self._settled.set()
                    group.start_soon(app.watcher.run)
                    group.start_soon(app.alerts.run)
            except SeedanceError as error:
                logger.warning("The server cannot buy: %s", error.what)
                self._fail(error)
            except Exception as fault:
                logger.exception("The server cannot buy")
                self._fail(SeedanceError(f"the server could not start ({type(fault).__name__})", code="internal"))
            await self._wanted.wait()

    def _fail(self, problem: Exception) -> None:
        self._app = None
        self._problem = problem
        self._wanted = anyio.Event()
        settled, self._settled = self._settled, anyio.Event()
        settled.set()


def opener(name: str, *args: object, **kwargs: object) -> Callable[[], Open]:
    """A way to import ``module:function`` later and to call it with these arguments."""
    module, _, function = name.partition(":")

    def load() -> Open:
        found = getattr(import_module(module), function)
        return lambda: found(*args, **kwargs)

    return load
