"""A process that outlives its server: it waits for the server's end, and then saves what was paid.

Clients kill their servers at any moment, and links to clips die within minutes. Until then it is a bare interpreter
that reads from a pipe, so that it costs the server nothing; the collection starts when the pipe's other end is gone.
"""

import logging
import os
import subprocess
import sys
from contextlib import suppress

import anyio
from anyio.to_thread import run_sync

AFTER_SERVER = "--after-server"
"""The hidden option of ``collect`` for this: its key, if it needs one, comes over standard input."""
_DISMISSED = b"dismissed\n"
_WAIT = f"""
import os, sys
told = sys.stdin.buffer.read()
if not told.endswith({_DISMISSED!r}):
    here, there = os.pipe()
    os.write(there, told)
    os.close(there)
    os.dup2(here, 0)
    os.execv(sys.executable, [sys.executable, "-m", "seedance_mcp", "collect", "{AFTER_SERVER}"])
"""

if sys.platform == "win32":
    _DETACHED = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.DETACHED_PROCESS
else:
    _DETACHED = 0

logger = logging.getLogger(__name__)


class Heir:
    """``key`` is the private key where it came by the environment, since the heir cannot read it there any more."""

    def __init__(self, key: str | None) -> None:
        self._key = key
        self._process: subprocess.Popen[bytes] | None = None
        self._appointing = anyio.Lock()

    async def appoint(self) -> None:
        """Have one from now on. A server that cannot start one goes on without."""
        async with self._appointing:
            if self._process is not None:
                return
            try:
                self._process = await run_sync(_start, self._key)
            except OSError as error:
                logger.warning("Clips of a killed server wait for the next one: %s", error)

    def dismiss(self) -> None:
        """Nothing is left to be saved. Without this the end of the server is the heir's beginning."""
        if self._process is None or self._process.stdin is None:
            return
        with suppress(OSError):  # it was killed
            self._process.stdin.write(_DISMISSED)
        self._process.stdin.close()
        self._process.wait()
        self._process = None


def _start(key: str | None) -> "subprocess.Popen[bytes]":
    # No output, since a client that waits for the end of its server's output would wait for the heir.
    process = subprocess.Popen(  # noqa: S603 - this very interpreter
        [sys.executable, "-I", "-S", "-c", _WAIT],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        bufsize=0,
        env=dict(os.environ),
        start_new_session=True,  # a signal to the client's processes does not reach it
        creationflags=_DETACHED,
    )
    assert process.stdin is not None
    process.stdin.write(f"{key or ''}\n".encode())
    return process
