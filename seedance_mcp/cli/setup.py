"""What ``init`` is about to write: shown before, and written in the order in which one thing needs the other."""

import os
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from seedance_mcp.clients import Client, Entry, add_entry, snippet, with_entry
from seedance_mcp.continuity import Mark, Marker
from seedance_mcp.errors import InvalidSettings
from seedance_mcp.passwords import Ring, read_password
from seedance_mcp.payment.wallet import Wallet
from seedance_mcp.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """``settings`` are those that the server will have; None for what is there already, or is not wanted.

    ``ring`` is the keyring that gets the keystore's password, else it lies in ``settings.keystore_password_file``.
    """

    settings: Settings
    new_wallet: bool
    ring: Ring | None
    policy: str | None
    entries: Sequence[tuple[Client, Entry]]

    @property
    def password_file(self) -> Path | None:
        """The one that has yet to be made."""
        path = self.settings.keystore_password_file
        return path if self.new_wallet and path is not None and not path.exists() else None


def shown(plan: Plan) -> Iterator[tuple[str, str]]:
    """Each place that is written to, and what comes there. Secrets are only named."""
    if plan.password_file is not None:
        yield str(plan.password_file), "a new random password, for you alone to read"
    if plan.ring is not None:
        yield f"keyring ({plan.ring.name})", "a new random password for the keystore"
    if plan.new_wallet:
        yield str(plan.settings.keystore), "a new key, encrypted with that password"
    if plan.policy is not None:
        yield str(plan.settings.policy), plan.policy
    for client, entry in plan.entries:
        how = f"{client.title}: this is added, and nothing else is changed"
        if (problem := why_not(client, entry)) is not None:
            how = f"{client.title}: {problem}. Add this by hand"
        yield str(client.path), f"{how}\n{snippet(client, entry)}"


def why_not(client: Client, entry: Entry) -> str | None:
    """What keeps ``entry`` from being added to the client's file."""
    try:
        with_entry(client, entry)
    except InvalidSettings as error:
        return error.what
    return None


def write(plan: Plan) -> list[str]:
    """Every file that was written. Raises InvalidSettings; what was written before that stays."""
    written = []
    settings = plan.settings
    if (password_file := plan.password_file) is not None:
        _write_new(password_file, secrets.token_urlsafe(32) + "\n")
        written.append(str(password_file))
    if plan.new_wallet:
        wallet = Wallet.create()
        if plan.ring is not None:
            password = plan.ring.make(wallet.address)
        else:
            assert settings.keystore_password_file is not None
            password = read_password(settings.keystore_password_file)
        wallet.to_keystore(password, settings.keystore)
        # Nobody else has this key, so that nothing can have been spent elsewhere.
        Marker(settings.keystore).write(Mark())
        written.append(str(settings.keystore))
    if plan.policy is not None:
        _write_new(settings.policy, plan.policy)
        written.append(str(settings.policy))
    for client, entry in plan.entries:
        if why_not(client, entry) is None:
            add_entry(client, entry)
            written.append(str(client.path))
    return written


def _write_new(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise InvalidSettings(f"{path} cannot be written ({error.strerror})") from None
