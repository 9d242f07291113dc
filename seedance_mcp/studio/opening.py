"""Opening a file below a folder such that no link, old or new, leads out of it."""

import errno
import os
from collections.abc import Sequence
from pathlib import Path


def open_inside(root: Path, parts: Sequence[str]) -> int:
    """A descriptor for reading ``root/parts[0]/parts[1]/…`` without having followed a link below ``root``.

    ``root`` is a real path, ``parts`` has no ``..``. What was opened may be of any kind: look at it with ``os.fstat``.
    Raises OSError; a link is ``ELOOP`` or ``ENOTDIR``.
    """
    if os.open in os.supports_dir_fd and hasattr(os, "O_NOFOLLOW"):
        return _open_step_by_step(root, parts)
    return _open_and_compare(root, parts)


def _open_step_by_step(root: Path, parts: Sequence[str]) -> int:
    """Opens folder by folder, so that no link is followed even if one is put in place meanwhile."""
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in parts[:-1]:
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            inner = os.open(part, flags, dir_fd=folder)
            os.close(folder)
            folder = inner
        # Without O_NONBLOCK, opening a pipe would wait for a writer.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        return os.open(parts[-1], flags, dir_fd=folder)
    finally:
        os.close(folder)


def _open_and_compare(root: Path, parts: Sequence[str]) -> int:
    """For systems that cannot open relative to a folder: the path must still be itself after it was opened."""
    path = root.joinpath(*parts)
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOINHERIT", 0) | getattr(os, "O_NONBLOCK", 0)
    descriptor = os.open(path, flags)
    itself = False
    try:
        itself = path.resolve() == path and os.path.samestat(os.fstat(descriptor), path.lstat())
    finally:
        if not itself:
            os.close(descriptor)
    if not itself:
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    return descriptor
