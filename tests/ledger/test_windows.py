"""The sums of every window, against all rows added up one by one."""

import random
from collections import Counter

from seedance_mcp.guard.usage import WALLET, WINDOWS, Spent
from seedance_mcp.ledger.check import check_ledger
from seedance_mcp.ledger.database import Transaction
from seedance_mcp.ledger.states import DAY, NEVER, UNCOUNTED, State
from seedance_mcp.ledger.windows import WIDTHS
from tests.ledger.examples import NOW, Desk, intent

SCOPES = (WALLET, "model:seedance", "model:upload", "agent:ada", "agent:bob")
STATES = (State.SETTLED, State.CLAIMED, State.UNKNOWN, State.RESERVED, State.EXPIRED, State.RELEASED)


async def fill(desk: Desk, chance: random.Random) -> None:
    """Payments of every kind, moved to where a span or a window begins."""

    def move(tx: Transaction, payment_id: int, at: int) -> None:
        tx.do("UPDATE payments SET counted_at = :at WHERE id = :id AND counted_at <> :never",
              at=at, id=payment_id, never=NEVER)  # fmt: skip

    for number in range(60):
        agent, model = chance.choice(("ada", "bob")), chance.choice(("seedance", "upload"))
        rail, amount = chance.choice(("x402", "mpp")), chance.randint(1, 10**6)
        what = intent(str(number), agent=agent, model=model, rail=rail, amount=amount)
        payment = await desk.at(chance.choice(STATES), what)
        width = chance.choice(WIDTHS)
        at = (NOW - chance.randint(0, 40 * DAY)) // width * width + chance.randint(-1, 1)
        await desk.database.write(move, payment.id, at)


def added_up(tx: Transaction, scope: str, window: str, now: int) -> Spent:
    length, total, held, count, rails = WINDOWS[window], 0, 0, 0, Counter[str]()
    for row in tx.all("SELECT * FROM payments"):
        counts = State(row["state"]) not in UNCOUNTED and (length is None or row["counted_at"] > now - length)
        if counts and scope in {WALLET, f"model:{row['model']}", f"agent:{row['agent']}"}:
            total, count = total + row["amount"] + row["fee"], count + 1
            held += (row["amount"] + row["fee"]) * (row["counted_at"] == NEVER)
            rails[row["rail"]] += row["amount"] + row["fee"]
    return Spent(total, held, count, {} if length is None else rails)


async def test_every_window_is_what_its_rows_add_up_to_at_any_time(desk: Desk) -> None:
    chance = random.Random(1)
    await fill(desk, chance)
    needed = [(scope, window) for scope in SCOPES for window in WINDOWS]
    ended = await desk.database.read(lambda tx: tx.all("SELECT counted_at FROM payments WHERE ended_at > 0"))
    for _ in range(150):
        edge = chance.choice(ended)["counted_at"] - chance.choice((0, 1, *WIDTHS))
        desk.now = edge + (WINDOWS[chance.choice(list(WINDOWS))] or 0) + chance.randint(-1, 1)
        seen = (await desk.usage(*needed)).spent
        for scope, window in needed:
            assert seen[scope, window] == await desk.database.read(added_up, scope, window, desk.now)


async def test_a_sum_that_was_edited_or_is_gone_is_a_fault(desk: Desk) -> None:
    await desk.at(State.SETTLED)
    assert [wrong for wrong in await check_ledger(desk.database) if "sum" in wrong] == []
    await desk.database.write(lambda tx: tx.do("UPDATE sums SET amount = amount - 1 WHERE scope = 'wallet'"))
    await desk.database.write(lambda tx: tx.do("DELETE FROM sums WHERE scope = 'agent:storyboard'"))
    wrong = [told for told in await check_ledger(desk.database) if told.startswith("the sum of")]
    assert len(wrong) == 2 * len(WIDTHS)
