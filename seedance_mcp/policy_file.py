"""The operator's policy file on disk: read again when it changes, never trusted where others can write it."""

import logging
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from seedance_mcp.errors import InvalidPolicy
from seedance_mcp.guard.policy import BUILT_IN, Policy, parse_policy
from seedance_mcp.ledger import operator
from seedance_mcp.ledger.database import Database

LARGEST = 100_000
_FIX = "Ask the operator to mend the policy file; nothing is bought until then."

logger = logging.getLogger(__name__)


def read_policy(path: Path, writable: Sequence[Path]) -> Policy | None:
    """The policy in a file, or None where there is none. Raises InvalidPolicy.

    ``writable`` are folders that an agent's images come from or clips go to: a policy in there is refused.
    """
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            content = file.read(LARGEST + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InvalidPolicy(f"the policy file {path} cannot be read ({error.strerror})", next=_FIX) from None
    if os.name == "posix" and stat.S_IMODE(status.st_mode) & 0o022:
        raise InvalidPolicy(f"the policy file {path} can be written by other users", next=f"Run `chmod 600 {path}`.")
    resolved = path.resolve()
    for folder in writable:
        if resolved.is_relative_to(folder.resolve()):
            raise InvalidPolicy(f"the policy file {path} lies in {folder}, where an agent's files are", next=_FIX)
    if len(content) > LARGEST:
        raise InvalidPolicy(f"the policy file {path} is larger than {LARGEST:,} bytes", next=_FIX)
    try:
        return parse_policy(content.decode())
    except UnicodeDecodeError:
        raise InvalidPolicy(f"the policy file {path} is not UTF-8 text", next=_FIX) from None
    except InvalidPolicy as error:
        raise InvalidPolicy(f"{path}: {error.what}", next=_FIX) from None


class PolicyFile:
    """The policy in force. The built-in one holds only for a ledger that never saw a file."""

    def __init__(self, path: Path, *, named: bool, writable: Sequence[Path], database: Database) -> None:
        self._path = path
        self._named = named
        self._writable = writable
        self._database = database
        self._stamp: tuple[int, ...] | None = None
        self._policy: Policy | None = None

    async def current(self) -> Policy:
        """Raises InvalidPolicy when no policy is in force: nothing may be bought then."""
        stamp = self._look()
        if stamp is not None and stamp == self._stamp and self._policy is not None:
            return self._policy
        try:
            policy = read_policy(self._path, self._writable)
        except InvalidPolicy as error:
            if self._policy is None:
                raise
            logger.warning("The policy file changed and is refused; the one before stays in force: %s", error.what)
            self._stamp = stamp
            return self._policy
        if policy is None:
            return await self._without_file()
        await self._database.write(operator.policy_seen, file=True)
        self._stamp, self._policy = stamp, policy
        return policy

    async def _without_file(self) -> Policy:
        if self._named or await self._database.read(operator.policy_seen, file=False):
            self._policy = None
            raise InvalidPolicy(f"the policy file {self._path} is not there", next=_FIX)
        return parse_policy(BUILT_IN)

    def _look(self) -> tuple[int, ...] | None:
        try:
            status = self._path.stat()
        except OSError:
            return None
        return (status.st_mtime_ns, status.st_size, status.st_ino, status.st_mode)
