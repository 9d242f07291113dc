"""What opens the keystore: a password in a file of the operator's, or one in the keyring of the operating system.

The keyring never holds the key itself: whoever reads one of the two places has nothing without the other.
"""

import secrets
from pathlib import Path
from typing import Protocol

from seedance_mcp.errors import InvalidSettings
from seedance_mcp.payment.wallet import keystore_address
from seedance_mcp.settings import Settings

SERVICE = "seedance-mcp"
RECOMMENDED = 1
"""The priority from which on ``keyring`` recommends a backend: below are those that keep passwords in plain files."""


class Backend(Protocol):
    """As in ``keyring.backend``."""

    @property
    def name(self) -> str: ...
    @property
    def priority(self) -> float: ...
    def get_password(self, service: str, username: str) -> str | None: ...
    def set_password(self, service: str, username: str, password: str) -> None: ...


class Ring:
    """A keyring that can be used. It may ask its user to unlock it, and wait for that."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.name = backend.name

    def get(self, address: str) -> str | None:
        """The password kept for the keystore of ``address``. Raises InvalidSettings."""
        from keyring.errors import KeyringError  # noqa: PLC0415 - an extra

        try:
            return self._backend.get_password(SERVICE, address)
        except KeyringError as error:
            raise self._unusable(error) from None

    def make(self, address: str) -> str:
        """The password for ``address``, a new random one where none is kept. Raises InvalidSettings."""
        from keyring.errors import KeyringError  # noqa: PLC0415 - an extra

        if known := self.get(address):
            return known
        password = secrets.token_urlsafe(32)
        try:
            self._backend.set_password(SERVICE, address, password)
        except KeyringError as error:
            raise self._unusable(error) from None
        if self.get(address) != password:
            raise InvalidSettings(f"the keyring {self.name} does not keep what it is given", next="Use --keystore.")
        return password

    def _unusable(self, error: Exception) -> InvalidSettings:
        return InvalidSettings(
            f"the keyring {self.name} cannot be used ({type(error).__name__})",
            next="Unlock it, or name a file with the keystore's password in SEEDANCE_KEYSTORE_PASSWORD_FILE.",
        )


def system_keyring() -> Ring | None:
    """None without ``seedance-mcp[keyring]``, and where no keyring runs, as on most servers."""
    try:
        from keyring import get_keyring  # noqa: PLC0415 - an extra, and slow to start
    except ModuleNotFoundError:
        return None
    backend = get_keyring()
    return Ring(backend) if backend.priority >= RECOMMENDED else None


def find_password(settings: Settings) -> str | None:
    """What opens the keystore, which must be there, or None where nobody has it. Raises InvalidSettings."""
    if settings.keystore_password_file is not None:
        return read_password(settings.keystore_password_file)
    ring = system_keyring()
    return ring.get(keystore_address(settings.keystore)) if ring is not None else None


def read_password(path: Path) -> str:
    """The first line of a password file. Raises InvalidSettings."""
    try:
        return path.read_text(encoding="utf-8").partition("\n")[0].rstrip("\r")
    except (OSError, UnicodeDecodeError):
        raise InvalidSettings(f"the keystore's password file {path} cannot be read") from None
