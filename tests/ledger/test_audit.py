import hashlib
import json
from pathlib import Path

import apsw
import pytest

from seedance_mcp.errors import LedgerError
from seedance_mcp.ledger import audit, operator
from seedance_mcp.ledger.states import State
from tests.ledger.examples import NOW, Desk, refuse


async def entries(desk: Desk) -> list[dict[str, object]]:
    rows = await desk.database.read(lambda tx: tx.all("SELECT entry FROM audit ORDER BY seq"))
    return [json.loads(row["entry"]) for row in rows]


async def freeze_three_times(desk: Desk) -> None:
    for why in ("one", "two", "three"):
        await desk.database.write(operator.freeze, why, desk.now)


async def test_a_fresh_chain_is_intact_and_empty(desk: Desk) -> None:
    assert await desk.database.read(audit.verify) == 0


async def test_every_decision_and_every_move_is_in_the_chain_in_order(desk: Desk) -> None:
    payment = await desk.at(State.SETTLED)
    await desk.ask(rule=refuse)
    told = [(entry["event"], entry.get("from"), entry.get("to")) for entry in await entries(desk)]
    assert told == [
        ("decision", None, None),
        ("move", "reserved", "signed"),
        ("move", "signed", "sent"),
        ("move", "sent", "settled"),
    ]
    assert await desk.database.read(audit.verify) == 4
    assert (await entries(desk))[3]["payment"] == payment.id


async def test_the_operator_s_acts_are_in_the_chain(desk: Desk) -> None:
    await desk.database.write(operator.freeze, "a leak", NOW)
    await desk.database.write(operator.unfreeze, NOW)
    await desk.database.write(operator.unfreeze, NOW)
    await desk.database.write(operator.trust, origin="o", rail="r", token="t", pay_to="p", now=NOW)
    assert [entry["event"] for entry in await entries(desk)] == ["freeze", "unfreeze", "trust"]
    assert (await entries(desk))[2] == {
        "event": "trust", "at": NOW, "origin": "o", "rail": "r", "token": "t", "pay_to": "p",
    }  # fmt: skip


async def test_the_chain_can_be_recomputed_by_others(desk: Desk) -> None:
    await freeze_three_times(desk)
    previous = bytes(32)
    for row in await desk.database.read(lambda tx: tx.all("SELECT * FROM audit ORDER BY seq")):
        assert row["previous"] == previous
        previous = hashlib.sha256(previous + row["entry"].encode()).digest()
        assert row["hash"] == previous
        assert row["entry"] == json.dumps(json.loads(row["entry"]), sort_keys=True, separators=(",", ":"))


@pytest.mark.parametrize("statement", ["UPDATE audit SET entry = '{}'", "DELETE FROM audit"])
async def test_the_chain_is_append_only(desk: Desk, statement: str) -> None:
    await freeze_three_times(desk)
    with pytest.raises(LedgerError, match="append-only"):
        await desk.database.write(lambda tx: tx.do(statement))
    assert await desk.database.read(audit.verify) == 3


@pytest.mark.parametrize(
    ("damage", "row"),
    [
        ("UPDATE audit SET entry = replace(entry, 'two', '2wo') WHERE seq = 2", 2),
        ("UPDATE audit SET previous = hash WHERE seq = 3", 3),
        ("UPDATE audit SET hash = zeroblob(32) WHERE seq = 1", 1),
        ("DELETE FROM audit WHERE seq = 2", 3),
        ("DELETE FROM audit WHERE seq = 1", 2),
        ("UPDATE audit SET seq = 7 WHERE seq = 3", 7),
        ("DELETE FROM audit WHERE seq = 2; UPDATE audit SET seq = 2 WHERE seq = 3", 2),
        ("UPDATE audit SET seq = -seq WHERE seq < 3; UPDATE audit SET seq = 3 + seq WHERE seq < 0", 1),
    ],
)  # fmt: skip
async def test_an_edited_shortened_or_reordered_chain_is_noticed(
    desk: Desk, tmp_path: Path, damage: str, row: int
) -> None:
    await freeze_three_times(desk)
    intruder = apsw.Connection(str(tmp_path / "ledger.db"))
    intruder.execute("DROP TRIGGER audit_is_append_only_update; DROP TRIGGER audit_is_append_only_delete")
    intruder.execute(damage)
    intruder.close()
    with pytest.raises(ValueError, match=f"^row {row} of the audit chain was changed"):
        await desk.database.read(audit.verify)


def test_one_value_has_one_text() -> None:
    assert audit.canonical({"b": 1, "a": ["ü", None]}) == '{"a":["ü",null],"b":1}'
    assert audit.canonical({"a": ["ü", None], "b": 1}) == audit.canonical({"b": 1, "a": ["ü", None]})
