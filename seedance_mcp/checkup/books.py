"""The ledger, and the mark beside the key that says how far it must go."""

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from seedance_mcp.checkup.finding import Finding, failed, ok, warning
from seedance_mcp.checkup.rules import MODEL
from seedance_mcp.continuity import Marker
from seedance_mcp.errors import LedgerError
from seedance_mcp.guard.usage import WALLET, WINDOWS, Spent, Usage, agent_scope, model_scope
from seedance_mcp.ledger import audit, operator, views
from seedance_mcp.ledger.alerts import Post, post
from seedance_mcp.ledger.database import Database
from seedance_mcp.ledger.health import Health, health
from seedance_mcp.opening import ledger_exists, open_ledger
from seedance_mcp.rails.rail import Rail
from seedance_mcp.settings import Settings, expanded
from seedance_mcp.timing import now

EMPTY = Usage(None, 0, {(WALLET, window): Spent() for window in WINDOWS}, {}, None, None)
NO_POST = Post()


@dataclass(frozen=True, slots=True)
class Books:
    """What the ledger says: ``findings`` about itself, and what the rest is judged by."""

    findings: tuple[Finding, ...]
    usage: Usage = EMPTY
    policy_seen: bool = False
    post: Post = NO_POST


async def read_books(settings: Settings, rail: Rail) -> Books:
    """Looks at the ledger, without making one. Whom this seller was paid at is told for ``rail``.

    Raises InvalidSettings for a ledger of an unknown kind.
    """
    if not ledger_exists(settings):
        return Books((ok("ledger", "none yet; the first start of the server makes one"),))
    try:
        database = await open_ledger(settings, None)
        try:
            return await _read(settings, database, rail)
        finally:
            await database.close()
    except LedgerError as error:
        return Books((failed("ledger", error.what, error.next),))


async def _read(settings: Settings, database: Database, rail: Rail) -> Books:
    found = await database.read(health)
    scopes = (WALLET, model_scope(MODEL), agent_scope(settings.agent))
    needed = [(scope, window) for scope in scopes for window in WINDOWS]
    return Books(
        (_ledger(settings, found), *await _marker(settings, database, found)),
        await database.read(views.usage, needed, settings.studio_url, rail.name, rail.token.address, now()),
        await database.read(operator.policy_seen, file=False),
        await database.read(post, now()),
    )


def _ledger(settings: Settings, found: Health) -> Finding:
    facts = {"schema": found.schema, "journal": found.journal, "kind": found.kind, "rows": found.rows}
    rows = f"{found.rows:,} audit row{'' if found.rows == 1 else 's'}"
    what = f"schema {found.schema}, {found.journal.upper()}, {found.kind} payments, {rows}"
    if found.problems:
        more = f", and {len(found.problems) - 1} more" if len(found.problems) > 1 else ""
        todo = "Keep the file as it is, and compare it with a backup: `seedance-mcp audit verify` has all."
        return failed("ledger", f"{found.problems[0]}{more}", todo, **facts)
    if found.kind != "real":
        return failed("ledger", what, "It is the sandbox's: name another file in SEEDANCE_LEDGER.", **facts)
    if shared := _shared(settings):
        return warning("ledger", f"{shared} can be opened by other users", f"Run `chmod go= {shared}`.", **facts)
    if found.problems is None:
        return warning("ledger", f"{what}, too many to read now", "Run `seedance-mcp audit verify`.", **facts)
    return ok("ledger", f"{what}, all intact", **facts)


def _shared(settings: Settings) -> Path | None:
    """The ledger's folder if others can look into it; the file's own mode is set whenever it is opened."""
    scheme, _, place = settings.ledger.partition(":")
    folder = expanded(place, "SEEDANCE_LEDGER").parent
    if scheme != "sqlite" or os.name != "posix" or not stat.S_IMODE(folder.stat().st_mode) & 0o077:
        return None
    return folder


async def _marker(settings: Settings, database: Database, found: Health) -> Iterable[Finding]:
    if settings.private_key is not None or not settings.keystore.exists():
        return ()
    try:
        mark = Marker(settings.keystore).read()
    except LedgerError as error:
        return (failed("marker", error.what, error.next),)
    if mark is None or mark.ledger is None:
        return (ok("marker", "this wallet has not paid yet" if mark else "none beside the key yet"),)
    if mark.ledger != found.identity:
        what = "this wallet paid with another ledger last; what it spent there is looked up before the next purchase"
        return (warning("marker", what, "Bring that ledger back (SEEDANCE_LEDGER), or let it be looked up."),)
    if not await database.read(audit.holds, mark.rows, bytes.fromhex(mark.head)):
        what = "this ledger is older than the one that this wallet paid with last"
        todo = "Bring the newest one back, or run `seedance-mcp reconcile --new-ledger`."
        return (failed("marker", what, todo),)
    return (ok("marker", f"this is the ledger that this wallet paid with last, at row {mark.rows:,} or later"),)
