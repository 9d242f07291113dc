"""Opens the ledger that the settings name; light enough for every command."""

from seedance_mcp.errors import InvalidSettings
from seedance_mcp.ledger.database import Database
from seedance_mcp.ledger.sqlite import SQLite
from seedance_mcp.settings import Settings, expanded


def ledger_exists(settings: Settings) -> bool:
    """Whether the ledger's file is still there. A ledger elsewhere is."""
    scheme, _, place = settings.ledger.partition(":")
    return scheme != "sqlite" or expanded(place, "SEEDANCE_LEDGER").exists()


async def open_ledger(settings: Settings, kind: str | None) -> Database:
    """The ledger that the settings name, of any kind if ``kind`` is None. Raises InvalidSettings, LedgerError."""
    scheme, _, place = settings.ledger.partition(":")
    if scheme != "sqlite" or not place:
        raise InvalidSettings(
            f"SEEDANCE_LEDGER is of the kind {scheme[:20]!r}, and this version knows sqlite:PATH only"
        )
    return await SQLite.open(expanded(place, "SEEDANCE_LEDGER"), kind)
