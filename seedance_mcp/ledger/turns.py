"""Whose turn it is to write: first come, first served, among the processes of one machine.

SQLite's own waiting looks again after ever longer pauses, so whoever came last may be served first. Here everybody
draws a number and waits until the one before it is done. Only the order is at stake: the database's lock still decides
who writes, and whoever has waited here long enough tries it anyway. So nothing has to be cleaned up after a process
that was stopped or killed in the queue.
"""

import errno
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

LOOK = 0.000_2
"""Seconds after which the next in line looks again; whoever is farther behind waits so much longer."""
FARTHEST = 32
_DRAWN, _DONE, _BEFORE_FIRST = 0, 8, 16

if sys.platform != "win32":
    import fcntl

    def _lock(descriptor: int, byte: int) -> bool:
        """False where another process has it. The system lets go of it for a process that ends."""
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, byte)
        except OSError as error:
            return error.errno not in {errno.EACCES, errno.EAGAIN}  # where there are no such locks, nobody waits
        return True

    def _unlock(descriptor: int, byte: int, count: int = 1) -> None:
        with suppress(OSError):
            fcntl.lockf(descriptor, fcntl.LOCK_UN, count, byte)


class Turns:
    """A queue in the file at ``path``, which holds the last number that was drawn and the last that was done.

    Whoever draws a number keeps the byte of that number locked until it is done; byte 0 is locked while one is drawn.
    Raises OSError where the file cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)

    @contextmanager
    def turn(self, seconds: float) -> Iterator[None]:
        """Wait for one's turn, but not longer than ``seconds``; it lasts as long as the block."""
        if sys.platform == "win32":  # a byte that is locked there cannot be read: SQLite's own waiting has to do
            yield
            return
        until = time.monotonic() + seconds
        number = self._draw(until)
        try:
            while number is not None and not _lock(self._file, number - 1) and time.monotonic() < until:
                time.sleep(LOOK * min(max(number - 1 - self._read(_DONE), 1), FARTHEST))
            yield
        finally:
            if number is not None:
                with suppress(OSError):
                    self._write(_DONE, number)
                _unlock(self._file, number - 1, 2)

    def close(self) -> None:
        """Close the file, once: its number may be another file's by the next time."""
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)

    def _draw(self, until: float) -> int | None:
        """None where that is not possible: the disk is full, or a process was stopped just here."""
        while not _lock(self._file, 0):
            if time.monotonic() >= until:
                return None
            time.sleep(LOOK)
        try:
            number = max(self._read(_DRAWN), _BEFORE_FIRST) + 1
            self._write(_DRAWN, number)
            _lock(self._file, number)
        except OSError:
            return None
        finally:
            _unlock(self._file, 0)
        return number

    def _read(self, where: int) -> int:
        return int.from_bytes(os.pread(self._file, 8, where), "little")

    def _write(self, where: int, number: int) -> None:
        os.pwrite(self._file, number.to_bytes(8, "little"), where)
