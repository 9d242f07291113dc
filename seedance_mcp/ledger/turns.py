"""Whose turn it is to write: first come, first served, among the processes of one machine.

SQLite's own waiting looks again after ever longer pauses, so whoever came last may be served first. Here everybody
draws a number and waits until the one before it is done, which rings for the next one. Only the order is at stake: the
database's lock still decides who writes, and whoever has waited here long enough tries it anyway. So nothing has to be
cleaned up after a process that was stopped or killed in the queue.
"""

import errno
import os
import select
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

LOOK = 0.02
"""Seconds after which one looks again although nobody has rung: whoever should have may have been killed."""
LOOK_WITHOUT = 0.002
"""The same where there are no bells."""
DRAW = 0.000_2
"""Seconds after which one tries again to draw a number, while another process draws."""
BELLS = 64
"""More processes than these share bells, and one that was rung for another looks and waits on."""
_BEFORE_FIRST = 16
"""The first bytes are those of the number that was drawn last."""
_FARTHEST = 1 << 62
"""No byte behind it could be locked."""

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

    def _open_pipe(path: Path) -> int | None:
        """Open for both ends, so that it is never at its end, and never broken. None for what is no pipe."""
        # Looked at before it is opened: to close the ledger's own file under this name would give its locks away.
        if not stat.S_ISFIFO(path.stat(follow_symlinks=False).st_mode):
            return None
        return os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)

    def _rings(bell: int, seconds: float) -> bool:
        poll = select.poll()
        poll.register(bell, select.POLLIN)
        return bool(poll.poll(seconds * 1000))


class Turns:
    """A queue in the file at ``path``, which holds the last number that was drawn.

    Whoever draws a number keeps the byte of that number locked until it is done; byte 0 is locked while one is drawn.
    Bells are pipes in a folder beside it, made when first needed. Raises OSError where the file cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self._bells = path.with_name(f"{path.name}-bells")
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)

    @contextmanager
    def turn(self, seconds: float) -> Iterator[None]:
        """Wait for one's turn, but not longer than ``seconds``; it lasts as long as the block."""
        if sys.platform == "win32":  # a byte that is locked there cannot be read: SQLite's own waiting has to do
            yield
            return
        until = time.monotonic() + seconds
        number = self._draw(until)
        if number is None:
            yield
            return
        try:
            if not _lock(self._file, number - 1):
                self._wait(number, until)
            yield
        finally:
            _unlock(self._file, number - 1, 2)
            self._call_next(number)

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
            time.sleep(DRAW)
        try:
            number = max(self._drawn(), _BEFORE_FIRST) + 1
            os.pwrite(self._file, number.to_bytes(8, "little"), 0)
            _lock(self._file, number)
        except OSError:
            return None
        finally:
            _unlock(self._file, 0)
        return number

    def _drawn(self) -> int:
        """The number that was drawn last; a damaged file begins anew."""
        number = int.from_bytes(os.pread(self._file, 8, 0), "little")
        return number if number < _FARTHEST else 0

    def _wait(self, number: int, until: float) -> None:
        bell = self._open_bell(number)
        try:
            # In this order, so that one which rings between a look and the wait is heard.
            while not _lock(self._file, number - 1) and (left := until - time.monotonic()) > 0:
                if bell is None:
                    time.sleep(min(left, LOOK_WITHOUT))
                elif _rings(bell, min(left, LOOK)):
                    with suppress(OSError):  # whoever shares the bell was faster
                        os.read(bell, BELLS)
        finally:
            if bell is not None:
                os.close(bell)

    def _open_bell(self, number: int) -> int | None:
        """None where there can be no pipes, or something else has its name."""
        with suppress(OSError):
            self._bells.mkdir(mode=0o700, exist_ok=True)
            with suppress(FileExistsError):
                os.mkfifo(self._bell(number), 0o600)
            return _open_pipe(self._bell(number))
        return None

    def _call_next(self, number: int) -> None:
        # Whoever draws a number only after this look finds the one before it done. Nobody may be waiting at the bell.
        with suppress(OSError):
            if self._drawn() > number and (bell := _open_pipe(self._bell(number + 1))) is not None:
                try:
                    os.write(bell, b"!")
                finally:
                    os.close(bell)

    def _bell(self, number: int) -> Path:
        return self._bells / str(number % BELLS)
