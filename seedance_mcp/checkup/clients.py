"""Whether the clients that know this server could start it, and whether they start what was looked at here."""

import os
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

from seedance_mcp.checkup.finding import Finding, failed, ok, warning
from seedance_mcp.clients import Client, Entry, known_clients, read_entries
from seedance_mcp.errors import InvalidSettings
from seedance_mcp.settings import PREFIX, Settings

_FILLED_IN = re.compile(r"\$\{[^}]*\}")
_SAME = {
    "keystore": f"{PREFIX}KEYSTORE",
    "keystore_password_file": f"{PREFIX}KEYSTORE_PASSWORD_FILE",
    "ledger": f"{PREFIX}LEDGER",
    "policy": f"{PREFIX}POLICY",
    "studio_url": f"{PREFIX}STUDIO_URL",
}
"""Settings that say whose money it is and what may be done with it."""


def check_clients(settings: Settings) -> Iterator[Finding]:
    """One line for each entry of each client."""
    found = 0
    for client in known_clients(os.environ, Path.cwd()):
        try:
            entries = read_entries(client)
        except InvalidSettings as error:
            found += 1
            yield warning(f"client {client.name}", error.what, "Mend it, or add this server to it by hand.")
            continue
        for entry in entries:
            found += 1
            yield _entry(client, entry, settings)
    if not found:
        yield warning("client", "no client that is known here starts this server", "Run `seedance-mcp init`.")


def _entry(client: Client, entry: Entry, settings: Settings) -> Finding:
    check, where = f"client {client.name}", f"{entry.name!r} in {client.path}"
    filled_in = client.expands and any(_FILLED_IN.search(text) for text in (entry.command, *entry.env.values()))
    if not filled_in and shutil.which(entry.command) is None:
        todo = f"Put the path there that `{'where' if os.name == 'nt' else 'which'} seedance-mcp` prints."
        return failed(check, f"{where} starts {entry.command}, which is not there", todo)
    if entry.env.get(f"{PREFIX}PRIVATE_KEY") and not filled_in:
        todo = "Keep it with `seedance-mcp wallet import`, and take it out of the file."
        return warning(check, f"{where} holds the private key, for everybody who reads the file", todo)
    if filled_in or "--sandbox" in entry.args:
        return ok(check, where + (", on the sandbox" if "--sandbox" in entry.args else ""))
    try:
        theirs = Settings.from_env(dict(entry.env))
    except InvalidSettings as error:
        return failed(check, f"{where}: {error.what}", error.next or "Mend it there.")
    if other := [name for field, name in _SAME.items() if getattr(theirs, field) != getattr(settings, field)]:
        # A client may hand on its own environment too, which is not seen here.
        given = [f"{name}={shlex.quote(entry.env.get(name, ''))}" for name in other]
        todo = f"To look at what it starts, run this with {' '.join(given)}"
        return warning(check, f"{where} sets another {' and '.join(other)} than this shell", todo)
    return ok(check, where)
