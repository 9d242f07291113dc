"""The key, and who else can read what it is kept in."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from seedance_mcp.checkup.finding import Finding, failed, ok, warning
from seedance_mcp.errors import InvalidSettings
from seedance_mcp.passwords import find_password
from seedance_mcp.payment.wallet import Wallet, keystore_address
from seedance_mcp.settings import Settings


def known_address(settings: Settings) -> str | None:
    """The wallet's address as far as it is known without a password."""
    try:
        if settings.private_key is not None:
            return Wallet.from_hex(settings.private_key.strip()).address
        return keystore_address(settings.keystore) if settings.keystore.exists() else None
    except (ValueError, InvalidSettings):
        return None


def check_key(settings: Settings) -> Finding:
    """Whether a server could sign. Opens the keystore, which takes a second; a keyring may ask to be unlocked."""
    if settings.private_key is not None:
        try:
            address = Wallet.from_hex(settings.private_key.strip()).address
        except ValueError as error:
            return failed("key", f"SEEDANCE_PRIVATE_KEY cannot be used: {error}", "Put a key there, or take it out.")
        return warning(
            "key",
            f"{address} is in SEEDANCE_PRIVATE_KEY, where other programs of this user can read it",
            "Outside of containers, keep it with `seedance-mcp wallet import` and take it out of the environment.",
            address=address,
        )
    if not settings.keystore.exists():
        return failed("key", "there is no wallet", "Run `seedance-mcp init`, or `seedance-mcp wallet new`.")
    try:
        password = find_password(settings)
        if password is None:
            return failed(
                "key",
                f"{settings.keystore} is there, and its password is nowhere",
                "Put it into a file that only you can read, and name that in SEEDANCE_KEYSTORE_PASSWORD_FILE.",
            )
        address = Wallet.from_keystore(settings.keystore, password).address
    except InvalidSettings as error:
        return failed("key", error.what, error.next or "Look at SEEDANCE_KEYSTORE and SEEDANCE_KEYSTORE_PASSWORD_FILE.")
    place = settings.keystore_password_file or "the keyring"
    return ok("key", f"{address}, opened with the password in {place}", address=address)


def check_keystore(settings: Settings) -> Finding | None:
    """Whether others can read the keystore or its password, or put another one in its place; None without one."""
    if settings.private_key is not None or not settings.keystore.exists():
        return None
    if os.name != "posix":
        return ok("keystore", f"{settings.keystore}; who can read it was not looked at on this system")
    for path, forbidden, what in _places(settings):
        try:
            status = path.stat()
        except OSError as error:
            is_missing = isinstance(error, FileNotFoundError)
            todo = "Bring it back, or name the right one in the settings." if is_missing else "Make it yours."
            return failed("keystore", f"{path} cannot be looked at ({error.strerror})", todo)
        if status.st_mode & forbidden:
            mode = f"{stat.S_IMODE(status.st_mode) & ~0o077:o}"
            judge = failed if path == settings.keystore else warning
            return judge("keystore", f"{path} can be {what} by other users", f"Run `chmod {mode} {path}`.")
        if status.st_uid not in (os.getuid(), 0):
            return warning("keystore", f"{path} belongs to another user", "Make it yours with `chown`.")
    return ok("keystore", f"{settings.keystore} is yours alone")


def _places(settings: Settings) -> Iterator[tuple[Path, int, str]]:
    yield settings.keystore, 0o077, "opened"
    yield settings.keystore.parent, 0o022, "changed"
    if settings.keystore_password_file is not None:
        yield settings.keystore_password_file, 0o077, "opened"
