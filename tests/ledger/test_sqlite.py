import os
import stat
from pathlib import Path

import anyio
import apsw
import pytest

from seedance_mcp.errors import LedgerBusy, LedgerError
from seedance_mcp.ledger import operator, payments, sqlite, views
from seedance_mcp.ledger.database import Transaction
from seedance_mcp.ledger.sqlite import SQLite
from seedance_mcp.ledger.states import State
from tests.ledger.examples import ME, NOW, Desk, intent

posix = pytest.mark.skipif(os.name != "posix", reason="modes are of POSIX")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@posix
async def test_file_and_folder_are_private(tmp_path: Path) -> None:
    path = tmp_path / "new" / "ledger.db"
    database = await SQLite.open(path, "real")
    await database.write(payments.beat, ME, NOW)
    assert mode(path.parent) == 0o700
    assert {mode(file) for file in path.parent.iterdir()} == {0o600}
    await database.close()


@posix
async def test_a_file_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    await (await SQLite.open(path, "real")).close()
    path.chmod(0o644)
    await (await SQLite.open(path, "real")).close()
    assert mode(path) == 0o600


async def test_what_was_written_is_there_after_opening_again(tmp_path: Path, desk: Desk) -> None:
    payment = await desk.at(State.SENT)
    await desk.database.close()
    desk.database = await SQLite.open(tmp_path / "ledger.db", "real")
    assert await desk.look(payment) == payment


@pytest.mark.parametrize(("held", "asked"), [("real", "sandbox"), ("sandbox", "real")])
async def test_play_money_and_real_money_never_share_a_ledger(tmp_path: Path, held: str, asked: str) -> None:
    path = tmp_path / "ledger.db"
    await (await SQLite.open(path, held)).close()
    with pytest.raises(LedgerError, match=f"holds {held} payments and cannot be used for {asked} ones"):
        await SQLite.open(path, asked)
    await (await SQLite.open(path, None)).close()
    await (await SQLite.open(path, held)).close()


async def test_a_ledger_that_the_operator_made_is_a_real_one(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    await (await SQLite.open(path, None)).close()
    with pytest.raises(LedgerError):
        await SQLite.open(path, "sandbox")


async def test_a_statement_that_fails_leaves_nothing_behind(desk: Desk) -> None:
    def half(tx: Transaction) -> None:
        operator.freeze(tx, "half way", NOW)
        raise ValueError("the other half")

    with pytest.raises(ValueError, match="the other half"):
        await desk.database.write(half)
    assert (await desk.usage()).frozen is None
    await desk.reserve()


async def test_a_contradiction_is_refused_and_rolled_back(desk: Desk) -> None:
    first, second = await desk.reserve(intent("one")), await desk.reserve(intent("two"))
    assert await desk.sign(first.payment, nonce=b"n" * 32)
    with pytest.raises(LedgerError, match="refused a contradiction"):
        await desk.sign(second.payment, nonce=b"n" * 32)
    assert (await desk.look(second.payment)).state is State.RESERVED


async def test_a_cancelled_call_still_commits(desk: Desk) -> None:
    with anyio.CancelScope() as scope:
        scope.cancel()
        await desk.database.write(operator.freeze, "cancelled", NOW)
    assert (await desk.usage()).frozen == "cancelled"


async def test_a_ledger_that_another_process_holds_is_busy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "BUSY_MS", 20)
    path = tmp_path / "ledger.db"
    database = await SQLite.open(path, "real")
    holder = apsw.Connection(str(path))
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(LedgerBusy, match="busy with another process") as caught:
        await database.write(operator.freeze, "too late", NOW)
    assert str(caught.value).endswith("Nothing was charged. Call again; the same request is never paid twice.")
    assert (await database.read(views.usage, [], "", "", "", NOW)).frozen is None, "reading goes on"
    holder.execute("ROLLBACK")
    holder.close()
    await database.write(operator.freeze, "in time", NOW)
    await database.close()


async def test_a_file_that_is_no_ledger_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    path.write_bytes(b"not a database at all" * 100)
    with pytest.raises(LedgerError, match="is not a usable SQLite file"):
        await SQLite.open(path, "real")
    assert path.read_bytes().startswith(b"not a database"), "it is left as it was"


async def test_a_folder_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="cannot be opened"):
        await SQLite.open(tmp_path, "real")


async def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError, match="cannot be opened"):
        await SQLite.open(tmp_path / "file" / "ledger.db", "real")


async def test_a_ledger_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    await (await SQLite.open(path, "real")).close()
    newer = apsw.Connection(str(path))
    newer.execute("PRAGMA user_version = 99")
    newer.close()
    with pytest.raises(LedgerError, match=r"has schema 99 and this version knows \d+") as caught:
        await SQLite.open(path, "real")
    assert caught.value.next.startswith("Use the newest seedance-mcp with this ledger")


@pytest.mark.parametrize("way", ["read", "write"])
async def test_a_ledger_that_a_newer_version_took_over_is_used_no_more(desk: Desk, tmp_path: Path, way: str) -> None:
    newer = apsw.Connection(str(tmp_path / "ledger.db"))
    newer.execute("PRAGMA user_version = 99")
    with pytest.raises(LedgerError, match="has schema 99"):
        await getattr(desk.database, way)(views.open_payments)
    newer.execute("PRAGMA user_version = 1")
    newer.close()
    assert await desk.database.read(views.open_payments) == []


async def test_a_cancelled_server_closes_its_ledger(tmp_path: Path) -> None:
    database = await SQLite.open(tmp_path / "ledger.db", "real")
    with anyio.CancelScope() as scope:
        scope.cancel()
        await database.close()
    with pytest.raises(apsw.ConnectionClosedError):
        database._connection.execute("SELECT 1")
    assert database._turns._file == -1


async def test_commits_survive_a_loss_of_power(desk: Desk) -> None:
    def settings(tx: Transaction) -> tuple[object, object]:
        journal, synchronous = tx.one("PRAGMA journal_mode"), tx.one("PRAGMA synchronous")
        assert journal is not None
        assert synchronous is not None
        return journal["journal_mode"], synchronous["synchronous"]

    full = 2
    assert await desk.database.read(settings) == ("wal", full)
