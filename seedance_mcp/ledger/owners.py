"""A lock for each process that works on the ledger: the operating system takes it away when the process dies.

The lease in the ledger says the same, but only after a while. A process that was stopped keeps its lock and loses its
lease. Locks are files beside the ledger, so this speaks of processes on one machine only.
"""

import os
import sys
import time
from contextlib import suppress
from pathlib import Path

_OLD = 86_400 * 10**9

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


class OwnerLocks:
    """Locks in ``folder``, which is made when the first one is held."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: dict[str, int] = {}

    def hold(self, owner: str) -> None:
        """Say that this process is ``owner``, for as long as it lives. Raises OSError."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._sweep()
        descriptor = os.open(self._folder / owner, os.O_RDWR | os.O_CREAT, 0o600)
        _lock(descriptor)
        self._held[owner] = descriptor

    def _sweep(self) -> None:
        """Take away what killed processes left, once no lease of theirs can be in the ledger any more."""
        for lock in self._folder.iterdir():
            with suppress(OSError):
                if lock.stat().st_mtime_ns < time.time_ns() - _OLD and self.is_gone(lock.name):
                    lock.unlink()

    def claim(self, name: str) -> bool:
        """Be the only process that has ``name``, until it ends. False where another one is. Raises OSError."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(self._folder / name, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _lock(descriptor)
        except OSError:
            os.close(descriptor)
            return False
        self._held[name] = descriptor
        return True

    def is_gone(self, owner: str) -> bool:
        """Whether ``owner`` has certainly ended. False also where nothing is known of it."""
        if owner in self._held:
            return False
        try:
            descriptor = os.open(self._folder / owner, os.O_RDWR)
        except OSError:
            return False
        try:
            _lock(descriptor)
        except OSError:
            return False
        finally:
            os.close(descriptor)
        return True

    def release(self) -> None:
        """Let go of all that this process holds."""
        for owner, descriptor in self._held.items():
            with suppress(OSError):
                (self._folder / owner).unlink()
            os.close(descriptor)
        self._held.clear()
